//! What every request passes: the name it calls us by, a slot, a time limit, a net under panics.

use std::{any::Any, net::IpAddr};

use axum::{
    extract::{Request, State},
    http::{Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::sync::SemaphorePermit;

use crate::{
    error::BackendError,
    limits::{LONG_REQUEST_TIMEOUT, REQUEST_TIMEOUT},
    problem::ApiProblem,
    shared::AppState,
};

/// Checks a request and bounds it.
pub(crate) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if let Some(name) = forbidden_host(&state, &request) {
        let detail = format!(
            "this server listens on a loopback address and is not called '{name}': call it by address or as \
             localhost, or add the name to its allowed hosts"
        );
        return ApiProblem::new(StatusCode::FORBIDDEN, "forbidden_host", "Not allowed", detail)
            .into_response();
    }
    let path = request.uri().path();
    if path == "/healthz" {
        return next.run(request).await;
    }
    let Some(_slots) = slots(&state, request.method()) else {
        return ApiProblem::overloaded(
            "this node works on as many requests as it can: try again soon",
        )
        .into_response();
    };
    let long = path == "/" || path == "/ws" || path.starts_with("/v1/blobs");
    let limit = if long { LONG_REQUEST_TIMEOUT } else { REQUEST_TIMEOUT };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("the request took longer than {} s", limit.as_secs());
            ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "Unavailable", detail)
                .into_response()
        }
    }
}

/// A slot for the request, and one of those for bodies if it may bring one; none while all are taken.
fn slots<'a>(
    state: &'a AppState,
    method: &Method,
) -> Option<(SemaphorePermit<'a>, Option<SemaphorePermit<'a>>)> {
    let upload = match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => None,
        _ => Some(state.upload_slots.try_acquire().ok()?),
    };
    Some((state.request_slots.try_acquire().ok()?, upload))
}

/// The name that the request calls this server by, if it must not.
fn forbidden_host(state: &AppState, request: &Request) -> Option<String> {
    if !state.local_addr.ip().is_loopback() {
        return None;
    }
    let stated = match request.headers().get(header::HOST) {
        Some(value) => match value.to_str().ok().and_then(|text| text.parse::<Authority>().ok()) {
            Some(authority) => authority,
            None => return Some("(not a name)".to_owned()),
        },
        None => request.uri().authority()?.clone(),
    };
    let name = stated.host();
    (!name_allowed(name, &state.config.allowed_hosts)).then(|| name.to_owned())
}

/// Addresses cannot be rebound; names can, so that only known ones are taken.
fn name_allowed(name: &str, allowed: &[String]) -> bool {
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    literal.parse::<IpAddr>().is_ok()
        || name == "localhost"
        || name.ends_with(".localhost")
        || allowed.iter().any(|host| host.eq_ignore_ascii_case(&name))
}

/// Turns a panic of a handler into a problem: the connection and the server go on.
pub(crate) fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let text = cause
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| cause.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(cause = %text, "a request handler panicked");
    ApiProblem::from(BackendError::Internal("a request handler stopped unexpectedly".into()))
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_known_names_reach_a_loopback_server() {
        let allowed = vec!["node.example".to_owned()];
        for name in ["127.0.0.1", "[::1]", "localhost", "a.localhost", "Node.Example", "localhost."]
        {
            assert!(name_allowed(name, &allowed), "{name}");
        }
        for name in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
            assert!(!name_allowed(name, &allowed), "{name}");
        }
    }
}
