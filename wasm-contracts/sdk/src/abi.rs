//! Read and write Solidity's encoding.

use alloc::vec::Vec;

use crate::word::{Address, Word};

/// Arguments or results that are not what they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// Encoded values, read one after the other.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads values from the beginning of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next word.
    pub fn word(&mut self) -> Result<Word, Malformed> {
        let end = self.at.checked_add(32).ok_or(Malformed)?;
        let word = self.bytes.get(self.at..end).and_then(|word| word.try_into().ok());
        self.at = end;
        word.map(Word).ok_or(Malformed)
    }

    /// The next word as a number.
    pub fn u128(&mut self) -> Result<u128, Malformed> {
        self.word()?.as_u128()
    }

    /// The next word as a number.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.word()?.as_u64()
    }

    /// The next word as an address.
    pub fn address(&mut self) -> Result<Address, Malformed> {
        self.word()?.as_address()
    }

    /// Leaves words out.
    pub fn skip(&mut self, words: usize) -> Result<(), Malformed> {
        let bytes = words.checked_mul(32).ok_or(Malformed)?;
        self.at = self.at.checked_add(bytes).ok_or(Malformed)?;
        Ok(())
    }

    /// Follows the next word, an offset from the beginning of these values, to what it points at: the elements of a
    /// dynamic struct.
    pub fn follow(&mut self) -> Result<Reader<'a>, Malformed> {
        let offset = usize::try_from(self.u64()?).map_err(|_| Malformed)?;
        Ok(Reader::new(self.bytes.get(offset..).ok_or(Malformed)?))
    }

    /// The bytes that the next word points at.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let mut inner = self.follow()?;
        let length = usize::try_from(inner.u64()?).map_err(|_| Malformed)?;
        inner.bytes.get(32..).and_then(|rest| rest.get(..length)).ok_or(Malformed)
    }

    /// The words that the next word points at, after their number.
    pub fn list(&mut self) -> Result<impl Iterator<Item = Word> + use<'a>, Malformed> {
        let mut inner = self.follow()?;
        let length = usize::try_from(inner.u64()?).map_err(|_| Malformed)?;
        let end =
            length.checked_mul(32).and_then(|bytes| bytes.checked_add(32)).ok_or(Malformed)?;
        let words = inner.bytes.get(32..end).ok_or(Malformed)?;
        Ok(words.chunks_exact(32).filter_map(|word| word.try_into().ok().map(Word)))
    }

    /// All that has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

/// Values being encoded.
#[derive(Clone, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// No values.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The call of a function.
    pub fn call(selector: [u8; 4]) -> Self {
        Self(selector.to_vec())
    }

    /// A word.
    pub fn word(mut self, word: Word) -> Self {
        self.0.extend_from_slice(&word.0);
        self
    }

    /// A number.
    pub fn number(self, value: impl Into<u128>) -> Self {
        self.word(Word::number(value.into()))
    }

    /// An address.
    pub fn address(self, address: Address) -> Self {
        self.word(Word::address(address))
    }

    /// Bytes as they are, such as values encoded elsewhere.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Bytes, as the only value or the last of values of one word each that `words` counts, its own offset included.
    pub fn tail(self, words: u64, bytes: &[u8]) -> Self {
        let padding = bytes.len().next_multiple_of(32) - bytes.len();
        self.number(words * 32).number(bytes.len() as u64).raw(bytes).raw(&[0; 32][..padding])
    }

    /// The encoding.
    pub fn done(self) -> Vec<u8> {
        self.0
    }
}
