use std::sync::Arc;

use alloy_primitives::hex;
use neura_types::{
    Amount,
    abi::{
        IGovernance, IProviders, IRequesters, IRewards, IStaking, ITasks, SolCall, SolInterface,
    },
};

use super::{
    host::Attendance,
    testing::{ALICE, BOB, ESCROW, World, account, refusal},
    *,
};

#[test]
fn every_function_of_every_interface_is_served() {
    fn served<C: SolInterface>(module: Address) {
        for selector in C::selectors() {
            let mut world = World::new();
            // Zeros decode as arguments of every function without dynamic types; the others are refused as malformed.
            let input = [&selector[..], &[0; 512]].concat();
            let result = world.call_raw(BOB, Amount::ZERO, module, input.into());
            if let Err(Fault::Refused(refusal)) = result {
                assert_ne!(refusal.code, code::UNKNOWN_FUNCTION, "{}", hex::encode(selector));
            }
        }
    }
    served::<IProviders::IProvidersCalls>(system::PROVIDERS);
    served::<IRequesters::IRequestersCalls>(system::REQUESTERS);
    served::<ITasks::ITasksCalls>(system::TASKS);
    served::<IRewards::IRewardsCalls>(system::REWARDS);
    served::<IStaking::IStakingCalls>(system::STAKING);
    served::<IGovernance::IGovernanceCalls>(system::GOVERNANCE);
}

#[test]
fn the_solidity_constants_are_the_system_addresses() {
    let source = include_str!("../../contracts/Neura.sol").to_lowercase();
    for (address, name) in system::MODULES.iter().filter(|(_, name)| *name != "chain") {
        let wanted = format!("constant {name} = i{name}({})", hex::encode_prefixed(address));
        assert!(source.contains(&wanted), "{wanted}");
    }
}

#[test]
fn exactly_the_system_addresses_are_modules() {
    assert!(system::MODULES.iter().all(|(address, _)| is_module(*address)));
    assert!(!is_module(ALICE));
}

#[test]
fn a_call_that_is_no_call_is_refused() {
    let mut world = World::new();
    let list = IProviders::listCall { start: 0, limit: 1 }.abi_encode();
    let cases: [(&[u8], &str); 6] = [
        (&[], code::UNKNOWN_FUNCTION),
        (&[1, 2, 3], code::UNKNOWN_FUNCTION),
        (&[1, 2, 3, 4], code::UNKNOWN_FUNCTION),
        (&list[..40], code::MALFORMED_CALL),
        (&[&list[..4], &[0xff; 64]].concat(), code::MALFORMED_CALL),
        (&[0; MAX_CALL_BYTES + 1], code::CALL_TOO_LARGE),
    ];
    for (input, expected) in cases {
        let result = world.call_raw(BOB, Amount::ZERO, system::PROVIDERS, input.to_vec().into());
        assert_eq!(refusal(result), expected);
    }
    let chain = world.call_raw(BOB, Amount::ZERO, system::CHAIN, list.into());
    assert_eq!(refusal(chain), code::UNKNOWN_FUNCTION);
}

#[test]
fn offsets_that_point_at_one_text_many_times_do_not_multiply_it() {
    let mut world = World::new();
    let text = "x".repeat(4_000);
    let mut offer = super::testing::offer(account(1));
    offer.executors = vec![text];
    let mut input = IProviders::updateCall { offer }.abi_encode();
    // executors: length 1, offset 32, text. Make the length 300 and every offset the same.
    let at = input.windows(4).position(|w| w == *b"xxxx").unwrap() - 96;
    let text = input.split_off(at + 64);
    input[at + 30..at + 32].copy_from_slice(&300u16.to_be_bytes());
    input.truncate(at + 32);
    let mut offset = [0; 32];
    offset[30..].copy_from_slice(&(300u16 * 32).to_be_bytes());
    (0..300).for_each(|_| input.extend(offset));
    input.extend(text);
    let result = world.call_raw(account(1), Amount::ZERO, system::PROVIDERS, input.into());
    assert_eq!(refusal(result), code::MALFORMED_CALL);
}

#[test]
fn coins_sent_to_a_function_that_takes_none_are_refused_and_come_back() {
    let mut world = World::with_provider();
    let before = world.wei(ALICE);
    let view = world.call(ALICE, Amount(1), system::TASKS, &ITasks::countCall {});
    assert_eq!(refusal(view), code::NOT_PAYABLE);
    let write = ITasks::acceptCall { taskId: 1 };
    let write = world.call(ALICE, Amount(1), system::TASKS, &write).map(|_| ());
    assert_eq!(refusal(write), code::NOT_PAYABLE);
    let plain = world.call_raw(ALICE, ESCROW, system::TASKS, Bytes::new());
    assert_eq!(refusal(plain), code::UNKNOWN_FUNCTION);
    assert_eq!(world.wei(ALICE), before);
}

#[test]
fn a_static_call_changes_nothing() {
    let mut world = World::with_provider();
    let id = world.offered();
    let before = world.snapshot();
    let accept = ITasks::acceptCall { taskId: id };
    assert_eq!(world.call_static(account(1), system::TASKS, &accept).err(), Some(Fault::ReadOnly));
    let create = ITasks::createCall { terms: (&world.terms(1)).into() };
    assert_eq!(world.call_static(ALICE, system::TASKS, &create).err(), Some(Fault::ReadOnly));
    let beat = IProviders::heartbeatCall {};
    assert_eq!(
        world.call_static(account(1), system::PROVIDERS, &beat).err(),
        Some(Fault::ReadOnly)
    );
    assert!(world.snapshot() == before);
}

#[test]
fn a_refused_call_leaves_no_trace() {
    let mut world = World::with_provider();
    let (before, logs) = (world.snapshot(), world.logs.len());
    let terms = world.terms(1);
    assert_eq!(refusal(world.create(ALICE, &terms, Amount(1))), code::ESCROW_BELOW_PRICE);
    assert!(world.snapshot() == before && world.logs.len() == logs);
}

#[test]
fn an_idle_block_changes_nothing() {
    let mut world = World::with_provider();
    world.offered();
    world.advance(20);
    let before = world.snapshot();
    world.advance(20);
    assert!(world.snapshot() == before);
}

#[test]
fn validators_that_take_part_are_noted_once_an_epoch() {
    let mut world = World::new();
    world.block.attendance = Attendance { seen: vec![0, 1, 3], failed: vec![] };
    world.advance(1);
    let before = world.snapshot();
    world.advance(20);
    assert!(world.snapshot() == before, "those seen before");
    world.block.attendance.seen = vec![0, 1, 2];
    world.advance(1);
    assert!(world.snapshot() != before, "one seen for the first time");
}

#[test]
fn a_block_of_a_newer_protocol_is_not_executed() {
    let mut world = World::new();
    Arc::make_mut(&mut world.block.epoch).version = PROTOCOL_VERSION + 1;
    assert!(
        matches!(begin_block(&mut world), Err(Fault::Fatal(why)) if why.contains("newer release"))
    );
}

#[test]
fn coins_forced_upon_a_module_break_no_invariant() {
    let mut world = World::with_provider();
    world.offered();
    world.force(system::TASKS, Amount(5));
    world.force(system::PROVIDERS, Amount(5));
    world.force(system::STAKING, Amount(5));
    end_block(&mut world).unwrap();
    assert_eq!(audit(&mut world), Ok(()));
}
