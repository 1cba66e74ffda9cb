//! `neura governance`: propose and vote on parameters and upgrades.

use anyhow::{Context, Result, ensure};
use neura_client::Client;
use neura_types::{
    Amount, Epoch,
    abi::IGovernance,
    params::GOVERNED,
    rest::{ProposalInfo, ProposalStatus, UpgradeInfo},
    system::GOVERNANCE,
};
use serde_json::json;

use super::{
    Screen, Shared,
    act::{Actor, Signer, event},
};

/// Commands of `neura governance`. Operators of the validators of the present epoch propose and vote.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Propose values for parameters.
    Propose {
        /// As in the genesis file, such as slash_bps=600; amounts in wei.
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = change)]
        changes: Vec<(String, u128)>,
        /// What for.
        #[arg(long, default_value = "")]
        title: String,
        #[command(flatten)]
        signer: Signer,
    },
    /// Propose that all nodes speak a higher version of the protocol from an epoch on.
    Upgrade {
        /// The version.
        version: u16,
        /// Its first epoch: at least two after the one in which the votes suffice.
        #[arg(long)]
        epoch: Epoch,
        /// What for.
        #[arg(long, default_value = "")]
        title: String,
        #[command(flatten)]
        signer: Signer,
    },
    /// Propose that the upgrade that is scheduled does not take place.
    CancelUpgrade {
        /// What for.
        #[arg(long, default_value = "")]
        title: String,
        #[command(flatten)]
        signer: Signer,
    },
    /// Vote for a proposal, or take the vote back.
    Vote {
        /// Number of the proposal.
        id: u64,
        /// yes, or no to take a vote back.
        choice: Choice,
        #[command(flatten)]
        signer: Signer,
    },
    /// List the proposals, newest first.
    List,
    /// Show a proposal.
    Show {
        /// Its number.
        id: u64,
    },
}

/// How to vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Choice {
    /// Approve.
    Yes,
    /// Do not approve.
    No,
}

/// A parameter and its value.
fn change(text: &str) -> Result<(String, u128), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as slash_bps=600")?;
    if !GOVERNED.contains(&name) {
        return Err(format!(
            "no vote can change '{name}'; those that one can: {}",
            GOVERNED.join(", ")
        ));
    }
    let value = value.replace('_', "");
    let value = value.parse().map_err(|_| format!("'{value}' is no whole number"))?;
    Ok((name.to_owned(), value))
}

pub(super) async fn run(command: Command, shared: Shared) -> Result<()> {
    match command {
        Command::Propose { changes, title, signer } => {
            let changes = changes.into_iter();
            let changes =
                changes.map(|(name, value)| IGovernance::Change { name, value }).collect();
            let call = IGovernance::proposeParamsCall { changes, title };
            propose(Actor::open(&signer, &shared)?, &call).await
        }
        Command::Upgrade { version, epoch, title, signer } => {
            let call = IGovernance::proposeUpgradeCall { version, epoch, title };
            propose(Actor::open(&signer, &shared)?, &call).await
        }
        Command::CancelUpgrade { title, signer } => {
            let call = IGovernance::proposeCancellationCall { title };
            propose(Actor::open(&signer, &shared)?, &call).await
        }
        Command::Vote { id, choice, signer } => {
            vote(Actor::open(&signer, &shared)?, id, choice == Choice::Yes).await
        }
        Command::List => list(&shared).await,
        Command::Show { id } => show(id, &shared).await,
    }
}

async fn propose<C: neura_types::abi::SolCall>(mut actor: Actor, call: &C) -> Result<()> {
    let done = actor.call(GOVERNANCE, call, Amount::ZERO).await?;
    let proposed: IGovernance::Proposed =
        event(&done).context("the transaction left no event: is the node of another version?")?;
    let text =
        format!("proposal {0}: vote for it with `neura governance vote {0} yes`", proposed.id);
    actor.say(&done, json!({ "id": proposed.id }), &text)
}

async fn vote(mut actor: Actor, id: u64, approve: bool) -> Result<()> {
    let call = IGovernance::voteCall { id, approve };
    let done = actor.call(GOVERNANCE, &call, Amount::ZERO).await?;
    let proposal = actor.client.proposal(id).await?;
    let text =
        format!("{}; {}", if approve { "approved" } else { "vote taken back" }, support(&proposal));
    let facts = json!({
        "id": id, "approve": approve, "approving": proposal.approving, "total_power": proposal.total_power
    });
    actor.say(&done, facts, &text)
}

fn support(proposal: &ProposalInfo) -> String {
    let (approving, total) = (proposal.approving, proposal.total_power);
    format!("power {approving} of {total} approves, more than two thirds are needed")
}

async fn list(shared: &Shared) -> Result<()> {
    let client = Client::new(&shared.url)?;
    let mut screen = Screen::new(shared.json);
    let page = client.proposals(None).await?;
    if screen.result(&page.items)? {
        return Ok(());
    }
    if page.items.is_empty() {
        screen.line("no proposals yet");
    }
    for proposal in &page.items {
        screen.line(format!(
            "{:>4}  {:<8} {}  {}",
            proposal.id,
            proposal.status,
            matter(proposal),
            proposal.title
        ));
    }
    Ok(())
}

fn matter(proposal: &ProposalInfo) -> String {
    let plan =
        |of: &UpgradeInfo| format!("protocol version {} from epoch {} on", of.version, of.epoch);
    match (&proposal.upgrade, &proposal.cancels) {
        (Some(upgrade), _) => plan(upgrade),
        (None, Some(cancelled)) => format!("not {}", plan(cancelled)),
        (None, None) => {
            let changes = proposal.changes.iter();
            let changes: Vec<_> = changes.map(|c| format!("{}={}", c.name, c.value)).collect();
            changes.join(" ")
        }
    }
}

async fn show(id: u64, shared: &Shared) -> Result<()> {
    ensure!(id > 0, "the first proposal has the number 1");
    let proposal = Client::new(&shared.url)?.proposal(id).await?;
    let mut screen = Screen::new(shared.json);
    if screen.result(&proposal)? {
        return Ok(());
    }
    screen.line(format!("proposal   {} ({}) {}", proposal.id, proposal.status, proposal.title));
    screen.line(format!("asks for   {}", matter(&proposal)));
    screen.line(format!("by         {} in epoch {}", proposal.proposer, proposal.created_at));
    screen.line(format!("until      the end of epoch {}", proposal.expires_at));
    if proposal.status == ProposalStatus::Open {
        screen.line(format!("support    {}", support(&proposal)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_a_parameter_that_a_vote_can_change_and_a_number() {
        assert_eq!(change("slash_bps=600"), Ok(("slash_bps".into(), 600)));
        assert_eq!(
            change("min_validator_stake=1_000_000_000_000_000_000"),
            Ok(("min_validator_stake".into(), neura_types::amount::ANKR))
        );
        for text in
            ["slash_bps", "slash_bps=", "slash_bps=-1", "slash_bps=1.5", "execution_lag=8", "=1"]
        {
            assert!(change(text).is_err(), "{text}");
        }
        let error = change("slash=1").unwrap_err();
        assert!(error.contains("slash_bps"), "it names those that there are: {error}");
    }
}
