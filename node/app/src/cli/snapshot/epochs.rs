//! The chain of validator sets that travels with a snapshot: who trusts genesis checks with it who may prove the
//! snapshot, and asks nobody.
//!
//! The file `epochs` holds one record per epoch, each after its length as four bytes, lowest first.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, BufWriter, Read, Write},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use neura_storage::{EpochRecord, Store};
use neura_types::{Anchor, Epoch, codec};

use crate::node::snapshots::Trust;

const FILE: &str = "epochs";
/// Longest record: a set of 256 and two certificates of it take some 60 kB.
const MAX_RECORD: usize = 1 << 20;
/// Records read from the store at once.
const PART: usize = 64;

/// Records of epochs, by number. Nothing in them is believed before [`Epochs::lead`].
#[derive(Debug)]
pub(super) struct Epochs(BTreeMap<Epoch, EpochRecord>);

/// Writes the records up to an epoch into the folder of a snapshot.
pub(super) fn write(store: &Store, last: Epoch, folder: &Path) -> Result<()> {
    let path = folder.join(FILE);
    let writing = || format!("writing {}", path.display());
    let mut file = BufWriter::new(File::create(&path).with_context(writing)?);
    let mut from = 0;
    while from <= last {
        let part = store.epochs(from, PART)?;
        let Some(end) = part.last().map(|record| record.config.epoch) else { break };
        for record in part.iter().filter(|record| record.config.epoch <= last) {
            let bytes = codec::encode(record);
            let length = u32::try_from(bytes.len())?.to_le_bytes();
            file.write_all(&length).and_then(|()| file.write_all(&bytes)).with_context(writing)?;
        }
        from = end.saturating_add(1);
    }
    let file = file.into_inner().map_err(|error| error.into_error()).with_context(writing)?;
    file.sync_all().with_context(writing)
}

impl Epochs {
    /// Reads the records in the folder of a snapshot.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let file = File::open(&path).with_context(|| format!("reading {}", path.display()))?;
        parse(BufReader::new(file))
            .map(Self)
            .with_context(|| format!("{} holds no chain of epochs", path.display()))
    }

    /// The record of an epoch.
    pub(super) fn get(&self, epoch: Epoch) -> Result<&EpochRecord> {
        self.0.get(&epoch).with_context(|| format!("the snapshot says nothing of epoch {epoch}"))
    }

    /// What an epoch starts from, as the end of the one before says; unchecked.
    pub(super) fn anchor(&self, epoch: Epoch) -> Result<Anchor> {
        let before = self.get(epoch.saturating_sub(1))?;
        let end = before.end.as_ref().context("the snapshot does not say how an epoch ended")?;
        Ok(Anchor { view: end.block.header.view, block: end.block.id() })
    }

    /// Leads a trust along the chain to an epoch, checking each step.
    pub(super) fn lead(&self, trust: &mut Trust, to: Epoch) -> Result<()> {
        while trust.epoch() < to {
            let epoch = trust.epoch();
            let next = self.get(epoch.saturating_add(1))?.config.clone();
            trust.pass(self.get(epoch)?.clone(), &next)?;
        }
        Ok(())
    }
}

/// Reads the file that travels with a snapshot. Nothing in it is checked yet.
///
/// # Errors
/// If a record is too long or none, or the file is cut.
pub fn parse(mut file: impl Read) -> Result<BTreeMap<Epoch, EpochRecord>> {
    let mut records = BTreeMap::new();
    let mut length = [0; 4];
    while read_whole(&mut file, &mut length)? {
        let length = usize::try_from(u32::from_le_bytes(length))?;
        ensure!(length <= MAX_RECORD, "a record is longer than {MAX_RECORD} bytes");
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        let record: EpochRecord = codec::decode_limited(&bytes, MAX_RECORD)?;
        records.insert(record.config.epoch, record);
    }
    Ok(records)
}

/// Fills the buffer; false at the end of the file.
fn read_whole(file: &mut impl Read, buffer: &mut [u8; 4]) -> Result<bool> {
    let mut begun = [0; 1];
    if file.read(&mut begun)? == 0 {
        return Ok(false);
    }
    let [first, rest @ ..] = buffer;
    *first = begun[0];
    file.read_exact(rest)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_chain_of_epochs_is_refused_without_reading_it_into_memory() {
        assert!(parse(&[][..]).unwrap().is_empty());
        for bytes in [&[1][..], &[4, 0, 0, 0, 1], &[0xff; 64], &[0, 0, 0, 0]] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
        let error = parse(std::io::repeat(0xff)).unwrap_err().to_string();
        assert!(error.contains("longer than"), "{error}");
    }
}
