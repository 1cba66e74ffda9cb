//! `neura provider`: join, doctor, benchmark, status, drain, resume, leave, withdraw.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use neura_provider::{
    Agent, AgentConfig, BenchmarkReport, ChainPlan, DEFAULT_CHECKPOINT_EVERY, Device, Keys,
    MachineReport, Means, Operator, Progress, ProviderError, StatusReport, WorkerCommand, inspect,
    last_benchmark,
};
use neura_types::{Address, Amount};

use crate::plain;

use super::{Screen, Shared, account::home, logs, node::stop_signal};

/// Commands of `neura provider`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lend this machine: make keys, register with bond and price, take jobs until stopped.
    Join(Join),
    /// Show what this machine could offer.
    Doctor(Machine),
    /// Measure the device: products, bandwidth, hash, memory that can be filled; doctor and status show the result.
    Benchmark(BenchmarkArgs),
    /// Show this provider's registration, tasks, and why no jobs may come.
    Status(Home),
    /// Finish what there is and take nothing new.
    Drain(Home),
    /// Take jobs again.
    Resume(Home),
    /// Leave the network; the bond is free after a delay.
    Leave(Home),
    /// Take the bond back after leaving.
    Withdraw(Home),
    /// Execute one job from standard input; started by the agent.
    #[command(hide = true)]
    Worker(WorkerArgs),
}

/// Where a provider's keys are.
#[derive(Debug, clap::Args)]
pub(super) struct Home {
    /// Folder of keys and journal; default: provider in NEURA_HOME.
    #[arg(long, env = "NEURA_PROVIDER_DATA")]
    data: Option<PathBuf>,
}

impl Home {
    fn path(&self) -> Result<PathBuf> {
        match &self.data {
            Some(path) => Ok(path.clone()),
            None => Ok(home()?.join("provider")),
        }
    }
}

/// Which device.
#[derive(Debug, clap::Args)]
pub(super) struct Machine {
    #[command(flatten)]
    home: Home,
    /// best, part of a GPU's name, or cpu (the reference, only if asked for).
    #[arg(long, default_value = "best")]
    device: String,
    /// Executors to offer, separated by commas; all that this machine can if left out.
    #[arg(long, value_delimiter = ',')]
    executors: Option<Vec<String>>,
    /// Offer containers (executor oci): a name and the folder of an image's unpacked file system. May be repeated.
    #[arg(long = "oci-image", value_name = "NAME=FOLDER", value_parser = image)]
    oci_images: Vec<(String, PathBuf)>,
    /// Run jobs without bubblewrap around them: foreign code is then offered only if --executors names it.
    #[arg(long)]
    no_sandbox: bool,
}

/// A name and a folder.
fn image(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, folder)) if !name.is_empty() && !folder.is_empty() => {
            Ok((name.to_owned(), folder.into()))
        }
        _ => Err(format!("'{text}' is not NAME=FOLDER, such as debian=/srv/images/debian")),
    }
}

impl Machine {
    fn config(self, nodes: Vec<String>) -> Result<AgentConfig> {
        let program = std::env::current_exe().context("finding this program")?;
        let worker = WorkerCommand { program, args: vec!["provider".into(), "worker".into()] };
        let mut config = AgentConfig::new(nodes, self.home.path()?, worker);
        config.device = device(&self.device)?;
        config.sandbox = !self.no_sandbox;
        config.images = self.oci_images.into_iter().collect();
        config.offer.executors = self.executors;
        Ok(config)
    }
}

/// Arguments of `neura provider benchmark`.
#[derive(Debug, clap::Args)]
pub(super) struct BenchmarkArgs {
    #[command(flatten)]
    machine: Machine,
    /// What the chain of products is made of: 64 hexadecimal digits, or any text, which is hashed; random if left out.
    #[arg(long)]
    seed: Option<String>,
    /// Check sums of the chain on the CPU, chosen at random once it is committed to.
    #[arg(long)]
    check: bool,
}

impl BenchmarkArgs {
    fn plan(&self) -> ChainPlan {
        let of_text = |text: &String| match hex::decode(text).map(<[u8; 32]>::try_from) {
            Ok(Ok(seed)) => seed,
            _ => *blake3::hash(text.as_bytes()).as_bytes(),
        };
        let seed = self.seed.as_ref().map_or_else(rand::random, of_text);
        ChainPlan { seed, challenge: self.check.then(rand::random) }
    }
}

/// Arguments of `neura provider join`.
#[derive(Debug, clap::Args)]
pub(super) struct Join {
    /// Nodes of the chain to join; further ones stand in for the first.
    #[arg(required = true)]
    nodes: Vec<String>,
    #[command(flatten)]
    machine: Machine,
    /// Price per block of a task's duration, in ANKR.
    #[arg(long, default_value = "0.005")]
    price: String,
    /// Bond, in ANKR; the chain's least if left out.
    #[arg(long)]
    bond: Option<String>,
    /// Account that is paid; the provider's own if left out.
    #[arg(long)]
    payout: Option<Address>,
    /// Region, as owners may wish to know it.
    #[arg(long, default_value = "")]
    region: String,
    /// Most tasks at a time: one on the device, programs and models of the processor beside it, the others wait. Those
    /// that wait for approval take no place.
    #[arg(long, default_value_t = 4)]
    capacity: u32,
    /// Seconds between two checkpoints of a job; 0 for none.
    #[arg(long, default_value_t = DEFAULT_CHECKPOINT_EVERY.as_secs_f64())]
    checkpoint_every: f64,
}

/// Arguments of the worker: it reads everything from standard input.
#[derive(Debug, clap::Args)]
pub(super) struct WorkerArgs {
    /// Whatever the agent passes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

pub(super) fn worker(args: WorkerArgs) -> Result<()> {
    drop(args.rest);
    std::process::exit(match neura_provider::worker::main() {
        code if code == std::process::ExitCode::SUCCESS => 0,
        _ => 1,
    })
}

/// Address of the provider whose keys lie in a folder, if there are any.
pub(super) fn address(data: &Path) -> Option<Address> {
    Keys::load(data).ok().map(|keys| keys.address())
}

pub(super) async fn run(command: Command, shared: Shared) -> Result<()> {
    match command {
        Command::Join(args) => join(args, shared).await,
        Command::Doctor(args) => doctor(args, &shared).await,
        Command::Benchmark(args) => benchmark(args, &shared).await,
        Command::Status(home) => status(&home, &shared).await,
        Command::Drain(home) => act(&home, &shared, Act::Drain).await,
        Command::Resume(home) => act(&home, &shared, Act::Resume).await,
        Command::Leave(home) => act(&home, &shared, Act::Leave).await,
        Command::Withdraw(home) => act(&home, &shared, Act::Withdraw).await,
        Command::Worker(args) => worker(args),
    }
}

async fn join(args: Join, shared: Shared) -> Result<()> {
    logs::start("warn,neura_provider=info");
    crate::devnet::end_with_supervisor();
    let mut config = args.machine.config(args.nodes)?;
    config.offer.price_per_block = Amount::parse(&args.price)?;
    config.offer.bond = args.bond.as_deref().map(Amount::parse).transpose()?;
    config.offer.payout = args.payout;
    config.offer.region = args.region;
    config.offer.capacity = args.capacity;
    let checkpoint_every = Duration::try_from_secs_f64(args.checkpoint_every)
        .with_context(|| format!("--checkpoint-every {}", args.checkpoint_every))?;
    config.timing.checkpoint_every = Some(checkpoint_every).filter(|every| !every.is_zero());
    let screen = Screen::new(false);
    let json = shared.json;
    let observer = Arc::new(move |progress: &Progress| {
        // Several in a second: for programs, not for people.
        if !json && matches!(progress, Progress::Advanced { .. }) {
            return;
        }
        screen.line(match (json, progress.task()) {
            (true, _) => {
                let text = serde_json::to_string(progress);
                plain::json(&text.unwrap_or_else(|error| error.to_string()))
            }
            // What is said of a task may be its owner's words.
            (false, Some(_)) => plain::line(&progress.to_string()),
            (false, None) => progress.to_string(),
        });
    });
    // One listener for all the time: a signal between two of them would be lost.
    let mut stop = std::pin::pin!(stop_signal());
    let mut agent = tokio::select! {
        agent = Agent::start(config, observer) => agent?,
        () = &mut stop => return Ok(()),
    };
    tokio::select! {
        ended = agent.stopped() => {
            ended?;
            bail!("the provider stopped serving");
        }
        () = &mut stop => {}
    }
    agent.shutdown().await;
    Ok(())
}

fn device(text: &str) -> Result<Device> {
    text.parse().map_err(|error| anyhow::anyhow!("device '{text}': {error}"))
}

/// What `doctor` shows.
#[derive(Debug, serde::Serialize)]
struct Doctor {
    #[serde(flatten)]
    machine: MachineReport,
    #[serde(flatten)]
    means: Means,
    /// What `neura provider benchmark` measured last.
    benchmark: Option<BenchmarkReport>,
}

async fn doctor(args: Machine, shared: &Shared) -> Result<()> {
    let config = args.config(Vec::new())?;
    let look = move || {
        let mut machine = inspect(&config.device, &config.data)?;
        let benchmark = last_benchmark(&config.data);
        let mut means = Means::find(&config)?;
        let tested = means.test(&config.device);
        if let Some(tested) = tested.filter(|tested| tested.name == machine.device.name) {
            machine.device = tested;
        }
        Ok::<_, ProviderError>(Doctor { machine, means, benchmark })
    };
    let report = tokio::task::spawn_blocking(look).await??;
    let mut screen = Screen::new(shared.json);
    if !screen.result(&report)? {
        screen.line(format!("{}\n{}", report.machine, report.means));
        screen.line(format!("\n{}", told(report.benchmark.as_ref())));
    }
    Ok(())
}

/// What was measured last, and when.
fn told(measured: Option<&BenchmarkReport>) -> String {
    let Some(report) = measured else {
        return "not measured yet: neura provider benchmark".to_owned();
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let hours = since.as_secs().saturating_sub(report.measured_at) / 3_600;
    format!("measured {hours} hours ago\n{report}")
}

async fn benchmark(args: BenchmarkArgs, shared: &Shared) -> Result<()> {
    logs::start("warn");
    let plan = args.plan();
    let config = args.machine.config(Vec::new())?;
    let measure = move || neura_provider::benchmark(&config, plan);
    let report = tokio::task::spawn_blocking(measure).await??;
    let mut screen = Screen::new(shared.json);
    if !screen.result(&report)? {
        screen.line(report.to_string());
    }
    Ok(())
}

/// What `status` shows.
#[derive(Debug, serde::Serialize)]
struct Status {
    #[serde(flatten)]
    status: StatusReport,
    /// What `neura provider benchmark` measured last.
    benchmark: Option<BenchmarkReport>,
}

async fn status(home: &Home, shared: &Shared) -> Result<()> {
    let data = home.path()?;
    let status = Operator::open(&shared.url, &data).await?.status().await?;
    let report = Status { status, benchmark: last_benchmark(&data) };
    let mut screen = Screen::new(shared.json);
    if screen.result(&report)? {
        return Ok(());
    }
    let Status { status: report, benchmark } = report;
    screen.line(format!("provider   {} (block {})", report.address, report.height));
    match &report.provider {
        None => screen.line("           not registered on this chain: `neura provider join NODE` registers it; if another one was meant, \
                 name its folder with --data or NEURA_PROVIDER_DATA, or its chain with --url"),
        Some(provider) => {
            screen.line(format!(
                "           {:?}, bond {}, {} per block",
                provider.status, provider.bond, provider.price_per_block
            ));
            screen.line(format!(
                "record     {} settled, {} at fault, {} ended otherwise",
                provider.record.settled, provider.record.at_fault, provider.record.refunded
            ));
        }
    }
    for task in &report.tasks {
        screen.line(format!(
            "task {:<6} {}, deadline at height {}",
            task.id,
            task.state.name(),
            task.deadline
        ));
    }
    for remark in &report.remarks {
        screen.line(format!("note       {remark}"));
    }
    screen.line(told(benchmark.as_ref()));
    Ok(())
}

enum Act {
    Drain,
    Resume,
    Leave,
    Withdraw,
}

async fn act(home: &Home, shared: &Shared, act: Act) -> Result<()> {
    let operator = Operator::open(&shared.url, &home.path()?).await?;
    let text = match act {
        Act::Drain => {
            let done = operator.drain().await?;
            format!("draining since height {}: nothing new is taken", done.height)
        }
        Act::Resume => {
            let done = operator.resume().await?;
            format!("taking jobs again since height {}", done.height)
        }
        Act::Leave => {
            let height = operator.leave().await?;
            format!("left; `neura provider withdraw` returns the bond from height {height} on")
        }
        Act::Withdraw => format!("{} returned", operator.withdraw_bond().await?),
    };
    let mut screen = Screen::new(shared.json);
    if !screen.result(&serde_json::json!({ "provider": operator.address(), "done": text }))? {
        screen.line(text);
    }
    Ok(())
}
