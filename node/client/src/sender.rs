//! Build, sign, send and follow the transactions of one account.

use std::{sync::Arc, time::Duration};

use alloy_primitives::TxKind;
use neura_types::{
    Address, B256, Bytes, ChainId, U256,
    keys::{EthKey, SecretKey},
    transaction::{Transaction, UnsignedTransaction},
};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::Instant,
};

use crate::{Client, ClientError, Confirmed, confirm::Wait};

/// Gas allowed to a module's call or a creation: above what any module needs; what is not used costs nothing.
pub const CALL_GAS: u64 = 3_000_000;
/// Gas allowed to a transfer: Ethereum's 21,000 and what an identity key's signature costs, with room.
pub const TRANSFER_GAS: u64 = 100_000;
/// Tip per gas: what the node suggests too.
const TIP: u128 = 1_000_000_000;
/// Fee cap over the present base fee: holds through a dozen full blocks.
const FEE_CAP_FACTOR: u128 = 4;
/// Lowest fee cap, where the base fee is nearly nothing.
const MIN_FEE_CAP: u128 = 2_000_000_000;
/// Highest fee cap unless told otherwise: a thousand times the price of a quiet chain.
pub const DEFAULT_MAX_FEE: u128 = 1_000_000_000_000;
/// How long a transaction is waited for before it is sent again.
const RESEND: Duration = Duration::from_secs(5);
/// How often a call is signed again because its nonce was taken or its fee fell behind.
const MAX_SIGNINGS: usize = 5;

/// A key that can send.
#[derive(Debug, Clone)]
pub enum Key {
    /// An Ethereum account's.
    Ethereum(EthKey),
    /// An identity's.
    Identity(SecretKey),
}

impl Key {
    /// The account's address.
    pub fn address(&self) -> Address {
        match self {
            Self::Ethereum(key) => key.address(),
            Self::Identity(key) => key.public_key().address(),
        }
    }

    fn sign(&self, tx: UnsignedTransaction) -> Bytes {
        match self {
            Self::Ethereum(key) => tx.sign_eth(key),
            Self::Identity(key) => tx.sign_ed25519(key),
        }
    }
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Called account, or creation.
    pub to: TxKind,
    /// Value sent, in wei.
    pub value: U256,
    /// Call data or creation code.
    pub input: Bytes,
    /// Most gas that it may use.
    pub gas_limit: u64,
}

impl Outgoing {
    /// A call of a contract or module.
    pub fn call(to: Address, value: U256, input: Vec<u8>) -> Self {
        Self { to: to.into(), value, input: input.into(), gas_limit: CALL_GAS }
    }
}

/// Sends transactions of one account. Clones share the turn: of one sender's transactions, one at a time is signed
/// and handed over, so that each has a nonce of its own.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Client,
    key: Key,
    chain_id: ChainId,
    max_fee: u128,
    turn: Arc<Mutex<()>>,
}

/// A signed transaction that has not been sent. While it exists, its sender signs no other.
#[derive(Debug)]
pub struct Prepared {
    client: Client,
    raw: Bytes,
    nonce: u64,
    _turn: OwnedMutexGuard<()>,
}

impl Prepared {
    /// The envelope.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Its hash.
    pub fn hash(&self) -> B256 {
        neura_types::hash::keccak(&self.raw)
    }

    /// Its nonce.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Hands it to the node and ends the turn. Whatever the node says, the transaction may take effect from now on.
    ///
    /// # Errors
    /// Why the node refuses it.
    pub async fn send(self) -> Result<B256, ClientError> {
        match self.client.submit(self.raw.clone()).await {
            Err(error) if error.code() != "already_known" => Err(error),
            _ => Ok(self.hash()),
        }
    }
}

impl Sender {
    /// A sender of the key's account on the client's chain.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn new(client: Client, key: Key) -> Result<Self, ClientError> {
        let chain_id = client.status().await?.chain_id;
        Ok(Self { client, key, chain_id, max_fee: DEFAULT_MAX_FEE, turn: Arc::default() })
    }

    /// Pays at most this many wei per gas.
    #[must_use]
    pub fn with_max_fee(mut self, wei_per_gas: u128) -> Self {
        self.max_fee = wei_per_gas;
        self
    }

    /// The account.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// The chain.
    pub fn chain_id(&self) -> ChainId {
        self.chain_id
    }

    /// The client that it sends through.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for the turn and signs with the account's next nonce.
    ///
    /// # Errors
    /// If the node does not answer, or [`ClientError::FeeTooHigh`].
    pub async fn prepare(&self, what: Outgoing) -> Result<Prepared, ClientError> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let max_fee_per_gas = self.fee_cap().await?;
        let nonce = self.client.account(self.address()).await?.pending_nonce;
        let raw = self.key.sign(UnsignedTransaction {
            chain_id: self.chain_id,
            nonce,
            gas_limit: what.gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas: TIP.min(max_fee_per_gas),
            to: what.to,
            value: what.value,
            input: what.input,
        });
        Ok(Prepared { client: self.client.clone(), raw, nonce, _turn: turn })
    }

    /// What a transaction should offer per gas now.
    async fn fee_cap(&self) -> Result<u128, ClientError> {
        let latest = self.client.block("latest").await?.block;
        let base_fee =
            latest.execution.map_or(U256::ZERO, |execution| execution.base_fee_per_gas.0);
        let base_fee = u128::try_from(base_fee).unwrap_or(u128::MAX);
        let asked = base_fee.saturating_mul(FEE_CAP_FACTOR).saturating_add(TIP).max(MIN_FEE_CAP);
        let least = base_fee.saturating_add(TIP);
        if least > self.max_fee {
            return Err(ClientError::FeeTooHigh { asked: least, limit: self.max_fee });
        }
        Ok(asked.min(self.max_fee))
    }

    /// Calls a contract or module and waits until the call is executed.
    ///
    /// # Errors
    /// [`ClientError::Reverted`] with the module's code if the call failed, or as [`Sender::execute`].
    pub async fn call(
        &self,
        to: Address,
        value: U256,
        input: Vec<u8>,
    ) -> Result<Confirmed, ClientError> {
        self.execute(Outgoing::call(to, value, input)).await
    }

    /// Sends coins and waits until they have arrived.
    ///
    /// # Errors
    /// As [`Sender::execute`].
    pub async fn transfer(&self, to: Address, value: U256) -> Result<Confirmed, ClientError> {
        let input = Bytes::new();
        self.execute(Outgoing { to: to.into(), value, input, gas_limit: TRANSFER_GAS }).await
    }

    /// Creates a contract and waits until it exists; its address is in the receipt.
    ///
    /// # Errors
    /// As [`Sender::execute`].
    pub async fn create(&self, value: U256, code: Vec<u8>) -> Result<Confirmed, ClientError> {
        let (to, input) = (TxKind::Create, code.into());
        self.execute(Outgoing { to, value, input, gas_limit: CALL_GAS }).await
    }

    /// Signs, sends and waits. Takes effect once at most: it is signed again only when none of the earlier signings
    /// can be executed any more, or under the same nonce.
    ///
    /// # Errors
    /// Why it is refused, [`ClientError::Reverted`] or [`ClientError::NotConfirmed`].
    pub async fn execute(&self, what: Outgoing) -> Result<Confirmed, ClientError> {
        let mut signed = Vec::new();
        loop {
            let prepared = self.prepare(what.clone()).await?;
            let raw = prepared.raw().clone();
            signed.push(prepared.hash());
            let sent = prepared.send().await;
            let outcome = match sent {
                Err(error) if !may_wait(&error) => Err(error),
                _ => self.send_and_wait(raw).await,
            };
            match outcome {
                Err(error) if may_sign_again(&error) && signed.len() < MAX_SIGNINGS => {
                    for hash in &signed {
                        if let Some(confirmed) = self.client.look(*hash).await? {
                            return Ok(confirmed);
                        }
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// Sends a signed transaction and waits until it is executed; sends it again while it is not. Sending the same
    /// bytes twice is harmless: they have one hash and one nonce.
    ///
    /// # Errors
    /// Why it is refused, [`ClientError::NonceTaken`] if another transaction was executed in its place,
    /// [`ClientError::Reverted`] or [`ClientError::NotConfirmed`].
    pub async fn send_and_wait(&self, raw: Bytes) -> Result<Confirmed, ClientError> {
        let hash = neura_types::hash::keccak(&raw);
        let mut wait = Wait::new(hash);
        let mut sent_at = None::<Instant>;
        loop {
            if let Some(confirmed) = self.client.look(hash).await? {
                return Ok(confirmed);
            }
            if sent_at.is_none_or(|at| at.elapsed() > RESEND) {
                sent_at = Some(Instant::now());
                match self.client.submit(raw.clone()).await {
                    Ok(_) => {}
                    Err(error) if error.code() == "nonce_too_low" => {
                        if let Some(confirmed) = self.after_nonce(hash, &raw).await? {
                            return Ok(confirmed);
                        }
                    }
                    Err(error) if may_wait(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            wait.pause().await?;
        }
    }

    /// Tells whether a transaction whose nonce is used was executed itself.
    async fn after_nonce(&self, hash: B256, raw: &Bytes) -> Result<Option<Confirmed>, ClientError> {
        let decoded = Transaction::decode(raw.clone(), self.chain_id);
        let (sender, nonce) = decoded.map_or((self.address(), 0), |tx| (tx.sender, tx.nonce));
        // The order matters: a nonce that the executed state has used was used by a transaction that is found then.
        let used = self.client.account(sender).await?.nonce > nonce;
        match self.client.transaction(hash).await {
            Ok(_) => self.client.look(hash).await,
            Err(error) if used && error.code() == "unknown_transaction" => {
                Err(ClientError::NonceTaken { hash, nonce })
            }
            Err(error) if error.is_transient() || error.code() == "unknown_transaction" => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether a refused transaction may still be executed as it is.
fn may_wait(error: &ClientError) -> bool {
    let code = error.code();
    // A transaction of the same nonce waits: one of the two will be executed.
    let contested = matches!(code, "already_known" | "replacement_underpriced" | "nonce_too_low");
    contested || error.is_transient()
}

/// Whether another signing can do what this one could not.
fn may_sign_again(error: &ClientError) -> bool {
    matches!(error.code(), "nonce_taken" | "fee_cap_too_low" | "underpriced" | "nonce_too_high")
}
