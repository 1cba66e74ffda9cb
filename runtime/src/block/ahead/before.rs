//! The state that a transaction finds when it is run ahead of its turn, and what it read of it.

use std::{cell::RefCell, collections::BTreeMap};

use alloy_primitives::{Address, B256, Bytes, U256, map::HashMap};
use neura_types::{Account, Height, StateRead, state::StateError};
use revm::state::{Account as Journalled, EvmState};

use crate::evm::Effects;

/// Whose last word a value was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The state's or the block's, as it stood when the wave began.
    Block,
    /// That of an earlier transaction of the lane, which has yet to have its turn.
    Lane,
}

/// What a transaction read, with the values that it saw.
#[derive(Debug, Default)]
pub(super) struct Reads {
    accounts: Vec<(Address, Option<Account>, Source)>,
    words: Vec<(Address, U256, U256, Source)>,
}

impl Reads {
    /// Whether the block still shows all of it. What a block does not hold is as the state has it.
    pub(super) fn hold(&self, block: &EvmState) -> bool {
        let accounts =
            self.accounts.iter().all(|(address, seen, source)| match block.get(address) {
                Some(account) if account.is_selfdestructed_locally() => false,
                Some(account) => shown(account) == *seen,
                None => *source == Source::Block,
            });
        accounts
            && self.words.iter().all(|(address, slot, seen, source)| {
                let word = block.get(address).and_then(|account| account.storage.get(slot));
                word.map_or(*source == Source::Block, |word| word.present_value == *seen)
            })
    }
}

/// An account of the journal as a state shows it: none if it is empty.
fn shown(account: &Journalled) -> Option<Account> {
    let info = &account.info;
    (!info.is_empty()).then_some(Account {
        nonce: info.nonce,
        balance: info.balance,
        code_hash: info.code_hash,
    })
}

/// What the transactions of a lane changed.
#[derive(Debug, Default)]
struct Lane {
    accounts: HashMap<Address, Option<Account>>,
    words: HashMap<(Address, U256), U256>,
}

/// A state below what a block did to it, below what a lane did, below a transaction that runs.
#[derive(Debug)]
pub(super) struct Before<'s, S> {
    state: &'s S,
    block: &'s EvmState,
    /// Code that the block has set, which the state has not.
    code: &'s BTreeMap<B256, Bytes>,
    lane: RefCell<Lane>,
    reads: RefCell<Reads>,
}

impl<'s, S: StateRead> Before<'s, S> {
    pub(super) fn new(state: &'s S, block: &'s EvmState, code: &'s BTreeMap<B256, Bytes>) -> Self {
        Self { state, block, code, lane: RefCell::default(), reads: RefCell::default() }
    }

    /// Forgets the lane before.
    pub(super) fn begin_lane(&self) {
        let mut lane = self.lane.borrow_mut();
        lane.accounts.clear();
        lane.words.clear();
    }

    /// What was read since this was last asked.
    pub(super) fn take_reads(&self) -> Reads {
        self.reads.take()
    }

    /// Lets the lane's next transaction see what this one did.
    pub(super) fn lane_did(&self, effects: &Effects, state: &EvmState) {
        let mut lane = self.lane.borrow_mut();
        for address in effects.accounts() {
            if let Some(account) = state.get(address) {
                lane.accounts.insert(*address, shown(account));
            }
        }
        for (address, slot) in effects.words() {
            let word = state.get(address).and_then(|account| account.storage.get(slot));
            if let Some(word) = word {
                lane.words.insert((*address, *slot), word.present_value);
            }
        }
    }
}

impl<S: StateRead> StateRead for Before<'_, S> {
    fn account(&self, address: Address) -> Result<Option<Account>, StateError> {
        let lane = self.lane.borrow();
        let (account, source) = match (lane.accounts.get(&address), self.block.get(&address)) {
            (Some(account), _) => (account.clone(), Source::Lane),
            (None, Some(account)) => (shown(account), Source::Block),
            (None, None) => (self.state.account(address)?, Source::Block),
        };
        self.reads.borrow_mut().accounts.push((address, account.clone(), source));
        Ok(account)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        let lane = self.lane.borrow();
        let journalled = self.block.get(&address);
        let (word, source) = match (lane.words.get(&(address, slot)), journalled) {
            (Some(word), _) => (*word, Source::Lane),
            (None, Some(account)) => match account.storage.get(&slot) {
                Some(word) => (word.present_value, Source::Block),
                // The words of what was created in this block are those that the block wrote.
                None if account.is_created() => (U256::ZERO, Source::Block),
                None => (self.state.storage(address, slot)?, Source::Block),
            },
            (None, None) => (self.state.storage(address, slot)?, Source::Block),
        };
        self.reads.borrow_mut().words.push((address, slot, word, source));
        Ok(word)
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, StateError> {
        match self.code.get(&hash) {
            Some(code) => Ok(Some(code.clone())),
            None => self.state.code(hash),
        }
    }

    fn block_id(&self, height: Height) -> Result<Option<B256>, StateError> {
        self.state.block_id(height)
    }
}
