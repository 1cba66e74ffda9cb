//! `neura task`: submit, watch, show, result, approve, challenge, cancel, reassign, list.

mod notes;
mod show;

use std::path::PathBuf;

use anyhow::Result;
use neura_blobs::EncryptionSecretKey;
use neura_client::{Client, ClientError};
use neura_types::{
    Address, Amount, U256,
    abi::{ITasks, SolCall},
    job::JobFault,
    system,
    task::{Task, TaskId, TaskState},
};
use serde::Serialize;

use super::{Account, Failed, Screen, Shared};
use crate::{
    job::{self, Choice, Job, Refusal, Report, describe_end},
    plain,
};
use notes::NoteView;
use show::{print_choice, print_task, show_step};
pub(crate) use show::{print_end, print_report};

/// Commands of `neura task`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Have a job done: seal it, pay for it, wait for the result, open and approve it.
    Submit {
        /// The job file.
        job: PathBuf,
        /// The provider; the cheapest that fits if left out.
        #[arg(long)]
        provider: Option<Address>,
        /// Return once the task is confirmed.
        #[arg(long)]
        detach: bool,
        /// Do not approve the result: the chain accepts it after the window for that.
        #[arg(long)]
        no_approve: bool,
    },
    /// Follow a task to its end, with what its provider says to its owner; with --json each of that on a line of its own.
    Watch {
        /// Its number.
        id: TaskId,
    },
    /// Show where a task stands.
    Show {
        /// Its number.
        id: TaskId,
    },
    /// Fetch and open a task's result.
    Result {
        /// Its number.
        id: TaskId,
        /// The job file, to compare with its labels and reference.
        #[arg(long)]
        job: Option<PathBuf>,
        /// Where to write the result: a file for `int8`, a folder for the others' outputs.
        #[arg(long, short)]
        out: Option<PathBuf>,
    },
    /// Accept a task's result: pays the provider.
    Approve {
        /// Its number.
        id: TaskId,
    },
    /// Contest a result that cannot be read or is wrong; costs a bond until the provider has replaced it.
    Challenge {
        /// Its number.
        id: TaskId,
        /// What is wrong.
        reason: String,
    },
    /// Take a task back that its provider has not accepted yet.
    Cancel {
        /// Its number.
        id: TaskId,
    },
    /// Give a task to another provider on the same escrow: before its provider accepts, or when that is silent. Work
    /// goes on from the last checkpoint.
    Reassign {
        /// Its number.
        id: TaskId,
        /// The provider that is to do it.
        #[arg(long)]
        to: Address,
    },
    /// List your tasks, newest first.
    List {
        /// Everybody's.
        #[arg(long)]
        all: bool,
    },
}

/// What `submit` reports in the end.
#[derive(Debug, Serialize)]
pub(crate) struct Finished {
    /// `done`, or `fault` for a job that failed by its own fault.
    outcome: &'static str,
    /// Why it failed, if so.
    fault: Option<JobFault>,
    /// The task.
    pub(crate) task: Task,
    /// The opened result.
    pub(crate) report: Report,
}

impl Finished {
    fn new(task: Task, report: Report) -> Self {
        let fault = report.fault().cloned();
        Self { outcome: if fault.is_some() { "fault" } else { "done" }, fault, task, report }
    }

    /// Ends a command whose job failed by its own fault: that is no success.
    ///
    /// # Errors
    /// If it did.
    pub(crate) fn check(&self) -> Result<()> {
        check(self.task.id, &self.report)
    }
}

/// Says on standard error why a job failed, and ends the command so.
fn check(id: TaskId, report: &Report) -> Result<()> {
    let Some(fault) = report.fault() else { return Ok(()) };
    eprintln!("error: the job of task {id} failed: {}", plain::line(&fault.to_string()));
    Err(Failed.into())
}

pub(super) async fn run(command: Command, shared: Shared) -> Result<()> {
    let mut screen = Screen::new(shared.json);
    match command {
        Command::Submit { job, provider, detach, no_approve } => {
            let account = Account::open(&shared)?;
            let job = Job::load(&job)?;
            let choice = provider.map_or(Choice::Cheapest, Choice::Provider);
            let id = submit(&account, &job, choice, &mut screen).await?;
            if detach {
                if !screen.result(&serde_json::json!({ "task": id }))? {
                    screen.line(format!("follow it with `neura task watch {id}`"));
                }
                return Ok(());
            }
            let finished = finish(&account, &job, id, !no_approve, &mut screen).await?;
            if !screen.result(&finished)? {
                print_report(&screen, &finished.report);
                print_end(&screen, &finished.task);
                print_choice(&screen, &finished.task);
            }
            finished.check()
        }
        Command::Watch { id } => {
            let client = Client::new(&shared.url)?;
            screen.waiting(&format!("task {id}"));
            let watched = job::watch(&client, id, TaskState::Assigned, &[], |step| {
                show_step(&screen, &step);
            });
            // Whoever is not the owner cannot read what the provider says.
            let key = Account::existing(&shared).map(|account| account.result_key);
            let task =
                with_notes((&client, id), key.as_ref(), NoteView::new(&screen, true), watched);
            let task = task.await?;
            if !screen.result(&task)? {
                print_end(&screen, &task);
                print_fault(&screen, &shared, &client, &task).await;
                if let Some(reason) = job::declined_because(&client, &task).await {
                    screen.line(format!("the provider says: {reason}"));
                }
            }
            Ok(())
        }
        Command::Show { id } => {
            let client = Client::new(&shared.url)?;
            let task = find(&client, id).await?;
            if !screen.result(&task)? {
                print_task(&screen, &task);
                print_fault(&screen, &shared, &client, &task).await;
            }
            Ok(())
        }
        Command::Result { id, job, out } => result(id, job, out, shared).await,
        Command::Approve { id } => {
            act(&shared, id, ITasks::approveCall { taskId: id }.abi_encode(), U256::ZERO).await
        }
        Command::Challenge { id, reason } => challenge(id, reason, shared).await,
        Command::Cancel { id } => {
            act(&shared, id, ITasks::cancelCall { taskId: id }.abi_encode(), U256::ZERO).await
        }
        Command::Reassign { id, to } => reassign(id, to, shared).await,
        Command::List { all } => list(all, shared).await,
    }
}

/// Steps 1 to 5: up to the confirmed task.
pub(crate) async fn submit(
    account: &Account,
    job: &Job,
    choice: Choice,
    screen: &mut Screen,
) -> Result<TaskId> {
    screen.waiting("looking for a provider");
    let offer = job::pick(&account.client, job, choice).await?;
    account.ensure_funds(offer.escrow, screen).await?;
    let sender = account.sender().await?;
    screen.waiting("offering the job");
    let shown = &*screen;
    let id = job::submit(&account.client, &sender, job, offer, &account.result_key, |step| {
        show_step(shown, &step);
    })
    .await?;
    screen.done();
    Ok(id)
}

/// Follows a task, and shows what its provider says meanwhile if there is a key to read that with.
async fn with_notes(
    (client, id): (&Client, TaskId),
    key: Option<&EncryptionSecretKey>,
    mut view: NoteView<'_>,
    watched: impl Future<Output = Result<Task>>,
) -> Result<Task> {
    let Some(key) = key else { return watched.await };
    tokio::select! {
        task = watched => task,
        never = job::read_notes(client, id, key, |remark| view.show(&remark)) => match never {},
    }
}

/// Steps 6 and 7: waits for the result, opens it, approves it, waits for the settlement.
pub(crate) async fn finish(
    account: &Account,
    job: &Job,
    id: TaskId,
    approve: bool,
    screen: &mut Screen,
) -> Result<Finished> {
    let client = &account.client;
    screen.waiting("the provider works");
    let shown = &*screen;
    let watched = job::watch(client, id, TaskState::Assigned, &[TaskState::Submitted], |step| {
        show_step(shown, &step);
    });
    let key = Some(&account.result_key);
    let submitted = with_notes((client, id), key, NoteView::new(shown, false), watched).await?;
    if !matches!(submitted.state, TaskState::Submitted | TaskState::Settled) {
        let because = job::declined_because(client, &submitted).await;
        let because = because.map(|reason| format!(": {reason}")).unwrap_or_default();
        let detail =
            format!("task {id} ended without a result: {}{because}", describe_end(&submitted));
        let code = submitted.outcome.map_or(submitted.state.name(), |end| end.reason.name());
        return Err(Refusal { code, detail }.into());
    }
    let sender = account.sender().await?;
    let plain =
        job::open_result(client, sender.chain_id(), &submitted, &account.result_key).await?;
    let report = job::report(&job.executor, Some(job), None, &plain)?;
    let approve = approve && report.fault().is_none();
    if approve && submitted.state == TaskState::Submitted {
        if !report.is_good() {
            let detail = format!(
                "the result differs from the reference: not approved. Contest it with `neura task challenge {id} REASON`"
            );
            return Err(Refusal { code: "result_differs", detail }.into());
        }
        let call = ITasks::approveCall { taskId: id }.abi_encode();
        match sender.call(system::TASKS, U256::ZERO, call).await {
            Ok(_) => {}
            // The window has passed meanwhile: the chain has accepted it by itself.
            Err(ClientError::Reverted { code, .. }) if code == "wrong_state" => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !approve {
        return Ok(Finished::new(submitted, report));
    }
    screen.waiting("settlement");
    let task =
        job::watch(client, id, submitted.state, &[], |step| show_step(screen, &step)).await?;
    Ok(Finished::new(task, report))
}

async fn result(
    id: TaskId,
    job: Option<PathBuf>,
    out: Option<PathBuf>,
    shared: Shared,
) -> Result<()> {
    let account = Account::open(&shared)?;
    let task = find(&account.client, id).await?;
    let chain_id = account.client.status().await?.chain_id;
    let plain = job::open_result(&account.client, chain_id, &task, &account.result_key).await?;
    let executor = task.terms.executor.as_str();
    let job = job.map(|path| Job::load(&path).map(|job| (path, job))).transpose()?;
    // What the numbers are is in the model, which the owner can open as the provider does.
    let payload = match (&job, executor) {
        (None, executor) if executor != "int8" => None,
        _ => job::open_payload(&account.client, chain_id, &task, &account.result_key).await,
    };
    if let Some((path, job)) = &job
        && !job.is_of(executor, payload.as_deref())
    {
        let detail = format!(
            "{} is not the job of task {id}, or was changed since: leave --job out to read the result alone",
            path.display()
        );
        return Err(Refusal { code: "other_job", detail }.into());
    }
    let job = job.map(|(_, job)| job);
    if let Some(path) = &out {
        job::save(executor, &plain, path)?;
    }
    let report = job::report(executor, job.as_ref(), payload.as_deref(), &plain)?;
    let mut screen = Screen::new(shared.json);
    if !screen.result(&report)? {
        print_report(&screen, &report);
        print_choice(&screen, &task);
    }
    check(id, &report)
}

/// Tells the owner that the job failed by its own fault: of that the chain knows nothing.
async fn print_fault(screen: &Screen, shared: &Shared, client: &Client, task: &Task) {
    if task.result.is_none() {
        return;
    }
    let (Some(account), Ok(status)) = (Account::existing(shared), client.status().await) else {
        return;
    };
    let fault = job::fault(client, status.chain_id, task, &account.result_key).await;
    if let Some(fault) = fault {
        screen.line(format!("failed       {}", plain::line(&fault.to_string())));
    }
}

async fn find(client: &Client, id: TaskId) -> Result<Task> {
    Ok(client.existing_task(id).await?)
}

async fn challenge(id: TaskId, reason: String, shared: Shared) -> Result<()> {
    let client = Client::new(&shared.url)?;
    let bps = client.params().await?.challenge_bond_bps;
    let bond: Amount = find(&client, id).await?.escrow.share(bps)?;
    let screen = Screen::new(shared.json);
    screen.line(format!(
        "bond         {bond}: returned if the provider does not replace the result; paid to it if you contest the replacement too"
    ));
    let call = ITasks::challengeCall { taskId: id, reason }.abi_encode();
    act(&shared, id, call, bond.to_u256()).await
}

async fn reassign(id: TaskId, to: Address, shared: Shared) -> Result<()> {
    let account = Account::open(&shared)?;
    let mut screen = Screen::new(shared.json);
    screen.waiting("reassigning");
    let sender = account.sender().await?;
    let shown = &screen;
    let task = job::reassign(&account.client, &sender, id, to, &account.result_key, |step| {
        show_step(shown, &step);
    })
    .await?;
    if !screen.result(&task)? {
        screen.line(format!("follow it with `neura task watch {id}`"));
    }
    Ok(())
}

/// Sends a call about a task and shows the task afterwards.
async fn act(shared: &Shared, id: TaskId, call: Vec<u8>, value: U256) -> Result<()> {
    let account = Account::open(shared)?;
    let mut screen = Screen::new(shared.json);
    screen.waiting("sending");
    let done = account.sender().await?.call(system::TASKS, value, call).await?;
    let task = find(&account.client, id).await?;
    if !screen.result(&task)? {
        screen.line(format!("task {id} is {} since height {}", task.state.name(), done.height));
        print_end(&screen, &task);
    }
    Ok(())
}

async fn list(all: bool, shared: Shared) -> Result<()> {
    let client = Client::new(&shared.url)?;
    let owner = if all { None } else { Some(Account::open(&shared)?.key.address()) };
    let page = client.tasks(owner).await?;
    let mut screen = Screen::new(shared.json);
    if !screen.result(&page.items)? {
        if page.items.is_empty() {
            screen.line("no tasks; --all lists everybody's");
        }
        for task in page.items {
            let end = task.outcome.map(|_| describe_end(&task)).unwrap_or_default();
            screen.line(format!(
                "{:>6}  {:<10} provider {}  escrow {}  {end}",
                task.id,
                task.state.name(),
                task.terms.provider,
                task.escrow
            ));
        }
    }
    Ok(())
}
