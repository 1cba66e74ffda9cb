//! `neura evm`: checks of the chain's EVM against Ethereum's own suites.

use std::{path::PathBuf, sync::Mutex};

use anyhow::{Result, anyhow};
use neura_runtime::ethereum::Ethereum;

use super::{Failed, Shared};
use crate::evm::{
    self, Failure, Fork, Summary,
    rpc_compat::{self, Played},
};

/// Commands of `neura evm`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Run Ethereum's state tests on the chain's EVM, native modules present.
    Statetest(StatetestArgs),
    /// Play Ethereum's JSON-RPC suite against a node, or against the suite's own chain.
    RpcCompat(RpcCompatArgs),
}

/// Arguments of `neura evm rpc-compat`.
#[derive(Debug, clap::Args)]
pub(super) struct RpcCompatArgs {
    /// Folder of `.io` files, or one file. Without a node named by --url, the chain beside them (genesis.json, chain.rlp)
    /// is imported and asked.
    suite: PathBuf,
}

/// Arguments of `neura evm statetest`.
#[derive(Debug, clap::Args)]
pub(super) struct StatetestArgs {
    /// Files of tests, or folders that hold such.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Run what the tests say of this hardfork only.
    #[arg(long)]
    fork: Option<String>,
}

pub(super) fn run(command: Command, shared: &Shared) -> Result<()> {
    match command {
        Command::Statetest(args) => statetest(&args, shared),
        Command::RpcCompat(args) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(rpc_compat(&args, shared))
        }
    }
}

fn statetest(args: &StatetestArgs, shared: &Shared) -> Result<()> {
    let fork = args.fork.as_deref().map(str::parse::<Fork>).transpose()?;
    let ethereum = Ethereum::new()?;
    let failures = Mutex::new(Vec::new());
    let report = |failure: &Failure| {
        if shared.json {
            failures
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push(failure.clone());
        } else {
            println!("FAIL {failure}");
        }
    };
    let summary = match evm::find(&args.paths) {
        Ok(files) => evm::run(&ethereum, &files, fork.as_ref(), &report),
        Err(failure) => {
            report(&failure);
            Summary { failed: 1, ..Summary::default() }
        }
    };
    let Summary { passed, failed, skipped_forks, skipped_formats, skipped_others, .. } = summary;
    let nothing_ran = summary.why_empty(fork.as_ref());
    if shared.json {
        let failures = failures.into_inner().map_err(|_| anyhow!("a test's thread panicked"))?;
        let (summary, reason) = (&summary, &nothing_ran);
        println!(
            "{}",
            serde_json::json!({ "summary": summary, "failures": failures, "nothingRan": reason })
        );
    } else {
        if skipped_forks > 0 {
            println!("{skipped_forks} skipped: their forks are not known to this EVM");
        }
        if skipped_formats > 0 {
            println!("{skipped_formats} skipped: they are no state tests");
        }
        if skipped_others > 0 {
            println!("{skipped_others} skipped: they are no tests");
        }
        if let Some(reason) = &nothing_ran {
            println!("nothing was run: {reason}");
        }
        println!("{passed} passed, {failed} failed");
    }
    if failed > 0 || nothing_ran.is_some() { Err(Failed.into()) } else { Ok(()) }
}

/// Says why nothing of a suite was played, which shows nothing.
fn nothing_played(reason: &str, shared: &Shared) -> Result<()> {
    if shared.json {
        let summary = serde_json::json!({ "passed": 0, "failed": 0 });
        println!(
            "{}",
            serde_json::json!({ "summary": summary, "failures": [], "nothingRan": reason })
        );
    } else {
        println!("nothing was run: {reason}");
        println!("0 passed, 0 failed");
    }
    Err(Failed.into())
}

async fn rpc_compat(args: &RpcCompatArgs, shared: &Shared) -> Result<()> {
    let files = match rpc_compat::files(&args.suite) {
        Ok(files) if !files.is_empty() => files,
        Ok(_) => {
            let reason = format!("there is no .io file in {}", args.suite.display());
            return nothing_played(&reason, shared);
        }
        Err(error) => return nothing_played(&format!("{error:#}"), shared),
    };
    let served = match shared.given_url() {
        Some(_) => None,
        None => match rpc_compat::serve_chain(&args.suite).await {
            Ok(served) => Some(served),
            Err(error) => return nothing_played(&format!("{error:#}"), shared),
        },
    };
    let url = match (&served, shared.given_url()) {
        (Some(served), _) => {
            eprintln!("chain.rlp imported, {} blocks", served.height);
            served.url.clone()
        }
        (None, url) => url.unwrap_or_default(),
    };
    let client = reqwest::Client::builder().no_proxy().build()?;
    let (mut passed, mut failures) = (0u64, Vec::new());
    for file in &files {
        let name = file.strip_prefix(&args.suite).unwrap_or(file).display().to_string();
        match rpc_compat::play(&client, &url, file).await {
            Played::Passed => passed += 1,
            Played::Failed { method, difference } => {
                if !shared.json {
                    println!("FAIL {name} {method}: {difference}");
                }
                failures.push(serde_json::json!({
                    "file": name, "method": method, "difference": difference,
                }));
            }
        }
    }
    if let Some(served) = served {
        served.stop().await;
    }
    let failed = failures.len();
    if shared.json {
        let summary = serde_json::json!({ "passed": passed, "failed": failed });
        println!("{}", serde_json::json!({ "summary": summary, "failures": failures }));
    } else {
        println!("{passed} passed, {failed} failed");
    }
    if failed > 0 { Err(Failed.into()) } else { Ok(()) }
}
