//! The REST routes that a provider uses.

use std::convert::Infallible;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures::{Stream, stream};
use neura_types::{
    Address, Amount, B256, Params, Transaction,
    hash::content_hash,
    note::TaskNote,
    rest::{
        AccountInfo, BlobStored, BlockDetail, BlockExecution, BlockSummary, FaucetGrant,
        FaucetRequest, Finality, NoteTaken, Page, Problem, Status, SubmitRequest, Submitted, Wei,
    },
    task::{Task, TaskId},
};
use serde::Deserialize;

use super::{CHAIN_ID, Node};

/// Largest blob that the node takes.
pub(super) const MAX_BLOB: u64 = 1 << 20;
/// What the faucet gives.
const GRANT: Amount = Amount::ankr(80);
/// Tasks on a page.
const PAGE: usize = 2;

fn refuse(status: u16, code: &str) -> Response {
    let problem = Problem {
        kind: format!("urn:neura:problem:{code}"),
        title: "refused".into(),
        status,
        code: code.into(),
        detail: format!("the test's node says {code}"),
        data: None,
    };
    (StatusCode::from_u16(status).unwrap(), Json(problem)).into_response()
}

pub(super) async fn status(State(node): State<Node>) -> Json<Status> {
    let chain = node.chain();
    Json(Status {
        version: "test".into(),
        chain_id: CHAIN_ID,
        genesis_hash: B256::repeat_byte(0x6e),
        ordered: chain.height,
        executed: chain.height,
        certified: chain.height,
        view: chain.height,
        epoch: 0,
        epoch_last: 1_000,
        evidence: 0,
        peers: 0,
        validator: None,
        syncing: false,
        faucet: chain.faucet,
        max_blob_bytes: MAX_BLOB,
    })
}

pub(super) async fn params(State(node): State<Node>) -> Json<Params> {
    Json(node.chain().params.clone())
}

pub(super) async fn latest(State(node): State<Node>) -> Json<BlockDetail> {
    let execution = BlockExecution {
        state_root: B256::ZERO,
        receipts_root: B256::ZERO,
        gas_used: 0,
        gas_limit: 30_000_000,
        base_fee_per_gas: Wei::from(1_000_000_000),
    };
    Json(BlockDetail {
        block: BlockSummary {
            id: B256::ZERO,
            height: node.chain().height,
            parent: B256::ZERO,
            view: 0,
            epoch: 0,
            proposer: 0,
            proposer_account: Address::ZERO,
            timestamp_ms: 0,
            beacon: B256::ZERO,
            transactions: 0,
            size: 0,
            finality: Finality::Executed,
            execution: Some(execution),
        },
        certifies: Default::default(),
        transaction_hashes: Vec::new(),
    })
}

pub(super) async fn account(
    State(node): State<Node>,
    Path(address): Path<Address>,
) -> Json<AccountInfo> {
    let chain = node.chain();
    let nonce = chain.nonces.get(&address).copied().unwrap_or_default();
    Json(AccountInfo {
        address,
        balance: Wei(chain.balances.get(&address).copied().unwrap_or_default()),
        nonce,
        pending_nonce: nonce,
        contract: false,
        code_hash: B256::ZERO,
        height: chain.height,
        proof: None,
    })
}

pub(super) async fn submit(
    State(node): State<Node>,
    Json(request): Json<SubmitRequest>,
) -> Response {
    let tx = Transaction::decode(request.raw, CHAIN_ID).unwrap();
    match node.act(|chain| chain.take(tx)) {
        Ok(hash) => (StatusCode::ACCEPTED, Json(Submitted { hash })).into_response(),
        Err((status, code)) => refuse(status, code),
    }
}

pub(super) async fn transaction(State(node): State<Node>, Path(hash): Path<B256>) -> Response {
    match node.chain().executed.get(&hash) {
        Some(info) => Json(info.clone()).into_response(),
        None => refuse(404, "unknown_transaction"),
    }
}

pub(super) async fn provider(State(node): State<Node>, Path(address): Path<Address>) -> Response {
    match node.chain().providers.get(&address) {
        Some(provider) => Json(provider.clone()).into_response(),
        None => refuse(404, "unknown_provider"),
    }
}

#[derive(Deserialize)]
pub(super) struct Window {
    provider: Address,
    before: Option<TaskId>,
}

pub(super) async fn tasks(
    State(node): State<Node>,
    Query(window): Query<Window>,
) -> Json<Page<Task>> {
    let chain = node.chain();
    let before = window.before.unwrap_or(TaskId::MAX);
    let mut all = chain.tasks.range(..before).rev().map(|(_, task)| task);
    let items: Vec<Task> = all
        .by_ref()
        .filter(|task| task.terms.provider == window.provider)
        .take(PAGE)
        .cloned()
        .collect();
    let next = all.next().and(items.last()).map(|task| task.id.to_string());
    Json(Page { items, next })
}

pub(super) async fn task(State(node): State<Node>, Path(id): Path<TaskId>) -> Response {
    match node.chain().tasks.get(&id) {
        Some(task) => Json(task.clone()).into_response(),
        None => refuse(404, "unknown_task"),
    }
}

pub(super) async fn note(
    State(node): State<Node>,
    Path(id): Path<TaskId>,
    Json(note): Json<TaskNote>,
) -> Response {
    let mut chain = node.chain();
    let provider = &chain.providers[&chain.tasks[&id].terms.provider];
    note.verify(CHAIN_ID, &provider.identity).unwrap();
    assert!(chain.notes.last().is_none_or(|last| note.number > last.number));
    let number = note.number;
    chain.notes.push(note);
    (StatusCode::ACCEPTED, Json(NoteTaken { number })).into_response()
}

pub(super) async fn faucet(
    State(node): State<Node>,
    Json(request): Json<FaucetRequest>,
) -> Response {
    use neura_types::{U256, keys::EthKey, transaction::UnsignedTransaction};
    let amount = request.amount.unwrap_or(GRANT);
    let key = EthKey::from_bytes([5; 32]).unwrap();
    let hash = node.act(|chain| {
        if !chain.faucet {
            return None;
        }
        chain.balances.insert(key.address(), U256::from(u128::MAX));
        let nonce = chain.nonces.get(&key.address()).copied().unwrap_or_default();
        let transfer = UnsignedTransaction {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 1,
            max_priority_fee_per_gas: 1,
            to: request.address.into(),
            value: amount.to_u256(),
            input: Default::default(),
        };
        let tx = Transaction::decode(transfer.sign_eth(&key), CHAIN_ID).unwrap();
        *chain.balances.entry(request.address).or_default() += amount.to_u256();
        chain.take(tx).ok()
    });
    match hash {
        Some(hash) => (StatusCode::ACCEPTED, Json(FaucetGrant { hash, amount })).into_response(),
        None => refuse(403, "no_faucet"),
    }
}

pub(super) async fn put_blob(State(node): State<Node>, bytes: Bytes) -> Response {
    if bytes.len() as u64 > MAX_BLOB {
        return refuse(413, "blob_too_large");
    }
    let (hash, size) = (content_hash(&bytes), bytes.len() as u64);
    node.chain().blobs.insert(hash, bytes.to_vec());
    let locator = neura_blobs::Locator::from_hash(hash.0).to_string();
    (StatusCode::CREATED, Json(BlobStored { locator, hash, size })).into_response()
}

pub(super) async fn blob(State(node): State<Node>, Path(hash): Path<B256>) -> Response {
    match node.chain().blobs.get(&hash) {
        Some(bytes) => bytes.clone().into_response(),
        None => refuse(404, "unknown_blob"),
    }
}

pub(super) async fn events(
    State(node): State<Node>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::unfold(node.listen(), |mut events| async {
        let event = events.recv().await.ok()?;
        let sent = Event::default().event(event.name()).json_data(&event).unwrap();
        Some((Ok(sent), events))
    });
    Sse::new(events)
}
