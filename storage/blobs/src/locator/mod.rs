//! Canonical names of blobs.
//!
//! One blob has one spelling per kind of store, so that locators can be compared, hashed and signed
//! as text.

#[cfg(test)]
mod tests;

use crate::{limits::MAX_LOCATOR_BYTES, lower_hex};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// Kind of store that a locator points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LocatorKind {
    /// Embedded store: `neura:<64 hex of BLAKE3>`.
    Neura,
    /// IPFS: `ipfs:<CIDv1, base32>`.
    Ipfs,
    /// Arweave: `ar:<43 characters of base64url>`.
    Arweave,
    /// Celestia: `celestia:<height>/<namespace, 58 hex>/<commitment, 64 hex>`.
    Celestia,
    /// EigenDA: `eigenda:<hex of the certificate>`.
    EigenDa,
}

impl LocatorKind {
    const ALL: [Self; 5] = [Self::Neura, Self::Ipfs, Self::Arweave, Self::Celestia, Self::EigenDa];

    /// The text before the colon.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Neura => "neura",
            Self::Ipfs => "ipfs",
            Self::Arweave => "ar",
            Self::Celestia => "celestia",
            Self::EigenDa => "eigenda",
        }
    }
}

impl fmt::Display for LocatorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix())
    }
}

/// Name of a blob in some store. Exists in canonical form only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Locator(Id);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Id {
    Neura([u8; 32]),
    Foreign(LocatorKind, Box<str>),
}

impl Locator {
    /// The `neura:` locator of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self::from_hash(*blake3::hash(content).as_bytes())
    }

    /// The `neura:` locator of content with this BLAKE3 hash.
    pub const fn from_hash(hash: [u8; 32]) -> Self {
        Self(Id::Neura(hash))
    }

    /// Kind of store that it points into.
    pub fn kind(&self) -> LocatorKind {
        match &self.0 {
            Id::Neura(_) => LocatorKind::Neura,
            Id::Foreign(kind, _) => *kind,
        }
    }

    /// BLAKE3 hash of the content, which only `neura:` locators carry.
    pub fn hash(&self) -> Option<&[u8; 32]> {
        match &self.0 {
            Id::Neura(hash) => Some(hash),
            Id::Foreign(..) => None,
        }
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::Neura(hash) => write!(f, "{}:{}", LocatorKind::Neura, hex::encode(hash)),
            Id::Foreign(kind, id) => write!(f, "{kind}:{id}"),
        }
    }
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Locator> for String {
    fn from(locator: Locator) -> Self {
        locator.to_string()
    }
}

impl TryFrom<String> for Locator {
    type Error = LocatorError;

    fn try_from(text: String) -> Result<Self, LocatorError> {
        text.parse()
    }
}

impl FromStr for Locator {
    type Err = LocatorError;

    fn from_str(text: &str) -> Result<Self, LocatorError> {
        if text.len() > MAX_LOCATOR_BYTES {
            return Err(LocatorError::TooLong { length: text.len() });
        }
        let kind = text
            .split_once(':')
            .and_then(|(prefix, _)| LocatorKind::ALL.into_iter().find(|k| k.prefix() == prefix))
            .ok_or(LocatorError::UnknownKind)?;
        let id = &text[kind.prefix().len() + 1..];
        match kind {
            LocatorKind::Neura => lower_hex::decode(id)
                .map(Self::from_hash)
                .ok_or(LocatorError::Malformed { kind, form: "64 lower-case hexadecimal digits" }),
            _ => match foreign_form(kind, id) {
                Ok(()) => Ok(Self(Id::Foreign(kind, id.into()))),
                Err(form) => Err(LocatorError::Malformed { kind, form }),
            },
        }
    }
}

/// Checks the spelling of an identifier of another system; the error is the form that was expected.
fn foreign_form(kind: LocatorKind, id: &str) -> Result<(), &'static str> {
    let (good, form) = match kind {
        LocatorKind::Neura => (false, "a BLAKE3 hash"),
        LocatorKind::Ipfs => (is_cid_v1(id), "a CIDv1 in lower-case base32"),
        LocatorKind::Arweave => (is_arweave_id(id), "43 characters of unpadded base64url"),
        LocatorKind::Celestia => {
            (is_celestia_id(id), "<height>/<namespace, 58 hex>/<commitment, 64 hex>")
        }
        LocatorKind::EigenDa => (
            !id.is_empty() && id.len().is_multiple_of(2) && lower_hex::is_lower_hex(id),
            "lower-case hexadecimal bytes",
        ),
    };
    if good { Ok(()) } else { Err(form) }
}

/// A CIDv1 with a 32-byte digest has 59 characters; other digests and codecs vary around that.
fn is_cid_v1(id: &str) -> bool {
    const LENGTHS: std::ops::RangeInclusive<usize> = 8..=128;
    LENGTHS.contains(&id.len())
        && id.starts_with('b')
        && id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}

/// 32 bytes are 42 full characters and four bits of the 43rd, whose two low bits are zero.
fn is_arweave_id(id: &str) -> bool {
    const LAST: &[u8] = b"AEIMQUYcgkosw048";
    id.len() == 43
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && id.bytes().last().is_some_and(|byte| LAST.contains(&byte))
}

fn is_celestia_id(id: &str) -> bool {
    let mut parts = id.split('/');
    let (height, namespace, commitment) = (parts.next(), parts.next(), parts.next());
    parts.next().is_none()
        && height.is_some_and(|text| {
            text.parse::<u64>().is_ok_and(|number| number > 0 && number.to_string() == text)
        })
        && namespace.and_then(lower_hex::decode::<29>).is_some()
        && commitment.and_then(lower_hex::decode::<32>).is_some()
}

/// Why a text is not a locator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LocatorError {
    /// Longer than any locator.
    #[error("a locator has at most {MAX_LOCATOR_BYTES} bytes, this one has {length}")]
    TooLong {
        /// Length of the text in bytes.
        length: usize,
    },
    /// No known prefix.
    #[error("a locator starts with neura:, ipfs:, ar:, celestia: or eigenda:")]
    UnknownKind,
    /// Known prefix, but the rest is not in canonical form.
    #[error("after `{kind}:` a locator has {form}")]
    Malformed {
        /// Kind by its prefix.
        kind: LocatorKind,
        /// The form that is expected.
        form: &'static str,
    },
}
