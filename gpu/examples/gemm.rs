//! Measure the int8 product on every backend: one JSON line each.
//!
//! ```sh
//! cargo run -p neura-gpu --example gemm -- [SIDE] [DEVICE]
//! ```

use neura_gpu::{
    Backend, CpuBackend, DeviceInfo, GemmKernel, GemmShape, GpuError, Options, Selector,
    Throughput, WgpuBackend,
};
use serde_json::json;
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// A measurement is repeated until it takes about this long.
const AIM: Duration = Duration::from_secs(2);

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let side: usize = match arguments.next().map(|side| side.parse()).transpose() {
        Ok(side) => side.unwrap_or(1_024),
        Err(_) => {
            eprintln!("usage: gemm [SIDE] [DEVICE]; SIDE is a number, such as 1024");
            return ExitCode::FAILURE;
        }
    };
    let Ok(selector) = arguments.next().unwrap_or_default().parse::<Selector>();
    let mut code = ExitCode::SUCCESS;
    let mut report =
        |backend: &str, measured: Result<(DeviceInfo, Throughput), GpuError>| match measured {
            Ok((device, throughput)) => {
                let line = json!({
                    "bench": "gemm_i8",
                    "backend": backend,
                    "device": device.name,
                    "driver": device.driver,
                    "loop_limit": device.loop_limit,
                    "side": side,
                    "gops": (throughput.gops() * 10.0).round() / 10.0,
                    "elapsed_ms": throughput.elapsed.as_millis(),
                    "exact": true,
                });
                println!("{line}");
            }
            Err(error) => {
                eprintln!("{backend}: {error}");
                code = ExitCode::FAILURE;
            }
        };
    report("reference", measure_cpu(side));
    for kernel in GemmKernel::ALL {
        match measure_wgpu(&selector, kernel, side) {
            Err(GpuError::NotOffered { .. }) => {}
            measured => report(&format!("wgpu {}", kernel.name()), measured),
        }
    }
    code
}

fn measure_cpu(side: usize) -> Result<(DeviceInfo, Throughput), GpuError> {
    let backend = CpuBackend::new();
    let shape = GemmShape { m: side, n: side, k: side };
    let matrix: Vec<i8> = (0..side * side).map(|at| (at % 251) as u8 as i8).collect();
    let started = Instant::now();
    backend.gemm_i8(&matrix, &matrix, shape)?;
    let throughput = Throughput { macs: shape.macs(), elapsed: started.elapsed() };
    Ok((backend.info().clone(), throughput))
}

fn measure_wgpu(
    selector: &Selector,
    kernel: GemmKernel,
    side: usize,
) -> Result<(DeviceInfo, Throughput), GpuError> {
    let options = Options { kernel: Some(kernel), ..Options::default() };
    let backend = WgpuBackend::with_options(selector, options)?;
    let first = backend.measure_gemm(side, 1)?;
    let repeats = AIM.as_nanos() / first.elapsed.as_nanos().max(1);
    let repeats = u32::try_from(repeats.clamp(1, 10_000)).unwrap_or(1);
    Ok((backend.info().clone(), backend.measure_gemm(side, repeats)?))
}
