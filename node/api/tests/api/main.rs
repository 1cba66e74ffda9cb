//! The server over real sockets, before a chain in memory.

mod backend;
mod chain;
mod crowd;
mod harness;
mod notes;
mod openapi;
mod rest;
mod rpc;
mod rpc_arguments;
mod rpc_blocks;
mod rpc_fill;
mod rpc_logs;
mod rpc_pending;
mod socket;
mod staking;
mod stream;
