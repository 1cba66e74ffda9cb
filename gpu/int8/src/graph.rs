//! Describe values and nodes: what flows through a model, and what makes it.

use crate::{
    DType, MAX_CELLS, MAX_DIM, MAX_OPERANDS, MAX_RANK, ModelError, NodeProblem, Op,
    codec::{Reader, Writer},
    error::{bounded, within},
    num,
};

/// The index of a value: first the model's inputs, then what each node makes, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

impl ValueId {
    /// The index.
    #[must_use]
    pub fn index(self) -> usize {
        num::size(self.0)
    }
}

/// Whether a value has as many rows as the run, or one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// As many as the run: images of a batch, tokens of a text.
    Many,
    /// One for the whole run.
    One,
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueType {
    /// The type of each cell.
    pub dtype: DType,
    /// How many rows.
    pub rows: Rows,
    /// The axes of a row, the last contiguous; none for a single cell.
    pub dims: Vec<usize>,
    /// Whether a row has one more, last axis, as long as the run has rows: scores between rows.
    pub context: bool,
}

impl ValueType {
    /// Cells of a row in a run of `rows` rows.
    #[must_use]
    pub fn width(&self, rows: usize) -> usize {
        let width = num::volume(&self.dims);
        if self.context { width.saturating_mul(rows) } else { width }
    }

    /// Cells of `of` rows in a run of `rows` rows; those of one row if it has only one.
    #[must_use]
    pub fn cells(&self, of: usize, rows: usize) -> usize {
        match self.rows {
            Rows::Many => self.width(rows).saturating_mul(of),
            Rows::One => self.width(rows),
        }
    }

    /// The length of the last axis in a run of `rows` rows.
    #[must_use]
    pub fn last(&self, rows: usize) -> usize {
        if self.context { rows } else { self.dims.last().copied().unwrap_or(1) }
    }

    /// All axes in a run of `rows` rows, as those of a tensor.
    #[must_use]
    pub fn axes(&self, rows: usize) -> Vec<usize> {
        let own = match self.rows {
            Rows::Many => Some(rows),
            Rows::One if self.dims.is_empty() => Some(1),
            Rows::One => None,
        };
        own.into_iter().chain(self.dims.clone()).chain(self.context.then_some(rows)).collect()
    }

    /// The axes of a row that all have fixed lengths.
    pub(crate) fn plain(&self) -> Result<&[usize], NodeProblem> {
        if self.context {
            return Err(NodeProblem::Rows { what: "scores between rows are not taken here" });
        }
        Ok(&self.dims)
    }

    /// Checks that operand `operand` has one of these types.
    pub(crate) fn expect(&self, operand: usize, types: &[DType]) -> Result<(), NodeProblem> {
        if types.contains(&self.dtype) {
            return Ok(());
        }
        Err(NodeProblem::Type { operand, found: self.dtype })
    }

    /// Checks the bounds of a value's axes.
    pub(crate) fn check(&self) -> Result<(), NodeProblem> {
        let most = num::signed(MAX_RANK);
        within("the number of axes", num::signed(self.dims.len()), 0, most)?;
        for dim in &self.dims {
            within("the length of an axis", num::signed(*dim), 1, num::signed(MAX_DIM))?;
        }
        let width = num::signed(num::volume(&self.dims));
        within("the number of cells of a row", width, 1, num::signed(MAX_CELLS))
    }
}

/// An operator, and the values it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What is done.
    pub op: Op,
    /// Its operands: values made before.
    pub inputs: Vec<ValueId>,
}

impl Node {
    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u8(u8::try_from(self.inputs.len()).unwrap_or(u8::MAX));
        self.inputs.iter().for_each(|input| out.u32(input.0));
        self.op.encode(out);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let count = usize::from(reader.u8()?);
        bounded("the number of operands", count, 0, MAX_OPERANDS)?;
        let inputs = (0..count).map(|_| reader.u32().map(ValueId)).collect::<Result<_, _>>()?;
        Ok(Node { op: Op::decode(reader)?, inputs })
    }
}
