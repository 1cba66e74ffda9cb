//! The event stream.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{StreamExt, stream};
use neura_types::rest::{ChainEvent, Problem};

use crate::{
    events::{Entry, Resumed},
    limits::KEEP_ALIVE,
    problem::{ApiProblem, ApiResult},
    shared::{AppState, closed},
};

/// What happens on the chain, as server-sent events
///
/// Each event has a name (the `kind` in its data) and an id. Sent back as `Last-Event-ID`, the id resumes the stream
/// after that event; where events are no longer remembered, a `missed` event comes first. A reader that falls too far
/// behind is disconnected and may resume.
#[utoipa::path(get, operation_id = "streamEvents", path = "/v1/events", tag = "node",
    params(("Last-Event-ID" = Option<String>, Header, description = "Id of the last event that was received")),
    responses(
        (status = 200, description = "The stream", body = ChainEvent, content_type = "text/event-stream"),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn events(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> ApiResult<impl IntoResponse> {
    let slot = Arc::clone(&state.stream_slots)
        .try_acquire_owned()
        .map_err(|_| ApiProblem::overloaded("this node serves as many event streams as it can"))?;
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default());
    let Resumed { missed, lost, live } = state.hub.resume(last);
    let lost: Option<Result<Event, Infallible>> =
        lost.then(|| Ok(Event::default().event("missed").data(r#"{"kind":"missed"}"#)));
    let missed = missed.into_iter().map(|entry| Ok(sent(&entry)));
    let live = stream::unfold((live, slot), |(mut live, slot)| async {
        // A reader that lags too far behind ends here, and resumes by the id that it has.
        let entry = live.recv().await.ok()?;
        Some((Ok(sent(&entry)), (live, slot)))
    });
    let all = stream::iter(lost).chain(stream::iter(missed)).chain(live);
    let all = all.take_until(closed(state.closing.clone()));
    Ok(Sse::new(all).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn sent(entry: &Entry) -> Event {
    Event::default().id(&entry.id).event(entry.name).data(&entry.data)
}
