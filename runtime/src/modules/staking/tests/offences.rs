use alloy_primitives::B256;
use neura_types::{
    View,
    codec::encode,
    vote::{Evidence, Signed, Statement},
};
use proptest::prelude::*;

use super::*;
use crate::modules::testing::{ALICE, BOB, FUNDS, operator, refusal, validator_key};

const BLOCK: B256 = B256::repeat_byte(1);
const OTHER: B256 = B256::repeat_byte(2);

fn propose(view: View, block: B256) -> Statement {
    Statement::Propose { view, block }
}

fn vote(view: View, block: B256, parent_view: View) -> Statement {
    Statement::Vote { view, block, parent_view }
}

fn commit(view: View, block: B256) -> Statement {
    Statement::Commit { view, block }
}

fn timeout(view: View, high_qc_view: View) -> Statement {
    Statement::Timeout { view, high_qc_view }
}

/// A statement of a genesis validator in an epoch.
fn signed(world: &World, epoch: Epoch, index: u8, statement: Statement) -> Signed {
    let digest = statement.digest(&world.block.chain(), epoch);
    let signature = validator_key(index).sign(digest.as_slice());
    Signed { epoch, author: index.into(), statement, signature }
}

fn evidence(world: &World, epoch: Epoch, index: u8, (a, b): (Statement, Statement)) -> Evidence {
    Evidence { first: signed(world, epoch, index, a), second: signed(world, epoch, index, b) }
}

fn submit(world: &mut World, evidence: &Evidence) -> Result<u128, Fault> {
    plain(world, BOB, IStaking::submitEvidenceCall { evidence: encode(evidence).into() })
}

/// A double vote of a genesis validator.
fn double_vote(world: &World, epoch: Epoch, index: u8) -> Evidence {
    evidence(world, epoch, index, (vote(7, BLOCK, 6), vote(7, OTHER, 6)))
}

#[test]
fn every_contradiction_of_votes_and_locks_costs_stake_and_the_seat() {
    let cases = [
        (vote(7, BLOCK, 6), vote(7, OTHER, 6)),
        (vote(7, BLOCK, 6), vote(7, BLOCK, 5)),
        (commit(7, BLOCK), commit(7, OTHER)),
        (commit(7, BLOCK), timeout(7, 6)),
        (timeout(9, 6), commit(7, BLOCK)),
        (vote(9, BLOCK, 8), timeout(9, 7)),
        (timeout(12, 3), vote(9, BLOCK, 4)),
    ];
    for pair in cases {
        let mut world = world();
        let evidence = evidence(&world, 0, 3, pair);
        // 5 % of 4 ANKR, and 5 % of that for Bob.
        let (taken, reward) = (Amount::ankr(4).0 / 20, Amount::ankr(4).0 / 400);
        assert_eq!(submit(&mut world, &evidence), Ok(reward), "{pair:?}");
        assert_eq!((world.wei(BOB), world.burned()), (FUNDS.0 + reward, taken - reward));
        let guilty = candidate(&mut world, operator(3));
        assert!(guilty.tombstoned && guilty.slot.is_none());
        assert_eq!(guilty.pool.stake.0, Amount::ankr(4).0 - taken);
        let event = &world.events::<IStaking::Slashed>()[0];
        assert_eq!((event.operator, event.epoch), (operator(3), 0));
        assert_eq!((event.bonded, event.unbonding, event.reward), (taken, 0, reward));
        world.end_epoch();
        assert!(power(&mut world, 2, operator(3)) <= 1, "the step allows to take three of four");
        world.end_epoch();
        assert_eq!(power(&mut world, 3, operator(3)), 0);
    }
}

#[test]
fn a_double_proposal_is_jailed_and_costs_nothing() {
    let mut world = world();
    let light = evidence(&world, 0, 2, (propose(7, BLOCK), propose(7, OTHER)));
    assert_eq!(submit(&mut world, &light), Ok(0));
    let guilty = candidate(&mut world, operator(2));
    assert_eq!((guilty.jailed_until, guilty.tombstoned), (2, false));
    assert_eq!((guilty.pool.stake, world.burned()), (Amount::ankr(3), 0));
    assert_eq!(&*world.events::<IStaking::Jailed>()[0].reason, "double_proposal");
    world.check();
}

#[test]
fn an_offence_does_not_shorten_a_stay_in_jail() {
    let mut world = world();
    let mut guilty = candidate(&mut world, operator(2));
    // As it is when a vote has shortened what is usual meanwhile.
    guilty.jailed_until = 50;
    state::CANDIDATES.put(&mut world, &operator(2), &guilty).unwrap();
    let double = evidence(&world, 0, 2, (propose(7, BLOCK), propose(7, OTHER)));
    submit(&mut world, &double).unwrap();
    assert_eq!(candidate(&mut world, operator(2)).jailed_until, 50);
}

#[test]
fn what_an_honest_validator_may_say_convicts_nobody() {
    let honest = [
        (timeout(7, 5), timeout(7, 6)),
        (vote(7, BLOCK, 6), vote(8, OTHER, 7)),
        (vote(7, BLOCK, 6), commit(7, OTHER)),
        (propose(7, BLOCK), vote(7, OTHER, 6)),
        (commit(7, BLOCK), timeout(8, 7)),
        (commit(7, BLOCK), timeout(6, 5)),
        (vote(7, BLOCK, 6), timeout(7, 6)),
        (vote(7, BLOCK, 6), vote(7, BLOCK, 6)),
    ];
    for pair in honest {
        let mut world = world();
        let evidence = evidence(&world, 0, 3, pair);
        assert_eq!(refusal(submit(&mut world, &evidence)), code::INVALID_EVIDENCE, "{pair:?}");
    }
}

#[test]
fn evidence_counts_once_for_a_validator_and_epoch() {
    let mut world = world();
    let first = double_vote(&world, 0, 3);
    submit(&mut world, &first).unwrap();
    let mirrored = Evidence { first: first.second, second: first.first };
    let another = evidence(&world, 0, 3, (commit(9, BLOCK), commit(9, OTHER)));
    let lighter = evidence(&world, 0, 3, (propose(9, BLOCK), propose(9, OTHER)));
    for again in [first, mirrored, another, lighter] {
        assert_eq!(refusal(submit(&mut world, &again)), code::ALREADY_PUNISHED);
    }
    let of_another = double_vote(&world, 0, 2);
    submit(&mut world, &of_another).unwrap();
    world.end_epoch();
    let next = double_vote(&world, 1, 3);
    submit(&mut world, &next).unwrap();
    world.check();
}

#[test]
fn a_light_offence_does_not_shield_a_grave_one_of_the_same_epoch() {
    let mut world = world();
    let light = evidence(&world, 0, 3, (propose(7, BLOCK), propose(7, OTHER)));
    submit(&mut world, &light).unwrap();
    assert_eq!(refusal(submit(&mut world, &light)), code::ALREADY_PUNISHED);
    let grave = double_vote(&world, 0, 3);
    assert!(submit(&mut world, &grave).unwrap() > 0);
    assert!(candidate(&mut world, operator(3)).tombstoned);
}

#[test]
fn evidence_of_another_chain_epoch_or_key_is_refused() {
    let mut world = world();
    world.end_epoch();
    let mut elsewhere = super::world();
    elsewhere.block.genesis = B256::repeat_byte(9);
    let of_other_genesis = double_vote(&elsewhere, 1, 3);
    let mut elsewhere = super::world();
    elsewhere.block.chain_id += 1;
    let of_other_chain = double_vote(&elsewhere, 1, 3);
    let fits = double_vote(&world, 1, 3);
    let other_epoch = Evidence {
        first: Signed { epoch: 0, ..fits.first },
        second: Signed { epoch: 0, ..fits.second },
    };
    let other_author = Evidence {
        first: Signed { author: 2, ..fits.first },
        second: Signed { author: 2, ..fits.second },
    };
    let two_authors = Evidence { first: fits.first, second: Signed { author: 2, ..fits.second } };
    let two_epochs = Evidence { first: fits.first, second: Signed { epoch: 0, ..fits.second } };
    let nobody = Evidence {
        first: Signed { author: 4, ..fits.first },
        second: Signed { author: 4, ..fits.second },
    };
    let half =
        Evidence { second: Signed { signature: fits.first.signature, ..fits.second }, ..fits };
    let refused = [
        of_other_genesis,
        of_other_chain,
        other_epoch,
        other_author,
        two_authors,
        two_epochs,
        nobody,
        half,
    ];
    for evidence in refused {
        assert_eq!(refusal(submit(&mut world, &evidence)), code::INVALID_EVIDENCE, "{evidence:?}");
    }
    submit(&mut world, &fits).unwrap();
}

#[test]
fn signatures_are_paid_for_before_they_are_checked() {
    let mut world = world();
    let fits = double_vote(&world, 0, 3);
    let forged =
        Evidence { second: Signed { signature: fits.first.signature, ..fits.second }, ..fits };
    let joining = registration(&world, 1, ALICE);
    // Enough for everything else.
    world.gas = 2 * calls::SIGNATURE_GAS - 1;
    assert_eq!(submit(&mut world, &forged), Err(Fault::OutOfGas));
    world.gas = 2 * calls::SIGNATURE_GAS - 1;
    let joined = call(&mut world, ALICE, Amount::ankr(1), joining).map(|_| ());
    assert_eq!(joined, Err(Fault::OutOfGas));
    world.gas = 2 * calls::SIGNATURE_GAS + 2_000;
    assert_eq!(refusal(submit(&mut world, &forged)), code::INVALID_EVIDENCE);
}

#[test]
fn bytes_that_are_no_evidence_are_refused() {
    let mut world = world();
    let fits = encode(&double_vote(&world, 0, 3));
    let long = [fits.clone(), vec![0]].concat();
    for bytes in [vec![], vec![0xff; 100], fits[..fits.len() - 1].to_vec(), long, vec![0; 513]] {
        let call = IStaking::submitEvidenceCall { evidence: bytes.into() };
        assert_eq!(refusal(plain(&mut world, BOB, call)), code::INVALID_EVIDENCE);
    }
}

#[test]
fn evidence_counts_in_its_epoch_and_the_two_that_follow() {
    let mut world = world();
    let future = double_vote(&world, 1, 3);
    assert_eq!(refusal(submit(&mut world, &future)), code::EVIDENCE_AGE);
    let old = double_vote(&world, 0, 3);
    (0..2).for_each(|_| world.end_epoch());
    let mut later = World::with(world.block.params().clone());
    (0..3).for_each(|_| later.end_epoch());
    assert_eq!(refusal(submit(&mut later, &old)), code::EVIDENCE_AGE);
    submit(&mut world, &old).unwrap();
}

#[test]
fn delegators_lose_in_proportion_bonded_or_on_their_way_out() {
    let mut world = world();
    delegate(&mut world, ALICE, operator(3), Amount::ankr(16));
    undelegate(&mut world, ALICE, operator(3), Amount::ankr(8).0).unwrap();
    let guilty = double_vote(&world, 0, 3);
    submit(&mut world, &guilty).unwrap();
    let (_, worth, _) = delegation(&mut world, operator(3), ALICE).unwrap();
    assert_eq!(worth.0, Amount::ankr(8).0 / 20 * 19);
    let leaving = unbondings(&mut world, operator(3), ALICE).unwrap();
    assert_eq!(leaving[0].amount.0, Amount::ankr(8).0 / 20 * 19);
    let event = &world.events::<IStaking::Slashed>()[0];
    assert_eq!((event.bonded, event.unbonding), (Amount::ankr(12).0 / 20, Amount::ankr(8).0 / 20));
    (0..4).for_each(|_| world.end_epoch());
    assert_eq!(withdraw(&mut world, ALICE, operator(3)), Ok(Amount::ankr(8).0 / 20 * 19));
    world.check();
}

#[test]
fn stake_that_left_before_it_counted_is_not_slashed() {
    let mut world = world();
    delegate(&mut world, ALICE, operator(3), Amount::ankr(16));
    undelegate(&mut world, ALICE, operator(3), Amount::ankr(8).0).unwrap();
    (0..2).for_each(|_| world.end_epoch());
    undelegate(&mut world, ALICE, operator(3), Amount::ankr(1).0).unwrap();
    // Power in epoch 2 follows from the end of epoch 0: the first part had left, the second had not.
    let guilty = double_vote(&world, 2, 3);
    submit(&mut world, &guilty).unwrap();
    let leaving = unbondings(&mut world, operator(3), ALICE).unwrap();
    assert_eq!(leaving[0].amount, Amount::ankr(8));
    assert_eq!(leaving[1].amount.0, Amount::ankr(1).0 / 20 * 19);
}

#[test]
fn stake_whose_power_outlives_it_answers_for_that_power() {
    let mut world = world();
    let shares = candidate(&mut world, operator(3)).pool.shares;
    undelegate(&mut world, operator(3), operator(3), shares).unwrap();
    (0..4).for_each(|_| world.end_epoch());
    // One ANKR of power was left in epoch 2 (see the steps of a set); now is epoch 4, the last in which it counts.
    let guilty = double_vote(&world, 2, 3);
    assert_eq!(refusal(withdraw(&mut world, operator(3), operator(3))), code::BOND_LOCKED);
    submit(&mut world, &guilty).unwrap();
    let leaving = unbondings(&mut world, operator(3), operator(3)).unwrap();
    assert_eq!(leaving[0].amount.0, Amount::ankr(4).0 / 20 * 19);
}

#[test]
fn a_tombstoned_validator_takes_no_stake_and_never_comes_back() {
    let mut world = world();
    let guilty = double_vote(&world, 0, 3);
    submit(&mut world, &guilty).unwrap();
    let own = operator(3);
    let refused = [
        refusal(call(&mut world, ALICE, Amount::ankr(1), IStaking::delegateCall { operator: own })),
        refusal(plain(&mut world, own, IStaking::unjailCall {}).map(|_| ())),
        refusal(plain(&mut world, own, IStaking::enlistCall { instead: ALICE }).map(|_| ())),
    ];
    assert_eq!(refused, [code::TOMBSTONED; 3]);
    let light = evidence(&world, 0, 3, (propose(7, BLOCK), propose(7, OTHER)));
    assert_eq!(refusal(submit(&mut world, &light)), code::ALREADY_PUNISHED);
    let shares = candidate(&mut world, own).pool.shares;
    undelegate(&mut world, own, own, shares).unwrap();
    world.check();
}

#[test]
fn whether_evidence_would_count_can_be_asked_of_a_state() {
    let mut world = world();
    let light = evidence(&world, 0, 3, (propose(7, BLOCK), propose(7, OTHER)));
    let grave = double_vote(&world, 0, 3);
    let asked = |world: &World| [light, grave].map(|e| is_convicted(&world.state(), &e).unwrap());
    assert_eq!(asked(&world), [false, false]);
    submit(&mut world, &light).unwrap();
    assert_eq!(asked(&world), [true, false]);
    submit(&mut world, &grave).unwrap();
    assert_eq!(asked(&world), [true, true]);
}

#[test]
fn a_state_holds_the_configurations_that_evidence_needs() {
    let mut world = world();
    (0..5).for_each(|_| world.end_epoch());
    let state = world.state();
    for epoch in 0..9 {
        let found = epoch_config(&state, epoch).unwrap().map(|config| config.epoch);
        assert_eq!(found, (3..=6).contains(&epoch).then_some(epoch));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever leaves, in whatever order: an offence costs a part of all the stake that the power stood for.
    #[test]
    fn no_stake_behind_a_power_escapes(
        steps in prop::collection::vec((0u8..6, 1u64..6), 1..24),
        delay in 0u64..3,
    ) {
        let mut world = world();
        let own = operator(3);
        delegate(&mut world, ALICE, own, Amount::ankr(9));
        for (step, number) in steps {
            match step {
                0 => world.end_epoch(),
                1 => drop(delegate(&mut world, ALICE, own, Amount::ankr(number))),
                2 => drop(undelegate(&mut world, ALICE, own, Amount::ankr(number).0)),
                3 => drop(undelegate(&mut world, own, own, Amount::ankr(number).0)),
                4 => drop(withdraw(&mut world, ALICE, own)),
                _ => drop(withdraw(&mut world, own, own)),
            }
        }
        let offence = world.epoch();
        let power = power(&mut world, offence, own);
        let author = world.block.epoch.set.iter().find(|(_, m)| m.account == own).map(|(i, _)| i);
        let Some(author) = author else { return Ok(()) };
        for who in [ALICE, own] {
            let (shares, ..) = delegation(&mut world, own, who).unwrap();
            drop(undelegate(&mut world, who, own, shares));
        }
        for _ in 0..delay {
            world.end_epoch();
            for who in [ALICE, own] {
                drop(withdraw(&mut world, who, own));
            }
        }
        let pair = (vote(7, BLOCK, 6), vote(7, OTHER, 6));
        let mut guilty = evidence(&world, offence, 3, pair);
        (guilty.first.author, guilty.second.author) = (author, author);
        submit(&mut world, &guilty).unwrap();
        let event = &world.events::<IStaking::Slashed>()[0];
        let taken = event.bonded + event.unbonding;
        // Each pool rounds down.
        prop_assert!(taken + 64 >= Amount::ankr(power).0 / 20, "{taken} for {power}");
        world.check();
    }
}
