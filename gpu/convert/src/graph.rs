//! Hold a float model as a graph of the operators that have an integer counterpart.

use neura_int8::ops::conv::Window;

use crate::{ConvertError, Function, error};

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
    /// A row of a table for each token.
    Embed(Matrix),
    /// A row of a table for each row.
    Position(Matrix),
    /// Weights, outputs × inputs, and a bias, along the only axis.
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
    /// Attention between rows, of queries, keys, values.
    Attention(neura_int8::ops::attention::Heads),
    /// The mean of all rows.
    MeanRows,
    /// The first row.
    FirstRow,
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
            Op::Attention(_) => "Attention",
            Op::MeanRows => "MeanRows",
            Op::FirstRow => "FirstRow",
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
}

impl Graph {
    /// A graph of only an input.
    #[must_use]
    pub fn new(max_rows: usize, name: &str, op: Op, dims: Vec<usize>) -> (Self, Value) {
        let input = Node { name: name.into(), op, inputs: vec![], dims };
        (Graph { max_rows, nodes: vec![input], outputs: vec![] }, Value(0))
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
        let vector = |operand: usize, width: usize| match &dims(operand)?[..] {
            [found] if *found == width => Ok(()),
            found => Err(format!("operand {operand} has rows of {found:?}, [{width}] is needed")),
        };
        match op {
            Op::Tokens(_) | Op::Features => Err("a model has one input".into()),
            Op::Embed(table) if dims(0)?.is_empty() => Ok(vec![table.width]),
            Op::Embed(_) => Err("only a list of tokens is looked up".into()),
            Op::Position(table) => Ok(vec![table.width]),
            Op::Linear(weights, bias) => {
                vector(0, weights.width)?;
                match bias.len() == weights.height() {
                    true => Ok(vec![bias.len()]),
                    false => Err(format!("{} outputs, a bias of {}", weights.height(), bias.len())),
                }
            }
            Op::Conv(weights, bias, window, groups) => {
                let &[channels, height, width] = &dims(0)?[..] else {
                    return Err("only images [channels, height, width] are convolved".into());
                };
                let depth = channels / groups.max(&1) * window.size[0] * window.size[1];
                let fits = *groups > 0 && channels % groups == 0 && bias.len() % groups == 0;
                if !fits || weights.width != depth || weights.height() != bias.len() {
                    return Err(format!("weights do not fit {channels} channels, {groups} groups"));
                }
                let [height, width] = over(window, height, width)?;
                Ok(vec![bias.len(), height, width])
            }
            Op::MaxPool(window) | Op::AvgPool(window) => match &dims(0)?[..] {
                &[channels, height, width] => {
                    let [height, width] = over(window, height, width)?;
                    Ok(vec![channels, height, width])
                }
                found => Err(format!("an image is needed, found are rows of {found:?}")),
            },
            Op::Add | Op::Mul => match (dims(0)?, dims(1)?) {
                (a, b) if a == b => Ok(a),
                (a, b) => Err(format!("rows of {a:?} and of {b:?} do not fit")),
            },
            Op::LayerNorm(gain, ..) | Op::RmsNorm(gain, _) => {
                vector(0, gain.len()).map(|()| vec![gain.len()])
            }
            Op::Attention(heads) => {
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
            Op::Apply(_) | Op::UnitLength | Op::MeanRows | Op::FirstRow | Op::Softmax => dims(0),
            Op::Argmax | Op::Sample => Ok(vec![]),
            Op::Reshape => Err("axes are missing".into()),
        }
    }
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
