//! What the node counts, as Prometheus reads it.

use std::sync::{Arc, atomic::Ordering};

use neura_p2p::NetworkHandle;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
    registry::Registry,
};

use super::chain::Chain;

/// Registers the node's metrics.
pub fn register(registry: &mut Registry, chain: &Arc<Chain>, network: &NetworkHandle) {
    network.metrics().register(registry);
    registry
        .sub_registry_with_prefix("neura")
        .register_collector(Box::new(ChainMetrics(Arc::clone(chain))));
}

/// Reads the chain's progress when it is asked.
#[derive(Debug)]
struct ChainMetrics(Arc<Chain>);

impl Collector for ChainMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let chain = &self.0;
        let consensus = chain.consensus();
        let mut gauges = vec![
            ("committed_height", "Height of the newest final block.", chain.committed_height()),
            ("executed_height", "Height of the newest executed block.", chain.executed_height()),
            (
                "certified_height",
                "Highest height with a certified result.",
                chain.certified_height(),
            ),
            (
                "evidence",
                "Validators found to contradict themselves since the start.",
                chain.evidence.load(Ordering::Relaxed),
            ),
            ("mempool_transactions", "Transactions that wait.", chain.mempool.lock().len() as u64),
        ];
        if let Some(status) = consensus {
            gauges.extend([
                ("view", "Current view.", status.view),
                ("high_qc_view", "View of the highest quorum certificate.", status.high_qc_view),
                (
                    "timeouts_since_commit",
                    "Views given up since the newest final block.",
                    status.timeouts_since_commit.into(),
                ),
                ("tree_blocks", "Blocks above the newest final one.", status.tree_blocks as u64),
                ("orphan_blocks", "Blocks whose parent is missing.", status.orphan_blocks as u64),
                ("epoch", "Epoch that consensus is in.", status.epoch),
                ("signs", "1 if this node signs.", u64::from(!status.observing)),
            ]);
        }
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
