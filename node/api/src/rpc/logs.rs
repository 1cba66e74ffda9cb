//! `eth_getLogs`, and the form in which logs are asked for.

use alloy_primitives::{Address, B256};
use neura_types::Height;
use serde::Deserialize;

use super::{
    encode::{self, EthLog},
    error::{RpcError, RpcResult},
    params::{BlockId, Params},
};
use crate::{
    backend::{BlockRef, LogQuery},
    error::BackendError,
    limits::{MAX_LOG_ADDRESSES, MAX_LOG_RANGE, MAX_LOGS, MAX_TOPIC_ALTERNATIVES},
    shared::AppState,
};

/// Topics that a log can have.
const MAX_TOPICS: usize = 4;

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// A filter as it is sent. Members that are not known are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FilterParams {
    from_block: Option<BlockId>,
    to_block: Option<BlockId>,
    block_hash: Option<B256>,
    address: Option<OneOrMany<Address>>,
    topics: Option<Vec<Option<OneOrMany<Option<B256>>>>>,
}

/// A filter that is checked.
#[derive(Debug, Clone)]
pub(super) struct LogFilter {
    from: BlockRef,
    to: BlockRef,
    addresses: Vec<Address>,
    topics: Vec<Vec<B256>>,
}

impl FilterParams {
    /// Checks the filter's form.
    pub(super) fn check(self) -> RpcResult<LogFilter> {
        let (from, to) = match (self.block_hash, self.from_block, self.to_block) {
            (Some(hash), None, None) => (BlockRef::Id(hash), BlockRef::Id(hash)),
            (Some(_), _, _) => {
                return Err(RpcError::params(
                    "cannot specify both blockHash and fromBlock/toBlock, choose one or the other",
                ));
            }
            (None, from, to) => {
                (from.unwrap_or(BlockId::LATEST).to_ref(), to.unwrap_or(BlockId::LATEST).to_ref())
            }
        };
        let addresses = self.address.map_or_else(Vec::new, OneOrMany::into_vec);
        if addresses.len() > MAX_LOG_ADDRESSES {
            return Err(RpcError::params(format!("at most {MAX_LOG_ADDRESSES} addresses")));
        }
        let topics = self.topics.unwrap_or_default();
        if topics.len() > MAX_TOPICS {
            return Err(RpcError::params(format!("at most {MAX_TOPICS} topics")));
        }
        let topics = topics.into_iter().map(alternatives).collect::<RpcResult<_>>()?;
        Ok(LogFilter { from, to, addresses, topics })
    }
}

/// What may stand in one position; empty for anything. A null among alternatives allows anything too.
fn alternatives(position: Option<OneOrMany<Option<B256>>>) -> RpcResult<Vec<B256>> {
    let given = position.map_or_else(Vec::new, OneOrMany::into_vec);
    if given.len() > MAX_TOPIC_ALTERNATIVES {
        return Err(RpcError::params(format!(
            "at most {MAX_TOPIC_ALTERNATIVES} topics in one position"
        )));
    }
    Ok(given.into_iter().collect::<Option<Vec<_>>>().unwrap_or_default())
}

impl LogFilter {
    /// The query for a range of heights.
    pub(super) fn over(&self, from: Height, to: Height) -> LogQuery {
        LogQuery { from, to, addresses: self.addresses.clone(), topics: self.topics.clone() }
    }

    /// Whether a log is asked for.
    pub(super) fn matches(&self, log: &EthLog) -> bool {
        self.spans(log.height())
            && LogQuery::fits(&self.addresses, &self.topics, log.address, &log.topics)
    }

    /// Checks that blocks to come can be among those asked for, as geth has it: from a number or now on, to a higher number
    /// or without end.
    pub(super) fn check_lasting(&self) -> RpcResult<()> {
        match (self.from, self.to) {
            (BlockRef::Height(from), BlockRef::Height(to)) if from > to => Err(wrong_range()),
            (BlockRef::Latest | BlockRef::Pending, BlockRef::Height(_)) => Err(wrong_range()),
            _ => Ok(()),
        }
    }

    /// Whether what happens at a height to come is asked for.
    pub(super) fn spans(&self, height: Height) -> bool {
        let is_after = !matches!(self.from, BlockRef::Height(from) if height < from);
        is_after && !matches!(self.to, BlockRef::Height(to) if height > to)
    }

    /// The heights that it spans, as the chain stands.
    pub(super) async fn range(&self, state: &AppState) -> RpcResult<(Height, Height)> {
        let latest = height_of(state, BlockRef::Latest).await?;
        let resolve = async |block| match block {
            BlockRef::Latest | BlockRef::Pending => Ok(latest),
            BlockRef::Height(height) => Ok(height),
            BlockRef::Id(_) => height_of(state, block).await,
        };
        Ok((resolve(self.from).await?, resolve(self.to).await?))
    }
}

fn wrong_range() -> RpcError {
    RpcError::params("invalid block range params: fromBlock is above toBlock")
}

/// Height of an executed block.
pub(super) async fn height_of(state: &AppState, block: BlockRef) -> RpcResult<Height> {
    let head = state.backend.head(block).await?.filter(|head| head.executed.is_some());
    Ok(head.ok_or(BackendError::UnknownBlock)?.header.height)
}

pub(super) async fn get(state: &AppState, params: &Params<'_>) -> RpcResult<Vec<EthLog>> {
    let filter = params.required::<FilterParams>(0, "filter")?.check()?;
    find(state, &filter).await
}

/// The logs of a filter's whole range.
pub(super) async fn find(state: &AppState, filter: &LogFilter) -> RpcResult<Vec<EthLog>> {
    let (from, to) = filter.range(state).await?;
    if from > to {
        return Err(wrong_range());
    }
    let latest = height_of(state, BlockRef::Latest).await?;
    // What is not there yet cannot be told from what holds no logs: a shorter range would hide it.
    if to > latest {
        return Err(RpcError::params(format!(
            "block range extends beyond current head block: the head is {latest:#x}"
        )));
    }
    if to - from >= MAX_LOG_RANGE {
        let end = from + MAX_LOG_RANGE - 1;
        return Err(RpcError::params(format!(
            "query exceeds max block range of {MAX_LOG_RANGE}: this block range should work: [{from:#x}, {end:#x}]"
        )));
    }
    query(state, filter.over(from, to)).await
}

/// The logs of a query.
pub(super) async fn query(state: &AppState, query: LogQuery) -> RpcResult<Vec<EthLog>> {
    let found = state.backend.logs(query, MAX_LOGS).await?;
    Ok(found.into_iter().map(encode::log).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> RpcResult<LogFilter> {
        serde_json::from_str::<FilterParams>(text)
            .map_err(|error| RpcError::params(error.to_string()))?
            .check()
    }

    #[test]
    fn an_address_is_one_or_many_or_null() {
        let one = "0x4e00000000000000000000000000000000000001";
        assert_eq!(check(&format!(r#"{{"address":"{one}"}}"#)).unwrap().addresses.len(), 1);
        let many = check(&format!(r#"{{"address":["{one}","{one}"]}}"#)).unwrap();
        assert_eq!(many.addresses.len(), 2);
        assert!(check(r#"{"address":null}"#).unwrap().addresses.is_empty());
        assert!(check(r#"{"address":"0x12"}"#).is_err());
    }

    #[test]
    fn topics_nest_alternatives_and_wildcards() {
        let topic = B256::repeat_byte(3);
        let text =
            format!(r#"{{"topics":[null,"{topic}",["{topic}","{topic}"],["{topic}",null]]}}"#);
        let topics = check(&text).unwrap().topics;
        assert_eq!(topics, [vec![], vec![topic], vec![topic, topic], vec![]]);
        assert!(check(r#"{"topics":[null,null,null,null,null]}"#).is_err());
        assert!(check(r#"{"topics":["0x1"]}"#).is_err());
    }

    #[test]
    fn a_block_hash_excludes_a_range() {
        let hash = B256::repeat_byte(3);
        assert!(check(&format!(r#"{{"blockHash":"{hash}"}}"#)).is_ok());
        assert!(check(&format!(r#"{{"blockHash":"{hash}","fromBlock":"0x1"}}"#)).is_err());
    }
}
