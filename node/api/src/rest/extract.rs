//! Read paths, queries and bodies; what is wrong with them becomes a problem.

use std::{fmt::Display, str::FromStr};

use alloy_primitives::{Address, B256};
use axum::extract::{FromRequest, FromRequestParts};
use neura_types::{
    keys::PublicKey,
    rest::{DEFAULT_PAGE, MAX_PAGE},
};

use crate::{
    backend::{BlockRef, EpochRef, ValidatorRef},
    problem::{ApiProblem, ApiResult},
};

/// A JSON body.
#[derive(Debug, FromRequest)]
#[from_request(via(axum::Json), rejection(ApiProblem))]
pub(crate) struct Input<T>(pub(crate) T);

/// The query string.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiProblem))]
pub(crate) struct Search<T>(pub(crate) T);

/// The path's parameters.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiProblem))]
pub(crate) struct Named<T>(pub(crate) T);

/// Entries of a page: what is asked for, within the bounds.
pub(crate) fn page_size(limit: Option<u32>) -> u32 {
    limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE)
}

/// An address in hexadecimal.
pub(crate) fn address(text: &str) -> ApiResult<Address> {
    hexadecimal(text, "an address: 0x and 40 hexadecimal digits")
}

/// An optional address in hexadecimal.
pub(crate) fn optional_address(text: Option<&str>) -> ApiResult<Option<Address>> {
    text.map(address).transpose()
}

/// A hash in hexadecimal.
pub(crate) fn hash(text: &str) -> ApiResult<B256> {
    hexadecimal(text, "a hash: 0x and 64 hexadecimal digits")
}

/// A number in decimal.
pub(crate) fn number(text: &str, what: &str) -> ApiResult<u64> {
    text.parse().map_err(|_| ApiProblem::invalid(format!("'{}' is not {what}", shown(text))))
}

/// `latest`, a height, or a block's identity.
pub(crate) fn block(text: &str) -> ApiResult<BlockRef> {
    match text {
        "latest" => Ok(BlockRef::Latest),
        _ if text.starts_with("0x") => hash(text).map(BlockRef::Id),
        _ => number(text, "a block: write latest, a height, or 0x and the 64 digits of its id")
            .map(BlockRef::Height),
    }
}

/// `current`, `next`, or the number of an epoch.
pub(crate) fn epoch(text: &str) -> ApiResult<EpochRef> {
    match text {
        "current" => Ok(EpochRef::Current),
        "next" => Ok(EpochRef::Next),
        _ => number(text, "an epoch: write its number, current, or next").map(EpochRef::Number),
    }
}

/// A validator's account or public key.
pub(crate) fn validator(text: &str) -> ApiResult<ValidatorRef> {
    const KEY_LENGTH: usize = 66;
    if text.len() == KEY_LENGTH {
        return hash(text).map(|key| ValidatorRef::Key(PublicKey(key)));
    }
    hexadecimal(
        text,
        "a validator: write its account (0x and 40 hexadecimal digits) or its key (0x and 64)",
    )
    .map(ValidatorRef::Operator)
}

fn hexadecimal<T: FromStr>(text: &str, what: &str) -> ApiResult<T> {
    text.parse().map_err(|_| ApiProblem::invalid(format!("'{}' is not {what}", shown(text))))
}

/// The beginning of a text, for an error.
fn shown(text: &str) -> impl Display + '_ {
    const SHOWN: usize = 80;
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default()
}
