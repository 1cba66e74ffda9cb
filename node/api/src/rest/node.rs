//! The node itself: status, probes, metrics.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use neura_types::rest::{Problem, Status};

use crate::{
    error::BackendError,
    problem::{ApiProblem, ApiResult},
    shared::AppState,
};

/// Where the node stands
#[utoipa::path(get, operation_id = "getStatus", path = "/v1/status", tag = "node", responses(
    (status = 200, description = "Heights, view, peers, what the node offers", body = Status),
    (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn status(State(state): State<AppState>) -> ApiResult<Json<Status>> {
    Ok(Json(state.backend.status().await?))
}

/// `GET /healthz`: the process answers.
pub(crate) async fn health() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the node follows the chain.
pub(crate) async fn ready(State(state): State<AppState>) -> ApiResult<&'static str> {
    let status = state.backend.status().await?;
    if status.syncing {
        let detail = "this node is catching up with the chain: its answers may be old";
        return Err(ApiProblem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "syncing",
            "Unavailable",
            detail,
        ));
    }
    Ok("ready\n")
}

/// `GET /metrics`: Prometheus' text form.
pub(crate) async fn metrics(State(state): State<AppState>) -> ApiResult<Response> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &state.registry).map_err(|error| {
        BackendError::Internal(format!("the metrics cannot be written: {error}"))
    })?;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}
