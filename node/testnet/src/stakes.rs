//! What operators do with their validators while the network runs, and what must come of it.
//!
//! Changes are made with the commands of the binary, as operators make them. A ledger keeps what they amount to: once the
//! epochs that were fixed before are over, the set must be what the ledger says.

use std::{collections::BTreeMap, fmt, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use neura_types::{
    Address, Amount, Epoch, EpochConfig,
    rest::{ValidatorInfo, ValidatorStatus},
};
use rand::{RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::{Network, Node};

/// Whole coins that each of the first validators has at stake: every change is a small part of all stake, and so is in
/// force after few epochs.
pub(crate) const FIRST_STAKE: u64 = 1_000;
/// Whole coins that the account of each node owns besides.
pub(crate) const FUNDS: u64 = 10_000;
/// Time for a command to end, whose transaction is executed within some blocks.
const COMMAND: Duration = Duration::from_secs(180);
/// Time without any block after which a chain counts as stopped.
const PATIENCE: Duration = Duration::from_secs(120);
/// Epochs after which a set must be what the ledger says: two that are fixed already, and one for each step of less than
/// a third of all power that a few changes at once take.
const SETTLED_AFTER: Epoch = 8;
/// Epochs after which who is away must be jailed, in a scenario that jails.
const JAILED_AFTER: Epoch = 8;

/// One thing that an operator does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StakeChange {
    /// The node that only followed becomes a validator.
    Bond {
        /// Which.
        node: usize,
        /// Whole coins.
        amount: u64,
    },
    /// One node's account bonds coins to another one's validator.
    Delegate {
        /// Who pays.
        from: usize,
        /// Whose validator.
        to: usize,
        /// Whole coins.
        amount: u64,
    },
    /// It takes them all back.
    Undelegate {
        /// Who paid.
        from: usize,
        /// Whose validator.
        to: usize,
    },
    /// The validator stands for election no longer.
    Retire {
        /// Which.
        node: usize,
    },
    /// The node is gone until it is jailed, comes back, and asks to be let out.
    Absence {
        /// Which.
        node: usize,
    },
}

impl StakeChange {
    /// Draws what operators of a network do, in this order. `follower` is a node that runs and is no validator; `absence`
    /// says that one may be jailed.
    pub(crate) fn draw(
        rng: &mut ChaCha8Rng,
        validators: usize,
        follower: Option<usize>,
        absence: bool,
    ) -> Vec<Self> {
        let all: Vec<usize> = (0..validators).chain(follower).collect();
        let to = *all.choose(rng).unwrap_or(&0);
        let from = (to + 1) % validators;
        let mut changes = Vec::new();
        if let Some(node) = follower {
            changes.push(Self::Bond { node, amount: rng.random_range(100..1_000) });
        }
        changes.push(Self::Delegate { from, to, amount: rng.random_range(1..500) });
        if rng.random_bool(0.5) {
            changes.push(Self::Undelegate { from, to });
        }
        match rng.random_range(0..3) {
            0 => changes.push(Self::Retire { node: follower.unwrap_or(validators - 1) }),
            1 if absence => changes.push(Self::Absence { node: rng.random_range(0..validators) }),
            _ => {}
        }
        changes
    }

    /// Does it and waits until it is executed. What cannot be done, because its node does not run or the others were no
    /// quorum without it, is left.
    pub(crate) async fn apply(&self, network: &mut Network) -> Result<()> {
        let acts = |node: &usize| network.nodes[*node].is_running();
        match self {
            Self::Bond { node, amount } if acts(node) => {
                let value = amount.to_string();
                network.operator(*node, &["bond", &value]).await?;
                network.stakes.bonded(&network.nodes[*node], coins(*amount));
            }
            Self::Delegate { from, to, amount } if network.is_listed(*to) => {
                let (account, value) = (network.account(*to), amount.to_string());
                network.operator(*from, &["delegate", &account.to_string(), &value]).await?;
                network.stakes.add(account, coins(*amount));
            }
            Self::Undelegate { from, to } if network.is_listed(*to) => {
                let account = network.account(*to);
                let words = ["undelegate", &account.to_string(), "all"];
                let left = network.operator(*from, &words).await?;
                let left = left["amount"].as_str().and_then(|wei| wei.parse().ok());
                network.stakes.take(account, Amount(left.context("no amount was named")?));
            }
            Self::Retire { node } if network.is_listed(*node) => {
                network.operator(*node, &["leave"]).await?;
                network.stakes.retired(network.nodes[*node].account);
            }
            Self::Absence { node } if acts(node) && network.can_spare(*node).await? => {
                absence(network, *node).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

async fn absence(network: &mut Network, node: usize) -> Result<()> {
    let account = network.account(node);
    network.nodes[node].kill()?;
    let begun = network.epoch().await?;
    let free = loop {
        let info = network.validator(account).await?;
        if info.status == ValidatorStatus::Jailed {
            break info.jailed_until.context("a jail without an end")?;
        }
        let epoch = network.epoch().await?;
        let limit = begun + JAILED_AFTER;
        ensure!(epoch <= limit, "validator {account}, gone since epoch {begun}, is not jailed");
        network.all_advance(1, PATIENCE).await?;
    };
    network.nodes[node].start()?;
    network.all_advance(1, PATIENCE).await?;
    while network.epoch().await? < free {
        network.all_advance(1, PATIENCE).await?;
    }
    network.operator(node, &["unjail"]).await.map(drop)
}

fn coins(amount: u64) -> Amount {
    Amount::ankr(amount)
}

impl fmt::Display for StakeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bond { node, amount } => write!(f, "{node} bonds {amount}"),
            Self::Delegate { from, to, amount } => write!(f, "{from} delegates {amount} to {to}"),
            Self::Undelegate { from, to } => write!(f, "{from} undelegates from {to}"),
            Self::Retire { node } => write!(f, "{node} retires"),
            Self::Absence { node } => write!(f, "{node} is gone until it is jailed, and unjails"),
        }
    }
}

/// What operators' calls amount to.
#[derive(Debug, Default)]
pub(crate) struct Stakes {
    /// By operator: everything bonded, and whether it stands for election.
    of: BTreeMap<Address, (Amount, bool)>,
}

impl Stakes {
    pub(crate) fn genesis<'a>(validators: impl Iterator<Item = &'a Node>) -> Self {
        let of = validators.map(|node| (node.account, (coins(FIRST_STAKE), true)));
        Self { of: of.collect() }
    }

    fn bonded(&mut self, node: &Node, amount: Amount) {
        self.of.insert(node.account, (amount, true));
    }

    fn add(&mut self, account: Address, amount: Amount) {
        if let Some((stake, _)) = self.of.get_mut(&account) {
            *stake = Amount(stake.0 + amount.0);
        }
    }

    fn take(&mut self, account: Address, amount: Amount) {
        if let Some((stake, _)) = self.of.get_mut(&account) {
            *stake = Amount(stake.0 - amount.0);
        }
    }

    fn retired(&mut self, account: Address) {
        if let Some((_, listed)) = self.of.get_mut(&account) {
            *listed = false;
        }
    }

    /// What differs between the ledger and what the chain says of the registered validators and of an epoch's set.
    fn differs(&self, registered: &[ValidatorInfo], config: &EpochConfig) -> Vec<String> {
        let mut found = Vec::new();
        let serving: BTreeMap<Address, u64> =
            config.set.iter().map(|(_, member)| (member.account, member.power)).collect();
        for info in registered {
            let Some((stake, listed)) = self.of.get(&info.account) else {
                found.push(format!("nobody registered {}", info.account));
                continue;
            };
            if info.stake != *stake {
                found.push(format!(
                    "{} has {} at stake, its operators bonded {stake}",
                    info.account, info.stake
                ));
            }
            let elected = *listed && info.status != ValidatorStatus::Jailed;
            let implied = if elected { whole(*stake) } else { 0 };
            let power = serving.get(&info.account).copied().unwrap_or(0);
            if power != implied {
                found.push(format!(
                    "{} has power {power} in epoch {}, its stake stands for {implied}",
                    info.account, config.epoch
                ));
            }
        }
        if registered.len() != self.of.len() {
            found.push(format!("{} are registered, not {}", registered.len(), self.of.len()));
        }
        found
    }
}

fn whole(stake: Amount) -> u64 {
    u64::try_from(stake.0 / coins(1).0).unwrap_or(u64::MAX)
}

impl Network {
    fn account(&self, node: usize) -> Address {
        self.nodes[node].account
    }

    fn is_listed(&self, node: usize) -> bool {
        self.stakes.of.get(&self.nodes[node].account).is_some_and(|(_, listed)| *listed)
    }

    /// A command of an operator, given to all nodes that can answer.
    async fn operator(&self, node: usize, words: &[&str]) -> Result<Value> {
        let urls: Vec<&str> = self.awake().map(|node| node.rpc.url()).collect();
        let identity = self.nodes[node].data.join("identity.key");
        let mut command = tokio::process::Command::new(&self.binary);
        command.arg("validator").args(words).arg("--identity").arg(identity);
        command.args(["--json", "--url", &urls.join(",")]).stdin(Stdio::null()).kill_on_drop(true);
        let words = words.join(" ");
        let output = tokio::time::timeout(COMMAND, command.output()).await;
        let output =
            output.with_context(|| format!("`neura validator {words}` does not end"))??;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "`neura validator {words}` of node {node}: {said}");
        serde_json::from_slice(&output.stdout).with_context(|| format!("{words} said {said}"))
    }

    fn any_awake(&self) -> Result<&Node> {
        self.awake().next().context("no node runs")
    }

    async fn epoch(&self) -> Result<Epoch> {
        Ok(self.any_awake()?.client.status().await?.epoch)
    }

    async fn validator(&self, account: Address) -> Result<ValidatorInfo> {
        Ok(self.any_awake()?.client.validator(&account.to_string()).await?)
    }

    /// Whether the validators that run are a quorum without this one, by far.
    async fn can_spare(&self, node: usize) -> Result<bool> {
        let set = self.any_awake()?.client.validators().await?;
        let gone = |info: &&ValidatorInfo| {
            let member = self.nodes.iter().find(|member| member.account == info.account);
            member.is_none_or(|member| !member.is_awake() || member.index == node)
        };
        let missing: u64 = set.validators.iter().filter(gone).map(|info| info.power).sum();
        Ok(missing * 3 < set.total_power)
    }

    /// Waits until the set of the present epoch is what operators' calls amount to. Counted in epochs of the chain.
    ///
    /// # Errors
    /// If it is not after the epochs that it may take, or the chain stops.
    pub(crate) async fn stakes_settle(&mut self) -> Result<()> {
        self.all_advance(1, PATIENCE).await?;
        let last = self.epoch().await? + SETTLED_AFTER;
        loop {
            let client = &self.any_awake()?.client;
            let config = client.epoch("current").await?.config;
            // A page holds more than a network of a few nodes registers.
            let registered = client.candidates(0).await?.items;
            let differs = self.stakes.differs(&registered, &config);
            if differs.is_empty() {
                return Ok(());
            }
            if config.epoch > last {
                bail!("the validators are not those that hold the stake: {}", differs.join("; "));
            }
            self.all_advance(1, PATIENCE).await?;
        }
    }
}
