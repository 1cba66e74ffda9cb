//! JSON-RPC over WebSocket, spoken by hand over TCP.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{
    backend::GATED,
    chain::LOGGER,
    harness::{Server, eth_key, request, transfer},
};

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// A WebSocket client that does just what these tests need.
struct Socket(BufReader<TcpStream>);

impl Socket {
    async fn open(server: &Server, path: &str) -> Self {
        let address = server.handle.local_addr;
        let stream = TcpStream::connect(address).await.unwrap();
        let mut socket = Self(BufReader::new(stream));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        socket.0.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.0.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        socket
    }

    async fn send(&mut self, text: &str) {
        let mut frame = vec![0x80 | TEXT];
        match text.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        // A mask of zeros leaves the text as it is.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next frame that is no ping.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            let opcode = self.0.read_u8().await.unwrap() & 0x0f;
            let length = match self.0.read_u8().await.unwrap() {
                126 => u64::from(self.0.read_u16().await.unwrap()),
                127 => self.0.read_u64().await.unwrap(),
                short => u64::from(short),
            };
            let mut body = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut body).await.unwrap();
            if opcode != PING {
                return (opcode, body);
            }
        }
    }

    async fn next(&mut self) -> Value {
        let (opcode, body) = self.frame().await;
        assert_eq!(opcode, TEXT);
        serde_json::from_slice(&body).unwrap()
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(&request(method, params)).await;
        self.next().await
    }

    async fn subscribe(&mut self, params: Value) -> Value {
        let mut answer = self.call("eth_subscribe", params).await;
        assert!(answer["result"].is_string(), "{answer}");
        answer["result"].take()
    }

    async fn close_code(&mut self) -> u16 {
        let (opcode, body) = self.frame().await;
        assert_eq!(opcode, CLOSE);
        u16::from_be_bytes([body[0], body[1]])
    }
}

#[tokio::test]
async fn calls_and_batches_are_answered_at_both_paths() {
    let server = Server::start().await;
    for path in ["/", "/ws"] {
        let mut socket = Socket::open(&server, path).await;
        assert_eq!(socket.call("eth_blockNumber", json!([])).await["result"], "0x0");
        socket.send(&format!("[{0},{0}]", request("net_listening", json!([])))).await;
        assert_eq!(socket.next().await.as_array().unwrap().len(), 2);
        socket.send("garbage").await;
        assert_eq!(socket.next().await["error"]["code"], -32700);
    }
}

#[tokio::test]
async fn new_heads_are_told_with_full_headers() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server, "/ws").await;
    let id = socket.subscribe(json!(["newHeads"])).await;
    server.backend.mine();
    let notification = socket.next().await;
    assert_eq!(notification["method"], "eth_subscription");
    assert_eq!(notification["params"]["subscription"], id);
    let header = &notification["params"]["result"];
    for name in ["hash", "parentHash", "number", "logsBloom", "baseFeePerGas", "timestamp", "nonce"]
    {
        assert!(header[name].is_string(), "{name}");
    }
    assert_eq!(header["number"], "0x1");
    // What is announced can be read.
    let block = server.rpc("eth_getBlockByHash", json!([header["hash"], false])).await;
    assert_eq!(block["number"], "0x1");
}

#[tokio::test]
async fn logs_are_told_to_those_whose_filter_they_match() {
    let server = Server::start().await;
    server.backend.fund(eth_key(1).address(), 1_000_000_000_000_000_000);
    let mut socket = Socket::open(&server, "/ws").await;
    let topic = B256::repeat_byte(2);
    socket.subscribe(json!(["logs", { "address": Address::ZERO }])).await;
    let wanted = socket.subscribe(json!(["logs", { "address": LOGGER, "topics": [topic] }])).await;
    server.sent(1, 0, Some(LOGGER)).await;
    let notification = socket.next().await;
    assert_eq!(notification["params"]["subscription"], wanted);
    assert_eq!(notification["params"]["result"]["topics"][0], json!(topic));
    assert_eq!(notification["params"]["result"]["logIndex"], "0x1");
    // Nothing else was sent before the next answer.
    assert_eq!(socket.call("eth_blockNumber", json!([])).await["result"], "0x1");
}

#[tokio::test]
async fn an_ended_subscription_is_silent() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server, "/ws").await;
    let id = socket.subscribe(json!(["newHeads"])).await;
    assert_eq!(socket.call("eth_unsubscribe", json!([id])).await["result"], true);
    assert_eq!(socket.call("eth_unsubscribe", json!([id])).await["result"], false);
    server.backend.mine();
    assert_eq!(socket.call("eth_blockNumber", json!([])).await["result"], "0x1");
}

#[tokio::test]
async fn subscriptions_are_bounded_and_unknown_ones_refused() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server, "/ws").await;
    let answer = socket.call("eth_subscribe", json!(["nothing"])).await;
    assert_eq!(answer["error"]["code"], -32602);
    assert_eq!(socket.call("eth_subscribe", json!([])).await["error"]["code"], -32602);
    for _ in 0..neura_api::limits::MAX_SUBSCRIPTIONS {
        socket.subscribe(json!(["newHeads"])).await;
    }
    let answer = socket.call("eth_subscribe", json!(["newHeads"])).await;
    assert_eq!(answer["error"]["code"], -32005);
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_with_the_limit_and_a_far_longer_one_ends_the_socket() {
    let server = Server::start().await;
    let limit = neura_api::limits::MAX_RPC_BODY;
    let mut socket = Socket::open(&server, "/ws").await;
    socket.send(&" ".repeat(limit + 1)).await;
    let error = socket.next().await["error"].take();
    assert_eq!(error["code"], -32600);
    assert!(error["message"].as_str().unwrap().contains(&limit.to_string()), "{error}");
    assert_eq!(socket.call("eth_blockNumber", json!([])).await["result"], "0x0", "it goes on");
    let most = neura_api::limits::MAX_SOCKET_MESSAGE as u64;
    for length in [most + 1, 1 << 40] {
        let mut socket = Socket::open(&server, "/ws").await;
        let mut head = vec![0x80 | TEXT, 0x80 | 127];
        head.extend(length.to_be_bytes());
        head.extend([0; 4]);
        socket.0.write_all(&head).await.unwrap();
        let (opcode, body) = socket.frame().await;
        assert_eq!((opcode, &body[..2]), (CLOSE, 1009u16.to_be_bytes().as_slice()));
        let reason = std::str::from_utf8(&body[2..]).unwrap();
        assert!(reason.contains(&limit.to_string()) && reason.contains("send"), "{reason}");
    }
    assert_eq!(server.rpc("eth_blockNumber", json!([])).await, "0x0");
}

#[tokio::test]
async fn a_batch_subscribes_and_is_answered_before_what_it_subscribes_to() {
    let server = Server::start().await;
    server.backend.fund(eth_key(1).address(), 1_000_000_000_000_000_000);
    let mut socket = Socket::open(&server, "/ws").await;
    let call = |id: u64, method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    // The gate holds the batch's answer back while a block comes.
    let batch = json!([
        call(7, "eth_getCode", json!([GATED])),
        call(8, "eth_subscribe", json!(["newHeads"])),
        call(9, "eth_subscribe", json!(["logs", {}])),
        call(10, "eth_unsubscribe", json!(["0x1"])),
        call(11, "eth_subscribe", json!(["nothing"])),
    ]);
    socket.send(&batch.to_string()).await;
    server.backend.at_gate.subscribe().wait_for(|come| *come == 1).await.unwrap();
    server.backend.mine();
    server.backend.gate.add_permits(1);
    let answers = socket.next().await;
    let ids: Vec<_> = answers.as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids, [7, 8, 9, 10, 11]);
    assert_eq!(
        (&answers[3]["result"], &answers[4]["error"]["code"]),
        (&json!(false), &json!(-32602))
    );
    server.sent(1, 0, Some(LOGGER)).await;
    let begun = BTreeSet::from([&answers[1], &answers[2]].map(|one| one["result"].to_string()));
    let mut told = BTreeSet::new();
    while told.len() < begun.len() {
        told.insert(socket.next().await["params"]["subscription"].to_string());
    }
    assert_eq!(told, begun);
}

#[tokio::test]
async fn receipts_are_told_of_all_transactions_or_of_those_named() {
    let server = Server::start().await;
    server.backend.fund(eth_key(1).address(), 1_000_000_000_000_000_000);
    let mut socket = Socket::open(&server, "/ws").await;
    let all = socket.subscribe(json!(["transactionReceipts"])).await;
    let wanted = B256::repeat_byte(3);
    socket.subscribe(json!(["transactionReceipts", { "transactionHashes": [wanted] }])).await;
    let hash = server.sent(1, 0, Some(LOGGER)).await;
    let told = socket.next().await;
    assert_eq!(told["params"]["subscription"], all);
    let receipt = server.rpc("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(told["params"]["result"], json!([receipt]));
    // Neither the other subscription nor a block without transactions is told of.
    server.backend.mine();
    assert_eq!(socket.call("eth_blockNumber", json!([])).await["result"], "0x2");
    let many = vec![wanted; 1];
    assert!(
        socket
            .call("eth_subscribe", json!(["transactionReceipts", { "transactionHashes": many }]))
            .await["result"]
            .is_string()
    );
    let many: Vec<_> = (0u64..201).map(|n| B256::left_padding_from(&n.to_be_bytes())).collect();
    let answer = socket
        .call("eth_subscribe", json!(["transactionReceipts", { "transactionHashes": many }]))
        .await;
    assert_eq!(answer["error"]["code"], -32602);
}

#[tokio::test]
async fn a_socket_has_a_bounded_number_of_calls_in_flight() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server, "/ws").await;
    let bound = neura_api::limits::RPC_CONCURRENCY;
    let mut come = server.backend.at_gate.subscribe();
    for _ in 0..3 * bound {
        socket.send(&request("eth_getCode", json!([GATED]))).await;
    }
    for round in 1..=3 {
        // One answer lets one more request in, and not before.
        come.wait_for(|come| *come >= round * bound).await.unwrap();
        server.rpc("eth_blockNumber", json!([])).await;
        assert_eq!(*come.borrow(), round * bound);
        server.backend.gate.add_permits(bound);
        for _ in 0..bound {
            assert_eq!(socket.next().await["result"], "0xfe");
        }
    }
}

#[tokio::test]
async fn sockets_are_closed_when_the_server_stops() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server, "/ws").await;
    let stopping = tokio::spawn(server.handle.shutdown());
    assert_eq!(socket.close_code().await, 1001);
    drop(socket);
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_plain_request_to_the_socket_is_a_problem() {
    let server = Server::start().await;
    let answer = server.get("/ws").send().await.unwrap();
    let problem = crate::harness::problem(answer).await;
    assert_eq!((problem.status, problem.code.as_str()), (400, "invalid_input"));
}

#[tokio::test]
async fn bytes_that_are_no_http_end_their_connection_only() {
    let server = Server::start().await;
    let address = server.handle.local_addr;
    for bytes in [
        b"\x00\xff\x16\x03garbage\r\n\r\n".as_slice(),
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{\"trunc",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _end = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(server.rpc("eth_blockNumber", json!([])).await, "0x0");
}

#[tokio::test]
async fn a_batch_that_is_cut_tells_the_ids_of_its_subscriptions() {
    let server = Server::start().await;
    server.backend.fund(eth_key(2).address(), u128::MAX);
    for nonce in 0..300 {
        server.backend.chain().submit(transfer(2, nonce, Some(LOGGER))).unwrap();
    }
    server.backend.mine();
    let call = |id: usize, method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    let mut batch: Vec<Value> =
        (0..200).map(|id| call(id, "eth_getBlockByNumber", json!(["latest", true]))).collect();
    batch.push(call(200, "eth_subscribe", json!(["newHeads"])));
    batch.push(call(201, "eth_chainId", json!([])));
    let mut socket = Socket::open(&server, "/ws").await;
    socket.send(&json!(batch).to_string()).await;
    let answers = socket.next().await;
    assert_eq!(answers[201]["error"]["code"], -32003, "cut");
    let id = answers[200]["result"].clone();
    assert_eq!((&answers[200]["id"], id.is_string()), (&json!(200), true));
    server.backend.mine();
    assert_eq!(socket.next().await["params"]["subscription"], id);
}
