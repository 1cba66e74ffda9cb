//! Read and write the little-endian fields that the formats are made of.

use crate::{MAX_NAME, ModelError, num};

/// Bytes of a header's magic.
pub(crate) const MAGIC_BYTES: usize = 8;

/// The version of all formats.
pub(crate) const VERSION: u16 = 2;

/// Bytes of a header: magic, version and a reserved field.
pub(crate) const HEADER_BYTES: usize = 12;

/// A cursor over bytes that never reads past their end and never allocates on its own.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts reading `what` from `bytes`: checks its magic, version and reserved field.
    pub(crate) fn open(
        what: &'static str,
        magic: &[u8; MAGIC_BYTES],
        bytes: &'a [u8],
    ) -> Result<Self, ModelError> {
        let rest = bytes.strip_prefix(magic).ok_or(ModelError::Magic { what })?;
        let mut reader = Reader { what, rest };
        match reader.u16()? {
            VERSION => reader.reserved(2).map(|()| reader),
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

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
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

    pub(crate) fn u32(&mut self) -> Result<u32, ModelError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, ModelError> {
        self.array().map(i32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, ModelError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A byte that is 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, ModelError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(ModelError::Kind { what: "a flag", found }),
        }
    }

    /// A 32-bit count as a `usize`.
    pub(crate) fn count(&mut self) -> Result<usize, ModelError> {
        self.u32().map(num::size)
    }

    /// A 32-bit count within `min..=max`.
    pub(crate) fn bounded(
        &mut self,
        what: &'static str,
        min: usize,
        max: usize,
    ) -> Result<usize, ModelError> {
        crate::error::bounded(what, self.count()?, min, max)
    }

    /// A name: printable ASCII, at most [`MAX_NAME`] bytes, not empty.
    pub(crate) fn name(&mut self) -> Result<String, ModelError> {
        let length = usize::from(self.u8()?);
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        check_name(&text).map(|()| text)
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

/// Checks that a text can be a name.
pub(crate) fn check_name(text: &str) -> Result<(), ModelError> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if printable && !text.is_empty() && text.len() <= MAX_NAME {
        return Ok(());
    }
    Err(ModelError::Name { name: text.chars().take(MAX_NAME).collect() })
}

/// A writer of the same fields.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Starts a value of about `capacity` bytes with its header.
    pub(crate) fn open(magic: &[u8; MAGIC_BYTES], capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity);
        out.extend_from_slice(magic);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        Writer(out)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.u32(num::word(count));
    }

    /// A name, checked when its owner was made.
    pub(crate) fn name(&mut self, name: &str) {
        self.u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
        self.bytes(name.as_bytes());
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}
