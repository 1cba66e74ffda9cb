//! Workers that fail, hang or lie: the agent outlives them, and submits nothing that is not a result.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    time::Duration,
};

use neura_blobs::{Purpose, open};
use neura_gpu::{Backend, CpuBackend};
use neura_provider::{Device, Progress, WorkerCommand};
use neura_types::{
    job::{FaultCode, JobFormat, JobResult, WasmJob},
    note::Remark,
    task::{TaskId, TaskState, Terms},
};
use nix::{sys::stat::Mode, unistd::mkfifo};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::mock::{
    Chain, Node,
    owner::{OWNER, Watched, config, context, offer_job, opened_result, owner_key, sealed, terms},
};

/// A worker that passes the probe and does `script` for a job.
fn worker(script: &str) -> WorkerCommand {
    let device = serde_json::to_string(CpuBackend::new().info()).unwrap();
    let probed = format!(
        r#"{{"report":"probed","device":{device},"adapters":[],"macs_per_second":1000000000}}"#
    );
    let script = format!(
        r#"read -r line; case "$line" in *'"kind":"probe"'*) printf '%s\n' "$1";; *) {script};; esac"#
    );
    let args = ["-c", &script, "sh", &probed].map(Into::into).to_vec();
    WorkerCommand { program: "/bin/sh".into(), args }
}

pub(crate) async fn serving(script: &str, timeout: Duration) -> (Node, Watched, tempfile::TempDir) {
    let node = Node::start(Chain { faucet: true, approving: true, ..Chain::default() }).await;
    let data = tempfile::tempdir().unwrap();
    let mut config = config(&node, data.path());
    config.worker = worker(script);
    config.limits.job_timeout = timeout;
    let agent = Watched::start(config).await.unwrap();
    (node, agent, data)
}

/// Runs a job with a worker that does `script`, and returns the code with which the task is given up.
async fn given_up(script: &str, timeout: Duration) -> (String, usize) {
    let (node, mut agent, _data) = serving(script, timeout).await;
    let id = offer_job(&node, agent.address());
    let all = agent.until(|progress| matches!(progress, Progress::GivenUp { .. })).await;
    assert_eq!(node.chain().tasks[&id].state, TaskState::Running);
    assert_eq!(node.chain().distinct("submit").len(), 0);
    let attempts = all.iter().filter(|progress| matches!(progress, Progress::Executing { .. }));
    let Some(Progress::GivenUp { code, .. }) = all.last() else { panic!("{all:?}") };
    (code.clone(), attempts.count())
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_worker_that_crashes_is_tried_again_and_then_given_up() {
    assert_eq!(given_up("exit 3", LONG).await, ("worker_crashed".into(), 2));
    assert_eq!(given_up("kill -SEGV $$", LONG).await, ("worker_crashed".into(), 2));
    assert_eq!(given_up("kill -9 $$", LONG).await, ("worker_killed".into(), 2));
    assert_eq!(given_up("exit 137", LONG).await, ("worker_killed".into(), 2), "in a sandbox");
}

#[tokio::test]
async fn a_worker_that_says_something_else_is_given_up() {
    assert_eq!(given_up("echo hello", LONG).await.0, "worker_protocol");
    let lie = r#"printf '{"report":"done","bytes":5}\nhello'"#;
    assert_eq!(given_up(lie, LONG).await.0, "worker_protocol", "five bytes that are no result");
    let flood = r#"printf '{"report":"done","bytes":99999999999}\n'"#;
    assert_eq!(given_up(flood, LONG).await.0, "worker_protocol");
}

#[tokio::test]
async fn a_job_that_its_worker_finds_malformed_is_not_tried_again() {
    let script = r#"echo '{"report":"failed","kind":"job","detail":"bad layer"}'"#;
    assert_eq!(given_up(script, LONG).await, ("invalid_job".into(), 1));
}

/// Tells when the writers of a pipe have begun, and when the last of them is gone.
pub(crate) struct Writers {
    pub(crate) begun: oneshot::Receiver<()>,
    gone: JoinHandle<()>,
}

/// A worker that hangs, with a child of its own; both hold a pipe open for as long as they live.
pub(crate) fn hanging(place: &tempfile::TempDir) -> (String, Writers) {
    let pipe = place.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let script = format!("exec 9>'{}'; echo begun >&9; sleep 1000 & wait", pipe.display());
    let (begin, begun) = oneshot::channel();
    let gone = tokio::task::spawn_blocking(move || {
        let mut pipe = BufReader::new(File::open(pipe).unwrap());
        pipe.read_line(&mut String::new()).unwrap();
        begin.send(()).unwrap();
        pipe.read_to_end(&mut Vec::new()).unwrap();
    });
    (script, Writers { begun, gone })
}

#[tokio::test]
async fn a_worker_that_hangs_is_killed_with_all_that_it_started() {
    let place = tempfile::tempdir().unwrap();
    let (script, writers) = hanging(&place);
    let (node, mut agent, _data) = serving(&script, Duration::from_secs(2)).await;
    let id = offer_job(&node, agent.address());
    writers.begun.await.unwrap();
    agent.until(|progress| matches!(progress, Progress::Submitted { .. })).await;
    writers.gone.await.unwrap();
    let result = JobResult::decode(&opened_result(&node, id)).unwrap();
    assert_eq!(result.fault.unwrap().code, FaultCode::TimedOut, "of a network too");
}

#[tokio::test]
async fn a_worker_does_not_outlive_its_agent() {
    let place = tempfile::tempdir().unwrap();
    let (script, writers) = hanging(&place);
    let (node, agent, _data) = serving(&script, LONG).await;
    offer_job(&node, agent.address());
    writers.begun.await.unwrap();
    agent.agent.shutdown().await;
    writers.gone.await.unwrap();
}

#[tokio::test]
async fn a_job_that_cannot_be_submitted_any_more_is_stopped() {
    let place = tempfile::tempdir().unwrap();
    let (script, writers) = hanging(&place);
    let (node, mut agent, _data) = serving(&script, LONG).await;
    let id = offer_job(&node, agent.address());
    writers.begun.await.unwrap();
    node.act(|chain| chain.height = chain.tasks[&id].deadline);
    let all = agent.until(|progress| matches!(progress, Progress::GivenUp { .. })).await;
    let Some(Progress::GivenUp { code, .. }) = all.last() else { panic!("{all:?}") };
    assert_eq!(code, "deadline_passed");
    writers.gone.await.unwrap();
}

/// Offers a program that its worker need not read.
fn offer_program(node: &Node, agent: &Watched) -> TaskId {
    let program = WasmJob {
        module: b"\0asm".to_vec(),
        args: Vec::new(),
        input: Vec::new(),
        fuel: u64::MAX,
        memory_bytes: 1 << 20,
    };
    let payload = sealed(node, agent.address(), &program.encode().unwrap());
    let terms = Terms { executor: "wasm".into(), ..terms(node, agent.address(), &payload) };
    node.chain().blobs.insert(terms.payload.hash, payload);
    node.act(|chain| chain.create(OWNER, terms))
}

/// A job that held the device for long kept the provider from all others, of programs too.
#[tokio::test]
async fn a_program_does_not_wait_for_the_device() {
    let place = tempfile::tempdir().unwrap();
    let (hang, writers) = hanging(&place);
    let script = format!(
        r#"case "$line" in *'"kind":"check"'*) echo '{{"report":"checked"}}';; *) {hang};; esac"#
    );
    let node = Node::start(Chain { faucet: true, ..Chain::default() }).await;
    let data = tempfile::tempdir().unwrap();
    let mut config = config(&node, data.path());
    config.worker = worker(&script);
    config.offer.executors = Some(vec!["int8".into(), "wasm".into()]);
    let mut agent = Watched::start(config).await.unwrap();
    offer_job(&node, agent.address());
    writers.begun.await.unwrap();
    let id = offer_program(&node, &agent);
    let of_it = |progress: &Progress| progress.task() == Some(id);
    agent.until(|progress| of_it(progress) && matches!(progress, Progress::Executing { .. })).await;
    agent.agent.shutdown().await;
    writers.gone.await.unwrap();
}

/// A provider that offers programs, whose worker answers a check and does `script` for a job.
async fn serving_programs(check: &str, job: &str) -> (Node, Watched, tempfile::TempDir) {
    let script = format!(r#"case "$line" in *'"kind":"check"'*) {check};; *) {job};; esac"#);
    let node = Node::start(Chain { faucet: true, approving: true, ..Chain::default() }).await;
    let data = tempfile::tempdir().unwrap();
    let mut config = config(&node, data.path());
    config.worker = worker(&script);
    config.offer.executors = Some(vec!["wasm".into()]);
    let agent = Watched::start(config).await.unwrap();
    (node, agent, data)
}

const CHECKED: &str = r#"echo '{"report":"checked"}'"#;

/// What an operator or the system killed was told as the job's fault, and paid for.
#[tokio::test]
async fn a_program_is_at_fault_for_how_it_ends_its_worker_and_not_for_who_kills_it() {
    let (node, mut agent, _data) = serving_programs(CHECKED, "kill -SEGV $$").await;
    let id = offer_program(&node, &agent);
    agent.until(|progress| matches!(progress, Progress::Submitted { .. })).await;
    let result = JobResult::decode(&opened_result(&node, id)).unwrap();
    assert_eq!(result.fault.unwrap().code, FaultCode::Trapped);

    for signal in ["KILL", "TERM"] {
        let (node, mut agent, _data) =
            serving_programs(CHECKED, &format!("kill -{signal} $$")).await;
        let id = offer_program(&node, &agent);
        let all = agent.until(|progress| matches!(progress, Progress::GivenUp { .. })).await;
        let Some(Progress::GivenUp { code, .. }) = all.last() else { panic!("{all:?}") };
        assert_eq!(code, "worker_killed");
        assert_eq!(node.chain().tasks[&id].state, TaskState::Running);
        assert_eq!(node.chain().distinct("submit").len(), 0);
        let said = told(&node, &agent);
        assert!(said.iter().any(|line| line.contains("ended from outside")), "{said:?}");
        assert!(said.iter().any(|line| line == "started again"), "{said:?}");
    }
}

#[tokio::test]
async fn a_check_that_is_killed_declines_no_job() {
    let place = tempfile::tempdir().unwrap();
    let killed = place.path().join("killed");
    let check = format!("if mkdir '{}'; then kill -9 $$; fi; {CHECKED}", killed.display());
    let (node, mut agent, _data) = serving_programs(&check, "exit 3").await;
    offer_program(&node, &agent);
    agent.until(|progress| matches!(progress, Progress::Accepted { .. })).await;
    assert_eq!(node.chain().distinct("decline").len(), 0);
}

/// What the owner was told.
fn told(node: &Node, agent: &Watched) -> Vec<String> {
    let chain = node.chain();
    let remarks = chain.notes.iter().flat_map(|note| {
        let context = context(Purpose::Note, agent.address());
        Remark::decode_list(&open(&context, &owner_key(), &note.sealed, 1 << 20).unwrap()).unwrap()
    });
    let logs = remarks.filter_map(|remark| match remark {
        Remark::Log(text) => Some(text),
        Remark::Progress { .. } => None,
    });
    logs.collect()
}

#[tokio::test]
async fn foreign_code_that_does_not_end_is_told_to_its_owner_before_the_deadline() {
    let place = tempfile::tempdir().unwrap();
    let (hang, writers) = hanging(&place);
    let script = format!(
        r#"case "$line" in *'"kind":"check"'*) echo '{{"report":"checked"}}';; *) {hang};; esac"#
    );
    let node = Node::start(Chain { faucet: true, approving: true, ..Chain::default() }).await;
    let data = tempfile::tempdir().unwrap();
    let mut config = config(&node, data.path());
    config.worker = worker(&script);
    config.offer.executors = Some(vec!["wasm".into()]);
    let mut agent = Watched::start(config).await.unwrap();
    let id = offer_program(&node, &agent);
    writers.begun.await.unwrap();
    node.act(|chain| chain.height = chain.tasks[&id].deadline - 50);
    agent.until(|progress| matches!(progress, Progress::Submitted { .. })).await;
    let result = JobResult::decode(&opened_result(&node, id)).unwrap();
    assert_eq!(result.fault.unwrap().code, FaultCode::TimedOut);
    writers.gone.await.unwrap();
}

#[tokio::test]
async fn a_device_that_is_not_there_is_refused_with_what_to_do() {
    let node = Node::start(Chain { faucet: true, ..Chain::default() }).await;
    let data = tempfile::tempdir().unwrap();
    let mut config = config(&node, data.path());
    config.device = Device::Named("no such adapter".into());
    let error = Watched::start(config).await.err().unwrap();
    assert_eq!(error.code(), "no_device");
    assert!(error.to_string().contains("--device cpu"), "{error}");
    assert!(node.chain().seen.is_empty(), "nothing is registered");
}

/// The start ended with the first worker that was killed.
#[tokio::test]
async fn a_test_of_the_device_that_is_killed_is_made_again() {
    let place = tempfile::tempdir().unwrap();
    let device = serde_json::to_string(CpuBackend::new().info()).unwrap();
    let script = format!(
        r#"if mkdir '{}'; then kill -9 $$; fi
        echo '{{"report":"probed","device":{device},"adapters":[],"macs_per_second":1000000000}}'"#,
        place.path().join("killed").display()
    );
    let node = Node::start(Chain { faucet: true, ..Chain::default() }).await;
    let data = tempfile::tempdir().unwrap();
    let mut config = config(&node, data.path());
    config.worker =
        WorkerCommand { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()] };
    let mut agent = Watched::start(config).await.unwrap();
    let all = agent.until(|progress| matches!(progress, Progress::Serving { .. })).await;
    let told = all.iter().find(|told| matches!(told, Progress::TestingAgain { attempt: 2, .. }));
    assert!(told.unwrap().to_string().contains("SIGKILL"), "{told:?}");
}

#[tokio::test]
async fn a_program_that_is_no_worker_is_refused() {
    let node = Node::start(Chain { faucet: true, ..Chain::default() }).await;
    let data = tempfile::tempdir().unwrap();
    let mut config = config(&node, data.path());
    config.worker = WorkerCommand { program: "/no/such/program".into(), args: Vec::new() };
    let error = Watched::start(config.clone()).await.err().unwrap();
    assert_eq!(error.code(), "worker_not_started");
    config.worker = WorkerCommand { program: "/bin/true".into(), args: Vec::new() };
    assert_eq!(Watched::start(config).await.err().unwrap().code(), "worker_crashed");
}
