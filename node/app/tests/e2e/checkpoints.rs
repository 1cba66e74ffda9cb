//! A long job through accidents: its result is the same bits, and its escrow is paid once. And what its owner reads of
//! it meanwhile.

use std::path::Path;

use neura::job::{Choice, Job, open_result, pick, read_notes, reassign, submit};
use neura_blobs::EncryptionSecretKey;
use neura_client::Sender;
use neura_gpu::{CpuBackend, OnDevice};
use neura_int8::Int8Job;
use neura_types::{
    Amount, U256,
    abi::{ITasks, SolCall},
    note::Remark,
    system,
    task::{EndReason, Task, TaskId, TaskState},
};
use tokio::sync::mpsc;

use crate::harness::{Network, ProviderProcess, eventually, key, quick, slow_job};

/// Rows of a job that outlives everything that this file does to its providers.
const ROWS: usize = 150_000;
/// Blocks after which a provider counts as silent: enough for one that is started again.
const SILENCE: u64 = 100;

/// A provider that writes a checkpoint several times in a second.
async fn keeping(url: &str, folder: &Path) -> ProviderProcess {
    ProviderProcess::join_with(url, folder, &["--checkpoint-every", "0.1"]).await
}

fn long_job(network: &Network) -> Job {
    let mut job = Job::load(&slow_job(network.folder.path(), ROWS)).unwrap();
    job.duration_blocks = 5_000;
    job.max_price = Amount::ankr(100);
    job
}

async fn hire(
    owner: &Sender,
    provider: &ProviderProcess,
    job: &Job,
    result_key: &EncryptionSecretKey,
) -> TaskId {
    let choice = Choice::Provider(provider.address);
    let offer = pick(owner.client(), job, choice).await.unwrap();
    submit(owner.client(), owner, job, offer, result_key, |_| {}).await.unwrap()
}

async fn reached(owner: &Sender, id: TaskId, state: TaskState) -> Task {
    eventually(&format!("task {id} to be {}", state.name()), async || {
        let task = owner.client().task(id).await.unwrap().unwrap();
        assert!(task.state == state || !task.state.is_terminal(), "{task:?}");
        (task.state == state).then_some(task)
    })
    .await
}

/// What the job gives when nothing happens to it.
fn undisturbed(job: &Job) -> Vec<u8> {
    let (job, backend) = (Int8Job::decode(&job.payload).unwrap(), CpuBackend::new());
    job.open().unwrap().run(&OnDevice::new(&backend)).unwrap().encode()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_its_worker_its_agent_and_its_provider() {
    let mut params = quick();
    params.silence_blocks = SILENCE;
    let network = Network::start(1, params).await;
    let (url, folder) = (network.url(0), network.folder.path());
    let (owner, result_key) = (network.sender("alice", 0).await, key(2));
    let client = owner.client();
    let job = long_job(&network);
    let mut first = keeping(&url, &folder.join("first")).await;
    let mut second = keeping(&url, &folder.join("second")).await;
    let id = hire(&owner, &first, &job, &result_key).await;

    first.running.says("noted in block").await;
    first.kill_worker();
    first.running.says("going on from the checkpoint").await;
    first.kill().await;

    let mut first = keeping(&url, &folder.join("first")).await;
    first.running.says("going on from the checkpoint").await;
    first.running.says("noted in block").await;
    first.kill().await;
    let address = first.address;

    let silent = async || {
        let task = client.task(id).await.unwrap().unwrap();
        assert_eq!(task.state, TaskState::Running, "{task:?}");
        (client.height().await.unwrap() >= task.seen_at + SILENCE).then_some(task)
    };
    let noted = eventually("the provider's silence", silent).await.checkpoint.unwrap();
    let handed = reassign(client, &owner, id, second.address, &result_key, |_| {}).await.unwrap();
    assert_eq!(handed.checkpoint.unwrap().step, noted.step);
    let begins = format!("going on from the checkpoint at step {}", noted.step);
    second.running.says(&begins).await;

    let submitted = reached(&owner, id, TaskState::Submitted).await;
    let plain = open_result(client, owner.chain_id(), &submitted, &result_key).await.unwrap();
    assert!(plain == undisturbed(&job), "the bits are those of a job that nothing happened to");
    let approve = ITasks::approveCall { taskId: id }.abi_encode();
    owner.call(system::TASKS, U256::ZERO, approve).await.unwrap();
    let settled = reached(&owner, id, TaskState::Settled).await;
    let outcome = settled.outcome.unwrap();
    assert_eq!(outcome.reason, EndReason::Approved);
    assert!(outcome.settlement.provider > Amount::ZERO);
    let record = client.existing_provider(address).await.unwrap().record;
    assert_eq!((record.settled, record.at_fault), (0, 1));
    let record = client.existing_provider(second.address).await.unwrap().record;
    assert_eq!((record.settled, record.at_fault), (1, 0));
    let held = client.account(system::TASKS).await.unwrap().balance.0;
    assert_eq!(held, U256::ZERO, "the module holds no escrow any more");
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_reads_how_the_work_goes_at_another_node_than_the_providers() {
    let network = Network::start(2, quick()).await;
    let (owner, result_key) = (network.sender("alice", 1).await, key(2));
    let provider = ProviderProcess::join(&network.url(0), network.folder.path()).await;
    let id = hire(&owner, &provider, &long_job(&network), &result_key).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let read = async |key: EncryptionSecretKey| {
        read_notes(owner.client(), id, &key, |remark| tell.send(remark).unwrap()).await
    };
    let (mut logged, mut advanced) = (false, false);
    let enough = async {
        while !(logged && advanced) {
            match told.recv().await.unwrap() {
                Remark::Log(line) => logged |= line.contains("1 requests"),
                Remark::Progress { done, total, .. } => {
                    assert_eq!(total, ROWS as u64);
                    advanced |= done > 0;
                }
            }
        }
    };
    tokio::select! {
        never = read(result_key) => match never {},
        () = enough => {}
        () = tokio::time::sleep(crate::harness::PATIENCE) => panic!("the owner reads nothing"),
    }
    network.stop().await;
}
