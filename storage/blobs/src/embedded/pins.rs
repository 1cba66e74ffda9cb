//! Why a blob is kept, and the sidecar file that says so.
//!
//! ```text
//! neura-pins 1
//! <until height> <reason>        one line per pin, by reason
//! check <BLAKE3 of all the above, 64 hex>
//! ```
//!
//! The file is replaced as a whole, so a crash leaves the old or the new one.

use crate::{
    error::BlobError,
    limits::{MAX_PIN_REASON_BYTES, MAX_PINS_PER_BLOB},
};
use std::{collections::BTreeMap, fmt::Write as _};

const HEADER: &str = "neura-pins 1\n";
const CHECK: &str = "check ";
/// A `u64` has at most 20 digits.
const MAX_LINE_BYTES: usize = 20 + 1 + MAX_PIN_REASON_BYTES + 1;

/// Largest pin file: header, every pin, check line.
pub(super) const MAX_FILE_BYTES: u64 =
    (HEADER.len() + MAX_PINS_PER_BLOB * MAX_LINE_BYTES + CHECK.len() + 64 + 1) as u64;

/// The pins of one blob: reason to last height.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pins(BTreeMap<Box<str>, u64>);

impl Pins {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Height of the longest pin.
    pub(super) fn longest(&self) -> Option<u64> {
        self.0.values().copied().max()
    }

    /// Height of the pin that ends first.
    pub(super) fn soonest(&self) -> Option<u64> {
        self.0.values().copied().min()
    }

    /// The longest pin, for a message.
    pub(super) fn strongest(&self) -> Option<(&str, u64)> {
        self.0.iter().max_by_key(|(_, until)| **until).map(|(reason, until)| (&**reason, *until))
    }

    /// Adds or prolongs a pin; tells whether anything changed.
    pub(super) fn add(&mut self, reason: &str, until_height: u64) -> Result<bool, BlobError> {
        let invalid = |problem| Err(BlobError::InvalidPin { problem });
        if !is_reason(reason) {
            return invalid(format!(
                "a reason has 1 to {MAX_PIN_REASON_BYTES} visible ASCII characters without spaces"
            ));
        }
        let full = self.0.len() >= MAX_PINS_PER_BLOB;
        match self.0.get_mut(reason) {
            Some(until) if *until >= until_height => Ok(false),
            Some(until) => {
                *until = until_height;
                Ok(true)
            }
            None if full => {
                invalid(format!("the blob already has {MAX_PINS_PER_BLOB} pins; unpin one first"))
            }
            None => {
                self.0.insert(reason.into(), until_height);
                Ok(true)
            }
        }
    }

    /// Removes a pin; tells whether it was there.
    pub(super) fn remove(&mut self, reason: &str) -> bool {
        self.0.remove(reason).is_some()
    }

    /// Drops pins that ended before `height`; returns how many.
    pub(super) fn expire(&mut self, height: u64) -> usize {
        let before = self.0.len();
        self.0.retain(|_, until| *until >= height);
        before - self.0.len()
    }

    pub(super) fn to_file(&self) -> String {
        let mut text = String::from(HEADER);
        for (reason, until) in &self.0 {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{until} {reason}");
        }
        let check = blake3::hash(text.as_bytes()).to_hex();
        text + CHECK + check.as_str() + "\n"
    }

    /// Reads a sidecar file; the error says what is wrong with it.
    pub(super) fn from_file(bytes: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not text")?;
        let body_len = text
            .len()
            .checked_sub(CHECK.len() + 64 + 1)
            .filter(|length| text.is_char_boundary(*length))
            .ok_or("too short")?;
        let (body, check) = text.split_at(body_len);
        if check != format!("{CHECK}{}\n", blake3::hash(body.as_bytes()).to_hex()) {
            return Err("checksum differs");
        }
        let lines = body.strip_prefix(HEADER).ok_or("unknown version")?;
        let mut pins = Self::default();
        for line in lines.lines() {
            let (until, reason) = line.split_once(' ').ok_or("line without a reason")?;
            let until = until.parse().map_err(|_| "height is not a number")?;
            if !pins.add(reason, until).map_err(|_| "pin out of bounds")? {
                return Err("a reason appears twice");
            }
        }
        Ok(pins)
    }
}

fn is_reason(text: &str) -> bool {
    (1..=MAX_PIN_REASON_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}
