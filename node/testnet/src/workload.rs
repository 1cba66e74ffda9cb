//! Traffic: signed transfers of several accounts, and a ledger of what was acknowledged as final.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use neura_client::Client;
use neura_types::{
    Address, B256, Bytes, U256, hash::keccak, keys::EthKey, rest::Finality,
    transaction::UnsignedTransaction,
};
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::Network;

/// Transfers of one account that are on their way at a time.
const WINDOW: usize = 4;
/// Pause between two looks of one account at its oldest transfer.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// A transfer that no node shows in a block for so long is handed over again, to a node drawn anew.
const HAND_OVER_AGAIN: Duration = Duration::from_millis(400);
/// Time for one request: nodes are killed, paused and cut off while they work on it.
const REQUEST: Duration = Duration::from_secs(1);
/// Gas of a transfer.
const TRANSFER_GAS: u64 = 21_000;
/// Fee cap that outlasts a rising base fee.
const FEE_CAP: u128 = 10_000_000_000_000;
/// Tip per gas: what nodes suggest.
const TIP: u128 = 1_000_000_000;

/// An account that pays one wei at a time, and the one that is paid.
#[derive(Debug, Clone)]
pub struct Payer {
    /// Signs.
    pub key: EthKey,
    /// Receives from this payer alone.
    pub recipient: Address,
}

/// So many payers with fixed keys; their accounts must be in the genesis file.
///
/// # Errors
/// If a key cannot be made.
pub fn payers(count: usize) -> Result<Vec<Payer>> {
    (0..count)
        .map(|index| {
            let seed = keccak(format!("payer {index}").as_bytes());
            let recipient =
                Address::from_slice(&keccak(format!("paid by {index}").as_bytes())[..20]);
            Ok(Payer { key: EthKey::from_bytes(seed.0)?, recipient })
        })
        .collect()
}

impl Payer {
    /// A signed transfer of one wei.
    pub fn sign(&self, chain_id: u64, nonce: u64) -> Bytes {
        UnsignedTransaction {
            chain_id,
            nonce,
            gas_limit: TRANSFER_GAS,
            max_fee_per_gas: FEE_CAP,
            max_priority_fee_per_gas: TIP,
            to: self.recipient.into(),
            value: U256::from(1),
            input: Bytes::new(),
        }
        .sign_eth(&self.key)
    }
}

/// A transfer that a node called final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// The transaction.
    pub hash: B256,
    /// The block that the node named.
    pub block: B256,
    /// Its height.
    pub height: u64,
}

/// What was sent, and what was acknowledged.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Transfers acknowledged as final, in the order in which they were.
    pub acknowledged: Vec<Acknowledged>,
    /// Transfers signed by each payer, and so the nonce of its next one.
    pub signed: Vec<u64>,
    /// What each payer waits for and why, as far as it knows.
    pub waiting: Vec<String>,
}

/// Transfers that go on until they are stopped.
#[derive(Debug)]
pub struct Payments {
    /// Who pays.
    pub payers: Vec<Payer>,
    ledger: Arc<Mutex<Ledger>>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Payments {
    /// Starts them against all nodes of a network; what they draw is drawn from `seed`.
    pub fn start(network: &Network, payers: Vec<Payer>, seed: u64) -> Self {
        let stop = watch::Sender::new(false);
        let ledger = Arc::new(Mutex::new(Ledger {
            acknowledged: Vec::new(),
            signed: vec![0; payers.len()],
            waiting: vec![String::new(); payers.len()],
        }));
        let clients: Arc<[Client]> = network.nodes.iter().map(|node| node.client.clone()).collect();
        let mut tasks = JoinSet::new();
        for (index, payer) in payers.iter().enumerate() {
            let account = Account {
                index,
                payer: payer.clone(),
                chain_id: network.chain_id,
                clients: Arc::clone(&clients),
                ledger: Arc::clone(&ledger),
                rng: ChaCha8Rng::seed_from_u64(seed ^ ((index as u64) << 48)),
                window: VecDeque::new(),
                next: 0,
            };
            tasks.spawn(account.run(stop.subscribe()));
        }
        Self { payers, ledger, stop, tasks }
    }

    /// Reads the ledger.
    pub fn ledger<T>(&self, read: impl FnOnce(&Ledger) -> T) -> T {
        read(&self.ledger.lock())
    }

    /// Signs no more, and waits until every transfer has been acknowledged.
    ///
    /// # Errors
    /// If none was for so long as `patience`; the text says which wait and what the nodes said last.
    pub async fn finish(&mut self, patience: Duration) -> Result<()> {
        self.stop.send_replace(true);
        let acknowledged = || self.ledger.lock().acknowledged.len();
        let mut seen = acknowledged();
        loop {
            match tokio::time::timeout(patience, self.tasks.join_next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(_)) => {}
                Err(_) if acknowledged() > seen => seen = acknowledged(),
                Err(_) => {
                    let (waiting, s) = (self.ledger.lock().waiting.join("; "), patience.as_secs());
                    bail!("transfers without an outcome for {s} s: {waiting}");
                }
            }
        }
    }
}

#[derive(Debug)]
struct OnItsWay {
    raw: Bytes,
    hash: B256,
    nonce: u64,
    handed_over: Instant,
}

struct Account {
    index: usize,
    payer: Payer,
    chain_id: u64,
    clients: Arc<[Client]>,
    ledger: Arc<Mutex<Ledger>>,
    rng: ChaCha8Rng,
    window: VecDeque<OnItsWay>,
    next: u64,
}

impl Account {
    async fn run(mut self, stop: watch::Receiver<bool>) {
        loop {
            let stopping = *stop.borrow();
            while !stopping && self.window.len() < WINDOW {
                self.send_next().await;
            }
            if self.window.is_empty() {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            self.look().await;
        }
    }

    fn any_node(&mut self) -> Client {
        self.clients[self.rng.random_range(0..self.clients.len())].clone()
    }

    async fn send_next(&mut self) {
        let (nonce, raw) = (self.next, self.payer.sign(self.chain_id, self.next));
        self.next += 1;
        self.ledger.lock().signed[self.index] = self.next;
        let handed_over = Instant::now();
        self.window.push_back(OnItsWay {
            hash: keccak(&raw),
            raw: raw.clone(),
            nonce,
            handed_over,
        });
        self.hand_over(raw).await;
    }

    /// A refusal is no outcome: the node may know the transfer, or lag behind its predecessor.
    async fn hand_over(&mut self, raw: Bytes) {
        let node = self.any_node();
        let said = match tokio::time::timeout(REQUEST, node.submit(raw)).await {
            Ok(Ok(_)) => "taken".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        let first = self.window.front().map(|first| (first.nonce, first.hash));
        let payer = self.payer.key.address();
        self.ledger.lock().waiting[self.index] = format!("{payer}, {first:?}: {said}");
    }

    /// Asks a node for the oldest ones until one is not final there.
    async fn look(&mut self) {
        let node = self.any_node();
        while let Some(first) = self.window.front() {
            let asked = tokio::time::timeout(REQUEST, node.transaction(first.hash)).await;
            let place = match asked {
                Ok(Ok(info)) if info.finality >= Finality::Ordered => info.inclusion,
                _ => None,
            };
            let Some(place) = place else {
                if first.handed_over.elapsed() > HAND_OVER_AGAIN {
                    self.hand_over_all_again().await;
                }
                return;
            };
            let (hash, block, height) = (first.hash, place.block, place.height);
            let mut ledger = self.ledger.lock();
            ledger.acknowledged.push(Acknowledged { hash, block, height });
            ledger.waiting[self.index].clear();
            drop(ledger);
            self.window.pop_front();
        }
    }

    async fn hand_over_all_again(&mut self) {
        let raws: Vec<Bytes> = self.window.iter().map(|tx| tx.raw.clone()).collect();
        self.window.iter_mut().for_each(|tx| tx.handed_over = Instant::now());
        for raw in raws {
            self.hand_over(raw).await;
        }
    }
}
