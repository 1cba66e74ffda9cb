//! `neura devnet`: start the network and the provider, run a job through it, show where to look, stay up.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use neura_client::Client;
use neura_types::Params;
use tokio::time::Instant;

use super::{Account, Screen, Shared, account::home, node::stop_signal, provider, status, task};
use crate::{
    devnet::{Child, DEVNET_CHAIN_ID, Devnet, Notice, Plan, Supervisor},
    job::{Choice, Job},
    node::{Node, StartOptions},
};

/// How long the network may take to finalise its first block.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long the provider may take to register: its self-test runs on the GPU first.
const PROVIDER_LIMIT: Duration = Duration::from_secs(120);
/// Blocks of an epoch: five minutes on an idle devnet.
const EPOCH_BLOCKS: u64 = 600;
/// Epochs that a validator may be gone: longer than one is stopped to look at something.
const ABSENCE_EPOCHS: u64 = 4;
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Arguments of `neura devnet`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Number of validators.
    #[arg(long, default_value_t = 4)]
    validators: usize,
    /// Folder of the devnet; default: devnet in NEURA_HOME. An existing devnet goes on from its data.
    #[arg(long)]
    data: Option<PathBuf>,
    /// API port of the first validator; the others follow. 0 takes free ports.
    #[arg(long, default_value_t = 8545)]
    base_port: u16,
    /// Job to run through the network once it is up.
    #[arg(long)]
    job: Option<PathBuf>,
    /// Stop after the job.
    #[arg(long)]
    once: bool,
    /// Run the validators inside this process: quicker to start, nothing to kill.
    #[arg(long)]
    in_process: bool,
    /// Start no provider.
    #[arg(long, conflicts_with = "job")]
    no_provider: bool,
    /// Device of the provider: best, part of a GPU's name, or cpu (the reference).
    #[arg(long, default_value = "best")]
    device: String,
}

/// The running network.
struct Network {
    devnet: Devnet,
    supervisor: Supervisor,
    nodes: Vec<Node>,
    client: Client,
}

pub(super) async fn run(args: Args, shared: Shared) -> Result<()> {
    super::logs::start("warn");
    let mut screen = Screen::new(shared.json);
    let mut network = start(&args, &mut screen).await?;
    // Whatever happens, the processes are stopped and waited for.
    let result = tokio::select! {
        result = serve(&mut network, &args, &mut screen) => result,
        () = stop_signal() => Ok(()),
    };
    screen.done();
    if !args.once {
        screen.line("stopping; the devnet starts again from its data");
    }
    network.stop().await;
    result
}

async fn start(args: &Args, screen: &mut Screen) -> Result<Network> {
    let started = Instant::now();
    let data = match &args.data {
        Some(data) => data.clone(),
        None => home()?.join("devnet"),
    };
    // Nodes and provider are told absolute paths: they may be started again from elsewhere.
    let data = std::path::absolute(&data)?;
    let plan = Plan {
        data,
        validators: args.validators,
        base_port: args.base_port,
        params: Params {
            epoch_blocks: EPOCH_BLOCKS,
            absence_epochs: ABSENCE_EPOCHS,
            ..Params::default()
        },
        accounts: Vec::new(),
    };
    let devnet = Devnet::open_or_create(&plan)?;
    let client = Client::new(devnet.urls())?;
    let mut network =
        Network { devnet, supervisor: Supervisor::default(), nodes: Vec::new(), client };
    network.start_validators(args.in_process).await?;
    screen.waiting("waiting for the first final block");
    let height = network.first_block(screen).await?;
    screen.done();
    screen.line(format!(
        "network      {} validators, block {height} final {} ms after the start",
        args.validators,
        started.elapsed().as_millis()
    ));
    network.name_silent_validators(screen).await;
    Ok(network)
}

async fn serve(network: &mut Network, args: &Args, screen: &mut Screen) -> Result<()> {
    if !args.no_provider {
        network.start_provider(&args.device)?;
        screen.waiting("the provider checks its machine and registers");
        let provider = network.provider_registered(screen).await?;
        screen.done();
        screen.line(format!(
            "provider     {} ({}, {}) at {} per block",
            provider.address,
            provider.capability.gpu_model,
            provider.capability.gpu_backend,
            provider.price_per_block
        ));
    }
    let finished = match &args.job {
        Some(path) => Some(network.run_job(path, screen).await?),
        None => None,
    };
    if args.once {
        let Some(finished) = &finished else { return Ok(()) };
        if !screen.result(finished)? {
            task::print_report(screen, &finished.report);
            task::print_end(screen, &finished.task);
        }
        return finished.check();
    }
    if let Some(finished) = &finished {
        task::print_report(screen, &finished.report);
        task::print_end(screen, &finished.task);
    }
    network.first_screen(screen).await?;
    network.watch(screen).await
}

impl Network {
    async fn start_validators(&mut self, in_process: bool) -> Result<()> {
        let configs = self.devnet.nodes.clone();
        for (index, config) in configs.iter().enumerate() {
            if in_process {
                self.nodes.push(Node::start(config, StartOptions::default()).await?);
                continue;
            }
            crate::keyfile::create_private_dir(&config.data)?;
            let file = config.data.join("node.toml");
            std::fs::write(&file, config.to_toml()?)
                .with_context(|| format!("writing {}", file.display()))?;
            let args = [
                "node".into(),
                "--data".into(),
                config.data.display().to_string(),
                "--genesis".into(),
                config.genesis.display().to_string(),
            ];
            let log = config.data.join("node.log");
            self.supervisor.run(Child::new(format!("validator {index}"), log, args.into()))?;
        }
        Ok(())
    }

    /// Height of the first block above the one that the chain had before, once it is executed.
    async fn first_block(&mut self, screen: &Screen) -> Result<u64> {
        let deadline = Instant::now() + START_LIMIT;
        let mut before = None;
        while Instant::now() < deadline {
            self.say(screen)?;
            if let Ok(status) = self.client.status().await {
                let start = *before.get_or_insert(status.executed);
                // A new chain starts at genesis; one that goes on must show that it does.
                if status.executed > start || start == 0 && status.executed > 0 {
                    return Ok(status.executed);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!(
            "no block became final within {START_LIMIT:?}: see the logs in {}",
            self.devnet.data.display()
        )
    }

    /// A validator that lost its safety record follows the chain; the network has one fault less to spare.
    async fn name_silent_validators(&self, screen: &Screen) {
        for (index, config) in self.devnet.nodes.iter().enumerate() {
            let Ok(client) = Client::new([format!("http://{}", config.api)]) else { continue };
            if client.status().await.is_ok_and(|status| status.validator.is_none()) {
                screen.line(format!(
                    "warning      validator {index} follows but signs nothing: its safety record is lost or damaged \
                     (docs/operations.md)"
                ));
            }
        }
    }

    fn start_provider(&mut self, device: &str) -> Result<()> {
        let data = self.devnet.provider_dir();
        crate::keyfile::create_private_dir(&data)?;
        let mut args: Vec<String> = ["provider", "join"].map(ToString::to_string).to_vec();
        args.extend(self.devnet.urls());
        for (flag, value) in
            [("--data", data.display().to_string()), ("--device", device.to_owned())]
        {
            args.extend([flag.to_owned(), value]);
        }
        self.supervisor.run(Child::new("provider", data.join("provider.log"), args))
    }

    async fn provider_registered(
        &mut self,
        screen: &Screen,
    ) -> Result<neura_types::provider::Provider> {
        let deadline = Instant::now() + PROVIDER_LIMIT;
        while Instant::now() < deadline {
            self.say(screen)?;
            let address = provider::address(&self.devnet.provider_dir());
            if let Some(address) = address
                && let Ok(Some(provider)) = self.client.provider(address).await
            {
                return Ok(provider);
            }
            tokio::time::sleep(LOOK).await;
        }
        let log = self.devnet.provider_dir().join("provider.log");
        bail!("the provider did not register within {PROVIDER_LIMIT:?}: see {}", log.display())
    }

    async fn run_job(
        &mut self,
        path: &std::path::Path,
        screen: &mut Screen,
    ) -> Result<task::Finished> {
        let job = Job::load(path)?;
        let (_, key) = self.devnet.accounts.first().context("a devnet has funded accounts")?;
        let shared = Shared {
            url: self.devnet.urls(),
            key: Some(key.clone()),
            json: screen.is_json(),
            is_url_given: true,
        };
        let account = Account::open(&shared)?;
        screen.line(format!("job          {} for {}", job.name, account.key.address()));
        let id = task::submit(&account, &job, Choice::Cheapest, screen).await?;
        task::finish(&account, &job, id, true, screen).await
    }

    async fn first_screen(&self, screen: &Screen) -> Result<()> {
        let url = self.devnet.urls().into_iter().next().unwrap_or_default();
        screen.line(format!("\nNeura devnet, chain id {DEVNET_CHAIN_ID}"));
        screen.line(format!("  REST         {url}/v1/status (documentation: {url}/docs)"));
        screen.line(format!("  JSON-RPC     {url} (for wallets, viem, ethers, Foundry)"));
        screen.line(format!("  all nodes    {}", self.devnet.urls().join(" ")));
        self.show_validators(screen).await?;
        screen.line(format!(
            "  data, logs   {} (validator-*/node.log, provider/provider.log)",
            self.devnet.data.display()
        ));
        screen.line("  accounts     funded, their keys are known to everybody:");
        for (name, path) in &self.devnet.accounts {
            let key = crate::keyfile::read_eth_key(path)?;
            screen.line(format!("    {name:<8}   {}  {}", key.address(), path.display()));
        }
        let program =
            std::env::current_exe().map_or_else(|_| "neura".into(), |p| p.display().to_string());
        let (_, key) = self.devnet.accounts.first().context("a devnet has funded accounts")?;
        screen.line("Next, from another terminal:");
        screen.line(format!(
            "  alias neura={program}; export NEURA_URL={}",
            self.devnet.urls().join(",")
        ));
        screen.line("  neura status");
        screen
            .line(format!("  neura task submit examples/digits/job.toml --key {}", key.display()));
        screen.line("  neura task list --all");
        screen.line("  neura validator list; neura epoch next; neura governance list");
        screen.line("  neura faucet 0xYOUR-ADDRESS");
        screen.line(format!("  neura provider join {url}    # lend this machine too"));
        screen.line("Ctrl-C stops it.");
        Ok(())
    }

    /// The epoch, its validators, who is passed over, who contradicted itself.
    async fn show_validators(&self, screen: &Screen) -> Result<()> {
        let (status, set) = (self.client.status().await?, self.client.validators().await?);
        screen.line(format!("  epoch        {}", status::epoch(&status)));
        screen.line(format!("  validators   {}", status::validators(&set)));
        if status.evidence > 0 {
            screen.line(format!("  evidence     {} contradictions seen", status.evidence));
        }
        Ok(())
    }

    /// Shows what the supervisor says until a process is given up or a node in this process fails.
    async fn watch(&mut self, screen: &Screen) -> Result<()> {
        loop {
            let failed = async {
                match self.nodes.first() {
                    Some(_) => {
                        let waits = self.nodes.iter().map(|node| Box::pin(node.failed()));
                        futures::future::select_all(waits).await.0
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                reason = failed => bail!("a node stopped: {reason}"),
                notice = self.supervisor.notice() => match notice {
                    Notice::Restarting { .. } => show(screen, &notice),
                    Notice::GivenUp { name, cause } => bail!("{name} does not run: {cause}"),
                },
            }
        }
    }

    fn say(&mut self, screen: &Screen) -> Result<()> {
        for notice in self.supervisor.check()? {
            show(screen, &notice);
        }
        Ok(())
    }

    async fn stop(self) {
        self.supervisor.stop().await;
        for node in self.nodes {
            node.stop().await;
        }
    }
}

fn show(screen: &Screen, notice: &Notice) {
    let (Notice::Restarting { name, cause } | Notice::GivenUp { name, cause }) = notice;
    screen.line(format!("{name} ended and is started again: {cause}"));
}
