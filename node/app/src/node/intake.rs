//! Take transactions in, from users and from other nodes, and pass on those that users brought.
//!
//! A validator sends them to the other validators in bundles over its direct links; any other node gossips them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use neura_p2p::{Acceptance, Class, NetworkHandle};
use neura_runtime::{InvalidTransaction, PoolError as StateRefusal, validate_for_pool};
use neura_types::{
    Address, B256, Bytes, StateRead, Transaction, TransactionError, hash::keccak, state::StateError,
};
use rayon::prelude::*;
use tokio::{sync::mpsc, time::Instant};

use super::{
    chain::Chain,
    wire::{self, Bundle, MAX_BUNDLE_BYTES},
};
use crate::mempool::PoolError;

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
}

impl Intake {
    /// Opens the door, and passes on what comes in until the node stops.
    pub fn start(chain: Arc<Chain>, network: NetworkHandle, validator: bool) -> Self {
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let courier =
            Courier { chain: Arc::clone(&chain), network, validator, sent: VecDeque::new() };
        tokio::spawn(courier.run(queue));
        Self { chain, outgoing }
    }

    /// Takes a user's transaction and passes it on.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn submit(&self, raw: Bytes) -> Result<Arc<Transaction>, Refused> {
        let tx = Arc::new(Transaction::decode(raw, self.chain.genesis.chain_id)?);
        self.admit(&tx)?;
        self.chain.wake.notify_one();
        if self.outgoing.try_send(Arc::clone(&tx)).is_err() {
            tracing::debug!(hash = %tx.hash, "not passed on: too many transactions wait");
        }
        Ok(tx)
    }

    fn admit(&self, tx: &Arc<Transaction>) -> Result<(), Refused> {
        let (nonce, balance) = {
            let state = self.chain.store.state()?;
            // Below the lowest base fee it could never run; above, it may wait for the base fee to fall.
            let lowest = self.chain.params.min_base_fee;
            validate_for_pool(&state, &self.chain.params, tx, lowest).map_err(
                |error| match error {
                    StateRefusal::Invalid(invalid) => {
                        Refused::State { error: invalid, sender: tx.sender }
                    }
                    StateRefusal::State(error) => Refused::Internal(error),
                },
            )?;
            let account = state.account(tx.sender)?.unwrap_or_default();
            (account.nonce, account.balance)
        };
        Ok(self.chain.mempool.lock().insert(Arc::clone(tx), nonce, balance)?)
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
        for tx in decoded {
            match tx {
                Err(_) => return Acceptance::Reject,
                Ok(tx) => match self.admit(&tx) {
                    Ok(()) => verdict = Acceptance::Accept,
                    Err(error) => tracing::trace!(hash = %tx.hash, %error, "not taken"),
                },
            }
        }
        self.chain.wake.notify_one();
        verdict
    }
}

/// Passes users' transactions on: at once, and again as long as they stay in the pool, because a message can be lost.
struct Courier {
    chain: Arc<Chain>,
    network: NetworkHandle,
    validator: bool,
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
        let sent = if self.validator {
            self.network.broadcast(Class::Batch, frame).map(|_| ()).map_err(|e| e.to_string())
        } else {
            self.network.publish(frame).map_err(|e| e.to_string())
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "transactions not passed on");
        }
    }
}
