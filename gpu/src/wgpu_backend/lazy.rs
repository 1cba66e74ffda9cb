//! Compile kernels when they are first used.

use super::context::Run;
use std::{array, sync::OnceLock};

/// So many kernels.
#[derive(Debug)]
pub(super) struct Lazy<const COUNT: usize>([OnceLock<wgpu::ComputePipeline>; COUNT]);

impl<const COUNT: usize> Lazy<COUNT> {
    pub(super) fn new() -> Self {
        Lazy(array::from_fn(|_| OnceLock::new()))
    }

    /// The kernel at a place, of this name and source.
    pub(super) fn get(
        &self,
        run: &Run<'_>,
        place: usize,
        (name, source): (&str, &str),
    ) -> &wgpu::ComputePipeline {
        self.0[place].get_or_init(|| run.pipeline(name, source))
    }
}
