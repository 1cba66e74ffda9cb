//! Transactions.

use axum::{Json, extract::State, http::StatusCode};
use neura_types::rest::{Problem, SubmitRequest, Submitted, TransactionInfo};

use super::{
    convert,
    extract::{self, Input, Named},
};
use crate::{
    problem::{ApiResult, found},
    shared::AppState,
};

/// Send a signed transaction
#[utoipa::path(post, operation_id = "sendTransaction", path = "/v1/transactions", tag = "chain", request_body = SubmitRequest, responses(
    (status = 202, description = "It waits for its block", body = Submitted),
    (status = "default", description = "Problem: why it is refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn submit(
    State(state): State<AppState>,
    Input(request): Input<SubmitRequest>,
) -> ApiResult<(StatusCode, Json<Submitted>)> {
    let hash = state.backend.submit(request.raw).await?;
    Ok((StatusCode::ACCEPTED, Json(Submitted { hash })))
}

/// A transaction and what became of it
#[utoipa::path(get, operation_id = "getTransaction", path = "/v1/transactions/{hash}", tag = "chain",
    params(("hash" = String, Path, description = "keccak256 of the envelope")),
    responses(
        (status = 200, description = "The transaction, its place, its receipt", body = TransactionInfo),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn one(
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> ApiResult<Json<TransactionInfo>> {
    found(state.backend.transaction(extract::hash(&name)?).await, "transaction", name)
        .map(|view| Json(convert::transaction(view)))
}
