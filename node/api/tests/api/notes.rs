//! Notes of providers to owners.

use futures::{StreamExt, stream::BoxStream};
use neura_types::note::TaskNote;
use reqwest::StatusCode;
use serde_json::Value;

use crate::harness::{Server, identity, problem};

const PATH: &str = "/v1/tasks/1/notes";

pub(crate) fn note(number: u64) -> TaskNote {
    TaskNote::sign(1, (1, number), b"sealed".to_vec().into(), &identity(1))
}

async fn post(server: &Server, path: &str, note: &TaskNote) -> reqwest::Response {
    server.post(path).json(note).send().await.unwrap()
}

/// The notes of a stream, from what is sent after the one named `last`.
async fn read(server: &Server, last: Option<&str>) -> BoxStream<'static, String> {
    let mut request = server.get(PATH);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let parts = answer.bytes_stream();
    parts.map(|part| String::from_utf8(part.unwrap().to_vec()).unwrap()).boxed()
}

/// Reads up to the end of so many events; gives their ids and notes.
async fn events(stream: &mut BoxStream<'static, String>, count: usize) -> Vec<(String, TaskNote)> {
    let mut text = String::new();
    while text.matches("\n\n").count() < count {
        text.push_str(&stream.next().await.unwrap());
    }
    let field = |event: &str, name: &str| {
        let value = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap().to_owned()
    };
    let events = text.trim_end().split("\n\n");
    events
        .map(|event| (field(event, "id"), serde_json::from_str(&field(event, "data")).unwrap()))
        .collect()
}

#[tokio::test]
async fn a_note_is_given_to_readers_who_are_there_and_to_those_who_come() {
    let server = Server::start().await;
    let mut early = read(&server, None).await;
    for number in [5, 7] {
        let answer = post(&server, PATH, &note(number)).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(answer.json::<Value>().await.unwrap()["number"], number);
    }
    let both = [("5".to_owned(), note(5)), ("7".to_owned(), note(7))];
    assert_eq!(events(&mut early, 2).await, both);
    assert_eq!(events(&mut read(&server, None).await, 2).await, both);
    assert_eq!(events(&mut read(&server, Some("5")).await, 1).await, both[1..]);
}

#[tokio::test]
async fn a_note_that_is_old_or_of_another_task_is_refused() {
    let server = Server::start().await;
    post(&server, PATH, &note(5)).await;
    let old = problem(post(&server, PATH, &note(5)).await).await;
    assert_eq!((old.status, old.code.as_str()), (422, "note_refused"));
    let elsewhere = problem(post(&server, "/v1/tasks/2/notes", &note(6)).await).await;
    assert_eq!((elsewhere.status, elsewhere.code.as_str()), (400, "invalid_input"));
}

#[tokio::test]
async fn notes_of_a_task_that_is_not_there_are_not_found() {
    let server = Server::start().await;
    let answer = server.get("/v1/tasks/999/notes").send().await.unwrap();
    assert_eq!(problem(answer).await.code, "unknown_task");
}
