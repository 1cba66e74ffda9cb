//! Garbage, oversized and truncated bytes at every door: a clear error, never a panic or a hang, and the chain goes on.

mod files;
pub(crate) mod p2p;
mod rest;
mod rpc;

use neura_types::{
    Bytes, U256,
    keys::{EthKey, SecretKey},
    transaction::UnsignedTransaction,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::Network;

/// Bytes without meaning, always the same for a seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

fn unsigned(chain_id: u64, nonce: u64, value: U256) -> UnsignedTransaction {
    UnsignedTransaction {
        chain_id,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: neura_types::Address::repeat_byte(0x50).into(),
        value,
        input: Bytes::new(),
    }
}

/// A good transaction of each way to sign.
fn good(network: &Network, key: &EthKey) -> [Bytes; 2] {
    let transfer = unsigned(network.devnet.genesis.chain_id, 0, U256::ONE);
    [transfer.clone().sign_eth(key), transfer.sign_ed25519(&SecretKey::from_seed(&[9; 32]))]
}

/// Sends bytes to the node as they are; returns what comes back until it closes the connection.
async fn talk(network: &Network, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(network.node(0).api_addr()).await.unwrap();
    // The node may have closed it already: then the answer is what counts.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
