//! Read ONNX models: perceptrons, convolutional networks, transformers.
//!
//! Constants are computed as far as they go, so the arithmetic of shapes and masks is gone before
//! anything is converted. Values are views of rows of cells; what exporters write as several nodes
//! (norms, activations, attention) is recognised as it is read.

mod arithmetic;
mod constant;
mod external;
mod fold;
mod fold_layout;
mod image;
mod known;
mod layout;
mod logic;
mod nodes;
mod norm;
mod product;
mod proto;
mod quantised;
mod reader;
mod recurrent;
mod resample;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use tract_onnx::{
    pb::{
        GraphProto, ModelProto, NodeProto, ValueInfoProto, tensor_proto::DataType,
        tensor_shape_proto::dimension, type_proto,
    },
    prelude::Framework,
};

use crate::{ConvertError, Graph, Op, Value, error};
use constant::Constant;
use external::Folder;
use known::{Known, Lazy};
use reader::{Reader, mentioned};
use view::{Atom, View, cells};

const WHAT: &str = "the ONNX file";
/// Most cells of the input's row or of a constant that is made wider: a 1,024 × 1,024 image.
const MAX_CELLS: usize = crate::graph::MAX_ROW_CELLS;
/// Most nodes of a file: those of an integer model, sixteen times for shapes and masks.
const MAX_NODES: usize = 16 * neura_int8::MAX_NODES;
/// Most tokens of texts that are rows: each is looked up by nodes of its own.
const MAX_TOKENS: usize = 256;
/// Most axes of an input.
const MAX_AXES: usize = 6;
/// Lengths of texts that shapes are computed for, greatest first: primes, so that no other length
/// of a model is one of them.
const LENGTHS: [usize; 9] = [2039, 1021, 509, 251, 127, 61, 31, 13, 7];
/// Images of the batch that shapes are computed for if the file leaves it open: primes too.
const BATCHES: [usize; 4] = [23, 29, 37, 41];

/// How an ONNX file is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct OnnxOptions<'a> {
    /// Most rows of a run: images of a batch, tokens of a text.
    pub max_rows: usize,
    /// The lengths of axes, beside the rows', that the file leaves open; the last for all others.
    pub lengths: &'a [usize],
    /// The outputs that are wanted, by name; all if there are none.
    pub outputs: &'a [String],
    /// Where constants outside the file lie; they are refused if it is not given.
    pub folder: Option<&'a Path>,
}

/// Reads an ONNX model of one input: numbers, whose rows are the batch, or tokens, whose rows are
/// those of one text. What else texts have (masks, types, positions) is that of a text alone and
/// without padding, which [`Graph::assumed`] says.
///
/// # Errors
/// [`ConvertError::Node`] naming the first node that cannot be converted, and a way round it.
pub fn read_onnx(bytes: &[u8], options: &OnnxOptions<'_>) -> Result<Graph, ConvertError> {
    let model = tract_onnx::onnx().proto_model_for_read(&mut &bytes[..]);
    let model = model.map_err(|cause| error::format(WHAT, format!("{cause:#}")))?;
    let proto = model.graph.as_ref().ok_or_else(|| error::format(WHAT, "it holds no graph"))?;
    if proto.node.len() > MAX_NODES {
        let count = proto.node.len();
        return Err(error::format(
            WHAT,
            format!("it has {count} nodes, at most {MAX_NODES} are read"),
        ));
    }
    let input = Input::find(proto, options)?;
    let mut refused = None;
    // Tables of positions may be shorter than the texts that were asked for.
    for rows in input.candidates(options.max_rows) {
        match read_with(&model, proto, &input, (rows, options)) {
            Ok(graph) => return Ok(graph),
            Err(error) => refused = Some(error),
        }
    }
    // What tokens cannot be the rows of may take a whole text as one row.
    if let Some(input) = input.of_whole_texts(options) {
        for rows in input.candidates(options.max_rows) {
            match read_with(&model, proto, &input, (rows, options)) {
                Ok(graph) => return Ok(graph),
                Err(error) => refused = Some(error),
            }
        }
    }
    Err(refused.unwrap_or_else(|| error::format(WHAT, "runs of no rows were asked for")))
}

/// The input that is not a constant, and what stands for the others.
#[derive(Debug, Clone)]
struct Input<'a> {
    name: &'a str,
    tokens: bool,
    /// Whether rows are tokens, and not whole texts or anything else.
    by_token: bool,
    /// Lengths of all axes but the rows', which has none here.
    dims: Vec<Option<usize>>,
    /// The length of the rows' axis, if the file fixes it.
    fixed: Option<usize>,
    /// Inputs that go with tokens, and the number that each holds; none for places.
    others: Vec<(&'a str, Option<i64>)>,
}

impl<'a> Input<'a> {
    fn find(proto: &'a GraphProto, options: &OnnxOptions<'_>) -> Result<Self, ConvertError> {
        let stored: BTreeSet<&str> = proto.initializer.iter().map(|t| &t.name[..]).collect();
        let needed: Vec<&ValueInfoProto> =
            proto.input.iter().filter(|input| !stored.contains(&input.name[..])).collect();
        let role = |input: &ValueInfoProto| {
            let name = input.name.to_lowercase();
            let known =
                [("mask", Some(1)), ("type", Some(0)), ("segment", Some(0)), ("position", None)];
            known.into_iter().find(|(part, _)| name.contains(part)).map(|(_, number)| number)
        };
        let main: Vec<&ValueInfoProto> = match &needed[..] {
            [one] => vec![*one],
            _ => needed.iter().filter(|input| role(input).is_none()).copied().collect(),
        };
        let &[input] = &main[..] else {
            let names: Vec<&str> = needed.iter().map(|input| &input.name[..]).collect();
            let reason = format!(
                "it has the inputs {}; one is taken, and beside tokens their mask, types and positions",
                names.join(", ")
            );
            return Err(error::format(WHAT, reason));
        };
        let (kind, axes) = shape(input)?;
        let tokens = matches!(kind, DataType::Int64 | DataType::Int32) && axes.len() <= 2;
        let others = needed
            .iter()
            .filter(|other| other.name != input.name)
            .map(|other| (&other.name[..], role(other).flatten()));
        let mut found = Input {
            name: &input.name,
            tokens,
            by_token: tokens,
            dims: vec![],
            fixed: None,
            others: others.collect(),
        };
        if !tokens && !found.others.is_empty() {
            let reason =
                format!("beside the input '{}' others are taken only for tokens", input.name);
            return Err(error::format(WHAT, reason));
        }
        found.place(axes, options)?;
        Ok(found)
    }

    /// Finds the axis of the rows, and the lengths of the others.
    fn place(
        &mut self,
        axes: Vec<Option<usize>>,
        options: &OnnxOptions<'_>,
    ) -> Result<(), ConvertError> {
        let wrong = |reason: String| error::format(WHAT, format!("input '{}' {reason}", self.name));
        if axes.is_empty() || axes.len() > MAX_AXES {
            return Err(wrong(format!("has {} axes: export with a batch", axes.len())));
        }
        let rows = if self.tokens { axes.len() - 1 } else { 0 };
        self.fixed = axes[rows];
        self.dims = axes;
        self.dims[rows] = None;
        let mut chosen = options.lengths.iter().copied();
        let mut next = || chosen.next().or(options.lengths.last().copied());
        for (axis, dim) in self.dims.iter_mut().enumerate().filter(|(axis, _)| *axis != rows) {
            let length = match (self.tokens, *dim) {
                (true, None | Some(1)) => 1,
                (true, Some(length)) => {
                    return Err(wrong(format!("takes {length} texts at once: export with one")));
                }
                (false, Some(length)) => length,
                (false, None) => next().ok_or_else(|| {
                    wrong(format!(
                        "leaves the length of axis {axis} open: choose one with --length"
                    ))
                })?,
            };
            *dim = Some(length);
        }
        let cells = self.dims.iter().flatten();
        let cells = cells.copied().try_fold(1_usize, |all, dim| all.checked_mul(dim));
        match cells {
            Some(1..=MAX_CELLS) => Ok(()),
            _ => {
                let sides: Vec<String> = self.dims.iter().flatten().map(usize::to_string).collect();
                let sides = sides.join(" x ");
                Err(wrong(format!("has rows of {sides} cells, at most {MAX_CELLS} are taken")))
            }
        }
    }

    /// The same with texts of one length as rows, if the file or the user says which.
    fn of_whole_texts(&self, options: &OnnxOptions<'_>) -> Option<Self> {
        let length = self.fixed.or(options.lengths.first().copied())?;
        let fits = self.by_token && self.dims.len() == 2 && (2..=MAX_TOKENS).contains(&length);
        let dims = vec![None, Some(length)];
        fits.then(|| Input { by_token: false, dims, fixed: None, ..self.clone() })
    }

    /// The rows to compute shapes for: the first that the model can be read with is taken.
    fn candidates(&self, max_rows: usize) -> Vec<usize> {
        if let Some(fixed) = self.fixed {
            return vec![fixed];
        }
        if !self.by_token {
            let clash =
                |rows: &usize| self.dims.iter().flatten().any(|dim| dim.is_multiple_of(*rows));
            return BATCHES.into_iter().find(|rows| !clash(rows)).into_iter().chain([1]).collect();
        }
        LENGTHS.into_iter().filter(|length| *length <= max_rows).take(6).collect()
    }

    /// The view of the input, in a run of some rows.
    fn view(&self) -> View {
        let dims: Vec<usize> = self.dims.iter().map(|dim| dim.unwrap_or(1)).collect();
        let mut axes = cells(&dims);
        if let Some(rows) = self.dims.iter().position(Option::is_none) {
            axes[rows] = vec![Atom::Rows];
        }
        View { value: Value(0), axes }
    }
}

/// The type and the axes of an input; an axis that is left open has no length.
fn shape(input: &ValueInfoProto) -> Result<(DataType, Vec<Option<usize>>), ConvertError> {
    let wrong = |reason: &str| error::format(WHAT, format!("input '{}' {reason}", input.name));
    let Some(type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|kind| kind.value.as_ref())
    else {
        return Err(wrong("is no tensor"));
    };
    let kind = DataType::try_from(tensor.elem_type).unwrap_or(DataType::Undefined);
    let dims = tensor.shape.as_ref().ok_or_else(|| wrong("has no shape"))?;
    let length = |dim: &tract_onnx::pb::tensor_shape_proto::Dimension| match dim.value {
        Some(dimension::Value::DimValue(length)) if length > 0 => match usize::try_from(length) {
            Ok(length) if length <= MAX_CELLS => Ok(Some(length)),
            _ => Err(wrong("has an axis that is too long")),
        },
        _ => Ok(None),
    };
    Ok((kind, dims.dim.iter().map(length).collect::<Result<_, _>>()?))
}

/// A node's name, or its first output's if it has none.
fn name(node: &NodeProto) -> &str {
    match (&node.name[..], node.output.first()) {
        ("", Some(output)) => output,
        (name, _) => name,
    }
}

/// Reads a graph for runs of some rows.
fn read_with(
    model: &ModelProto,
    proto: &GraphProto,
    input: &Input<'_>,
    (rows, options): (usize, &OnnxOptions<'_>),
) -> Result<Graph, ConvertError> {
    let opset = model.opset_import.iter().filter(|set| matches!(&set.domain[..], "" | "ai.onnx"));
    let opset = opset.map(|set| set.version).max().unwrap_or(17);
    let outputs = outputs(proto, options.outputs)?;
    let (nodes, left) = needed(proto, &outputs);
    let (op, dims, max_rows) = match (input.tokens, input.by_token) {
        (_, true) => (Op::Tokens(neura_int8::MAX_DIM), vec![], options.max_rows.min(rows)),
        (true, false) => {
            let dims = input.dims.iter().flatten().copied().collect();
            (Op::Tokens(neura_int8::MAX_DIM), dims, options.max_rows)
        }
        (false, false) => {
            let dims: Vec<usize> = input.dims.iter().flatten().copied().collect();
            (Op::Features, arithmetic::rank_three(&dims), options.max_rows)
        }
    };
    let (graph, _) = Graph::new(max_rows.max(1), input.name, op, dims);
    let folder = Folder::new(options.folder);
    let mut reader = Reader::new((graph, rows), opset, folder, left);
    for tensor in &proto.initializer {
        let wrong = |reason| error::format(WHAT, format!("constant '{}': {reason}", tensor.name));
        let constant = proto::constant(tensor, &reader.folder).map_err(wrong)?;
        if constant.has_nan() {
            return Err(ConvertError::NotFinite { name: tensor.name.clone() });
        }
        reader.bind(&tensor.name, Known::Constant(constant)).map_err(wrong)?;
        if matches!(DataType::try_from(tensor.data_type), Ok(DataType::Uint8 | DataType::Uint16)) {
            reader.unsigned.insert(tensor.name.clone());
        }
    }
    let text = |reason: String| error::format(WHAT, reason);
    reader.bind(input.name, Known::Lazy(Lazy::of(input.view()))).map_err(text)?;
    for (name, number) in &input.others {
        let dims = match input.dims[..] {
            [None, Some(length)] => vec![rows, length],
            _ => vec![1, rows],
        };
        let place = |at: usize| (at % dims[1]) as i64;
        let cells = (0..dims[0] * dims[1]).map(|at| number.unwrap_or(place(at))).collect();
        let constant = Constant::integers(dims.clone(), cells);
        reader.bind(name, Known::Constant(constant)).map_err(text)?;
        reader.assumed.insert(match number {
            Some(number) => format!(
                "'{name}' is {number} for every token: texts come one by one, without padding"
            ),
            None => format!("'{name}' counts the tokens from 0"),
        });
    }
    for node in nodes {
        reader.node(node)?;
    }
    for name in outputs {
        output(&mut reader, name)?;
    }
    reader.graph.assumed = reader.assumed.into_iter().collect();
    Ok(reader.graph)
}

/// The names of the outputs that are wanted.
fn outputs<'a>(proto: &'a GraphProto, wanted: &[String]) -> Result<Vec<&'a str>, ConvertError> {
    let names: Vec<&str> = proto.output.iter().map(|output| &output.name[..]).collect();
    if let Some(missing) = wanted.iter().find(|name| !names.contains(&&name[..])) {
        let reason = format!("it has no output '{missing}'; it has {}", names.join(", "));
        return Err(error::format(WHAT, reason));
    }
    let taken = |name: &&str| wanted.is_empty() || wanted.iter().any(|other| other == name);
    let taken: Vec<&str> = names.into_iter().filter(taken).collect();
    match taken.len() {
        1..=neura_int8::MAX_PORTS => Ok(taken),
        0 => Err(error::format(WHAT, "it has no output")),
        count => Err(error::format(WHAT, format!("it has {count} outputs: choose with --output"))),
    }
}

/// The nodes that outputs need, and how often each name is used by these.
fn needed<'a>(
    proto: &'a GraphProto,
    outputs: &[&str],
) -> (Vec<&'a NodeProto>, BTreeMap<String, usize>) {
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    outputs.iter().for_each(|name| *uses.entry((*name).to_owned()).or_default() += 1);
    let mut nodes = Vec::new();
    // Nodes stand after what they use, so backwards every user is seen before its operands.
    for node in proto.node.iter().rev() {
        if node.output.iter().any(|output| uses.contains_key(output)) {
            let names = mentioned(node).into_iter().filter(|name| !name.is_empty());
            names.for_each(|name| *uses.entry(name.to_owned()).or_default() += 1);
            nodes.push(node);
        }
    }
    nodes.reverse();
    (nodes, uses)
}

/// Names an output, its cells in the order of its axes.
fn output(reader: &mut Reader<'_>, name: &str) -> Result<(), ConvertError> {
    let wrong = |reason: String| error::format(WHAT, format!("output '{name}' {reason}"));
    let lazy = match reader.named(name) {
        Some(Known::Lazy(lazy)) => lazy.clone(),
        Some(Known::Constant(_)) => {
            return Err(wrong("does not depend on the input: leave it out (--output)".into()));
        }
        Some(Known::Scores(_)) => {
            return Err(wrong(
                "is how tokens attend to each other: leave it out (--output)".into(),
            ));
        }
        None => return Err(wrong("is made by no node".into())),
    };
    let made = |reason: String| wrong(format!("cannot be made: {reason}"));
    let alone = reader.is_alone(&lazy, name);
    let view = reader.settle(name, &lazy, alone).map_err(made)?;
    let dims: Vec<usize> = view.dims(1).into_iter().filter(|dim| *dim > 1).collect();
    let class = matches!(reader.graph.node(view.value).op, Op::Argmax) && dims.is_empty();
    let dims = if class { vec![] } else { arithmetic::rank_three(&dims) };
    let value = reader.arrange(name, &view, &dims).map_err(made)?;
    reader.graph.output(name, value);
    Ok(())
}
