//! Read and make batches as they are sent and stored: one buffer, of which the transactions are slices.

use neura_types::{
    B256, Batch, BatchRef, Bytes, ValidatorIndex,
    codec::{self, CodecError},
    hash::{Domain, hash},
};
use serde::{Deserialize, Serialize, Serializer};

/// Most bytes of a batch's transactions: a quarter of the smallest block would be too little for the largest
/// transaction, more would hold up small frames behind it.
pub const MAX_BATCH_BYTES: usize = 256 << 10;
/// Most transactions of a batch: those of the smallest useful size fill it.
pub const MAX_BATCH_ITEMS: usize = 8_192;
/// Most bytes of an encoded batch: its transactions, their lengths, author and sequence.
pub const MAX_FRAME_BYTES: usize = MAX_BATCH_BYTES + 5 * MAX_BATCH_ITEMS + 32;

/// Why bytes are no batch.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Not the encoding of a batch.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Nothing in it, or an empty transaction, or too many of them.
    #[error("a batch of {items} transactions and {bytes} bytes, or an empty transaction in it")]
    Size {
        /// Transactions.
        items: usize,
        /// Their bytes.
        bytes: usize,
    },
}

/// An encoded batch and what a block says of it.
#[derive(Debug, Clone)]
pub struct Frame {
    /// What a block says of it.
    pub reference: BatchRef,
    /// Its encoding.
    pub bytes: Bytes,
}

/// A batch whose transactions stand in the buffer that it was read from.
#[derive(Serialize, Deserialize)]
struct Borrowed<'a> {
    author: ValidatorIndex,
    sequence: u64,
    #[serde(borrow)]
    items: Vec<Item<'a>>,
}

/// A transaction in the buffer, written as one string of bytes instead of byte by byte.
#[derive(Deserialize)]
struct Item<'a>(#[serde(borrow)] &'a [u8]);

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl AsRef<[u8]> for Item<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl Frame {
    /// Makes a batch of encoded transactions.
    pub fn seal(author: ValidatorIndex, sequence: u64, items: Vec<Bytes>) -> Self {
        let batch = Batch { author, sequence, items };
        let bytes = Bytes::from(codec::encode(&batch));
        let reference = BatchRef { digest: digest(&bytes), ..sizes(author, &batch.items) };
        Self { reference, bytes }
    }

    /// Reads a batch; does not look into its transactions.
    ///
    /// # Errors
    /// [`FrameError`]
    pub fn parse(bytes: Bytes) -> Result<Self, FrameError> {
        let batch: Borrowed<'_> = codec::decode_borrowed(&bytes, MAX_FRAME_BYTES)?;
        let total = batch.items.iter().map(|item| item.0.len()).sum();
        let size = FrameError::Size { items: batch.items.len(), bytes: total };
        let sound = (1..=MAX_BATCH_ITEMS).contains(&batch.items.len())
            && total <= MAX_BATCH_BYTES
            && batch.items.iter().all(|item| !item.0.is_empty());
        if !sound {
            return Err(size);
        }
        let reference = BatchRef { digest: digest(&bytes), ..sizes(batch.author, &batch.items) };
        Ok(Self { reference, bytes })
    }

    /// Its transactions, which share its buffer.
    pub fn items(&self) -> Vec<Bytes> {
        let batch = codec::decode_borrowed::<Borrowed<'_>>(&self.bytes, MAX_FRAME_BYTES);
        let items = batch.map(|batch| batch.items).unwrap_or_default();
        items.into_iter().map(|item| Bytes(self.bytes.0.slice_ref(item.0))).collect()
    }
}

/// [`Batch::digest`] of an encoded batch.
fn digest(bytes: &[u8]) -> B256 {
    hash(Domain::Batch, bytes)
}

fn sizes(author: ValidatorIndex, items: &[impl AsRef<[u8]>]) -> BatchRef {
    let bytes: usize = items.iter().map(|item| item.as_ref().len()).sum();
    BatchRef {
        digest: B256::ZERO,
        author,
        bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        items: u32::try_from(items.len()).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(sizes: &[usize]) -> Vec<Bytes> {
        sizes.iter().zip(1u8..).map(|(size, fill)| vec![fill; *size].into()).collect()
    }

    #[test]
    fn a_frame_reads_as_the_batch_that_it_encodes() {
        let batch = Batch { author: 3, sequence: 1 << 40, items: items(&[1, 512, 70_000]) };
        let made = Frame::seal(batch.author, batch.sequence, batch.items.clone());
        assert_eq!(made.bytes, codec::encode(&batch));
        let read = Frame::parse(made.bytes).unwrap();
        assert_eq!(read.reference, batch.reference());
        assert_eq!(read.items(), batch.items);
    }

    #[test]
    fn batches_that_are_empty_too_large_or_hold_nothing_are_refused() {
        let refused = |items| Frame::parse(Frame::seal(0, 0, items).bytes).is_err();
        assert!(refused(Vec::new()));
        assert!(refused(items(&[4, 0])));
        assert!(refused(items(&[MAX_BATCH_BYTES, 1])));
        assert!(refused(vec![Bytes::from_static(&[1]); MAX_BATCH_ITEMS + 1]));
        assert!(!refused(items(&[MAX_BATCH_BYTES])));
    }

    #[test]
    fn a_batch_has_no_second_encoding_under_another_digest() {
        let frame = Frame::seal(1, 7, items(&[3]));
        let wide = [&[0xfb, 1, 0], &frame.bytes[1..]].concat();
        assert!(Frame::parse(frame.bytes).is_ok());
        assert!(matches!(
            Frame::parse(wide.into()),
            Err(FrameError::Codec(CodecError::NotCanonical { .. }))
        ));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _refused_or_read = Frame::parse(bytes.into());
        }
    }
}
