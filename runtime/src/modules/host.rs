//! What a native module sees of the machine that it runs on.
//!
//! The EVM adapter implements [`Host`] over revm's journal, so that a revert in any frame takes back what a module
//! wrote, moved or logged. [`ReadHost`] implements it over a state for readers outside of a transaction.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256};
use neura_types::{
    Amount, Block, ChainId, EpochConfig, Height, Log, Params, StateRead, ValidatorIndex,
    ValidatorSet, state::StateError, vote::ChainContext,
};

/// The block that is being executed, as modules and the EVM see it.
#[derive(Debug, Clone)]
pub struct BlockContext {
    /// EIP-155 chain id.
    pub chain_id: ChainId,
    /// Hash of the genesis file.
    pub genesis: B256,
    /// Height of the block.
    pub height: Height,
    /// Its time, in milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Account of its proposer: receives the tips.
    pub proposer: Address,
    /// PREVRANDAO.
    pub randomness: B256,
    /// Base fee, in wei per gas.
    pub base_fee: u64,
    /// Account of the treasury.
    pub treasury: Address,
    /// The epoch that the block belongs to: its validators, its parameters.
    pub epoch: Arc<EpochConfig>,
    /// Who took part; nobody for calls and views.
    pub attendance: Attendance,
}

impl BlockContext {
    /// Parameters in force.
    pub fn params(&self) -> &Params {
        &self.epoch.params
    }

    /// Validators of the epoch.
    pub fn validators(&self) -> &ValidatorSet {
        &self.epoch.set
    }

    /// What ties signatures to this chain.
    pub fn chain(&self) -> ChainContext {
        ChainContext { chain_id: self.chain_id, genesis: self.genesis }
    }

    /// Whether the block is the last one of its epoch.
    pub fn ends_epoch(&self) -> bool {
        self.height == self.epoch.last
    }
}

/// What a block shows of the validators of its epoch: a function of the block, so that all nodes see the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attendance {
    /// Those that did something: the proposer, and the signers of the parent's certificate.
    pub seen: Vec<ValidatorIndex>,
    /// Those that led a view between parent and block without success.
    pub failed: Vec<ValidatorIndex>,
}

impl Attendance {
    /// What `block` shows of the set of its epoch.
    pub fn of(block: &Block, set: &ValidatorSet) -> Self {
        let header = &block.header;
        // The certificate that an epoch starts from has no signers.
        let signers = block.justify.signers.members(set).unwrap_or_default();
        let signers = signers.into_iter().map(|(index, _)| index);
        let failed = header.absent.iter().filter(|absence| absence.since == header.height);
        Self {
            seen: std::iter::once(header.proposer).chain(signers).collect(),
            failed: failed.map(|absence| absence.validator).collect(),
        }
    }
}

/// A refusal that a caller can act on: reverts the frame with `Error(string)` holding `code: sentence`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// Stable code, such as `escrow_below_price`; the same in REST, JSON-RPC and the command line.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// Why a module's call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The call is refused; everything that the frame did is taken back.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The gas given does not suffice; all of it is consumed.
    #[error("out of gas")]
    OutOfGas,
    /// A write in a static call.
    #[error("a static call cannot change the state")]
    ReadOnly,
    /// The state cannot be read: the node must stop.
    #[error("fatal: {0}")]
    Fatal(String),
}

impl From<StateError> for Fault {
    fn from(error: StateError) -> Self {
        Self::Fatal(error.to_string())
    }
}

impl Fault {
    /// A refusal with a code and a sentence.
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused(Refusal { code, message: message.into() })
    }
}

/// What a module may do. All effects are journalled.
pub trait Host {
    /// The block being executed.
    fn block(&self) -> &BlockContext;

    /// Reads a word of a module's storage.
    ///
    /// # Errors
    /// [`Fault::OutOfGas`], [`Fault::Fatal`].
    fn load(&mut self, module: Address, slot: U256) -> Result<U256, Fault>;

    /// Writes a word of a module's storage.
    ///
    /// # Errors
    /// [`Fault::ReadOnly`], [`Fault::OutOfGas`], [`Fault::Fatal`].
    fn store(&mut self, module: Address, slot: U256, value: U256) -> Result<(), Fault>;

    /// Balance of an account, in wei.
    ///
    /// # Errors
    /// [`Fault::OutOfGas`], [`Fault::Fatal`].
    fn balance(&mut self, account: Address) -> Result<U256, Fault>;

    /// Moves coins; refused with code `insufficient_balance` if `from` has too few.
    ///
    /// # Errors
    /// [`Fault::Refused`], [`Fault::ReadOnly`], [`Fault::Fatal`].
    fn transfer(&mut self, from: Address, to: Address, amount: Amount) -> Result<(), Fault>;

    /// Destroys coins of an account and counts them as burned; refused with code `insufficient_balance` if it has too
    /// few.
    ///
    /// # Errors
    /// [`Fault::Refused`], [`Fault::ReadOnly`], [`Fault::OutOfGas`], [`Fault::Fatal`].
    fn burn(&mut self, from: Address, amount: Amount) -> Result<(), Fault>;

    /// Emits an event.
    ///
    /// # Errors
    /// [`Fault::ReadOnly`], [`Fault::OutOfGas`].
    fn emit(&mut self, log: Log) -> Result<(), Fault>;

    /// Charges gas for work, before it is done. Free outside of transactions.
    ///
    /// # Errors
    /// [`Fault::OutOfGas`].
    fn charge(&mut self, gas: u64) -> Result<(), Fault>;
}

/// A call of a module.
#[derive(Debug, Clone)]
pub struct Call {
    /// Immediate caller (`msg.sender`).
    pub caller: Address,
    /// Coins sent with the call; they are already on the module's account.
    pub value: Amount,
    /// Selector and ABI-encoded arguments.
    pub input: Bytes,
    /// Whether the frame is static.
    pub is_static: bool,
}

/// A [`Host`] that only reads a state: for the API and for tests of what a block left behind.
#[derive(Debug)]
pub struct ReadHost<'a, S> {
    state: &'a S,
    block: BlockContext,
}

impl<'a, S: StateRead> ReadHost<'a, S> {
    /// Reads `state` as of `block`.
    pub fn new(state: &'a S, block: BlockContext) -> Self {
        Self { state, block }
    }
}

impl<S: StateRead> Host for ReadHost<'_, S> {
    fn block(&self) -> &BlockContext {
        &self.block
    }

    fn load(&mut self, module: Address, slot: U256) -> Result<U256, Fault> {
        Ok(self.state.storage(module, slot)?)
    }

    fn store(&mut self, _: Address, _: U256, _: U256) -> Result<(), Fault> {
        Err(Fault::ReadOnly)
    }

    fn balance(&mut self, account: Address) -> Result<U256, Fault> {
        Ok(self.state.account(account)?.map(|a| a.balance).unwrap_or_default())
    }

    fn transfer(&mut self, _: Address, _: Address, _: Amount) -> Result<(), Fault> {
        Err(Fault::ReadOnly)
    }

    fn burn(&mut self, _: Address, _: Amount) -> Result<(), Fault> {
        Err(Fault::ReadOnly)
    }

    fn emit(&mut self, _: Log) -> Result<(), Fault> {
        Err(Fault::ReadOnly)
    }

    fn charge(&mut self, _: u64) -> Result<(), Fault> {
        Ok(())
    }
}
