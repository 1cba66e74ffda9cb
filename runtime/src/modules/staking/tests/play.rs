//! Random sequences of everything that anyone can do, with the books checked after each.

use alloy_primitives::B256;
use neura_types::{
    codec::encode,
    vote::{Evidence, Signed, Statement},
};
use proptest::prelude::*;

use super::*;
use crate::modules::{
    host::Attendance,
    testing::{ALICE, BOB, operator, validator_key},
};

/// One act: what, who, of which validator, how much.
type Act = (u8, u8, u8, u64);

/// Who acts: two delegators, operators of genesis, three newcomers.
fn party(n: u8) -> Address {
    match n % 9 {
        0 => ALICE,
        1 => BOB,
        n @ 2..=5 => operator(n - 2),
        n => account(n - 5),
    }
}

fn validator_of(n: u8) -> Address {
    party(2 + n % 7)
}

fn parties() -> Vec<Address> {
    (0..9).map(party).collect()
}

/// A contradiction of whoever has the index in the set of an epoch, if it is of genesis.
fn contradiction(world: &mut World, epoch: Epoch, n: u8, grave: bool) -> Option<Evidence> {
    let config = state::EPOCHS.get(world, &epoch).unwrap()?;
    let author = u16::from(n) % u16::try_from(config.set.len()).unwrap();
    let own = config.set.get(author)?.account;
    let key = (0..4)
        .find(|i| operator(*i) == own)
        .map(validator_key)
        .or_else(|| (1..=3).find(|seed| account(*seed) == own).map(key))?;
    let signed = |block: u8| {
        let block = B256::repeat_byte(block);
        let statement = match grave {
            true => Statement::Commit { view: 4, block },
            false => Statement::Propose { view: 4, block },
        };
        let digest = statement.digest(&world.block.chain(), epoch);
        Signed { epoch, author, statement, signature: key.sign(digest.as_slice()) }
    };
    Some(Evidence { first: signed(1), second: signed(2) })
}

fn act(world: &mut World, (what, who, of, number): Act) {
    let (caller, validator) = (party(who), validator_of(of));
    let amount = Amount(u128::from(number) * 10_000_000_000_000_007);
    let shares = |world: &mut World| {
        delegation(world, validator, caller)
            .map_or(0, |(shares, ..)| shares * u128::from(number % 5) / 4)
    };
    // Refusals are part of the play; what they must not do is change anything.
    match what {
        0..=3 => drop(call(world, caller, amount, IStaking::delegateCall { operator: validator })),
        4..=7 => {
            let shares = shares(world);
            drop(undelegate(world, caller, validator, shares));
        }
        8..=9 => drop(withdraw(world, caller, validator)),
        10 => drop(claim(world, caller, validator)),
        11..=13 => world.end_epoch(),
        14 => world.force(system::REWARDS, amount),
        15 => {
            let seed = 1 + of % 3;
            let registration = registration(world, seed, account(seed));
            let bond = Amount::ankr(1 + number % 7);
            drop(call(world, account(seed), bond, registration));
        }
        16 => drop(plain(world, caller, IStaking::retireCall {})),
        17 => drop(plain(world, caller, IStaking::enlistCall { instead: ALICE })),
        18 => drop(plain(world, caller, IStaking::unjailCall {})),
        19 => {
            let failed = vec![u16::from(of % 4)];
            world.block.attendance = Attendance { seen: vec![0], failed };
            world.end_block();
            world.block.attendance = Attendance::default();
        }
        20 => drop(plain(
            world,
            caller,
            IStaking::setCommissionCall { commissionBps: 1_000 + u16::from(of) },
        )),
        _ => {
            let epoch = world.epoch().saturating_sub(number % 3);
            if let Some(evidence) = contradiction(world, epoch, of, number % 5 > 0) {
                let evidence = encode(&evidence).into();
                drop(plain(world, caller, IStaking::submitEvidenceCall { evidence }));
            }
        }
    }
}

/// What the parts of all delegators must add up to.
fn check_books(world: &mut World) {
    world.check();
    for validator in (0..7).map(validator_of) {
        let Some(candidate) = get(world, validator).unwrap() else { continue };
        let (mut shares, mut worth, mut pending, mut leaving) = (0u128, 0u128, 0u128, 0u128);
        for who in parties() {
            let (own, amount, rewards) = delegation(world, validator, who).unwrap();
            (shares, worth) = (shares + own, worth + amount.0);
            pending += rewards.0;
            let entries = unbondings(world, validator, who).unwrap();
            leaving += entries.iter().map(|entry| entry.amount.0).sum::<u128>();
        }
        assert_eq!(shares, candidate.pool.shares, "shares of {validator}");
        assert!(worth <= candidate.pool.stake.0 && candidate.pool.stake.0 - worth < 9);
        assert!(pending <= candidate.owed.0, "{pending} of {:?}", candidate.owed);
        assert!(leaving <= state::UNBONDING.get(world, &()).unwrap().0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_books_balance_after_every_act(acts in prop::collection::vec((0u8..23, 0u8..9, 0u8..7, 0u64..1_000), 1..80)) {
        let mut world = world();
        for step in acts {
            act(&mut world, step);
            check_books(&mut world);
        }
    }

    #[test]
    fn everybody_gets_out_in_the_end(acts in prop::collection::vec((0u8..23, 0u8..9, 0u8..7, 0u64..1_000), 1..60)) {
        let mut world = world();
        acts.into_iter().for_each(|step| act(&mut world, step));
        // One who stays, so that the set can do without the others.
        let rock = account(4);
        let registration = registration(&world, 4, rock);
        call(&mut world, rock, Amount::ankr(100_000), registration).map(|_| ()).unwrap();
        for _ in 0..80 {
            world.end_epoch();
        }
        for validator in (0..7).map(validator_of) {
            for who in parties() {
                let Ok((shares, ..)) = delegation(&mut world, validator, who) else { continue };
                drop(withdraw(&mut world, who, validator));
                if shares > 0 {
                    undelegate(&mut world, who, validator, shares).unwrap();
                }
            }
        }
        for _ in 0..12 {
            world.end_epoch();
        }
        for validator in (0..7).map(validator_of) {
            for who in parties() {
                drop(withdraw(&mut world, who, validator));
            }
        }
        let left = delegation(&mut world, rock, rock).unwrap();
        let owed = candidate(&mut world, rock).owed;
        prop_assert_eq!(world.wei(system::STAKING), left.1.0 + owed.0, "nothing is left behind");
        check_books(&mut world);
    }
}
