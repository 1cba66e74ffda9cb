//! Hold what a provider returns, and the commitment to it.

use crate::{
    MAX_PORTS, MAX_REQUESTS, ModelError, Tensor,
    codec::{HEADER_BYTES, MAGIC_BYTES, Reader, Writer},
    error::bounded,
    request::decode_tensors,
};

const WHAT: &str = "an int8 result";
const MAGIC: &[u8; MAGIC_BYTES] = b"NEURAI8R";

/// The domain of [`Int8Result::commitment`], a BLAKE3 key-derivation context.
pub const RESULT_DOMAIN: &str = "neura:int8:result:v2";

/// The answers to a job's requests, in their order: each the outputs of a run in the order of the
/// manifest, or a list of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Int8Result {
    answers: Vec<Vec<Tensor>>,
}

impl Int8Result {
    /// Holds answers, each of at least one tensor.
    ///
    /// # Errors
    /// [`ModelError::Bound`] if there are no or too many answers, or tensors in one.
    pub fn new(answers: Vec<Vec<Tensor>>) -> Result<Self, ModelError> {
        bounded("the number of answers", answers.len(), 1, MAX_REQUESTS)?;
        for answer in &answers {
            bounded("the number of tensors of an answer", answer.len(), 1, MAX_PORTS)?;
        }
        Ok(Int8Result { answers })
    }

    /// The answers.
    #[must_use]
    pub fn answers(&self) -> &[Vec<Tensor>] {
        &self.answers
    }

    /// Decodes a result; the inverse of [`Int8Result::encode`], accepting nothing else.
    ///
    /// # Errors
    /// [`ModelError`] for anything that is not the canonical encoding of a result.
    pub fn decode(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut reader = Reader::open(WHAT, MAGIC, bytes)?;
        let count = reader.bounded("the number of answers", 1, MAX_REQUESTS)?;
        let answers =
            (0..count).map(|_| decode_tensors(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        reader.finish()?;
        Int8Result::new(answers)
    }

    /// The one encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::open(MAGIC, HEADER_BYTES);
        out.count(self.answers.len());
        for answer in &self.answers {
            out.u8(u8::try_from(answer.len()).unwrap_or(u8::MAX));
            answer.iter().for_each(|tensor| tensor.encode(&mut out));
        }
        out.finish()
    }

    /// BLAKE3 of the encoding, in key-derivation mode with [`RESULT_DOMAIN`] as its context.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        blake3::derive_key(RESULT_DOMAIN, &self.encode())
    }
}
