//! Execution by the real runtime, in memory.
//!
//! A state has no tree here: its root is a hash chain over the changes of the blocks, so that equal roots mean equal
//! histories. What a block does to a state is computed once for all nodes and again at every eighth height, and the
//! results must not differ.

use std::{collections::BTreeMap, sync::Arc};

use neura_runtime::{
    Attendance, BlockContext, BlockInput, Execution, check_invariants, check_supply, epoch_config,
    execute, genesis_changes,
};
use neura_types::{
    B256, Batch, Block, BlockId, Bytes, EpochConfig, ExecutedRoot, Genesis, Height, StateChanges,
    Transaction, block::receipts_root, codec, state::MemoryState,
};

use crate::chain::{Chain, genesis_root};

/// Heights at which every node executes for itself.
const OWN_EXECUTION: Height = 8;

/// A state and the block that led to it.
#[derive(Debug)]
pub(crate) struct Executed {
    pub(crate) root: ExecutedRoot,
    pub(crate) state: MemoryState,
    /// After the last block of an epoch: the configuration of the epoch after the next.
    pub(crate) next: Option<Arc<EpochConfig>>,
}

impl Executed {
    /// The state of genesis.
    pub(crate) fn genesis(genesis: &Genesis) -> Self {
        let changes = genesis_changes(genesis).expect("the genesis of a plan is valid");
        let mut state = MemoryState::default();
        state.apply(&changes);
        let root = genesis_root(chained(B256::ZERO, &changes));
        Self { root, state, next: None }
    }
}

/// A block to execute, with what it refers to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) id: BlockId,
    pub(crate) block: &'a Block,
    pub(crate) config: &'a Arc<EpochConfig>,
    pub(crate) batches: &'a BTreeMap<B256, Arc<Batch>>,
}

/// What was executed so far, by state and block.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    known: BTreeMap<(B256, BlockId), Arc<Executed>>,
}

impl Ledger {
    /// Executes a block over a state.
    pub(crate) fn execute(
        &mut self,
        chain: &Chain,
        before: &Executed,
        job: Job<'_>,
    ) -> Result<Arc<Executed>, String> {
        let place = (before.root.state_root, job.id);
        let known = self.known.get(&place).cloned();
        if let Some(known) = &known
            && !job.block.header.height.is_multiple_of(OWN_EXECUTION)
        {
            return Ok(Arc::clone(known));
        }
        let executed = Arc::new(run(chain, before, job)?);
        match known {
            Some(known) if known.root != executed.root => {
                Err(format!("two executions of height {} differ", executed.root.height))
            }
            Some(known) => Ok(known),
            None => {
                self.known.insert(place, Arc::clone(&executed));
                Ok(executed)
            }
        }
    }
}

/// The transactions of a block in order of execution.
fn transactions(job: Job<'_>) -> impl Iterator<Item = Bytes> {
    let held = job.block.batches.iter().filter_map(|batch| job.batches.get(&batch.digest));
    held.flat_map(|batch| batch.items.clone()).chain(job.block.payload.clone())
}

fn run(chain: &Chain, before: &Executed, job: Job<'_>) -> Result<Executed, String> {
    let header = &job.block.header;
    let context = BlockContext {
        chain_id: chain.genesis.chain_id,
        genesis: chain.context.genesis,
        height: header.height,
        timestamp_ms: header.timestamp_ms,
        proposer: job.config.set.get(header.proposer).map(|v| v.account).unwrap_or_default(),
        randomness: header.beacon.value,
        base_fee: 0,
        treasury: chain.genesis.treasury,
        attendance: Attendance::of(job.block, &job.config.set),
        epoch: Arc::clone(job.config),
    };
    let decoded: Vec<_> = transactions(job)
        .map(|raw| Transaction::decode(raw, chain.genesis.chain_id).map(Arc::new))
        .collect();
    let input = BlockInput { context: &context, transactions: &decoded };
    let Execution { changes, receipts, gas_used, next_base_fee, .. } =
        execute(&before.state, &input).map_err(|error| format!("execution failed: {error}"))?;
    let ends = header.height == job.config.last;
    let mut state = before.state.clone();
    state.apply(&changes);
    state.set_block_id(header.height, job.id);
    check_supply(&state, state.accounts().map(|(_, account)| account))
        .map_err(|error| format!("supply at height {}: {error}", header.height))?;
    if ends {
        check_invariants(&state, context).map_err(|broken| broken.join("; "))?;
    }
    let root = ExecutedRoot {
        height: header.height,
        state_root: chained(before.root.state_root, &changes),
        receipts_root: receipts_root(&receipts),
        gas_used,
        next_base_fee,
    };
    let next = match epoch_config(&state, job.config.epoch + 2) {
        Ok(next) if next.is_some() == ends => next.map(Arc::new),
        Ok(_) => return Err(format!("an epoch's configuration at height {}", header.height)),
        Err(error) => return Err(error.to_string()),
    };
    Ok(Executed { root, state, next })
}

fn chained(before: B256, changes: &StateChanges) -> B256 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before.as_slice()).update(&codec::encode(changes));
    B256::new(*hasher.finalize().as_bytes())
}
