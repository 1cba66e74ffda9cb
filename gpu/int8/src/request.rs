//! Hold what is asked of a model: runs over inputs, generations from prompts.

use crate::{
    Cost, Generation, Kernels, MAX_PORTS, MAX_REQUESTS, MAX_REQUESTS_BYTES, Model, ModelError,
    Prompt, Sampling, Tensor,
    codec::{HEADER_BYTES, MAGIC_BYTES, Reader, Writer},
    error::bounded,
    generate,
};

const WHAT: &str = "requests to an int8 model";
const MAGIC: &[u8; MAGIC_BYTES] = b"NEURAI8Q";

/// One thing asked of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The outputs for these inputs.
    Run {
        /// The inputs, in the order of the manifest.
        inputs: Vec<Tensor>,
        /// How tokens are drawn, if the model draws any.
        sampling: Sampling,
    },
    /// Tokens that follow a prompt.
    Generate(Prompt),
}

impl Request {
    /// A run without sampling.
    #[must_use]
    pub fn run(inputs: Vec<Tensor>) -> Self {
        Request::Run { inputs, sampling: Sampling::default() }
    }

    /// Checks that a model can answer, and what that takes at most.
    ///
    /// # Errors
    /// [`ModelError`] with what does not fit.
    pub fn check(&self, model: &Model) -> Result<Cost, ModelError> {
        match self {
            Request::Run { inputs, .. } => model.check_inputs(inputs).map(|rows| model.cost(rows)),
            Request::Generate(prompt) => {
                drop(Generation::new(model, prompt.clone())?);
                let rows = generate::most_rows(model, prompt);
                model.check_rows(rows)?;
                Ok(Cost { output_bytes: generate::answer_bytes(prompt), ..model.cost(rows) })
            }
        }
    }

    /// The answer: the outputs of a run, or the list of tokens generated.
    ///
    /// # Errors
    /// As [`Model::run_with`] and [`Generation`].
    pub fn answer(&self, model: &Model, kernels: &dyn Kernels) -> Result<Vec<Tensor>, ModelError> {
        match self {
            Request::Run { inputs, sampling } => model.run_with(kernels, inputs, *sampling),
            Request::Generate(prompt) => {
                Ok(vec![Tensor::list(model.generate(kernels, prompt.clone())?)?])
            }
        }
    }

    fn encode(&self, out: &mut Writer) {
        match self {
            Request::Run { inputs, sampling } => {
                out.u8(0);
                out.u8(u8::try_from(inputs.len()).unwrap_or(u8::MAX));
                inputs.iter().for_each(|tensor| tensor.encode(out));
                sampling.encode(out);
            }
            Request::Generate(prompt) => {
                out.u8(1);
                prompt.encode(out);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        match reader.u8()? {
            0 => {
                let inputs = decode_tensors(reader)?;
                Ok(Request::Run { inputs, sampling: Sampling::decode(reader)? })
            }
            1 => Prompt::decode(reader).map(Request::Generate),
            found => Err(ModelError::Kind { what: "a request", found }),
        }
    }
}

/// The one encoding of a list of requests.
///
/// # Errors
/// [`ModelError::Bound`] if there are none or too many, or they are too large.
pub fn encode_requests(requests: &[Request]) -> Result<Vec<u8>, ModelError> {
    bounded("the number of requests", requests.len(), 1, MAX_REQUESTS)?;
    let mut out = Writer::open(MAGIC, HEADER_BYTES);
    out.count(requests.len());
    for request in requests {
        if let Request::Run { inputs, .. } = request {
            bounded("the number of inputs", inputs.len(), 1, MAX_PORTS)?;
        }
        request.encode(&mut out);
    }
    let bytes = out.finish();
    bounded("the size of encoded requests", bytes.len(), 0, MAX_REQUESTS_BYTES)?;
    Ok(bytes)
}

/// Decodes a list of requests; the inverse of [`encode_requests`], accepting nothing else.
///
/// # Errors
/// [`ModelError`] for anything that is not the canonical encoding of valid requests.
pub fn decode_requests(bytes: &[u8]) -> Result<Vec<Request>, ModelError> {
    bounded("the size of encoded requests", bytes.len(), 0, MAX_REQUESTS_BYTES)?;
    let mut reader = Reader::open(WHAT, MAGIC, bytes)?;
    let count = reader.bounded("the number of requests", 1, MAX_REQUESTS)?;
    let requests = (0..count).map(|_| Request::decode(&mut reader)).collect::<Result<_, _>>()?;
    reader.finish()?;
    Ok(requests)
}

/// A list of 1 to [`MAX_PORTS`] tensors, its length as a byte.
pub(crate) fn decode_tensors(reader: &mut Reader<'_>) -> Result<Vec<Tensor>, ModelError> {
    let count = usize::from(reader.u8()?);
    bounded("the number of tensors", count, 1, MAX_PORTS)?;
    (0..count).map(|_| Tensor::decode(reader)).collect()
}
