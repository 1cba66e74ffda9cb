use neura_types::Absence;

use super::*;

fn set(powers: &[u64]) -> ValidatorSet {
    let member = |(i, power): (usize, &u64)| Validator {
        public_key: SecretKey::from_seed(&[i as u8 + 1; 32]).public_key(),
        account: Address::ZERO,
        power: *power,
    };
    ValidatorSet::new(0, powers.iter().enumerate().map(member).collect()).unwrap()
}

/// A block above `parent` in `view`, with the list that follows from it.
fn above(rig: &Rig, parent: &Block, view: View) -> Arc<Block> {
    let qc = if parent.header.view == 0 { rig.genesis_qc() } else { rig.qc(parent) };
    let tc = (view > parent.header.view + 1).then(|| rig.tc(view - 1, &qc));
    rig.block_with(parent, view, qc, tc)
}

#[test]
fn leaders_stand_in_the_table_as_often_as_their_power_earns() {
    let set = set(&[1, 2, 5]);
    let mut led = [0u32; 3];
    for view in 0..48 {
        led[usize::from(set.leader(view, &[]))] += 1;
    }
    assert_eq!(led, [6, 12, 30]);
}

#[test]
fn those_passed_over_are_replaced_in_turn_by_all_others() {
    let set = set(&[1, 1, 1, 1]);
    let absent = [Absence { validator: 1, since: 3 }];
    let replacements: Vec<_> = (0..4).map(|turn| set.leader(1 + 4 * turn, &absent)).collect();
    assert!(!replacements.contains(&1));
    let distinct: std::collections::BTreeSet<_> = replacements.iter().collect();
    assert!(distinct.len() >= 2, "{replacements:?}");
    assert_eq!(set.leader(2, &absent), 2, "others keep their views");
}

#[test]
fn a_leader_without_a_block_costs_one_timeout_and_is_then_passed_over() {
    let rig = Rig::new();
    let mut parent = above(&rig, &rig.genesis, 1);
    // Validator 3 is down: its view times out once.
    parent = above(&rig, &parent, 2);
    parent = above(&rig, &parent, 4);
    assert_eq!(parent.header.absent, [Absence { validator: 3, since: 3 }]);
    for view in 5..30 {
        parent = above(&rig, &parent, view);
        assert_ne!(parent.header.proposer, 3);
    }
}

#[test]
fn who_votes_again_may_lead_again_and_who_does_not_is_tried_again_much_later() {
    let rig = Rig::new();
    let absent = |validator| vec![Absence { validator, since: 10 }];
    let parent = |validator, height| {
        altered(&rig.chain(1)[0], |block| {
            block.header.height = height;
            block.header.absent = absent(validator);
        })
    };
    // The rig's certificates carry the votes of validators 0, 1 and 2.
    let list = |validator, height| {
        let parent = parent(validator, height);
        let block = rig.block_with(&parent, 2, rig.qc(&parent), None);
        block.header.absent.clone()
    };
    assert_eq!(list(0, 48), absent(0));
    assert_eq!(list(0, 50), []);
    assert_eq!(list(3, 50), absent(3));
    assert_eq!(list(3, 4_010), []);
}

#[test]
fn no_more_than_a_third_is_ever_passed_over() {
    let rig = Rig::new();
    let parent = above(&rig, &rig.genesis, 1);
    let parent = above(&rig, &parent, 5);
    assert_eq!(parent.header.absent.len(), 1, "one of four");
}

#[test]
fn a_header_with_another_list_is_refused() {
    let rig = Rig::new();
    let first = above(&rig, &rig.genesis, 1);
    let mut replica = rig.replica(0);
    propose_and_approve(&rig, &mut replica, &first);
    let forged = altered(&above(&rig, &first, 2), |block| {
        block.header.absent = vec![Absence { validator: 3, since: 2 }];
    });
    let outputs = deliver(&mut replica, 2, rig.proposal(&forged));
    assert_eq!(faults(&outputs).len(), 1, "{outputs:?}");
}
