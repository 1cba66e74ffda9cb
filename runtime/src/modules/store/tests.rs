use neura_types::system;
use proptest::prelude::*;

use super::*;
use crate::modules::testing::World;

const NOTES: Table<u64, String> = Table::new(system::CHAIN, 200);

#[test]
fn a_key_never_written_has_no_record() {
    assert_eq!(NOTES.get(&mut World::new(), &1), Ok(None));
}

#[test]
fn the_layout_of_a_record_is_its_length_and_then_its_bytes() {
    let mut world = World::new();
    NOTES.put(&mut world, &1, &"a".repeat(40)).unwrap();
    let base: U256 = hash_value(Domain::ModuleState, &(system::CHAIN, 200u8, &1u64)).into();
    let word = |world: &mut World, i: u64| world.load(system::CHAIN, base + U256::from(i)).unwrap();
    assert_eq!(word(&mut world, 0), U256::from(41));
    let mut first = [b'a'; 32];
    first[0] = 40;
    assert_eq!(word(&mut world, 1), U256::from_be_bytes(first));
    let mut second = [0; 32];
    second[..9].fill(b'a');
    assert_eq!(word(&mut world, 2), U256::from_be_bytes(second));
    assert_eq!(word(&mut world, 3), U256::ZERO);
}

#[test]
fn an_unchanged_record_is_not_written_again() {
    struct NoStore(World);
    impl Host for NoStore {
        fn block(&self) -> &crate::modules::host::BlockContext {
            self.0.block()
        }
        fn load(&mut self, module: Address, slot: U256) -> Result<U256, Fault> {
            self.0.load(module, slot)
        }
        fn store(&mut self, _: Address, _: U256, _: U256) -> Result<(), Fault> {
            Err(Fault::ReadOnly)
        }
        fn balance(&mut self, account: Address) -> Result<U256, Fault> {
            self.0.balance(account)
        }
        fn transfer(&mut self, _: Address, _: Address, _: Amount) -> Result<(), Fault> {
            Err(Fault::ReadOnly)
        }
        fn burn(&mut self, _: Address, _: Amount) -> Result<(), Fault> {
            Err(Fault::ReadOnly)
        }
        fn emit(&mut self, _: neura_types::Log) -> Result<(), Fault> {
            Err(Fault::ReadOnly)
        }
        fn charge(&mut self, _: u64) -> Result<(), Fault> {
            Ok(())
        }
    }
    let mut world = World::new();
    let text = "x".repeat(100);
    NOTES.put(&mut world, &1, &text).unwrap();
    let mut world = NoStore(world);
    assert_eq!(NOTES.put(&mut world, &1, &text), Ok(()));
    assert_eq!(NOTES.put(&mut world, &1, &"y".repeat(100)), Err(Fault::ReadOnly));
}

#[test]
fn a_record_past_the_bound_is_a_fault_of_the_module() {
    let result = NOTES.put(&mut World::new(), &1, &"x".repeat(MAX_RECORD_BYTES));
    assert!(matches!(result, Err(Fault::Fatal(_))));
}

#[test]
fn a_word_that_stands_for_no_address_is_a_fault_of_the_state() {
    const OWNER: Words<u64, Address> = Words::new(system::CHAIN, 201);
    const RAW: Words<u64, Amount> = Words::new(system::CHAIN, 201);
    let mut world = World::new();
    OWNER.set(&mut world, &1, system::TASKS).unwrap();
    assert_eq!(OWNER.get(&mut world, &1), Ok(system::TASKS));
    let slot = hash_value(Domain::ModuleState, &(system::CHAIN, 201u8, &1u64)).into();
    world.store(system::CHAIN, slot, U256::MAX).unwrap();
    assert!(matches!(OWNER.get(&mut world, &1), Err(Fault::Fatal(_))));
    assert!(matches!(RAW.get(&mut world, &1), Err(Fault::Fatal(_))));
}

proptest! {
    #[test]
    fn the_last_record_written_is_read_and_leaves_no_words_behind(
        texts in proptest::collection::vec("[a-z]{0,300}", 1..8),
    ) {
        let mut world = World::new();
        let before = world.words();
        for text in &texts {
            NOTES.put(&mut world, &3, text).unwrap();
            let read = NOTES.get(&mut world, &3).unwrap();
            prop_assert_eq!(read.as_ref(), Some(text));
        }
        let last = neura_types::codec::encode(texts.last().unwrap()).len();
        // The length word and the words of the encoding, of which none is zero unless the text is empty.
        let expected = if last == 1 { 1 } else { 1 + last.div_ceil(WORD) };
        prop_assert_eq!(world.words() - before, expected);
    }
}
