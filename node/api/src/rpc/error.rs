//! JSON-RPC errors with the codes and texts of geth, as clients match both.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::{BackendError, ErrorClass};

/// Codes.
pub(crate) const PARSE_ERROR: i32 = -32_700;
pub(crate) const INVALID_REQUEST: i32 = -32_600;
pub(crate) const METHOD_NOT_FOUND: i32 = -32_601;
pub(crate) const INVALID_PARAMS: i32 = -32_602;
/// Clients try again after this one: only for failures that pass.
pub(crate) const INTERNAL: i32 = -32_603;
/// What geth answers to everything without a code of its own.
pub(crate) const SERVER: i32 = -32_000;
pub(crate) const TIMEOUT: i32 = -32_002;
pub(crate) const RESPONSE_TOO_LARGE: i32 = -32_003;
pub(crate) const UNSUPPORTED: i32 = -32_004;
/// Clients try again after this one too.
pub(crate) const LIMIT_EXCEEDED: i32 = -32_005;
/// A reverted call; `data` holds what it returned.
pub(crate) const REVERTED: i32 = 3;

/// Answer of a method.
pub(crate) type RpcResult<T> = Result<T, RpcError>;

/// The `error` member of an answer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RpcError {
    pub(crate) code: i32,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<serde_json::Value>,
}

impl RpcError {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// Parameters that cannot be understood or are out of bounds.
    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    /// Something that this node does not do.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(UNSUPPORTED, message)
    }

    pub(crate) fn no_method(method: &str) -> Self {
        let shown: String = method.chars().take(80).collect();
        Self::new(METHOD_NOT_FOUND, format!("the method {shown} does not exist/is not available"))
    }
}

impl From<BackendError> for RpcError {
    fn from(error: BackendError) -> Self {
        let class = error.class();
        let code = match class {
            ErrorClass::Refused if matches!(error, BackendError::Unsupported(_)) => UNSUPPORTED,
            ErrorClass::Invalid => match error {
                BackendError::Transaction(_) => SERVER,
                _ => INVALID_PARAMS,
            },
            ErrorClass::TooMany => INVALID_PARAMS,
            ErrorClass::Reverted => REVERTED,
            ErrorClass::NotFound
            | ErrorClass::Refused
            | ErrorClass::Forbidden
            | ErrorClass::TooLarge
            | ErrorClass::Full => SERVER,
            ErrorClass::RateLimited => LIMIT_EXCEEDED,
            ErrorClass::Unavailable | ErrorClass::Internal => INTERNAL,
        };
        let code = match &error {
            BackendError::Simulation { code, .. } => *code,
            _ => code,
        };
        if class == ErrorClass::Internal {
            tracing::error!(%error, "a JSON-RPC call failed inside the node");
        }
        // Clients decode `data` that is a string as what a contract returned; other errors name their code in it.
        let data = match &error {
            BackendError::Reverted { data } => serde_json::json!(data),
            _ => serde_json::json!({ "code": error.code() }),
        };
        Self { code, message: error.to_string(), data: Some(data) }
    }
}

/// A method's answer as JSON.
pub(crate) fn answer<T: Serialize>(value: T) -> RpcResult<Box<RawValue>> {
    serde_json::value::to_raw_value(&value)
        .map_err(|error| RpcError::new(INTERNAL, format!("the answer has no JSON form: {error}")))
}
