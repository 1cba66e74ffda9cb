//! What a target is.

use crate::targets;

/// One thing that is fed with bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, as `scripts/fuzz` takes it.
    pub name: &'static str,
    /// Panics if what must hold does not.
    pub run: fn(&[u8]),
    /// Real inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// A target.
    pub const fn new(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Self {
        Self { name, run, seeds }
    }
}

/// The target of a name.
pub fn find(name: &str) -> Option<Target> {
    targets::all().find(|target| target.name == name)
}
