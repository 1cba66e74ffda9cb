//! Seal this node's transactions into batches and push them to the other validators.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use neura_p2p::{Class, NetworkHandle};
use neura_types::ValidatorIndex;
use tokio::time::{Instant, sleep_until};

use super::{Frame, Incoming, Inlet, MAX_BATCH_BYTES};
use crate::node::{chain::Chain, workload::Workload};

/// Distance of batches that are not full: long enough for some to come together, short against a block's finality.
const SEAL_EVERY: Duration = Duration::from_millis(5);
/// What waits for a later time to be sealed is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often batches that have waited too long are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Own batches on their way to the store: when it is slow, batches become larger instead of more.
pub const MAX_UNDER_WAY: usize = 2;
/// What this node may have waiting for blocks: when ordering is slow, transactions wait in the pool, which refuses more
/// when it is full. About two blocks.
pub const MAX_OWN_BYTES: usize = 4 << 20;

/// Seals until the node stops.
pub async fn run(
    chain: Arc<Chain>,
    network: NetworkHandle,
    workload: Arc<dyn Workload>,
    inlet: Inlet,
) {
    let mut sealer = Sealer { chain, network, workload, inlet, sequence: start_of_sequence() };
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        let chain = Arc::clone(&sealer.chain);
        tokio::select! {
            () = chain.batches.sealable.notified() => {}
            _ = look.tick() => {}
            _ = sweep.tick() => {
                if sealer.inlet.send(Incoming::Sweep).await.is_err() {
                    return;
                }
            }
        }
        if !sealer.seal_all().await {
            return;
        }
    }
}

/// No two batches of a node have the same sequence, over restarts too.
fn start_of_sequence() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or_default()
}

struct Sealer {
    chain: Arc<Chain>,
    network: NetworkHandle,
    workload: Arc<dyn Workload>,
    inlet: Inlet,
    sequence: u64,
}

impl Sealer {
    /// Seals what waits, as long as there is room. Says whether the node goes on.
    async fn seal_all(&mut self) -> bool {
        while let Some(me) = self.chain.validator() {
            if !self.chain.batches.has_room(me) {
                break;
            }
            let sealed_at = Instant::now();
            let Some(bytes) = self.seal(me).await else { return false };
            if bytes == 0 {
                break;
            }
            if bytes < MAX_BATCH_BYTES / 2 {
                sleep_until(sealed_at + SEAL_EVERY).await;
            }
        }
        true
    }

    /// Seals one batch; returns its bytes, none if the node stops.
    async fn seal(&mut self, me: ValidatorIndex) -> Option<usize> {
        let items = self.workload.seal();
        if items.is_empty() {
            return Some(0);
        }
        self.sequence += 1;
        let frame = Frame::seal(me, self.sequence, items);
        let bytes = frame.bytes.len();
        // Whom it does not reach, because its queue is full, asks for it when a block names it.
        match self.network.broadcast(Class::Batch, frame.bytes.0.clone()) {
            Ok(sent) if !sent.refused.is_empty() => {
                tracing::debug!(refused = sent.refused.len(), "a batch was not sent to all");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "batch not sent"),
        }
        self.chain.batches.sealing.fetch_add(1, Ordering::AcqRel);
        self.inlet.send(Incoming::Own(frame)).await.ok().map(|()| bytes)
    }
}
