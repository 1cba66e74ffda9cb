//! What a block must satisfy, written without a look at the predicates of the core.

use neura_consensus_bugs::leaders::{absences, leader_after};
use neura_types::{Block, beacon::Place};

use crate::real::Realm;

/// First byte of a transaction that the driver refuses.
pub(super) const REFUSED: u8 = 0xEE;

/// Whether the driver refuses a block's body.
pub(super) fn is_refused(block: &Block) -> bool {
    block.payload.iter().any(|item| item.first() == Some(&REFUSED))
}

/// What is wrong with a block beside its parent; the signatures in its certificates are checked apart.
pub(super) fn fault(realm: &Realm, block: &Block, parent: &Block) -> Option<&'static str> {
    let (header, above) = (&block.header, &parent.header);
    let starts = above.epoch + 1 == header.epoch && parent.id() == realm.anchor().block;
    let parent_view = if starts { above.view } else { parent.justify.view };
    let skipped = header.view > block.justify.view + 1;
    let dead = block.timeout.as_ref();
    let place = Place { chain: &realm.chain, epoch: header.epoch, parent: above };
    let proposer = realm.set.get(header.proposer);
    let rules: [(&'static str, bool); 14] = [
        ("epoch", header.epoch == realm.epoch() && block.justify.epoch == header.epoch),
        ("parent", header.parent == parent.id() && header.parent == block.justify.block),
        ("height", header.height == above.height + 1),
        ("parent's view", block.justify.view == above.view && header.view > above.view),
        ("grandparent's view", block.justify.parent_view == parent_view),
        ("a timeout certificate if and only if views were skipped", skipped == dead.is_some()),
        ("views skipped", dead.is_none_or(|tc| tc.view + 1 == header.view)),
        (
            "certificates reported",
            dead.is_none_or(|tc| {
                tc.epoch == header.epoch && tc.reported.iter().all(|view| *view <= above.view)
            }),
        ),
        ("leader", header.proposer == leader_after(&realm.set, header.view, above)),
        ("leaders passed over", header.absent == absences(&realm.set, block, above)),
        ("time", header.timestamp_ms > above.timestamp_ms),
        (
            "executed height",
            (above.executed.height..header.height).contains(&header.executed.height),
        ),
        ("body", block.payload_matches()),
        ("beacon", proposer.is_some_and(|one| header.beacon.follows(place, &one.public_key))),
    ];
    let is_last = header.height == realm.last_height;
    let is_tail = header.height > realm.last_height;
    let place: [(&'static str, bool); 3] = [
        ("start of the epoch", starts || above.epoch == header.epoch),
        ("next epoch", header.next_epoch.is_some() == is_last),
        (
            "empty after the epoch's end",
            !is_tail || block.is_empty() && header.executed == above.executed,
        ),
    ];
    rules.iter().chain(&place).find(|(_, holds)| !holds).map(|(name, _)| *name)
}
