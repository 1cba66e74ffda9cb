//! Bad files at the command line: exit code 1 and a sentence that names the file.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use neura_types::keys::SecretKey;

use super::noise;
use crate::harness::{Cli, digits};

/// Runs a command that must fail with exit code 1 and an error that holds a text.
async fn refused(cli: &Cli, args: &[&str], because: &str) {
    let output = cli.run(args).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "neura {args:?}: {stderr}");
    let error = stderr.find("error: ").map(|at| &stderr[at..]);
    let error = error.unwrap_or_else(|| panic!("neura {args:?} gives no error: {stderr}"));
    assert!(error.contains(because), "neura {args:?}: '{because}' is not in: {error}");
}

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A command line of which no command gets so far as to speak to a node.
fn offline() -> Cli {
    Cli::new("http://127.0.0.1:9")
}

#[tokio::test(flavor = "multi_thread")]
async fn job_files_that_describe_no_job_are_refused() {
    let cli = offline();
    let folder = cli.home.path();
    let good = fs::read_to_string(digits().join("job.toml")).unwrap();
    let files =
        ["model.nint8", "images-heldout.bin", "labels-heldout.txt", "reference-predictions.txt"];
    for name in files {
        fs::copy(digits().join(name), folder.join(name)).unwrap();
    }
    let submit = async |because: &str| {
        let path = folder.join("job.toml").display().to_string();
        refused(&cli, &["task", "submit", &path], because).await;
    };
    submit("job.toml").await;
    for (bytes, because) in [
        (b"".to_vec(), "missing field"),
        (noise(1, 2_000), "job.toml"),
        (vec![b'['; 10_000], "job.toml"),
        (vec![b'#'; 2 << 20], "is longer than"),
        (good.as_bytes()[..good.len() / 2].to_vec(), "job.toml"),
        (good.replace("600", "-600").into_bytes(), "job.toml"),
        (good.replace("600", "0").into_bytes(), "at least 1"),
        (good.replace("\"5 ANKR\"", "\"much\"").into_bytes(), "amount"),
        (good.replace("model.nint8", "nothing.nint8").into_bytes(), "nothing.nint8"),
        (good.replace("model.nint8", ".").into_bytes(), "cannot read"),
    ] {
        write(folder, "job.toml", bytes);
        submit(because).await;
    }
    write(folder, "job.toml", &good);
    for name in files {
        let whole = fs::read(folder.join(name)).unwrap();
        for bytes in [&whole[..0], &whole[..whole.len() / 2], &noise(2, 5_000)] {
            write(folder, name, bytes);
            let output =
                cli.run(&["task", "submit", &folder.join("job.toml").display().to_string()]).await;
            assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
        }
        write(folder, name, whole);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_files_that_hold_no_key_are_refused() {
    let cli = offline();
    let folder = cli.home.path();
    let job = digits().join("job.toml").display().to_string();
    let submit = async |path: &Path, because: &str| {
        let key = path.display().to_string();
        refused(&cli, &["task", "submit", &job, "--key", &key], because).await;
    };
    for (bytes, because) in [
        (b"".to_vec(), "holds no key"),
        (b"# only a comment\n".to_vec(), "holds no key"),
        (noise(1, 100), "a.key"),
        (b"0x1234".to_vec(), "a.key"),
        (vec![b'0'; 64], "a.key"),
        (vec![b'f'; 64], "a.key"),
        (vec![b'1'; 66], "a.key"),
        (b"{".to_vec(), "NEURA_PASSWORD"),
    ] {
        submit(&write(folder, "a.key", bytes), because).await;
    }
    let open = write(folder, "open.key", "11".repeat(32));
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    submit(&open, "chmod 600").await;
    submit(&folder.join("nowhere.key"), "nowhere.key").await;
    submit(folder, "not a file").await;

    let keystore = write(folder, "store.key", r#"{"version":3,"crypto":{}}"#);
    let key = keystore.display().to_string();
    let mut command = cli.command(&["wallet", "balance", "--key", &key]);
    command.env("NEURA_PASSWORD", "guess");
    let output = crate::harness::output(command).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn genesis_files_that_describe_no_chain_are_refused() {
    let cli = offline();
    let folder = cli.home.path();
    let public = SecretKey::from_seed(&[1; 32]).public_key().0.to_string();
    let path = folder.join("genesis.json");
    let (out, data) = (path.display().to_string(), folder.join("data").display().to_string());
    let treasury = "0x0000000000000000000000000000000000000099";
    let make = ["genesis", "--validator", &public, "--treasury", treasury, "--out", &out];
    cli.text(&make).await;
    let good = fs::read_to_string(&path).unwrap();
    let node = ["node", "--data", &data, "--genesis", &out, "--api", "127.0.0.1:0"];
    for (bytes, because) in [
        (b"".to_vec(), "genesis.json"),
        (b"{}".to_vec(), "missing field"),
        (noise(1, 3_000), "genesis.json"),
        (vec![b'['; 100_000], "genesis.json"),
        (good.as_bytes()[..good.len() / 2].to_vec(), "genesis.json"),
        (good.replace("26770", "0").into_bytes(), "chain_id"),
        (good.replace("\"timestamp_ms\"", "\"time\"").into_bytes(), "unknown field"),
        (
            good.replace("\"execution_lag\": 4", "\"execution_lag\": 1").into_bytes(),
            "execution_lag",
        ),
        (good.replace("\"power\": 1", "\"power\": 0").into_bytes(), "genesis.json"),
        (good.replace(&public[2..20], "zz").into_bytes(), "genesis.json"),
    ] {
        assert_ne!(bytes, good.as_bytes(), "{because}");
        write(folder, "genesis.json", bytes);
        refused(&cli, &node, because).await;
    }
    let file = fs::File::create(&path).unwrap();
    file.set_len(33 << 20).unwrap();
    refused(&cli, &node, "is longer than").await;
    fs::remove_file(&path).unwrap();
    refused(&cli, &node, "genesis.json").await;

    for (more, because) in [
        (vec!["--chain-id", "266"], "public Neura network"),
        (vec!["--chain-id", "0"], "chain_id"),
        (vec!["--validator", "0x12"], "validator '0x12'"),
        (vec!["--validator", &public], "validator"),
        (vec!["--validator", "0x0101:many"], "validator"),
        (vec!["--account", "0x12"], "address=amount"),
        (vec!["--account", "0x12=1"], "0x12"),
        (vec!["--account", &format!("{treasury}=-1")], "-1"),
        (vec!["--params", &data], "data"),
    ] {
        refused(&cli, &[&make[..], &more].concat(), because).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_of_a_node_that_make_no_sense_are_refused() {
    let cli = offline();
    let folder = cli.home.path();
    let public = SecretKey::from_seed(&[1; 32]).public_key().0.to_string();
    let genesis = folder.join("genesis.json").display().to_string();
    let treasury = "0x0000000000000000000000000000000000000099";
    cli.text(&["genesis", "--validator", &public, "--treasury", treasury, "--out", &genesis]).await;
    let data = folder.join("data").display().to_string();
    let config = folder.join("node.toml").display().to_string();
    let node = ["node", "--data", &data, "--genesis", &genesis, "--config", &config];
    refused(&cli, &node, "node.toml").await;
    for (text, because) in [
        (noise(1, 500), "node.toml"),
        (b"api = 7".to_vec(), "node.toml"),
        (b"api = \"nowhere\"".to_vec(), "node.toml"),
        (b"unheard_of = 1".to_vec(), "unknown field"),
        (b"retain_blocks = \"some\"".to_vec(), "node.toml"),
        (b"cache_mib = 0".to_vec(), "node.toml"),
        (b"cache_mib = 4000000000".to_vec(), "than this machine's memory"),
        (vec![b'#'; 2 << 20], "is longer than"),
        (b"listen = [\"127.0.0.1:1\"]".to_vec(), "is not a libp2p address"),
        (
            b"api = \"127.0.0.1:0\"\nlisten = []\npeers = [\"/ip4/127.0.0.1/tcp/1\"]".to_vec(),
            "lacks its id",
        ),
        (
            b"api = \"127.0.0.1:0\"\nlisten = []\npeers = [\"/ip4/127.0.0.1/tcp/1/p2p/x\"]"
                .to_vec(),
            "peer id",
        ),
        (b"api = \"127.0.0.1:0\"\nlisten = []\nidentity = \"/dev/null\"".to_vec(), "/dev/null"),
        (
            b"api = \"127.0.0.1:0\"\nlisten = []\nfaucet_key = \"nowhere.key\"".to_vec(),
            "nowhere.key",
        ),
    ] {
        write(folder, "node.toml", text);
        refused(&cli, &node, because).await;
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("api = \"{}\"\nlisten = []", taken.local_addr().unwrap());
    write(folder, "node.toml", api);
    refused(&cli, &node, "cannot listen on").await;
}
