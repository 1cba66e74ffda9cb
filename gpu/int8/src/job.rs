//! Hold what an owner sends to a provider: an encoded model and encoded requests.

use crate::{
    Cost, Course, Int8Result, Kernels, MAX_JOB_BYTES, MAX_MODEL_BYTES, MAX_REQUESTS_BYTES,
    MAX_RESULT_BYTES, Model, ModelError, Request,
    codec::{HEADER_BYTES, MAGIC_BYTES, Reader, Writer},
    error::bounded,
    request::decode_requests,
};

const WHAT: &str = "an int8 job";
const MAGIC: &[u8; MAGIC_BYTES] = b"NEURAI8J";

/// The payload of a task for the `int8` executor.
///
/// The two parts are kept encoded, so that an owner can send a model as it is stored;
/// [`Int8Job::open`] decodes and checks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Int8Job {
    /// An encoded [`Model`], at most [`MAX_MODEL_BYTES`].
    pub model: Vec<u8>,
    /// Encoded [requests](crate::encode_requests), at most [`MAX_REQUESTS_BYTES`].
    pub requests: Vec<u8>,
}

/// A job whose parts are valid and fit each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenJob {
    /// The model.
    pub model: Model,
    /// The requests, at least one.
    pub requests: Vec<Request>,
    /// What answering them takes at most.
    pub cost: Cost,
}

impl OpenJob {
    /// Answers every request.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] if a kernel fails.
    pub fn run(&self, kernels: &dyn Kernels) -> Result<Int8Result, ModelError> {
        let mut course = Course::new(self);
        while course.step(kernels, u64::MAX)? {}
        course.finish()
    }
}

impl Int8Job {
    /// The model and the requests, each valid and fitting the other.
    ///
    /// # Errors
    /// [`ModelError`] if either cannot be decoded, a request does not fit the model, or the result
    /// could be larger than [`MAX_RESULT_BYTES`].
    pub fn open(&self) -> Result<OpenJob, ModelError> {
        let model = Model::decode(&self.model)?;
        let requests = decode_requests(&self.requests)?;
        let mut cost = Cost::default();
        for request in &requests {
            cost = cost.plus(request.check(&model)?);
        }
        let size = usize::try_from(cost.output_bytes).unwrap_or(usize::MAX);
        bounded("the size of the result", size, 0, MAX_RESULT_BYTES)?;
        Ok(OpenJob { model, requests, cost })
    }

    /// Decodes a job; the inverse of [`Int8Job::encode`]. The parts stay encoded.
    ///
    /// # Errors
    /// [`ModelError`] for anything that is not the canonical encoding of a job within bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, ModelError> {
        bounded("the size of an encoded job", bytes.len(), 0, MAX_JOB_BYTES)?;
        let mut reader = Reader::open(WHAT, MAGIC, bytes)?;
        let model = reader.count()?;
        let requests = reader.count()?;
        check_sizes(model, requests)?;
        let model = reader.take(model)?.to_vec();
        let requests = reader.take(requests)?.to_vec();
        reader.finish()?;
        Ok(Int8Job { model, requests })
    }

    /// The one encoding of this job, at most [`MAX_JOB_BYTES`].
    ///
    /// # Errors
    /// [`ModelError::Bound`] if a part is over its size.
    pub fn encode(&self) -> Result<Vec<u8>, ModelError> {
        check_sizes(self.model.len(), self.requests.len())?;
        let parts = self.model.len().saturating_add(self.requests.len());
        let mut out = Writer::open(MAGIC, HEADER_BYTES.saturating_add(8).saturating_add(parts));
        out.count(self.model.len());
        out.count(self.requests.len());
        out.bytes(&self.model);
        out.bytes(&self.requests);
        Ok(out.finish())
    }
}

fn check_sizes(model: usize, requests: usize) -> Result<(), ModelError> {
    bounded("the size of an encoded model", model, 0, MAX_MODEL_BYTES)?;
    bounded("the size of encoded requests", requests, 0, MAX_REQUESTS_BYTES)?;
    Ok(())
}
