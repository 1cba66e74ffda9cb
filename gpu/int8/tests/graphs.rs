//! Random models: the interpreter equals the definition, and the proof of ranges holds.

mod random;

use neura_int8::{
    Manifest, Model, ModelError, Op, Params, Recorder, Reference, Sampling, Trace, ValueId,
};
use proptest::prelude::*;
use random::{MAX_ROWS, Noise, inputs, model};
use std::collections::BTreeSet;

fn sampling(noise: &mut Noise) -> Sampling {
    let temperature = [0, 1 << 15, 1 << 16, 16 << 16][noise.below(4)];
    Sampling { seed: [noise.next() as u8; 32], temperature }
}

fn traced(model: &Model, noise: &mut Noise) -> Trace {
    let rows = 1 + noise.below(MAX_ROWS);
    let inputs = inputs(model, rows, noise);
    model.trace(&Reference, &inputs, sampling(noise)).unwrap()
}

/// The accumulator of a cell in 64 bits, where the operator gives accumulators.
fn wide(model: &Model, trace: &Trace, node: usize, index: usize) -> Option<i64> {
    let manifest = model.manifest();
    let node = &manifest.nodes()[node];
    let data = |operand: usize| trace.value(node.inputs[operand]).unwrap();
    let at = |operand: usize, index: usize| i64::from(data(operand).get(index).unwrap());
    let rows = trace.run().rows;
    let width = |operand: usize| manifest.value_type(node.inputs[operand]).unwrap().width(rows);
    let sum = |count, term: &dyn Fn(usize) -> i64| Some((0..count).map(term).sum::<i64>());
    match &node.op {
        Op::Linear(op) if op.finish.is_none() => {
            let [n, k] = manifest.params()[op.weights.0 as usize].dims[..] else { return None };
            let weights = model.params().i8s(op.weights);
            let bias = op.bias.map_or(0, |bias| model.params().i32s(bias)[index % n]);
            let dot = sum(k, &|i| at(0, index / n * k + i) * i64::from(weights[index % n * k + i]));
            dot.map(|dot| dot + i64::from(bias))
        }
        Op::Scores(op) => {
            let (s, h, t) =
                (index % rows, index / rows % op.heads.heads, index / rows / op.heads.heads);
            let d = width(0) / op.heads.heads;
            let seen = !op.heads.causal || s <= t;
            sum(d, &|i| {
                let key = at(1, s * width(1) + h * d + i);
                if seen { at(0, t * width(0) + h * d + i) * key } else { 0 }
            })
        }
        Op::Mix(op) if op.finish.is_none() => {
            let (channel, t) = (index % width(1), index / width(1));
            let h = channel / (width(1) / op.heads.kv_heads);
            let share = |s: usize| at(0, (t * op.heads.heads + h) * rows + s);
            sum(rows, &|s| share(s) * at(1, s * width(1) + channel))
        }
        _ => None,
    }
}

fn check_run_is_its_definition(model: &Model, trace: &Trace) {
    let manifest = model.manifest();
    let rows = trace.run().rows;
    for (node, described) in manifest.nodes().iter().enumerate() {
        let value = manifest.made_by(node);
        let data = trace.value(value).unwrap();
        let range = model.range(value).unwrap();
        for index in 0..data.len() {
            let name = described.op.name();
            let found = data.get(index).unwrap();
            let mut cells = trace.cells(model, node);
            let mut recorder = Recorder::new(&mut cells);
            let cell = manifest.recompute_cell(rows, (node, index), &mut recorder);
            assert_eq!(cell, Ok(found), "cell {index} of node {node}, {name}");
            assert!(
                (range.low..=range.high).contains(&i64::from(found)),
                "cell {index} of node {node}, {name}, is {found}, outside {range:?}"
            );
            if let Some(exact) = wide(model, trace, node, index) {
                assert_eq!(exact, i64::from(found), "cell {index} of node {node}, {name}");
            }
            let read: BTreeSet<(u32, usize)> = recorder
                .inputs
                .iter()
                .map(|(operand, index)| (described.inputs[*operand].0, *index))
                .collect();
            let foretold = manifest.dependencies(rows, node, index).unwrap();
            let foretold: BTreeSet<_> =
                foretold.iter().map(|cell| (cell.value.0, cell.index)).collect();
            assert_eq!(read, foretold, "cell {index} of node {node}, {name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn every_cell_of_a_run_is_its_definition_and_within_its_range(seed in any::<u64>()) {
        if let (Some(model), _) = model(seed, 14) {
            let trace = traced(&model, &mut Noise(seed ^ 1));
            check_run_is_its_definition(&model, &trace);
        }
    }

    #[test]
    fn outputs_of_a_run_are_those_of_its_trace(seed in any::<u64>()) {
        if let (Some(model), _) = model(seed, 8) {
            let noise = &mut Noise(seed ^ 2);
            let inputs = inputs(&model, 1 + noise.below(MAX_ROWS), noise);
            let sampling = sampling(noise);
            let trace = model.trace(&Reference, &inputs, sampling).unwrap();
            prop_assert_eq!(model.run_with(&Reference, &inputs, sampling), trace.outputs(&model));
        }
    }

    #[test]
    fn a_model_survives_its_encoding(seed in any::<u64>()) {
        if let (Some(model), _) = model(seed, 10) {
            let bytes = model.encode();
            let decoded = Model::decode(&bytes).unwrap();
            prop_assert_eq!(decoded.id(), model.id());
            prop_assert_eq!(decoded.encode(), bytes);
            prop_assert_eq!(decoded, model);
        }
    }

    #[test]
    fn an_opened_cell_leads_to_the_root_and_no_other_does(seed in any::<u64>()) {
        if let (Some(model), _) = model(seed, 6) {
            let noise = &mut Noise(seed ^ 3);
            let trace = traced(&model, noise);
            let value = ValueId(noise.below(model.manifest().types().len()) as u32);
            let data = trace.value(value).unwrap();
            let index = noise.below(data.len());
            let mut opening = trace.open(value, index).unwrap();
            let (run, root) = (trace.run(), trace.root());
            let opened = opening.check(model.manifest(), &run, &root).unwrap();
            prop_assert_eq!(opened.get(index), data.get(index));
            prop_assert_eq!(&neura_int8::Opening::decode(&opening.encode()).unwrap(), &opening);
            let byte = noise.below(opening.cells.bytes.len());
            opening.cells.bytes[byte] ^= 1;
            let refused = opening.check(model.manifest(), &run, &root);
            prop_assert_eq!(refused, Err(ModelError::Opening));
        }
    }
}

#[test]
fn most_random_models_are_proved_and_every_operator_is_among_them() {
    let (mut proved, mut ops) = (0, BTreeSet::new());
    for seed in 0..400 {
        if let (Some(_), found) = model(seed, 14) {
            proved += 1;
            ops.extend(found);
        }
    }
    assert!(proved >= 200, "{proved} of 400");
    assert_eq!(ops.len(), 26, "{ops:?}");
}

#[test]
fn weights_of_another_model_are_refused() {
    let found: Vec<Model> = (0..40).filter_map(|seed| model(seed, 10).0).collect();
    let (one, other) = (&found[0], &found[1]);
    let manifest = Manifest::decode(&one.manifest().encode()).unwrap();
    assert_eq!(Model::new(manifest.clone(), other.params().clone()), Err(ModelError::Root));
    let blob = one.params().encode();
    let params = Params::decode(manifest.params(), &blob).unwrap();
    assert_eq!(Model::new(manifest, params).as_ref(), Ok(one));
}
