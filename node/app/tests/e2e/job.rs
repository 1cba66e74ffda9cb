//! A whole network of processes does a job, whatever is killed meanwhile.

use std::path::Path;

use neura_types::{
    abi::ITasks,
    task::{TaskId, TaskState},
};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{
    Cli, DevnetProcess, Running, children, digits, eventually, neura, output, slow_job, task_events,
};

/// Rows of a job that takes some seconds.
const ROWS: usize = 6_000;

/// Runs `neura devnet --once` with the digits job; returns what it printed.
async fn once(folder: &Path, more: &[&str]) -> String {
    let mut command = neura(folder);
    command.args(["devnet", "--once", "--base-port", "0", "--job"]).arg(digits().join("job.toml"));
    command.arg("--data").arg(folder.join("devnet")).args(more);
    let output = output(command).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Checks that a text tells of a digits job that was done well, and ends with accuracy and settlement.
fn assert_done(text: &str, task: TaskId) {
    let mut rest = text;
    for step in
        ["1 provider", "2 sealed", "3 stored", "4 sent", "5 confirmed", "6 accepted", "7 settled"]
    {
        let at = rest.find(step).unwrap_or_else(|| panic!("no '{step}' in its place: {text}"));
        rest = &rest[at..];
    }
    assert!(rest.contains("equal to the reference's"), "{text}");
    let mut last = text.lines().rev();
    let (settlement, accuracy) = (last.next().unwrap(), last.next().unwrap());
    assert!(settlement.starts_with(&format!("settlement   task {task}, approved")), "{text}");
    let percent = accuracy.strip_prefix("accuracy").unwrap().split('%').next().unwrap();
    assert!(percent.trim().parse::<f64>().unwrap() >= 95.0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_runs_a_job_and_runs_another_from_the_same_data() {
    let folder = tempfile::tempdir().unwrap();
    // The device that the provider finds best: a GPU, or the system's software for one.
    assert_done(&once(folder.path(), &[]).await, 1);
    assert_done(&once(folder.path(), &["--device", "cpu"]).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn validators_inside_one_process_run_a_job_too() {
    let folder = tempfile::tempdir().unwrap();
    let text = once(folder.path(), &["--in-process", "--device", "cpu", "--validators", "2"]).await;
    assert_done(&text, 1);
}

/// Submits a job from another terminal; the process prints one JSON value when the job is settled.
fn submit(cli: &Cli, devnet: &DevnetProcess, job: &Path) -> Running {
    let (job, key) = (job.display().to_string(), devnet.key_file("bob"));
    Running::start(cli.command(&["task", "submit", &job, "--key", &key, "--json"]))
}

/// Waits for the end of a submission and checks it.
async fn assert_settled(mut submission: Running, id: TaskId) {
    let status = submission.ended().await;
    let said = submission.said();
    assert!(status.success(), "{said}");
    let value: Value =
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!((&value["task"]["id"], &value["task"]["state"]), (&id.into(), &"settled".into()));
    assert_eq!(value["report"]["predictions"].as_array().unwrap().len(), ROWS);
}

async fn running(devnet: &DevnetProcess, id: TaskId) {
    let client = devnet.client();
    eventually("the task is being worked on", async || {
        let task = client.task(id).await.ok().flatten()?;
        assert!(!task.state.is_terminal(), "{task:?}");
        (task.state == TaskState::Running).then_some(())
    })
    .await;
}

/// Waits until the validator with an index, started again, executes blocks.
async fn back(devnet: &DevnetProcess, index: usize, above: u64) {
    let own = neura_client::Client::new([&devnet.urls[index]]).unwrap();
    eventually("the validator has caught up", async || {
        own.height().await.ok().filter(|height| *height > above)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_survives_the_kill_of_any_validator() {
    let folder = tempfile::tempdir().unwrap();
    let mut devnet = DevnetProcess::start(folder.path()).await;
    let (cli, job) = (devnet.cli(), slow_job(folder.path(), ROWS));
    // The first one is what owner and provider speak to, and holds the faucet; the last is nobody's.
    for (id, victim) in [(1, 0), (2, 3)] {
        let submission = submit(&cli, &devnet, &job);
        running(&devnet, id).await;
        let height = devnet.client().height().await.unwrap();
        devnet.kill(&format!("validator-{victim}"));
        devnet.running.says(&format!("validator {victim} ended and is started again")).await;
        assert_settled(submission, id).await;
        back(&devnet, victim, height).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_survives_the_kill_of_its_provider_and_is_submitted_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut devnet = DevnetProcess::start(folder.path()).await;
    let (cli, job) = (devnet.cli(), slow_job(folder.path(), ROWS));
    let submission = submit(&cli, &devnet, &job);
    let (provider, _) = devnet.child("provider join").unwrap();
    let worker = eventually("the worker", async || {
        children(provider).into_iter().find(|(_, line)| line.contains("provider worker"))
    })
    .await;
    running(&devnet, 1).await;
    devnet.kill("provider join");
    devnet.running.says("provider ended and is started again").await;
    eventually("the orphaned worker has ended", async || {
        (!Path::new(&format!("/proc/{}/exe", worker.0)).exists()).then_some(())
    })
    .await;
    assert_settled(submission, 1).await;
    let results = task_events::<ITasks::ResultSubmitted>(&devnet.urls[0], 1).await;
    assert_eq!(results.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_terminal_submits_follows_and_opens_a_job() {
    let folder = tempfile::tempdir().unwrap();
    let devnet = DevnetProcess::start(folder.path()).await;
    let cli = devnet.cli();
    let (job, key) = (digits().join("job.toml").display().to_string(), devnet.key_file("alice"));
    let submit = ["task", "submit", &job, "--key", &key];
    let id = cli.json(&[&submit[..], &["--detach"]].concat()).await["task"].as_u64().unwrap();
    let id = id.to_string();
    let result = eventually("the result", async || {
        let output =
            cli.run(&["task", "result", &id, "--job", &job, "--key", &key, "--json"]).await;
        output.status.success().then(|| serde_json::from_slice::<Value>(&output.stdout).unwrap())
    })
    .await;
    assert_eq!(result["equals_reference"], true);
    assert!(result["accuracy"]["percent"].as_f64().unwrap() >= 95.0, "{result}");
    let task = cli.json(&["task", "approve", &id, "--key", &key]).await;
    assert_eq!(task["state"], "settled");
    let text = cli.text(&["task", "watch", &id]).await;
    for line in ["6 accepted", "submitted", "7 settled", "settlement"] {
        assert!(text.contains(line), "no '{line}': {text}");
    }
    // Somebody else has no key to it.
    let other = cli.refused(&["task", "result", &id, "--key", &devnet.key_file("bob")]).await;
    assert!(other.message.contains("opening the result"), "{other:?}");

    // A new user, who has nothing: the faucet helps.
    let value = cli.json(&["task", "submit", &job]).await;
    assert_eq!(value["report"]["equals_reference"], true);
    assert_eq!(cli.json(&["task", "list", "--all"]).await.as_array().unwrap().len(), 2);
    assert_eq!(cli.json(&["task", "list"]).await.as_array().unwrap().len(), 1);

    let data = devnet.data.join("provider").display().to_string();
    let provider = async |command| cli.json(&["provider", command, "--data", &data]).await;
    let status = provider("status").await;
    assert_eq!(status["provider"]["record"]["settled"], 2, "{status}");
    provider("drain").await;
    let refusal = cli.refused(&submit).await;
    assert_eq!(refusal.code, "requirement_not_met", "{}", refusal.message);
    assert!(refusal.message.contains("draining"), "{}", refusal.message);
    provider("resume").await;
    assert_eq!(cli.json(&submit).await["task"]["state"], "settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_end_with_their_supervisor_and_its_data_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut devnet = DevnetProcess::start(folder.path()).await;
    let processes = children(devnet.running.pid());
    devnet.running.signal(Signal::SIGKILL);
    devnet.running.ended().await;
    eventually("the end of all processes", async || {
        let left = |(pid, _): &(u32, String)| Path::new(&format!("/proc/{pid}/exe")).exists();
        (!processes.iter().any(left)).then_some(())
    })
    .await;
    let devnet = DevnetProcess::start(folder.path()).await;
    let job = digits().join("job.toml").display().to_string();
    let value =
        devnet.cli().json(&["task", "submit", &job, "--key", &devnet.key_file("carol")]).await;
    assert_eq!(value["task"]["state"], "settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_devnet_stops_on_request_with_all_its_processes() {
    let folder = tempfile::tempdir().unwrap();
    let mut devnet = DevnetProcess::start(folder.path()).await;
    let processes = children(devnet.running.pid());
    assert_eq!(processes.len(), 5, "{processes:?}");
    devnet.running.signal(Signal::SIGINT);
    assert!(devnet.running.ended().await.success(), "{}", devnet.running.said());
    for (pid, line) in processes {
        assert!(!Path::new(&format!("/proc/{pid}/exe")).exists(), "{line} still runs");
    }
}
