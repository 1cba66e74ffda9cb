//! A node without a chain: it executes each transaction as it comes, in a block of its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use neura_types::{
    Address, B256, Transaction, U256,
    rest::{
        AccountInfo, BlockDetail, BlockExecution, BlockSummary, Finality, Inclusion, Problem,
        ReceiptInfo, Status, SubmitRequest, Submitted, TransactionInfo, Wei,
    },
};

pub(crate) const CHAIN_ID: u64 = 7_331;

/// What the node knows, and how it behaves.
#[derive(Default)]
pub(crate) struct Node {
    pub(crate) height: u64,
    pub(crate) base_fee: u64,
    pub(crate) executed: HashMap<B256, TransactionInfo>,
    /// Transactions handed over, in order, refused ones included.
    pub(crate) seen: Vec<B256>,
    pub(crate) nonces: HashMap<Address, u64>,
    /// Reasons of the next reverts.
    pub(crate) reverts: Vec<&'static str>,
    /// Answers in place of what the next submissions would get.
    pub(crate) refusals: Vec<Refusal>,
    /// Nonces that another wallet of the same key uses up before the next submissions are looked at.
    pub(crate) thieves: u64,
    /// The transaction is executed, but the answer to its submission is lost.
    pub(crate) lose_answers: u64,
}

/// Status, code and sentence.
pub(crate) type Refusal = (u16, &'static str, &'static str);

pub(crate) type Shared = Arc<Mutex<Node>>;

pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Node> {
    shared.lock().unwrap()
}

/// Starts a node; it serves until the test ends.
pub(crate) async fn start(node: Node) -> (Shared, String) {
    let shared: Shared = Arc::new(Mutex::new(node));
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/blocks/latest", get(latest))
        .route("/v1/accounts/{address}", get(account))
        .route("/v1/transactions", post(submit))
        .route("/v1/transactions/{hash}", get(transaction))
        .with_state(Arc::clone(&shared));
    (shared, serve(router).await)
}

pub(crate) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

pub(crate) fn refuse(status: u16, code: &str, detail: &str) -> Response {
    let problem = Problem {
        kind: format!("urn:neura:problem:{code}"),
        title: "refused".into(),
        status,
        code: code.into(),
        detail: detail.into(),
        data: None,
    };
    (StatusCode::from_u16(status).unwrap(), Json(problem)).into_response()
}

async fn status(State(shared): State<Shared>) -> Json<Status> {
    let height = lock(&shared).height;
    Json(Status {
        version: "test".into(),
        chain_id: CHAIN_ID,
        genesis_hash: B256::ZERO,
        ordered: height,
        executed: height,
        certified: height,
        view: height,
        epoch: 0,
        epoch_last: 1_000,
        evidence: 0,
        peers: 0,
        validator: None,
        syncing: false,
        faucet: false,
        max_blob_bytes: 1 << 20,
    })
}

async fn latest(State(shared): State<Shared>) -> Json<BlockDetail> {
    let node = lock(&shared);
    let execution = BlockExecution {
        state_root: B256::ZERO,
        receipts_root: B256::ZERO,
        gas_used: 0,
        gas_limit: 30_000_000,
        base_fee_per_gas: Wei::from(u128::from(node.base_fee)),
    };
    Json(BlockDetail {
        block: BlockSummary {
            id: B256::ZERO,
            height: node.height,
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

async fn account(State(shared): State<Shared>, Path(address): Path<Address>) -> Json<AccountInfo> {
    let node = lock(&shared);
    let nonce = node.nonces.get(&address).copied().unwrap_or(0);
    Json(AccountInfo {
        address,
        balance: Wei(U256::MAX),
        nonce,
        pending_nonce: nonce,
        contract: false,
        code_hash: B256::ZERO,
        height: node.height,
        proof: None,
    })
}

async fn transaction(State(shared): State<Shared>, Path(hash): Path<B256>) -> Response {
    match lock(&shared).executed.get(&hash) {
        Some(info) => Json(info.clone()).into_response(),
        None => refuse(404, "unknown_transaction", "no such transaction"),
    }
}

async fn submit(State(shared): State<Shared>, Json(request): Json<SubmitRequest>) -> Response {
    let mut node = lock(&shared);
    let tx = Transaction::decode(request.raw, CHAIN_ID).unwrap();
    node.seen.push(tx.hash);
    if let Some((status, code, detail)) = node.refusals.pop() {
        return refuse(status, code, detail);
    }
    if node.executed.contains_key(&tx.hash) {
        return refuse(422, "already_known", "already known");
    }
    let stolen = std::mem::take(&mut node.thieves);
    let next = node.nonces.entry(tx.sender).or_default();
    *next += stolen;
    if tx.nonce != *next {
        let code = if tx.nonce < *next { "nonce_too_low" } else { "nonce_too_high" };
        return refuse(422, code, "the nonce is not the next one");
    }
    *next += 1;
    let hash = tx.hash;
    node.execute(tx);
    if node.lose_answers > 0 {
        node.lose_answers -= 1;
        return refuse(503, "unavailable", "the answer got lost");
    }
    (StatusCode::ACCEPTED, Json(Submitted { hash })).into_response()
}

impl Node {
    fn execute(&mut self, tx: Transaction) {
        self.height += 1;
        let revert = self.reverts.pop();
        let receipt = ReceiptInfo {
            success: revert.is_none(),
            gas_used: 21_000,
            effective_gas_price: Wei::default(),
            contract: None,
            logs: Vec::new(),
            revert_data: Default::default(),
            revert_reason: revert.map(ToOwned::to_owned),
        };
        let inclusion =
            Inclusion { block: B256::ZERO, height: self.height, index: 0, timestamp_ms: 0 };
        let info = TransactionInfo {
            hash: tx.hash,
            tx_type: tx.tx_type,
            from: tx.sender,
            to: tx.to.to().copied(),
            nonce: tx.nonce,
            value: Wei(tx.value),
            gas_limit: tx.gas_limit,
            max_fee_per_gas: Wei::from(tx.max_fee_per_gas),
            max_priority_fee_per_gas: Wei::from(tx.max_priority_fee_per_gas),
            input: tx.input,
            finality: Finality::Executed,
            inclusion: Some(inclusion),
            receipt: Some(receipt),
        };
        self.executed.insert(tx.hash, info);
    }
}
