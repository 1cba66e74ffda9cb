//! `neura validator`: become one, delegate to one, look at them, leave.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use neura_client::{Client, Confirmed, Key};
use neura_runtime::modules::staking::MAX_EVIDENCE_BYTES;
use neura_types::{
    Address, Amount,
    abi::{IStaking, SolCall},
    codec,
    epoch::EVIDENCE_EPOCHS,
    rest::{DelegationInfo, ValidatorInfo, ValidatorStatus},
    staking::possession_digest,
    system::STAKING,
    vote::{ChainContext, Evidence},
};
use serde_json::json;

use super::{
    Screen, Shared,
    act::{Actor, Signer, event},
};
use crate::{bounded, keyfile};

/// The validator of the account that signs.
const OWN: &str = "self";
/// Everything that there is to take.
const ALL: &str = "all";

/// Commands of `neura validator`. VALIDATOR is an account, a public key, or self: that of the account that signs.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Register a validator with its own bond; it serves from the second epoch on if its stake suffices.
    Bond(Bond),
    /// Add to the bond of one's own validator.
    TopUp {
        /// How much, such as 100 (ANKR).
        amount: String,
        #[command(flatten)]
        signer: Signer,
    },
    /// Bond coins to a validator: they share in what it earns, and in what it loses if it contradicts itself.
    Delegate {
        /// The validator.
        validator: String,
        /// How much, such as 100 (ANKR).
        amount: String,
        #[command(flatten)]
        signer: Signer,
    },
    /// Take stake away from a validator; it can be withdrawn after the unbonding time.
    Undelegate {
        /// The validator.
        validator: String,
        /// How much, such as 100 (ANKR), or all.
        amount: String,
        #[command(flatten)]
        signer: Signer,
    },
    /// Take back stake whose unbonding time is over.
    Withdraw(Take),
    /// Take rewards.
    Claim(Take),
    /// Set the commission of one's own validator.
    Commission {
        /// In percent of what delegators earn, such as 5 or 2.5.
        percent: String,
        #[command(flatten)]
        signer: Signer,
    },
    /// Let one's own validator out of jail, once its time is over.
    Unjail(Signer),
    /// Stand for election no longer. The stake stays bonded: `undelegate self all` releases it.
    Leave(Signer),
    /// Stand for election again.
    Enlist {
        /// Validator with less stake whose place is taken, where the list is full.
        #[arg(long)]
        instead: Option<String>,
        #[command(flatten)]
        signer: Signer,
    },
    /// Show a validator and what the account has at it.
    Status {
        /// The validator.
        #[arg(default_value = OWN)]
        validator: String,
        #[command(flatten)]
        signer: Signer,
    },
    /// List the validators of the present epoch.
    List {
        /// All that are registered, whether they serve or not.
        #[arg(long)]
        all: bool,
    },
    /// Hand in evidence that a validator contradicted itself, as a node keeps it under DATA/evidence.
    Report {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        signer: Signer,
    },
}

/// Arguments of `neura validator bond`.
#[derive(Debug, clap::Args)]
pub(super) struct Bond {
    /// How much, such as 10000 (ANKR).
    amount: String,
    /// The validator's identity key file: the one that its node runs with. Its own account registers it and pays, unless
    /// --key names another.
    #[arg(long, env = "NEURA_IDENTITY")]
    identity: PathBuf,
    /// Commission, in percent of what delegators earn, such as 5 or 2.5.
    #[arg(long, default_value = "5")]
    commission: String,
}

/// Arguments of commands that take what is there.
#[derive(Debug, clap::Args)]
pub(super) struct Take {
    /// The validator; if left out, all at which the account has any.
    validator: Option<String>,
    #[command(flatten)]
    signer: Signer,
}

pub(super) async fn run(command: Command, shared: Shared) -> Result<()> {
    let open = |signer: &Signer| Actor::open(signer, &shared);
    match command {
        Command::Bond(args) => bond(args, &shared).await,
        Command::TopUp { amount, signer } => delegate(open(&signer)?, OWN, &amount).await,
        Command::Delegate { validator, amount, signer } => {
            delegate(open(&signer)?, &validator, &amount).await
        }
        Command::Undelegate { validator, amount, signer } => {
            undelegate(open(&signer)?, &validator, &amount).await
        }
        Command::Withdraw(args) => withdraw(open(&args.signer)?, args.validator).await,
        Command::Claim(args) => claim(open(&args.signer)?, args.validator).await,
        Command::Commission { percent, signer } => commission(open(&signer)?, &percent).await,
        Command::Unjail(signer) => {
            let text = "out of jail: it serves from the second epoch on if its stake suffices";
            own(open(&signer)?, &IStaking::unjailCall {}, text).await
        }
        Command::Leave(signer) => {
            let text = "stands for election no longer; keep its node running until it has no power \
                        (`neura validator status`), then `neura validator undelegate self all`";
            own(open(&signer)?, &IStaking::retireCall {}, text).await
        }
        Command::Enlist { instead, signer } => {
            let mut actor = open(&signer)?;
            let instead = match instead {
                Some(name) => operator(&mut actor, &name).await?,
                None => Address::ZERO,
            };
            own(actor, &IStaking::enlistCall { instead }, "stands for election").await
        }
        Command::Status { validator, signer } => status(&validator, &signer, &shared).await,
        Command::List { all } => list(all, &shared).await,
        Command::Report { file, signer } => report(open(&signer)?, &file).await,
    }
}

async fn bond(args: Bond, shared: &Shared) -> Result<()> {
    let amount = Amount::parse(&args.amount)?;
    let commission_bps = basis_points(&args.commission)?;
    let identity = keyfile::read_identity(&args.identity)?;
    let public_key = identity.public_key();
    let key = match shared.key {
        Some(_) => Signer { identity: None }.key(shared)?,
        None => Key::Identity(identity.clone()),
    };
    let mut actor = Actor::new(key, shared)?;
    let status = actor.client.status().await?;
    let chain = ChainContext { chain_id: status.chain_id, genesis: status.genesis_hash };
    let proof = identity.sign(possession_digest(&chain, actor.address()).as_slice());
    let call = IStaking::createValidatorCall {
        publicKey: public_key.0,
        proof: proof.0.to_vec().into(),
        commissionBps: commission_bps,
    };
    let done = actor.call(STAKING, &call, amount).await?;
    let epoch = actor.client.status().await?.epoch;
    let from = epoch.saturating_add(2);
    let text = format!(
        "validator {} registered by {} with {amount}; it serves from epoch {from} on if it is among those with the most \
         stake: have `neura node --identity {}` running by then",
        public_key,
        actor.address(),
        args.identity.display()
    );
    actor.say(&done, json!({ "public_key": public_key.0, "serves_from": from }), &text)
}

async fn delegate(mut actor: Actor, name: &str, amount: &str) -> Result<()> {
    let amount = Amount::parse(amount)?;
    let operator = operator(&mut actor, name).await?;
    let done = actor.call(STAKING, &IStaking::delegateCall { operator }, amount).await?;
    let text = format!("{amount} bonded to {operator}");
    actor.say(&done, json!({ "operator": operator, "amount": amount }), &text)
}

async fn undelegate(mut actor: Actor, name: &str, amount: &str) -> Result<()> {
    let operator = operator(&mut actor, name).await?;
    let account = actor.address();
    let held = actor.client.delegation(operator, account).await?;
    let held = held.with_context(|| format!("{account} has nothing bonded to {operator}"))?;
    let shares = match amount {
        ALL => held.shares.parse().context("reading the shares in the node's answer")?,
        _ => shares_of(&held, Amount::parse(amount)?)?,
    };
    let done =
        actor.call(STAKING, &IStaking::undelegateCall { operator, shares }, Amount::ZERO).await?;
    let left: IStaking::Undelegated =
        event(&done).context("the transaction left no event: is the node of another version?")?;
    let (amount, epoch) = (Amount(left.amount), left.releasedAt);
    let text = format!(
        "{amount} left {operator}: `neura validator withdraw` returns it from epoch {epoch} on"
    );
    actor.say(&done, json!({ "operator": operator, "amount": amount, "released_at": epoch }), &text)
}

/// The shares that are worth an amount, rounded up: at least the amount is released.
fn shares_of(held: &DelegationInfo, amount: Amount) -> Result<u128> {
    use neura_types::U256;
    ensure!(
        amount <= held.amount,
        "only {} are bonded to {}, not {amount}: write all to take everything",
        held.amount,
        held.operator
    );
    ensure!(amount > Amount::ZERO, "0 ANKR cannot be taken away: name an amount, or all");
    let all: u128 = held.shares.parse().context("reading the shares in the node's answer")?;
    let shares = U256::from(all) * amount.to_u256();
    let shares = shares.div_ceil(held.amount.to_u256());
    Ok(u128::try_from(shares).unwrap_or(all).min(all))
}

/// The validators at which something is to be taken: the one named, or all where `wanted` finds something.
async fn sources(
    actor: &mut Actor,
    name: Option<String>,
    what: &str,
    wanted: impl Fn(&DelegationInfo) -> bool,
) -> Result<Vec<Address>> {
    if let Some(name) = name {
        return Ok(vec![operator(actor, &name).await?]);
    }
    let account = actor.client.staking(actor.address()).await?;
    let found: Vec<_> =
        account.delegations.iter().filter(|d| wanted(d)).map(|d| d.operator).collect();
    ensure!(!found.is_empty(), "account {} has nothing to {what}", account.address);
    Ok(found)
}

async fn withdraw(mut actor: Actor, name: Option<String>) -> Result<()> {
    let epoch = actor.client.status().await?.epoch;
    let held = actor.client.staking(actor.address()).await?.delegations;
    let leaving = held.iter().flat_map(|d| &d.unbonding).map(|entry| entry.released_at);
    let nothing = match leaving.min() {
        Some(first) => format!("withdraw before epoch {first}; now: {epoch}"),
        None => "withdraw: `neura validator undelegate` releases stake".to_owned(),
    };
    let released = |d: &DelegationInfo| d.unbonding.iter().any(|entry| entry.released_at <= epoch);
    let sources = sources(&mut actor, name, &nothing, released).await?;
    let call = |operator| IStaking::withdrawCall { operator };
    let paid = |done: &Confirmed| event::<IStaking::Withdrawn>(done).map(|event| event.amount);
    take(actor, sources, call, paid).await
}

async fn claim(mut actor: Actor, name: Option<String>) -> Result<()> {
    let due = |d: &DelegationInfo| d.rewards > Amount::ZERO;
    let sources = sources(&mut actor, name, "claim yet", due).await?;
    let call = |operator| IStaking::claimCall { operator };
    let paid = |done: &Confirmed| event::<IStaking::RewardsClaimed>(done).map(|event| event.amount);
    take(actor, sources, call, paid).await
}

/// Takes what is there from one validator after the other.
async fn take<C: SolCall>(
    mut actor: Actor,
    sources: Vec<Address>,
    call: impl Fn(Address) -> C,
    paid: impl Fn(&Confirmed) -> Option<u128>,
) -> Result<()> {
    let mut taken = Vec::new();
    for operator in sources {
        let done = actor.call(STAKING, &call(operator), Amount::ZERO).await?;
        let (amount, hash, height) = (Amount(paid(&done).unwrap_or(0)), done.hash, done.height);
        let text = format!("{amount} paid by {operator} (transaction {hash}, block {height})");
        actor.screen.line(text);
        taken.push(json!({
            "operator": operator, "amount": amount, "transaction": hash, "height": height
        }));
    }
    actor.screen.result(&taken).map(|_| ())
}

async fn commission(actor: Actor, percent: &str) -> Result<()> {
    let call = IStaking::setCommissionCall { commissionBps: basis_points(percent)? };
    own(actor, &call, &format!("takes {percent} % of what its delegators earn")).await
}

/// A call that concerns the account's own validator.
async fn own<C: SolCall>(mut actor: Actor, call: &C, text: &str) -> Result<()> {
    let done = actor.call(STAKING, call, Amount::ZERO).await?;
    let text = format!("validator of {}: {text}", actor.address());
    actor.say(&done, json!({}), &text)
}

/// The account of a validator by its name.
async fn operator(actor: &mut Actor, name: &str) -> Result<Address> {
    match name {
        OWN => Ok(actor.address()),
        _ => Ok(actor.client.validator(name).await?.account),
    }
}

async fn status(name: &str, signer: &Signer, shared: &Shared) -> Result<()> {
    let mut actor = Actor::open(signer, shared)?;
    let operator = operator(&mut actor, name).await?;
    let info = actor.client.validator(&operator.to_string()).await?;
    let held = actor.client.delegation(operator, actor.address()).await?;
    if actor.screen.result(&json!({ "validator": info, "delegation": held }))? {
        return Ok(());
    }
    let screen = &actor.screen;
    screen.line(format!("validator  {} (account {})", info.public_key, info.account));
    screen.line(format!("status     {}", standing(&info)));
    screen.line(format!(
        "stake      {}, {} of it delegated; commission {}",
        info.stake,
        info.delegated,
        percent(info.commission_bps)
    ));
    if info.missed_epochs > 0 {
        screen.line(format!("absent     for {} epochs in a row", info.missed_epochs));
    }
    if let Some(held) = held {
        screen.line(format!("yours      {} bonded, {} to claim", held.amount, held.rewards));
        for entry in held.unbonding {
            let (amount, epoch) = (entry.amount, entry.released_at);
            screen.line(format!("leaving    {amount}, can be withdrawn from epoch {epoch} on"));
        }
    }
    Ok(())
}

/// Where a validator stands, in words.
fn standing(info: &ValidatorInfo) -> String {
    let mut text = info.status.to_string();
    if info.status == ValidatorStatus::Tombstoned {
        text.push_str(" (it contradicted itself and never serves again)");
    }
    if let Some(epoch) = info.jailed_until {
        text.push_str(&format!(" (`neura validator unjail` from epoch {epoch} on)"));
    }
    match info.index {
        Some(index) => text.push_str(&format!(", number {index} with power {}", info.power)),
        None => text.push_str(", no power in this epoch"),
    }
    if info.passed_over {
        text.push_str(", passed over as leader for a while because it failed to lead");
    }
    text
}

async fn list(all: bool, shared: &Shared) -> Result<()> {
    let client = Client::new(&shared.url)?;
    let mut screen = Screen::new(shared.json);
    if all {
        let found = candidates(&client).await?;
        if !screen.result(&found)? {
            found.iter().for_each(|info| screen.line(row(info)));
        }
        return Ok(());
    }
    let set = client.validators().await?;
    if !screen.result(&set)? {
        screen.line(format!("epoch {}, total power {}", set.epoch, set.total_power));
        set.validators.iter().for_each(|info| screen.line(row(info)));
    }
    Ok(())
}

async fn candidates(client: &Client) -> Result<Vec<ValidatorInfo>> {
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let page = client.candidates(after).await?;
        found.extend(page.items);
        match page.next {
            Some(next) => after = next.parse().context("the node's answer names no next page")?,
            None => return Ok(found),
        }
    }
}

fn row(info: &ValidatorInfo) -> String {
    let index = info.index.map_or_else(|| "-".to_owned(), |index| index.to_string());
    let remark = if info.passed_over { "  passed over" } else { "" };
    format!(
        "{index:>4}  {}  {:<10}  power {:>10}  stake {}  commission {}{remark}",
        info.account,
        info.status,
        info.power,
        info.stake,
        percent(info.commission_bps)
    )
}

async fn report(mut actor: Actor, file: &std::path::Path) -> Result<()> {
    let bytes = bounded::read(file, MAX_EVIDENCE_BYTES as u64)?;
    let evidence: Evidence = codec::decode(&bytes)
        .with_context(|| format!("{} holds no evidence as a node keeps it", file.display()))?;
    let (epoch, author) = (evidence.first.epoch, evidence.first.author);
    let config = actor.client.epoch(&epoch.to_string()).await?.config;
    let status = actor.client.status().await?;
    ensure!(
        status.epoch <= epoch.saturating_add(EVIDENCE_EPOCHS),
        "{} is of epoch {epoch}, and now is epoch {}: evidence counts in its own epoch and the {EVIDENCE_EPOCHS} that \
         follow",
        file.display(),
        status.epoch
    );
    let chain = ChainContext { chain_id: status.chain_id, genesis: status.genesis_hash };
    if !evidence.verify(&config.set, &chain) {
        bail!(
            "{} convicts nobody on this chain: the two statements do not exclude each other, or a signature is not \
             that of validator {author} of epoch {epoch}",
            file.display()
        );
    }
    let call = IStaking::submitEvidenceCall { evidence: bytes.into() };
    let done = actor.call(STAKING, &call, Amount::ZERO).await?;
    let reward = event::<IStaking::Slashed>(&done).map_or(0, |event| event.reward);
    let text = format!(
        "validator {author} of epoch {epoch} is convicted; {} paid as reward",
        Amount(reward)
    );
    let facts = json!({ "epoch": epoch, "validator": author, "reward": Amount(reward) });
    actor.say(&done, facts, &text)
}

/// Percent with up to two decimals as basis points.
fn basis_points(text: &str) -> Result<u16> {
    let wrong = || format!("'{text}' is no percentage: write one such as 5 or 2.5, at most 100");
    let number = text.trim_end_matches('%');
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction:0<2}");
    let is_number = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    ensure!(is_number && fraction.len() <= 2, wrong());
    digits.parse().ok().filter(|bps| *bps <= 10_000).with_context(wrong)
}

/// Basis points as percent.
fn percent(basis_points: u16) -> String {
    let (whole, rest) = (basis_points / 100, basis_points % 100);
    if rest == 0 { format!("{whole} %") } else { format!("{whole}.{rest:02} %") }
}

#[cfg(test)]
mod tests;
