//! Blocks.

use axum::{Json, extract::State, http::header, response::IntoResponse};
use neura_types::rest::{BlockDetail, BlockSummary, Page, Problem, schema};
use serde::Deserialize;

use super::{
    convert,
    extract::{self, Named, Search},
};
use crate::{
    problem::{ApiResult, found},
    shared::AppState,
};

/// Query of the listing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    limit: Option<u32>,
    before: Option<u64>,
}

/// Blocks, highest first
#[utoipa::path(get, operation_id = "listBlocks", path = "/v1/blocks", tag = "chain",
    params(
        ("limit" = Option<u32>, Query, description = "Entries of the page: 20 if left out, at most 100"),
        ("before" = Option<u64>, Query, description = "Only blocks below this height"),
    ),
    responses(
        (status = 200, description = "A page of blocks whose order is final", body = schema::BlockPage),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Search(window): Search<Window>,
) -> ApiResult<Json<Page<BlockSummary>>> {
    let heads = state.backend.heads(window.before, extract::page_size(window.limit)).await?;
    let items: Vec<_> = heads.iter().map(convert::block_summary).collect();
    let next = items.last().map(|block| block.height).filter(|height| *height > 0);
    Ok(Json(Page { items, next: next.map(|height| height.to_string()) }))
}

/// A block
#[utoipa::path(get, operation_id = "getBlock", path = "/v1/blocks/{block}", tag = "chain",
    params(("block" = String, Path, description = "Height, id, or `latest` (the highest executed)")),
    responses(
        (status = 200, description = "The block with the hashes of its transactions", body = BlockDetail),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn one(
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> ApiResult<Json<BlockDetail>> {
    found(state.backend.block(extract::block(&name)?).await, "block", name)
        .map(|block| Json(convert::block_detail(&block)))
}

/// A block's canonical encoding
#[utoipa::path(get, operation_id = "getRawBlock", path = "/v1/blocks/{block}/raw", tag = "chain",
    params(("block" = String, Path, description = "Height, id, or `latest` (the highest executed)")),
    responses(
        (status = 200, description = "Header, certificates and transactions, for those who check them",
            body = schema::Octets, content_type = "application/octet-stream"),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn raw(
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> ApiResult<impl IntoResponse> {
    let block = found(state.backend.raw_block(extract::block(&name)?).await, "block", name)?;
    let bytes = neura_types::codec::encode(block.as_ref());
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes))
}
