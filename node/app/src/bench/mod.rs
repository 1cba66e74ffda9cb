//! Measure this machine: whole networks with real nodes, sockets and disk, and what computes.
//!
//! Each measurement of a network runs four validators (by default) in this process, over loopback, with their data in a temporary
//! folder, and returns what was measured; the command prints it as one line of JSON.

mod calls;
mod compute;
mod evm;
mod finality;
mod network;
mod ordering;
mod replica;
mod start;
mod transfers;

pub use calls::{CallsPlan, CallsReport, calls};
pub use compute::{ComputePlan, ComputeReport, compute};
pub use evm::{AheadRatios, EvmPlan, EvmReport, Rates, evm};
pub use finality::{FinalityReport, finality};
pub use ordering::{OrderingPlan, OrderingReport, ordering};
pub use replica::{ReplicaPlan, replica};
pub use start::{StartReport, start};
pub use transfers::{TransfersPlan, TransfersReport, transfers};

/// Spread of a latency, in milliseconds.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Latency {
    /// Half are below.
    pub p50_ms: f64,
    /// 99 of 100 are below.
    pub p99_ms: f64,
    /// The highest.
    pub max_ms: f64,
}

impl Latency {
    fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = (samples.len() as f64 * share) as usize;
            samples.get(index.min(samples.len().saturating_sub(1))).copied()
        };
        Some(Self { p50_ms: at(0.5)?, p99_ms: at(0.99)?, max_ms: at(1.0)? })
    }
}
