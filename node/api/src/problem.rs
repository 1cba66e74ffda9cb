//! Answer errors as RFC 9457 problems.

use axum::{
    Json,
    extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use neura_types::rest::{Page, Problem};

use crate::{
    backend::{BackendResult, Listing},
    error::{BackendError, ErrorClass},
    limits::MAX_JSON_BODY,
};

/// Media type of a problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// An error that is sent as a problem.
#[derive(Debug)]
pub(crate) struct ApiProblem(pub(crate) Problem);

/// Answer of a handler.
pub(crate) type ApiResult<T> = Result<T, ApiProblem>;

/// A record that was looked up; `what` is its kind, such as `task`.
pub(crate) fn found<T>(
    answer: BackendResult<Option<T>>,
    what: &str,
    name: impl std::fmt::Display,
) -> ApiResult<T> {
    answer?.ok_or_else(|| ApiProblem::unknown(what, name))
}

/// A part of a listing as a page.
pub(crate) fn page<T, K: ToString>(
    answer: BackendResult<Listing<T, K>>,
) -> ApiResult<Json<Page<T>>> {
    let part = answer?;
    Ok(Json(Page { items: part.items, next: part.next.map(|next| next.to_string()) }))
}

impl ApiProblem {
    /// A problem with a stable code and a sentence.
    pub(crate) fn new(
        status: StatusCode,
        code: &str,
        title: &str,
        detail: impl Into<String>,
    ) -> Self {
        Self(Problem {
            kind: format!("urn:neura:problem:{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            data: None,
        })
    }

    /// Input that cannot be understood.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_input", title(ErrorClass::Invalid), detail)
    }

    /// A record that the chain does not have; `what` is its kind, such as `task`.
    pub(crate) fn unknown(what: &str, name: impl std::fmt::Display) -> Self {
        let detail =
            format!("there is no {what} {name} on this chain, as far as this node has come");
        let code = format!("unknown_{what}");
        Self::new(StatusCode::NOT_FOUND, &code, title(ErrorClass::NotFound), detail)
    }

    /// A body over its limit.
    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Self::new(status, "body_too_large", title(ErrorClass::TooLarge), detail)
    }

    /// The server is at one of its limits.
    pub(crate) fn overloaded(detail: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "overloaded", title(ErrorClass::Unavailable), detail)
    }
}

fn title(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Invalid => "Invalid input",
        ErrorClass::NotFound => "Not found",
        ErrorClass::Refused => "Transaction refused",
        ErrorClass::Reverted => "Execution reverted",
        ErrorClass::Forbidden => "Not allowed",
        ErrorClass::TooLarge => "Too large",
        ErrorClass::TooMany => "Too many results",
        ErrorClass::RateLimited => "Too many requests",
        ErrorClass::Full => "Store full",
        ErrorClass::Unavailable => "Unavailable",
        ErrorClass::Internal => "Internal error",
    }
}

fn status(class: ErrorClass) -> StatusCode {
    match class {
        ErrorClass::Invalid => StatusCode::BAD_REQUEST,
        ErrorClass::NotFound => StatusCode::NOT_FOUND,
        ErrorClass::Refused | ErrorClass::Reverted | ErrorClass::TooMany => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        ErrorClass::Forbidden => StatusCode::FORBIDDEN,
        ErrorClass::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorClass::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorClass::Full => StatusCode::INSUFFICIENT_STORAGE,
        ErrorClass::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorClass::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<BackendError> for ApiProblem {
    fn from(error: BackendError) -> Self {
        let class = error.class();
        if class == ErrorClass::Internal {
            tracing::error!(%error, "a request failed inside the node");
        }
        let mut problem = Self::new(status(class), error.code(), title(class), error.to_string());
        if let BackendError::Reverted { data } = error {
            problem.0.data = Some(data);
        }
        problem
    }
}

impl From<JsonRejection> for ApiProblem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::too_large(format!(
                "a JSON body has at most {MAX_JSON_BODY} bytes: send less; files go to the off-chain store, by POST /v1/blobs"
            )),
            _ => Self::invalid(rejection.body_text()),
        }
    }
}

impl From<BytesRejection> for ApiProblem {
    fn from(rejection: BytesRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<QueryRejection> for ApiProblem {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<PathRejection> for ApiProblem {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.0)).into_response();
        let media_type = HeaderValue::from_static(MEDIA_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    }
}
