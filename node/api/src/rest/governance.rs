//! Epochs, parameters, and the votes on them.

use axum::{Json, extract::State};
use neura_types::{
    Params,
    rest::{EpochInfo, Page, Problem, ProposalInfo, schema},
};
use serde::Deserialize;

use super::extract::{self, Named, Search};
use crate::{
    problem::{ApiResult, found, page},
    shared::AppState,
};

/// Query of the parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Of {
    epoch: Option<String>,
}

/// Query of the proposals' listing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    limit: Option<u32>,
    before: Option<u64>,
}

/// An epoch
///
/// The configuration of the next epoch is fixed one epoch ahead. The end of an epoch that is over proves the
/// configuration of the next one to those who trust its own.
#[utoipa::path(get, operation_id = "getEpoch", path = "/v1/epochs/{epoch}", tag = "chain",
    params(("epoch" = String, Path, description = "Number, `current` or `next`")),
    responses(
        (status = 200, description = "What holds in it and, if it is over, the proof of its end", body = EpochInfo),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn epoch(
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> ApiResult<Json<EpochInfo>> {
    found(state.backend.epoch(extract::epoch(&name)?).await, "epoch", name).map(Json)
}

/// The chain's parameters
#[utoipa::path(get, operation_id = "getParams", path = "/v1/params", tag = "chain",
    params(("epoch" = Option<String>, Query, description = "Number, `current` (if left out) or `next`")),
    responses(
        (status = 200, description = "All parameters of the epoch", body = schema::Params),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn params(
    State(state): State<AppState>,
    Search(of): Search<Of>,
) -> ApiResult<Json<Params>> {
    let name = of.epoch.unwrap_or_else(|| "current".into());
    let epoch = found(state.backend.epoch(extract::epoch(&name)?).await, "epoch", name)?;
    Ok(Json(epoch.config.params))
}

/// Proposals, newest first
#[utoipa::path(get, operation_id = "listProposals", path = "/v1/governance/proposals", tag = "chain",
    params(
        ("limit" = Option<u32>, Query, description = "Entries of the page: 20 if left out, at most 100"),
        ("before" = Option<u64>, Query, description = "Only proposals numbered below this"),
    ),
    responses(
        (status = 200, description = "A page of proposals", body = schema::ProposalPage),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn proposals(
    State(state): State<AppState>,
    Search(window): Search<Window>,
) -> ApiResult<Json<Page<ProposalInfo>>> {
    page(state.backend.proposals(window.before, extract::page_size(window.limit)).await)
}

/// A proposal
#[utoipa::path(get, operation_id = "getProposal", path = "/v1/governance/proposals/{id}", tag = "chain",
    params(("id" = u64, Path, description = "The proposal's number")),
    responses(
        (status = 200, description = "What it asks and how the votes stand", body = ProposalInfo),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn proposal(
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> ApiResult<Json<ProposalInfo>> {
    let id = extract::number(&name, "the number of a proposal")?;
    found(state.backend.proposal(id).await, "proposal", id).map(Json)
}
