//! Connections that say little and stay long.

use std::time::Duration;

use neura_api::limits;
use neura_types::rest::Status;
use reqwest::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    backend::MemoryBackend,
    harness::{Server, problem},
};

const HALF_A_HEAD: &[u8] = b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\nx-slow: ";

/// So many connections on which this was sent.
async fn crowd(server: &Server, size: usize, said: &[u8]) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..size {
        let mut stream = TcpStream::connect(server.handle.local_addr).await.unwrap();
        stream.write_all(said).await.unwrap();
        crowd.push(stream);
    }
    crowd
}

/// They held every place, and all others waited in the system's backlog.
#[tokio::test]
async fn hundreds_of_half_open_connections_keep_nobody_out() {
    let server = Server::start().await;
    let crowd = crowd(&server, limits::MAX_CONNECTIONS + 130, HALF_A_HEAD).await;
    let _: Status = server.get("/v1/status").send().await.unwrap().json().await.unwrap();
    let mut displaced = crowd.into_iter().next().unwrap();
    let said = displaced.read(&mut [0; 64]).await;
    assert!(matches!(said, Ok(0) | Err(_)), "the oldest was closed without an answer: {said:?}");
}

/// A byte now and then kept a connection for ever.
#[tokio::test]
async fn a_head_that_drips_in_is_given_up() {
    let backend = MemoryBackend::new();
    let server = Server::with_head_timeout(backend, Duration::from_millis(200)).await;
    let mut stream = TcpStream::connect(server.handle.local_addr).await.unwrap();
    stream.write_all(HALF_A_HEAD).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let drip = async {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = drip => {}
        // Whether the end is clean or a reset depends on the bytes under way.
        _ = reader.read_to_end(&mut answer) => {}
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn bodies_that_drip_in_leave_room_for_those_who_only_ask() {
    let server = Server::start().await;
    let post = b"POST /v1/transactions HTTP/1.1\r\nhost: localhost\r\n\
        content-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
    let _crowd = crowd(&server, limits::MAX_REQUESTS + 20, post).await;
    let refused = loop {
        let body = server.post("/v1/transactions").header("content-type", "application/json");
        let answer = body.body("{}").send().await.unwrap();
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            break problem(answer).await;
        }
    };
    assert_eq!(refused.code, "overloaded");
    let _: Status = server.get("/v1/status").send().await.unwrap().json().await.unwrap();
}
