//! Serve a Neura node to the world: REST with OpenAPI, Ethereum's JSON-RPC, event streams, metrics, on one port.
//!
//! # Design
//! Everything is seen through one [`Backend`], which the node implements. A request is checked and bounded here, put
//! to the backend in the values of `neura-types`, and answered in the JSON of [`neura_types::rest`] or of Ethereum.
//! "Latest" is the highest block that is executed; what is shown at all is ordered, hence final.
//!
//! # Invariants
//! - Input is bounded before it is parsed, and answers while they are built; each bound is named in [`limits`].
//! - An error has one code and one sentence ([`BackendError`]), the same in REST and JSON-RPC; nothing else leaks.
//! - A slow reader is dropped; it never makes the node remember more.
//! - No keys are held here: nothing signs, nothing administers the node.

mod backend;
mod config;
mod error;
mod events;
mod guard;
pub mod limits;
mod listener;
mod openapi;
mod problem;
mod rest;
mod revert;
mod rpc;
mod server;
mod shared;

pub use backend::{
    Backend, BackendResult, BlockHead, BlockRef, BlockView, BuildRequest, BuiltBlock, CallAt,
    CallOutcome, EpochRef, EthereumBlock, EthereumProof, Event, ExecutedHead, Fees, Included,
    Listing, LogEntry, LogQuery, NoteFeed, PoolContent, TaskQuery, TransactionView, ValidatorRef,
};
pub use config::ApiConfig;
pub use error::{BackendError, ErrorClass};
pub use openapi::document as openapi_document;
pub use revert::reason as revert_reason;
#[doc(hidden)]
pub use rpc::decoders::read_body;
pub use rpc::encoded_receipt;
pub use server::{ServeError, ServerHandle, serve};
