//! What must hold on every node, read from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use futures::future::try_join_all;
use neura_types::{
    B256,
    rest::{BlockSummary, ValidatorInfo, Validators},
};

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

    /// A validator signs, and no counter of evidence has moved.
    async fn read_metrics(&mut self, nodes: &[&Node]) -> Result<()> {
        let texts = try_join_all(nodes.iter().map(|node| node.rpc.metrics())).await?;
        for (node, text) in nodes.iter().zip(texts) {
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let (name, value) = line.rsplit_once(' ').unwrap_or((line, "0"));
                let value: f64 = value.parse().unwrap_or(0.0);
                if name.contains("evidence") && value > 0.0 {
                    self.violations.add(format!("{}: {line}", node.name()));
                }
                if name == "neura_signs" && value == 0.0 && node.validator {
                    self.violations
                        .add(format!("{} is a validator and signs nothing", node.name()));
                }
            }
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
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let members = |set: &Validators| -> Vec<_> {
            let member = |one: &ValidatorInfo| (one.index, one.public_key, one.power);
            set.validators.iter().filter(|one| one.index.is_some()).map(member).collect()
        };
        // Those that are in different epochs at every look lie apart by a moment: they are compared another time.
        let mut known: BTreeMap<u64, (String, Vec<_>)> = BTreeMap::new();
        for (node, set) in nodes.iter().zip(&found) {
            let (name, theirs) = (node.name(), members(set));
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
