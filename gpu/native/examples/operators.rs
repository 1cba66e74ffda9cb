//! Measure where the time of a sentence encoder of MiniLM's sizes goes, operator by operator.
//!
//! ```sh
//! cargo run -p neura-native --example operators -- [ROWS] [MODEL]
//! ```

#[path = "../../tests/nets/mod.rs"]
#[allow(dead_code, reason = "the other networks are the tests'")]
mod nets;

use nets::{Size, encoder};
use neura_int8::{Call, Data, Kernels, Model, ModelError, Product, Sampling, Tensor};
use neura_native::Native;
use std::{
    collections::BTreeMap,
    error::Error,
    sync::Mutex,
    time::{Duration, Instant},
};

/// The sizes of all-MiniLM-L6-v2, but for its vocabulary, of which a run reads a few rows only.
const MINILM: Size =
    Size { vocabulary: 4_096, width: 384, hidden: 1_536, heads: 12, layers: 6, rows: 512 };

/// Runs of which the fastest counts.
const RUNS: u32 = 30;

/// Side of the square product, and how often it is made.
const SIDE: usize = 1_024;

/// Kernels that note when each node begins.
#[derive(Debug)]
struct Timed {
    native: Native,
    nodes: Mutex<Vec<(String, Instant)>>,
}

impl Kernels for Timed {
    fn product(&self, product: Product<'_>) -> Result<Vec<i32>, ModelError> {
        self.native.product(product)
    }

    fn node(&self, call: &Call<'_>) -> Result<Option<Data>, ModelError> {
        let name = format!("{:?}", call.op);
        let name = name.split(['(', ' ', '{']).next().unwrap_or_default().to_owned();
        let kind = call.site.output.dtype;
        let name = format!("{name} to {kind}");
        if let Ok(mut nodes) = self.nodes.lock() {
            nodes.push((name, Instant::now()));
        }
        self.native.node(call)
    }
}

#[allow(clippy::print_stdout, reason = "a program for the command line")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rows = arguments.next().map_or(Ok(128), |rows| rows.parse())?;
    let model = match arguments.next() {
        Some(path) => Model::decode(&std::fs::read(path)?)?,
        None => encoder(MINILM),
    };
    let native = Native::best();
    println!("{}: {SIDE}^3 {:.0} Gop/s", native.level().name(), product_gops(native));
    let tokens = (0..rows).map(|at: usize| (at * 37 % 1_000) as i32).collect();
    let inputs = vec![Tensor::list(tokens)?; model.manifest().inputs().len()];
    let (mut best, mut best_parts) = (Duration::MAX, BTreeMap::new());
    for _ in 0..RUNS {
        let timed = Timed { native, nodes: Mutex::default() };
        let started = Instant::now();
        model.run_with(&timed, &inputs, Sampling::default())?;
        let (time, ended) = (started.elapsed(), Instant::now());
        if time < best {
            (best, best_parts) = (time, parts(&timed.nodes.into_inner()?, ended));
        }
    }
    println!("{rows} rows: {best:?}");
    for (name, (count, time)) in best_parts {
        println!("{:>9.1} µs in {count:>3} × {name}", time.as_secs_f64() * 1e6);
    }
    Ok(())
}

/// How many nodes of each kind there were, and how long they took together.
fn parts(nodes: &[(String, Instant)], ended: Instant) -> BTreeMap<String, (usize, Duration)> {
    let ends = nodes.iter().skip(1).map(|(_, began)| *began).chain([ended]);
    let mut parts = BTreeMap::new();
    for ((name, began), end) in nodes.iter().zip(ends) {
        let (count, time): &mut (usize, Duration) = parts.entry(name.clone()).or_default();
        *count += 1;
        *time += end - *began;
    }
    parts
}

fn product_gops(native: Native) -> f64 {
    let values = |factor| (0..SIDE * SIDE).map(move |at| (at * factor % 255) as u8 as i8);
    let (a, b): (Vec<i8>, Vec<i8>) = (values(37).collect(), values(91).collect());
    let product = Product { a: &a, b: &b, depth: SIDE };
    let mut best = f64::MAX;
    for _ in 0..RUNS {
        let started = Instant::now();
        let made = native.multiply(product);
        best = best.min(started.elapsed().as_secs_f64());
        drop(made);
    }
    2.0 * (SIDE as f64).powi(3) / best / 1e9
}
