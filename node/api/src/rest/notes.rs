//! What a provider says to a task's owner while it works.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{StreamExt, stream};
use neura_types::{
    note::TaskNote,
    rest::{NoteTaken, Problem, schema},
};

use super::extract::{self, Input, Named};
use crate::{
    backend::NoteFeed,
    limits::KEEP_ALIVE,
    problem::{ApiProblem, ApiResult, found},
    shared::{AppState, closed},
};

/// Say something to a task's owner
///
/// For the provider of a running task, signed by its identity key. Nodes keep the last notes of a task in memory.
#[utoipa::path(post, operation_id = "postTaskNote", path = "/v1/tasks/{id}/notes", tag = "compute",
    params(("id" = u64, Path, description = "The task's number")),
    request_body = schema::TaskNote,
    responses(
        (status = 202, description = "Who reads the task's notes gets it", body = NoteTaken),
        (status = "default", description = "Problem: `note_refused` (422)", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post(
    State(state): State<AppState>,
    Named(name): Named<String>,
    Input(note): Input<TaskNote>,
) -> ApiResult<(StatusCode, Json<NoteTaken>)> {
    let id = extract::number(&name, "the number of a task")?;
    if note.task != id {
        return Err(ApiProblem::invalid(format!("the note is about task {}, not {id}", note.task)));
    }
    let number = note.number;
    state.backend.note(note).await?;
    Ok((StatusCode::ACCEPTED, Json(NoteTaken { number })))
}

/// What a provider says while it works, as server-sent events
///
/// Each event is a note, sealed to the task's owner; its id is the note's number. Sent back as `Last-Event-ID`, the id
/// leaves out the notes up to that one. The last notes come first, as far as they are remembered.
#[utoipa::path(get, operation_id = "streamTaskNotes", path = "/v1/tasks/{id}/notes", tag = "compute",
    params(
        ("id" = u64, Path, description = "The task's number"),
        ("Last-Event-ID" = Option<String>, Header, description = "Number of the last note that was received"),
    ),
    responses(
        (status = 200, description = "The stream", body = schema::TaskNote, content_type = "text/event-stream"),
        (status = "default", description = "Problem", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn stream(
    State(state): State<AppState>,
    Named(name): Named<String>,
    headers: HeaderMap,
) -> ApiResult<impl IntoResponse> {
    let id = extract::number(&name, "the number of a task")?;
    found(state.backend.task(id).await, "task", id)?;
    let slot = Arc::clone(&state.stream_slots)
        .try_acquire_owned()
        .map_err(|_| ApiProblem::overloaded("this node serves as many event streams as it can"))?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let NoteFeed { kept, live } = state.backend.notes(id).await?;
    let newer = move |note: &Arc<TaskNote>| last.is_none_or(|last| note.number > last);
    let kept = stream::iter(kept.into_iter().filter(newer).filter_map(|note| sent(&note)));
    let live = stream::unfold((live, slot), |(mut live, slot)| async {
        // A reader that lags too far behind ends here, and resumes by the id that it has.
        let note = live.recv().await.ok()?;
        Some((sent(&note), (live, slot)))
    });
    let all = kept.chain(live.filter_map(std::future::ready));
    let all = all.take_until(closed(state.closing.clone()));
    Ok(Sse::new(all).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn sent(note: &TaskNote) -> Option<Result<Event, Infallible>> {
    let event = Event::default().id(note.number.to_string()).event("note");
    event.json_data(note).ok().map(Ok)
}
