use neura_types::{Amount, provider::TrackRecord, system};

use super::*;
use crate::modules::testing::{ALICE, BOB, World, refusal};

fn by_alice<C: neura_types::abi::SolCall>(world: &mut World, call: C) -> Result<C::Return, Fault> {
    world.call(ALICE, Amount::ZERO, system::REQUESTERS, &call)
}

fn register(world: &mut World, byte: u8) -> Result<(), Fault> {
    let call = IRequesters::registerCall { encryptionKey: B256::repeat_byte(byte) };
    by_alice(world, call).map(|_| ())
}

#[test]
fn a_requester_registers_once_and_rotates_its_key() {
    let mut world = World::new();
    assert_eq!(refusal(register(&mut world, 0)), code::INVALID_KEY);
    register(&mut world, 3).unwrap();
    assert_eq!(refusal(register(&mut world, 4)), code::ALREADY_REGISTERED);
    let rotate = IRequesters::rotateKeyCall { encryptionKey: B256::repeat_byte(5) };
    assert_eq!(by_alice(&mut world, rotate), Ok(2));
    let entry = get(&mut world, ALICE).unwrap().unwrap();
    assert_eq!((entry.encryption_key, entry.key_epoch), (B256::repeat_byte(5), 2));
    let view = world.view(system::REQUESTERS, &IRequesters::requesterCall { account: ALICE });
    assert_eq!(view, Ok(IRequesters::Requester::from(&entry)));
    let list = world.view(system::REQUESTERS, &IRequesters::listCall { start: 0, limit: 100 });
    assert_eq!(list, Ok(vec![IRequesters::Requester::from(&entry)]));
    assert_eq!(world.events::<IRequesters::KeyRotated>().len(), 1);
}

#[test]
fn an_account_without_an_entry_is_unknown() {
    let mut world = World::new();
    let rotate = IRequesters::rotateKeyCall { encryptionKey: B256::repeat_byte(5) };
    assert_eq!(refusal(by_alice(&mut world, rotate)), code::UNKNOWN_REQUESTER);
    let view = world.view(system::REQUESTERS, &IRequesters::requesterCall { account: BOB });
    assert_eq!(refusal(view), code::UNKNOWN_REQUESTER);
    let known = IRequesters::isRegisteredCall { account: BOB };
    assert_eq!(world.view(system::REQUESTERS, &known), Ok(false));
    let page = IRequesters::listCall { start: 0, limit: 101 };
    assert_eq!(refusal(world.view(system::REQUESTERS, &page)), code::LIMIT_OUT_OF_BOUNDS);
}

#[test]
fn the_first_task_registers_its_owner_and_later_ones_keep_the_key() {
    let mut world = World::with_provider();
    world.offered();
    let entry = get(&mut world, ALICE).unwrap().unwrap();
    assert_eq!(entry.encryption_key, world.terms(1).result_key);
    let rotate = IRequesters::rotateKeyCall { encryptionKey: B256::repeat_byte(5) };
    by_alice(&mut world, rotate).unwrap();
    world.offered();
    assert_eq!(get(&mut world, ALICE).unwrap().unwrap().encryption_key, B256::repeat_byte(5));
    assert_eq!(count(&mut world), Ok(1));
}

#[test]
fn the_record_counts_how_tasks_ended() {
    let mut world = World::with_provider();
    let settled = world.offered();
    let abandoned = world.offered();
    world.accept(1, settled).unwrap();
    world.accept(1, abandoned).unwrap();
    world.submit(1, settled).unwrap();
    world.approve(ALICE, settled).unwrap();
    world.advance(20);
    let entry = get(&mut world, ALICE).unwrap().unwrap();
    assert_eq!(entry.record, TrackRecord { settled: 1, at_fault: 0, refunded: 1 });
    assert_eq!(world.provider(1).record, TrackRecord { settled: 1, at_fault: 1, refunded: 0 });
}
