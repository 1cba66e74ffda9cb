//! Attack one node through its open doors, for as long as a test wants.
//!
//! Every attack runs until it is dropped and expects nothing of the node: what it does with this is its affair, as long as
//! blocks go on and its memory stays bounded.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rand::{RngExt, SeedableRng, rand_core::Rng};
use rand_chacha::ChaCha8Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

/// WebSockets of the subscription flood: more than a node takes.
const SOCKETS: usize = 300;
/// Subscriptions that each of them asks for: more than a socket may have.
const SUBSCRIPTIONS: usize = 200;
/// Connections that are opened and held, at the API and at the p2p port each: more than a node takes.
const HELD: usize = 1_500;
/// Attackers of each other kind.
const ATTACKERS: usize = 8;
/// Bytes of an oversized body: above every limit of a node, blobs included.
const OVERSIZED: usize = 96 << 20;
/// Longest run of garbage.
const GARBAGE: usize = 256 << 10;
/// Depth of a JSON value that would exhaust the stack of a parser that recurses without a limit.
const DEPTH: usize = 100_000;
/// Calls of an oversized batch.
const BATCH: usize = 50_000;
/// Time for one connection attempt or answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause after a refusal, so that an attacker does not only keep its own processor busy.
const AFTER_REFUSAL: Duration = Duration::from_millis(20);
/// Request that begins a WebSocket.
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Ways to attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// WebSockets that subscribe to everything, again and again, and never read.
    Subscriptions,
    /// Bodies and heads that are too large, sent to the end.
    Oversized,
    /// Bytes that are no JSON-RPC, JSON that is none of its calls, depth and batches without measure.
    GarbageRpc,
    /// Bytes at the p2p port that are no handshake, and handshakes that break off.
    GarbageP2p,
    /// Connections that are opened and held, saying nothing.
    Connections,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Subscriptions,
        Self::Oversized,
        Self::GarbageRpc,
        Self::GarbageP2p,
        Self::Connections,
    ];

    /// Starts it; it ends when the set is dropped.
    pub fn start(self, api: SocketAddr, p2p: SocketAddr, seed: u64) -> JoinSet<()> {
        let mut attackers = JoinSet::new();
        let rng = |index: usize| ChaCha8Rng::seed_from_u64(seed ^ ((index as u64) << 32));
        match self {
            Self::Subscriptions => {
                for _ in 0..SOCKETS {
                    attackers.spawn(again(move || subscribe(api)));
                }
            }
            Self::Oversized => {
                for index in 0..3 * 4 {
                    attackers.spawn(again(move || oversized(api, index)));
                }
            }
            Self::GarbageRpc => {
                for index in 0..ATTACKERS {
                    let mut rng = rng(index);
                    attackers.spawn(again(move || post(api, garbage_call(&mut rng))));
                }
            }
            Self::GarbageP2p => {
                for index in 0..ATTACKERS {
                    let mut rng = rng(index);
                    attackers.spawn(again(move || send(p2p, garbage_handshake(&mut rng))));
                }
            }
            Self::Connections => {
                for addr in [api, p2p] {
                    for _ in 0..HELD {
                        attackers.spawn(again(move || hold(addr)));
                    }
                }
            }
        }
        attackers
    }
}

/// Lets this process, and the nodes that it starts, open as many files as the system allows.
///
/// # Errors
/// If the system refuses.
pub fn raise_file_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// Does it for ever; a failure is what the node wants.
async fn again<F: Future<Output = std::io::Result<()>>>(mut attack: impl FnMut() -> F) {
    loop {
        if attack().await.is_err() {
            sleep(AFTER_REFUSAL).await;
        }
    }
}

async fn connect(addr: SocketAddr) -> std::io::Result<TcpStream> {
    timeout(PATIENCE, TcpStream::connect(addr)).await?
}

async fn subscribe(api: SocketAddr) -> std::io::Result<()> {
    let mut stream = connect(api).await?;
    stream.write_all(UPGRADE.as_bytes()).await?;
    let mut head = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut head)).await??;
    if &head[9..] != b"101" {
        return Err(std::io::ErrorKind::ConnectionRefused.into());
    }
    for id in 0..SUBSCRIPTIONS {
        let kind = if id % 2 == 0 { "newHeads" } else { "logs" };
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_subscribe","params":["{kind}"]}}"#
        );
        timeout(PATIENCE, stream.write_all(&frame(call.as_bytes()))).await??;
    }
    // Held without reading, until the node has had enough.
    sleep(PATIENCE).await;
    Ok(())
}

/// A text frame with a mask of zeros.
fn frame(text: &[u8]) -> Vec<u8> {
    // Calls are short: two bytes of length hold them.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[0x81, 0xfe], length.as_slice(), &[0; 4], text].concat()
}

async fn oversized(api: SocketAddr, kind: usize) -> std::io::Result<()> {
    let mut stream = connect(api).await?;
    let path = ["/", "/v1/transactions", "/v1/blobs", "/v1/match"][kind % 4];
    let head = match kind / 4 {
        0 => format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {OVERSIZED}\r\n\r\n"
        ),
        // A body without a stated length, or a head that does not end.
        1 => format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n{OVERSIZED:x}\r\n"
        ),
        _ => format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "),
    };
    stream.write_all(head.as_bytes()).await?;
    let part = vec![b'['; 64 << 10];
    for _ in 0..OVERSIZED / part.len() {
        timeout(PATIENCE, stream.write_all(&part)).await??;
    }
    Ok(())
}

async fn post(api: SocketAddr, body: Vec<u8>) -> std::io::Result<()> {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    send(api, [head.into_bytes(), body].concat()).await
}

fn garbage_call(rng: &mut ChaCha8Rng) -> Vec<u8> {
    match rng.random_range(0..5) {
        0 => garbage(rng),
        1 => vec![b'['; DEPTH],
        2 => {
            let mut text =
                String::from("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\",\"params\":");
            text.extend(std::iter::repeat_n("{\"a\":", DEPTH / 5));
            text.into_bytes()
        }
        3 => {
            let call =
                r#"{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{"fromBlock":"0x0"}]}"#;
            format!("[{}]", vec![call; BATCH].join(",")).into_bytes()
        }
        _ => {
            let raw: String = garbage(rng).iter().map(|byte| format!("{byte:02x}")).collect();
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x{raw}"]}}"#
            )
            .into_bytes()
        }
    }
}

fn garbage_handshake(rng: &mut ChaCha8Rng) -> Vec<u8> {
    // What a libp2p peer says first, with its length in front.
    let hello: &[u8] = b"\x13/multistream/1.0.0\n\x07/noise\n";
    match rng.random_range(0..3) {
        0 => garbage(rng),
        1 => [hello, garbage(rng).as_slice()].concat(),
        // A frame of the greatest length that the handshake can state, cut short.
        _ => [hello, &[0xff, 0xff], garbage(rng).as_slice()].concat(),
    }
}

fn garbage(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = vec![0; rng.random_range(1..GARBAGE)];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// Sends bytes and reads the answer, whatever it is, to its end.
async fn send(addr: SocketAddr, bytes: Vec<u8>) -> std::io::Result<()> {
    let mut stream = connect(addr).await?;
    timeout(PATIENCE, stream.write_all(&bytes)).await??;
    let mut answer = [0; 4_096];
    while timeout(PATIENCE, stream.read(&mut answer)).await?? > 0 {}
    Ok(())
}

/// Opens a connection and keeps it until the node closes it.
async fn hold(addr: SocketAddr) -> std::io::Result<()> {
    let mut stream = connect(addr).await?;
    stream.read_exact(&mut [0; 1]).await?;
    Ok(())
}
