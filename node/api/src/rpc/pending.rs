//! The block that is to come, as `pending` names it: as much of it as is known before it is there.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use neura_types::{Height, Transaction, block::BlockId};

use super::error::{RpcError, RpcResult, SERVER};
use crate::{backend::BlockRef, error::BackendError, shared::AppState};

/// What is known of the next block: where it will stand, what it will charge, and what waits to be in it.
#[derive(Debug)]
pub(crate) struct NextBlock {
    pub(crate) parent: BlockId,
    pub(crate) height: Height,
    /// No earlier than this, in milliseconds since the Unix epoch.
    pub(crate) timestamp_ms: u64,
    /// In wei per gas.
    pub(crate) base_fee: u64,
    pub(crate) gas_limit: u64,
    /// Those that would go in as things stand; others may come first.
    pub(crate) transactions: Vec<Arc<Transaction>>,
}

/// The block after the highest executed one.
pub(super) async fn next(state: &AppState) -> RpcResult<NextBlock> {
    let head = state.backend.head(BlockRef::Latest).await?.ok_or(BackendError::UnknownBlock)?;
    let executed = head.executed.as_ref().ok_or(BackendError::UnknownBlock)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    Ok(NextBlock {
        parent: head.id,
        height: head.header.height.saturating_add(1),
        timestamp_ms: now_ms.max(head.header.timestamp_ms.saturating_add(1)),
        base_fee: state.backend.fees().await?.next_base_fee,
        gas_limit: executed.gas_limit,
        transactions: state.backend.next_transactions().await?,
    })
}

/// Why nothing is said of what a block has done that is not there yet.
pub(super) fn not_executed(what: &str) -> RpcError {
    RpcError::new(SERVER, format!("{what}: the pending block is not executed before it is final"))
}
