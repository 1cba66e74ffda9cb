//! What is asked of a simulation, and what it answers: calls, overrides, blocks that never were.
//!
//! The interfaces read these values from requests, the runtime works them off; neither needs to know the other.

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_eips::{eip2930::AccessList, eip4895::Withdrawal, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, U256};

use crate::{Height, Log, Transaction};

/// A message call or creation that is not a transaction. What is left out is zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallRequest {
    /// Caller; the zero address if left out. It needs no signature.
    pub from: Option<Address>,
    /// Called account; none for a creation.
    pub to: Option<Address>,
    /// Most gas; as much as is allowed if left out.
    pub gas: Option<u64>,
    /// Highest fee per gas (of either kind of transaction). If left out, nothing is charged and no balance is needed.
    pub max_fee_per_gas: Option<u128>,
    /// Tip per gas.
    pub max_priority_fee_per_gas: Option<u128>,
    /// Whether the fee was given as `gasPrice`: as a transaction, it is of type 0.
    pub has_gas_price: bool,
    /// Highest fee per gas of blobs.
    pub max_fee_per_blob_gas: Option<u128>,
    /// Value sent, in wei.
    pub value: U256,
    /// Call data or creation code.
    pub input: Bytes,
    /// Nonce; the caller's own if left out.
    pub nonce: Option<u64>,
    /// EIP-2930 access list.
    pub access_list: AccessList,
    /// Versioned hashes of blobs (EIP-4844).
    pub blob_hashes: Vec<B256>,
    /// EIP-7702 authorizations.
    pub authorizations: Vec<SignedAuthorization>,
}

/// What is different about an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// Its balance, in wei.
    pub balance: Option<U256>,
    /// Its nonce.
    pub nonce: Option<u64>,
    /// Its code.
    pub code: Option<Bytes>,
    /// Its whole storage: what is not named is zero.
    pub state: Option<BTreeMap<U256, U256>>,
    /// Single words of its storage; not together with `state`.
    pub state_diff: Option<BTreeMap<U256, U256>>,
    /// The precompile or native module that is here answers there instead.
    pub move_precompile_to: Option<Address>,
}

/// Accounts that are different, by address.
pub type StateOverrides = BTreeMap<Address, AccountOverride>;

/// What is different about a block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockOverrides {
    /// Its number.
    pub number: Option<Height>,
    /// Its time, in seconds since the Unix epoch.
    pub time: Option<u64>,
    /// Its gas limit.
    pub gas_limit: Option<u64>,
    /// Who receives the tips.
    pub fee_recipient: Option<Address>,
    /// Its PREVRANDAO.
    pub prev_randao: Option<B256>,
    /// Its base fee, in wei per gas.
    pub base_fee: Option<u64>,
    /// Its fee per gas of blobs, in wei.
    pub blob_base_fee: Option<u128>,
    /// Root of the beacon block before it (EIP-4788); simulated blocks only.
    pub beacon_root: Option<B256>,
    /// Its withdrawals; simulated blocks only.
    pub withdrawals: Option<Vec<Withdrawal>>,
}

/// Where a call is simulated, beside the block whose state it runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Accounts that are different.
    pub state: StateOverrides,
    /// What is different about the block.
    pub block: BlockOverrides,
}

/// A block to simulate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockRequest {
    /// What is different before its first call.
    pub overrides: Overrides,
    /// Its calls, in order.
    pub calls: Vec<CallRequest>,
}

/// Blocks to simulate, each on the one before (`eth_simulateV1`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SimulationRequest {
    /// The blocks.
    pub blocks: Vec<BlockRequest>,
    /// Whether movements of coins appear as logs, in the manner of ERC-20.
    pub trace_transfers: bool,
    /// Whether nonces, base fee and balances are checked as for real transactions.
    pub validation: bool,
}

/// A block that was simulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedBlock {
    /// Its header, in Ethereum's form.
    pub header: Header,
    /// keccak256 of the header.
    pub hash: B256,
    /// Bytes of the block in Ethereum's encoding.
    pub size: u64,
    /// Its calls as transactions without a signature.
    pub transactions: Vec<Transaction>,
    /// What the calls did, in the same order.
    pub calls: Vec<SimulatedCall>,
    /// Its withdrawals.
    pub withdrawals: Vec<Withdrawal>,
}

/// How a simulated call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallStatus {
    /// It returned.
    Success,
    /// It was reverted; the output is the revert data.
    Reverted,
    /// The machine stopped it, with the reason: out of gas, an invalid opcode, ...
    Halted(String),
}

/// What a call of a simulated block did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedCall {
    /// How it ended.
    pub status: CallStatus,
    /// Return or revert data.
    pub output: Bytes,
    /// Gas paid for, after refunds.
    pub gas_used: u64,
    /// Gas that it had to have at its peak.
    pub max_gas_used: u64,
    /// Price per gas that it paid, in wei.
    pub gas_price: u128,
    /// Logs, movements of coins among them if they were asked for; none if it failed.
    pub logs: Vec<Log>,
}

/// An access list that a call makes use of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessListOutcome {
    /// The list.
    pub access_list: AccessList,
    /// Gas that the call uses with it.
    pub gas_used: u64,
    /// Why the call failed, if it did.
    pub error: Option<String>,
}
