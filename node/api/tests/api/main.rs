//! The server over real sockets, before a chain in memory.

mod backend;
mod chain;
mod crowd;
mod harness;
mod notes;
mod openapi;
mod rest;
mod rpc;
mod rpc_blocks;
mod rpc_logs;
mod socket;
mod staking;
mod stream;
