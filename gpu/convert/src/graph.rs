//! Hold a float model as a graph of the operators that have an integer counterpart.

use neura_int8::ops::conv::Window;

use crate::{ConvertError, Function, error};

/// Most cells of a row of one value: 16 MiB of floats.
pub(crate) const MAX_ROW_CELLS: usize = 1 << 22;

/// A matrix, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Length of a row.
    pub width: usize,
    /// The values.
    pub values: Vec<f32>,
}

impl Matrix {
    /// A matrix of rows of `width`.
    #[must_use]
    pub fn new(width: usize, values: Vec<f32>) -> Self {
        Matrix { width, values }
    }

    /// The number of rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }
}

/// A value of the graph: the index of the node that makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value(pub usize);

/// What a node does. Rows are tokens or images; axes are those of one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// The model's input: tokens below a number.
    Tokens(usize),
    /// The model's input: numbers.
    Features,
    /// A row of a table for each token, of which there may be several in a row.
    Embed(Matrix),
    /// A row of a table for each row.
    Position(Matrix),
    /// Weights, outputs × inputs, and a bias, along the last axis.
    Linear(Matrix, Vec<f32>),
    /// A convolution: weights, one row for each output channel, a bias, a window, groups.
    Conv(Matrix, Vec<f32>, Window, usize),
    /// The greatest value under a window.
    MaxPool(Window),
    /// The mean under a window, cells outside the image not counted.
    AvgPool(Window),
    /// The sum of two values.
    Add,
    /// The product of two values, cell by cell.
    Mul,
    /// A function of every cell.
    Apply(Function),
    /// Layer norm: gain, bias, epsilon.
    LayerNorm(Vec<f32>, Vec<f32>, f32),
    /// RMS norm: gain, epsilon.
    RmsNorm(Vec<f32>, f32),
    /// Rows brought to unit length.
    UnitLength,
    /// Rotary positions: heads, cosines and sines, one row for each position.
    Rope(usize, Matrix, Matrix),
    /// Attention between rows, of queries, keys, values; what agreements are multiplied by.
    Attention(neura_int8::ops::attention::Heads, f32),
    /// Products within each row: `[B, M, K]` and `[B, N, K]` make `[B, M, N]`.
    Product,
    /// Every cell times a number above zero: other units for the same integers.
    Scale(f32),
    /// These cells in every row, whatever the operand.
    Constant(Vec<f32>),
    /// Part of an axis: the axis, where it starts, its length.
    Slice(usize, usize, usize),
    /// Values joined along an axis.
    Concat(usize),
    /// The axes in another order.
    Transpose(Vec<usize>),
    /// The mean of all rows.
    MeanRows,
    /// One row: the last if true, the first otherwise.
    TakeRow(bool),
    /// Other axes for the same cells.
    Reshape,
    /// Probabilities of a row.
    Softmax,
    /// The greatest cell of a row.
    Argmax,
    /// A token drawn by the logits of a row; in floats, the most probable one.
    Sample,
}

impl Op {
    /// The operator's name, for messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Op::Tokens(_) => "Tokens",
            Op::Features => "Features",
            Op::Embed(_) => "Embed",
            Op::Position(_) => "Position",
            Op::Linear(..) => "Linear",
            Op::Conv(..) => "Conv",
            Op::MaxPool(_) => "MaxPool",
            Op::AvgPool(_) => "AvgPool",
            Op::Add => "Add",
            Op::Mul => "Mul",
            Op::Apply(_) => "Apply",
            Op::LayerNorm(..) => "LayerNorm",
            Op::RmsNorm(..) => "RmsNorm",
            Op::UnitLength => "UnitLength",
            Op::Rope(..) => "Rope",
            Op::Attention(..) => "Attention",
            Op::Product => "Product",
            Op::Scale(_) => "Scale",
            Op::Constant(_) => "Constant",
            Op::Slice(..) => "Slice",
            Op::Concat(_) => "Concat",
            Op::Transpose(_) => "Transpose",
            Op::MeanRows => "MeanRows",
            Op::TakeRow(_) => "TakeRow",
            Op::Reshape => "Reshape",
            Op::Softmax => "Softmax",
            Op::Argmax => "Argmax",
            Op::Sample => "Sample",
        }
    }
}

/// A node: an operator, what it takes, and the axes of a row of what it makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// What it takes.
    pub inputs: Vec<Value>,
    /// The axes of a row of what it makes; none for one cell.
    pub dims: Vec<usize>,
}

impl Node {
    /// Cells of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.dims.iter().product()
    }
}

/// A float model: nodes, each after what it takes; the first is the input.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Greatest number of rows.
    pub max_rows: usize,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Names and values of the outputs.
    pub outputs: Vec<(String, Value)>,
    /// What was taken for granted when the model was read, in words for its user.
    pub assumed: Vec<String>,
    /// Values that are the same of other steps of a recurrent layer: they are held in one scale, so
    /// that steps share weights and tables.
    pub alike: Vec<Vec<Value>>,
}

/// Most nodes of a graph: an integer model has no more, and most of these are several of its.
pub(crate) const MAX_GRAPH: usize = neura_int8::MAX_NODES;

impl Graph {
    /// A graph of only an input.
    #[must_use]
    pub fn new(max_rows: usize, name: &str, op: Op, dims: Vec<usize>) -> (Self, Value) {
        let input = Node { name: name.into(), op, inputs: vec![], dims };
        let (outputs, assumed, alike) = (vec![], vec![], vec![]);
        (Graph { max_rows, nodes: vec![input], outputs, assumed, alike }, Value(0))
    }

    /// The node that makes a value.
    ///
    /// # Panics
    /// Never for values that this graph gave.
    #[must_use]
    pub fn node(&self, value: Value) -> &Node {
        &self.nodes[value.0]
    }

    /// Adds a node.
    ///
    /// # Errors
    /// [`ConvertError::Node`] if shapes do not fit.
    pub fn add(&mut self, name: &str, op: Op, inputs: &[Value]) -> Result<Value, ConvertError> {
        let dims = self.made(&op, inputs).map_err(|reason| {
            error::node(name, op.name(), reason, "Check the shapes of the model that was exported")
        })?;
        let cells = dims.iter().try_fold(1usize, |cells, dim| cells.checked_mul(*dim));
        if cells.is_none_or(|cells| cells > MAX_ROW_CELLS) {
            let reason = format!("its rows of {dims:?} have more than {MAX_ROW_CELLS} cells");
            let advice = "Export a model for smaller inputs, or leave this part out of it";
            return Err(error::node(name, op.name(), reason, advice));
        }
        self.push(name, op, inputs, dims)
    }

    /// Adds a reshaping to other axes.
    ///
    /// # Errors
    /// [`ConvertError::Node`] if the axes have another number of cells.
    pub fn reshape(
        &mut self,
        name: &str,
        input: Value,
        dims: Vec<usize>,
    ) -> Result<Value, ConvertError> {
        let (from, to) = (self.node(input).width(), dims.iter().product::<usize>());
        if from != to {
            let reason = format!("a row of {from} cells becomes one of {to}");
            let advice =
                "The first axis must stay the batch's: export with a batch of its own axis";
            return Err(error::node(name, "Reshape", reason, advice));
        }
        self.push(name, Op::Reshape, &[input], dims)
    }

    /// Names an output.
    pub fn output(&mut self, name: &str, value: Value) {
        self.outputs.push((name.into(), value));
    }

    fn push(
        &mut self,
        name: &str,
        op: Op,
        inputs: &[Value],
        dims: Vec<usize>,
    ) -> Result<Value, ConvertError> {
        if self.nodes.len() >= MAX_GRAPH {
            let reason = format!("the model has more than {MAX_GRAPH} operators");
            return Err(error::node(
                name,
                op.name(),
                reason,
                "Convert a smaller one, or part of it",
            ));
        }
        self.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec(), dims });
        Ok(Value(self.nodes.len() - 1))
    }

    /// The nodes that take a value.
    pub fn users(&self, value: Value) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.inputs.contains(&value))
    }

    /// The axes of what an operator makes, or why it cannot.
    fn made(&self, op: &Op, inputs: &[Value]) -> Result<Vec<usize>, String> {
        let dims = |operand: usize| match inputs.get(operand) {
            Some(value) if value.0 < self.nodes.len() => Ok(self.node(*value).dims.clone()),
            _ => Err(format!("operand {operand} is missing")),
        };
        // The same axes, the last of which has a length, but that one of another.
        let last = |operand: usize, from: usize, to: usize| {
            let mut found = dims(operand)?;
            match found.last_mut() {
                Some(last) if *last == from => {
                    *last = to;
                    Ok(found)
                }
                _ => Err(format!(
                    "operand {operand} has rows of {found:?}, a last axis of {from} is needed"
                )),
            }
        };
        match op {
            Op::Tokens(_) | Op::Features => Err("a model has one input".into()),
            Op::Embed(table) if dims(0)?.len() <= 1 => Ok([dims(0)?, vec![table.width]].concat()),
            Op::Embed(_) => Err("only a list of tokens is looked up".into()),
            Op::Position(table) => Ok(vec![table.width]),
            Op::Linear(weights, bias) => match bias.len() == weights.height() {
                true => last(0, weights.width, bias.len()),
                false => Err(format!("{} outputs, a bias of {}", weights.height(), bias.len())),
            },
            Op::Conv(..) | Op::MaxPool(_) | Op::AvgPool(_) => imaged(op, &dims(0)?),
            Op::Add | Op::Mul => match (dims(0)?, dims(1)?) {
                (a, b) if a == b => Ok(a),
                (a, b) => Err(format!("rows of {a:?} and of {b:?} do not fit")),
            },
            Op::LayerNorm(gain, ..) | Op::RmsNorm(gain, _) => last(0, gain.len(), gain.len()),
            Op::Attention(heads, _) => {
                let (q, k, v) = (dims(0)?, dims(1)?, dims(2)?);
                let fits = q.len() == 1 && k == v && heads.kv_heads > 0 && heads.heads > 0;
                let fits = fits && q[0] % heads.heads == 0;
                match fits && k == [q[0] / heads.heads * heads.kv_heads] {
                    true => Ok(q),
                    false => Err(format!("queries {q:?}, keys {k:?}, values {v:?} do not fit")),
                }
            }
            Op::Rope(heads, cos, _) => match &dims(0)?[..] {
                [width] if *heads > 0 && width % heads == 0 && cos.width * 2 <= width / heads => {
                    Ok(vec![*width])
                }
                found => Err(format!("rows of {found:?} have no {heads} heads to turn")),
            },
            Op::Apply(_)
            | Op::Scale(_)
            | Op::UnitLength
            | Op::MeanRows
            | Op::TakeRow(_)
            | Op::Softmax => dims(0),
            Op::Constant(cells) => Ok(vec![cells.len()]),
            Op::Product => product(&dims(0)?, &dims(1)?),
            Op::Slice(axis, start, length) => cut(dims(0)?, (*axis, *start, *length)),
            Op::Concat(axis) => {
                let parts = (0..inputs.len()).map(dims).collect::<Result<Vec<_>, _>>()?;
                joined(&parts, *axis)
            }
            Op::Transpose(order) => reordered(&dims(0)?, order),
            Op::Argmax | Op::Sample => {
                let mut found = dims(0)?;
                found.pop();
                Ok(found)
            }
            Op::Reshape => Err("axes are missing".into()),
        }
    }
}

/// Axes of what moving a window over an image makes.
fn imaged(op: &Op, dims: &[usize]) -> Result<Vec<usize>, String> {
    let &[channels, height, width] = dims else {
        return Err(format!(
            "an image [channels, height, width] is needed, found are rows of {dims:?}"
        ));
    };
    let (channels, window) = match op {
        Op::Conv(weights, bias, window, groups) => {
            let depth = channels / groups.max(&1) * window.size[0] * window.size[1];
            let fits = *groups > 0 && channels % groups == 0 && bias.len() % groups == 0;
            if !fits || weights.width != depth || weights.height() != bias.len() {
                return Err(format!("weights do not fit {channels} channels, {groups} groups"));
            }
            (bias.len(), window)
        }
        Op::MaxPool(window) | Op::AvgPool(window) => (channels, window),
        other => return Err(format!("{} moves no window", other.name())),
    };
    let [height, width] = over(window, height, width)?;
    Ok(vec![channels, height, width])
}

/// Axes of a part of an axis.
fn cut(
    mut dims: Vec<usize>,
    (axis, start, length): (usize, usize, usize),
) -> Result<Vec<usize>, String> {
    match dims.get_mut(axis) {
        Some(side) if length > 0 && start.saturating_add(length) <= *side => {
            *side = length;
            Ok(dims)
        }
        _ => Err(format!("rows of {dims:?} have no {length} of axis {axis} at {start}")),
    }
}

/// Axes in another order.
fn reordered(dims: &[usize], order: &[usize]) -> Result<Vec<usize>, String> {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    match sorted.iter().copied().eq(0..dims.len()) {
        true => Ok(order.iter().map(|axis| dims[*axis]).collect()),
        false => Err(format!("{order:?} is no order of the axes of {dims:?}")),
    }
}

/// Axes of the products within rows.
fn product(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    match (a, b) {
        (&[batch, m, k], &[batch2, n, k2]) if batch == batch2 && k == k2 => Ok(vec![batch, m, n]),
        _ => Err(format!("rows of {a:?} and of {b:?} have no products")),
    }
}

/// Axes of what joining along one makes.
fn joined(parts: &[Vec<usize>], axis: usize) -> Result<Vec<usize>, String> {
    let mut made = parts.first().cloned().unwrap_or_default();
    let misfit = || format!("rows of {parts:?} are not joined along axis {axis}");
    let mut length = 0;
    for part in parts {
        length += part.get(axis).ok_or_else(misfit)?;
        made[axis] = part[axis];
        if made != *part {
            return Err(misfit());
        }
    }
    *made.get_mut(axis).ok_or_else(misfit)? = length;
    Ok(made)
}

/// Height and width of what a window makes.
fn over(window: &Window, height: usize, width: usize) -> Result<[usize; 2], String> {
    let mut made = [0; 2];
    for (axis, length) in [height, width].into_iter().enumerate() {
        let (size, stride) = (window.size[axis], window.stride[axis]);
        let padded = length + window.before[axis] + window.after[axis];
        let room = padded.checked_sub(size).filter(|_| size > 0 && stride > 0);
        let room = room.ok_or_else(|| format!("a window of {size} does not fit {padded}"))?;
        made[axis] = room / stride + 1;
    }
    Ok(made)
}
