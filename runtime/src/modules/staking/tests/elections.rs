use std::collections::{BTreeMap, BTreeSet};

use neura_types::{
    ValidatorSet,
    validator::{MAX_VALIDATORS, Validator},
};
use proptest::prelude::*;

use super::{super::election::Election, *};

fn member(n: u16, power: u64) -> Validator {
    let mut seed = [0; 32];
    seed[..2].copy_from_slice(&n.to_be_bytes());
    let public_key = SecretKey::from_seed(&seed).public_key();
    Validator { public_key, account: public_key.address(), power }
}

fn members(powers: &[(u16, u64)]) -> Vec<Validator> {
    powers.iter().map(|(n, power)| member(*n, *power)).collect()
}

fn next(present: &[Validator], wanted: &[Validator], expelled: &[u16]) -> Vec<Validator> {
    let present = ValidatorSet::new(1, present.to_vec()).unwrap();
    let expelled: BTreeSet<Address> = expelled.iter().map(|n| member(*n, 1).account).collect();
    Election { present: &present, wanted, expelled: &expelled }.members()
}

#[test]
fn a_set_that_is_as_wanted_stays_in_its_order() {
    let present = members(&[(1, 5), (2, 9), (3, 7)]);
    let wanted = members(&[(2, 9), (3, 7), (1, 5)]);
    assert_eq!(next(&present, &wanted, &[]), present);
}

#[test]
fn those_expelled_lose_their_power_first() {
    let present = members(&[(1, 10), (2, 10), (3, 10), (4, 10)]);
    let wanted = members(&[(1, 10), (4, 10)]);
    assert_eq!(next(&present, &wanted, &[3]), members(&[(1, 10), (2, 7), (4, 10)]));
}

#[test]
fn the_smallest_sets_change_too() {
    let wanted = members(&[(2, 5)]);
    let mut set = members(&[(1, 1)]);
    let mut steps = 0;
    while set != wanted {
        set = next(&set, &wanted, &[]);
        steps += 1;
        assert!(steps < 10, "{set:?}");
    }
}

#[test]
fn powers_never_pass_the_limit_of_a_set() {
    let huge = 1 << 62;
    let present = members(&[(1, huge), (2, huge - 1)]);
    let wanted = members(&[(3, u64::MAX), (1, u64::MAX), (2, u64::MAX)]);
    let elected = next(&present, &wanted, &[]);
    assert!(ValidatorSet::new(2, elected).is_ok());
}

#[test]
fn a_full_set_takes_no_more_members() {
    let present: Vec<_> = (0..256).map(|n| member(n, 100)).collect();
    let mut wanted: Vec<_> = (0..256).map(|n| member(n, 100)).collect();
    wanted.insert(0, member(999, 500));
    wanted.truncate(MAX_VALIDATORS);
    let first = next(&present, &wanted, &[]);
    assert_eq!(first.len(), MAX_VALIDATORS);
    assert!(ValidatorSet::new(2, first.clone()).is_ok());
    assert!(first.iter().any(|m| m.account == wanted[0].account), "255 leaves, 999 comes");
}

#[test]
fn the_configuration_of_the_largest_set_fits_a_record() {
    let mut params = Params::default();
    for name in neura_types::params::GOVERNED {
        // The longest encoding of a number of its type.
        let most = (0..128).map(|bits| (1u128 << bits) - 1 + (1 << bits));
        most.for_each(|value| drop(params.set(name, value)));
    }
    let largest: Vec<_> = (0..256).map(|n| member(n, (1 << 54) + u64::from(n))).collect();
    let set = ValidatorSet::new(u64::MAX, largest).unwrap();
    let (epoch, first, last) = (u64::MAX, u64::MAX, u64::MAX);
    let config = EpochConfig { epoch, first, last, version: u16::MAX, set, params };
    let mut world = world();
    state::EPOCHS.put(&mut world, &9, &config).unwrap();
    let read = state::EPOCHS.get(&mut world, &9).unwrap();
    assert_eq!(read, Some(config));
}

fn powers() -> impl Strategy<Value = BTreeMap<u16, u64>> {
    prop::collection::btree_map(0u16..12, prop_oneof![1u64..20, 1u64..2_000, 1u64..1 << 40], 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_step_is_bounded_and_all_steps_together_arrive(
        present in powers(),
        wanted in powers(),
        expelled in prop::collection::vec(0u16..12, 0..3),
    ) {
        let mut set: Vec<_> = present.iter().map(|(n, p)| member(*n, *p)).collect();
        let mut wanted: Vec<_> = wanted.iter().map(|(n, p)| member(*n, *p)).collect();
        wanted.sort_by_key(|member| std::cmp::Reverse(member.power));
        let sorted = |set: &[Validator]| {
            set.iter().map(|m| (m.account, m.power)).collect::<BTreeMap<_, _>>()
        };
        for _ in 0..300 {
            let total: u64 = set.iter().map(|m| m.power).sum();
            let elected = next(&set, &wanted, &expelled);
            prop_assert!(ValidatorSet::new(2, elected.clone()).is_ok());
            let (from, to) = (sorted(&set), sorted(&elected));
            let all: BTreeSet<_> = from.keys().chain(to.keys()).collect();
            let of = |set: &BTreeMap<_, u64>, a| set.get(a).copied().unwrap_or(0);
            let change: u64 = all.iter().map(|a| of(&from, *a).abs_diff(of(&to, *a))).sum();
            prop_assert!(change * 3 < total || change <= 1, "{} of {}", change, total);
            set = elected;
            if sorted(&set) == sorted(&wanted) {
                return Ok(());
            }
        }
        prop_assert!(false, "{:?} never becomes {:?}", set, wanted);
    }
}
