//! A state with a block's changes on top reads as the state that has applied them.

use proptest::prelude::*;

use super::*;

fn address() -> impl Strategy<Value = Address> {
    (0u8..4).prop_map(Address::repeat_byte)
}

fn changes() -> impl Strategy<Value = StateChanges> {
    let account =
        proptest::option::of((0u64..3).prop_map(|nonce| Account { nonce, ..Account::default() }));
    let word = ((address(), (0u8..4).prop_map(U256::from)), (0u8..3).prop_map(U256::from));
    let code = (0u8..4).prop_map(|n| (B256::repeat_byte(n), Bytes::from(vec![n])));
    (
        proptest::collection::btree_map(address(), account, 0..4),
        proptest::collection::btree_set(address(), 0..2),
        proptest::collection::vec(word, 0..8),
        proptest::collection::vec(code, 0..3),
    )
        .prop_map(|(accounts, wiped, storage, code)| StateChanges {
            accounts,
            wiped,
            storage: storage.into_iter().collect(),
            code: code.into_iter().collect(),
        })
}

proptest! {
    #[test]
    fn changes_on_top_read_as_changes_applied(before in changes(), block in changes()) {
        let mut state = MemoryState::default();
        state.apply(&before);
        let mut applied = state.clone();
        applied.apply(&block);
        let on_top = Changed { state: &state, changes: Some(&block) };
        let bare = Changed { state: &state, changes: None };
        for n in 0u8..4 {
            let account = Address::repeat_byte(n);
            prop_assert_eq!(on_top.account(account).ok(), applied.account(account).ok());
            prop_assert_eq!(bare.account(account).ok(), state.account(account).ok());
            let hash = B256::repeat_byte(n);
            prop_assert_eq!(on_top.code(hash).ok(), applied.code(hash).ok());
            for slot in (0u8..4).map(U256::from) {
                let word = |read: &dyn StateRead| read.storage(account, slot).ok();
                prop_assert_eq!(word(&on_top), word(&applied));
                prop_assert_eq!(word(&bare), word(&state));
            }
        }
    }
}
