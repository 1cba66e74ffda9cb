//! Validators and what is at stake with them.

use axum::{Json, extract::State};
use neura_types::rest::{
    DelegationInfo, Page, Problem, StakingAccount, ValidatorInfo, Validators, schema,
};
use serde::Deserialize;

use super::extract::{self, Named, Search};
use crate::{
    problem::{ApiResult, found, page},
    shared::AppState,
};

/// Query of the listing of all registered validators.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    limit: Option<u32>,
    after: Option<u64>,
}

/// The validators of the present epoch
#[utoipa::path(get, operation_id = "getValidators", path = "/v1/validators", tag = "staking", responses(
    (status = 200, description = "The set of the present epoch", body = Validators),
    (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn validators(State(state): State<AppState>) -> ApiResult<Json<Validators>> {
    Ok(Json(state.backend.validators().await?))
}

/// All registered validators, by registration
#[utoipa::path(get, operation_id = "listCandidates", path = "/v1/candidates", tag = "staking",
    params(
        ("limit" = Option<u32>, Query, description = "Entries of the page: 20 if left out, at most 100"),
        ("after" = Option<u64>, Query, description = "How many to leave out: what the page before named as the next"),
    ),
    responses(
        (status = 200, description = "A page of validators, those outside of the present set included",
            body = schema::ValidatorPage),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn candidates(
    State(state): State<AppState>,
    Search(window): Search<Window>,
) -> ApiResult<Json<Page<ValidatorInfo>>> {
    let limit = extract::page_size(window.limit);
    page(state.backend.candidates(window.after.unwrap_or(0), limit).await)
}

/// A registered validator
#[utoipa::path(get, operation_id = "getValidator", path = "/v1/validators/{validator}", tag = "staking",
    params(("validator" = String, Path, description = "Its account, or its public key")),
    responses(
        (status = 200, description = "The validator, whether it serves or not", body = ValidatorInfo),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn validator(
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> ApiResult<Json<ValidatorInfo>> {
    found(state.backend.validator(extract::validator(&name)?).await, "validator", name).map(Json)
}

/// What an account has at a validator
#[utoipa::path(get, operation_id = "getDelegation",
    path = "/v1/validators/{validator}/delegations/{delegator}", tag = "staking",
    params(
        ("validator" = String, Path, description = "The validator's account, or its public key"),
        ("delegator" = String, Path, description = "The account"),
    ),
    responses(
        (status = 200, description = "Stake, rewards, and stake on its way back", body = DelegationInfo),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delegation(
    State(state): State<AppState>,
    Named((validator, delegator)): Named<(String, String)>,
) -> ApiResult<Json<DelegationInfo>> {
    let (name, delegator) = (extract::validator(&validator)?, extract::address(&delegator)?);
    let operator = found(state.backend.validator(name).await, "validator", &validator)?.account;
    let mut account = state.backend.staking(delegator, Some(operator)).await?;
    found(Ok(account.delegations.pop()), "delegation", delegator).map(Json)
}

/// Everything that an account has at stake
#[utoipa::path(get, operation_id = "getStaking", path = "/v1/accounts/{address}/staking", tag = "staking",
    params(("address" = String, Path, description = "The account")),
    responses(
        (status = 200, description = "Delegations, rewards, and stake on its way back", body = StakingAccount),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn account(
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> ApiResult<Json<StakingAccount>> {
    Ok(Json(state.backend.staking(extract::address(&name)?, None).await?))
}
