//! Accounts.

use alloy_primitives::KECCAK256_EMPTY;
use axum::{Json, extract::State};
use neura_types::rest::{AccountInfo, Problem, Wei};
use serde::Deserialize;

use super::extract::{self, Named, Search};
use crate::{backend::BlockRef, error::BackendError, problem::ApiResult, shared::AppState};

/// Query of an account.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    proof: bool,
}

/// An account
#[utoipa::path(get, operation_id = "getAccount", path = "/v1/accounts/{address}", tag = "chain",
    params(
        ("address" = String, Path, description = "The account"),
        ("proof" = Option<bool>, Query, description = "Whether to prove it against a certified state root"),
    ),
    responses(
        (status = 200, description = "Balance and nonce at the highest executed block", body = AccountInfo),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn one(
    State(state): State<AppState>,
    Named(name): Named<String>,
    Search(wanted): Search<Wanted>,
) -> ApiResult<Json<AccountInfo>> {
    let address = extract::address(&name)?;
    let backend = &state.backend;
    // The account is read at the height that is reported, however far the chain moves meanwhile.
    let latest = backend.head(BlockRef::Latest).await?.ok_or(BackendError::UnknownBlock)?;
    let account = backend.account(address, BlockRef::Id(latest.id)).await?;
    let pending_nonce = backend.pending_nonce(address).await?;
    let proof = match wanted.proof {
        true => Some(backend.account_proof(address).await?),
        false => None,
    };
    Ok(Json(AccountInfo {
        address,
        balance: Wei(account.balance),
        nonce: account.nonce,
        pending_nonce: pending_nonce.max(account.nonce),
        contract: account.code_hash != KECCAK256_EMPTY,
        code_hash: account.code_hash,
        height: latest.header.height,
        proof,
    }))
}
