//! Name everything that can be wrong with a model, a batch, a job or a result.

/// Why bytes or values are not a valid model, batch, job or result.
///
/// All of these are the sender's fault: the input is refused and nothing else happens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The bytes start with another magic: they are something else.
    #[error("these bytes are not {what}: they do not start with its magic")]
    Magic {
        /// What was expected.
        what: &'static str,
    },
    /// The format's version is not one this build reads.
    #[error("version {found} of {what} is unknown; this build reads version {supported}")]
    Version {
        /// What was being decoded.
        what: &'static str,
        /// The version in the bytes.
        found: u16,
        /// The version this build reads.
        supported: u16,
    },
    /// The bytes end before the value does.
    #[error("{what} is truncated: {needed} more bytes were needed, {left} are left")]
    Truncated {
        /// What was being decoded.
        what: &'static str,
        /// Bytes the next field needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// Bytes follow the value's end.
    #[error("{what} is followed by {extra} bytes that do not belong to it")]
    Trailing {
        /// What was decoded.
        what: &'static str,
        /// Number of bytes after its end.
        extra: usize,
    },
    /// A reserved field is not zero.
    #[error("a reserved field of {what} is not zero")]
    Reserved {
        /// What was being decoded.
        what: &'static str,
    },
    /// A count or size is outside its bounds.
    #[error("{what} is {value}, and must be from {min} to {max}")]
    Bound {
        /// The count or size.
        what: &'static str,
        /// Its value.
        value: usize,
        /// Least value allowed.
        min: usize,
        /// Greatest value allowed.
        max: usize,
    },
    /// A list has another length than its shape asks for.
    #[error("{what} has {found} values, and its shape asks for {expected}")]
    Shape {
        /// The list.
        what: &'static str,
        /// Values it has.
        found: usize,
        /// Values it must have.
        expected: usize,
    },
    /// A layer's input width is not the output width of the one before.
    #[error("layer {layer} takes {inputs} values, and the layer before gives {outputs}")]
    Chain {
        /// Index of the layer, from 0.
        layer: usize,
        /// Values it takes.
        inputs: usize,
        /// Values the layer before gives.
        outputs: usize,
    },
    /// The kinds of layers are in a wrong order: logits come once, at the end.
    #[error("layer {layer} is of a wrong kind: the last layer, and no other, gives logits")]
    Order {
        /// Index of the layer, from 0.
        layer: usize,
    },
    /// A layer kind outside the known ones.
    #[error("layer kind {found} is unknown; 0 is linear, 1 is relu, 2 is logits")]
    Kind {
        /// The byte found.
        found: u8,
    },
    /// A requantisation outside its range.
    #[error(
        "requantisation ({multiplier}, {shift}) is out of range: \
         the multiplier must be from 2^30 to 2^31 - 1 and the shift at most 31"
    )]
    Requant {
        /// The multiplier.
        multiplier: u32,
        /// The shift.
        shift: u8,
    },
    /// An accumulator could overflow 32 bits for some input.
    #[error("output {output} of a layer could reach {bound}, which does not fit 32 bits")]
    Overflow {
        /// Index of the output within its layer.
        output: usize,
        /// Greatest magnitude its accumulator can take.
        bound: u64,
    },
    /// An activation of -128, which the symmetric range leaves out.
    #[error("value {index} of the batch is -128; activations go from -127 to 127")]
    Activation {
        /// Index of the value.
        index: usize,
    },
    /// The batch's rows do not have the width the model takes.
    #[error("the batch has rows of {batch} values, and the model takes {model}")]
    Width {
        /// Width of the batch's rows.
        batch: usize,
        /// Width the model takes.
        model: usize,
    },
    /// A result's prediction is not the lowest index of its row's greatest logit.
    #[error("prediction {row} does not follow from the logits")]
    Prediction {
        /// The row.
        row: usize,
    },
}

/// Checks that `value` is within `min..=max`.
pub(crate) fn bounded(
    what: &'static str,
    value: usize,
    min: usize,
    max: usize,
) -> Result<usize, ModelError> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(ModelError::Bound { what, value, min, max })
    }
}

/// Checks that a list has the length its shape asks for.
pub(crate) fn shaped(what: &'static str, found: usize, expected: usize) -> Result<(), ModelError> {
    if found == expected { Ok(()) } else { Err(ModelError::Shape { what, found, expected }) }
}
