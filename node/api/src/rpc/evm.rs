//! Methods that run the machine: bounded in number, in time, and in what one batch may use.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use neura_types::simulation::{AccessListOutcome, Overrides};
use serde::Serialize;
use serde_json::Value;

use super::{
    encode::{EthAccess, access_items},
    error::{LIMIT_EXCEEDED, RpcError, RpcResult, SERVER},
    overrides::{BlockParams, StateParams},
    params::{BlockId, CallParams, Params},
    pending,
};
use crate::{
    backend::{Backend, BackendResult, BlockRef, CallAt},
    error::BackendError,
    limits::BATCH_EVM_TIME,
    shared::AppState,
};

/// Time that the simulations of one request or batch have taken, in microseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Spent(Arc<AtomicU64>);

impl Spent {
    fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(micros, Ordering::Relaxed);
    }

    fn check(&self) -> RpcResult<()> {
        if Duration::from_micros(self.0.load(Ordering::Relaxed)) < BATCH_EVM_TIME {
            return Ok(());
        }
        let limit = BATCH_EVM_TIME.as_secs();
        let text = format!(
            "batch limit exceeded: its calls have run for {limit} s together; send fewer in one batch"
        );
        Err(RpcError::new(LIMIT_EXCEEDED, text))
    }
}

/// Runs a simulation when it is its turn. It keeps its place until it ends, even if nobody waits for it any more.
pub(super) async fn run<T, F>(
    state: &AppState,
    params: &Params<'_>,
    work: impl FnOnce(Arc<dyn Backend>) -> F,
) -> RpcResult<T>
where
    T: Send + 'static,
    F: Future<Output = BackendResult<T>> + Send + 'static,
{
    let stopping = |_| BackendError::Unavailable("the node is stopping".into());
    let slot = Arc::clone(&state.evm_slots).acquire_owned().await.map_err(stopping)?;
    let spent = params.spent().clone();
    spent.check()?;
    let job = work(Arc::clone(&state.backend));
    let running = tokio::spawn(async move {
        let began = Instant::now();
        let done = job.await;
        spent.add(began.elapsed());
        drop(slot);
        done
    });
    match running.await {
        Ok(done) => Ok(done?),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(BackendError::Unavailable("the node is stopping".into()).into()),
    }
}

/// A call with block and overrides in the positions of `eth_call`.
async fn call_at(state: &AppState, params: &Params<'_>) -> RpcResult<CallAt> {
    let draft: CallParams = params.required(0, "transaction")?;
    let at = params.block(1)?.to_ref();
    let accounts: Option<StateParams> = params.optional(2, "state overrides")?;
    let block: Option<BlockParams> = params.optional(3, "block overrides")?;
    let overrides = Overrides {
        state: accounts.unwrap_or_default().check()?,
        block: block.unwrap_or_default().check_for_call()?,
    };
    let chain_id = state.backend.status().await?.chain_id;
    Ok(CallAt { call: draft.into_request(chain_id)?, overrides, at })
}

pub(super) async fn call(state: &AppState, params: &Params<'_>) -> RpcResult<Bytes> {
    let call = call_at(state, params).await?;
    Ok(run(state, params, |backend| async move { backend.call(call).await }).await?.output)
}

pub(super) async fn estimate_gas(state: &AppState, params: &Params<'_>) -> RpcResult<U64> {
    let call = call_at(state, params).await?;
    let gas = run(state, params, |backend| async move { backend.estimate_gas(call).await }).await?;
    Ok(U64::from(gas))
}

/// Answer of `eth_createAccessList`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Access {
    access_list: Vec<EthAccess>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    gas_used: U64,
}

pub(super) async fn create_access_list(state: &AppState, params: &Params<'_>) -> RpcResult<Access> {
    let call = call_at(state, params).await?;
    let AccessListOutcome { access_list, gas_used, error } =
        run(state, params, |backend| async move { backend.create_access_list(call).await }).await?;
    let gas_used = U64::from(gas_used);
    Ok(Access { access_list: access_items(&access_list), error, gas_used })
}

/// Takes the overrides out of the options of `debug_traceCall`.
fn overrides_in(options: &mut Value) -> RpcResult<Overrides> {
    let mut take = |name: &str| options.as_object_mut().and_then(|options| options.remove(name));
    let wrong = |error: serde_json::Error| RpcError::params(format!("invalid argument 2: {error}"));
    let accounts = take("stateOverrides").unwrap_or_default();
    let block = take("blockOverrides").unwrap_or_default();
    let accounts: Option<StateParams> = serde_json::from_value(accounts).map_err(wrong)?;
    let block: Option<BlockParams> = serde_json::from_value(block).map_err(wrong)?;
    Ok(Overrides {
        state: accounts.unwrap_or_default().check()?,
        block: block.unwrap_or_default().check_for_call()?,
    })
}

pub(super) async fn trace_call(state: &AppState, params: &Params<'_>) -> RpcResult<Value> {
    let draft: CallParams = params.required(0, "transaction")?;
    let at = params.block(1)?.to_ref();
    let mut options: Value = params.optional(2, "options")?.unwrap_or_default();
    let overrides = overrides_in(&mut options)?;
    let chain_id = state.backend.status().await?.chain_id;
    let call = CallAt { call: draft.into_request(chain_id)?, overrides, at };
    run(state, params, |backend| async move { backend.trace_call(call, options).await }).await
}

pub(super) async fn trace_transaction(state: &AppState, params: &Params<'_>) -> RpcResult<Value> {
    let hash: B256 = params.required(0, "hash")?;
    let options: Value = params.optional(1, "options")?.unwrap_or_default();
    trace_one(state, params, hash, options).await
}

/// The calls of a transaction in a row, as Parity and explorers write them; none of one that is not known.
pub(super) async fn flat_trace_of_transaction(
    state: &AppState,
    params: &Params<'_>,
) -> RpcResult<Option<Value>> {
    let hash: B256 = params.required(0, "hash")?;
    if state.backend.transaction(hash).await?.is_none_or(|view| view.included.is_none()) {
        return Ok(None);
    }
    trace_one(state, params, hash, flat()).await.map(Some)
}

/// The calls of all transactions of a block in a row.
pub(super) async fn flat_traces_of_block(
    state: &AppState,
    params: &Params<'_>,
) -> RpcResult<Option<Vec<Value>>> {
    let block: BlockId = params.required(0, "block")?;
    let block = block.to_ref();
    if matches!(block, BlockRef::Height(0)) {
        return Ok(Some(Vec::new()));
    }
    check_traceable(block)?;
    let traces =
        run(
            state,
            params,
            move |backend| async move { backend.trace_block(block, None, flat()).await },
        )
        .await?;
    let calls = |(_, trace): (B256, Value)| match trace {
        Value::Array(calls) => calls,
        other => vec![other],
    };
    Ok(traces.map(|traces| traces.into_iter().flat_map(calls).collect()))
}

fn check_traceable(block: BlockRef) -> RpcResult<()> {
    match block {
        BlockRef::Pending => {
            Err(pending::not_executed("tracing on top of pending is not supported"))
        }
        _ => Ok(()),
    }
}

/// Parity states the gas of frames alone, and has words of its own for errors.
fn flat() -> Value {
    let config = serde_json::json!({ "intrinsicGas": false, "convertParityErrors": true });
    serde_json::json!({ "tracer": "flatCallTracer", "tracerConfig": config })
}

/// The trace of a transaction.
pub(super) async fn trace_one(
    state: &AppState,
    params: &Params<'_>,
    hash: B256,
    options: Value,
) -> RpcResult<Value> {
    let found = state.backend.transaction(hash).await?.and_then(|view| view.included);
    let missing = || RpcError::new(SERVER, "transaction not found");
    let block = found.filter(|place| place.receipt.is_some()).ok_or_else(missing)?.block;
    let traces = run(state, params, move |backend| async move {
        backend.trace_block(BlockRef::Id(block), Some(hash), options).await
    })
    .await?;
    let mine = traces.into_iter().flatten().find(|(of, _)| *of == hash);
    mine.map(|(_, trace)| trace).ok_or_else(missing)
}

/// A transaction's trace among those of its block.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockTrace {
    tx_hash: B256,
    result: Value,
}

pub(super) async fn trace_block(
    state: &AppState,
    params: &Params<'_>,
) -> RpcResult<Vec<BlockTrace>> {
    let block: BlockId = params.required(0, "block")?;
    let options: Value = params.optional(1, "options")?.unwrap_or_default();
    let block = block.to_ref();
    if matches!(block, BlockRef::Height(0)) {
        return Err(RpcError::new(SERVER, "genesis is not traceable"));
    }
    check_traceable(block)?;
    let traces = run(state, params, move |backend| async move {
        backend.trace_block(block, None, options).await
    })
    .await?;
    let traces = traces.ok_or(BackendError::UnknownBlock)?;
    Ok(traces.into_iter().map(|(tx_hash, result)| BlockTrace { tx_hash, result }).collect())
}

/// Answer of `eth_getProof`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Proof {
    address: Address,
    account_proof: Vec<Bytes>,
    balance: U256,
    code_hash: B256,
    nonce: U64,
    storage_hash: B256,
    storage_proof: Vec<WordProof>,
}

/// Characters of a storage key that is a whole word in hexadecimal.
const WORD_KEY_CHARS: usize = 66;

#[derive(Debug, Serialize)]
struct WordProof {
    key: String,
    value: U256,
    proof: Vec<Bytes>,
}

pub(super) async fn proof(state: &AppState, params: &Params<'_>) -> RpcResult<Proof> {
    let address: Address = params.required(0, "address")?;
    let keys: Vec<String> = params.optional(1, "storage keys")?.unwrap_or_default();
    let limit = crate::limits::MAX_PROOF_SLOTS;
    if keys.len() > limit {
        return Err(RpcError::params(format!("too many slots: at most {limit}")));
    }
    let slot = |key: &String| {
        super::params::hex_number(key)
            .ok_or_else(|| RpcError::params(format!("invalid storage key {key:?}")))
    };
    let slots: Vec<U256> = keys.iter().map(slot).collect::<RpcResult<_>>()?;
    let at = params.block(2)?.to_ref();
    let found = state.backend.ethereum_proof(address, slots.clone(), at).await?;
    // A key that is a whole word is shown as it came, any other as the number that it is.
    let shown = |key: String, slot: U256| match key.len() {
        WORD_KEY_CHARS => key,
        _ => format!("{slot:#x}"),
    };
    let words = keys.into_iter().zip(&slots).map(|(key, slot)| shown(key, *slot));
    let word =
        |(key, (value, proof)): (String, (U256, Vec<Bytes>))| WordProof { key, value, proof };
    Ok(Proof {
        address,
        account_proof: found.account_proof,
        balance: found.account.balance,
        code_hash: found.account.code_hash,
        nonce: U64::from(found.account.nonce),
        storage_hash: found.storage_root,
        storage_proof: words.zip(found.storage).map(word).collect(),
    })
}
