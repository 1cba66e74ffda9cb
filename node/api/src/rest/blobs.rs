//! The embedded off-chain store.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use neura_types::rest::{BlobStored, Problem, schema};
use tokio::sync::OwnedSemaphorePermit;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::extract::{self, Named};
use crate::{
    error::BackendError,
    limits::BLOB_SLOT_WAIT,
    problem::{ApiProblem, ApiResult},
    shared::AppState,
};

/// The store's routes.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(put)).routes(routes!(get))
}

/// Waits a little for a transfer slot. Whoever holds the blob in memory holds the slot.
async fn slot(state: &AppState) -> ApiResult<OwnedSemaphorePermit> {
    let slot = Arc::clone(&state.blob_slots).acquire_owned();
    match tokio::time::timeout(BLOB_SLOT_WAIT, slot).await {
        Ok(Ok(slot)) => Ok(slot),
        _ => Err(ApiProblem::overloaded(
            "this node transfers as many blobs as it can: try again soon",
        )),
    }
}

/// Store bytes
///
/// The body is stored as it is. Storing the same bytes again is no error.
#[utoipa::path(post, operation_id = "putBlob", path = "/v1/blobs", tag = "node",
    request_body(content = schema::Octets, content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "Where the bytes lie", body = BlobStored),
        (status = "default", description = "Problem: `blob_too_large` (413), `blob_quota` (507)",
            body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put(
    State(state): State<AppState>,
    request: Request,
) -> ApiResult<(StatusCode, Json<BlobStored>)> {
    let max = state.config.max_blob_bytes;
    let stated = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(size) = stated.filter(|size| *size > max) {
        return Err(BackendError::BlobTooLarge { size, max }.into());
    }
    let _slot = slot(&state).await?;
    let limit = usize::try_from(max).unwrap_or(usize::MAX);
    let bytes = axum::body::to_bytes(request.into_body(), limit).await.map_err(|error| {
        let mut cause = Some(&error as &dyn std::error::Error);
        while let Some(inner) = cause {
            if inner.to_string() == "length limit exceeded" {
                return BackendError::BlobTooLarge { size: max.saturating_add(1), max }.into();
            }
            cause = inner.source();
        }
        ApiProblem::invalid("the body could not be read to its end")
    })?;
    let stored = state.backend.blob_put(bytes.into()).await?;
    let body = BlobStored { locator: stored.locator, hash: stored.hash, size: stored.size };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Bytes by their BLAKE3
///
/// `HEAD` tells whether they are there, and how many, without reading them.
#[utoipa::path(get, operation_id = "getBlob", path = "/v1/blobs/{hash}", tag = "node",
    params(("hash" = String, Path, description = "BLAKE3 of the bytes, with or without 0x")),
    responses(
        (status = 200, description = "The bytes", body = schema::Octets, content_type = "application/octet-stream"),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    Named(name): Named<String>,
    method: Method,
) -> ApiResult<Response> {
    let hash = extract::hash(&name)?;
    let unknown = || ApiProblem::unknown("blob", hash);
    // axum gives requests of HEAD to the handler of GET.
    let mut response = if method == Method::HEAD {
        let size = state.backend.blob_size(hash).await?.ok_or_else(unknown)?;
        let mut response = Body::empty().into_response();
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size));
        response
    } else {
        let slot = slot(&state).await?;
        let bytes = state.backend.blob_get(hash).await?.ok_or_else(unknown)?;
        let size = bytes.len();
        let part = stream::once(async move {
            let _held_while_sent = slot;
            Ok::<_, Infallible>(bytes.0)
        });
        let mut response = Body::from_stream(part).into_response();
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size));
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    // What a hash names never changes; and nothing in it is to be run by a browser.
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    Ok(response)
}
