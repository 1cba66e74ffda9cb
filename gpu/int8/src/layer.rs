//! Hold one linear layer whose accumulators are proved to fit 32 bits.

use crate::{
    MAX_WIDTH, ModelError, Requant,
    error::{bounded, shaped},
};

/// Greatest magnitude of an activation: the range is symmetric, from -127 to 127.
const MAX_ACTIVATION: u64 = 127;

/// What follows a hidden layer's requantisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Values are clamped to -127..=127.
    Linear,
    /// Values are clamped to 0..=127.
    Relu,
}

/// What a layer does with its accumulators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerKind {
    /// Each output is scaled back to int8 by its own factor.
    Hidden {
        /// One factor per output.
        requant: Vec<Requant>,
        /// What follows.
        activation: Activation,
    },
    /// Accumulators are the model's output.
    Logits,
}

/// A linear layer: `z[j] = bias[j] + sum over i of weight[j][i] * x[i]`, then its [`LayerKind`].
///
/// For every input of activations from -127 to 127, `|z[j]| < 2^31`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    inputs: usize,
    weights: Vec<i8>,
    bias: Vec<i32>,
    kind: LayerKind,
}

impl Layer {
    /// A layer in the middle: `weights` is outputs × inputs, the inputs of one output contiguous.
    ///
    /// # Errors
    /// [`ModelError`] if widths are out of bounds, lengths do not agree, or an accumulator could
    /// overflow.
    pub fn hidden(
        inputs: usize,
        weights: Vec<i8>,
        bias: Vec<i32>,
        requant: Vec<Requant>,
        activation: Activation,
    ) -> Result<Self, ModelError> {
        shaped("the list of requantisations", requant.len(), bias.len())?;
        Self::checked(inputs, weights, bias, LayerKind::Hidden { requant, activation })
    }

    /// The last layer, whose accumulators are the logits.
    ///
    /// # Errors
    /// As [`Layer::hidden`].
    pub fn logits(inputs: usize, weights: Vec<i8>, bias: Vec<i32>) -> Result<Self, ModelError> {
        Self::checked(inputs, weights, bias, LayerKind::Logits)
    }

    fn checked(
        inputs: usize,
        weights: Vec<i8>,
        bias: Vec<i32>,
        kind: LayerKind,
    ) -> Result<Self, ModelError> {
        bounded("the input width of a layer", inputs, 1, MAX_WIDTH)?;
        bounded("the output width of a layer", bias.len(), 1, MAX_WIDTH)?;
        shaped("the weights of a layer", weights.len(), inputs.saturating_mul(bias.len()))?;
        for (output, (row, bias)) in weights.chunks_exact(inputs).zip(&bias).enumerate() {
            let bound = accumulator_bound(row, *bias);
            if i32::try_from(bound).is_err() {
                return Err(ModelError::Overflow { output, bound });
            }
        }
        Ok(Layer { inputs, weights, bias, kind })
    }

    /// Number of values it takes.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of values it gives.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// The weights, outputs × inputs, the inputs of one output contiguous.
    #[must_use]
    pub fn weights(&self) -> &[i8] {
        &self.weights
    }

    /// The bias of each output.
    #[must_use]
    pub fn bias(&self) -> &[i32] {
        &self.bias
    }

    /// What happens to the accumulators.
    #[must_use]
    pub fn kind(&self) -> &LayerKind {
        &self.kind
    }
}

/// The greatest magnitude of `bias + row · x`, and of any partial sum of it, over all `x` of
/// activations from -127 to 127: `|bias| + 127 * sum of |w|`.
fn accumulator_bound(row: &[i8], bias: i32) -> u64 {
    // At most 65,536 weights of magnitude 128: the sum is far below 2^64.
    let weights: u64 = row.iter().map(|w| u64::from(w.unsigned_abs())).sum();
    weights.saturating_mul(MAX_ACTIVATION).saturating_add(u64::from(bias.unsigned_abs()))
}

#[cfg(test)]
mod tests;
