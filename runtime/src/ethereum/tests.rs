use std::collections::BTreeMap;

use alloy_primitives::{TxKind, U256, b256};

use super::*;

const SENDER: Address = Address::repeat_byte(1);
const TO: Address = Address::repeat_byte(2);

fn world() -> World {
    let mut world = World::default();
    world.insert(SENDER, (0, U256::from(1_000_000_000)), Bytes::new(), BTreeMap::new());
    world
}

fn transfer() -> TxEnv {
    TxEnv {
        caller: SENDER,
        kind: TxKind::Call(TO),
        value: U256::ONE,
        gas_limit: 100_000,
        gas_price: 10,
        ..TxEnv::default()
    }
}

fn run(spec: SpecId, before: &World, transaction: TxEnv) -> Result<Outcome, Rejection> {
    let rules = Rules { spec, chain_id: 1, max_blobs: None };
    let block = BlockEnv {
        prevrandao: spec.is_enabled_in(SpecId::MERGE).then_some(B256::ZERO),
        ..BlockEnv::default()
    };
    Ethereum::new().unwrap().transact(before, &rules, block, transaction)
}

#[test]
fn an_empty_world_has_the_root_of_the_empty_trie() {
    let empty = b256!("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");
    assert_eq!(World::default().root(), empty);
}

#[test]
fn a_touched_empty_account_stays_before_eip_161_and_goes_since() {
    for (spec, stays) in [(SpecId::TANGERINE, true), (SpecId::SPURIOUS_DRAGON, false)] {
        let transaction = TxEnv { value: U256::ZERO, ..transfer() };
        let outcome = run(spec, &world(), transaction).unwrap();
        assert_eq!(outcome.world.accounts().contains_key(&TO), stays, "{spec:?}");
    }
}

#[test]
fn a_contract_destroys_itself_for_good_before_eip_6780_only() {
    let code = Bytes::from_static(&[0x33, 0xff]);
    let mut before = world();
    before.insert(TO, (1, U256::ZERO), code, [(U256::ONE, U256::ONE)].into());
    for (spec, stays) in [(SpecId::SHANGHAI, false), (SpecId::CANCUN, true)] {
        let outcome = run(spec, &before, transfer()).unwrap();
        assert_eq!(outcome.world.accounts().contains_key(&TO), stays, "{spec:?}");
    }
}

#[test]
fn nothing_is_created_where_there_is_storage() {
    let created = SENDER.create(0);
    let creation = TxEnv { kind: TxKind::Create, value: U256::ZERO, ..transfer() };
    let free = run(SpecId::OSAKA, &world(), creation.clone()).unwrap();
    assert_eq!(free.ending, "success");
    let mut before = world();
    before.insert(created, (0, U256::from(7)), Bytes::new(), [(U256::ONE, U256::ONE)].into());
    let taken = run(SpecId::OSAKA, &before, creation).unwrap();
    assert_ne!(taken.ending, "success");
    assert_eq!(taken.gas_used, 100_000);
    assert_eq!(taken.world.accounts()[&created], before.accounts()[&created]);
    assert_eq!(taken.world.accounts()[&SENDER].account.nonce, 1);
}

#[test]
fn a_transaction_that_no_block_includes_is_told_from_one_that_fails() {
    let poor = TxEnv { value: U256::from(2_000_000_000), ..transfer() };
    assert!(matches!(
        run(SpecId::OSAKA, &world(), poor),
        Err(Rejection::Transaction(EvmInvalid::LackOfFundForMaxFee { .. }))
    ));
}

#[test]
fn native_modules_answer_at_their_addresses() {
    let call =
        TxEnv { kind: TxKind::Call(neura_types::system::REWARDS), value: U256::ZERO, ..transfer() };
    let outcome = run(SpecId::OSAKA, &world(), call).unwrap();
    assert_eq!(outcome.ending, "revert");
    assert!(crate::revert_reason(&outcome.output).is_some());
}
