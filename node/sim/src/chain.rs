//! The chain of a run: keys, genesis, configurations of epochs.

use std::sync::Arc;

use neura_types::{
    Address, Amount, Anchor, Block, BlockId, Epoch, EpochConfig, ExecutedRoot, Genesis, Height,
    Params,
    genesis::GenesisAccount,
    keys::{EthKey, SecretKey},
    validator::Validator,
    vote::ChainContext,
};

use crate::{
    ledger::Executed,
    plan::{Identity, Plan},
};

/// Accounts that send transactions.
const USERS: u8 = 4;
const CHAIN_ID: u64 = 4_242;
const GENESIS_MS: u64 = 1_700_000_000_000;

/// What all nodes of a run share.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) genesis: Genesis,
    pub(crate) context: ChainContext,
    pub(crate) block: Arc<Block>,
    pub(crate) id: BlockId,
    /// By identity.
    pub(crate) keys: Vec<SecretKey>,
    pub(crate) users: Vec<EthKey>,
    pub(crate) first: Arc<Executed>,
}

impl Chain {
    /// The chain of a plan.
    pub(crate) fn new(plan: &Plan) -> Self {
        let keys: Vec<SecretKey> = (0..plan.identities()).map(key).collect();
        // Spread so little that a third of the members never holds a third of the power.
        let power = |identity: u64| if plan.weighted { 10 + identity * 2 % 3 } else { 10 };
        let powers: Vec<u64> = (0..u64::from(plan.identities())).map(power).collect();
        let users: Vec<EthKey> =
            (1..=USERS).filter_map(|n| EthKey::from_bytes([n; 32]).ok()).collect();
        let members = (0..plan.validators).map(|i| validator(&keys, &powers, i)).collect();
        let genesis = genesis(plan, members, &users, &keys);
        let hash = genesis.hash();
        let first = Executed::genesis(&genesis);
        let block = Block::genesis(hash, genesis.timestamp_ms, first.root);
        Self {
            context: ChainContext { chain_id: CHAIN_ID, genesis: hash },
            id: block.id(),
            block: Arc::new(block),
            keys,
            users,
            first: Arc::new(first),
            genesis,
        }
    }

    /// The configuration of an epoch that genesis fixes.
    pub(crate) fn genesis_epoch(&self, epoch: Epoch) -> EpochConfig {
        EpochConfig::genesis(&self.genesis, epoch).expect("genesis has validators")
    }

    /// Where epoch 0 starts.
    pub(crate) fn anchor(&self) -> Anchor {
        Anchor::genesis(self.id)
    }

    /// Lowest height that a block may refer to as executed, from above: `height` less the lag.
    pub(crate) fn executable(&self, height: Height) -> Height {
        height.saturating_sub(self.genesis.params.execution_lag)
    }
}

fn genesis(
    plan: &Plan,
    validators: Vec<Validator>,
    users: &[EthKey],
    keys: &[SecretKey],
) -> Genesis {
    let account = |address| GenesisAccount { address, balance: Amount::ankr(1_000) };
    let operators = keys.iter().map(|key| key.public_key().address());
    Genesis {
        chain_id: CHAIN_ID,
        timestamp_ms: GENESIS_MS,
        params: Params {
            epoch_blocks: plan.epoch_blocks,
            execution_lag: plan.execution_lag,
            // Crashes and partitions are so many here that honest validators would be jailed.
            absence_epochs: 1_000,
            ..Params::default()
        },
        treasury: Address::repeat_byte(0xee),
        faucet: None,
        validators,
        accounts: users.iter().map(|user| user.address()).chain(operators).map(account).collect(),
    }
}

fn validator(keys: &[SecretKey], powers: &[u64], identity: Identity) -> Validator {
    let public_key = keys[usize::from(identity)].public_key();
    Validator { public_key, account: public_key.address(), power: powers[usize::from(identity)] }
}

fn key(identity: Identity) -> SecretKey {
    let mut seed = [9u8; 32];
    seed[..2].copy_from_slice(&identity.to_le_bytes());
    SecretKey::from_seed(&seed)
}

/// The result that genesis starts with.
pub(crate) fn genesis_root(state_root: neura_types::B256) -> ExecutedRoot {
    ExecutedRoot { height: 0, state_root, ..ExecutedRoot::default() }
}
