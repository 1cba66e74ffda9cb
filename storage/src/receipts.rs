//! The receipts of a block in one row, so that a transaction costs no row of its own, and each can be read alone.
//!
//! A row is the number of receipts (4 bytes), a table with three numbers for each (12 bytes), and the encoded list of
//! `Receipt`s, whose hash is the block's receipts root. The numbers are where its encoding begins in the list, the
//! position of its transaction in the payload, and how many logs the block has before its own. All are little-endian.

use alloy_primitives::B256;
use neura_types::{Height, Receipt, block::encoded_receipts_root, codec};

use crate::{
    columns::{Column, height_key},
    error::StorageError,
    store::Inner,
};

/// Bytes of the number of receipts.
const COUNT_BYTES: usize = 4;

/// What the table says of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    start: u32,
    payload_index: u32,
    first_log: u32,
}

impl Entry {
    const BYTES: usize = 12;

    fn write(self, row: &mut Vec<u8>) {
        for number in [self.start, self.payload_index, self.first_log] {
            row.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn read(bytes: &[u8; Self::BYTES]) -> Self {
        let number = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self { start: number(0), payload_index: number(4), first_log: number(8) }
    }
}

/// The row of a block's receipts, with their root. `included` has the position in the payload of each.
pub(crate) fn encode_receipts(receipts: &[Receipt], included: &[u32]) -> (Vec<u8>, B256) {
    let mut list = codec::encode(&(receipts.len() as u64));
    let mut row = Vec::with_capacity(COUNT_BYTES + Entry::BYTES * receipts.len());
    row.extend_from_slice(&(receipts.len() as u32).to_le_bytes());
    let mut first_log = 0u32;
    for (receipt, payload_index) in receipts.iter().zip(included) {
        // A block's gas bounds its receipts far below 4 GiB.
        let entry = Entry { start: list.len() as u32, payload_index: *payload_index, first_log };
        entry.write(&mut row);
        codec::append(&mut list, receipt);
        first_log = first_log.saturating_add(receipt.logs.len() as u32);
    }
    let root = encoded_receipts_root(&list);
    row.extend_from_slice(&list);
    (row, root)
}

/// A row of receipts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiptRow<'a> {
    table: &'a [[u8; Entry::BYTES]],
    list: &'a [u8],
}

impl<'a> ReceiptRow<'a> {
    /// Splits a row into its parts; none if it is cut.
    pub(crate) fn parse(row: &'a [u8]) -> Option<Self> {
        let (count, rest) = row.split_first_chunk::<COUNT_BYTES>()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (table, list) = rest.split_at_checked(count.checked_mul(Entry::BYTES)?)?;
        Some(Self { table: table.as_chunks().0, list })
    }

    /// A receipt, the position of its transaction in the payload, and the number of logs before its own; none if there is
    /// no such receipt.
    pub(crate) fn get(&self, index: u32) -> Option<(Receipt, u32, u32)> {
        let index = usize::try_from(index).ok()?;
        let entry = Entry::read(self.table.get(index)?);
        let end = match self.table.get(index + 1) {
            Some(next) => Entry::read(next).start as usize,
            None => self.list.len(),
        };
        let receipt = codec::decode(self.list.get(entry.start as usize..end)?).ok()?;
        Some((receipt, entry.payload_index, entry.first_log))
    }

    /// All receipts; none if the list is damaged.
    pub(crate) fn all(&self) -> Option<Vec<Receipt>> {
        let receipts: Vec<Receipt> = codec::decode(self.list).ok()?;
        (receipts.len() == self.table.len()).then_some(receipts)
    }

    /// Number of receipts.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.table.len()).unwrap_or(u32::MAX)
    }

    /// The row that these receipts make: the same for a sound row.
    #[cfg(test)]
    pub(crate) fn again(&self) -> Option<Vec<u8>> {
        let included: Vec<u32> =
            self.table.iter().map(|entry| Entry::read(entry).payload_index).collect();
        Some(encode_receipts(&self.all()?, &included).0)
    }
}

impl Inner {
    /// Reads the row of a block's receipts; none if it has no receipts, or they are not kept.
    pub(crate) fn receipt_row<T>(
        &self,
        height: Height,
        read: impl FnOnce(ReceiptRow<'_>) -> Option<T>,
    ) -> Result<Option<T>, StorageError> {
        let column = Column::Receipts;
        let row = self.db().get_pinned_cf(self.cf(column)?, height_key(height));
        let Some(row) = row.map_err(|e| self.read_failed(column, e))? else { return Ok(None) };
        let value = ReceiptRow::parse(&row).and_then(read);
        value.map(Some).ok_or_else(|| StorageError::Corrupt {
            column: column.name(),
            reason: format!("the receipts of block {height} are damaged"),
        })
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes, U256};
    use neura_types::{Log, block::receipts_root};
    use proptest::prelude::*;

    use super::*;

    fn receipt(logs: usize) -> Receipt {
        let log = Log { address: Address::ZERO, topics: vec![B256::ZERO], data: Bytes::new() };
        Receipt {
            tx_hash: B256::repeat_byte(logs as u8),
            tx_type: 2,
            from: Address::ZERO,
            to: None,
            contract: None,
            success: true,
            gas_used: 21_000,
            cumulative_gas_used: 21_000,
            effective_gas_price: U256::from(7),
            logs: vec![log; logs],
            revert_data: Bytes::new(),
        }
    }

    proptest! {
        #[test]
        fn receipts_come_back_one_by_one_and_together(
            logs in proptest::collection::vec(0usize..4, 0..300),
        ) {
            let receipts: Vec<Receipt> = logs.iter().map(|logs| receipt(*logs)).collect();
            let included: Vec<u32> = (0u32..).map(|n| 3 * n).take(receipts.len()).collect();
            let (row, root) = encode_receipts(&receipts, &included);
            prop_assert_eq!(root, receipts_root(&receipts));
            let parsed = ReceiptRow::parse(&row).expect("whole");
            let mut before = 0;
            for (receipt, index) in receipts.iter().zip(0u32..) {
                prop_assert_eq!(parsed.get(index), Some((receipt.clone(), 3 * index, before)));
                before += receipt.logs.len() as u32;
            }
            prop_assert_eq!(parsed.get(receipts.len() as u32), None);
            prop_assert_eq!(parsed.all(), Some(receipts));
            prop_assert_eq!(parsed.again(), Some(row));
        }

        #[test]
        fn arbitrary_bytes_are_no_receipts_or_some(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            index in any::<u32>(),
        ) {
            if let Some(row) = ReceiptRow::parse(&bytes) {
                let (one, all) = (row.get(index % 8), row.all());
                prop_assert!(one.is_none() || row.table.len() > (index % 8) as usize);
                prop_assert!(all.is_none_or(|all| all.len() == row.table.len()));
            }
        }
    }
}
