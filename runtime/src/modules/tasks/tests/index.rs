//! The ordered set of a party's tasks against one of the standard library.

use std::collections::BTreeSet;

use neura_types::task::TaskId;
use proptest::prelude::*;

use crate::modules::{
    host::Fault,
    tasks::state::BY_PROVIDER,
    testing::{ALICE, BOB, World},
};

/// Numbers whose words are near each other and far away, at every level.
fn id() -> impl Strategy<Value = TaskId> {
    (0u32..40, 0u64..4).prop_map(|(bits, low)| (1 << bits) + low)
}

fn listed(world: &mut World) -> Vec<TaskId> {
    let (mut found, mut before) = (Vec::new(), u64::MAX);
    while let Some(id) = BY_PROVIDER.below(world, ALICE, before).unwrap() {
        found.push(id);
        before = id;
    }
    found
}

proptest! {
    #[test]
    fn a_party_has_the_tasks_that_were_added_and_not_taken_newest_first(
        acts in proptest::collection::vec((any::<bool>(), id()), 0..60),
        before in prop_oneof![id(), Just(0), Just(u64::MAX)],
    ) {
        let mut world = World::new();
        let untouched = world.snapshot();
        let mut model = BTreeSet::new();
        for (adds, id) in acts {
            if adds {
                BY_PROVIDER.insert(&mut world, ALICE, id).unwrap();
                model.insert(id);
            } else {
                BY_PROVIDER.remove(&mut world, ALICE, id).unwrap();
                model.remove(&id);
            }
        }
        let below = model.range(..before).next_back().copied();
        prop_assert_eq!(BY_PROVIDER.below(&mut world, ALICE, before), Ok(below));
        prop_assert_eq!(BY_PROVIDER.below(&mut world, BOB, u64::MAX), Ok(None));
        prop_assert_eq!(listed(&mut world), model.iter().rev().copied().collect::<Vec<_>>());
        for id in model {
            BY_PROVIDER.remove(&mut world, ALICE, id).unwrap();
        }
        prop_assert!(world.snapshot() == untouched, "an empty set leaves words behind");
    }
}

#[test]
fn more_tasks_than_a_set_can_number_are_a_broken_invariant() {
    let mut world = World::new();
    BY_PROVIDER.insert(&mut world, ALICE, (1 << 40) - 1).unwrap();
    let beyond = BY_PROVIDER.insert(&mut world, ALICE, 1 << 40);
    assert!(matches!(beyond, Err(Fault::Fatal(_))), "{beyond:?}");
    assert_eq!(listed(&mut world), [(1 << 40) - 1]);
}
