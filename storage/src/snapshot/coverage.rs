//! Which paths of the tree are there, and what to ask for next.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{B256, U256};

use super::Span;

/// Spans that do not overlap: any two spans are apart, or one lies in the other.
#[derive(Debug)]
pub(super) struct Coverage {
    spans: BTreeMap<B256, Span>,
    /// The paths between them: the first of each gap with its last.
    gaps: BTreeMap<B256, B256>,
    /// Paths of the widest span so far, less one.
    widest: Option<U256>,
}

impl Default for Coverage {
    fn default() -> Self {
        let gaps = BTreeMap::from([(Span::WHOLE.start, Span::WHOLE.last())]);
        Self { spans: BTreeMap::new(), gaps, widest: None }
    }
}

impl Coverage {
    /// The span that covers a path.
    pub(super) fn at(&self, path: &B256) -> Option<&Span> {
        let (_, below) = self.spans.range(..=*path).next_back()?;
        below.contains(path).then_some(below)
    }

    /// Whether all of a span is covered by one.
    pub(super) fn holds(&self, span: &Span) -> bool {
        self.at(&span.start).is_some_and(|held| held.bits <= span.bits)
    }

    /// The spans that lie in one that none holds.
    pub(super) fn within(&self, span: &Span) -> Vec<Span> {
        self.spans.range(span.start..=span.last()).map(|(_, held)| *held).collect()
    }

    /// Adds a span that none holds; it replaces those that lie in it.
    pub(super) fn add(&mut self, span: Span) {
        let (first, last) = (span.start, span.last());
        for inner in self.within(&span) {
            self.spans.remove(&inner.start);
        }
        let below = self.gaps.range(..=last).rev();
        let filled: Vec<_> =
            below.take_while(|gap| *gap.1 >= first).map(|gap| (*gap.0, *gap.1)).collect();
        for (start, end) in filled {
            self.gaps.remove(&start);
            if start < first {
                self.gaps.insert(start, path(number(&first) - U256::ONE));
            }
            if end > last {
                self.gaps.insert(path(number(&last) + U256::ONE), end);
            }
        }
        self.widest = self.widest.max(Some(number(&last) - number(&first)));
        self.spans.insert(first, span);
    }

    /// Whether it covers every path.
    pub(super) fn is_whole(&self) -> bool {
        self.gaps.is_empty()
    }

    /// How many spans it has.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// A path that is not covered and lies apart from those asked for already; none if there is no such path.
    ///
    /// Hashes spread the keys evenly, so chunks are about as wide as each other: a gap is asked for in several places
    /// while the widest span that is known fits between them.
    pub(super) fn wanted(&self, asked: &BTreeSet<B256>) -> Option<B256> {
        let mut best = None;
        for (first, last) in &self.gaps {
            if !asked.contains(first) {
                return Some(*first);
            }
            let starts = asked.range(*first..=*last).map(number);
            let ends = starts.clone().skip(1).chain([number(last)]);
            for (start, end) in starts.zip(ends) {
                let half = (end - start) >> 1;
                if self.widest.is_some_and(|widest| half > widest) {
                    best = best.max(Some((half, start + half)));
                }
            }
        }
        best.map(|(_, middle)| path(middle))
    }
}

fn number(path: &B256) -> U256 {
    U256::from_be_bytes(path.0)
}

fn path(number: U256) -> B256 {
    B256::from(number)
}
