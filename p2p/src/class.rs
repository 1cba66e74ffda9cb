//! The classes of direct traffic.

/// A class of direct traffic between validators, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Votes, timeouts, certificates: small, lost to a newer one when a queue is full.
    Consensus,
    /// Block proposals: lost to a newer one when a queue is full.
    Proposal,
    /// Transaction batches: refused to the sender when a queue is full.
    Batch,
}

impl Class {
    /// How many classes there are.
    pub(crate) const COUNT: usize = 3;

    /// All classes, most urgent first.
    pub const ALL: [Self; Self::COUNT] = [Self::Consensus, Self::Proposal, Self::Batch];

    /// The class's name in protocol ids and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consensus => "consensus",
            Self::Proposal => "proposal",
            Self::Batch => "batch",
        }
    }

    /// Position in [`Class::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}
