//! What must hold on every node, read from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use futures::future::try_join_all;
use neura_types::{
    Address, B256, EpochConfig, ValidatorSet,
    rest::{BlockSummary, ValidatorInfo, Validators},
};
use tokio::time::{Instant, sleep};

use crate::{Network, Node, Payments, workload::Acknowledged};

/// Violations that are written down; more say nothing new.
const MAX_VIOLATIONS: usize = 30;
/// Violations of one kind, found by one comparison, that are written down.
const MAX_OF_A_KIND: usize = 3;
/// Time for the slowest node to reach the fastest before they are compared.
const PATIENCE: Duration = Duration::from_secs(90);
/// Hashes asked for at a time.
const RECEIPTS: usize = 1_000;
/// Looks at the validator sets before nodes in different epochs count as disagreeing.
const SET_LOOKS: usize = 20;
/// Epochs and time after which a validator that signs nothing has lost its voice.
const SILENT_EPOCHS: u64 = 8;
const SILENCE: Duration = Duration::from_secs(90);
/// What a node's log says only if something is wrong, and what that is.
const SIGNS_OF_TROUBLE: [(&str, &str); 4] = [
    ("two statements of one validator that exclude each other", "a validator contradicted itself"),
    ("panicked", "a thread panicked"),
    (" ERROR ", "the node reports an error"),
    ("another root", "the node executed another result than the validators"),
];

/// What was found wrong, in words.
#[derive(Debug, Default, Clone)]
pub struct Violations(Vec<String>);

impl Violations {
    /// Writes one down.
    pub fn add(&mut self, what: impl Into<String>) {
        if self.0.len() < MAX_VIOLATIONS {
            self.0.push(what.into());
        }
    }

    /// Writes down the first ones of a kind, and how many there are.
    fn add_some(&mut self, found: Vec<String>) {
        let more = found.len().saturating_sub(MAX_OF_A_KIND);
        found.into_iter().take(MAX_OF_A_KIND).for_each(|text| self.add(text));
        if more > 0 {
            self.add(format!("and {more} more of the same kind"));
        }
    }

    /// How many were written down.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Their texts.
    pub fn texts(&self) -> &[String] {
        &self.0
    }
}

/// What all nodes agreed on at one height.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Agreed {
    id: B256,
    parent: B256,
    /// Roots of state and receipts.
    roots: Option<(B256, B256)>,
}

impl From<&BlockSummary> for Agreed {
    fn from(block: &BlockSummary) -> Self {
        let roots = block.execution.as_ref().map(|done| (done.state_root, done.receipts_root));
        Self { id: block.id, parent: block.parent, roots }
    }
}

/// Compares nodes, and remembers what they agreed on.
#[derive(Debug, Default)]
pub struct Checker {
    /// By height, from genesis on.
    chain: Vec<Agreed>,
    /// Lowest block of each node.
    oldest: BTreeMap<usize, u64>,
    /// Epochs that all nodes agreed on, from genesis on.
    epochs: Vec<EpochConfig>,
    /// Acknowledged transfers that were looked up.
    looked_up: usize,
    /// What is wrong so far.
    pub violations: Violations,
}

impl Checker {
    /// Compares all nodes that can answer: logs, metrics, what is new of the chain, validator sets, and the outcomes of
    /// what was acknowledged since the last check.
    ///
    /// # Errors
    /// If a node ended, does not answer, or does not get as far as the others.
    pub async fn check(&mut self, network: &mut Network, payments: &Payments) -> Result<()> {
        self.read_logs(network)?;
        let new = payments.ledger(|ledger| ledger.acknowledged[self.looked_up..].to_vec());
        let acknowledged = new.iter().map(|transfer| transfer.height).max().unwrap_or(0);
        let height = network.highest().await.max(acknowledged);
        network.all_reach(height, PATIENCE).await?;
        let nodes: Vec<&Node> = network.awake().collect();
        self.compare_chains(&nodes, height).await?;
        self.compare_sets(&nodes).await?;
        self.compare_epochs(&nodes).await?;
        self.read_metrics(&nodes).await?;
        self.look_up(&nodes, &new).await?;
        self.looked_up += new.len();
        Ok(())
    }

    /// Compares everything from genesis on, and what the payers' accounts and their recipients' hold, once all
    /// transfers have been acknowledged.
    ///
    /// # Errors
    /// As [`Checker::check`].
    pub async fn check_all(&mut self, network: &mut Network, payments: &Payments) -> Result<()> {
        let mut fresh = Self::default();
        fresh.check(network, payments).await?;
        for violation in fresh.violations.texts() {
            self.violations.add(violation.clone());
        }
        let changed =
            self.chain.iter().zip(&fresh.chain).enumerate().filter(|(_, (then, now))| then != now);
        let changed = changed
            .map(|(height, (then, now))| format!("height {height} was {then:?} and is {now:?}"))
            .collect();
        self.violations.add_some(changed);
        let signed = payments.ledger(|ledger| ledger.signed.clone());
        for node in network.awake() {
            for (payer, signed) in payments.payers.iter().zip(&signed) {
                let from = node.client.account(payer.key.address()).await?;
                let to = node.client.account(payer.recipient).await?;
                let paid = to.balance.to_string();
                if from.nonce != *signed || paid != signed.to_string() {
                    self.violations.add(format!(
                        "{}: {} signed {signed} transfers of 1 wei, its nonce is {}, and {paid} wei arrived",
                        node.name(),
                        from.address,
                        from.nonce
                    ));
                }
            }
        }
        Ok(())
    }

    /// Height up to which the nodes were compared.
    pub fn height(&self) -> u64 {
        (self.chain.len() as u64).saturating_sub(1)
    }

    /// Lowest block that a node lists, if it was compared.
    pub fn oldest(&self, node: usize) -> Option<u64> {
        self.oldest.get(&node).copied()
    }

    fn read_logs(&mut self, network: &mut Network) -> Result<()> {
        for node in &mut network.nodes {
            for line in node.new_log_lines()? {
                let sign = SIGNS_OF_TROUBLE.iter().find(|(text, _)| line.contains(text));
                if let Some((_, what)) = sign {
                    self.violations.add(format!("{}: {what}: {line}", node.name()));
                }
            }
        }
        Ok(())
    }

    /// Who is a validator signs, and no counter of evidence has moved.
    async fn read_metrics(&mut self, nodes: &[&Node]) -> Result<()> {
        for node in nodes {
            for (name, value) in metrics(node).await? {
                if name.contains("evidence") && value > 0.0 {
                    self.violations.add(format!("{}: {name} {value}", node.name()));
                }
            }
            if is_silent(node).await? {
                self.violations.add(format!("{} is a validator and signs nothing", node.name()));
            }
        }
        Ok(())
    }

    /// All nodes name the same validators, powers and parameters for each epoch, and from one to the next less than a
    /// third of all power moves.
    async fn compare_epochs(&mut self, nodes: &[&Node]) -> Result<()> {
        let reached = try_join_all(nodes.iter().map(|node| node.client.status())).await?;
        let newest = reached.iter().map(|status| status.epoch).min().unwrap_or(0);
        for epoch in self.epochs.len() as u64..=newest {
            let number = epoch.to_string();
            let found = try_join_all(nodes.iter().map(|node| node.client.epoch(&number))).await?;
            let Some((first, others)) = found.split_first() else { return Ok(()) };
            if first.digest != first.config.digest() {
                self.violations.add(format!("epoch {epoch}: the digest is that of another one"));
            }
            for (node, other) in nodes.iter().skip(1).zip(others) {
                if other.config != first.config || other.digest != first.digest {
                    self.violations.add(format!(
                        "epoch {epoch}: {} knows it as {:?}, {} as {:?}",
                        nodes[0].name(),
                        first.config,
                        node.name(),
                        other.config
                    ));
                }
            }
            if let Some(before) = self.epochs.last() {
                let (moved, total) =
                    (moved(&before.set, &first.config.set), before.set.total_power());
                if moved > (total.saturating_sub(1) / 3).max(1) {
                    self.violations.add(format!(
                        "from epoch {} to {epoch} {moved} of {total} power moves",
                        before.epoch
                    ));
                }
            }
            self.epochs.push(first.config.clone());
        }
        Ok(())
    }

    async fn compare_chains(&mut self, nodes: &[&Node], height: u64) -> Result<()> {
        let from = self.chain.len() as u64;
        let parts = try_join_all(nodes.iter().map(|node| blocks(node, from, height))).await?;
        let whole = parts.iter().position(|part| part.first == from);
        let Some(whole) = whole else { bail!("no node has all blocks from height {from} on") };
        let name = nodes[whole].name();
        for (at, block) in (from..).zip(&parts[whole].blocks) {
            let parent = self.chain.last().map_or(block.parent, |parent| parent.id);
            if block.parent != parent {
                self.violations.add(format!("{name}: block {at} does not build on the one below"));
            }
            if block.roots.is_none() {
                self.violations.add(format!("{name}: block {at} has no result"));
            }
            self.chain.push(block.clone());
        }
        for (node, part) in nodes.iter().zip(&parts) {
            self.oldest.entry(node.index).or_insert(part.first);
            let ours = self.chain.iter().skip(usize::try_from(part.first)?);
            let pairs = (part.first..).zip(ours.zip(&part.blocks));
            let differ =
                pairs.filter(|(_, (one, other))| one != other).map(|(at, (one, other))| {
                    format!("height {at}: {name} has {one:?}, {} has {other:?}", node.name())
                });
            self.violations.add_some(differ.collect());
        }
        Ok(())
    }

    /// Nodes of one epoch know the same validators.
    async fn compare_sets(&mut self, nodes: &[&Node]) -> Result<()> {
        let mut found = Vec::new();
        for _ in 0..SET_LOOKS {
            found = try_join_all(nodes.iter().map(|node| node.client.validators())).await?;
            let epochs: BTreeSet<_> = found.iter().map(|set| set.epoch).collect();
            if epochs.len() <= 1 {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        let members = |set: &Validators| -> Vec<_> {
            let member = |one: &ValidatorInfo| (one.index, one.public_key, one.power);
            set.validators.iter().filter(|one| one.index.is_some()).map(member).collect()
        };
        // Those that are in different epochs at every look lie apart by a moment: they are compared another time.
        let mut known: BTreeMap<u64, (String, Vec<_>)> = BTreeMap::new();
        for (node, set) in nodes.iter().zip(&found) {
            let (name, theirs) = (node.name(), members(set));
            let sum: u64 = theirs.iter().map(|(.., power)| power).sum();
            if sum != set.total_power {
                let (epoch, total) = (set.epoch, set.total_power);
                self.violations.add(format!(
                    "epoch {epoch}: {name} says {total} of powers that sum up to {sum}"
                ));
            }
            let (first, ours) =
                known.entry(set.epoch).or_insert_with(|| (name.clone(), theirs.clone()));
            if *ours != theirs {
                self.violations.add(format!(
                    "epoch {}: {first} knows the validators {ours:?}, {name} {theirs:?}",
                    set.epoch
                ));
            }
        }
        Ok(())
    }

    /// Every acknowledged transfer took effect once, in the block that was named, on every node.
    async fn look_up(&mut self, nodes: &[&Node], transfers: &[Acknowledged]) -> Result<()> {
        for part in transfers.chunks(RECEIPTS) {
            let hashes: Vec<B256> = part.iter().map(|transfer| transfer.hash).collect();
            let found = try_join_all(nodes.iter().map(|node| node.rpc.receipts(&hashes))).await?;
            for (node, receipts) in nodes.iter().zip(&found) {
                let oldest = self.oldest.get(&node.index).copied().unwrap_or(0);
                let kept = part
                    .iter()
                    .zip(receipts)
                    .filter(|(transfer, _)| oldest == 0 || transfer.height > oldest);
                let wrong = kept.filter(|(transfer, receipt)| {
                    !receipt.as_ref().is_some_and(|receipt| {
                        receipt.status == "0x1" && receipt.block_hash == transfer.block
                    })
                });
                let wrong = wrong.map(|(transfer, receipt)| {
                    let name = node.name();
                    format!("{name}: {transfer:?} was acknowledged, and its receipt is {receipt:?}")
                });
                self.violations.add_some(wrong.collect());
            }
        }
        Ok(())
    }
}

/// A node's metrics: name with labels, value.
async fn metrics(node: &Node) -> Result<Vec<(String, f64)>> {
    let text = node.rpc.metrics().await?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    Ok(lines.filter_map(parse).collect())
}

/// Whether a node is in the set of its epoch and signs nothing. One that started without a record, as one does that
/// never signed before, waits for an epoch that began three seconds after its start: so many epochs may pass.
async fn is_silent(node: &Node) -> Result<bool> {
    let deadline = Instant::now() + SILENCE;
    let mut last = None;
    loop {
        let config = node.client.epoch("current").await?.config;
        let signs =
            metrics(node).await?.iter().any(|(name, value)| name == "neura_signs" && *value > 0.0);
        let serves = config.set.iter().any(|(_, member)| member.account == node.account);
        if signs || !serves {
            return Ok(false);
        }
        let last = *last.get_or_insert(config.epoch + SILENT_EPOCHS);
        if config.epoch > last || Instant::now() > deadline {
            return Ok(true);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The sum of all changes of power between two sets.
fn moved(before: &ValidatorSet, after: &ValidatorSet) -> u64 {
    let powers = |set: &ValidatorSet| -> BTreeMap<Address, u64> {
        set.iter().map(|(_, member)| (member.account, member.power)).collect()
    };
    let (before, after) = (powers(before), powers(after));
    let accounts: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let of = |set: &BTreeMap<Address, u64>, account| set.get(account).copied().unwrap_or(0);
    accounts.into_iter().map(|account| of(&before, account).abs_diff(of(&after, account))).sum()
}

/// Blocks of a node from the height `first` on.
struct Part {
    first: u64,
    blocks: Vec<Agreed>,
}

/// Blocks of a node from a height to another, as far down as it keeps them: one that joined by snapshot has no others.
async fn blocks(node: &Node, from: u64, to: u64) -> Result<Part> {
    let mut blocks = Vec::new();
    let mut first = to + 1;
    while first > from {
        let page = node.rpc.blocks_below(first).await?;
        if page.is_empty() {
            break;
        }
        for block in page.iter().filter(|block| block.height >= from) {
            let wanted = first - 1;
            ensure!(block.height == wanted, "{} lists {} for {wanted}", node.name(), block.height);
            blocks.push(Agreed::from(block));
            first = wanted;
        }
    }
    blocks.reverse();
    Ok(Part { first, blocks })
}
