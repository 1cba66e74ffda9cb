//! Count how a party's tasks ended.

use neura_types::provider::TrackRecord;

/// How a task ended for one party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Settled and paid.
    Settled,
    /// By this party's fault.
    AtFault,
    /// Otherwise, without settlement.
    Refunded,
}

/// Adds an ending to a record.
pub(crate) fn note(record: &mut TrackRecord, ending: Ending) {
    let counter = match ending {
        Ending::Settled => &mut record.settled,
        Ending::AtFault => &mut record.at_fault,
        Ending::Refunded => &mut record.refunded,
    };
    *counter = counter.saturating_add(1);
}
