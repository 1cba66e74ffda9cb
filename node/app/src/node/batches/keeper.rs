//! Take batches in: within quotas, verified, stored, then held.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use anyhow::{Context, Result};
use neura_storage::{Demand, StorageError};
use neura_types::{B256, Height};
use tokio::sync::mpsc::Receiver;

use super::{Batches, Frame, Held, INLET, Incoming, quota};
use crate::node::{chain::Chain, workload::Workload};

/// Blocks for which the store keeps batches that nobody named: a net under the expiry by time, for what is left from
/// before a restart.
const KEPT_UNNAMED: Height = 4_096;
/// Batches that the store drops at a time.
const EXPIRE_LIMIT: usize = 256;

/// A batch to be taken in.
struct Candidate {
    frame: Frame,
    /// It came unasked, and waits for a block.
    queue: bool,
    own: bool,
}

/// Runs on a thread of its own until the node stops. Whatever has come meanwhile is written at once.
pub async fn run(chain: Arc<Chain>, workload: Arc<dyn Workload>, mut inbox: Receiver<Incoming>) {
    while let Some(first) = inbox.recv().await {
        let mut turn = vec![first];
        while turn.len() < INLET {
            let Ok(next) = inbox.try_recv() else { break };
            turn.push(next);
        }
        if let Err(error) = take(&chain, workload.as_ref(), turn) {
            tracing::error!(error = %format!("{error:#}"), "batches cannot be kept");
            chain.failure.stop(format!("keeping batches: {error:#}"));
        }
        if chain.failure.is_stopping() {
            return;
        }
    }
}

fn take(chain: &Chain, workload: &dyn Workload, turn: Vec<Incoming>) -> Result<()> {
    let batches = &chain.batches;
    let (candidates, sweep) = sort(chain, turn);
    let own = candidates.iter().filter(|candidate| candidate.own).count();
    let candidates = store(batches, candidates)?;
    let held: Vec<(Held, bool)> = candidates
        .into_iter()
        .map(|Candidate { frame, queue, .. }| {
            let transactions = workload.verify(&frame);
            let gas =
                transactions.iter().flatten().map(|tx| tx.gas_limit).fold(0, u64::saturating_add);
            (Held { frame, transactions: transactions.into(), gas }, queue)
        })
        .collect();
    let arrived = held.len() as u64;
    let digests: Vec<B256> = held.iter().map(|(held, _)| held.frame.reference.digest).collect();
    {
        let mut index = batches.index.lock();
        let now = Instant::now();
        for (held, queue) in held {
            index.insert(held, queue, now);
        }
    }
    {
        let mut wants = batches.wants.lock();
        digests.iter().for_each(|digest| wants.remove(digest));
    }
    if arrived > 0 {
        batches.arrivals.send_modify(|count| *count += arrived);
        chain.wake.notify_one();
    }
    if own > 0 {
        batches.sealing.fetch_sub(own, Ordering::Release);
        batches.sealable.notify_one();
    }
    if sweep { expire(chain, workload) } else { Ok(()) }
}

/// Sorts out what is known, or more than its author may have.
fn sort(chain: &Chain, turn: Vec<Incoming>) -> (Vec<Candidate>, bool) {
    let limit = quota(chain.epochs.current().set.len());
    let index = chain.batches.index.lock();
    let mut candidates: Vec<Candidate> = Vec::with_capacity(turn.len());
    let mut sweep = false;
    for incoming in turn {
        let candidate = match incoming {
            Incoming::Own(frame) => Candidate { frame, queue: true, own: true },
            Incoming::Pushed(frame) => Candidate { frame, queue: true, own: false },
            Incoming::Needed(frame) => Candidate { frame, queue: false, own: false },
            Incoming::Sweep => {
                sweep = true;
                continue;
            }
        };
        let reference = candidate.frame.reference;
        let refused = match index.admit(&candidate.frame, limit) {
            Err(error) if candidate.queue && !candidate.own => Some(error),
            _ => None,
        };
        if let Some(error) = refused {
            tracing::debug!(digest = %reference.digest, author = reference.author, %error, "batch not kept");
        } else if !candidates.iter().any(|known| known.frame.reference.digest == reference.digest) {
            candidates.push(candidate);
        }
    }
    (candidates, sweep)
}

/// Writes batches to the disk. Their rows become durable with the synced write of the block that names them.
fn store(batches: &Batches, candidates: Vec<Candidate>) -> Result<Vec<Candidate>> {
    let (offered, needed): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|candidate| candidate.queue && !candidate.own);
    let mut kept = needed;
    put(batches, &kept, Demand::Needed).context("storing batches")?;
    match put(batches, &offered, Demand::Offered) {
        Ok(()) => kept.extend(offered),
        Err(StorageError::BatchSpace { held, limit }) => {
            tracing::warn!(held, limit, "batches not kept: too many wait for a block");
        }
        Err(error) => return Err(error).context("storing batches"),
    }
    Ok(kept)
}

fn put(batches: &Batches, candidates: &[Candidate], demand: Demand) -> Result<(), StorageError> {
    if candidates.is_empty() {
        return Ok(());
    }
    let rows: Vec<(B256, &[u8])> = candidates
        .iter()
        .map(|candidate| (candidate.frame.reference.digest, &candidate.frame.bytes[..]))
        .collect();
    batches.store.put_batches(&rows, demand, false)?;
    batches.store.sync_batches()
}

/// Drops what no block named in time; what is in it may be sealed again.
fn expire(chain: &Chain, workload: &dyn Workload) -> Result<()> {
    let batches = &chain.batches;
    let gone = {
        // Proposed blocks are noted before their batches are looked for, so that what they name stays.
        let named = batches.lineage.lock().all();
        batches.index.lock().expire(Instant::now(), &named)
    };
    let digests: Vec<B256> = gone.iter().map(|held| held.frame.reference.digest).collect();
    if !digests.is_empty() {
        tracing::info!(batches = digests.len(), "batches expired: no block named them");
        batches.store.delete_batches(&digests).context("dropping expired batches")?;
    }
    for held in gone {
        workload.released(&held.transactions);
    }
    let below = chain.committed_height().saturating_sub(KEPT_UNNAMED);
    batches.store.expire_batches(below, EXPIRE_LIMIT).context("dropping old batches")?;
    workload.sweep();
    Ok(())
}
