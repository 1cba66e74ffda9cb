//! The state after each block of an imported chain, with Ethereum's tree over it.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::keccak256;
use alloy_trie::{
    EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieAccount,
    proof::ProofRetainer,
    root::{state_root_unhashed, storage_root_unhashed},
};
use neura_runtime::{AccountAfter, StateRoot};
use neura_types::{Account, Address, B256, Bytes, Height, StateRead, U256, state::StateError};

/// An account with its storage.
#[derive(Debug, Clone)]
struct Kept {
    account: Account,
    words: BTreeMap<U256, U256>,
}

impl Kept {
    fn storage_root(&self) -> B256 {
        storage_root_unhashed(self.words.iter().map(|(slot, word)| (B256::from(*slot), *word)))
    }

    fn leaf(&self) -> TrieAccount {
        TrieAccount {
            nonce: self.account.nonce,
            balance: self.account.balance,
            storage_root: self.storage_root(),
            code_hash: self.account.code_hash,
        }
    }
}

/// A state.
#[derive(Debug, Clone, Default)]
pub(super) struct EthereumState {
    accounts: BTreeMap<Address, Kept>,
    code: BTreeMap<B256, Bytes>,
    /// Hashes of the blocks up to this state's own.
    pub(super) hashes: Arc<Vec<B256>>,
}

impl EthereumState {
    /// Adds an account of genesis.
    pub(super) fn insert(
        &mut self,
        address: Address,
        (nonce, balance): (u64, U256),
        code: Bytes,
        words: BTreeMap<U256, U256>,
    ) {
        let code_hash = if code.is_empty() { KECCAK_EMPTY } else { keccak256(&code) };
        self.code.insert(code_hash, code);
        let words = words.into_iter().filter(|(_, word)| !word.is_zero()).collect();
        let account = Account { nonce, balance, code_hash };
        self.accounts.insert(address, Kept { account, words });
    }

    /// Adds to a balance.
    pub(super) fn credit(&mut self, address: Address, amount: U256) {
        let new = || Kept {
            account: Account { code_hash: KECCAK_EMPTY, ..Account::default() },
            words: BTreeMap::new(),
        };
        let kept = self.accounts.entry(address).or_insert_with(new);
        kept.account.balance = kept.account.balance.saturating_add(amount);
    }

    /// Takes over what a block left.
    pub(super) fn apply(
        &mut self,
        changed: &BTreeMap<Address, AccountAfter>,
        code: BTreeMap<B256, Bytes>,
    ) {
        self.code.extend(code);
        for (address, after) in changed {
            let Some(account) = &after.account else {
                self.accounts.remove(address);
                continue;
            };
            let kept = self
                .accounts
                .entry(*address)
                .or_insert_with(|| Kept { account: account.clone(), words: BTreeMap::new() });
            kept.account = account.clone();
            if after.is_replaced {
                kept.words.clear();
            }
            for (slot, word) in &after.words {
                if word.is_zero() {
                    kept.words.remove(slot);
                } else {
                    kept.words.insert(*slot, *word);
                }
            }
        }
    }

    /// Root of Ethereum's tree over the state.
    pub(super) fn root(&self) -> B256 {
        state_root_unhashed(self.accounts.iter().map(|(address, kept)| (*address, kept.leaf())))
    }

    /// An account, the root of its storage, and the nodes that lead to it.
    pub(super) fn prove(&self, address: Address) -> (Account, B256, Vec<Bytes>) {
        let leaves = self
            .accounts
            .iter()
            .map(|(address, kept)| (keccak256(address), alloy_rlp::encode(kept.leaf())));
        let nodes = prove(leaves.collect(), keccak256(address));
        match self.accounts.get(&address) {
            Some(kept) => (kept.account.clone(), kept.storage_root(), nodes),
            None => {
                let none = Account { code_hash: KECCAK_EMPTY, ..Account::default() };
                (none, EMPTY_ROOT_HASH, nodes)
            }
        }
    }

    /// A word of an account's storage, and the nodes that lead to it.
    pub(super) fn prove_word(&self, address: Address, slot: U256) -> (U256, Vec<Bytes>) {
        let Some(kept) = self.accounts.get(&address) else { return (U256::ZERO, Vec::new()) };
        if kept.words.is_empty() {
            return (U256::ZERO, Vec::new());
        }
        let leaves = kept
            .words
            .iter()
            .map(|(slot, word)| (keccak256(B256::from(*slot)), alloy_rlp::encode(word)));
        let nodes = prove(leaves.collect(), keccak256(B256::from(slot)));
        (kept.words.get(&slot).copied().unwrap_or_default(), nodes)
    }
}

fn prove(mut leaves: Vec<(B256, Vec<u8>)>, target: B256) -> Vec<Bytes> {
    leaves.sort_unstable();
    let retainer = ProofRetainer::new(vec![Nibbles::unpack(target)]);
    let mut builder = HashBuilder::default().with_proof_retainer(retainer);
    for (key, value) in leaves {
        builder.add_leaf(Nibbles::unpack(key), &value);
    }
    builder.root();
    builder.take_proof_nodes().into_nodes_sorted().into_iter().map(|(_, node)| node).collect()
}

impl StateRead for EthereumState {
    fn account(&self, address: Address) -> Result<Option<Account>, StateError> {
        Ok(self.accounts.get(&address).map(|kept| kept.account.clone()))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        let word = self.accounts.get(&address).and_then(|kept| kept.words.get(&slot));
        Ok(word.copied().unwrap_or_default())
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, StateError> {
        Ok(self.code.get(&hash).cloned())
    }

    fn block_id(&self, height: Height) -> Result<Option<B256>, StateError> {
        Ok(usize::try_from(height).ok().and_then(|height| self.hashes.get(height).copied()))
    }
}

impl StateRoot for EthereumState {
    fn root(&self, changed: &BTreeMap<Address, AccountAfter>) -> B256 {
        let mut after = self.clone();
        after.apply(changed, BTreeMap::new());
        Self::root(&after)
    }
}
