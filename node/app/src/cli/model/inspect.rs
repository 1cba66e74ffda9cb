//! `neura model inspect`.

use std::path::Path;

use anyhow::Result;
use neura_int8::{Model, Rows, ValueId, ValueType};
use serde::Serialize;

use super::{Shared, card, open};
use crate::cli::Screen;

#[derive(Serialize)]
struct Shown {
    id: String,
    root: String,
    bytes: usize,
    parameters: usize,
    max_rows: usize,
    generates: bool,
    inputs: Vec<Line>,
    nodes: Vec<Line>,
    outputs: Vec<Line>,
    cost_one_row: Cost,
    cost_max_rows: Cost,
}

/// A value: what it is called or made by, its type, what it can be.
#[derive(Serialize)]
struct Line {
    value: u32,
    what: String,
    operands: Vec<u32>,
    kind: String,
    least: i64,
    greatest: i64,
    unit: Option<f64>,
}

#[derive(Serialize)]
struct Cost {
    macs: u64,
    value_bytes: u64,
    output_bytes: u64,
}

pub(super) fn run(path: &Path, shared: &Shared) -> Result<()> {
    let model = open(path)?;
    let card = card(path, &model)?;
    let mut shown = describe(&model);
    if let Some(card) = card {
        let ports = card.inputs.iter().zip(&mut shown.inputs);
        for (port, line) in ports.chain(card.outputs.iter().zip(&mut shown.outputs)) {
            line.unit = Some(port.unit);
        }
    }
    let mut screen = Screen::new(shared.json);
    if !screen.result(&shown)? {
        show(&screen, &shown);
    }
    Ok(())
}

fn describe(model: &Model) -> Shown {
    let manifest = model.manifest();
    let line = |value: ValueId, what: String, operands: &[ValueId]| {
        let range = model.range(value);
        Line {
            value: value.0,
            what,
            operands: operands.iter().map(|operand| operand.0).collect(),
            kind: manifest.value_type(value).map(kind).unwrap_or_default(),
            least: range.map_or(0, |range| range.low),
            greatest: range.map_or(0, |range| range.high),
            unit: None,
        }
    };
    let inputs = manifest.inputs().iter().enumerate();
    let nodes = manifest.nodes().iter().enumerate();
    let cost = |rows| {
        let cost = model.cost(rows);
        let (macs, value_bytes, output_bytes) = (cost.macs, cost.value_bytes, cost.output_bytes);
        Cost { macs, value_bytes, output_bytes }
    };
    Shown {
        id: hex::encode(model.id()),
        root: hex::encode(manifest.root()),
        bytes: model.encode().len(),
        parameters: manifest.params().len(),
        max_rows: manifest.max_rows(),
        generates: model.check_generates().is_ok(),
        inputs: inputs
            .map(|(at, input)| line(ValueId(at as u32), input.name.clone(), &[]))
            .collect(),
        nodes: nodes
            .map(|(at, node)| line(manifest.made_by(at), node.op.name().into(), &node.inputs))
            .collect(),
        outputs: manifest
            .outputs()
            .iter()
            .map(|output| line(output.value, output.name.clone(), &[]))
            .collect(),
        cost_one_row: cost(1),
        cost_max_rows: cost(manifest.max_rows()),
    }
}

/// A type in words: `i8 rows of [384]`.
fn kind(value: &ValueType) -> String {
    let rows = if value.rows == Rows::Many { "rows of " } else { "" };
    let context = if value.context { " x rows" } else { "" };
    format!("{} {rows}{:?}{context}", value.dtype, value.dims)
}

fn show(screen: &Screen, shown: &Shown) {
    screen.line(format!("model        {}", shown.id));
    screen.line(format!("root         {} of {} parameters", shown.root, shown.parameters));
    let generates = if shown.generates { "; generates tokens" } else { "" };
    screen.line(format!(
        "size         {} bytes; up to {} rows{generates}",
        shown.bytes, shown.max_rows
    ));
    let costs = [("one row", &shown.cost_one_row), ("all rows", &shown.cost_max_rows)];
    for (what, cost) in costs {
        screen.line(format!(
            "cost         {what}: {} multiply-accumulates, {} bytes of values, {} of outputs",
            cost.macs, cost.value_bytes, cost.output_bytes
        ));
    }
    let parts = [("input", &shown.inputs), ("node", &shown.nodes), ("output", &shown.outputs)];
    for (part, lines) in parts {
        for line in lines {
            let operands: Vec<String> = line.operands.iter().map(u32::to_string).collect();
            let unit = line.unit.map(|unit| format!(", unit {unit:.3e}")).unwrap_or_default();
            screen.line(format!(
                "{part:<6} {:>5}  {:<12} ({}) {}, {}..={}{unit}",
                line.value,
                line.what,
                operands.join(" "),
                line.kind,
                line.least,
                line.greatest
            ));
        }
    }
}
