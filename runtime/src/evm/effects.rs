//! Collect what a block's transactions changed, and turn it into ordered changes of the state.
//!
//! revm keeps one journal entry for each change of the running transaction and drops those that a revert takes back.
//! What is left when a transaction ends is exactly what it did. Recording that, rather than comparing all accounts
//! that were read, costs in proportion to what was written, and gives each word's value from before the block.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, U256};
use neura_types::{Account as StateAccount, StateChanges};
use revm::{
    context::journal::{JournalEntry, JournalInner},
    state::{Account, EvmState, EvmStorageSlot},
};

/// Accounts of a transaction that are looked at for one that is named over and over: sender, receiver and proposer of a
/// transfer, and one more.
const NAMED_AGAIN: usize = 4;

/// A word of an account's storage.
type Word = (Address, U256);

/// What the transactions of a block changed so far.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    accounts: Vec<Address>,
    /// Accounts whose code was set.
    coded: BTreeSet<Address>,
    /// Each word written, with the value that it had before; in order of writing.
    words: Vec<(Word, U256)>,
    /// Accounts that the last transaction touched and left empty.
    emptied: Vec<Address>,
    /// Coins that self-destructing contracts took with them, in wei.
    burned: U256,
}

impl Effects {
    /// Takes down what the running transaction did; to be called once, when it ends.
    pub(crate) fn record(&mut self, journal: &JournalInner<JournalEntry>) {
        let mut destroyed = Vec::new();
        self.emptied.clear();
        let first = self.accounts.len();
        for entry in &journal.journal {
            match entry {
                JournalEntry::BalanceChange { address, .. }
                | JournalEntry::NonceChange { address, .. }
                | JournalEntry::NonceBump { address }
                | JournalEntry::AccountCreated { address, .. } => self.note(*address, first),
                JournalEntry::CodeChange { address, .. } => {
                    self.note(*address, first);
                    self.coded.insert(*address);
                }
                JournalEntry::BalanceTransfer { from, to, .. } => {
                    self.note(*from, first);
                    self.note(*to, first);
                }
                JournalEntry::AccountDestroyed { address, target, had_balance, .. } => {
                    self.note(*address, first);
                    self.note(*target, first);
                    destroyed.push(*address);
                    if address == target {
                        self.burned = self.burned.saturating_add(*had_balance);
                    }
                }
                JournalEntry::StorageChanged { address, key, had_value } => {
                    self.words.push(((*address, *key), *had_value));
                }
                JournalEntry::AccountTouched { address } => {
                    if journal.state.get(address).is_some_and(|account| account.is_empty()) {
                        self.emptied.push(*address);
                    }
                }
                JournalEntry::AccountWarmed { .. }
                | JournalEntry::StorageWarmed { .. }
                | JournalEntry::TransientStorageChange { .. } => {}
            }
        }
        // Coins sent to a contract after it destroyed itself vanish with it when the transaction ends.
        destroyed.sort_unstable();
        destroyed.dedup();
        for account in destroyed.iter().filter_map(|address| journal.state.get(address)) {
            self.burned = self.burned.saturating_add(account.info.balance);
        }
    }

    /// Notes an account, unless it is among the last few that the running transaction changed, which began at `first`.
    fn note(&mut self, account: Address, first: usize) {
        let last = self.accounts.len().saturating_sub(NAMED_AGAIN).max(first);
        if !self.accounts.get(last..).is_some_and(|few| few.contains(&account)) {
            self.accounts.push(account);
        }
    }

    /// Lets the next transaction find what the last one touched and left empty as it was: no account (EIP-161). To be
    /// called after [`Effects::record`]; the journal of a block would remember the touch, and take it for existence.
    pub(crate) fn forget_emptied(&mut self, state: &mut EvmState) {
        for address in self.emptied.drain(..) {
            if let Some(account) = state.get_mut(&address) {
                account.unmark_touch();
            }
        }
    }

    /// Accounts whose balance, nonce or code was written, in order of writing.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Address> {
        self.accounts.iter()
    }

    /// Words that were written, in order of writing.
    pub(crate) fn words(&self) -> impl Iterator<Item = &Word> {
        self.words.iter().map(|(word, _)| word)
    }

    /// Code that was set and that the state before the block may not have, by its hash.
    pub(crate) fn code(&self, state: &EvmState) -> BTreeMap<B256, Bytes> {
        let infos = self.coded.iter().filter_map(|address| Some(&state.get(address)?.info));
        infos
            .filter_map(|info| Some((info.code_hash, info.code.as_ref()?.original_bytes())))
            .collect()
    }

    /// Whether nothing changed but balances, nonces and words, of accounts that live on and stay what they are.
    pub(crate) fn is_plain(&self, state: &EvmState) -> bool {
        let alive =
            |address: &Address| state.get(address).is_some_and(|account| !account.is_empty());
        self.coded.is_empty()
            && self.accounts.iter().all(alive)
            && state.values().all(|account| !account.is_created() && !account.is_selfdestructed())
    }

    /// Takes over plain effects that another machine recorded, `theirs` being its state after them, into the state of
    /// this one: as if the transaction had run here and ended.
    pub(crate) fn take_over(&mut self, other: Self, mut theirs: EvmState, state: &mut EvmState) {
        for (address, slot) in other.words.iter().map(|(word, _)| word) {
            let Some(account) = theirs.get(address) else { continue };
            let Some(word) = account.storage.get(slot) else { continue };
            let now = word.present_value;
            let mine = state.entry(*address).or_insert_with(|| unchanged(account));
            mine.mark_touch();
            let cold = || EvmStorageSlot { is_cold: true, ..EvmStorageSlot::default() };
            mine.storage.entry(*slot).or_insert_with(cold).present_value = now;
        }
        for address in &other.accounts {
            let Some(account) = theirs.remove(address) else { continue };
            let mine = state.entry(*address).or_insert_with(|| unchanged(&account));
            mine.mark_touch();
            (mine.info.balance, mine.info.nonce) = (account.info.balance, account.info.nonce);
        }
        self.accounts.extend(other.accounts);
        self.words.extend(other.words);
    }

    /// Coins that vanished with self-destructed contracts, in wei.
    pub(crate) fn burned(&self) -> U256 {
        self.burned
    }

    /// The changes, from the journal's last values of what was written.
    ///
    /// No storage is ever wiped: only a contract created in the same transaction can be destroyed (EIP-6780), and
    /// its words never reached the state.
    pub(crate) fn into_changes(mut self, state: &EvmState) -> StateChanges {
        let mut changes = StateChanges::default();
        self.accounts.sort_unstable();
        self.accounts.dedup();
        let mut accounts = Vec::with_capacity(self.accounts.len());
        for address in self.accounts {
            let Some(account) = state.get(&address) else { continue };
            if account.is_selfdestructed_locally() || account.is_empty() {
                if !account.is_loaded_as_not_existing() {
                    accounts.push((address, None));
                }
                continue;
            }
            if self.coded.contains(&address)
                && let Some(code) = account.info.code.as_ref().filter(|code| !code.is_empty())
            {
                changes.code.insert(account.info.code_hash, code.original_bytes());
            }
            let account = StateAccount {
                nonce: account.info.nonce,
                balance: account.info.balance,
                code_hash: account.info.code_hash,
            };
            accounts.push((address, Some(account)));
        }
        // They are in order: the map is built at once.
        changes.accounts = accounts.into_iter().collect();
        let mut words = Vec::with_capacity(self.words.len());
        for ((address, slot), before) in first_values(self.words) {
            let Some(account) = state.get(&address) else { continue };
            if account.is_selfdestructed_locally() {
                continue;
            }
            let now = account.storage.get(&slot).map_or(before, |word| word.present_value);
            if now != before {
                words.push(((address, slot), now));
            }
        }
        changes.storage = words.into_iter().collect();
        changes
    }
}

/// An account as another machine loaded it, cold for the next transaction; without words.
fn unchanged(theirs: &Account) -> Account {
    let mut account = Account::from(theirs.info.clone());
    account.status = theirs.status;
    account.mark_cold();
    account
}

/// The first value recorded of each word, the one from before the block; in order of the words.
fn first_values(mut words: Vec<(Word, U256)>) -> Vec<(Word, U256)> {
    // The sort keeps the order of writing, and the first one stays.
    words.sort_by_key(|(word, _)| *word);
    words.dedup_by_key(|(word, _)| *word);
    words
}
