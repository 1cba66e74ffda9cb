//! How the server is set up.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::limits;

/// Port of JSON-RPC on Ethereum nodes, which tools try first.
const DEFAULT_PORT: u16 = 8545;

/// Settings of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// Where it listens; port 0 takes a free one. This machine only by default.
    pub listen: SocketAddr,
    /// Names under which the server may be called, beside addresses and `localhost`. While it listens on a loopback
    /// address, other names in `Host` are refused: a web page cannot reach it by rebinding its own name.
    pub allowed_hosts: Vec<String>,
    /// Largest blob taken, in bytes; the store may take less.
    pub max_blob_bytes: u64,
    /// Whether it serves what costs much or tells of others' waiting transactions: `debug_*`, `txpool_*`, and traces for
    /// explorers. Not by default, as with geth's `--http.api`.
    pub debug: bool,
    /// Time for the head of a request to come in, and for the next request on a connection to begin.
    pub head_timeout: Duration,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            allowed_hosts: Vec::new(),
            max_blob_bytes: limits::DEFAULT_MAX_BLOB_BYTES,
            debug: false,
            head_timeout: limits::HEAD_TIMEOUT,
        }
    }
}
