//! Complete an import: compare what was followed with what the state says, and begin the chain.

use anyhow::{Context, Result, ensure};
use neura_storage::{EpochRecord, SnapshotImport};
use neura_types::{Block, Epoch, StateRead};

use super::Trust;

/// Begins the chain in the store, after a state that is there as a whole. All that the node needs to go on is written at
/// once; before that, nothing is.
///
/// # Errors
/// If the state knows other epochs than the trusted ones, `base` is not the block that the state follows, or the disk
/// fails.
pub(crate) fn complete(
    import: &SnapshotImport,
    trust: &Trust,
    genesis: &Block,
    base: &Block,
) -> Result<()> {
    let epochs = records(&import.state()?, trust, base)?;
    import.finish(genesis, base, &epochs)?;
    Ok(())
}

/// The epochs that ended with the base or before, and the one that goes on after it.
fn records(state: &impl StateRead, trust: &Trust, base: &Block) -> Result<Vec<EpochRecord>> {
    let present = base.header.epoch;
    compare(state, trust, present)?;
    let has_ended =
        |record: &EpochRecord| record.end.is_some() && record.config.last <= base.header.height;
    let ended = trust.records().filter(has_ended);
    let mut records: Vec<EpochRecord> = ended.collect();
    if records.iter().all(|record| record.config.epoch != present) {
        let config = neura_runtime::epoch_config(state, present)?;
        let config =
            config.with_context(|| format!("the state says nothing of epoch {present}"))?;
        records.push(EpochRecord { config, end: None });
    }
    Ok(records)
}

/// Compares the epochs followed with those in the state: both are certified, but an epoch that was trusted without
/// following is so by this alone.
fn compare(state: &impl StateRead, trust: &Trust, present: Epoch) -> Result<()> {
    for told in trust.records().map(|record| record.config) {
        let known = neura_runtime::epoch_config(state, told.epoch)?;
        // The state forgets old epochs, and does not know those to come; the ones around it, it knows.
        let unknown = told.epoch.abs_diff(present) > 1;
        ensure!(
            known.map_or(unknown, |known| known == told),
            "the snapshot tells of epoch {} otherwise than its own state: remove the data folder and take another one",
            told.epoch
        );
    }
    Ok(())
}
