//! Make an integer model of a float one.
//!
//! Every value is placed in the forms that its users ask for: bytes for products, shorts for
//! tables, wide sums for everything else. The operator makes the form directly where it can and
//! there is only one; otherwise it makes its base form, which is requantised to the others.

mod form;
mod place;
mod scales;
mod within;

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use neura_int8::{Builder, DType, Data, Model, ParamId, Tensor, ValueId};

use crate::{Calibration, Card, ConvertError, Converted, Graph, Op, Port, Value};
use form::{Form, demands};

/// How a model is quantised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Share of a value's cells that its scale covers; the rest is clamped. 1 covers all.
    pub share: f64,
    /// How much of the spread between channels of activations is moved into weights, 0 to 1.
    pub smoothing: f64,
    /// Whether tables of words are i16; i8 otherwise, with a scale for each column.
    pub fine_words: bool,
    /// Whether what weights are multiplied with has 15 bits: less is lost, for twice the products.
    pub fine: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { share: 1.0, smoothing: 0.85, fine_words: false, fine: false }
    }
}

/// A value placed in the integer graph: `real = integer * unit`, of one unit or one per channel.
#[derive(Debug, Clone)]
struct Placed {
    id: ValueId,
    units: Vec<f64>,
}

impl Placed {
    /// The only unit. Forms that have units per channel are never asked for theirs.
    fn unit(&self) -> f64 {
        self.units.first().copied().unwrap_or(1.0)
    }
}

struct Quantiser<'a> {
    graph: &'a Graph,
    calibration: &'a Calibration,
    options: Options,
    builder: Builder,
    demands: Vec<BTreeSet<Form>>,
    placed: BTreeMap<(Value, Form), Placed>,
    names: BTreeSet<String>,
    /// Parameters by a digest of what they hold: those that hold the same are one.
    held: BTreeMap<u64, Vec<ParamId>>,
    /// Tables that take shares apart, once they are needed.
    halves: Option<(ParamId, ParamId)>,
}

/// Quantises a graph with scales from its calibration.
///
/// # Errors
/// [`ConvertError::Model`] if a range cannot be proved, [`ConvertError::Node`] for what has no
/// integer counterpart.
pub fn quantise(
    graph: &Graph,
    calibration: &Calibration,
    options: Options,
) -> Result<Converted, ConvertError> {
    let mut quantiser = Quantiser {
        graph,
        calibration,
        options,
        builder: Builder::new(graph.max_rows),
        demands: demands(graph, options.fine),
        placed: BTreeMap::new(),
        names: BTreeSet::new(),
        held: BTreeMap::new(),
        halves: None,
    };
    let input = quantiser.input();
    for index in 0..graph.nodes.len() {
        quantiser.place(Value(index))?;
    }
    let mut outputs = Vec::new();
    for (name, value) in &graph.outputs {
        let placed = quantiser.get(*value, Form::of_output(&graph.node(*value).op))?;
        let name = printable(name);
        quantiser.builder.output(&name, placed.id);
        outputs.push(Port { name, unit: placed.unit() });
    }
    let model: Model = quantiser.builder.build()?;
    let id = model.id().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Converted { card: Card { model: id, inputs: vec![input], outputs }, model })
}

/// A name as the integer format takes it.
fn printable(name: &str) -> String {
    let kept = name.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' });
    // Room is left for what is added to it.
    let kept: String = kept.take(100).collect();
    if kept.is_empty() { "unnamed".into() } else { kept }
}

impl Quantiser<'_> {
    /// The model's input, as it is given.
    fn input(&mut self) -> Port {
        let node = &self.graph.nodes[0];
        let name = printable(&node.name);
        let (unit, dtype, limits) = match &node.op {
            Op::Tokens(vocabulary) => {
                let last = i32::try_from(vocabulary.saturating_sub(1)).unwrap_or(i32::MAX);
                (1.0, DType::I32, (0, last))
            }
            // The whole of what is given: an input is not clamped when it is quantised by others.
            // Features differ in size, so they have more bits than the cells of images.
            _ => {
                let limit = self.calibration.limit(Value(0), 1.0);
                match form::has_channels(node) {
                    true => (limit / 32_767.0, DType::I16, (-32_767, 32_767)),
                    false => (limit / 127.0, DType::I8, (-127, 127)),
                }
            }
        };
        let id = self.builder.input(&name, dtype, &node.dims, limits);
        self.placed.insert((Value(0), Form::Native), Placed { id, units: vec![unit] });
        Port { name, unit }
    }

    /// Places a value in all forms that are asked for.
    fn place(&mut self, value: Value) -> Result<(), ConvertError> {
        let wanted = self.demands[value.0].clone();
        if wanted.is_empty() {
            return Ok(());
        }
        let base = form::base(self.graph, self.options.fine, value, &wanted);
        if !self.placed.contains_key(&(value, base)) {
            let placed = self.make(value, base)?;
            self.placed.insert((value, base), placed);
        }
        for form in wanted.into_iter().filter(|form| *form != base) {
            let from = self.get(value, base)?;
            let placed = self.requantise(&from, value, form)?;
            self.placed.insert((value, form), placed);
        }
        Ok(())
    }

    /// A value in a form that was placed before.
    fn get(&self, value: Value, form: Form) -> Result<Placed, ConvertError> {
        self.placed.get(&(value, form)).cloned().ok_or_else(|| {
            let node = self.graph.node(value);
            crate::error::node(
                &node.name,
                node.op.name(),
                "it is used before it is made",
                "Nodes must be in topological order",
            )
        })
    }

    /// A parameter under a name that no other has, or one that holds the same already.
    fn param(
        &mut self,
        node: &str,
        what: &str,
        dims: Vec<usize>,
        data: Data,
    ) -> Result<ParamId, ConvertError> {
        let tensor = Tensor::new(dims, data)?;
        let held = self.held.entry(digest(&tensor)).or_default();
        let same = held.iter().find(|id| self.builder.tensor(**id) == Some(&tensor));
        if let Some(same) = same {
            return Ok(*same);
        }
        let mut name = format!("{}.{what}", printable(node));
        while !self.names.insert(name.clone()) {
            name = format!("{}.{}.{what}", printable(node), self.names.len());
        }
        let made = self.builder.param(&name, tensor);
        held.push(made);
        Ok(made)
    }
}

/// What tensors that hold the same have in common.
fn digest(tensor: &Tensor) -> u64 {
    let mut hasher = DefaultHasher::new();
    tensor.dims().hash(&mut hasher);
    tensor.data().widened().hash(&mut hasher);
    hasher.finish()
}
