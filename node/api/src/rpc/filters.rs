//! Filters that are polled: bounded in number, forgotten when they are not polled.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use alloy_primitives::B256;
use neura_types::Height;
use serde::Serialize;

use super::{
    encode::EthLog,
    error::{RpcError, RpcResult, SERVER},
    logs::{self as log_queries, FilterParams, LogFilter, height_of},
    params::Params,
};
use crate::{
    backend::BlockRef,
    limits::{FILTER_LIFETIME, MAX_FILTERS, MAX_LOG_RANGE},
    shared::AppState,
};

/// Blocks that one poll of a block filter tells at most; the next poll goes on from there.
const MAX_POLLED_BLOCKS: u64 = 1_024;

#[derive(Debug, Clone)]
enum Watched {
    Blocks,
    Pending,
    Logs(LogFilter),
}

#[derive(Debug, Clone)]
struct Filter {
    watched: Watched,
    /// First height, or first number of a waiting transaction, that was not told yet.
    next: u64,
    used: Instant,
}

/// What a poll brings.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Changes {
    /// Ids of blocks, or hashes of transactions.
    Blocks(Vec<B256>),
    Logs(Vec<EthLog>),
}

/// The installed filters.
#[derive(Debug, Default)]
pub(crate) struct Filters(Mutex<BTreeMap<String, Filter>>);

/// An id that others cannot guess: the process's random keys over a counter.
pub(super) fn fresh_id() -> String {
    static KEYS: std::sync::LazyLock<(RandomState, RandomState)> =
        std::sync::LazyLock::new(|| (RandomState::new(), RandomState::new()));
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // A leading one, as clients take the id for a number that has no leading zeros.
    format!("0x1{:015x}{:016x}", KEYS.0.hash_one(count) >> 4, KEYS.1.hash_one(count))
}

impl Filters {
    fn install(&self, watched: Watched, next: Height, now: Instant) -> String {
        let mut filters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        filters.retain(|_, filter| now.duration_since(filter.used) < FILTER_LIFETIME);
        while filters.len() >= MAX_FILTERS {
            let oldest = filters.iter().min_by_key(|(_, filter)| filter.used);
            let Some(id) = oldest.map(|(id, _)| id.clone()) else { break };
            filters.remove(&id);
        }
        let id = fresh_id();
        filters.insert(id.clone(), Filter { watched, next, used: now });
        id
    }

    fn touch(&self, id: &str, now: Instant) -> RpcResult<Filter> {
        let mut filters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let filter = filters
            .get_mut(id)
            .filter(|filter| now.duration_since(filter.used) < FILTER_LIFETIME)
            .ok_or_else(|| RpcError::new(SERVER, "filter not found"))?;
        filter.used = now;
        Ok(filter.clone())
    }

    fn told_up_to(&self, id: &str, next: Height) {
        let mut filters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(filter) = filters.get_mut(id) {
            filter.next = filter.next.max(next);
        }
    }

    fn remove(&self, id: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id).is_some()
    }
}

async fn next_height(state: &AppState) -> RpcResult<Height> {
    Ok(height_of(state, BlockRef::Latest).await?.saturating_add(1))
}

pub(super) async fn new_blocks(state: &AppState) -> RpcResult<String> {
    let next = next_height(state).await?;
    Ok(state.filters.install(Watched::Blocks, next, Instant::now()))
}

pub(super) async fn new_pending(state: &AppState, params: &Params<'_>) -> RpcResult<String> {
    if params.optional::<bool>(0, "full transactions")?.unwrap_or(false) {
        return Err(RpcError::unsupported(
            "filters tell hashes: eth_subscribe [\"newPendingTransactions\", true] tells transactions in full",
        ));
    }
    let (_, next) = state.hub.pending_since(u64::MAX);
    Ok(state.filters.install(Watched::Pending, next, Instant::now()))
}

pub(super) async fn new_logs(state: &AppState, params: &Params<'_>) -> RpcResult<String> {
    let filter = params.required::<FilterParams>(0, "filter")?.check()?;
    filter.check_lasting()?;
    let next = next_height(state).await?;
    Ok(state.filters.install(Watched::Logs(filter), next, Instant::now()))
}

pub(super) fn uninstall(state: &AppState, params: &Params<'_>) -> RpcResult<bool> {
    let id: String = params.required(0, "filter id")?;
    Ok(state.filters.remove(&id))
}

/// Everything since the last poll. A poll that fails tells nothing, and the next one begins where it did.
pub(super) async fn changes(state: &AppState, params: &Params<'_>) -> RpcResult<Changes> {
    let id: String = params.required(0, "filter id")?;
    let filter = state.filters.touch(&id, Instant::now())?;
    let end = next_height(state).await?;
    let (changes, told) = match &filter.watched {
        Watched::Blocks => {
            let end = end.min(filter.next.saturating_add(MAX_POLLED_BLOCKS));
            (Changes::Blocks(block_ids(state, filter.next, end).await?), end)
        }
        Watched::Pending => {
            let (hashes, next) = state.hub.pending_since(filter.next);
            (Changes::Blocks(hashes), next)
        }
        Watched::Logs(logs) => {
            let end = end.min(filter.next.saturating_add(MAX_LOG_RANGE));
            (Changes::Logs(new_matches(state, logs, filter.next, end).await?), end)
        }
    };
    state.filters.told_up_to(&id, told);
    Ok(changes)
}

async fn block_ids(state: &AppState, from: Height, end: Height) -> RpcResult<Vec<B256>> {
    if from >= end {
        return Ok(Vec::new());
    }
    let limit = u32::try_from(end - from).unwrap_or(u32::MAX);
    let mut heads = state.backend.heads(Some(end), limit).await?;
    heads.reverse();
    Ok(heads.into_iter().map(|head| head.id).collect())
}

async fn new_matches(
    state: &AppState,
    filter: &LogFilter,
    from: Height,
    end: Height,
) -> RpcResult<Vec<EthLog>> {
    if from >= end {
        return Ok(Vec::new());
    }
    let found = log_queries::query(state, filter.over(from, end - 1)).await?;
    Ok(found.into_iter().filter(|log| filter.spans(log.height())).collect())
}

/// All logs of a filter's range.
pub(super) async fn logs(state: &AppState, params: &Params<'_>) -> RpcResult<Vec<EthLog>> {
    let id: String = params.required(0, "filter id")?;
    match state.filters.touch(&id, Instant::now())?.watched {
        Watched::Logs(filter) => log_queries::find(state, &filter).await,
        Watched::Blocks | Watched::Pending => Err(RpcError::new(SERVER, "filter not found")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_bounded_and_the_least_recently_used_gives_way() {
        let filters = Filters::default();
        let start = Instant::now();
        let first = filters.install(Watched::Blocks, 1, start);
        let second = filters.install(Watched::Blocks, 1, start);
        let later = start + std::time::Duration::from_secs(1);
        filters.touch(&first, later).unwrap();
        for _ in 0..MAX_FILTERS - 1 {
            filters.install(Watched::Blocks, 1, later);
        }
        assert_eq!(filters.0.lock().unwrap().len(), MAX_FILTERS);
        assert!(filters.touch(&first, later).is_ok());
        assert!(filters.touch(&second, later).is_err());
    }

    #[test]
    fn a_filter_that_is_not_polled_is_forgotten() {
        let filters = Filters::default();
        let start = Instant::now();
        let id = filters.install(Watched::Blocks, 1, start);
        assert!(filters.touch(&id, start + FILTER_LIFETIME).is_err());
        filters.install(Watched::Blocks, 1, start + FILTER_LIFETIME);
        assert_eq!(filters.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn ids_are_numbers_without_leading_zeros_and_differ() {
        let (one, other) = (fresh_id(), fresh_id());
        assert_ne!(one, other);
        assert_eq!(one.len(), 34);
        assert!(one.starts_with("0x1") && super::super::params::hex_number(&one).is_some());
    }
}
