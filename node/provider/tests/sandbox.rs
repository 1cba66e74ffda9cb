//! What a worker that was taken over can do: next to nothing.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use neura_provider::{WorkerCommand, sandbox::Sandbox};

/// What a hostile program says, inside of the sandbox or outside, with the filter or without.
struct Hostile {
    sandboxed: bool,
    filter: &'static str,
}

const FREE: Hostile = Hostile { sandboxed: false, filter: "free" };
const WRAPPED: Hostile = Hostile { sandboxed: true, filter: "free" };
const FILTERED: Hostile = Hostile { sandboxed: false, filter: "filtered" };
const BOTH: Hostile = Hostile { sandboxed: true, filter: "filtered" };

impl Hostile {
    fn tries(&self, deed: &str, target: &str) -> String {
        let args = [self.filter, deed, target].map(Into::into).to_vec();
        let inner = WorkerCommand { program: program(), args };
        let folder = tempfile::tempdir().unwrap();
        let command = match self.sandboxed {
            true => {
                Sandbox::find().expect("these tests need bubblewrap").around(&inner, folder.path())
            }
            false => inner,
        };
        let output = Command::new(command.program).args(command.args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(!text.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    fn can(&self, deed: &str, target: &str) -> bool {
        self.tries(deed, target).ends_with("done")
    }
}

/// Cargo builds examples before tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples/hostile")
}

#[test]
fn a_worker_computes_in_threads() {
    for hostile in [FREE, WRAPPED, FILTERED, BOTH] {
        assert!(hostile.can("nothing", ""));
        assert!(hostile.can("thread", ""));
    }
}

#[test]
fn no_process_is_started() {
    assert!(FREE.can("fork", ""));
    assert!(!FILTERED.can("fork", ""));
    assert!(!BOTH.can("fork", ""));
}

#[test]
fn no_network_is_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert!(FREE.can("connect", &address));
    for hostile in [WRAPPED, FILTERED, BOTH] {
        assert!(!hostile.can("connect", &address));
    }
    assert!(FREE.can("datagram", ""));
    assert!(!FILTERED.can("datagram", ""));
}

#[test]
fn no_key_is_read_and_no_file_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("identity.key");
    std::fs::write(&key, b"secret").unwrap();
    let (key, inside) = (key.to_str().unwrap(), folder.path().to_str().unwrap());
    assert!(FREE.can("read", key));
    for (deed, target) in [
        ("read", key),
        ("list", inside),
        ("write", key),
        ("read", "/etc/passwd"),
        ("list", "/home"),
        ("read", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")),
        ("write", "/usr/bin/x"),
        ("write", "/dev/x/y"),
    ] {
        assert!(!WRAPPED.can(deed, target), "{deed} {target}");
    }
    assert_eq!(std::fs::read(key).unwrap(), b"secret");
}

#[test]
fn no_other_process_is_seen() {
    assert!(WRAPPED.tries("processes", "").starts_with("2 processes"));
}

#[test]
fn the_disk_is_not_filled() {
    let text = WRAPPED.tries("fill", "filled");
    assert!(text.contains("No space left"), "{text}");
}
