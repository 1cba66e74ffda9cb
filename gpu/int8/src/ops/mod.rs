//! Define every operator: its types, its range, its meaning cell by cell, and a faster way.
//!
//! An operator's meaning is its cell function: what one cell of the output is, in terms of cells
//! of the operands and of parameters. The other way, which computes all cells at once, must equal
//! it. In the operators' descriptions `x`, `a`, `b` are operands, `y` is the output, an index runs
//! along the last axis, `round(p / q)` rounds halves away from zero, `>>` rounds down.

pub mod attention;
pub mod conv;
pub mod elementwise;
pub mod embed;
pub mod layout;
pub mod linear;
pub mod lookup;
pub mod matmul;
pub mod norm;
pub mod pool;
pub mod reduce;
pub mod rope;
pub mod sample;
pub mod softmax;

use crate::{
    DType, Data, Kernels, ModelError, NodeProblem, ParamId, ParamSpec, Params,
    codec::{Reader, Writer},
    graph::{Rows, ValueType},
    num,
    range::Interval,
    run::Frame,
    sampling::Sampling,
};
use attention::{Mix, Scores};
use conv::Conv2d;
use elementwise::{Add, Mul, Requantise};
use embed::{Embed, Position};
use layout::{Concat, Reshape, Slice, Transpose};
use linear::Linear;
use lookup::Lookup;
use matmul::MatMul;
use norm::{L2Norm, LayerNorm, RmsNorm};
use pool::{AvgPool, MaxPool};
use reduce::{Argmax, MeanRows, TakeRow};
use rope::Rope;
use sample::Sample;
use softmax::Softmax;
use std::fmt::Debug;

/// Where the cell function of an operator reads from.
///
/// Implemented by the interpreter over whole tensors, and by verifiers over opened cells.
pub trait Cells {
    /// Cell `index` of operand `operand`, counted over all rows of the run.
    ///
    /// # Errors
    /// [`ModelError::Cell`] if it is not there.
    fn input(&mut self, operand: usize, index: usize) -> Result<i32, ModelError>;

    /// Value `index` of a parameter.
    ///
    /// # Errors
    /// [`ModelError::Cell`] if it is not there.
    fn param(&mut self, param: ParamId, index: usize) -> Result<i32, ModelError>;

    /// How tokens are drawn in this run.
    fn sampling(&self) -> Sampling;
}

/// The table of parameters, as operators check themselves against it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'a>(pub(crate) &'a [ParamSpec]);

impl<'a> Table<'a> {
    /// A parameter that is there.
    pub(crate) fn find(
        &self,
        id: ParamId,
        what: &'static str,
    ) -> Result<&'a ParamSpec, NodeProblem> {
        self.0.get(num::size(id.0)).ok_or(NodeProblem::Param { param: id.0, what })
    }

    /// A parameter that has this type and shape.
    pub(crate) fn expect(
        &self,
        id: ParamId,
        what: &'static str,
        dtype: DType,
        dims: &[usize],
    ) -> Result<(), NodeProblem> {
        let spec = self.find(id, what)?;
        if spec.dtype == dtype && spec.dims == dims {
            return Ok(());
        }
        Err(NodeProblem::Param { param: id.0, what })
    }
}

/// What an operator is typed from.
#[derive(Debug)]
pub(crate) struct Typing<'a> {
    pub(crate) inputs: &'a [&'a ValueType],
    pub(crate) params: Table<'a>,
    pub(crate) max_rows: usize,
}

impl<'a> Typing<'a> {
    /// The operands, if there are as many as the operator takes.
    pub(crate) fn operands<const N: usize>(&self) -> Result<[&'a ValueType; N], NodeProblem> {
        <[&ValueType; N]>::try_from(self.inputs)
            .map_err(|_| NodeProblem::Operands { found: self.inputs.len(), expected: N })
    }
}

/// What an operator's range is found from.
#[derive(Debug)]
pub(crate) struct Ranging<'a> {
    pub(crate) site: Site<'a>,
    pub(crate) ranges: &'a [Interval],
    pub(crate) params: &'a Params,
}

impl Ranging<'_> {
    /// The range of an operand; typing has found that it is there.
    pub(crate) fn operand(&self, operand: usize) -> Interval {
        self.ranges.get(operand).copied().unwrap_or(Interval::new(0, 0))
    }

    /// The hull of a parameter's values.
    pub(crate) fn param(&self, id: ParamId) -> Interval {
        Interval::of(self.params.get(id).map(Data::widened).unwrap_or_default().iter().copied())
    }
}

/// Where a node stands: the types around it, and the number of rows of the run.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The operands' types.
    pub inputs: &'a [&'a ValueType],
    /// The table of parameters.
    pub params: &'a [ParamSpec],
    /// The output's type.
    pub output: &'a ValueType,
    /// Rows of the whole run.
    pub rows: usize,
}

impl Site<'_> {
    /// An operand's cells per row.
    pub(crate) fn width(&self, operand: usize) -> usize {
        self.inputs.get(operand).map_or(0, |input| input.width(self.rows))
    }

    /// The length of an operand's last axis.
    pub(crate) fn last(&self, operand: usize) -> usize {
        self.inputs.get(operand).map_or(1, |input| input.last(self.rows))
    }

    /// The axes of an operand's rows.
    pub(crate) fn dims(&self, operand: usize) -> &[usize] {
        self.inputs.get(operand).map_or(&[], |input| &input.dims)
    }

    /// The length of an axis of a parameter.
    pub(crate) fn param_dim(&self, id: ParamId, axis: usize) -> usize {
        let spec = self.params.get(num::size(id.0));
        spec.and_then(|spec| spec.dims.get(axis)).copied().unwrap_or(0)
    }
}

/// An operand's cells: those of the rows from `first` on.
#[derive(Debug, Clone, Copy)]
pub struct Operand<'a> {
    /// The cells.
    pub data: &'a Data,
    /// The row that they begin with.
    pub first: usize,
}

/// One node to compute.
#[derive(Debug)]
pub struct Call<'a> {
    /// Its operator.
    pub op: &'a Op,
    /// Where it stands.
    pub site: Site<'a>,
    /// Which rows to compute.
    pub frame: Frame,
    /// Its operands.
    pub inputs: &'a [Operand<'a>],
    /// The model's parameters.
    pub params: &'a Params,
    /// How tokens are drawn.
    pub sampling: Sampling,
}

impl<'a> Call<'a> {
    /// An operand's cells.
    ///
    /// # Errors
    /// [`ModelError::Cell`] if it is not there, which typing excludes.
    pub fn data(&self, operand: usize) -> Result<&'a Data, ModelError> {
        let input = self.inputs.get(operand).map(|input| input.data);
        input.ok_or(ModelError::Cell { what: "an operand", index: operand })
    }

    /// Cells to compute.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.site.output.cells(self.frame.len(), self.site.rows)
    }

    /// The index, over all rows of the run, of the first cell to compute.
    pub(crate) fn first_cell(&self) -> usize {
        match self.site.output.rows {
            Rows::Many => self.frame.first.saturating_mul(self.site.output.width(self.site.rows)),
            Rows::One => 0,
        }
    }
}

/// Reads whole tensors.
struct CallCells<'a>(&'a Call<'a>);

impl Cells for CallCells<'_> {
    fn input(&mut self, operand: usize, index: usize) -> Result<i32, ModelError> {
        let missing = ModelError::Cell { what: "an operand", index };
        let Some(input) = self.0.inputs.get(operand) else { return Err(missing) };
        let skipped = input.first.saturating_mul(self.0.site.width(operand));
        index.checked_sub(skipped).and_then(|index| input.data.get(index)).ok_or(missing)
    }

    fn param(&mut self, param: ParamId, index: usize) -> Result<i32, ModelError> {
        let value = self.0.params.get(param).and_then(|data| data.get(index));
        value.ok_or(ModelError::Cell { what: "a parameter", index })
    }

    fn sampling(&self) -> Sampling {
        self.0.sampling
    }
}

/// An operator.
pub(crate) trait Operator: Debug {
    /// The output's type; an error if the operands or parameters do not fit.
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem>;

    /// What the output can be; an error if an intermediate could overflow.
    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem>;

    /// Cell `index` of the output, counted over all rows: the operator's meaning.
    fn cell(&self, site: &Site<'_>, index: usize, cells: &mut dyn Cells)
    -> Result<i32, ModelError>;

    /// All cells of the rows asked for.
    fn run(&self, call: &Call<'_>, kernels: &dyn Kernels) -> Result<Data, ModelError> {
        let _ = kernels;
        by_cells(self, call)
    }

    /// Multiply-accumulates, or steps of like cost, for all rows.
    fn work(&self, site: &Site<'_>) -> u64 {
        num::wide(site.output.cells(site.rows, site.rows))
    }

    /// How rows of the output depend on rows of the operands.
    fn reach(&self) -> Reach {
        Reach::Row
    }

    /// The operand of which all rows up to the current one are needed.
    fn context_operand(&self) -> Option<usize> {
        None
    }

    /// Writes the attributes.
    fn encode(&self, out: &mut Writer);
}

/// How rows of an output depend on rows of the operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Each row on the same row only.
    Row,
    /// Each row on itself and those before.
    Causal,
    /// Any row on any other.
    All,
}

/// Computes each cell by its definition.
pub(crate) fn by_cells<O: Operator + ?Sized>(op: &O, call: &Call<'_>) -> Result<Data, ModelError> {
    let first = call.first_cell();
    let mut cells = CallCells(call);
    let values = (first..first.saturating_add(call.cells()))
        .map(|index| op.cell(&call.site, index, &mut cells))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Data::collect(call.site.output.dtype, values))
}

/// Reads a whole row along the last axis of an operand.
pub(crate) fn read_row(
    cells: &mut dyn Cells,
    operand: usize,
    start: usize,
    length: usize,
) -> Result<Vec<i32>, ModelError> {
    (start..start.saturating_add(length)).map(|index| cells.input(operand, index)).collect()
}

macro_rules! operators {
    ($($code:literal $name:ident $text:literal;)*) => {
        /// An operator and its attributes.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Op {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name),)*
        }

        impl Op {
            pub(crate) fn operator(&self) -> &dyn Operator {
                match self { $(Op::$name(op) => op,)* }
            }

            /// Its name in messages.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Op::$name(_) => $text,)* }
            }

            fn code(&self) -> u8 {
                match self { $(Op::$name(_) => $code,)* }
            }

            pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
                match reader.u8()? {
                    $($code => $name::decode(reader).map(Op::$name),)*
                    found => Err(ModelError::Kind { what: "an operator", found }),
                }
            }
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Op { Op::$name(op) }
        })*
    };
}

operators! {
    0 Linear "linear";
    1 MatMul "matmul";
    2 Scores "attention scores";
    3 Mix "attention mix";
    4 Softmax "softmax";
    5 Conv2d "conv2d";
    6 MaxPool "max pool";
    7 AvgPool "average pool";
    8 Requantise "requantise";
    9 Add "add";
    10 Mul "mul";
    11 LayerNorm "layer norm";
    12 RmsNorm "rms norm";
    13 L2Norm "l2 norm";
    14 Lookup "lookup";
    15 Rope "rope";
    16 Embed "embed";
    17 Position "position";
    18 Slice "slice";
    19 Concat "concat";
    20 Reshape "reshape";
    21 Transpose "transpose";
    22 MeanRows "mean of rows";
    23 TakeRow "take row";
    24 Argmax "argmax";
    25 Sample "sample";
}

impl Op {
    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u8(self.code());
        self.operator().encode(out);
    }

    /// How rows of the output depend on rows of the operands.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.operator().reach()
    }

    /// Multiply-accumulates, or steps of like cost, for all rows of a run.
    #[must_use]
    pub fn work(&self, site: &Site<'_>) -> u64 {
        self.operator().work(site)
    }
}
