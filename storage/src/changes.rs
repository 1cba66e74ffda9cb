//! Rows of `changed` and `history`: values of flat keys, one after the other.
//!
//! A value stands after its length in one byte; none has length zero, which is that of nothing. So does a flat key.

use neura_types::Height;

use crate::{columns::Column, error::StorageError};

/// A flat key with what it holds; none if nothing.
pub(crate) type KeyValue<'a> = (&'a [u8], Option<&'a [u8]>);
/// What a key held before the block of a height; none if nothing.
pub(crate) type Earlier<'a> = (Height, Option<&'a [u8]>);

/// A row of `changed`: keys with what a block left in them.
pub(crate) fn pack_changes<'a>(changes: impl Iterator<Item = KeyValue<'a>>) -> Vec<u8> {
    let mut row = Vec::new();
    for (key, value) in changes {
        append(&mut row, key);
        append(&mut row, value.unwrap_or_default());
    }
    row
}

/// The keys and values of a row of `changed`.
pub(crate) fn unpack_changes(mut row: &[u8]) -> Result<Vec<KeyValue<'_>>, StorageError> {
    let mut changes = Vec::new();
    while !row.is_empty() {
        let key = split(Column::Changed, &mut row)?;
        let value = split(Column::Changed, &mut row)?;
        changes.push((key, (!value.is_empty()).then_some(value)));
    }
    Ok(changes)
}

/// Adds to a row of `history` what a key held before a block, above those in the row.
pub(crate) fn append_earlier(row: &mut Vec<u8>, (height, value): Earlier<'_>) {
    row.extend_from_slice(&height.to_be_bytes());
    append(row, value.unwrap_or_default());
}

/// What a row of `history` says that the key held before the first block above a height; none if it names no such block.
pub(crate) fn before_next(
    mut row: &[u8],
    above: Height,
) -> Result<Option<Option<&[u8]>>, StorageError> {
    while let Some((height, rest)) = row.split_first_chunk() {
        row = rest;
        let value = split(Column::History, &mut row)?;
        if Height::from_be_bytes(*height) > above {
            return Ok(Some((!value.is_empty()).then_some(value)));
        }
    }
    if row.is_empty() { Ok(None) } else { Err(cut(Column::History)) }
}

/// No key or value is longer than a byte counts: the longest key, of a word, has 53 bytes, an account's value about 80.
fn append(row: &mut Vec<u8>, bytes: &[u8]) {
    row.push(bytes.len() as u8);
    row.extend_from_slice(bytes);
}

fn split<'a>(column: Column, row: &mut &'a [u8]) -> Result<&'a [u8], StorageError> {
    let (length, rest) = row.split_first().ok_or_else(|| cut(column))?;
    let (bytes, rest) = rest.split_at_checked(usize::from(*length)).ok_or_else(|| cut(column))?;
    *row = rest;
    Ok(bytes)
}

fn cut(column: Column) -> StorageError {
    StorageError::Corrupt { column: column.name(), reason: "a row of values is cut".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back_and_a_cut_row_is_damage() {
        let changes: [KeyValue<'_>; 3] =
            [(b"a", Some(b"1")), (&[7; 53], None), (b"c", Some(&[9; 200]))];
        let row = pack_changes(changes.into_iter());
        assert_eq!(unpack_changes(&row).expect("whole"), changes);
        for length in [1, 2, row.len() - 1] {
            let cut = unpack_changes(&row[..length]);
            assert!(matches!(cut, Err(StorageError::Corrupt { .. })), "{length}: {cut:?}");
        }
    }

    #[test]
    fn an_earlier_value_is_that_before_the_next_change() {
        let mut row = Vec::new();
        for earlier in [(3, None), (5, Some(&b"five"[..])), (9, Some(b"nine"))] {
            append_earlier(&mut row, earlier);
        }
        let before = |above| before_next(&row, above).expect("whole");
        assert_eq!([before(0), before(2)], [Some(None); 2]);
        assert_eq!([before(3), before(4)], [Some(Some(&b"five"[..])); 2]);
        assert_eq!([before(5), before(8)], [Some(Some(&b"nine"[..])); 2]);
        assert_eq!([before(9), before(Height::MAX)], [None; 2]);
        assert!(before_next(&row[..row.len() - 1], 9).is_err());
        assert!(before_next(&row[..4], 0).is_err());
    }
}
