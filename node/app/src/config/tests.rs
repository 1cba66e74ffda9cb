use super::*;

#[test]
fn what_is_written_is_read_back() {
    let data = PathBuf::from("/data");
    let config = NodeConfig::from_file(data.clone(), "/g.json".into(), NodeFile::default());
    let text = config.to_toml().unwrap();
    let again = NodeConfig::from_file(data, "/g.json".into(), toml::from_str(&text).unwrap());
    assert_eq!(format!("{config:?}"), format!("{again:?}"));
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let error = toml::from_str::<NodeFile>("apii = \"127.0.0.1:1\"").unwrap_err().to_string();
    assert!(error.contains("apii"), "{error}");
}

#[test]
fn a_node_can_keep_everything() {
    let file: NodeFile = toml::from_str("retain_blocks = \"archive\"").unwrap();
    assert_eq!(NodeConfig::from_file("/d".into(), "/g".into(), file).retain_blocks, None);
}

#[test]
fn the_network_options_of_a_file_are_taken_and_the_usual_ones_stand_in_for_the_rest() {
    let text = "discovery = false\nreserved = [\"12D3KooW\"]\nreserved_only = true";
    let file: NodeFile = toml::from_str(text).unwrap();
    let network = NodeConfig::from_file("/d".into(), "/g".into(), file).network;
    let expected = NetworkOptions {
        discovery: false,
        reserved: vec!["12D3KooW".into()],
        reserved_only: true,
        ..NetworkOptions::default()
    };
    assert_eq!(network, expected);
    assert!(network.announce);
}

#[test]
fn what_is_kept_is_a_number_or_everything() {
    assert_eq!("7".parse(), Ok(Retain::Blocks(7)));
    assert_eq!("archive".parse(), Ok(Retain::Archive(Archive::Archive)));
    for text in ["", "all", "-1", "1.5"] {
        assert!(text.parse::<Retain>().unwrap_err().contains("archive"), "{text}");
    }
}
