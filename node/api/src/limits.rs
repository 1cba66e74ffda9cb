//! Every bound of the interfaces, with its reason.

use std::time::Duration;

/// Connections at a time. A node serves tools and wallets, not the public: a gateway in front does that.
pub const MAX_CONNECTIONS: usize = 500;
/// Time for the head of a request to come in, and for the next request on a connection to begin, unless configured
/// otherwise: more than any network needs, less than makes it cheap to hold connections.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes that a connection buffers, and with that the largest head: browsers and gateways send a few KiB.
pub const MAX_HEAD: usize = 64 << 10;
/// Requests being worked on at a time; more are answered with 503, so that a flood cannot queue without end.
pub const MAX_REQUESTS: usize = 256;
/// Of these, requests that bring a body: whoever sends bodies slowly holds none of the slots of those who only ask.
pub const MAX_UPLOADS: usize = 192;
/// Time for a REST request, its body included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for a blob to come in or a JSON-RPC batch to be worked off.
pub const LONG_REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// A connection whose peer takes nothing of what is to be sent for this long is dropped.
pub const WRITE_STALL: Duration = Duration::from_secs(20);
/// A connection on which nothing moves for this long is dropped; streams send a sign of life more often.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(150);
/// Distance of signs of life on event streams and WebSockets.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Time for open requests to end when the server is shut down.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// Largest JSON body of REST: a transaction of the largest size in hexadecimal, with room.
pub const MAX_JSON_BODY: usize = 512 << 10;
/// Largest JSON-RPC body, and message of a WebSocket.
pub const MAX_RPC_BODY: usize = 5 << 20;
/// Longest message that a WebSocket reads to its end, so that its sender can be told of the limit before; a longer one
/// ends the socket.
pub const MAX_SOCKET_MESSAGE: usize = 2 * MAX_RPC_BODY;
/// Blobs being received or sent at a time: each is held in memory.
pub const MAX_BLOB_TRANSFERS: usize = 16;
/// Time that a blob transfer waits for others to end.
pub const BLOB_SLOT_WAIT: Duration = Duration::from_secs(10);
/// Largest blob unless configured otherwise.
pub const DEFAULT_MAX_BLOB_BYTES: u64 = 64 << 20;

/// Event streams and WebSockets at a time, each.
pub const MAX_STREAMS: usize = 200;
/// Events that are kept for readers who resume.
pub const EVENT_HISTORY: usize = 4_096;
/// Events that a reader may lag behind before it is dropped.
pub const EVENT_QUEUE: usize = 1_024;

/// Providers that one match looks at.
pub const MAX_MATCHED_PROVIDERS: usize = 1_000;

/// Requests in one batch: viem sends up to 1,000.
pub const MAX_BATCH: usize = 1_000;
/// Requests of one batch or WebSocket being worked on at a time.
pub const RPC_CONCURRENCY: usize = 16;
/// Bytes of the answers to one batch; what comes after gets an error.
pub const MAX_BATCH_ANSWER: usize = 25 << 20;
/// Positional parameters of one call that are held: no method takes more; others are only counted.
pub const MAX_PARAMS: usize = 8;
/// Time for one JSON-RPC call.
pub const RPC_CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for `eth_call`, `eth_estimateGas` and `eth_createAccessList`.
pub const EVM_CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for simulated blocks and traces.
pub const TRACE_TIMEOUT: Duration = Duration::from_secs(30);
/// Simulations at a time on a machine with many cores; on others, one for each core. Others wait their turn within
/// their time.
pub const MAX_EVM_CALLS: usize = 16;
/// Time that the simulations of one batch may take together: 1,000 endless calls would else take a core for a minute.
pub const BATCH_EVM_TIME: Duration = Duration::from_secs(5);
/// Calls of one `eth_simulateV1`, over all its blocks.
pub const MAX_SIMULATED_CALLS: usize = 5_000;
/// Accounts and words that one request overrides.
pub const MAX_OVERRIDES: usize = 10_000;
/// Time that `eth_sendRawTransactionSync` waits at most, and if it is told nothing.
pub const MAX_SYNC_WAIT: Duration = Duration::from_secs(30);
/// See [`MAX_SYNC_WAIT`].
pub const DEFAULT_SYNC_WAIT: Duration = Duration::from_secs(10);
/// Transactions in one answer about the pool.
pub const MAX_POOL_CONTENT: usize = 20_000;
/// Waiting transactions that are remembered for filters.
pub const PENDING_HISTORY: usize = 8_192;
/// Words that one `eth_getProof` proves.
pub const MAX_PROOF_SLOTS: usize = 1_024;
/// Words in one answer of `eth_getStorageValues`: geth's limit.
pub const MAX_STORAGE_VALUES: usize = 1_024;
/// Transactions of one page of a block, for explorers.
pub const MAX_PAGE: usize = 100;
/// Most gas of `eth_call` and `eth_estimateGas`.
pub const MAX_CALL_GAS: u64 = 50_000_000;
/// Blocks that one log query spans: the store skips most of them by their sections' index.
pub const MAX_LOG_RANGE: u64 = 100_000;
/// Logs in one answer.
pub const MAX_LOGS: usize = 10_000;
/// Addresses in one log filter.
pub const MAX_LOG_ADDRESSES: usize = 1_000;
/// Alternatives for one topic of a log filter.
pub const MAX_TOPIC_ALTERNATIVES: usize = 1_000;
/// Blocks of one fee history.
pub const MAX_FEE_HISTORY: u64 = 1_024;
/// Blocks of one fee history with rewards, as each block must be read in full.
pub const MAX_FEE_HISTORY_REWARDS: u64 = 128;
/// Percentiles of one fee history.
pub const MAX_PERCENTILES: usize = 100;
/// Filters of `eth_newFilter` and `eth_newBlockFilter` at a time; the least recently used gives way.
pub const MAX_FILTERS: usize = 1_024;
/// A filter that is not polled for this long is removed.
pub const FILTER_LIFETIME: Duration = Duration::from_secs(300);
/// Transactions whose receipts one subscription waits for: geth's limit.
pub const MAX_RECEIPT_HASHES: usize = 200;
/// Subscriptions of one WebSocket.
pub const MAX_SUBSCRIPTIONS: usize = 64;

/// Grants of the faucet per minute, over all accounts.
pub const FAUCET_GRANTS_PER_MINUTE: usize = 60;
/// Grants of the faucet per minute for one account.
pub const FAUCET_GRANTS_PER_ACCOUNT: usize = 5;
