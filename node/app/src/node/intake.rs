//! Take transactions in, from users and from other nodes, and pass on those that users brought.
//!
//! A validator seals them into batches; any other node gossips them, and one validator after the other may seal what it
//! hears that way, until one has.

use std::{collections::VecDeque, path::Path, sync::Arc, time::Duration};

use neura_p2p::{Acceptance, NetworkHandle};
use neura_runtime::{
    InvalidTransaction, PoolError as StateRefusal, is_delegated, validate_for_pool,
};
use neura_types::{
    Address, B256, Bytes, StateRead, Transaction, TransactionError, hash::keccak, state::StateError,
};
use parking_lot::Mutex;
use rayon::prelude::*;
use tokio::{sync::mpsc, time::Instant};

use super::{
    chain::Chain,
    executor::Decoded,
    wire::{self, Bundle, MAX_BUNDLE_BYTES},
    workload::Turn,
};
use crate::mempool::{self, PoolError, Sealing, Standing, journal::Journal};

/// How long transactions wait for others to share a bundle with.
const BUNDLE_WAIT: Duration = Duration::from_millis(2);
/// After so long in the pool a transaction is passed on again.
const RESEND_AFTER: Duration = Duration::from_secs(1);
/// A bundle is closed at this size: one frame that does not delay others for long.
const BUNDLE_BYTES: usize = 64 << 10;
/// Transactions that may wait to be passed on; beyond, they stay in this node's pool alone.
const OUTGOING: usize = 8_192;

/// Why a transaction is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Not a transaction of this chain.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The state does not allow it.
    #[error("{error}")]
    State {
        /// Why.
        error: InvalidTransaction,
        /// Who sent it.
        sender: Address,
    },
    /// The pool does not take it.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The node failed.
    #[error(transparent)]
    Internal(#[from] StateError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] neura_storage::StorageError),
}

/// The door for transactions.
#[derive(Debug, Clone)]
pub struct Intake {
    chain: Arc<Chain>,
    outgoing: mpsc::Sender<Arc<Transaction>>,
    journal: Arc<Mutex<Journal>>,
}

impl Intake {
    /// Opens the door, and passes on what comes in until the node stops.
    ///
    /// What users had brought before this start and is not settled is taken again from the journal.
    ///
    /// # Errors
    /// If the journal cannot be read or written.
    pub fn start(
        chain: Arc<Chain>,
        network: NetworkHandle,
        journal: &Path,
    ) -> std::io::Result<Self> {
        let (journal, before) = Journal::open(journal)?;
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let courier = Courier { chain: Arc::clone(&chain), network, sent: VecDeque::new() };
        tokio::spawn(courier.run(queue));
        let intake = Self { chain, outgoing, journal: Arc::new(Mutex::new(journal)) };
        let again = intake.clone();
        tokio::task::spawn_blocking(move || again.take_again(before));
        Ok(intake)
    }

    /// Takes a user's transaction and passes it on.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn submit(&self, raw: Bytes) -> Result<Arc<Transaction>, Refused> {
        let tx = Arc::new(Transaction::decode(raw, self.chain.genesis.chain_id)?);
        self.admit(&tx, Sealing::Due(std::time::Instant::now()))?;
        let waits = |raw: &Bytes| self.chain.mempool.lock().contains(&keccak(raw));
        if let Err(error) = self.journal.lock().append(&tx.raw, waits) {
            self.chain.failure.stop(format!("writing the journal of transactions: {error}"));
        }
        self.pass_on(&tx);
        Ok(tx)
    }

    fn pass_on(&self, tx: &Arc<Transaction>) {
        if self.chain.validator().is_some() {
            self.chain.batches.sealable.notify_one();
        } else if self.outgoing.try_send(Arc::clone(tx)).is_err() {
            tracing::debug!(hash = %tx.hash, "not passed on: too many transactions wait");
        }
    }

    /// Takes what the journal holds. What was executed meanwhile is refused by its nonce.
    fn take_again(&self, before: Vec<Bytes>) {
        let chain_id = self.chain.genesis.chain_id;
        let decode = |raw: Bytes| Transaction::decode(raw, chain_id).map(Arc::new).ok();
        let transactions: Vec<_> = before.into_par_iter().filter_map(decode).collect();
        let mut taken = 0;
        for tx in transactions {
            if self.admit(&tx, Sealing::Due(std::time::Instant::now())).is_ok() {
                taken += 1;
                self.pass_on(&tx);
            }
        }
        if taken > 0 {
            tracing::info!(transactions = taken, "taken again from the journal");
        }
    }

    fn admit(&self, tx: &Arc<Transaction>, sealing: Sealing) -> Result<(), Refused> {
        // Below the lowest base fee it could never run; above, it may wait for the base fee to fall.
        let lowest = self.chain.params().min_base_fee;
        let refused = |error| match error {
            StateRefusal::Invalid(invalid) => Refused::State { error: invalid, sender: tx.sender },
            StateRefusal::State(error) => Refused::Internal(error),
        };
        validate_for_pool(&self.chain.store.state()?, &self.chain.params(), tx, lowest)
            .map_err(refused)?;
        mempool::admit(&self.chain.mempool, tx, sealing, || self.standing(tx.sender))?;
        // No receiver is no failure: they come and go.
        let _ = self.chain.arrivals.send(Arc::clone(tx));
        Ok(())
    }

    /// What the state says of an account now.
    fn standing(&self, sender: Address) -> Result<Standing, Refused> {
        let state = self.chain.store.state()?;
        let account = state.account(sender)?.unwrap_or_default();
        let is_delegated = is_delegated(&state, &account)?;
        Ok(Standing { nonce: account.nonce, balance: account.balance, is_delegated })
    }

    /// Takes the transactions that another node sends. Says whether the bytes were a bundle at all, and whether every
    /// transaction in it was well formed.
    pub async fn take_bundle(&self, bytes: Bytes) -> Acceptance {
        let Ok(Bundle(items)) = wire::decode::<Bundle>(&bytes, MAX_BUNDLE_BYTES) else {
            return Acceptance::Reject;
        };
        let intake = self.clone();
        let taken = tokio::task::spawn_blocking(move || intake.take_all(items)).await;
        taken.unwrap_or(Acceptance::Ignore)
    }

    /// Those that the pool does not hold: recovering a signature costs far more than looking.
    fn unknown(&self, items: Vec<Bytes>) -> Vec<Bytes> {
        let hashes: Vec<B256> = items.iter().map(|raw| keccak(raw)).collect();
        let pool = self.chain.mempool.lock();
        items
            .into_iter()
            .zip(hashes)
            .filter(|(_, hash)| !pool.contains(hash))
            .map(|(raw, _)| raw)
            .collect()
    }

    fn take_all(&self, items: Vec<Bytes>) -> Acceptance {
        let chain_id = self.chain.genesis.chain_id;
        let unknown = self.unknown(items);
        let decoded: Vec<_> = unknown
            .into_par_iter()
            .map(|raw| Transaction::decode(raw, chain_id).map(Arc::new))
            .collect();
        let mut verdict = Acceptance::Ignore;
        let turn = Turn::of(&self.chain);
        for tx in decoded {
            match tx {
                Err(_) => return Acceptance::Reject,
                Ok(tx) => match self.admit(&tx, Sealing::Due(turn.due(&tx.hash))) {
                    Ok(()) => verdict = Acceptance::Accept,
                    Err(error) => tracing::trace!(hash = %tx.hash, %error, "not taken"),
                },
            }
        }
        self.chain.batches.sealable.notify_one();
        verdict
    }

    /// Verifies the transactions of a batch, all that are not known at once, and puts them into the pool as sealed.
    pub fn take_batch(&self, items: Vec<Bytes>) -> Vec<Decoded> {
        let now = std::time::Instant::now();
        let hashes: Vec<B256> = items.iter().map(|raw| keccak(raw)).collect();
        let known: Vec<Option<Arc<Transaction>>> = {
            let mut pool = self.chain.mempool.lock();
            let mut seal = |hash| {
                pool.set_sealing(hash, Sealing::Sealed(now));
                pool.get(hash)
            };
            hashes.iter().map(&mut seal).collect()
        };
        let chain_id = self.chain.genesis.chain_id;
        let decode = |(raw, known): (Bytes, Option<Arc<Transaction>>)| match known {
            Some(tx) => (Ok(tx), false),
            // A copy: the pool must not keep a whole batch in memory for one transaction.
            None => {
                let raw = Bytes::copy_from_slice(&raw);
                (Transaction::decode(raw, chain_id).map(Arc::new), true)
            }
        };
        let decoded: Vec<(Decoded, bool)> = items.into_par_iter().zip(known).map(decode).collect();
        let take = |(tx, new): (Decoded, bool)| {
            if let Some(tx) = tx.as_ref().ok().filter(|_| new)
                && let Err(error) = self.admit(tx, Sealing::Sealed(now))
            {
                tracing::trace!(hash = %tx.hash, %error, "not taken into the pool");
            }
            tx
        };
        decoded.into_iter().map(take).collect()
    }
}

/// Passes users' transactions on: at once, and again as long as they stay in the pool, because a message can be lost.
struct Courier {
    chain: Arc<Chain>,
    network: NetworkHandle,
    /// What was passed on and may still wait: when, and what.
    sent: VecDeque<(Instant, B256)>,
}

impl Courier {
    async fn run(mut self, mut queue: mpsc::Receiver<Arc<Transaction>>) {
        let mut again = tokio::time::interval(RESEND_AFTER);
        loop {
            tokio::select! {
                first = queue.recv() => match first {
                    Some(first) => self.bundle(first, &mut queue).await,
                    None => return,
                },
                _ = again.tick() => self.resend(),
            }
        }
    }

    async fn bundle(
        &mut self,
        first: Arc<Transaction>,
        queue: &mut mpsc::Receiver<Arc<Transaction>>,
    ) {
        let mut size = first.raw.len();
        let mut items = vec![first];
        let deadline = Instant::now() + BUNDLE_WAIT;
        while size < BUNDLE_BYTES {
            match tokio::time::timeout_at(deadline, queue.recv()).await {
                Ok(Some(tx)) => {
                    size += tx.raw.len();
                    items.push(tx);
                }
                Ok(None) | Err(_) => break,
            }
        }
        let now = Instant::now();
        self.sent.extend(items.iter().map(|tx| (now, tx.hash)));
        while self.sent.len() > OUTGOING {
            self.sent.pop_front();
        }
        self.send(items.iter().map(|tx| tx.raw.clone()).collect());
    }

    /// Sends again what has waited for long; what left the pool is forgotten.
    fn resend(&mut self) {
        let mut items = Vec::new();
        let mut size = 0;
        let now = Instant::now();
        while let Some((at, hash)) = self.sent.front().copied() {
            if now.duration_since(at) < RESEND_AFTER || size >= BUNDLE_BYTES {
                break;
            }
            self.sent.pop_front();
            if let Some(tx) = self.chain.mempool.lock().get(&hash) {
                size += tx.raw.len();
                items.push(tx.raw.clone());
                self.sent.push_back((now, hash));
            }
        }
        if !items.is_empty() {
            self.send(items);
        }
    }

    fn send(&self, items: Vec<Bytes>) {
        let frame = wire::encode(&Bundle(items)).0;
        if let Err(error) = self.network.publish(frame) {
            tracing::debug!(%error, "transactions not passed on");
        }
    }
}
