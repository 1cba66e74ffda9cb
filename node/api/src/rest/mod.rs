//! The REST interface, one file per area.

mod accounts;
mod blobs;
mod blocks;
mod compute;
mod convert;
mod extract;
mod faucet;
mod governance;
mod node;
mod notes;
mod staking;
mod stream;
mod transactions;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use faucet::FaucetLimiter;
pub(crate) use node::{health, metrics, ready};

use crate::shared::AppState;

/// All routes with their descriptions.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(node::status))
        .routes(routes!(blocks::list))
        .routes(routes!(blocks::one))
        .routes(routes!(blocks::raw))
        .routes(routes!(transactions::submit))
        .routes(routes!(transactions::one))
        .routes(routes!(accounts::one))
        .routes(routes!(compute::providers))
        .routes(routes!(compute::provider))
        .routes(routes!(compute::matches))
        .routes(routes!(compute::requester))
        .routes(routes!(compute::tasks))
        .routes(routes!(compute::task))
        .routes(routes!(notes::post))
        .routes(routes!(notes::stream))
        .routes(routes!(staking::validators))
        .routes(routes!(staking::candidates))
        .routes(routes!(staking::validator))
        .routes(routes!(staking::delegation))
        .routes(routes!(staking::account))
        .routes(routes!(governance::epoch))
        .routes(routes!(governance::params))
        .routes(routes!(governance::proposals))
        .routes(routes!(governance::proposal))
        .routes(routes!(stream::events))
        .routes(routes!(faucet::give))
        .merge(blobs::routes())
}
