//! Hold what an owner sends to a provider: an encoded model and encoded inputs.

use crate::{
    Batch, MAX_BATCH_BYTES, MAX_JOB_BYTES, MAX_MODEL_BYTES, Model, ModelError,
    codec::{MAGIC_BYTES, Reader, Writer},
    error::bounded,
};

const WHAT: &str = "an int8 job";
const MAGIC: &[u8; MAGIC_BYTES] = b"NEURAI8J";
const HEADER_BYTES: usize = 20;

/// The payload of a task for the `int8` executor.
///
/// The two parts are kept encoded, so that an owner can send a model as it is stored;
/// [`Int8Job::open`] decodes and checks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Int8Job {
    /// An encoded [`Model`], at most [`MAX_MODEL_BYTES`].
    pub model: Vec<u8>,
    /// An encoded [`Batch`], at most [`MAX_BATCH_BYTES`].
    pub inputs: Vec<u8>,
}

impl Int8Job {
    /// The model and the batch, each valid and fitting the other.
    ///
    /// # Errors
    /// [`ModelError`] if either cannot be decoded, or [`Model::check_batch`] refuses.
    pub fn open(&self) -> Result<(Model, Batch), ModelError> {
        let model = Model::decode(&self.model)?;
        let batch = Batch::decode(&self.inputs)?;
        model.check_batch(&batch)?;
        Ok((model, batch))
    }

    /// Decodes a job; the inverse of [`Int8Job::encode`]. The parts stay encoded.
    ///
    /// # Errors
    /// [`ModelError`] for anything that is not the canonical encoding of a job within bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, ModelError> {
        bounded("the size of an encoded job", bytes.len(), 0, MAX_JOB_BYTES)?;
        let mut reader = Reader::open(WHAT, MAGIC, bytes)?;
        reader.reserved(2)?;
        let model = reader.count()?;
        let inputs = reader.count()?;
        check_sizes(model, inputs)?;
        let model = reader.take(model)?;
        let inputs = reader.take(inputs)?;
        reader.finish()?;
        Ok(Int8Job { model: model.to_vec(), inputs: inputs.to_vec() })
    }

    /// The one encoding of this job, at most [`MAX_JOB_BYTES`].
    ///
    /// # Errors
    /// [`ModelError::Bound`] if a part is over its size.
    pub fn encode(&self) -> Result<Vec<u8>, ModelError> {
        check_sizes(self.model.len(), self.inputs.len())?;
        let parts = self.model.len().saturating_add(self.inputs.len());
        let mut out = Writer::open(MAGIC, HEADER_BYTES.saturating_add(parts));
        out.u16(0);
        out.count(self.model.len());
        out.count(self.inputs.len());
        out.bytes(&self.model);
        out.bytes(&self.inputs);
        Ok(out.finish())
    }
}

fn check_sizes(model: usize, inputs: usize) -> Result<(), ModelError> {
    bounded("the size of an encoded model", model, 0, MAX_MODEL_BYTES)?;
    bounded("the size of an encoded batch", inputs, 0, MAX_BATCH_BYTES)?;
    Ok(())
}
