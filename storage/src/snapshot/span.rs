//! Spans: which part of the tree a chunk holds.

use alloy_primitives::{B256, U256};
use serde::{Deserialize, Serialize};

/// The paths that begin with some bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The lowest of them: the bits, then zeros.
    pub start: B256,
    /// Number of the bits, at most 255.
    pub bits: u16,
}

impl Span {
    /// Every path.
    pub const WHOLE: Self = Self { start: B256::ZERO, bits: 0 };
    /// Bits of the longest span: one less than a path has.
    const MAX_BITS: u16 = 255;

    /// Whether it is a span at all.
    pub(super) fn is_sound(&self) -> bool {
        self.bits <= Self::MAX_BITS && U256::from_be_bytes(self.start.0) & self.mask() == U256::ZERO
    }

    /// The bits that its paths do not share.
    fn mask(&self) -> U256 {
        U256::MAX >> usize::from(self.bits)
    }

    /// The lowest path above it; none if it reaches to the end.
    pub(super) fn above(&self) -> Option<B256> {
        U256::from_be_bytes(self.last().0).checked_add(U256::ONE).map(B256::from)
    }

    /// The highest path in it.
    pub(super) fn last(&self) -> B256 {
        B256::from(U256::from_be_bytes(self.start.0) | self.mask())
    }

    /// Whether a path lies in it.
    pub fn contains(&self, path: &B256) -> bool {
        let difference = U256::from_be_bytes(path.0) ^ U256::from_be_bytes(self.start.0);
        difference & !self.mask() == U256::ZERO
    }

    /// The span of its paths whose next bit is 0, and that of the others.
    pub(super) fn halves(&self) -> [Self; 2] {
        let bits = self.bits.saturating_add(1);
        let bit = U256::ONE << (256 - usize::from(bits));
        let right = B256::from(U256::from_be_bytes(self.start.0) | bit);
        [Self { start: self.start, bits }, Self { start: right, bits }]
    }

    /// Nibbles after which every subtree lies in it as a whole or not at all.
    pub(super) fn depth(&self) -> u8 {
        // At most 64.
        self.bits.div_ceil(4) as u8
    }
}
