//! Keep what is known of every name of the file, and make nodes of it when they are needed.

use std::collections::{BTreeMap, BTreeSet};

use neura_int8::ops::conv::Window;
use tract_onnx::pb::NodeProto;

use super::{
    constant::Constant,
    external::Folder,
    known::{Base, Known, Lazy},
    view::{Atom, View},
};
use crate::{ConvertError, Curve, Function, Graph, Matrix, Op, Value};

/// Most cells of constants that are computed while a file is read, all together: 512 MiB at most.
const MAX_ALL_FOLDED: usize = 1 << 26;

/// A graph being read.
pub(super) struct Reader<'a> {
    pub(super) graph: Graph,
    /// Rows of the run that shapes are computed for.
    pub(super) rows: usize,
    /// The version of the operators' meaning.
    pub(super) opset: i64,
    pub(super) folder: Folder<'a>,
    known: BTreeMap<String, Known>,
    /// How often each name will still be used.
    left: BTreeMap<String, usize>,
    /// How often each value will still be used, by whatever name.
    live: BTreeMap<Value, usize>,
    arranged: BTreeMap<(Value, Vec<Atom>, Vec<usize>), Value>,
    folded: usize,
    pub(super) unsigned: BTreeSet<String>,
    pub(super) assumed: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        (graph, rows): (Graph, usize),
        opset: i64,
        folder: Folder<'a>,
        left: BTreeMap<String, usize>,
    ) -> Self {
        Reader {
            graph,
            rows,
            opset,
            folder,
            known: BTreeMap::new(),
            left,
            live: BTreeMap::new(),
            arranged: BTreeMap::new(),
            folded: 0,
            unsigned: BTreeSet::new(),
            assumed: BTreeSet::new(),
        }
    }

    /// Says what a name is.
    pub(super) fn bind(&mut self, name: &str, known: Known) -> Result<(), String> {
        let uses = self.left.get(name).copied().unwrap_or(0);
        if uses == 0 {
            return Ok(());
        }
        self.release(name, uses);
        if let Known::Lazy(lazy) = &known {
            *self.live.entry(lazy.view.value).or_default() += uses;
        }
        self.known.insert(name.to_owned(), known);
        Ok(())
    }

    /// Forgets some uses of what a name was.
    fn release(&mut self, name: &str, uses: usize) {
        if let Some(Known::Lazy(lazy)) = self.known.get(name)
            && let Some(live) = self.live.get_mut(&lazy.view.value)
        {
            *live = live.saturating_sub(uses);
        }
    }

    /// Says what a name is that was computed of constants, as long as these are not too many.
    pub(super) fn bind_folded(&mut self, name: &str, constant: Constant) -> Result<(), String> {
        self.folded = self.folded.saturating_add(constant.len());
        match self.folded <= MAX_ALL_FOLDED {
            true => self.bind(name, Known::Constant(constant)),
            false => Err(format!(
                "more than {MAX_ALL_FOLDED} constants are computed: simplify the model first (onnxsim)"
            )),
        }
    }

    /// Counts a node's uses of its operands, and drops what is used no more.
    pub(super) fn used(&mut self, node: &NodeProto) {
        node.input.iter().for_each(|name| self.used_once(name));
    }

    /// The same of a choice, the nodes of the part that was taken being counted already.
    pub(super) fn used_choice(&mut self, node: &NodeProto, taken: &str) {
        self.used(node);
        for attribute in &node.attribute {
            let Some(graph) = &attribute.g else { continue };
            if attribute.name != taken {
                graph.node.iter().flat_map(mentioned).for_each(|name| self.used_once(name));
            }
            graph.output.iter().for_each(|output| self.used_once(&output.name));
        }
    }

    fn used_once(&mut self, name: &str) {
        if name.is_empty() {
            return;
        }
        self.release(name, 1);
        let left = self.left.entry(name.to_owned()).or_default();
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.known.remove(name);
        }
    }

    /// Whether a name is a stored constant of a type without a sign.
    pub(super) fn is_unsigned(&self, name: &str) -> bool {
        self.unsigned.contains(name)
    }

    /// Whether a name will still be used.
    pub(super) fn is_wanted(&self, name: &str) -> bool {
        self.left.get(name).is_some_and(|left| *left > 0)
    }

    /// Whether a node uses an operand: by its place, with a name.
    pub(super) fn has(&self, node: &NodeProto, operand: usize) -> bool {
        node.input.get(operand).is_some_and(|name| !name.is_empty())
    }

    /// What an operand is.
    pub(super) fn known(&self, node: &NodeProto, operand: usize) -> Result<&Known, String> {
        let name = node.input.get(operand).map_or("", String::as_str);
        self.named(name).ok_or_else(|| match name {
            "" => format!("its operand {operand} is missing"),
            name => format!("its operand '{name}' is made by no node before it"),
        })
    }

    /// What a name is.
    pub(super) fn named(&self, name: &str) -> Option<&Known> {
        self.known.get(name)
    }

    /// An operand that is a constant.
    pub(super) fn constant(&self, node: &NodeProto, operand: usize) -> Result<Constant, String> {
        match self.known(node, operand)? {
            Known::Constant(constant) => Ok(constant.clone()),
            _ => Err(format!("its operand '{}' must be a constant", node.input[operand])),
        }
    }

    /// An operand that is a constant, if it is given.
    pub(super) fn optional(
        &self,
        node: &NodeProto,
        operand: usize,
    ) -> Result<Option<Constant>, String> {
        self.has(node, operand).then(|| self.constant(node, operand)).transpose()
    }

    /// An operand that is computed.
    pub(super) fn lazy(&self, node: &NodeProto, operand: usize) -> Result<Lazy, String> {
        match self.known(node, operand)? {
            Known::Lazy(lazy) => Ok(lazy.clone()),
            Known::Constant(_) => Err(format!(
                "its operand '{}' is a constant, and must be computed",
                node.input[operand]
            )),
            Known::Scores(_) => {
                Err("it takes part in an attention between tokens that is not of the usual form: \
                 softmax(scale * Q K + mask) V"
                    .into())
            }
        }
    }

    /// An operand that is computed, made if it was not yet.
    pub(super) fn view(&mut self, node: &NodeProto, operand: usize) -> Result<View, String> {
        let lazy = self.lazy(node, operand)?;
        if lazy.is_plain() {
            return Ok(lazy.view);
        }
        let name = &node.input[operand];
        let alone = self.is_alone(&lazy, name);
        let view = self.settle(name, &lazy, alone)?;
        self.bind(name, Known::Lazy(Lazy::of(view.clone())))?;
        Ok(view)
    }

    /// Whether a lazy value's base is used by no name but this.
    pub(super) fn is_alone(&self, lazy: &Lazy, name: &str) -> bool {
        let left = self.left.get(name).copied().unwrap_or(0);
        lazy.base == Base::Value && self.live.get(&lazy.view.value).copied() == Some(left)
    }

    /// Whether a node is the only use of its operand, by whatever name.
    pub(super) fn is_last_use(&self, node: &NodeProto, operand: usize) -> bool {
        let name = &node.input[operand];
        let value = match self.known.get(name) {
            Some(Known::Lazy(lazy)) => lazy.view.value,
            _ => return false,
        };
        self.left.get(name) == Some(&1) && self.live.get(&value) == Some(&1)
    }

    /// Makes a lazy value. What makes its base may be changed if nothing else uses it.
    pub(super) fn settle(&mut self, name: &str, lazy: &Lazy, alone: bool) -> Result<View, String> {
        let (view, alone) = match lazy.base {
            Base::Value => (lazy.view.clone(), alone),
            _ => (self.settle_base(name, lazy)?, true),
        };
        if lazy.curve == Curve::identity() {
            return Ok(view);
        }
        if let Some((scale, shift)) = lazy.curve.affine() {
            return self.affine(name, &view, (&[scale], &[shift]), alone);
        }
        if let Some((inner, clamp)) = lazy.curve.clamp()
            && let Some((scale, shift)) = inner.affine()
        {
            let view = self.affine(name, &view, (&[scale], &[shift]), alone)?;
            return self.apply(name, &view, clamp);
        }
        self.apply(name, &view, lazy.curve.clone().function())
    }

    /// A function of every cell.
    pub(super) fn apply(
        &mut self,
        name: &str,
        view: &View,
        function: Function,
    ) -> Result<View, String> {
        Ok(view.of(self.add(name, Op::Apply(function), &[view.value])?))
    }

    /// Adds a node to the graph.
    pub(super) fn add(&mut self, name: &str, op: Op, inputs: &[Value]) -> Result<Value, String> {
        self.graph.add(name, op, inputs).map_err(reason)
    }

    /// Other axes for a value's cells.
    pub(super) fn shaped(
        &mut self,
        name: &str,
        value: Value,
        dims: &[usize],
    ) -> Result<Value, String> {
        match self.graph.node(value).dims == dims {
            true => Ok(value),
            false => self.graph.reshape(name, value, dims.to_vec()).map_err(reason),
        }
    }

    /// A value whose cells lie in the order of a view's axes, as rows of the axes `dims`.
    pub(super) fn arrange(
        &mut self,
        name: &str,
        view: &View,
        dims: &[usize],
    ) -> Result<Value, String> {
        let wanted = view.order();
        let key = (view.value, wanted.clone(), dims.to_vec());
        if let Some(value) = self.arranged.get(&key) {
            return Ok(*value);
        }
        let mut value = view.value;
        let parts: Vec<(usize, usize)> = wanted
            .iter()
            .filter_map(|atom| match atom {
                Atom::Cells { size, stride } => Some((*size, *stride)),
                Atom::Rows => None,
            })
            .collect();
        let mut order = parts.clone();
        order.sort_unstable_by_key(|(_, stride)| std::cmp::Reverse(*stride));
        if let (2 | 3, true) = (parts.len(), order != parts) {
            let sizes: Vec<usize> = order.iter().map(|(size, _)| *size).collect();
            value = self.shaped(name, value, &sizes)?;
            let places = parts.iter().filter_map(|part| order.iter().position(|at| at == part));
            value = self.add(name, Op::Transpose(places.collect()), &[value])?;
        } else if order != parts {
            value = self.moved(name, value, order, &parts)?;
        }
        let value = self.shaped(name, value, dims)?;
        self.arranged.insert(key, value);
        Ok(value)
    }

    /// Any order of parts, by moving one after another to the end.
    fn moved(
        &mut self,
        name: &str,
        mut value: Value,
        mut order: Vec<(usize, usize)>,
        wanted: &[(usize, usize)],
    ) -> Result<Value, String> {
        let volume = |parts: &[(usize, usize)]| parts.iter().map(|(size, _)| size).product();
        for part in wanted {
            let at = order.iter().position(|other| other == part).unwrap_or(0);
            if at + 1 == order.len() {
                continue;
            }
            let sides = [volume(&order[..at]), part.0, volume(&order[at + 1..])];
            value = self.shaped(name, value, &sides)?;
            value = self.add(name, Op::Transpose(vec![0, 2, 1]), &[value])?;
            let moved = order.remove(at);
            order.push(moved);
        }
        Ok(value)
    }

    /// `x * scale + shift`, for every cell of a row or of one number for all: folded into what
    /// made `x` if nothing else uses that, or of nodes of its own.
    pub(super) fn affine(
        &mut self,
        name: &str,
        view: &View,
        (scale, shift): (&[f32], &[f32]),
        alone: bool,
    ) -> Result<View, String> {
        let one = |list: &[f32], what: f32| list.iter().all(|x| *x == what);
        let (scales, shifts) = (!one(scale, 1.0), !one(shift, 0.0));
        if !scales && !shifts {
            return Ok(view.clone());
        }
        if !scale.iter().chain(shift).all(|x| x.is_finite()) {
            return Err("a constant is not a finite number, or it divides by zero".into());
        }
        let value = view.value;
        if alone && self.graph.users(value).next().is_none() && self.fold(value, (scale, shift)) {
            return Ok(view.clone());
        }
        if let ([scale], [shift]) = (scale, shift) {
            let op = match *scale > 0.0 && !shifts {
                true => Op::Scale(*scale),
                false => {
                    let scaled = Curve::identity().with(crate::Binary::Mul, Curve::number(*scale));
                    let curve = scaled.with(crate::Binary::Add, Curve::number(*shift));
                    Op::Apply(curve.function())
                }
            };
            return Ok(view.of(self.add(name, op, &[value])?));
        }
        if let &[channels, height, width] = &self.graph.node(value).dims[..] {
            let of = |list: &[f32]| per_channel(list, channels, |at| at / (height * width));
            if let (true, Some(scale), Some(shift)) = (scales, of(scale), of(shift)) {
                let weights = Matrix::new(1, scale);
                let op = Op::Conv(weights, shift, Window::square(1, 1, 0), channels);
                return Ok(view.of(self.add(name, op, &[value])?));
            }
        }
        let mut made = value;
        for (list, needed, op) in [(scale, scales, Op::Mul), (shift, shifts, Op::Add)] {
            if needed {
                let width = self.graph.node(value).width();
                let list = if list.len() == 1 { vec![list[0]; width] } else { list.to_vec() };
                made = self.with_constant(name, made, (op, list))?;
            }
        }
        Ok(view.of(made))
    }

    /// An operator between a value and constants for each cell of a row.
    fn with_constant(
        &mut self,
        name: &str,
        value: Value,
        (op, cells): (Op, Vec<f32>),
    ) -> Result<Value, String> {
        let constant = self.add(&format!("{name}.constant"), Op::Constant(cells), &[value])?;
        let dims = self.graph.node(value).dims.clone();
        let constant = self.shaped(name, constant, &dims)?;
        self.add(name, op, &[value, constant])
    }

    /// Folds a scaling and a shift into the node that makes a value, if that has weights for it.
    fn fold(&mut self, value: Value, (scale, shift): (&[f32], &[f32])) -> bool {
        let Some(maker) = self.graph.nodes.get_mut(value.0) else { return false };
        let plane: usize = maker.dims.iter().skip(1).product();
        match &mut maker.op {
            op @ (Op::Linear(..) | Op::Conv(..)) => {
                let image = matches!(op, Op::Conv(..));
                let (Op::Linear(weights, bias) | Op::Conv(weights, bias, ..)) = op else {
                    return false;
                };
                let count = bias.len();
                let channel = |at: usize| if image { at / plane.max(1) } else { at % count };
                let both = per_channel(scale, count, channel);
                let Some((scale, shift)) = both.zip(per_channel(shift, count, channel)) else {
                    return false;
                };
                let rows = weights.values.chunks_exact_mut(weights.width.max(1)).zip(bias);
                for ((row, bias), (scale, shift)) in rows.zip(scale.iter().zip(&shift)) {
                    row.iter_mut().for_each(|w| *w *= scale);
                    *bias = *bias * scale + shift;
                }
                true
            }
            Op::LayerNorm(gain, bias, _) => {
                let count = gain.len();
                let of = |list: &[f32]| per_channel(list, count, |at| at % count);
                let Some((scale, shift)) = of(scale).zip(of(shift)) else { return false };
                gain.iter_mut().zip(&scale).for_each(|(gain, scale)| *gain *= scale);
                let biases = bias.iter_mut().zip(scale.iter().zip(&shift));
                biases.for_each(|(bias, (scale, shift))| *bias = *bias * scale + shift);
                true
            }
            Op::RmsNorm(gain, _) if shift.iter().all(|x| *x == 0.0) => {
                let count = gain.len();
                let Some(scale) = per_channel(scale, count, |at| at % count) else { return false };
                gain.iter_mut().zip(&scale).for_each(|(gain, scale)| *gain *= scale);
                true
            }
            _ => false,
        }
    }
}

/// The number of each channel, if all cells of a channel have the same.
fn per_channel(cells: &[f32], count: usize, channel: impl Fn(usize) -> usize) -> Option<Vec<f32>> {
    if let [one] = cells {
        return Some(vec![*one; count]);
    }
    let mut found = vec![None; count];
    for (at, cell) in cells.iter().enumerate() {
        let known = found.get_mut(channel(at))?.get_or_insert(*cell);
        if known != cell {
            return None;
        }
    }
    found.into_iter().collect()
}

/// The names that a node uses, those of the graphs in it included.
pub(super) fn mentioned(node: &NodeProto) -> Vec<&str> {
    let mut names: Vec<&str> = node.input.iter().map(String::as_str).collect();
    for graph in node.attribute.iter().filter_map(|attribute| attribute.g.as_ref()) {
        names.extend(graph.node.iter().flat_map(mentioned));
        names.extend(graph.output.iter().map(|output| &output.name[..]));
    }
    names
}

/// Why a node could not be added.
pub(super) fn reason(error: ConvertError) -> String {
    match error {
        ConvertError::Node { reason, .. } => reason,
        other => other.to_string(),
    }
}
