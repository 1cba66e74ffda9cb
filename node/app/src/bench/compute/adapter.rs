//! Products on an adapter, each variant beside the plain kernel.

use std::convert::Infallible;

use neura_gpu::{Backend, GemmKernel, GpuError, Options, Selector, WgpuBackend};
use serde::Serialize;

use super::{Goal, rounded};

/// Products of a measurement, after one that is not measured.
const REPEATS: u32 = 4;
/// Measurements of each variant, in turns; the best counts.
const TURNS: usize = 3;

/// What was measured, or why nothing was.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Report {
    /// On this adapter.
    Measured(Box<Measured>),
    /// There is no adapter that can be used.
    Failed { failed: String },
}

/// What was measured on an adapter.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    measures: &'static str,
    device: String,
    driver: String,
    side: usize,
    kernels: Vec<Kernel>,
    /// The fastest variant over the plain one.
    goal: Goal,
}

/// A variant of the product.
#[derive(Debug, Serialize)]
struct Kernel {
    kernel: GemmKernel,
    gops: f64,
}

/// Multiplies with each variant, matrices resident.
pub(super) fn measure(device: &str, side: usize) -> Report {
    match measured(device, side) {
        Ok(measured) => Report::Measured(Box::new(measured)),
        Err(error) => Report::Failed { failed: error.to_string() },
    }
}

fn measured(device: &str, side: usize) -> Result<Measured, GpuError> {
    let selector: Selector = device.parse().unwrap_or_else(|never: Infallible| match never {});
    let open = |kernel| {
        let options = Options { kernel: Some(kernel), ..Options::default() };
        WgpuBackend::with_options(&selector, options)
    };
    let offered = |opened: &Result<_, _>| !matches!(opened, Err(GpuError::NotOffered { .. }));
    let backends = GemmKernel::ALL.into_iter().map(open).filter(offered);
    let backends = backends.collect::<Result<Vec<_>, _>>()?;
    let mut rates = vec![0.0; backends.len()];
    for _ in 0..TURNS {
        for (backend, rate) in backends.iter().zip(&mut rates) {
            *rate = backend.measure_gemm(side, REPEATS)?.gops().max(*rate);
        }
    }
    let kernels = backends.iter().map(WgpuBackend::kernel).zip(&rates);
    let plain = kernels.clone().find(|(kernel, _)| *kernel == GemmKernel::Plain);
    let best = rates.iter().copied().fold(0.0, f64::max);
    let over_plain = plain.map(|(_, plain)| best / plain);
    let info = backends.first().ok_or(GpuError::NoAdapter)?.info().clone();
    Ok(Measured {
        measures: "square int8 products, matrices resident, best of three turns",
        device: info.name,
        driver: info.driver,
        side,
        kernels: kernels.map(|(kernel, rate)| Kernel { kernel, gops: rounded(*rate) }).collect(),
        goal: Goal::at_least("the best variant over one output per invocation", 5.0, over_plain),
    })
}
