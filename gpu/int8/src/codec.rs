//! Read and write the little-endian fields that the formats are made of.

use crate::ModelError;

/// Bytes of a header's magic.
pub(crate) const MAGIC_BYTES: usize = 8;

/// The version of all four formats.
pub(crate) const VERSION: u16 = 1;

/// A cursor over bytes that never reads past their end and never allocates on its own.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts reading `what` from `bytes`: checks its magic and version.
    pub(crate) fn open(
        what: &'static str,
        magic: &[u8; MAGIC_BYTES],
        bytes: &'a [u8],
    ) -> Result<Self, ModelError> {
        let rest = bytes.strip_prefix(magic).ok_or(ModelError::Magic { what })?;
        let mut reader = Reader { what, rest };
        match reader.u16()? {
            VERSION => Ok(reader),
            found => Err(ModelError::Version { what, found, supported: VERSION }),
        }
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], ModelError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ModelError::Truncated {
            what: self.what,
            needed: length,
            left: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `count` items of `width` bytes each, without copying.
    pub(crate) fn items(&mut self, count: usize, width: usize) -> Result<&'a [u8], ModelError> {
        // A product that overflows is certainly more than is left.
        self.take(count.saturating_mul(width))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, ModelError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, ModelError> {
        self.array().map(u16::from_le_bytes)
    }

    /// A 32-bit count as a `usize`; saturates where `usize` is smaller, which no bound accepts.
    pub(crate) fn count(&mut self) -> Result<usize, ModelError> {
        let count = self.array().map(u32::from_le_bytes)?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Reserved bytes, which must be zero.
    pub(crate) fn reserved(&mut self, length: usize) -> Result<(), ModelError> {
        if self.take(length)?.iter().any(|byte| *byte != 0) {
            return Err(ModelError::Reserved { what: self.what });
        }
        Ok(())
    }

    /// Ends reading: nothing may be left.
    pub(crate) fn finish(self) -> Result<(), ModelError> {
        match self.rest.len() {
            0 => Ok(()),
            extra => Err(ModelError::Trailing { what: self.what, extra }),
        }
    }
}

/// The bytes as `i8`, the same bits.
pub(crate) fn signed(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|byte| i8::from_le_bytes([*byte])).collect()
}

/// The bytes as little-endian `i32`; bytes that do not fill one are left out.
pub(crate) fn words(bytes: &[u8]) -> Vec<i32> {
    bytes.as_chunks().0.iter().map(|word| i32::from_le_bytes(*word)).collect()
}

/// A writer of the same fields.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Starts a value of about `capacity` bytes with its magic and version.
    pub(crate) fn open(magic: &[u8; MAGIC_BYTES], capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity);
        out.extend_from_slice(magic);
        out.extend_from_slice(&VERSION.to_le_bytes());
        Writer(out)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    /// A count as 32 bits. Every count written is bounded far below `u32::MAX` by its type.
    pub(crate) fn count(&mut self, count: usize) {
        self.bytes(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
    }

    pub(crate) fn signed(&mut self, values: &[i8]) {
        self.0.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    pub(crate) fn words(&mut self, values: &[i32]) {
        self.0.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}
