use alloy_primitives::B256;
use neura_types::{
    Amount,
    abi::IProviders::{self, Offer},
    keys::SecretKey,
    provider::{MAX_TEXT, TrackRecord},
    system,
};

use super::*;
use crate::modules::testing::{ALICE, FUNDS, World, account, offer, refusal};

fn bond(world: &World) -> Amount {
    world.block.params().min_provider_bond
}

fn join(world: &mut World, offer: Offer, bond: Amount) -> Result<(), Fault> {
    let call = IProviders::registerCall {
        identity: SecretKey::from_seed(&[1; 32]).public_key().0,
        encryptionKey: B256::repeat_byte(1),
        offer,
    };
    world.call(account(1), bond, system::PROVIDERS, &call).map(|_| ())
}

fn plain<C: neura_types::abi::SolCall>(world: &mut World, call: C) -> Result<C::Return, Fault> {
    world.call(account(1), Amount::ZERO, system::PROVIDERS, &call)
}

#[test]
fn a_registered_provider_is_read_back_by_every_view() {
    let mut world = World::with_provider();
    let entry = world.provider(1);
    assert_eq!((entry.key_epoch, entry.status), (1, ProviderStatus::Active));
    assert_eq!(entry.bond, bond(&world));
    assert_eq!(world.wei(system::PROVIDERS), bond(&world).0);

    let view = world.view(system::PROVIDERS, &IProviders::providerCall { account: account(1) });
    assert_eq!(view, Ok(IProviders::Provider::from(&entry)));
    let list = world.view(system::PROVIDERS, &IProviders::listCall { start: 0, limit: 9 });
    assert_eq!(list, Ok(vec![IProviders::Provider::from(&entry)]));
    assert_eq!(world.view(system::PROVIDERS, &IProviders::countCall {}), Ok(1));
    let known = |account| IProviders::isRegisteredCall { account };
    assert_eq!(world.view(system::PROVIDERS, &known(account(1))), Ok(true));
    assert_eq!(world.view(system::PROVIDERS, &known(ALICE)), Ok(false));
    let events = world.events::<IProviders::ProviderRegistered>();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].provider, events[0].bond), (account(1), bond(&world).0));
}

#[test]
fn pages_of_the_list_are_in_order_of_registration() {
    let mut world = World::new();
    let all: Vec<_> = [3, 1, 4, 2].map(|seed| world.register(seed).unwrap()).into();
    let page = |world: &mut World, start, limit| -> Vec<Address> {
        list(world, start, limit).unwrap().iter().map(|p| p.address).collect()
    };
    assert_eq!(page(&mut world, 0, 100), all);
    assert_eq!(page(&mut world, 1, 2), all[1..3]);
    assert_eq!(page(&mut world, 3, 100), all[3..]);
    assert!(page(&mut world, 4, 100).is_empty());
    assert!(page(&mut world, u64::MAX, 100).is_empty());
    assert_eq!(refusal(list(&mut world, 0, 101)), code::LIMIT_OUT_OF_BOUNDS);
}

#[test]
fn registrations_that_break_a_rule_are_refused_each_with_its_code() {
    let fits = offer(account(1));
    let with = |change: fn(&mut Offer)| {
        let mut changed = fits.clone();
        change(&mut changed);
        changed
    };
    let cases: Vec<(Offer, &str)> = vec![
        (with(|o| o.payout = Address::ZERO), code::INVALID_PAYOUT),
        (with(|o| o.payout = system::TASKS), code::INVALID_PAYOUT),
        (with(|o| o.capacity = 0), code::INVALID_OFFER),
        (with(|o| o.capacity = u32::MAX), code::INVALID_OFFER),
        (with(|o| o.executors.clear()), code::INVALID_OFFER),
        (with(|o| o.executors = vec!["a".into(), "a".into()]), code::INVALID_OFFER),
        (with(|o| o.executors = vec![String::new()]), code::INVALID_OFFER),
        (with(|o| o.executors = (0..9).map(|i| i.to_string()).collect()), code::INVALID_OFFER),
        (with(|o| o.executors = vec!["x".repeat(129)]), code::TEXT_TOO_LONG),
        (with(|o| o.region = "x".repeat(129)), code::TEXT_TOO_LONG),
        (with(|o| o.capability.gpuModel = "x".repeat(129)), code::TEXT_TOO_LONG),
        (with(|o| o.endpoint = "ftp://x".into()), code::INVALID_OFFER),
        (with(|o| o.endpoint = "http://a b".into()), code::INVALID_OFFER),
    ];
    for (offer, expected) in cases {
        let mut world = World::new();
        let bond = bond(&world);
        assert_eq!(refusal(join(&mut world, offer, bond)), expected);
        assert_eq!(world.wei(account(1)), FUNDS.0);
    }
    let mut world = World::new();
    let less = bond(&world).sub(Amount(1)).unwrap();
    assert_eq!(refusal(join(&mut world, fits, less)), code::BOND_TOO_SMALL);
}

#[test]
fn the_largest_offer_allowed_fits_a_call_and_a_record() {
    let mut world = World::new();
    let mut largest = offer(account(1));
    let text = |c: char| c.to_string().repeat(MAX_TEXT);
    largest.executors = ('a'..='h').map(text).collect();
    largest.capability.gpuModel = text('g');
    largest.capability.gpuBackend = text('b');
    largest.region = text('r');
    largest.endpoint = format!("http://{}", "e".repeat(MAX_TEXT - 7));
    let bond = bond(&world);
    join(&mut world, largest.clone(), bond).unwrap();
    assert_eq!(Offer::from(&world.provider(1)), largest);
}

#[test]
fn only_the_account_of_the_identity_key_registers() {
    let mut world = World::new();
    let call = IProviders::registerCall {
        identity: SecretKey::from_seed(&[1; 32]).public_key().0,
        encryptionKey: B256::repeat_byte(1),
        offer: offer(ALICE),
    };
    let bond = bond(&world);
    let result = world.call(ALICE, bond, system::PROVIDERS, &call);
    assert_eq!(refusal(result.map(|_| ())), code::IDENTITY_MISMATCH);
}

#[test]
fn a_zero_encryption_key_is_refused() {
    let mut world = World::with_provider();
    let call = IProviders::rotateKeyCall { encryptionKey: B256::ZERO };
    assert_eq!(refusal(plain(&mut world, call)), code::INVALID_KEY);
}

#[test]
fn nobody_registers_twice() {
    let mut world = World::with_provider();
    assert_eq!(refusal(world.register(1)), code::ALREADY_REGISTERED);
}

#[test]
fn an_update_replaces_the_offer_and_nothing_else() {
    let mut world = World::with_provider();
    world.advance(3);
    let mut changed = offer(ALICE);
    changed.pricePerBlock = 5;
    changed.region = String::new();
    plain(&mut world, IProviders::updateCall { offer: changed.clone() }).unwrap();
    let entry = world.provider(1);
    assert_eq!(Offer::from(&entry), changed);
    assert_eq!((entry.key_epoch, entry.registered_at, entry.heartbeat_at), (1, 1, 4));
}

#[test]
fn each_rotation_raises_the_number_of_the_key() {
    let mut world = World::with_provider();
    for epoch in 2..5u8 {
        let call = IProviders::rotateKeyCall { encryptionKey: B256::repeat_byte(epoch) };
        assert_eq!(plain(&mut world, call), Ok(u32::from(epoch)));
    }
    assert_eq!(world.provider(1).encryption_key, B256::repeat_byte(4));
}

#[test]
fn a_provider_drains_and_resumes() {
    let mut world = World::with_provider();
    assert_eq!(
        refusal(plain(&mut world, IProviders::resumeCall {}).map(|_| ())),
        code::PROVIDER_NOT_ACTIVE
    );
    plain(&mut world, IProviders::drainCall {}).map(|_| ()).unwrap();
    assert_eq!(world.provider(1).status, ProviderStatus::Draining);
    assert_eq!(
        refusal(plain(&mut world, IProviders::drainCall {}).map(|_| ())),
        code::PROVIDER_NOT_ACTIVE
    );
    plain(&mut world, IProviders::heartbeatCall {}).map(|_| ()).unwrap();
    plain(&mut world, IProviders::resumeCall {}).map(|_| ()).unwrap();
    assert_eq!(world.provider(1).status, ProviderStatus::Active);
}

#[test]
fn an_account_without_an_entry_does_nothing_to_the_registry() {
    let mut world = World::new();
    let result = world.call(ALICE, Amount::ZERO, system::PROVIDERS, &IProviders::heartbeatCall {});
    assert_eq!(refusal(result.map(|_| ())), code::UNKNOWN_PROVIDER);
    let view = world.view(system::PROVIDERS, &IProviders::providerCall { account: ALICE });
    assert_eq!(refusal(view), code::UNKNOWN_PROVIDER);
}

#[test]
fn a_provider_leaves_waits_takes_its_bond_and_may_come_back_under_a_new_key_number() {
    let mut world = World::with_provider();
    assert_eq!(
        refusal(plain(&mut world, IProviders::withdrawBondCall {})),
        code::BOND_LOCKED,
        "still registered"
    );
    plain(&mut world, IProviders::unregisterCall {}).map(|_| ()).unwrap();
    let unbonds_at = world.provider(1).unbonds_at;
    assert_eq!(unbonds_at, 1 + world.block.params().provider_unbond_blocks);
    assert_eq!(refusal(world.register(1)), code::BOND_LOCKED);
    let update = IProviders::updateCall { offer: offer(ALICE) };
    assert_eq!(refusal(plain(&mut world, update).map(|_| ())), code::PROVIDER_NOT_ACTIVE);
    while world.block.height < unbonds_at {
        assert_eq!(refusal(plain(&mut world, IProviders::withdrawBondCall {})), code::BOND_LOCKED);
        world.end_block();
    }
    let bond = bond(&world);
    assert_eq!(plain(&mut world, IProviders::withdrawBondCall {}), Ok(bond.0));
    assert_eq!(world.wei(account(1)), FUNDS.0);
    assert_eq!(world.wei(system::PROVIDERS), 0);
    assert_eq!(refusal(plain(&mut world, IProviders::withdrawBondCall {})), code::BOND_LOCKED);
    world.end_block();

    world.register(1).unwrap();
    assert_eq!(world.provider(1).key_epoch, 2);
    assert_eq!(count(&mut world), Ok(1), "listed once");
    world.end_block();
}

#[test]
fn a_provider_with_tasks_cannot_leave() {
    let mut world = World::with_provider();
    let id = world.offered();
    let leave = |world: &mut World| plain(world, IProviders::unregisterCall {}).map(|_| ());
    assert_eq!(refusal(leave(&mut world)), code::TASKS_ACTIVE);
    world.accept(1, id).unwrap();
    world.submit(1, id).unwrap();
    world.approve(ALICE, id).unwrap();
    assert_eq!(world.provider(1).record, TrackRecord { settled: 1, ..TrackRecord::default() });
    leave(&mut world).unwrap();
    world.end_block();
}
