//! Run a target on its seeds and on mutations that follow from a number, without coverage.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use neura_model::rng::Rng;

use crate::{Target, mutate};

/// Longest input made: beyond the longest seed, and short enough that thousands run in a second.
pub const MAX_INPUT_BYTES: usize = 64 << 10;
/// What one input may make a target allocate at once: the codec's own bound of 64 MiB, twice.
pub const MAX_ALLOCATED_BYTES: usize = 128 << 20;
/// Inputs kept beside the seeds: those that were long or short enough to be other ones.
const MAX_KEPT: usize = 256;

/// An input for which a target panics.
#[derive(Debug, Clone)]
pub struct Crash {
    /// The input.
    pub input: Vec<u8>,
    /// What the panic said.
    pub message: String,
}

/// Runs a target's seeds, then mutations up to so many executions. Returns how many were made.
///
/// # Errors
/// The first input for which the target panics.
pub fn drill(target: &Target, executions: u64, seed: u64) -> Result<u64, Crash> {
    let mut inputs = (target.seeds)();
    for input in &inputs {
        replay(target, input)?;
    }
    let mut rng = Rng::new(seed);
    let first = inputs.len() as u64;
    for _ in first..executions {
        let input = mutate(&inputs, MAX_INPUT_BYTES, &mut rng);
        replay(target, &input)?;
        // Mutations of mutations reach further.
        if inputs.len() < MAX_KEPT && rng.chance(2) {
            inputs.push(input);
        }
    }
    Ok(executions.max(first))
}

/// Runs a target on one input.
///
/// # Errors
/// If it panics.
pub fn replay(target: &Target, input: &[u8]) -> Result<(), Crash> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input)))
        .map_err(|panic| Crash { input: input.to_vec(), message: message(panic.as_ref()) })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
