//! Methods about the node and the network.

use alloy_primitives::{B256, Bytes, U64};
use serde::Serialize;

use super::{error::RpcResult, params::Params};
use crate::shared::AppState;

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
