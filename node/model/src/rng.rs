//! Numbers that look random and follow from a seed, or from bytes that a fuzzer chose.

/// SplitMix64: small, and the same on every machine. Bytes given to it are used up first, few per choice, so that a
/// small change of the bytes is a small change of what is chosen.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u64,
    /// What is left of the bytes, the next one last; none if there never were any.
    tape: Option<Vec<u8>>,
}

impl Rng {
    /// A generator; near seeds give unrelated numbers.
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d, tape: None }
    }

    /// A generator that takes its choices from bytes, and behind their end from a fixed seed.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self { tape: Some(bytes.iter().rev().copied().collect()), ..Self::new(0) }
    }

    /// Whether there were bytes and all are used up.
    pub fn is_spent(&self) -> bool {
        self.tape.as_ref().is_some_and(Vec::is_empty)
    }

    /// The next number of the generator itself.
    #[expect(
        clippy::should_implement_trait,
        reason = "an endless source is no iterator to be adapted"
    )]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is above zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.choice(bound as u64) % bound as u64) as usize
    }

    /// True in `percent` of all cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.choice(100) % 100 < percent
    }

    /// One of the items; none of none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.below(items.len())) }
    }

    /// A number for a choice among so many: as many bytes as that takes, if there are any left.
    fn choice(&mut self, among: u64) -> u64 {
        let Some(tape) = self.tape.as_mut().filter(|tape| !tape.is_empty()) else {
            return self.next();
        };
        let width = (u64::BITS - among.saturating_sub(1).leading_zeros()).div_ceil(8).max(1);
        (0..width).filter_map(|_| tape.pop()).fold(0, |number, byte| number << 8 | u64::from(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_decide_until_they_are_used_up() {
        let mut rng = Rng::from_bytes(&[7, 1, 2, 3]);
        assert_eq!((rng.below(10), rng.below(1_000)), (7, 258));
        assert!(!rng.is_spent() && rng.chance(4) && rng.is_spent());
        assert!(rng.below(10) < 10);
        assert!(!Rng::new(1).is_spent());
    }
}
