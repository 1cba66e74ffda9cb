//! Define the values that every part of Neura exchanges: keys, transactions, blocks, certificates, tasks, genesis.
//!
//! # Design
//! Values only: no I/O, no clock, no randomness, no async. Each type validates itself when it is decoded, so that
//! the rest of the tree can rely on what it holds. Ethereum's primitives ([`Address`], [`B256`], [`U256`], [`Bytes`])
//! are those of `alloy-primitives`.
//!
//! # Invariants
//! - One canonical encoding per value ([`codec`]): decoding refuses trailing bytes and anything over the stated limit.
//! - Every hash and signature of ours is domain-separated ([`hash::Domain`]).
//! - Certificates name distinct members of one validator set and carry more than two thirds of its power.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::float_arithmetic
    )
)]

pub mod abi;
pub mod amount;
pub mod batch;
pub mod beacon;
pub mod block;
pub mod certificate;
pub mod codec;
pub mod commit_proof;
pub mod epoch;
pub mod genesis;
pub mod hash;
pub mod job;
pub mod keys;
pub mod note;
pub mod params;
pub mod provider;
pub mod receipt;
pub mod rest;
pub mod simulation;
pub mod staking;
pub mod state;
pub mod system;
pub mod task;
pub mod transaction;
pub mod validator;
pub mod vote;
pub mod vrf;

pub use alloy_primitives::{Address, B256, Bytes, U256, address, b256};
pub use amount::Amount;
pub use batch::{Batch, BatchRef};
pub use beacon::Beacon;
pub use block::{Block, BlockId, ExecutedRoot, Header};
pub use certificate::{Anchor, CommitCertificate, QuorumCertificate, TimeoutCertificate};
pub use commit_proof::CommitProof;
pub use epoch::EpochConfig;
pub use genesis::Genesis;
pub use params::Params;
pub use receipt::{Log, Receipt};
pub use state::{Account, StateChanges, StateRead};
pub use transaction::{Transaction, TransactionError};
pub use validator::{Absence, ValidatorIndex, ValidatorSet};

/// Height of a block: the number of its ancestors; genesis has height 0.
pub type Height = u64;
/// A view of the consensus protocol; genesis has view 0, the first proposal view 1.
pub type View = u64;
/// An epoch: a stretch of blocks with one validator set; the first is 0.
pub type Epoch = u64;
/// EIP-155 chain id.
pub type ChainId = u64;
