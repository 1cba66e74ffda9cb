//! Products on the processor, at each level that it has, beside the reference and another's products of floats.

use std::time::Duration;

use anyhow::{Result, ensure};
use neura_int8::{Kernels, Product, Reference};
use neura_native::{Level, Native};
use serde::Serialize;

use super::{ComputePlan, Goal, beside::Beside, gops, ms, ratio, rounded, timed};

/// A kernel's best round.
#[derive(Debug, Serialize)]
struct Kernel {
    name: String,
    best_ms: f64,
    gops: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    measures: &'static str,
    side: usize,
    threads: usize,
    kernels: Vec<Kernel>,
    /// The best kernel over the reference, which one thread computes.
    best_over_reference: f64,
    /// The best kernel over the floats.
    goal: Goal,
}

/// Multiplies in turns.
pub(super) fn measure(plan: &ComputePlan) -> Result<Report> {
    let side = plan.side;
    let values = |factor: usize| (0..side * side).map(move |at| (at * factor % 255) as u8 as i8);
    let (a, b): (Vec<i8>, Vec<i8>) = (values(37).collect(), values(91).collect());
    let product = Product { a: &a, b: &b, depth: side };
    let (expected, reference) = timed(|| Reference.product(product));
    let expected = expected?;
    let start = |command: &String| Beside::start(command, &[side.to_string()]);
    let mut floats = plan.beside_product.as_ref().map(start).transpose()?;
    let levels: Vec<Native> = Level::ALL.into_iter().filter_map(Native::with).collect();
    let mut best = vec![Duration::MAX; levels.len()];
    let mut best_floats = Duration::MAX;
    for _ in 0..plan.rounds.max(1) {
        for (native, best) in levels.iter().zip(&mut best) {
            let (c, time) = timed(|| native.multiply(product));
            ensure!(c == expected, "{} is wrong", native.level().name());
            *best = time.min(*best);
        }
        if let Some(floats) = &mut floats {
            best_floats = floats.round()?.min(best_floats);
        }
    }
    let kernel = |name: String, best: Duration| {
        let macs = (side as f64).powi(3);
        Kernel { name, best_ms: ms(best), gops: gops(macs, best) }
    };
    let named = levels.iter().map(|native| format!("int8 {}", native.level().name()));
    let mut kernels: Vec<Kernel> =
        named.zip(&best).map(|(name, best)| kernel(name, *best)).collect();
    kernels.push(kernel("int8 reference, one thread".to_owned(), reference));
    if floats.is_some() {
        kernels.push(kernel("f32 beside".to_owned(), best_floats));
    }
    let fastest = best.iter().min().copied().unwrap_or(Duration::MAX);
    let over_floats = floats.is_some().then(|| ratio(best_floats, fastest));
    let goal =
        Goal::at_least("int8 products over f32 products of the gemm crate", 2.0, over_floats);
    Ok(Report {
        measures: "square products, best of the rounds, all cores, packing included",
        side,
        threads: rayon::current_num_threads(),
        kernels,
        best_over_reference: rounded(ratio(reference, fastest)),
        goal: goal.or_else("run scripts/bench compute, which builds benches/float-gemm"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_measured_beside_the_reference() {
        let plan = ComputePlan {
            side: 40,
            adapter_side: 64,
            device: "best".into(),
            model: None,
            rows: 8,
            beside_product: None,
            beside_model: None,
            payload_mib: 1,
            rounds: 1,
        };
        let report = measure(&plan).unwrap();
        let levels = Level::ALL.into_iter().filter(|level| level.is_available()).count();
        assert_eq!(report.kernels.len(), levels + 1);
        assert!(report.goal.measured.is_none() && report.goal.missing.is_some());
    }
}
