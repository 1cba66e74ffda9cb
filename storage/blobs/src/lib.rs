//! Keep the payloads of tasks off the chain, and sealed to those who may read them.
//!
//! # Design
//! - A [`Locator`] names content by what it is, in one canonical string. The chain keeps the
//!   locator, the size and the BLAKE3 hash of the ciphertext; a store is never trusted with more
//!   than availability.
//! - [`BlobStore`] is the one interface to every store. [`EmbeddedStore`] keeps content-addressed
//!   files on this machine; [`HttpStore`] talks to somebody else's embedded store over HTTP.
//! - [`seal`] and [`open`] make and read the sealed envelope that is put into a store: one content
//!   key, wrapped by HPKE (RFC 9180) for each recipient, and the content in authenticated 64 KiB
//!   chunks. [`seal_stream`] and [`open_stream`] do the same in the memory of one chunk.
//!
//! # Invariants
//! - Content returned by any store hashes to the locator that was asked for.
//! - A locator, a public key and an envelope each have one encoding; anything else is refused.
//! - Every size is compared with its limit before memory is taken for it.
//! - An envelope opens only for a listed recipient, in the context that it was sealed for, and
//!   whole.
//!
//! # Example
//! ```
//! use neura_blobs::{EncryptionSecretKey, EnvelopeContext, Locator, Purpose, open, seal};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = EncryptionSecretKey::generate(&mut rand::rng());
//! let context = EnvelopeContext {
//!     chain_id: 7_331,
//!     purpose: Purpose::Payload,
//!     owner: [1; 20],
//!     provider: [2; 20],
//!     binding: [3; 32],
//! };
//! let envelope = seal(&context, &[provider.public_key()], b"digits", &mut rand::rng())?;
//! let locator = Locator::of(&envelope);
//! assert!(locator.to_string().starts_with("neura:"));
//! assert_eq!(open(&context, &provider, &envelope, 1_024)?.as_slice(), b"digits");
//! # Ok(())
//! # }
//! ```

mod embedded;
mod envelope;
mod error;
mod http;
mod limits;
mod locator;
mod lower_hex;
mod store;

pub use embedded::{Collected, EmbeddedConfig, EmbeddedStore, Usage};
pub use envelope::{
    CHUNK_BYTES, EncryptionPublicKey, EncryptionSecretKey, EnvelopeContext, EnvelopeError,
    KeyError, MAX_RECIPIENTS, Purpose, StreamError, max_plaintext_len, open, open_stream, seal,
    seal_stream, sealed_len,
};
pub use error::BlobError;
pub use http::{AddressClass, HttpConfig, HttpStore};
pub use limits::{
    DEFAULT_CONNECT_TIMEOUT, DEFAULT_MAX_BLOB_BYTES, DEFAULT_MAX_BLOBS, DEFAULT_QUOTA_BYTES,
    DEFAULT_TOTAL_TIMEOUT, DEFAULT_UNPINNED_GRACE_BLOCKS, MAX_LOCATOR_BYTES, MAX_PIN_REASON_BYTES,
    MAX_PINS_PER_BLOB,
};
pub use locator::{Locator, LocatorError, LocatorKind};
pub use store::{BlobStat, BlobStore, Retention, StoreTerms};
