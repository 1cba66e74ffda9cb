//! Count ANKR in its smallest unit (10^-18 ANKR), checked.

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Decimals of the native coin.
pub const DECIMALS: usize = 18;
/// Smallest units in one ANKR.
pub const ANKR: u128 = 1_000_000_000_000_000_000;
/// Basis points in a whole.
pub const BASIS_POINTS: u128 = 10_000;

/// Why an amount could not be computed or read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AmountError {
    /// The result does not fit, or would be negative.
    #[error("the amount overflows: {0}")]
    Overflow(&'static str),
    /// Not a decimal number with at most 18 decimals.
    #[error(
        "'{0}' is not an amount: write a decimal number such as 1.5, with at most 18 decimals, and ANKR or wei behind it"
    )]
    NotAnAmount(String),
}

/// An amount of ANKR in its smallest unit. Text form: a decimal string of that unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(pub u128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whole ANKR.
    pub const fn ankr(n: u64) -> Self {
        Self((n as u128).saturating_mul(ANKR))
    }

    /// Sum, or an error past 2^128.
    ///
    /// # Errors
    /// [`AmountError::Overflow`].
    #[expect(clippy::should_implement_trait, reason = "checked: it can fail")]
    pub fn add(self, other: Self) -> Result<Self, AmountError> {
        self.0.checked_add(other.0).map(Self).ok_or(AmountError::Overflow("sum"))
    }

    /// Difference, or an error below zero.
    ///
    /// # Errors
    /// [`AmountError::Overflow`].
    #[expect(clippy::should_implement_trait, reason = "checked: it can fail")]
    pub fn sub(self, other: Self) -> Result<Self, AmountError> {
        self.0.checked_sub(other.0).map(Self).ok_or(AmountError::Overflow("difference"))
    }

    /// Product with a count.
    ///
    /// # Errors
    /// [`AmountError::Overflow`].
    pub fn times(self, n: u64) -> Result<Self, AmountError> {
        self.0.checked_mul(u128::from(n)).map(Self).ok_or(AmountError::Overflow("product"))
    }

    /// `self × bps / 10,000`, rounded down; the caller gives the remainder to a named party.
    ///
    /// # Errors
    /// [`AmountError::Overflow`] if the share passes 2^128, which takes more than 10,000 basis points.
    pub fn share(self, bps: u16) -> Result<Self, AmountError> {
        // By quotient and remainder, so that no amount is too large to be split.
        let whole = self.0.checked_div(BASIS_POINTS).and_then(|q| q.checked_mul(u128::from(bps)));
        let rest = self.0.checked_rem(BASIS_POINTS).and_then(|r| r.checked_mul(u128::from(bps)));
        let rest = rest.and_then(|product| product.checked_div(BASIS_POINTS));
        whole
            .zip(rest)
            .and_then(|(whole, rest)| whole.checked_add(rest))
            .map(Self)
            .ok_or(AmountError::Overflow("share"))
    }

    /// The smaller of two.
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// As the EVM's word.
    pub fn to_u256(self) -> U256 {
        U256::from(self.0)
    }

    /// From the EVM's word.
    ///
    /// # Errors
    /// [`AmountError::Overflow`] past 2^128.
    pub fn from_u256(value: U256) -> Result<Self, AmountError> {
        u128::try_from(value).map(Self).map_err(|_| AmountError::Overflow("256-bit value"))
    }

    /// Reads `1.5 ANKR`, `1.5` (ANKR) or `1500 wei`.
    ///
    /// # Errors
    /// [`AmountError::NotAnAmount`].
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let wrong = || AmountError::NotAnAmount(text.to_owned());
        let trimmed = text.trim();
        if let Some(wei) = trimmed.strip_suffix("wei") {
            return wei.trim().parse().map(Self).map_err(|_| wrong());
        }
        let number = trimmed.strip_suffix("ANKR").unwrap_or(trimmed).trim();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > DECIMALS {
            return Err(wrong());
        }
        let padded = format!("{whole}{fraction:0<width$}", width = DECIMALS);
        padded.parse().map(Self).map_err(|_| wrong())
    }
}

impl std::fmt::Display for Amount {
    /// In ANKR, without trailing zeros: `1.5 ANKR`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = self.0.checked_div(ANKR).unwrap_or(0);
        let rest = self.0.checked_rem(ANKR).unwrap_or(0);
        if rest == 0 {
            return write!(f, "{whole} ANKR");
        }
        let fraction = format!("{rest:0>width$}", width = DECIMALS);
        write!(f, "{whole}.{} ANKR", fraction.trim_end_matches('0'))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(&self.0) } else { self.0.serialize(s) }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            let text = String::deserialize(d)?;
            text.parse().map(Self).map_err(|_| {
                serde::de::Error::custom(format!("'{text}' is not a decimal amount in wei"))
            })
        } else {
            u128::deserialize(d).map(Self)
        }
    }
}

#[cfg(test)]
mod tests;
