//! The description of the REST interface, generated from its handlers, and a page to browse it.

use axum::{
    body::Bytes,
    extract::State,
    http::header,
    response::{Html, IntoResponse},
};
use neura_types::rest::{ChainEvent, Problem};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{rest, shared::AppState};

/// What the document says beside routes and schemas.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Neura node",
        description = "REST interface of a Neura node. Hashes and addresses are 0x hexadecimal, amounts decimal \
                       strings in wei, times milliseconds since the Unix epoch. Errors are RFC 9457 problems with a \
                       stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ChainEvent, Problem)),
    tags(
        (name = "chain", description = "Blocks, transactions, accounts, parameters"),
        (name = "staking", description = "Validators, delegations"),
        (name = "compute", description = "Providers, requesters, tasks"),
        (name = "node", description = "This node: status, events, faucet, off-chain store"),
    )
)]
struct Document;

/// The REST routes with their description.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Document::openapi()).merge(rest::routes())
}

/// The OpenAPI 3.1 document of the REST interface.
pub fn document() -> serde_json::Value {
    // A document of strings, numbers, lists and maps always has a JSON form.
    serde_json::to_value(routes().into_openapi()).unwrap_or_default()
}

/// The document as it is sent.
pub(crate) fn bytes() -> Bytes {
    document().to_string().into()
}

/// `GET /v1/openapi.json`.
pub(crate) async fn json(State(state): State<AppState>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], state.openapi.clone())
}

/// `GET /docs`: a page that shows the document; everything in it comes from this server.
pub(crate) async fn page() -> impl IntoResponse {
    let policy = "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; \
                  script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(include_str!("openapi/docs.html")))
}
