//! Read ONNX models: perceptrons and convolutional networks.

mod nodes;
mod proto;

use std::collections::BTreeMap;

use tract_onnx::{
    pb::{GraphProto, NodeProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto},
    prelude::Framework,
};

use crate::{ConvertError, Graph, Matrix, Op, Value, error};
use proto::Constant;

const WHAT: &str = "the ONNX file";
/// Most cells of the input's row or of a constant that is made wider: a 1,024 × 1,024 image.
const MAX_CELLS: usize = 1 << 22;
/// Most cells of the matrices, all together, that scalings of vectors are written as: 64 MiB.
const MAX_DIAGONALS: usize = 1 << 24;

/// A graph being read.
struct Reader {
    graph: Graph,
    values: BTreeMap<String, Value>,
    constants: BTreeMap<String, Constant>,
    /// How often each name is used.
    uses: BTreeMap<String, usize>,
    /// Cells that scalings of vectors may still take.
    diagonals: usize,
}

/// Reads an ONNX model of one input, whose first axis is the batch, for batches of up to `max_rows`.
///
/// # Errors
/// [`ConvertError::Node`] naming the first node that cannot be converted, and a way round it.
pub fn read_onnx(bytes: &[u8], max_rows: usize) -> Result<Graph, ConvertError> {
    let model = tract_onnx::onnx().proto_model_for_read(&mut &bytes[..]);
    let model = model.map_err(|cause| error::format(WHAT, format!("{cause:#}")))?;
    let proto = model.graph.ok_or_else(|| error::format(WHAT, "it holds no graph"))?;
    let mut constants = BTreeMap::new();
    for tensor in &proto.initializer {
        constants.insert(tensor.name.clone(), Constant::read(tensor)?);
    }
    let (graph, values) = input(&proto, &constants, max_rows)?;
    let mut reader =
        Reader { graph, values, constants, uses: uses(&proto), diagonals: MAX_DIAGONALS };
    for node in &proto.node {
        reader.node(node)?;
    }
    for output in &proto.output {
        let value = reader.values.get(&output.name).copied();
        let value = value.ok_or_else(|| {
            error::format(WHAT, format!("output '{}' is made by no node", output.name))
        })?;
        reader.graph.output(&output.name, value);
    }
    match reader.graph.outputs.is_empty() {
        true => Err(error::format(WHAT, "it has no output")),
        false => Ok(reader.graph),
    }
}

/// How often each value is used, by nodes or as an output.
fn uses(proto: &GraphProto) -> BTreeMap<String, usize> {
    let mut uses = BTreeMap::new();
    let names = proto.node.iter().flat_map(|node| &node.input);
    for name in names.chain(proto.output.iter().map(|output| &output.name)) {
        *uses.entry(name.clone()).or_default() += 1;
    }
    uses
}

/// The graph's only input that is not a constant.
fn input(
    proto: &GraphProto,
    constants: &BTreeMap<String, Constant>,
    max_rows: usize,
) -> Result<(Graph, BTreeMap<String, Value>), ConvertError> {
    let inputs: Vec<&ValueInfoProto> =
        proto.input.iter().filter(|input| !constants.contains_key(&input.name)).collect();
    let &[input] = &inputs[..] else {
        let count = inputs.len();
        return Err(error::format(WHAT, format!("it has {count} inputs, only one is taken")));
    };
    let wrong = |reason: &str| error::format(WHAT, format!("input '{}' {reason}", input.name));
    let Some(type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|kind| kind.value.as_ref())
    else {
        return Err(wrong("is no tensor"));
    };
    let shape = tensor.shape.as_ref().map(|shape| &shape.dim[..]).unwrap_or_default();
    let rest = shape.get(1..).ok_or_else(|| wrong("has no axis for the batch: export with one"))?;
    let length = |dim: &tract_onnx::pb::tensor_shape_proto::Dimension| match dim.value {
        Some(dimension::Value::DimValue(length)) if length > 0 => usize::try_from(length).ok(),
        _ => None,
    };
    let dims: Option<Vec<usize>> = rest.iter().map(length).collect();
    let dims = dims.ok_or_else(|| {
        wrong("has an axis beside the batch's that is not fixed: export with fixed sizes")
    })?;
    let cells = dims.iter().try_fold(1_usize, |cells, dim| cells.checked_mul(*dim));
    if dims.is_empty() || dims.len() > 3 || cells.is_none_or(|cells| cells > MAX_CELLS) {
        return Err(wrong(
            "has other axes than [batch, features] or [batch, channels, height, width]",
        ));
    }
    let (graph, value) = Graph::new(max_rows, &input.name, Op::Features, dims);
    Ok((graph, BTreeMap::from([(input.name.clone(), value)])))
}

/// A node's name, or its first output's if it has none.
fn name(node: &NodeProto) -> &str {
    match (&node.name[..], node.output.first()) {
        ("", Some(output)) => output,
        (name, _) => name,
    }
}

impl Reader {
    /// The node that made a value, if nothing else uses it: what follows may be folded into it.
    fn only_maker(&mut self, input: &str) -> Option<&mut crate::Node> {
        let once = self.uses.get(input).copied() == Some(1);
        let value = self.values.get(input).filter(|_| once)?;
        self.graph.nodes.get_mut(value.0)
    }

    /// `x * scale + shift` with a factor for each channel: folded into what made `x`, or as a
    /// node of its own.
    fn affine(
        &mut self,
        name: &str,
        input: &str,
        (scale, shift): (&[f32], &[f32]),
    ) -> Result<Value, String> {
        let x = *self.values.get(input).ok_or_else(|| format!("'{input}' is made by no node"))?;
        let folded = self.only_maker(input).is_some_and(|maker| {
            let (Op::Linear(weights, bias) | Op::Conv(weights, bias, ..)) = &mut maker.op else {
                return false;
            };
            let rows = weights.values.chunks_exact_mut(weights.width.max(1));
            for (at, (row, bias)) in rows.zip(bias).enumerate() {
                row.iter_mut().for_each(|w| *w *= scale[at]);
                *bias = *bias * scale[at] + shift[at];
            }
            true
        });
        if folded {
            return Ok(x);
        }
        let count = scale.len();
        let op = match self.graph.node(x).dims.len() {
            3 => {
                let window = neura_int8::ops::conv::Window::square(1, 1, 0);
                Op::Conv(Matrix::new(1, scale.to_vec()), shift.to_vec(), window, count)
            }
            1 if count * count <= self.diagonals => {
                self.diagonals -= count * count;
                let cell =
                    |at: usize| if at / count == at % count { scale[at % count] } else { 0.0 };
                let weights = (0..count * count).map(cell).collect();
                Op::Linear(Matrix::new(count, weights), shift.to_vec())
            }
            _ => return Err("a scaling by constants fits no channels here".into()),
        };
        self.graph.add(name, op, &[x]).map_err(|error| error.to_string())
    }
}
