//! Name everything that can be wrong with a model, its inputs, a job or a result.

use crate::DType;

/// Why bytes or values are not a valid model, request, job, result or opening.
///
/// All of these but [`ModelError::Kernel`] are the sender's fault: the input is refused and
/// nothing else happens.
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
    /// A reserved field, or padding, is not zero.
    #[error("a reserved field of {what} is not zero")]
    Reserved {
        /// What was being decoded.
        what: &'static str,
    },
    /// A code outside the known ones.
    #[error("{found} is unknown as the code of {what}")]
    Kind {
        /// What the code stands for.
        what: &'static str,
        /// The byte found.
        found: u8,
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
    /// A name that is empty, too long or not printable ASCII.
    #[error("'{name}' is not a name: use 1 to 128 printable ASCII characters without spaces")]
    Name {
        /// The name.
        name: String,
    },
    /// A name that stands twice in one list.
    #[error("the name '{name}' is used twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// A scale outside its range.
    #[error(
        "scale ({multiplier}, {shift}) is out of range: \
         the multiplier must be from 2^30 to 2^31 - 1 and the shift at most 62"
    )]
    Scale {
        /// The multiplier.
        multiplier: u32,
        /// The shift.
        shift: u8,
    },
    /// A node that cannot be part of a model.
    #[error("node {node} ({op}): {problem}")]
    Node {
        /// Index of the node, from 0.
        node: usize,
        /// Its operator.
        op: &'static str,
        /// What is wrong.
        problem: NodeProblem,
    },
    /// A reference to a value that does not exist (yet).
    #[error("{what} refers to value {value}, of which there are only {known} at that place")]
    Value {
        /// Who refers to it.
        what: &'static str,
        /// The value's index.
        value: u32,
        /// Number of values that may be referred to.
        known: usize,
    },
    /// Weights whose root is not the manifest's.
    #[error("the weights have another root than the manifest: they belong to another model")]
    Root,
    /// A parameter that is not as the manifest's table says.
    #[error("parameter '{name}' is missing, or has another type or shape than the table says")]
    Param {
        /// Its name.
        name: String,
    },
    /// An input that does not fit the model.
    #[error("input '{name}': {problem}")]
    Input {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: NodeProblem,
    },
    /// The model cannot generate text.
    #[error("this model cannot generate: {reason}")]
    Generate {
        /// Why.
        reason: &'static str,
    },
    /// A checkpoint that no run of this job could have made.
    #[error("the checkpoint does not belong to this job: {reason}")]
    Checkpoint {
        /// Why.
        reason: &'static str,
    },
    /// A cell that an operator needs was not given.
    #[error("cell {index} of {what} is needed and was not given")]
    Cell {
        /// An operand or a parameter.
        what: &'static str,
        /// The index within it.
        index: usize,
    },
    /// An opening that does not lead to its root.
    #[error("the opening does not lead to the root")]
    Opening,
    /// A kernel plugged in from outside failed; the model is not at fault.
    #[error("a kernel failed: {reason}")]
    Kernel {
        /// What it reported.
        reason: String,
    },
}

/// What is wrong with a node or an input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeProblem {
    /// Another number of operands than the operator takes.
    #[error("it has {found} operands, and takes {expected}")]
    Operands {
        /// Operands it has.
        found: usize,
        /// Operands it takes.
        expected: usize,
    },
    /// An operand of a type the operator does not take.
    #[error("operand {operand} has values of type {found}, which it does not take")]
    Type {
        /// The operand, from 0.
        operand: usize,
        /// The type found.
        found: DType,
    },
    /// Shapes that do not fit each other.
    #[error("{what}: {found:?} does not fit {expected:?}")]
    Dims {
        /// Which shapes.
        what: &'static str,
        /// The shape found.
        found: Vec<usize>,
        /// The shape that would fit.
        expected: Vec<usize>,
    },
    /// A parameter that is not there or not as the operator needs it.
    #[error("parameter {param} ({what}) is missing or of another type or shape")]
    Param {
        /// Index of the parameter.
        param: u32,
        /// What it is for.
        what: &'static str,
    },
    /// A number outside its bounds.
    #[error("{what} is {value}, and must be from {min} to {max}")]
    Bound {
        /// What the number is.
        what: &'static str,
        /// The number.
        value: i64,
        /// Least value allowed.
        min: i64,
        /// Greatest value allowed.
        max: i64,
    },
    /// An intermediate that could overflow for some input.
    #[error("{what} could reach {reach}, and must stay within {limit}")]
    Overflow {
        /// The intermediate.
        what: &'static str,
        /// Greatest magnitude it can take; saturated.
        reach: u64,
        /// Greatest magnitude allowed.
        limit: u64,
    },
    /// A scale outside its range.
    #[error("scale {channel} is ({multiplier}, {shift}), which is out of range")]
    Scale {
        /// The channel.
        channel: usize,
        /// The multiplier.
        multiplier: i32,
        /// The shift.
        shift: i32,
    },
    /// Rows where they cannot be, or missing where they are needed.
    #[error("{what}")]
    Rows {
        /// What is wrong.
        what: &'static str,
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

/// Checks that a number of a node is within `min..=max`.
pub(crate) fn within(
    what: &'static str,
    value: i64,
    min: i64,
    max: i64,
) -> Result<(), NodeProblem> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(NodeProblem::Bound { what, value, min, max })
}

/// Checks that an intermediate's magnitude stays within `limit`.
pub(crate) fn fits(what: &'static str, reach: u64, limit: u64) -> Result<(), NodeProblem> {
    if reach <= limit { Ok(()) } else { Err(NodeProblem::Overflow { what, reach, limit }) }
}
