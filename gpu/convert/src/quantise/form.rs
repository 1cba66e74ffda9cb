//! Say in which forms values are needed, and which an operator makes.

use std::collections::BTreeSet;

use crate::{Function, Graph, Node, Op, Value};

/// How a value is held in integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// As the operator makes it: tokens, the input, classes, probabilities, unit vectors, tables.
    Native,
    /// i8, one unit.
    Byte,
    /// i8, a unit for each channel, chosen with the weights that it is multiplied by.
    Channels,
    /// i16 of 15 bits, one unit, which a product takes apart into two bytes.
    Pair,
    /// i16, one unit.
    Short,
    /// i32 within 21 bits, one unit: sums and residual streams.
    Wide,
}

impl Form {
    /// The form of an output.
    pub(super) fn of_output(op: &Op) -> Form {
        if makes_native(op) { Form::Native } else { Form::Wide }
    }
}

/// Whether an operator makes one form only, of a unit that does not depend on data.
fn makes_native(op: &Op) -> bool {
    matches!(
        op,
        Op::Tokens(_)
            | Op::Features
            | Op::Embed(_)
            | Op::Position(_)
            | Op::Constant(_)
            | Op::UnitLength
            | Op::MeanRows
            | Op::Softmax
            | Op::Argmax
            | Op::Sample
    )
}

/// The bounds of a function that is only a clamp.
pub(super) fn bounds(op: &Op) -> Option<(f32, f32)> {
    match op {
        Op::Apply(Function::Relu) => Some((0.0, f32::INFINITY)),
        Op::Apply(Function::Clip(low, high)) if *low <= 0.0 && *high >= 0.0 => Some((*low, *high)),
        _ => None,
    }
}

/// The clamp that a value only exists for: its operator clamps as it finishes.
pub(super) fn fused(graph: &Graph, value: Value) -> bool {
    let node = graph.node(value);
    let finishes = matches!(node.op, Op::Linear(..) | Op::Conv(..) | Op::Mul | Op::Add);
    let mut users = graph.users(value);
    let only = users.next().filter(|_| users.next().is_none());
    let output = graph.outputs.iter().any(|(_, output)| *output == value);
    finishes && !output && only.is_some_and(|user| bounds(&user.op).is_some())
}

/// Whether a value has units for each channel of its last axis: rows of features, not images.
pub(super) fn has_channels(node: &Node) -> bool {
    (1..=2).contains(&node.dims.len())
}

/// Operators that only move cells: they take the form that is wanted of them, if it is one.
fn moves(op: &Op) -> bool {
    matches!(op, Op::Reshape | Op::Transpose(_) | Op::Slice(..) | Op::MaxPool(_))
}

/// The form of what is moved: bytes or shorts if nothing else is wanted.
fn moved(own: &BTreeSet<Form>) -> Form {
    match own.first() {
        Some(form @ (Form::Byte | Form::Pair | Form::Short)) if own.len() == 1 => *form,
        _ => Form::Wide,
    }
}

/// The form that an operator wants an operand in.
fn wanted(
    (graph, fine): (&Graph, bool),
    node: &Node,
    operand: usize,
    own: &BTreeSet<Form>,
) -> Form {
    let from = graph.node(node.inputs[operand]);
    let input = &from.op;
    let product = match input {
        Op::Features if !has_channels(from) => Form::Native,
        _ if fine => Form::Pair,
        _ => Form::Byte,
    };
    match &node.op {
        Op::Embed(_) => Form::Native,
        Op::Linear(..) if has_channels(from) && !fine => Form::Channels,
        Op::Linear(..) | Op::Conv(..) => product,
        Op::Attention(..) if operand == 2 => Form::Channels,
        Op::Attention(..) => Form::Byte,
        // Shares of many are small: they are taken apart rather than rounded to bytes.
        Op::Product if operand == 0 && matches!(input, Op::Softmax) => Form::Native,
        Op::Product => Form::Byte,
        Op::Constant(_) if makes_native(input) => Form::Native,
        Op::Constant(_) => Form::Byte,
        Op::Apply(_) if bounds(&node.op).is_none() => Form::Short,
        Op::Mul | Op::Rope(..) => Form::Short,
        op if moves(op) => moved(own),
        Op::UnitLength if matches!(input, Op::MeanRows) => Form::Native,
        _ => Form::Wide,
    }
}

/// The forms that every value is needed in; `fine` says that products by weights take 15 bits.
pub(super) fn demands(graph: &Graph, fine: bool) -> Vec<BTreeSet<Form>> {
    let mut demands = vec![BTreeSet::new(); graph.nodes.len()];
    for (_, value) in &graph.outputs {
        demands[value.0].insert(Form::of_output(&graph.node(*value).op));
    }
    for index in (0..graph.nodes.len()).rev() {
        let (node, own) = (&graph.nodes[index], demands[index].clone());
        if own.is_empty() {
            continue;
        }
        let is_clamp = bounds(&node.op).is_some();
        // A clamp that its input's operator does takes what that operator takes.
        let (from, own) = match node.inputs.first() {
            Some(input) if is_clamp && fused(graph, *input) => (graph.node(*input), own),
            _ => (node, own),
        };
        for operand in 0..from.inputs.len() {
            let form = wanted((graph, fine), from, operand, &own);
            demands[from.inputs[operand].0].insert(form);
        }
    }
    demands
}

/// The form that an operator makes first, of those that are wanted.
pub(super) fn base(graph: &Graph, fine: bool, value: Value, wanted: &BTreeSet<Form>) -> Form {
    let node = graph.node(value);
    if makes_native(&node.op) {
        return Form::Native;
    }
    let one = wanted.first().filter(|_| wanted.len() == 1).copied();
    let clamps = bounds(&node.op).is_some();
    let maker = match node.inputs.first() {
        Some(input) if clamps && fused(graph, *input) => &graph.node(*input).op,
        _ => &node.op,
    };
    let vector = has_channels(node);
    let direct = |form: Form| match maker {
        // Two products are added, in one unit.
        Op::Linear(..) if fine => form != Form::Channels,
        Op::Linear(..) | Op::Attention(..) | Op::Mul | Op::LayerNorm(..) | Op::RmsNorm(..) => {
            // A clamp above zero has one limit, so one unit.
            form != Form::Channels || vector && bounds(&node.op).is_none_or(|b| b.1.is_infinite())
        }
        Op::Conv(..) | Op::Add | Op::Product | Op::Concat(_) => form != Form::Channels,
        Op::Apply(_) if clamps => form != Form::Channels,
        Op::Apply(_) => matches!(form, Form::Byte | Form::Pair | Form::Short),
        op if moves(op) => matches!(form, Form::Byte | Form::Pair | Form::Short),
        _ => false,
    };
    match (one.filter(|form| direct(*form)), maker) {
        (Some(form), _) => form,
        (None, Op::Rope(..)) => Form::Short,
        (None, Op::Apply(_)) if !clamps => Form::Short,
        (None, _) => Form::Wide,
    }
}
