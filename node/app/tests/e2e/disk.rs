//! A validator, as a process, whose disk is watched, full or broken.

use std::{fs, io::Write, path::Path, process::Command};

use neura_client::Outgoing;
use neura_types::{Address, U256};
use nix::sys::signal::Signal;

use crate::harness::{Network, Running, assert_same_chain, children, eventually, neura, quick};

const SOMEBODY: Address = Address::repeat_byte(0x5b);
/// The validator that runs as a process.
const WATCHED: usize = 3;

/// Its command line, behind what it is run by.
fn node(network: &Network, wrapper: &[&str]) -> Command {
    let config = &network.devnet.nodes[WATCHED];
    let plain = neura(network.folder.path());
    let mut command = match wrapper.split_first() {
        None => plain,
        Some((program, args)) => {
            let mut command = Command::new(program);
            command.args(args).arg(plain.get_program());
            for (name, value) in plain.get_envs() {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            command
        }
    };
    command.args(["node", "--api", "127.0.0.1:0", "--data"]).arg(&config.data);
    command.arg("--genesis").arg(&config.genesis).arg("--identity").arg(&config.identity);
    for address in &config.listen {
        command.args(["--listen", address]);
    }
    for peer in &config.peers {
        command.args(["--peer", peer]);
    }
    command
}

/// A network whose last validator is to run as a process.
async fn without_watched() -> Network {
    let mut network = Network::start(4, quick()).await;
    network.stop_node(WATCHED).await;
    network
}

/// Waits until a block that the watched validator proposed is final; returns its height.
async fn proposes(network: &Network) -> u64 {
    let mut height = network.node(0).chain.committed_height();
    eventually("a block of the watched validator", async || {
        let chain = &network.node(0).chain;
        while height < chain.committed_height() {
            height += 1;
            let (_, block) = chain.block_at(height).unwrap().unwrap();
            if usize::from(block.header.proposer) == WATCHED {
                return Some(height);
            }
        }
        None
    })
    .await
}

/// Synced files in a trace of system calls, in order.
fn synced(trace: &Path) -> Vec<String> {
    let text = fs::read_to_string(trace).unwrap();
    let calls = text.lines().filter(|line| line.contains("sync(") && !line.contains("resumed"));
    let file = |line: &str| Some(line.split_once('<')?.1.split_once('>')?.0.to_owned());
    calls.filter_map(file).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_block_waits_for_the_disk_before_it_is_voted_for() {
    let network = without_watched().await;
    let trace = network.folder.path().join("trace");
    let path = trace.to_str().unwrap();
    let wrapper = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", path];
    let mut running = Running::start(node(&network, &wrapper));
    let first = proposes(&network).await;
    let last = network.advance(30).await;
    let tracee = children(running.pid()).first().unwrap().0;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(tracee as i32), Signal::SIGTERM).unwrap();
    assert!(running.ended().await.success(), "{}", running.said());

    // Views in which it voted: those whose certificate it signed.
    let chain = &network.node(0).chain;
    let voted = (first..last).filter(|height| {
        let (_, child) = chain.block_at(height + 1).unwrap().unwrap();
        let signers = child.justify.signers.members(&chain.epochs.current().set).unwrap();
        signers.iter().any(|(signer, _)| usize::from(*signer) == WATCHED)
    });
    let voted = voted.count();
    let files = synced(&trace);
    let count = |end: &str| files.iter().filter(|file| file.ends_with(end)).count();
    let (records, logs) = (count("/safety.dat"), count(".log"));
    assert!(voted > 10, "{voted} votes: too few to say anything");
    assert!(records >= voted, "{voted} votes, but {records} syncs of the safety record");
    assert!(logs >= voted, "{voted} votes, but {logs} syncs of the database's log");
    network.stop().await;
}

/// Heights in a range whose blocks name batches and were certified with the watched validator's vote.
fn voted_with_batches(network: &Network, heights: std::ops::Range<u64>) -> usize {
    let chain = &network.node(0).chain;
    let voted = heights.filter(|height| {
        let block = |height| chain.block_at(height).unwrap().unwrap().1;
        let signers = block(height + 1).justify.signers.members(&chain.epochs.current().set);
        let mut signers = signers.unwrap().into_iter();
        !block(*height).batches.is_empty()
            && signers.any(|(signer, _)| usize::from(signer) == WATCHED)
    });
    voted.count()
}

/// Each transfer is final before the next is sent, so each comes in a batch that was not there at the vote before.
#[tokio::test(flavor = "multi_thread")]
async fn each_batch_waits_for_the_disk_before_a_block_that_names_it_is_voted_for() {
    let network = without_watched().await;
    let trace = network.folder.path().join("trace");
    let path = trace.to_str().unwrap();
    let wrapper = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", path];
    let mut running = Running::start(node(&network, &wrapper));
    let first = proposes(&network).await;
    let sender = network.sender("alice", 0).await;
    for _ in 0..20 {
        sender.transfer(SOMEBODY, U256::ONE).await.unwrap();
    }
    let last = network.advance(2).await - 1;
    let tracee = children(running.pid()).first().unwrap().0;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(tracee as i32), Signal::SIGTERM).unwrap();
    assert!(running.ended().await.success(), "{}", running.said());

    let voted = voted_with_batches(&network, first..last);
    assert!(voted > 5, "{voted} votes for blocks with batches: too few to say anything");
    let (mut bodies, mut lasting, mut voted_for) = (0, 0, 0);
    // Of what was synced: bodies, then the rows that name them, then the record of the vote.
    for file in synced(&trace) {
        if file.contains("/chain/batches/0") {
            bodies += 1;
        } else if file.ends_with(".log") {
            lasting = bodies;
        } else if file.ends_with("/safety.dat") {
            voted_for = lasting;
        }
    }
    assert!(voted_for >= voted, "{voted} votes, but {voted_for} syncs of bodies before one");
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_to_sync_stops_the_validator_with_the_cause() {
    let network = without_watched().await;
    let wrapper = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"];
    let inject = "inject=fdatasync:error=EIO:when=60+";
    let mut running = Running::start(node(&network, &[&wrapper[..], &[inject]].concat()));
    let status = running.ended().await;
    let said = running.said();
    assert!(!status.success(), "{said}");
    assert!(said.contains("Input/output error"), "{said}");
    let height = network.advance(3).await;
    assert_same_chain(&network.running(), 1..=height);

    // With a sound disk it takes part again.
    let again = Running::start(node(&network, &[]));
    proposes(&network).await;
    drop(again);
    network.stop().await;
}

/// The log was cut while the node was off. RocksDB takes that for a crash, and forgets.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lost_its_end_is_refused_until_it_is_fetched_anew() {
    let network = without_watched().await;
    let killed = Running::start(node(&network, &[]));
    proposes(&network).await;
    killed.signal(Signal::SIGKILL);
    drop(killed);
    let chain = network.devnet.nodes[WATCHED].data.join("chain");
    for file in fs::read_dir(chain.join("rocksdb")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "log") {
            fs::File::options().write(true).open(path).unwrap().set_len(100).unwrap();
        }
    }
    let mut refused = Running::start(node(&network, &[]));
    assert!(!refused.ended().await.success());
    let said = refused.said();
    assert!(said.contains("lost its end") && said.contains("keep safety.dat"), "{said}");

    fs::remove_dir_all(chain).unwrap();
    let again = Running::start(node(&network, &[]));
    proposes(&network).await;
    drop(again);
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_validator_with_the_cause_and_room_lets_it_go_on() {
    let network = without_watched().await;
    let data = network.devnet.nodes[WATCHED].data.clone();
    // A small disk of its own, which it sees in place of its folder, and which outlives it.
    let script = r#"set -e
mkdir "$0.copy" && cp -a "$0/." "$0.copy" && mount -t tmpfs -o size=256m tmpfs "$0" && cp -a "$0.copy/." "$0"
"$@" && exit 9
while [ -e "$0/filler" ]; do sleep 0.1; done
exec "$@""#;
    let path = data.to_str().unwrap();
    let wrapper = ["unshare", "--mount", "sh", "-c", script, path];
    let running = Running::start(node(&network, &wrapper));
    proposes(&network).await;

    let seen = format!("/proc/{}/root{path}/filler", running.pid());
    let mut filler = fs::File::create(&seen).unwrap();
    while filler.write_all(&[0; 1 << 16]).is_ok() {}
    // What is preallocated holds empty blocks for long; bodies need room.
    let sender = network.sender("alice", 0).await;
    while !running.said().contains("No space left on device") {
        let (to, input) = (SOMEBODY.into(), vec![1; 100_000].into());
        let large = Outgoing { to, value: U256::ZERO, input, gas_limit: 6_000_000 };
        sender.execute(large).await.unwrap();
    }
    let height = network.advance(3).await;
    assert_same_chain(&network.running(), 1..=height);

    eventually("the validator's end", async || {
        children(running.pid()).iter().all(|(_, line)| line.contains("sleep")).then_some(())
    })
    .await;
    drop(filler);
    fs::remove_file(&seen).unwrap();
    proposes(&network).await;
    drop(running);
    network.stop().await;
}
