//! Start from a snapshot that peers serve: choose one that is proved, fetch it, begin the chain after it.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use futures::{StreamExt, stream::FuturesUnordered};
use neura_p2p::{NetworkHandle, PeerId};
use neura_storage::{EpochRecord, Manifest, SnapshotImport, Store};
use neura_types::{Block, Bytes, Genesis, Height, codec};
use tokio::time::Instant;

use super::{
    chunks,
    complete::complete,
    sources::Sources,
    trust::Trust,
    wire::{Epochs, MAX_EPOCHS, SnapshotRequest},
};

/// Pause when no peer has what is needed.
const RETRY: Duration = Duration::from_millis(500);
/// Rounds without a snapshot on offer before the node gives up: a minute.
const MAX_IDLE_ROUNDS: usize = 120;
/// Rounds with peers before an offer is taken: who is connected first need not have the newest snapshot.
const FIRST_ROUNDS: usize = 4;
/// Rounds with peers in which none serves the snapshot that was begun, before another one takes its place.
const BEGUN_ROUNDS: usize = 10;
/// How long offers are gathered, if not everyone answers at once.
const OFFER_WAIT: Duration = Duration::from_secs(3);

/// How often the snapshots of a height came to nothing.
type Failures = BTreeMap<Height, u32>;

/// Fills a fresh store from a snapshot of the chain; goes on where an earlier run stopped, as long as somebody serves what
/// it began. Waits for peers that serve one, and turns to another if they give up the one that was chosen.
///
/// # Errors
/// If no peer serves a snapshot for a minute, or the disk fails.
pub async fn import(
    store: &Store,
    genesis: &Genesis,
    genesis_block: &Block,
    network: &NetworkHandle,
) -> Result<()> {
    let sources = Sources::new(network.clone());
    let mut trust = Trust::genesis(genesis, genesis_block.id())?;
    let mut failures = Failures::new();
    loop {
        let (manifest, base) = choose(&sources, store, &mut trust, &failures).await?;
        let height = manifest.height();
        let import = Arc::new(SnapshotImport::begin(store, manifest)?);
        tracing::info!(height, chunks = import.chunks(), "importing a snapshot");
        if chunks::fetch(&sources, &import).await? {
            return complete(&import, &trust, genesis_block, &base);
        }
        tracing::warn!(height, "nobody serves the rest of the snapshot: looking for another one");
        *failures.entry(height).or_default() += 1;
    }
}

/// A snapshot that is proved to be the chain's and the block that its state follows: the one that was begun, while somebody
/// serves it, or the newest.
async fn choose(
    sources: &Sources,
    store: &Store,
    trust: &mut Trust,
    failures: &Failures,
) -> Result<(Manifest, Block)> {
    let begun = SnapshotImport::resume(store)?.map(|import| import.manifest().clone());
    let begun = begun.filter(|manifest| !failures.contains_key(&manifest.height()));
    let mut rounds_with_peers = 0;
    for _ in 0..MAX_IDLE_ROUNDS {
        if let Some(manifest) = &begun {
            let block = base(sources, manifest).await;
            if let Some(block) = block
                && follow(sources, trust, manifest).await
                && trust.check(manifest).is_ok()
            {
                return Ok((manifest.clone(), block));
            }
        }
        let rounds = if begun.is_some() { BEGUN_ROUNDS } else { FIRST_ROUNDS };
        if rounds_with_peers >= rounds {
            let offers = offers(sources, failures).await;
            if let Some(chosen) = first_proved(sources, trust, offers).await {
                return Ok(chosen);
            }
        }
        rounds_with_peers += usize::from(!sources.peers().is_empty());
        tokio::time::sleep(RETRY).await;
    }
    bail!(
        "no peer serves a snapshot of this chain: start without --snapshot-sync, or name a peer that makes snapshots"
    )
}

/// What the peers offer: what never failed first, then the newest.
async fn offers(sources: &Sources, failures: &Failures) -> Vec<(PeerId, Manifest)> {
    let ask = |peer| async move {
        (peer, sources.ask::<Option<Bytes>>(peer, SnapshotRequest::Newest).await.flatten())
    };
    let mut answers: FuturesUnordered<_> = sources.peers().into_iter().map(ask).collect();
    let deadline = Instant::now() + OFFER_WAIT;
    let mut offers = Vec::new();
    while let Ok(Some((peer, answer))) = tokio::time::timeout_at(deadline, answers.next()).await {
        match answer.map(|bytes| Manifest::decode(&bytes)) {
            Some(Ok(manifest)) => offers.push((peer, manifest)),
            Some(Err(error)) => sources.accuse(peer, "a broken snapshot", &error),
            None => {}
        }
    }
    offers.sort_by_key(|(_, manifest)| {
        let height = manifest.height();
        (failures.get(&height).copied().unwrap_or_default(), Reverse(height))
    });
    offers
}

/// The first of some offers that is the chain's and whose block somebody has.
async fn first_proved(
    sources: &Sources,
    trust: &mut Trust,
    offers: Vec<(PeerId, Manifest)>,
) -> Option<(Manifest, Block)> {
    let mut followed = true;
    for (peer, manifest) in offers {
        // Where the known epochs end is found out once, however many offers lie beyond.
        followed = followed || trust.before(&manifest).is_none();
        if !followed || !follow(sources, trust, &manifest).await {
            followed = false;
            continue;
        }
        match trust.check(&manifest) {
            Ok(()) => {
                if let Some(block) = base(sources, &manifest).await {
                    return Some((manifest, block));
                }
            }
            Err(error) => {
                sources.accuse(peer, "a snapshot that is not proved", &format!("{error:#}"));
            }
        }
    }
    None
}

/// Follows the epochs to that of a snapshot; false if no peer knows them. Anybody's record of an epoch is good for that:
/// each is proved by the one before.
async fn follow(sources: &Sources, trust: &mut Trust, manifest: &Manifest) -> bool {
    while let Some(from) = trust.before(manifest) {
        let request = SnapshotRequest::Epochs { from };
        let take = |peer, records: Epochs| {
            if let Err(error) = pass(trust, &records) {
                sources.accuse(peer, "false epochs", &format!("{error:#}"));
            }
            (trust.epoch() > from).then_some(())
        };
        if sources.first(request, take).await.is_none() {
            return false;
        }
    }
    true
}

/// Passes the epochs that ended among a peer's records.
fn pass(trust: &mut Trust, encoded: &Epochs) -> Result<()> {
    let records = encoded.iter().take(MAX_EPOCHS).map(|bytes| codec::decode::<EpochRecord>(bytes));
    let records = records.collect::<Result<Vec<_>, _>>()?;
    let next: Vec<_> = records.iter().skip(1).map(|record| record.config.clone()).collect();
    for (record, next) in records.into_iter().zip(&next) {
        // A node that began with a trusted checkpoint does not have the earliest ones, none has the end of the newest.
        if record.config.epoch != trust.epoch() || record.end.is_none() {
            break;
        }
        trust.pass(record, next)?;
    }
    Ok(())
}

/// The block after which the state of a snapshot stands.
async fn base(sources: &Sources, manifest: &Manifest) -> Option<Block> {
    let (_, wanted) = manifest.block()?;
    let request = SnapshotRequest::Base { height: manifest.height() };
    let take = |peer, answer: Option<Bytes>| {
        let block = codec::decode::<Block>(&answer?).ok();
        let right = block.filter(|block| block.id() == wanted && block.payload_matches());
        if right.is_none() {
            sources.accuse(peer, "a wrong block", &"it is not the final one of its height");
        }
        right
    };
    sources.first(request, take).await
}
