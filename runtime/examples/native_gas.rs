//! Measure what the gas of each method of the native modules buys: nanoseconds of one core per gas, over a state in
//! memory. Prints one JSON line for each method, and the worst.
//!
//! `cargo run -p neura-runtime --example native_gas -- [rounds]`
#![expect(clippy::disallowed_types, reason = "a measurement needs a clock; the library has none")]
#![allow(dead_code, reason = "the stage and the catalog are those of the tests")]

#[path = "../tests/precompiles/catalog.rs"]
mod catalog;
#[path = "../tests/precompiles/stage.rs"]
mod stage;

use std::{
    io::Write,
    time::{Duration, Instant},
};

use alloy_primitives::Bytes;
use neura_types::Amount;

use catalog::{Catalog, methods};
use stage::{Act, Stage};

/// What a transaction pays before it does anything.
const TRANSACTION_GAS: u64 = 21_000;

/// The shortest time of `rounds` runs: what disturbs a run only makes it longer.
fn shortest(rounds: u32, stage: &Stage, act: &Act) -> Duration {
    let signed = stage.sign(act);
    let run = |_| {
        let transactions = stage.decode(vec![signed.clone()]);
        let started = Instant::now();
        let execution = stage.run(&transactions);
        let elapsed = started.elapsed();
        std::hint::black_box(execution);
        elapsed
    };
    (0..rounds).map(run).min().unwrap_or_default()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(200), |text| text.parse())?;
    let catalog = Catalog::new();
    let mut out = std::io::stdout();
    let mut worst = (0.0, "");
    for method in methods() {
        let Some(example) = catalog.0.get(&method) else { continue };
        let (to, input) = (example.module, example.input.clone());
        let act = Act::call(example.caller, to, example.value, input);
        let idle = Act::call(example.caller, example.caller.address(), Amount::ZERO, Bytes::new());
        let Some((receipt, _)) = example.stage.try_out(&act) else { continue };
        let gas = receipt.gas_used.saturating_sub(TRANSACTION_GAS);
        let time = shortest(rounds, &example.stage, &act).saturating_sub(shortest(
            rounds,
            &example.stage,
            &idle,
        ));
        let per_gas = time.as_nanos() as f64 / gas as f64;
        writeln!(
            out,
            "{{\"bench\":\"native_gas\",\"method\":\"{}\",\"gas\":{gas},\"microseconds\":{:.1},\"ns_per_gas\":{per_gas:.3}}}",
            example.name,
            time.as_secs_f64() * 1e6,
        )?;
        if per_gas > worst.0 {
            worst = (per_gas, example.name);
        }
    }
    writeln!(
        out,
        "{{\"bench\":\"native_gas\",\"worst\":\"{}\",\"ns_per_gas\":{:.3},\"seconds_per_block_of_30M_gas\":{:.3}}}",
        worst.1,
        worst.0,
        worst.0 * 0.03,
    )?;
    Ok(())
}
