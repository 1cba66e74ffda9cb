//! Decide what a safety file proves. The argument stands in the module above.

use super::{
    Damage,
    layout::{FILE_BYTES, SLOT_BYTES, Sector, decode_slot, whole_record},
};

/// What can be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No newer record was acknowledged.
    Newest {
        /// Slot that holds it.
        slot: usize,
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
    let other = sequences(&slots[1 - slot]);
    let highest = other.iter().copied().max().unwrap_or(0).max(sequence);
    if other.iter().any(|sequence| *sequence < highest) {
        Verdict::Newest { slot, highest, record }
    } else {
        Verdict::Damaged(Damage::NewerMayBeLost { whole: sequence })
    }
}

/// Sequences of a slot's sound sectors.
fn sequences(sectors: &[Option<Sector<'_>>]) -> Vec<u64> {
    sectors.iter().flatten().map(|sector| sector.sequence).collect()
}
