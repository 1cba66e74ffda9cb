//! Files that an operator or owner hands in, and those that a node keeps for itself.

use neura::{
    cli::parse_epochs,
    config::{NodeConfig, NodeFile},
    job::check_text,
    keyfile::parse_secret,
    mempool::journal,
};
use neura_types::transaction::MAX_TRANSACTION_BYTES;

use crate::{
    Target,
    check::{texts, vectors},
};

pub(super) const TARGETS: &[Target] = &[
    Target::new("job-file", job_file, texts![include_str!("../../../../examples/digits/job.toml")]),
    Target::new("node-file", node_file, node_files),
    Target::new("key-file", key_file, || vec![[&b"# a key\n\n"[..], &[b'7'; 64], b"\n"].concat()]),
    Target::new("pool-journal", pool_journal, pool_journals),
    Target::new("epochs-file", epochs_file, epochs_files),
];

fn job_file(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _any = check_text(text);
    }
}

/// What is read and completed is written as what means the same.
fn node_file(bytes: &[u8]) {
    let read = |text: &str| {
        let file: NodeFile = toml::from_str(text).ok()?;
        Some(NodeConfig::from_file("/data".into(), "/genesis.json".into(), file))
    };
    let Some(config) = std::str::from_utf8(bytes).ok().and_then(read) else { return };
    // TOML has no integers above 2^63 - 1.
    if let Ok(text) = config.to_toml() {
        let again = read(&text).expect("what was written can be read");
        assert_eq!(again.to_toml().expect("as before"), text);
    }
}

fn node_files() -> Vec<Vec<u8>> {
    let usual = NodeConfig::from_file("/data".into(), "/genesis.json".into(), NodeFile::default());
    vec![usual.to_toml().expect("written").into_bytes(), b"retain_blocks = \"archive\"\n".to_vec()]
}

fn key_file(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _any = parse_secret(text);
    }
}

/// What is read is the beginning of what was written.
fn pool_journal(bytes: &[u8]) {
    let mut written = Vec::new();
    for raw in journal::entries(bytes) {
        assert!((1..=MAX_TRANSACTION_BYTES).contains(&raw.len()));
        written.extend((raw.len() as u32).to_le_bytes());
        written.extend_from_slice(&raw);
    }
    assert!(bytes.starts_with(&written), "other transactions are read than were written");
}

fn pool_journals() -> Vec<Vec<u8>> {
    let entry = |raw: &[u8]| [&(raw.len() as u32).to_le_bytes(), raw].concat();
    vec![[entry(b"one"), entry(&[2; 300]), entry(b"three")].concat()]
}

fn epochs_file(bytes: &[u8]) {
    let _any = parse_epochs(bytes);
}

fn epochs_files() -> Vec<Vec<u8>> {
    let config = vectors!("node/types": "epoch-config")();
    let record = |config: &Vec<u8>| {
        // No end of the epoch is known.
        let record = [config, &[0][..]].concat();
        [&(record.len() as u32).to_le_bytes()[..], &record].concat()
    };
    config.iter().map(|config| [record(config), record(config)].concat()).collect()
}
