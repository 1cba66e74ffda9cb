//! Speak to Neura nodes: typed REST, transactions built and followed, proofs checked.
//!
//! # Design
//! [`Client`] speaks REST to one of several nodes and goes on to the next when one does not answer. [`Sender`] builds,
//! signs and follows transactions of one account; a [`Prepared`] one can be written down before it is sent.
//! [`EventStream`] follows the chain. [`proof`] follows the chain of validator sets from genesis or a checkpoint, and
//! checks what a node says about an account against what the validators signed.
//!
//! # Invariants
//! - An answer is read up to a stated size; a node cannot exhaust its client's memory.
//! - A refusal of the node reaches the caller with the node's own stable code and sentence.
//! - What one [`Sender::execute`] is asked for takes effect once at most, whatever is sent again.
//!
//! # Example
//! ```no_run
//! use neura_client::{Client, Key, Sender};
//! use neura_types::{Address, U256, keys::SecretKey};
//!
//! # async fn pay() -> Result<(), neura_client::ClientError> {
//! let client = Client::new(["http://127.0.0.1:8545", "http://127.0.0.1:8546"])?;
//! let sender = Sender::new(client, Key::Identity(SecretKey::from_seed(&[7; 32]))).await?;
//! let paid = sender.transfer(Address::repeat_byte(1), U256::from(5)).await?;
//! assert!(paid.height > 0);
//! # Ok(())
//! # }
//! ```

mod client;
mod confirm;
mod error;
pub mod proof;
mod sender;
mod stream;

pub use client::Client;
pub use confirm::Confirmed;
pub use error::ClientError;
pub use sender::{CALL_GAS, DEFAULT_MAX_FEE, Key, Outgoing, Prepared, Sender, TRANSFER_GAS};
pub use stream::EventStream;
