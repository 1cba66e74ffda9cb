//! The compute market: providers, requesters, tasks.

use std::cmp::Reverse;

use axum::{Json, extract::State};
use neura_types::{
    provider::{Provider, ProviderStatus, Requester},
    rest::{MatchRequest, Page, Problem, ProviderMatch, Shortfall, schema},
    task::{Task, TaskState},
};
use serde::Deserialize;

use super::extract::{self, Input, Named, Search};
use crate::{
    backend::TaskQuery,
    limits::MAX_MATCHED_PROVIDERS,
    problem::{ApiResult, found, page},
    shared::AppState,
};

/// Providers that one read of a match takes.
const MATCH_PART: u32 = 100;

/// Query of the providers' listing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderWindow {
    limit: Option<u32>,
    after: Option<String>,
}

/// Query of the tasks' listing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskWindow {
    limit: Option<u32>,
    before: Option<u64>,
    owner: Option<String>,
    provider: Option<String>,
    state: Option<TaskState>,
}

/// Providers, by address
#[utoipa::path(get, operation_id = "listProviders", path = "/v1/providers", tag = "compute",
    params(
        ("limit" = Option<u32>, Query, description = "Entries of the page: 20 if left out, at most 100"),
        ("after" = Option<String>, Query, description = "Only providers with addresses above this one"),
    ),
    responses(
        (status = 200, description = "A page of the registry", body = schema::ProviderPage),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn providers(
    State(state): State<AppState>,
    Search(window): Search<ProviderWindow>,
) -> ApiResult<Json<Page<Provider>>> {
    let after = extract::optional_address(window.after.as_deref())?;
    page(state.backend.providers(after, extract::page_size(window.limit)).await)
}

/// A provider
#[utoipa::path(get, operation_id = "getProvider", path = "/v1/providers/{address}", tag = "compute",
    params(("address" = String, Path, description = "The provider's account")),
    responses(
        (status = 200, description = "Its registry entry", body = schema::Provider),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn provider(
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> ApiResult<Json<Provider>> {
    found(state.backend.provider(extract::address(&name)?).await, "provider", name).map(Json)
}

/// Who can serve a job
///
/// Looks at up to 1,000 providers; those that fit come first, the cheapest before the others.
#[utoipa::path(post, operation_id = "matchProviders", path = "/v1/match", tag = "compute", request_body = MatchRequest, responses(
    (status = 200, description = "Each provider with what falls short", body = Vec<ProviderMatch>),
    (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn matches(
    State(state): State<AppState>,
    Input(request): Input<MatchRequest>,
) -> ApiResult<Json<Vec<ProviderMatch>>> {
    let mut fits = Vec::new();
    let mut after = None;
    while fits.len() < MAX_MATCHED_PROVIDERS {
        let part = state.backend.providers(after, MATCH_PART).await?;
        fits.extend(part.items.iter().map(|provider| fit(provider, &request)));
        after = part.next;
        if after.is_none() {
            break;
        }
    }
    fits.sort_by_key(|entry| (Reverse(entry.fits), entry.price_per_block));
    Ok(Json(fits))
}

fn fit(provider: &Provider, request: &MatchRequest) -> ProviderMatch {
    let mut shortfalls: Vec<Shortfall> = provider
        .capability
        .shortfalls(&request.requirement)
        .into_iter()
        .map(|missing| Shortfall {
            dimension: missing.dimension.to_owned(),
            wanted: missing.wanted,
            offered: missing.offered,
        })
        .collect();
    let mut short = |dimension: &str, wanted: &str, offered: String| {
        let (dimension, wanted) = (dimension.to_owned(), wanted.to_owned());
        shortfalls.push(Shortfall { dimension, wanted, offered });
    };
    if let Some(executor) = &request.executor
        && !provider.executors.contains(executor)
    {
        short("executor", executor, provider.executors.join(", "));
    }
    match provider.status {
        ProviderStatus::Active => {}
        ProviderStatus::Draining => short("status", "active", "draining".into()),
        ProviderStatus::Left => short("status", "active", "left".into()),
    }
    let free_capacity = provider.capacity.saturating_sub(provider.working_tasks());
    if free_capacity == 0 {
        short("capacity", "1 free", format!("0 of {}", provider.capacity));
    }
    ProviderMatch {
        provider: provider.address,
        fits: shortfalls.is_empty(),
        shortfalls,
        price_per_block: provider.price_per_block,
        status: provider.status,
        free_capacity,
    }
}

/// A requester
#[utoipa::path(get, operation_id = "getRequester", path = "/v1/requesters/{address}", tag = "compute",
    params(("address" = String, Path, description = "The requester's account")),
    responses(
        (status = 200, description = "Its registry entry", body = schema::Requester),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn requester(
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> ApiResult<Json<Requester>> {
    found(state.backend.requester(extract::address(&name)?).await, "requester", name).map(Json)
}

/// Tasks, newest first
#[utoipa::path(get, operation_id = "listTasks", path = "/v1/tasks", tag = "compute",
    params(
        ("limit" = Option<u32>, Query, description = "Entries of the page: 20 if left out, at most 100"),
        ("before" = Option<u64>, Query, description = "Only tasks numbered below this"),
        ("owner" = Option<String>, Query, description = "Only this owner's"),
        ("provider" = Option<String>, Query, description = "Only this provider's"),
        ("state" = Option<schema::TaskState>, Query, description = "Only those in this state"),
    ),
    responses(
        (status = 200, description = "A page of tasks; may be short of entries and still have a next one",
            body = schema::TaskPage),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn tasks(
    State(state): State<AppState>,
    Search(window): Search<TaskWindow>,
) -> ApiResult<Json<Page<Task>>> {
    let query = TaskQuery {
        before: window.before,
        owner: extract::optional_address(window.owner.as_deref())?,
        provider: extract::optional_address(window.provider.as_deref())?,
        state: window.state,
    };
    page(state.backend.tasks(query, extract::page_size(window.limit)).await)
}

/// A task
#[utoipa::path(get, operation_id = "getTask", path = "/v1/tasks/{id}", tag = "compute",
    params(("id" = u64, Path, description = "The task's number")),
    responses(
        (status = 200, description = "Its terms, state and outcome", body = schema::Task),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn task(
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> ApiResult<Json<Task>> {
    let id = extract::number(&name, "the number of a task")?;
    found(state.backend.task(id).await, "task", id).map(Json)
}
