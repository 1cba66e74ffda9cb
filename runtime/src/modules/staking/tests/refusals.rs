use alloy_primitives::Bytes;
use neura_types::keys::PublicKey;

use super::*;
use crate::modules::testing::{ALICE, BOB, operator, refusal, validator_key};

fn create(
    world: &mut World,
    who: Address,
    value: Amount,
    f: IStaking::createValidatorCall,
) -> &'static str {
    refusal(call(world, who, value, f).map(|_| ()))
}

#[test]
fn registrations_that_break_a_rule_are_refused_each_with_its_code() {
    let mut world = world();
    let (who, bond) = (account(1), Amount::ankr(1));
    let fits = registration(&world, 1, who);
    let less = bond.sub(Amount(1)).unwrap();
    assert_eq!(create(&mut world, who, less, fits.clone()), code::STAKE_TOO_SMALL);
    let greedy = IStaking::createValidatorCall { commissionBps: 5_001, ..fits.clone() };
    assert_eq!(create(&mut world, who, bond, greedy), code::INVALID_COMMISSION);
    let genesis_key = validator_key(0).public_key().0;
    let taken = IStaking::createValidatorCall { publicKey: genesis_key, ..fits.clone() };
    assert_eq!(create(&mut world, who, bond, taken), code::ALREADY_REGISTERED);
    call(&mut world, who, bond, fits.clone()).map(|_| ()).unwrap();
    assert_eq!(create(&mut world, who, bond, fits.clone()), code::ALREADY_REGISTERED);
    let stolen = registration(&world, 1, account(2));
    assert_eq!(create(&mut world, account(2), bond, stolen), code::ALREADY_REGISTERED);
    world.check();
}

#[test]
fn a_key_is_registered_only_with_a_proof_for_this_account_on_this_chain() {
    let mut world = world();
    let (who, bond) = (account(1), Amount::ankr(1));
    let fits = registration(&world, 1, who);
    let proofs: [Bytes; 4] = [
        Bytes::new(),
        fits.proof.slice(..63),
        registration(&world, 1, ALICE).proof,
        registration(&world, 2, who).proof,
    ];
    for proof in proofs {
        let f = IStaking::createValidatorCall { proof, ..fits.clone() };
        assert_eq!(create(&mut world, who, bond, f), code::INVALID_KEY);
    }
    for other_chain in [
        |world: &mut World| world.block.chain_id += 1,
        |world: &mut World| {
            world.block.genesis = alloy_primitives::B256::repeat_byte(1);
        },
    ] {
        let mut elsewhere = super::world();
        other_chain(&mut elsewhere);
        let foreign = registration(&elsewhere, 1, who);
        assert_eq!(create(&mut world, who, bond, foreign), code::INVALID_KEY);
    }
}

#[test]
fn keys_that_everyone_can_sign_for_are_refused() {
    let mut world = world();
    let mut neutral = [0; 64];
    neutral[0] = 1;
    let minus_one = "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
    let order_four = "00".repeat(32);
    let order_eight = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
    let order_one = format!("01{}", "00".repeat(31));
    for key in [&order_one, minus_one, &order_four, order_eight] {
        let public_key = PublicKey(key.parse().unwrap());
        let signature = neura_types::keys::Signature(neutral);
        assert_eq!(public_key.verify(b"anything", &signature), Ok(()), "{key}: a key of nobody");
        let fits = registration(&world, 1, account(1));
        let f = IStaking::createValidatorCall {
            publicKey: public_key.0,
            proof: neutral.to_vec().into(),
            ..fits
        };
        assert_eq!(create(&mut world, account(1), Amount::ankr(1), f), code::INVALID_KEY);
    }
}

#[test]
fn shares_that_nobody_has_are_not_taken_out() {
    let mut world = world();
    let shares = delegate(&mut world, ALICE, operator(0), Amount(1_000));
    for (who, shares) in [(ALICE, 0), (ALICE, shares + 1), (ALICE, u128::MAX), (BOB, 1)] {
        let result = undelegate(&mut world, who, operator(0), shares);
        assert_eq!(refusal(result), code::INSUFFICIENT_SHARES);
    }
    assert_eq!(refusal(claim(&mut world, BOB, operator(0))), code::INSUFFICIENT_SHARES);
    assert_eq!(refusal(withdraw(&mut world, ALICE, operator(0))), code::BOND_LOCKED);
    let nothing =
        call(&mut world, ALICE, Amount::ZERO, IStaking::delegateCall { operator: operator(0) });
    assert_eq!(refusal(nothing), code::STAKE_TOO_SMALL);
}

#[test]
fn who_has_no_validator_changes_none() {
    let mut world = world();
    let codes = [
        refusal(plain(&mut world, ALICE, IStaking::retireCall {}).map(|_| ())),
        refusal(plain(&mut world, ALICE, IStaking::unjailCall {}).map(|_| ())),
        refusal(plain(&mut world, ALICE, IStaking::enlistCall { instead: BOB }).map(|_| ())),
        refusal(
            plain(&mut world, ALICE, IStaking::setCommissionCall { commissionBps: 1 }).map(|_| ()),
        ),
        refusal(call(&mut world, ALICE, Amount(9), IStaking::delegateCall { operator: BOB })),
        refusal(undelegate(&mut world, ALICE, BOB, 1)),
        refusal(withdraw(&mut world, ALICE, BOB)),
        refusal(claim(&mut world, ALICE, BOB)),
        refusal(world.view(system::STAKING, &IStaking::candidateCall { operator: BOB })),
        refusal(world.view(system::STAKING, &IStaking::validatorCall { index: 4 })),
        refusal(world.view(system::STAKING, &IStaking::validatorCall { index: u64::MAX })),
    ];
    assert!(codes.iter().all(|code| *code == code::UNKNOWN_VALIDATOR), "{codes:?}");
    let page = world.view(system::STAKING, &IStaking::validatorsCall { start: 0, limit: 101 });
    assert_eq!(refusal(page), code::LIMIT_OUT_OF_BOUNDS);
    let page = world.view(system::STAKING, &IStaking::candidatesCall { start: 0, limit: 101 });
    assert_eq!(refusal(page), code::LIMIT_OUT_OF_BOUNDS);
}

#[test]
fn a_commission_moves_once_an_epoch_by_a_small_step() {
    let mut world = world();
    let set = |world: &mut World, bps| {
        plain(world, operator(0), IStaking::setCommissionCall { commissionBps: bps }).map(|_| ())
    };
    assert_eq!(refusal(set(&mut world, 1_050)), code::INVALID_COMMISSION, "set at genesis");
    world.end_epoch();
    assert_eq!(refusal(set(&mut world, 1_101)), code::INVALID_COMMISSION);
    assert_eq!(refusal(set(&mut world, 899)), code::INVALID_COMMISSION);
    set(&mut world, 1_100).unwrap();
    assert_eq!(refusal(set(&mut world, 1_000)), code::INVALID_COMMISSION, "once an epoch");
    world.end_epoch();
    set(&mut world, 1_200).unwrap();
    assert_eq!(candidate(&mut world, operator(0)).commission_bps, 1_200);
}

#[test]
fn entries_that_nobody_withdraws_are_bounded() {
    let mut world = world();
    delegate(&mut world, ALICE, operator(0), Amount(1_000));
    for _ in 0..64 {
        undelegate(&mut world, ALICE, operator(0), 1).unwrap();
        undelegate(&mut world, ALICE, operator(0), 1).unwrap();
        world.end_epoch();
    }
    assert_eq!(refusal(undelegate(&mut world, ALICE, operator(0), 1)), code::TOO_MANY_UNBONDINGS);
    let live = candidate(&mut world, operator(0)).unbonding.len();
    assert!(live <= 4, "{live} pools that can be slashed");
    assert_eq!(
        withdraw(&mut world, ALICE, operator(0)),
        Ok(2 * 61),
        "those of the last epochs wait"
    );
    undelegate(&mut world, ALICE, operator(0), 1).unwrap();
    world.check();
}

#[test]
fn a_full_list_is_entered_only_by_more_stake_than_another_has() {
    let mut world = world();
    let mut last = Address::ZERO;
    for n in 4..=MAX_LISTED {
        let key = SecretKey::from_seed(&alloy_primitives::U256::from(n).to_be_bytes::<32>());
        let who = key.public_key().address();
        let digest = possession_digest(&world.block.chain(), who);
        let f = IStaking::createValidatorCall {
            publicKey: key.public_key().0,
            proof: key.sign(digest.as_slice()).0.to_vec().into(),
            commissionBps: 0,
        };
        world.force(who, Amount::ankr(3));
        call(&mut world, who, Amount::ankr(2), f).map(|_| ()).unwrap();
        last = who;
    }
    assert_eq!(candidate(&mut world, last).slot, None, "there was no room");
    let enlist = |world: &mut World, instead| {
        plain(world, last, IStaking::enlistCall { instead }).map(|_| ())
    };
    for stronger in [operator(1), operator(3), last, ALICE] {
        assert_eq!(refusal(enlist(&mut world, stronger)), code::LIST_FULL);
    }
    enlist(&mut world, operator(0)).unwrap();
    assert_eq!(refusal(enlist(&mut world, operator(1))), code::ALREADY_REGISTERED);
    assert!(candidate(&mut world, last).slot.is_some());
    assert_eq!(candidate(&mut world, operator(0)).slot, None);
    world.check();
    plain(&mut world, operator(2), IStaking::retireCall {}).map(|_| ()).unwrap();
    world.check();
    plain(&mut world, operator(0), IStaking::enlistCall { instead: ALICE }).map(|_| ()).unwrap();
    world.check();
}
