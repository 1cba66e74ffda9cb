//! Ethereum's JSON-RPC over HTTP and WebSocket.
//!
//! The server is written here, on axum, so that every queue is ours to bound: a socket has a fixed number of calls in
//! flight and is not read while they run, an answer is not kept for a peer that does not take it.

mod arguments;
mod blocks;
pub(crate) mod decoders;
pub(crate) mod encode;
mod envelope;
mod error;
mod evm;
mod explorer;
mod fees;
mod fill;
mod filters;
mod logs;
mod node;
mod overrides;
mod params;
mod pending;
mod pool;
mod raw;
mod simulate;
mod socket;
mod state;
mod testing;

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{
        State,
        rejection::BytesRejection,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::value::RawValue;

pub(crate) use filters::Filters;
pub use raw::encoded_receipt;

use crate::{
    limits::{
        EVM_CALL_TIMEOUT, MAX_RPC_BODY, MAX_SOCKET_MESSAGE, MAX_SYNC_WAIT, RPC_CALL_TIMEOUT,
        TRACE_TIMEOUT,
    },
    problem::{ApiProblem, ApiResult},
    shared::AppState,
};
use error::{RpcError, RpcResult, TIMEOUT, answer};
use params::Params;

/// What a person sees who opens the address in a browser.
const GREETING: &str = "This is a Neura node.\n\n\
    /docs            REST interface\n\
    POST /           Ethereum JSON-RPC (also as WebSocket, at / or /ws)\n\
    /v1/status       where the node stands\n\
    /metrics         metrics for Prometheus\n";

/// `GET /`: a WebSocket if one is asked for, a greeting otherwise.
pub(crate) async fn root(
    state: State<AppState>,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    match socket {
        Ok(socket) => upgrade(state, Ok(socket)).await.into_response(),
        Err(_) => GREETING.into_response(),
    }
}

/// `/ws`: a WebSocket.
pub(crate) async fn upgrade(
    State(state): State<AppState>,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> ApiResult<Response> {
    let socket = socket.map_err(|rejection| ApiProblem::invalid(rejection.body_text()))?;
    let slot = Arc::clone(&state.socket_slots)
        .try_acquire_owned()
        .map_err(|_| ApiProblem::overloaded("this node serves as many WebSockets as it can"))?;
    let socket = socket.max_message_size(MAX_SOCKET_MESSAGE).max_frame_size(MAX_SOCKET_MESSAGE);
    Ok(socket.on_upgrade(move |socket| async move {
        socket::serve(state, socket).await;
        drop(slot);
    }))
}

/// `POST /`: a request or a batch.
pub(crate) async fn http(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> ApiResult<Response> {
    if !is_json(&headers) {
        let detail = "send JSON-RPC with the header content-type: application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(ApiProblem::new(status, "unsupported_media_type", "Invalid input", detail));
    }
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiProblem::too_large(format!(
            "a JSON-RPC body has at most {MAX_RPC_BODY} bytes: send smaller batches, or less data in one call"
        )),
        _ => rejection.into(),
    })?;
    let answer = envelope::respond(&state, &body).await;
    Ok(match answer {
        Some(text) => {
            let media_type = "application/json; charset=utf-8";
            ([(header::CONTENT_TYPE, media_type)], text).into_response()
        }
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let stated = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = stated.unwrap_or_default().split(';').next().unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    ["application/json", "application/json-rpc", "application/jsonrequest"]
        .contains(&media_type.as_str())
}

/// Runs one method within its time.
async fn call(state: &AppState, method: &str, params: &Params<'_>) -> RpcResult<Box<RawValue>> {
    let limit = time_limit(method);
    match tokio::time::timeout(limit, dispatch(state, method, params)).await {
        Ok(result) => result,
        Err(_) => {
            let text =
                format!("request timed out: {method} took longer than {} s", limit.as_secs());
            Err(RpcError::new(TIMEOUT, text))
        }
    }
}

fn time_limit(method: &str) -> Duration {
    match method {
        "eth_call" | "eth_estimateGas" | "eth_createAccessList" | "eth_fillTransaction" => {
            EVM_CALL_TIMEOUT
        }
        "eth_simulateV1" | "ots_traceTransaction" | "ots_getInternalOperations" => TRACE_TIMEOUT,
        "eth_sendRawTransactionSync" => MAX_SYNC_WAIT + RPC_CALL_TIMEOUT,
        _ if method.starts_with("debug_trace") || method.starts_with("trace_") => TRACE_TIMEOUT,
        _ => RPC_CALL_TIMEOUT,
    }
}

/// Whether only a node that is told so serves a method.
fn is_for_debugging(method: &str) -> bool {
    ["debug_", "trace_", "txpool_"].iter().any(|space| method.starts_with(space))
        || matches!(method, "ots_traceTransaction" | "ots_getInternalOperations")
}

async fn dispatch(state: &AppState, method: &str, p: &Params<'_>) -> RpcResult<Box<RawValue>> {
    if !state.config.debug && is_for_debugging(method) {
        return Err(RpcError::no_method(method));
    }
    p.check_count(arguments::most(method).ok_or_else(|| RpcError::no_method(method))?)?;
    p.check_block_of(method)?;
    match method.split_once('_').map_or("", |(space, _)| space) {
        "eth" => match method {
            "eth_getHeaderByHash" | "eth_getHeaderByNumber" => {
                answer(blocks::header(state, p).await?)
            }
            _ if method.starts_with("eth_getBlock") => of_blocks(state, method, p).await,
            _ if method.contains("Transaction") => of_transactions(state, method, p).await,
            _ if method.contains("Filter") => of_filters(state, method, p).await,
            _ => of_state(state, method, p).await,
        },
        "debug" | "trace" => of_debug(state, method, p).await,
        "ots" => of_explorer(state, method, p).await,
        _ => of_node(state, method, p).await,
    }
}

async fn of_node(state: &AppState, method: &str, p: &Params<'_>) -> RpcResult<Box<RawValue>> {
    match method {
        "web3_clientVersion" => answer(node::client_version(state).await?),
        "web3_sha3" => answer(node::sha3(p)?),
        "net_version" => answer(node::network(state).await?),
        "net_listening" => answer(true),
        "net_peerCount" => answer(node::peer_count(state).await?),
        "rpc_modules" => answer(node::modules(state)),
        "testing_buildBlockV1" => answer(testing::build_block(state, p).await?),
        "txpool_status" => answer(pool::status(state).await?),
        "txpool_content" => answer(pool::content(state).await?),
        "txpool_contentFrom" => answer(pool::content_from(state, p).await?),
        "txpool_inspect" => answer(pool::inspect(state).await?),
        _ => Err(RpcError::no_method(method)),
    }
}

/// Accounts, calls, fees, logs, and the chain at large.
async fn of_state(state: &AppState, method: &str, p: &Params<'_>) -> RpcResult<Box<RawValue>> {
    match method {
        "eth_chainId" => answer(node::chain_id(state).await?),
        "eth_protocolVersion" => answer(node::PROTOCOL_VERSION),
        "eth_syncing" => answer(node::syncing(state).await?),
        "eth_capabilities" => answer(node::capabilities(state).await?),
        "eth_config" => answer(node::config(state).await?),
        "eth_accounts" => answer(Vec::<String>::new()),
        "eth_coinbase" => Err(node::no_coinbase()),
        "eth_mining" => answer(false),
        "eth_hashrate" => answer("0x0"),
        "eth_blockNumber" => answer(blocks::number(state).await?),
        "eth_getBalance" => answer(state::balance(state, p).await?),
        "eth_getCode" => answer(state::code(state, p).await?),
        "eth_getStorageAt" => answer(state::storage(state, p).await?),
        "eth_getStorageValues" => answer(state::storage_values(state, p).await?),
        "eth_getProof" => answer(evm::proof(state, p).await?),
        "eth_call" => answer(evm::call(state, p).await?),
        "eth_estimateGas" => answer(evm::estimate_gas(state, p).await?),
        "eth_createAccessList" => answer(evm::create_access_list(state, p).await?),
        "eth_simulateV1" => answer(simulate::simulate(state, p).await?),
        "eth_gasPrice" => answer(fees::gas_price(state).await?),
        "eth_maxPriorityFeePerGas" => answer(fees::priority_fee(state).await?),
        "eth_baseFee" => answer(fees::base_fee(state).await?),
        "eth_blobBaseFee" => answer(fees::blob_base_fee(state).await?),
        "eth_feeHistory" => answer(fees::history(state, p).await?),
        "eth_getLogs" => answer(logs::get(state, p).await?),
        "eth_getUncleCountByBlockHash" | "eth_getUncleCountByBlockNumber" => {
            answer(blocks::uncle_count(state, p).await?)
        }
        "eth_getUncleByBlockHashAndIndex" | "eth_getUncleByBlockNumberAndIndex" => {
            answer(blocks::uncle(state, p).await?)
        }
        "eth_subscribe" | "eth_unsubscribe" => {
            Err(RpcError::unsupported("notifications not supported: subscribe over a WebSocket"))
        }
        _ => Err(RpcError::no_method(method)),
    }
}

async fn of_blocks(state: &AppState, method: &str, p: &Params<'_>) -> RpcResult<Box<RawValue>> {
    match method {
        "eth_getBlockByHash" | "eth_getBlockByNumber" => answer(blocks::block(state, p).await?),
        "eth_getBlockTransactionCountByHash" | "eth_getBlockTransactionCountByNumber" => {
            answer(blocks::transaction_count(state, p).await?)
        }
        "eth_getBlockReceipts" => answer(blocks::receipts(state, p).await?),
        _ => Err(RpcError::no_method(method)),
    }
}

async fn of_transactions(
    state: &AppState,
    method: &str,
    p: &Params<'_>,
) -> RpcResult<Box<RawValue>> {
    match method {
        "eth_getTransactionCount" => answer(state::transaction_count(state, p).await?),
        "eth_sendRawTransaction" => answer(state::send(state, p).await?),
        "eth_sendRawTransactionSync" => answer(state::send_and_wait(state, p).await?),
        "eth_fillTransaction" => answer(fill::fill(state, p).await?),
        "eth_getTransactionByHash" => answer(blocks::transaction(state, p).await?),
        "eth_getTransactionByBlockHashAndIndex" | "eth_getTransactionByBlockNumberAndIndex" => {
            answer(blocks::transaction_at(state, p).await?)
        }
        "eth_getTransactionReceipt" => answer(blocks::receipt(state, p).await?),
        "eth_getRawTransactionByHash" => answer(raw::transaction(state, p).await?),
        "eth_getRawTransactionByBlockHashAndIndex"
        | "eth_getRawTransactionByBlockNumberAndIndex" => {
            answer(raw::transaction_at(state, p).await?)
        }
        // Those of the node's own accounts: it has none.
        "eth_pendingTransactions" => answer(Vec::<String>::new()),
        "eth_newPendingTransactionFilter" => answer(filters::new_pending(state, p).await?),
        "eth_sendTransaction" | "eth_signTransaction" => Err(RpcError::unsupported(
            "this node holds no keys: sign with a wallet and send with eth_sendRawTransaction",
        )),
        _ => Err(RpcError::no_method(method)),
    }
}

async fn of_filters(state: &AppState, method: &str, p: &Params<'_>) -> RpcResult<Box<RawValue>> {
    match method {
        "eth_newFilter" => answer(filters::new_logs(state, p).await?),
        "eth_newBlockFilter" => answer(filters::new_blocks(state).await?),
        "eth_getFilterChanges" => answer(filters::changes(state, p).await?),
        "eth_getFilterLogs" => answer(filters::logs(state, p).await?),
        "eth_uninstallFilter" => answer(filters::uninstall(state, p)?),
        _ => Err(RpcError::no_method(method)),
    }
}

async fn of_debug(state: &AppState, method: &str, p: &Params<'_>) -> RpcResult<Box<RawValue>> {
    match method {
        "debug_traceTransaction" => answer(evm::trace_transaction(state, p).await?),
        "debug_traceCall" => answer(evm::trace_call(state, p).await?),
        "debug_traceBlockByNumber" | "debug_traceBlockByHash" => {
            answer(evm::trace_block(state, p).await?)
        }
        "trace_transaction" => answer(evm::flat_trace_of_transaction(state, p).await?),
        "trace_block" => answer(evm::flat_traces_of_block(state, p).await?),
        "debug_getRawTransaction" => answer(raw::transaction(state, p).await?),
        "debug_getRawReceipts" => answer(raw::receipts(state, p).await?),
        "debug_getRawHeader" => answer(raw::header(state, p).await?),
        "debug_getRawBlock" => answer(raw::block(state, p).await?),
        "debug_getBadBlocks" => answer(Vec::<String>::new()),
        _ => Err(RpcError::no_method(method)),
    }
}

async fn of_explorer(state: &AppState, method: &str, p: &Params<'_>) -> RpcResult<Box<RawValue>> {
    match method {
        "ots_getApiLevel" => answer(explorer::API_LEVEL),
        "ots_hasCode" => answer(explorer::has_code(state, p).await?),
        "ots_getBlockDetails" | "ots_getBlockDetailsByHash" => {
            answer(explorer::details(state, p).await?)
        }
        "ots_getBlockTransactions" => answer(explorer::page(state, p).await?),
        "ots_getTransactionError" => answer(explorer::error_of(state, p).await?),
        "ots_traceTransaction" => answer(explorer::trace(state, p).await?),
        "ots_getInternalOperations" => answer(explorer::internal(state, p).await?),
        "ots_searchTransactionsBefore"
        | "ots_searchTransactionsAfter"
        | "ots_getTransactionBySenderAndNonce"
        | "ots_getContractCreator" => Err(explorer::no_index(method)),
        _ => Err(RpcError::no_method(method)),
    }
}
