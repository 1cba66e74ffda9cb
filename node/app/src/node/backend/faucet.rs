//! Give coins away on a devnet.

use std::sync::Arc;

use neura_api::{Backend, BackendError};
use neura_types::{Address, Amount, B256, Bytes, keys::EthKey, transaction::UnsignedTransaction};
use tokio::sync::Mutex;

use super::{Answer, NodeBackend};

/// What a request without an amount gets.
const USUAL: Amount = Amount::ankr(1_000);
/// Most that one request gets.
const MOST: Amount = Amount::ankr(10_000);
/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;

/// The account that gives; one grant at a time, so that nonces do not collide.
#[derive(Debug)]
pub struct Faucet {
    key: EthKey,
    turn: Arc<Mutex<()>>,
}

impl Faucet {
    /// A faucet that gives from the key's account.
    pub fn new(key: EthKey) -> Self {
        Self { key, turn: Arc::default() }
    }

    pub(super) async fn give(
        &self,
        node: &NodeBackend,
        to: Address,
        amount: Option<Amount>,
    ) -> Answer<(B256, Amount)> {
        let amount = amount.unwrap_or(USUAL);
        if amount > MOST {
            return Err(BackendError::FaucetAmount { max: MOST, asked: amount });
        }
        let _turn = self.turn.lock().await;
        let fees = node.fees().await?;
        let raw = UnsignedTransaction {
            chain_id: node.chain.genesis.chain_id,
            nonce: node.pending_nonce(self.key.address()).await?,
            gas_limit: TRANSFER_GAS,
            max_fee_per_gas: u128::from(fees.next_base_fee) * 2 + fees.priority_fee,
            max_priority_fee_per_gas: fees.priority_fee,
            to: to.into(),
            value: amount.to_u256(),
            input: Bytes::new(),
        }
        .sign_eth(&self.key);
        Ok((node.submit(raw).await?, amount))
    }
}
