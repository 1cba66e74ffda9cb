//! The event stream.

use futures::StreamExt;
use neura_types::rest::ChainEvent;

use crate::harness::Server;

/// Reads server-sent events off an answer.
struct Reader {
    answer: futures::stream::BoxStream<'static, String>,
    text: String,
}

struct Received {
    id: Option<String>,
    name: String,
    event: ChainEvent,
}

impl Reader {
    async fn open(server: &Server, last: Option<&str>) -> Self {
        let mut request = server.get("/v1/events");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let parts = answer.bytes_stream();
        let parts = parts.map(|part| String::from_utf8(part.unwrap().to_vec()).unwrap());
        Self { answer: parts.boxed(), text: String::new() }
    }

    async fn next(&mut self) -> Option<Received> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if !event.starts_with(':') {
                    return Some(parse(&event));
                }
                continue;
            }
            self.text.push_str(&self.answer.next().await?);
        }
    }
}

fn parse(text: &str) -> Received {
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
    };
    let event = serde_json::from_str(&field("data").unwrap()).unwrap();
    Received { id: field("id"), name: field("event").unwrap(), event }
}

#[tokio::test]
async fn blocks_and_tasks_are_streamed_in_order() {
    let server = Server::start().await;
    let mut reader = Reader::open(&server, None).await;
    server.backend.mine();
    let mut names = Vec::new();
    for _ in 0..3 {
        let received = reader.next().await.unwrap();
        assert_eq!(received.name, received.event.name());
        names.push(received.name);
    }
    assert_eq!(names, ["block_ordered", "block_executed", "task"]);
}

#[tokio::test]
async fn a_reader_resumes_where_it_was() {
    let server = Server::start().await;
    let mut reader = Reader::open(&server, None).await;
    server.backend.mine();
    let last = reader.next().await.unwrap().id.unwrap();
    drop(reader);
    server.backend.mine();
    let mut reader = Reader::open(&server, Some(&last)).await;
    let mut heights = Vec::new();
    while heights.len() < 5 {
        match reader.next().await.unwrap().event {
            ChainEvent::BlockOrdered { height, .. } => heights.push(("ordered", height)),
            ChainEvent::BlockExecuted { height, .. } => heights.push(("executed", height)),
            ChainEvent::Task(change) => heights.push(("task", change.height)),
            ChainEvent::Missed {} => panic!("nothing was missed"),
        }
    }
    let expected = [("executed", 1), ("task", 1), ("ordered", 2), ("executed", 2), ("task", 2)];
    assert_eq!(heights, expected);
}

#[tokio::test]
async fn a_reader_of_another_run_is_told_what_it_missed() {
    let server = Server::start().await;
    let mut reader = Reader::open(&server, Some("dead-7")).await;
    let first = reader.next().await.unwrap();
    assert_eq!((first.event, first.id), (ChainEvent::Missed {}, None));
    server.backend.mine();
    assert_eq!(reader.next().await.unwrap().name, "block_ordered");
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let server = Server::start().await;
    let mut reader = Reader::open(&server, None).await;
    let stopping = tokio::spawn(server.handle.shutdown());
    assert!(reader.next().await.is_none());
    stopping.await.unwrap();
}
