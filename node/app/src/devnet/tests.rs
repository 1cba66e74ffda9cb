use super::*;

fn plan(data: &std::path::Path, validators: usize) -> Plan {
    Plan {
        data: data.to_owned(),
        validators,
        base_port: 0,
        params: neura_types::Params::default(),
        accounts: Vec::new(),
    }
}

#[test]
fn a_devnet_is_made_once_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = Devnet::open_or_create(&plan(dir.path(), 4)).unwrap().genesis;
    let second = Devnet::open_or_create(&plan(dir.path(), 4)).unwrap();
    assert_eq!(first, second.genesis);
    let ports: std::collections::BTreeSet<_> = second.nodes.iter().map(|node| node.api).collect();
    assert_eq!(ports.len(), 4);
}

/// A second devnet rewrote the ports of a running one, whose validators then came back alone.
#[test]
fn a_second_devnet_in_the_folder_of_a_running_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let running = Devnet::open_or_create(&plan(dir.path(), 2)).unwrap();
    let error = Devnet::open_or_create(&plan(dir.path(), 2)).unwrap_err().to_string();
    assert!(error.contains("a devnet is running in"), "{error}");
    drop(running);
    Devnet::open_or_create(&plan(dir.path(), 2)).unwrap();
}

#[test]
fn a_devnet_of_another_size_in_the_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Devnet::open_or_create(&plan(dir.path(), 4)).unwrap();
    let error = Devnet::open_or_create(&plan(dir.path(), 3)).unwrap_err().to_string();
    assert!(error.contains("has 4 validators, not 3"), "{error}");
}

#[test]
fn a_taken_port_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Devnet::open_or_create(&Plan { base_port: port, ..plan(dir.path(), 1) })
        .unwrap_err()
        .to_string();
    assert!(error.contains(&format!("port {port} is taken")), "{error}");
}

#[tokio::test]
async fn a_process_that_cannot_run_is_given_up_with_the_end_of_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut supervisor = Supervisor::default();
    // The test binary refuses the flag, as the real one would refuse a bad configuration.
    let child =
        Child::new("validator 0", dir.path().join("log"), vec!["--no-such-flag".to_owned()]);
    supervisor.run(child).unwrap();
    loop {
        match supervisor.notice().await {
            Notice::Restarting { .. } => {}
            Notice::GivenUp { name, cause } => {
                assert_eq!(name, "validator 0");
                assert!(cause.contains("no-such-flag"), "{cause}");
                break;
            }
        }
    }
    supervisor.stop().await;
}
