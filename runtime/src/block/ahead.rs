//! Run transactions ahead of their turn on several threads, each over the state as it stands when they start.
//!
//! # Design
//! - The next transactions of a block make a wave. Those of one sender run one after the other on one thread and see
//!   what those before them did; otherwise each sees the state that the block has come to, and what it read is noted.
//! - When its turn comes and everything that it read still holds, running it again would do the same: what it did is
//!   taken over. If not, it runs in its turn. The result is that of running one after the other, by construction.
//! - The tip is left out when running ahead, or each transaction would contradict the one before: it is paid in turn.
//! - Creations, destructions and delegations are left to their turn: they change more of an account than its balance,
//!   nonce and words. So are transactions that cannot run code: they cost no more than taking them over.
//!
//! # Invariants
//! - All transactions of a wave fit into the gas that the block has left, so that no more is run ahead than is used.

mod before;
#[cfg(test)]
mod tests;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use alloy_primitives::{Address, map::HashMap};
use neura_types::{StateRead, Transaction, TransactionError};
use revm::{
    context::result::ExecutionResult, context_interface::JournalTr, handler::Handler,
    state::EvmState,
};

use before::{Before, Reads};

use crate::{
    error::RuntimeError,
    evm::{BlockHandler, Effects, Machine, machine, transaction_environment},
    modules::host::BlockContext,
    native::Modules,
};

/// Transactions of a block's first wave: enough for all threads, few enough to lose if they stand in each other's way.
const FIRST_WAVE: usize = 32;
/// Most transactions of a wave. Later ones would see a state of long ago.
const LARGEST_WAVE: usize = 1_024;
/// Fewest senders of a wave that is run ahead: below, starting the threads costs more than they save.
const FEWEST_SENDERS: usize = 8;

/// Gas of a transaction that can pay for no instruction.
const NO_CODE_GAS: u64 = 21_000;

/// A transaction of a block, decoded.
pub(super) type Decoded = Result<Arc<Transaction>, TransactionError>;

/// Whether it may pay to run a transaction ahead of its turn.
pub(super) fn may_pay(transaction: &Decoded) -> bool {
    transaction.as_ref().is_ok_and(|transaction| transaction.gas_limit > NO_CODE_GAS)
}

/// What a transaction did ahead of its turn.
pub(super) struct Ahead {
    pub(super) result: ExecutionResult,
    pub(super) effects: Effects,
    /// The accounts that it read or changed.
    pub(super) state: EvmState,
    reads: Reads,
}

impl Ahead {
    /// Whether everything that it read still holds.
    pub(super) fn holds(&self, block: &EvmState) -> bool {
        self.reads.hold(block)
    }
}

/// How far to run ahead in a block: further while that goes well, no more when it does not.
#[derive(Debug)]
pub(crate) struct Lookahead {
    threads: NonZeroUsize,
    fewest_senders: usize,
    wave: usize,
}

impl Lookahead {
    pub(crate) const fn new(threads: NonZeroUsize) -> Self {
        Self { threads, fewest_senders: FEWEST_SENDERS, wave: FIRST_WAVE }
    }

    /// Runs ahead whatever it costs.
    #[cfg(test)]
    pub(crate) const fn always(threads: NonZeroUsize) -> Self {
        Self { threads, fewest_senders: 1, wave: FIRST_WAVE }
    }

    /// How many of a block's next transactions make a wave, with `gas` left: at least one if there are any.
    pub(super) fn wave(&self, next: &[Decoded], gas: u64) -> usize {
        if self.threads.get() == 1 {
            return next.len();
        }
        let mut left = gas;
        let fits = |transaction: &&Decoded| {
            let wanted = transaction.as_ref().map_or(0, |transaction| transaction.gas_limit);
            left.checked_sub(wanted).map(|rest| left = rest).is_some()
        };
        next.iter().take(self.wave).take_while(fits).count().max(1).min(next.len())
    }

    /// Learns how many of the transactions that were run ahead could be taken over.
    pub(super) fn learn(&mut self, ahead: usize, taken: usize) {
        if taken.saturating_mul(4) >= ahead.saturating_mul(3) {
            self.wave = self.wave.saturating_mul(2).min(LARGEST_WAVE);
        } else if taken.saturating_mul(2) < ahead {
            self.threads = NonZeroUsize::MIN;
        }
    }

    /// Runs a wave. There is one entry for each of its transactions, or none at all if it is not worth it.
    ///
    /// # Errors
    /// If a thread panicked: so would the block in its turn.
    pub(super) fn run<S: StateRead + Sync>(
        &self,
        state: &S,
        block: (&EvmState, &Effects),
        wave: &[Decoded],
        (context, modules): (&BlockContext, &dyn Modules),
    ) -> Result<Vec<Option<Ahead>>, RuntimeError> {
        let lanes = lanes(wave);
        if self.threads.get() == 1 || lanes.len() < self.fewest_senders {
            return Ok(Vec::new());
        }
        let code = block.1.code(block.0);
        let next = AtomicUsize::new(0);
        let work = || {
            let before = Before::new(state, block.0, &code);
            let mut runner =
                Runner { before: &before, machine: machine(&before, context, modules) };
            let mut done = Vec::new();
            while let Some(lane) = lanes.get(next.fetch_add(1, Ordering::Relaxed)) {
                before.begin_lane();
                done.extend(
                    lane.iter()
                        .filter_map(|(at, transaction)| Some((*at, runner.run(transaction)?))),
                );
            }
            done
        };
        let threads = self.threads.get().min(lanes.len());
        let done = thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for other in others {
                let panicked =
                    |_| RuntimeError::Evm("a thread that ran transactions ahead panicked".into());
                done.extend(other.join().map_err(panicked)?);
            }
            Ok::<_, RuntimeError>(done)
        })?;
        let mut ahead: Vec<Option<Ahead>> = wave.iter().map(|_| None).collect();
        for (at, done) in done {
            if let Some(place) = ahead.get_mut(at) {
                *place = Some(done);
            }
        }
        Ok(ahead)
    }
}

/// The transactions of a wave that may pay, by sender, with their places, in the order of the senders' first ones.
fn lanes(wave: &[Decoded]) -> Vec<Vec<(usize, &Transaction)>> {
    let mut lane_of: HashMap<Address, usize> = HashMap::default();
    let mut lanes: Vec<Vec<(usize, &Transaction)>> = Vec::new();
    for (at, transaction) in wave.iter().enumerate().filter(|(_, one)| may_pay(one)) {
        let Ok(transaction) = transaction else { continue };
        let lane = *lane_of.entry(transaction.sender).or_insert_with(|| {
            lanes.push(Vec::new());
            lanes.len().saturating_sub(1)
        });
        if let Some(lane) = lanes.get_mut(lane) {
            lane.push((at, transaction));
        }
    }
    lanes
}

/// A machine that runs ahead, on one thread.
struct Runner<'b, 's, 'm, S: StateRead> {
    before: &'b Before<'s, S>,
    machine: Machine<'b, 'm, Before<'s, S>>,
}

impl<S: StateRead> Runner<'_, '_, '_, S> {
    /// Runs a transaction of the lane; none if it must wait for its turn.
    fn run(&mut self, transaction: &Transaction) -> Option<Ahead> {
        let mut effects = Effects::default();
        self.machine.ctx.tx = transaction_environment(transaction);
        let result = BlockHandler::ahead(&mut effects).run(&mut self.machine);
        let state = self.machine.ctx.journaled_state.finalize();
        let reads = self.before.take_reads();
        let result = result.ok().filter(|_| effects.is_plain(&state))?;
        self.before.lane_did(&effects, &state);
        Some(Ahead { result, effects, state, reads })
    }
}
