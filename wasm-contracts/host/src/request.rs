//! What a contract asks of the chain, and what it is answered.

use alloy_primitives::{Address, B256, Bytes, U256};

/// How another contract is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// With value, as itself.
    Call,
    /// The other's code on this contract's account.
    Delegate,
    /// Nothing may change.
    Static,
}

/// A call of another contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRequest {
    /// How.
    pub kind: CallKind,
    /// Whom.
    pub to: Address,
    /// Coins sent along, in wei; none but for [`CallKind::Call`].
    pub value: U256,
    /// Arguments.
    pub input: Bytes,
    /// Most gas to pass on.
    pub gas: u64,
}

/// A contract to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRequest {
    /// Init code, of EVM or WASM.
    pub init_code: Bytes,
    /// Coins sent along, in wei.
    pub value: U256,
    /// Salt of an address that does not follow the nonce (CREATE2).
    pub salt: Option<U256>,
}

/// What a contract needs of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A word of its storage. Answer: [`Answer::Word`].
    Load(U256),
    /// Writes a word of its storage. Answer: [`Answer::Done`].
    Store(U256, U256),
    /// A word that lasts for the transaction. Answer: [`Answer::Word`].
    TransientLoad(U256),
    /// Writes a word that lasts for the transaction. Answer: [`Answer::Done`].
    TransientStore(U256, U256),
    /// An account's balance in wei. Answer: [`Answer::Word`].
    Balance(Address),
    /// Hash of an account's code. Answer: [`Answer::Word`].
    CodeHash(Address),
    /// Length of an account's code. Answer: [`Answer::Size`].
    CodeSize(Address),
    /// A part of an account's code. Answer: [`Answer::Data`], with what there is of it.
    Code {
        /// Whose.
        address: Address,
        /// From which byte.
        offset: u32,
        /// At most so many bytes.
        size: u32,
    },
    /// Emits an event. Answer: [`Answer::Done`].
    Log(Vec<B256>, Bytes),
    /// Calls a contract. Answer: [`Answer::Called`].
    Call(CallRequest),
    /// Creates a contract. Answer: [`Answer::Created`].
    Create(CreateRequest),
}

/// What the chain says to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// A word, an amount or a hash.
    Word(U256),
    /// A length.
    Size(u32),
    /// Bytes.
    Data(Bytes),
    /// A call has ended.
    Called {
        /// Whether it was not taken back.
        success: bool,
        /// What it returned.
        data: Bytes,
    },
    /// A creation has ended.
    Created {
        /// The new contract; none if it failed.
        address: Option<Address>,
        /// What a failed one returned.
        data: Bytes,
    },
}
