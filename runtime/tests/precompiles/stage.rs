//! A chain in memory on which every method of every module has something to do.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use neura_runtime::{
    Attendance, BlockContext, BlockInput, Execution, ReadHost, check_supply, epoch_config, execute,
    genesis_changes, modules::audit,
};
use neura_types::{
    Account, Amount, EpochConfig, Genesis, Log, Params, Receipt, StateChanges, StateRead,
    Transaction, TransactionError,
    genesis::GenesisAccount,
    keys::{EthKey, SecretKey},
    state::MemoryState,
    system,
    transaction::UnsignedTransaction,
    validator::Validator,
};

/// Gas of a call that is not meant to run out of it.
pub(crate) const GAS: u64 = 5_000_000;

/// Who signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Actor {
    /// An Ethereum key.
    Eth(u8),
    /// An identity key.
    Identity(u8),
}

/// Owns tasks.
pub(crate) const OWNER: Actor = Actor::Eth(1);
/// Has nothing to do with anything.
pub(crate) const STRANGER: Actor = Actor::Eth(2);
/// Calls contracts; no module knows it.
pub(crate) const RELAY: Actor = Actor::Eth(3);
/// A registered provider.
pub(crate) const PROVIDER: Actor = Actor::Identity(1);
/// An identity that is no provider yet.
pub(crate) const NEWCOMER: Actor = Actor::Identity(2);
/// Operators of the validators of genesis, with power 1 to 4.
pub(crate) const OPERATORS: [Actor; 4] =
    [Actor::Eth(11), Actor::Eth(12), Actor::Eth(13), Actor::Eth(14)];

impl Actor {
    /// Its account.
    pub(crate) fn address(self) -> Address {
        match self {
            Self::Eth(n) => eth(n).address(),
            Self::Identity(n) => identity(n).public_key().address(),
        }
    }
}

fn eth(n: u8) -> EthKey {
    EthKey::from_bytes([n; 32]).unwrap()
}

/// An identity key.
pub(crate) fn identity(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

/// The key of a validator of genesis.
pub(crate) fn validator_key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[100 + n; 32])
}

/// The chain. Nothing but what a transaction does differs between two runs of a block: no tips, no fees to the pool.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) state: MemoryState,
    pub(crate) context: BlockContext,
}

/// The transactions of a block.
pub(crate) type Decoded = Vec<Result<Arc<Transaction>, TransactionError>>;

/// A transaction to be.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    pub(crate) signer: Actor,
    pub(crate) to: TxKind,
    pub(crate) value: Amount,
    pub(crate) input: Bytes,
    pub(crate) gas: u64,
}

impl Act {
    pub(crate) fn call(signer: Actor, to: Address, value: Amount, input: Bytes) -> Self {
        Self { signer, to: TxKind::Call(to), value, input, gas: GAS }
    }
}

/// What a transaction changed, apart from what its signer paid and what every block with transactions changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) words: BTreeMap<(Address, U256), U256>,
    pub(crate) accounts: BTreeMap<Address, Option<Account>>,
    pub(crate) logs: Vec<Log>,
}

impl Trace {
    /// Of the modules alone.
    pub(crate) fn of_modules(&self) -> Self {
        let is_module =
            |address: &Address| system::MODULES.iter().any(|(module, _)| module == address);
        let mut kept = self.clone();
        kept.words.retain(|(address, _), _| is_module(address));
        kept.accounts.retain(|address, _| is_module(address));
        kept.logs.retain(|log| is_module(&log.address));
        kept
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        let actors = [OWNER, STRANGER, RELAY, PROVIDER, NEWCOMER].into_iter().chain(OPERATORS);
        let genesis = Genesis {
            chain_id: 4_242,
            timestamp_ms: 1,
            params: Params {
                base_fee_burn_bps: 10_000,
                initial_base_fee: 10_000_000,
                epoch_blocks: 16,
                accept_window_blocks: 5,
                approve_window_blocks: 6,
                respond_window_blocks: 4,
                silence_blocks: 2,
                provider_unbond_blocks: 2,
                ..Params::default()
            },
            treasury: Address::repeat_byte(0x77),
            faucet: None,
            validators: (0..4u8)
                .map(|n| Validator {
                    public_key: validator_key(n).public_key(),
                    account: OPERATORS[usize::from(n)].address(),
                    power: 1 + u64::from(n),
                })
                .collect(),
            accounts: actors
                .map(|actor| GenesisAccount {
                    address: actor.address(),
                    balance: Amount::ankr(10_000),
                })
                .collect(),
        };
        let mut state = MemoryState::default();
        state.apply(&genesis_changes(&genesis).unwrap());
        let context = BlockContext {
            chain_id: genesis.chain_id,
            genesis: genesis.hash(),
            height: 1,
            timestamp_ms: 1,
            proposer: Address::repeat_byte(0xe1),
            randomness: B256::repeat_byte(1),
            base_fee: 0,
            treasury: genesis.treasury,
            epoch: Arc::new(EpochConfig::genesis(&genesis, 0).unwrap()),
            attendance: Attendance { seen: vec![0, 1, 2, 3], failed: vec![] },
        };
        Self { state, context }
    }

    /// The envelope of a transaction with its signer's next nonce.
    pub(crate) fn sign(&self, act: &Act) -> Bytes {
        let account = self.state.account(act.signer.address()).unwrap().unwrap_or_default();
        let unsigned = UnsignedTransaction {
            chain_id: self.context.chain_id,
            nonce: account.nonce,
            gas_limit: act.gas,
            max_fee_per_gas: 1_000_000_000,
            max_priority_fee_per_gas: 0,
            to: act.to,
            value: act.value.to_u256(),
            input: act.input.clone(),
        };
        match act.signer {
            Actor::Eth(n) => unsigned.sign_eth(&eth(n)),
            Actor::Identity(n) => unsigned.sign_ed25519(&identity(n)),
        }
    }

    pub(crate) fn decode(&self, raw: Vec<Bytes>) -> Decoded {
        let decode = |raw| Transaction::decode(raw, self.context.chain_id).map(Arc::new);
        raw.into_iter().map(decode).collect()
    }

    /// The next block, were these its transactions.
    pub(crate) fn run(&self, transactions: &Decoded) -> Execution {
        execute(&self.state, &BlockInput { context: &self.context, transactions }).unwrap()
    }

    fn execute(&self, raw: Vec<Bytes>) -> Execution {
        self.run(&self.decode(raw))
    }

    fn apply(&mut self, execution: &Execution) {
        self.state.apply(&execution.changes);
        if self.context.ends_epoch() {
            let next = self.context.epoch.epoch + 1;
            self.context.epoch = Arc::new(epoch_config(&self.state, next).unwrap().unwrap());
        }
        self.context.height += 1;
    }

    /// A block with one transaction, which must succeed.
    pub(crate) fn does(&mut self, act: Act) -> Receipt {
        let execution = self.execute(vec![self.sign(&act)]);
        let receipt = execution.receipts[0].clone();
        assert!(
            receipt.success,
            "{act:?}: {:?}",
            neura_runtime::revert_reason(&receipt.revert_data)
        );
        self.apply(&execution);
        receipt
    }

    /// So many idle blocks.
    pub(crate) fn wait(&mut self, blocks: u64) {
        for _ in 0..blocks {
            let execution = self.execute(vec![]);
            self.apply(&execution);
        }
    }

    /// Idle blocks until an epoch begins.
    pub(crate) fn wait_for_epoch(&mut self, epoch: u64) {
        while self.context.epoch.epoch < epoch {
            self.wait(1);
        }
    }

    /// Moves coins to where no transaction would send them, as a contract that destroys itself can.
    pub(crate) fn give(&mut self, from: Actor, to: Address, amount: Amount) {
        let read = |address| self.state.account(address).unwrap().unwrap_or_default();
        let (mut giver, mut taker) = (read(from.address()), read(to));
        giver.balance -= amount.to_u256();
        taker.balance += amount.to_u256();
        let accounts = [(from.address(), Some(giver)), (to, Some(taker))].into();
        self.state.apply(&StateChanges { accounts, ..StateChanges::default() });
    }

    /// Puts code at an address, whoever's it is.
    pub(crate) fn set_code(&mut self, address: Address, code: Vec<u8>) {
        let hash = keccak256(&code);
        let account = self.state.account(address).unwrap().unwrap_or_default();
        self.state.apply(&StateChanges {
            accounts: [(address, Some(Account { code_hash: hash, ..account }))].into(),
            code: [(hash, code.into())].into(),
            ..StateChanges::default()
        });
    }

    /// What one transaction in the next block would do, with the books checked behind it. None if the block skips it.
    pub(crate) fn try_out(&self, act: &Act) -> Option<(Receipt, Trace)> {
        let execution = self.execute(vec![self.sign(act)]);
        let receipt = execution.receipts.first()?.clone();
        let mut after = self.state.clone();
        after.apply(&execution.changes);
        check_supply(&after, after.accounts().map(|(_, account)| account)).unwrap();
        assert_eq!(audit(&mut ReadHost::new(&after, self.context.clone())), Ok(()), "{act:?}");
        Some((receipt, Self::trace(act.signer, execution)))
    }

    /// What such a block changes without the transaction.
    pub(crate) fn nothing(&self, signer: Actor) -> Trace {
        let idle = Act::call(signer, signer.address(), Amount::ZERO, Bytes::new());
        Self::trace(signer, self.execute(vec![self.sign(&idle)]))
    }

    fn trace(signer: Actor, execution: Execution) -> Trace {
        let mut words = execution.changes.storage;
        words.retain(|(address, _), _| *address != system::CHAIN);
        let mut accounts = execution.changes.accounts;
        accounts.remove(&signer.address());
        let logs = execution.receipts.into_iter().flat_map(|receipt| receipt.logs).collect();
        Trace { words, accounts, logs }
    }
}
