//! Methods about the node and the network.

use alloy_primitives::{B256, Bytes, U64};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    error::{RpcError, RpcResult},
    params::Params,
};
use crate::{backend::BlockRef, error::BackendError, shared::AppState};

/// Version of Ethereum's wire protocol that clients expect to see some of: eth/68. This node speaks its own.
pub(super) const PROTOCOL_VERSION: &str = "0x44";

/// Progress of a node that catches up.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Progress {
    starting_block: U64,
    current_block: U64,
    highest_block: U64,
}

/// `false`, or how far the node has come.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Syncing {
    No(bool),
    Yes(Progress),
}

impl Syncing {
    pub(super) fn is_syncing(&self) -> bool {
        matches!(self, Self::Yes(_))
    }
}

pub(super) async fn client_version(state: &AppState) -> RpcResult<String> {
    let version = state.backend.status().await?.version;
    Ok(format!("neura/v{version}/{}-{}/rust", std::env::consts::OS, std::env::consts::ARCH))
}

pub(super) fn sha3(params: &Params<'_>) -> RpcResult<B256> {
    let data: Bytes = params.required(0, "data")?;
    Ok(neura_types::hash::keccak(&data))
}

pub(super) async fn chain_id(state: &AppState) -> RpcResult<U64> {
    Ok(U64::from(state.backend.status().await?.chain_id))
}

pub(super) async fn network(state: &AppState) -> RpcResult<String> {
    Ok(state.backend.status().await?.chain_id.to_string())
}

pub(super) async fn peer_count(state: &AppState) -> RpcResult<U64> {
    Ok(U64::from(state.backend.status().await?.peers))
}

pub(super) async fn syncing(state: &AppState) -> RpcResult<Syncing> {
    let status = state.backend.status().await?;
    if !status.syncing {
        return Ok(Syncing::No(false));
    }
    Ok(Syncing::Yes(Progress {
        starting_block: U64::ZERO,
        current_block: U64::from(status.executed),
        highest_block: U64::from(status.ordered),
    }))
}

/// The groups of methods that are served.
pub(super) fn modules(state: &AppState) -> Value {
    let mut modules =
        json!({ "eth": "1.0", "net": "1.0", "ots": "1.0", "rpc": "1.0", "web3": "1.0" });
    if state.config.debug {
        modules["debug"] = json!("1.0");
        modules["trace"] = json!("1.0");
        modules["txpool"] = json!("1.0");
    }
    modules
}

pub(super) fn no_coinbase() -> RpcError {
    RpcError::new(
        super::error::SERVER,
        "etherbase must be explicitly specified: blocks name their proposers",
    )
}

/// What of the chain this node can answer about.
pub(super) async fn capabilities(state: &AppState) -> RpcResult<Value> {
    let head = state.backend.head(BlockRef::Latest).await?.ok_or(BackendError::UnknownBlock)?;
    let oldest = U64::from(state.backend.oldest().await?);
    let kept = json!({ "disabled": false, "oldestBlock": oldest });
    let proves = head.ethereum.is_some();
    Ok(json!({
        "head": { "number": U64::from(head.header.height), "hash": head.id },
        "state": &kept,
        "tx": &kept,
        "logs": &kept,
        "receipts": &kept,
        "blocks": &kept,
        "stateproofs": if proves { kept.clone() } else { json!({ "disabled": true }) },
    }))
}

/// The rules in force (EIP-7910). Blobs are not taken, hence their schedule of zeros.
pub(super) async fn config(state: &AppState) -> RpcResult<Value> {
    if let Some(config) = state.backend.fork_config().await? {
        return Ok(config);
    }
    let status = state.backend.status().await?;
    let fork_id = format!("0x{}", status.genesis_hash.to_string().get(2..10).unwrap_or("00000000"));
    Ok(json!({
        "current": {
            "activationTime": 0,
            "blobSchedule": { "baseFeeUpdateFraction": 5_007_716, "max": 0, "target": 0 },
            "chainId": U64::from(status.chain_id),
            "forkId": fork_id,
            "precompiles": {},
            "systemContracts": {},
        },
        "next": null,
        "last": null,
    }))
}
