//! The sealed envelope: content that only its recipients read, in the context it was sealed for.
//!
//! ```text
//! offset  bytes  field
//!      0      4  magic "NEUE"
//!      4      1  version, 1
//!      5      1  suite, 1: HPKE base mode with X25519, HKDF-SHA256, ChaCha20-Poly1305
//!      6      1  number of recipients n, 1 to 16
//!      7      7  nonce prefix of the chunks
//!     14      8  plaintext length, big-endian
//!     22     32  commitment to the content key
//!     54   96 n  recipients: key id (16), encapsulated key (32), wrapped content key (32 + 16)
//!      …      …  chunks: 64 KiB of plaintext each, the last one shorter, each with its 16-byte tag
//! ```
//!
//! - A fresh random content key is wrapped for each recipient by HPKE (RFC 9180); `info` is the
//!   encoded [`EnvelopeContext`], the additional data are the first 54 bytes.
//! - Chunks are ChaCha20-Poly1305 in the STREAM construction: the nonce is the prefix, a 32-bit
//!   counter and a flag on the last chunk. An empty plaintext is one empty last chunk. The
//!   additional data of each chunk are a hash of the context and the whole header.
//! - From the content key, BLAKE3 in its key derivation mode makes the key of the chunks and the
//!   commitment. The cipher alone would let a sender craft chunks that open differently under two
//!   keys; because of the commitment all recipients read the same plaintext or none.
//! - The sender is not authenticated. Who sent it is told by the transaction that carries the hash
//!   of the envelope.

mod context;
mod error;
mod header;
mod keys;
mod opening;
mod sealing;
mod streaming;
mod suite;
#[cfg(test)]
mod tests;

pub use context::{EnvelopeContext, Purpose};
pub use error::{EnvelopeError, KeyError};
pub use header::MAX_RECIPIENTS;
pub use keys::{EncryptionPublicKey, EncryptionSecretKey};
pub use opening::open;
pub use sealing::{max_plaintext_len, seal, sealed_len};
pub use streaming::{StreamError, open_stream, seal_stream};
pub use suite::CHUNK_BYTES;
