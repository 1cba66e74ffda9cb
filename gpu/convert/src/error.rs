//! Say what is wrong with a float model or with data.

use neura_int8::ModelError;

/// Why something cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// Bytes that are not what they should be.
    #[error("{what} cannot be read: {reason}")]
    Format {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A model of a kind that is not known.
    #[error("{found} is not a known {what}: known are {known}. {advice}")]
    Unknown {
        /// What kind of thing.
        what: &'static str,
        /// What was found.
        found: String,
        /// What could have been.
        known: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A tensor that the architecture needs and the file does not have.
    #[error(
        "the file has no tensor '{name}', which {architecture} needs; it has {count} others, such as '{example}'"
    )]
    NoTensor {
        /// The tensor's name.
        name: String,
        /// The architecture.
        architecture: &'static str,
        /// Tensors that there are.
        count: usize,
        /// One of them.
        example: String,
    },
    /// A tensor of another shape than it should have.
    #[error("tensor '{name}' has the shape {found:?}, expected is {expected:?}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A weight that is not a number, or infinite.
    #[error("tensor '{name}' holds a value that is not a finite number: it cannot be quantised")]
    NotFinite {
        /// The tensor's name.
        name: String,
    },
    /// A node that cannot be converted.
    #[error("node '{node}' ({op}): {reason}. {advice}")]
    Node {
        /// The node's name.
        node: String,
        /// Its operator.
        op: String,
        /// What is wrong.
        reason: String,
        /// How to get round it.
        advice: &'static str,
    },
    /// A value that is not a number, or infinite, while the float model runs.
    #[error(
        "sample {index}: node '{node}' ({op}) makes a value that is not a finite number. Look for weights that are, \
         and for data far from what the model was made for"
    )]
    Infinite {
        /// The sample's place, from 0.
        index: usize,
        /// The node's name.
        node: String,
        /// What it does.
        op: &'static str,
    },
    /// Data that does not fit the model.
    #[error("sample {index}: {reason}")]
    Sample {
        /// Its place among the samples, from 0.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// No data to calibrate with.
    #[error(
        "there is nothing to calibrate with: give data like that which the model will meet, 50 samples or more"
    )]
    NoData,
    /// The integer model could not be made.
    #[error("the integer model cannot be made")]
    Model(#[from] ModelError),
}

/// A node that is wrong in itself.
pub(crate) fn node(
    node: &str,
    op: &str,
    reason: impl Into<String>,
    advice: &'static str,
) -> ConvertError {
    ConvertError::Node { node: node.into(), op: op.into(), reason: reason.into(), advice }
}

/// Bytes that are wrong.
pub(crate) fn format(what: &'static str, reason: impl ToString) -> ConvertError {
    ConvertError::Format { what, reason: reason.to_string() }
}
