//! Requests and batches of JSON-RPC 2.0 in, answers out.

use std::{borrow::Cow, collections::BTreeMap};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::{
    call,
    error::{INTERNAL, INVALID_REQUEST, PARSE_ERROR, RESPONSE_TOO_LARGE, RpcError, RpcResult},
    evm::Spent,
    params::{FirstOf, Params},
};
use crate::{
    limits::{MAX_BATCH, MAX_BATCH_ANSWER, RPC_CONCURRENCY},
    shared::AppState,
};

/// One request. Without an id it is a notification, which is not answered, and as no method here changes anything
/// without an answer, not run.
#[derive(Debug, Deserialize)]
pub(super) struct Request<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) params: Option<&'a RawValue>,
}

/// Tells an id of `null` from none.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Serialize)]
struct Answer<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RpcError>,
}

/// Reads one request.
pub(super) fn read(text: &[u8]) -> RpcResult<Request<'_>> {
    let request: Request<'_> = serde_json::from_slice(text).map_err(|error| {
        if error.is_data() {
            RpcError::new(
                INVALID_REQUEST,
                "invalid request: jsonrpc, id, method, params are expected",
            )
        } else {
            RpcError::new(PARSE_ERROR, "parse error: the request is not JSON")
        }
    })?;
    let id_fits = request.id.is_none_or(|id| !id.get().starts_with(['{', '[']));
    if request.jsonrpc != "2.0" || !id_fits {
        return Err(RpcError::new(
            INVALID_REQUEST,
            "invalid request: jsonrpc must be \"2.0\", id a string or a number",
        ));
    }
    Ok(request)
}

/// Answers to requests that were carried out already, by their place in the batch.
pub(super) type Given = BTreeMap<usize, String>;

/// Answers a request or a batch; nothing if there were only notifications.
pub(super) async fn respond(state: &AppState, body: &[u8]) -> Option<String> {
    respond_beside(state, body, Given::new()).await
}

/// [`respond`], where some answers of a batch are `given`.
pub(super) async fn respond_beside(state: &AppState, body: &[u8], given: Given) -> Option<String> {
    if is_batch(body) {
        batch(state, body, given).await
    } else {
        single(state, body, &Spent::default()).await
    }
}

/// Whether a body is an array.
pub(super) fn is_batch(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// The requests in a body, those of a batch that will be answered, or the only one.
pub(super) fn requests(body: &[u8]) -> Vec<&[u8]> {
    if !is_batch(body) {
        return vec![body];
    }
    match serde_json::from_slice::<FirstOf<'_, MAX_BATCH>>(body) {
        Ok(FirstOf { items, count }) if items.len() == count => {
            items.into_iter().map(|item| item.get().as_bytes()).collect()
        }
        _ => Vec::new(),
    }
}

async fn single(state: &AppState, text: &[u8], spent: &Spent) -> Option<String> {
    let request = match read(text) {
        Ok(request) => request,
        Err(error) => return Some(write(id_of(text), Err(error))),
    };
    let id = request.id?;
    let result = match Params::read(request.params) {
        Ok(params) => call(state, &request.method, &params.drawing_on(spent)).await,
        Err(error) => Err(error),
    };
    Some(write(id, result))
}

/// The id of a request that is wrong otherwise, or null.
fn id_of(text: &[u8]) -> &RawValue {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    match serde_json::from_slice::<Id<'_>>(text) {
        Ok(Id { id }) if !id.get().starts_with(['{', '[']) => id,
        _ => RawValue::NULL,
    }
}

async fn batch(state: &AppState, body: &[u8], given: Given) -> Option<String> {
    let refused = |code, text: String| Some(write(RawValue::NULL, Err(RpcError::new(code, text))));
    let requests = match serde_json::from_slice::<FirstOf<'_, MAX_BATCH>>(body) {
        Ok(FirstOf { items, count }) if items.len() == count => items,
        Ok(FirstOf { count, .. }) => {
            let text = format!("batch too large: at most {MAX_BATCH} requests, not {count}");
            return refused(INVALID_REQUEST, text);
        }
        Err(_) => return refused(PARSE_ERROR, "parse error: the batch is not JSON".into()),
    };
    if requests.is_empty() {
        return refused(INVALID_REQUEST, "empty batch".into());
    }
    let spent = Spent::default();
    let calls: Vec<BoxFuture<'_, Option<String>>> = requests
        .iter()
        .enumerate()
        .map(|(place, request)| match given.get(&place) {
            Some(answer) => std::future::ready(Some(answer.clone())).boxed(),
            None => single(state, request.get().as_bytes(), &spent).boxed(),
        })
        .collect();
    let mut answers = stream::iter(calls).buffered(RPC_CONCURRENCY);
    let mut all = String::from("[");
    let mut taken = 0;
    while let Some(answer) = answers.next().await {
        taken += 1;
        push(&mut all, answer);
        if all.len() > MAX_BATCH_ANSWER {
            break;
        }
    }
    drop(answers);
    for (place, request) in requests.iter().enumerate().skip(taken) {
        // What was carried out is said in any case: its answer is short, and nothing else tells of it.
        let answer = given.get(&place).cloned().unwrap_or_else(|| {
            let full =
                RpcError::new(RESPONSE_TOO_LARGE, "response too large: send smaller batches");
            write(id_of(request.get().as_bytes()), Err(full))
        });
        push(&mut all, Some(answer));
    }
    (all.len() > 1).then(|| all + "]")
}

fn push(all: &mut String, answer: Option<String>) {
    if let Some(answer) = answer {
        if all.len() > 1 {
            all.push(',');
        }
        all.push_str(&answer);
    }
}

/// An answer as text.
pub(super) fn write(id: &RawValue, result: RpcResult<Box<RawValue>>) -> String {
    let (result, error) = match result {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(error)),
    };
    serde_json::to_string(&Answer { jsonrpc: "2.0", id, result, error }).unwrap_or_else(|_| {
        format!(
            r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{INTERNAL},"message":"no answer"}}}}"#
        )
    })
}
