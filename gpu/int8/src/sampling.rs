//! Say how tokens are drawn: with which seed, and how far from the most probable.

use crate::{
    ModelError,
    codec::{Reader, Writer},
    error::bounded,
    num,
};

/// Greatest temperature, 16 in units of 2^-16: beyond, tokens are noise.
pub const MAX_TEMPERATURE: u32 = 16 << 16;

/// How tokens are drawn in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sampling {
    /// Where the noise comes from: the same seed gives the same tokens.
    pub seed: [u8; 32],
    /// Temperature in units of 2^-16, at most [`MAX_TEMPERATURE`]; 0 takes the most probable token.
    pub temperature: u32,
}

impl Sampling {
    /// Checks the temperature.
    ///
    /// # Errors
    /// [`ModelError::Bound`].
    pub fn check(&self) -> Result<(), ModelError> {
        let (value, max) = (num::size(self.temperature), num::size(MAX_TEMPERATURE));
        bounded("the temperature", value, 0, max).map(|_| ())
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.bytes(&self.seed);
        out.u32(self.temperature);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let sampling = Sampling { seed: reader.array()?, temperature: reader.u32()? };
        sampling.check().map(|()| sampling)
    }
}
