//! Where the transactions of batches come from, and who verifies those of others.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use neura_types::{B256, Bytes, ValidatorIndex};
use parking_lot::Mutex;

use super::{
    batches::{Frame, MAX_BATCH_BYTES, MAX_BATCH_ITEMS},
    chain::Chain,
    executor::Decoded,
    intake::Intake,
};
use crate::mempool::{BatchLimits, Sealing};

/// How much later than the validator before it each one seals a transaction that all of them know: longer than a batch
/// takes to reach everyone, so that normally one seals it.
const TURN: Duration = Duration::from_millis(500);
/// How long a transaction may wait, as in geth.
const LIFETIME: Duration = Duration::from_secs(3 * 3_600);
/// A transaction that was sealed and not executed for so long is sealed again: longer than batches live.
const LOST_AFTER: Duration = Duration::from_secs(45);

/// Fills batches.
pub trait Workload: Send + Sync + std::fmt::Debug {
    /// Transactions for this node's next batch; empty if nothing waits.
    fn seal(&self) -> Vec<Bytes>;
    /// Verifies the transactions of a batch, in its order. Empty if nothing is executed.
    fn verify(&self, frame: &Frame) -> Vec<Decoded>;
    /// A batch with these transactions was dropped.
    fn released(&self, transactions: &[Decoded]);
    /// Time passes.
    fn sweep(&self);
}

/// The transactions of the pool.
#[derive(Debug)]
pub struct PoolWorkload {
    chain: Arc<Chain>,
    intake: Intake,
}

impl PoolWorkload {
    /// Takes from the chain's pool, and puts others' transactions into it through the intake.
    pub fn new(chain: Arc<Chain>, intake: Intake) -> Self {
        Self { chain, intake }
    }
}

impl Workload for PoolWorkload {
    fn seal(&self) -> Vec<Bytes> {
        let limits = BatchLimits {
            bytes: MAX_BATCH_BYTES,
            gas: self.chain.epochs.current().params.block_gas_limit,
            base_fee: self.chain.next_base_fee.load(Ordering::Relaxed),
        };
        let sealed = self.chain.mempool.lock().seal(limits, Instant::now());
        sealed.iter().map(|tx| tx.raw.clone()).collect()
    }

    fn verify(&self, frame: &Frame) -> Vec<Decoded> {
        self.intake.take_batch(frame.items())
    }

    fn released(&self, transactions: &[Decoded]) {
        release(&self.chain, transactions.iter().flatten().map(|tx| tx.hash));
    }

    fn sweep(&self) {
        let turn = Turn::of(&self.chain);
        let due = |hash: &B256| turn.due(hash);
        let mut pool = self.chain.mempool.lock();
        pool.unseal_older(LOST_AFTER, Instant::now(), due);
        let expired = pool.expire(LIFETIME, Instant::now());
        if expired > 0 {
            tracing::info!(expired, "transactions had waited too long");
        }
    }
}

/// Lets transactions be sealed again, of those that the pool still holds.
pub fn release(chain: &Chain, hashes: impl IntoIterator<Item = B256>) {
    let turn = Turn::of(chain);
    let mut pool = chain.mempool.lock();
    for hash in hashes {
        pool.set_sealing(&hash, Sealing::Due(turn.due(&hash)));
    }
    drop(pool);
    chain.batches.sealable.notify_one();
}

/// When this node is to seal transactions that other validators know too: one of them at once, the others one after
/// the other, should it fail to.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    me: ValidatorIndex,
    validators: u64,
    now: Instant,
}

impl Turn {
    /// In the present epoch, from now on.
    pub fn of(chain: &Chain) -> Self {
        let validators = chain.epochs.current().set.len() as u64;
        Self { me: chain.validator().unwrap_or_default(), validators, now: Instant::now() }
    }

    /// The time for a transaction.
    pub fn due(&self, hash: &B256) -> Instant {
        let first = u64::from(hash[0]) << 8 | u64::from(hash[1]);
        let rank = (first + u64::from(self.me)) % self.validators;
        self.now + TURN.saturating_mul(u32::try_from(rank).unwrap_or(u32::MAX))
    }
}

/// Bytes that nobody executes: for measuring the ordering alone.
#[derive(Debug, Default)]
pub struct OpaqueWorkload {
    /// What waits, oldest first.
    pub queue: Mutex<VecDeque<Bytes>>,
}

impl Workload for OpaqueWorkload {
    fn seal(&self) -> Vec<Bytes> {
        let mut queue = self.queue.lock();
        let mut bytes = 0;
        let fits = |item: &&Bytes| {
            bytes += item.len();
            bytes <= MAX_BATCH_BYTES
        };
        let count = queue.iter().take(MAX_BATCH_ITEMS).take_while(fits).count();
        queue.drain(..count).collect()
    }

    fn verify(&self, _: &Frame) -> Vec<Decoded> {
        Vec::new()
    }

    fn released(&self, _: &[Decoded]) {}

    fn sweep(&self) {}
}
