//! Decide what a safety file proves. The argument stands in the module above.

use super::{
    Damage,
    layout::{FILE_BYTES, LEAST_SECTORS, SLOT_BYTES, Sector, decode_slot, whole_record},
};

/// What can be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No newer record was acknowledged.
    Newest {
        /// Slot that holds it.
        slot: usize,
        /// Its sequence.
        sequence: u64,
        /// Highest sequence in any sound sector.
        highest: u64,
        /// Its bytes.
        record: Vec<u8>,
    },
    /// A newer record may have been.
    Damaged(Damage),
}

pub(super) fn judge(file: &[u8]) -> Verdict {
    if file.len() != FILE_BYTES {
        return Verdict::Damaged(Damage::Length { found: file.len() as u64 });
    }
    let (first, second) = file.split_at(SLOT_BYTES);
    let slots = [decode_slot(0, first), decode_slot(1, second)];
    let newest = slots
        .iter()
        .enumerate()
        .filter_map(|(slot, sectors)| {
            whole_record(sectors).map(|(sequence, record)| (sequence, slot, record))
        })
        .max_by_key(|(sequence, ..)| *sequence);
    let Some((sequence, slot, record)) = newest else {
        return Verdict::Damaged(Damage::NoWholeSlot);
    };
    let other = &slots[1 - slot];
    let highest = other.iter().flatten().map(|sector| sector.sequence).fold(sequence, u64::max);
    if newest_was_torn(other, sequence) {
        Verdict::Newest { slot, sequence, highest, record }
    } else {
        Verdict::Damaged(Damage::NewerMayBeLost { whole: sequence })
    }
}

/// Whether no record above `whole` can have been acknowledged in a slot: a sector that it must have filled is older.
fn newest_was_torn(sectors: &[Option<Sector<'_>>], whole: u64) -> bool {
    let sound = || sectors.iter().flatten();
    let newest = sound().filter(|sector| sector.sequence > whole).max_by_key(|s| s.sequence);
    let (sequence, filled) =
        newest.map_or((whole, LEAST_SECTORS), |sector| (sector.sequence, sector.filled()));
    sectors.iter().take(filled).flatten().any(|sector| sector.sequence < sequence)
}
