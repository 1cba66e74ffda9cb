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
