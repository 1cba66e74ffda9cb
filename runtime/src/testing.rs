//! A small chain to test execution on: funded keys, a module of few words, a tiny assembler.

use std::{num::NonZeroUsize, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use neura_types::{
    Amount, EpochConfig, Genesis, Log, Receipt, Transaction, TransactionError,
    genesis::GenesisAccount,
    keys::{EthKey, SecretKey},
    state::MemoryState,
    system,
    transaction::UnsignedTransaction,
    validator::Validator,
};

use crate::{
    Attendance, BlockContext, BlockInput, Call, Execution, Fault, Host,
    block::{Lookahead, execute_with},
    chain::check_supply,
    genesis::genesis_changes_with,
    native::Modules,
};

pub(crate) const CHAIN_ID: u64 = 4_242;
pub(crate) const GWEI: u128 = 1_000_000_000;
/// Who proposes the blocks.
pub(crate) const PROPOSER: Address = Address::repeat_byte(0xcc);
/// Who receives what the test module pays out.
pub(crate) const PAYEE: Address = Address::repeat_byte(0xdd);
/// The test module.
pub(crate) const MODULE: Address = system::TASKS;

/// What the test module does, by the first byte of the input.
pub(crate) mod command {
    /// Writes 1 to slot 1, emits an event, pays 1 wei to [`super::PAYEE`], writes 2 to slot 2; returns the caller.
    pub(crate) const WORK: u8 = 1;
    /// Returns slot 1.
    pub(crate) const READ: u8 = 2;
    /// Does [`WORK`], then refuses.
    pub(crate) const REFUSE: u8 = 3;
    /// Returns the caller and the value sent.
    pub(crate) const WHO: u8 = 4;
    /// Charges more gas than there is.
    pub(crate) const DEVOUR: u8 = 5;
    /// Catches an unaffordable charge and goes on: a fault in a module.
    pub(crate) const SWALLOW: u8 = 6;
}

/// A module that does a bit of everything.
pub(crate) struct TestModules;

impl TestModules {
    fn work(host: &mut dyn Host, module: Address, caller: Address) -> Result<Bytes, Fault> {
        host.store(module, U256::from(1), U256::from(1))?;
        let topics = vec![B256::repeat_byte(1), caller.into_word()];
        host.emit(Log { address: module, topics, data: Bytes::from_static(b"worked") })?;
        host.transfer(module, PAYEE, Amount(1))?;
        host.store(module, U256::from(2), U256::from(2))?;
        Ok(caller.into_word().into())
    }
}

impl Modules for TestModules {
    fn is_module(&self, address: Address) -> bool {
        system::MODULES.iter().any(|(module, _)| *module == address)
    }

    fn dispatch(&self, host: &mut dyn Host, module: Address, call: &Call) -> Result<Bytes, Fault> {
        match call.input.first().copied() {
            Some(command::WORK) => Self::work(host, module, call.caller),
            Some(command::READ) => Ok(host.load(module, U256::from(1))?.to_be_bytes_vec().into()),
            Some(command::REFUSE) => {
                Self::work(host, module, call.caller)?;
                Err(Fault::refused("not_today", "try tomorrow"))
            }
            Some(command::WHO) => {
                let value = call.value.to_u256().to_be_bytes::<32>();
                Ok([call.caller.into_word().as_slice(), &value].concat().into())
            }
            Some(command::DEVOUR) => host.charge(u64::MAX).map(|()| Bytes::new()),
            Some(command::SWALLOW) => {
                assert_eq!(host.charge(u64::MAX), Err(Fault::OutOfGas));
                host.load(module, U256::from(1))?;
                Ok(Bytes::new())
            }
            _ => Err(Fault::refused("unknown_function", "no such command")),
        }
    }

    fn begin_block(&self, _: &mut dyn Host) -> Result<(), Fault> {
        Ok(())
    }

    /// Counts the blocks in slot 9 and says so.
    fn end_block(&self, host: &mut dyn Host) -> Result<(), Fault> {
        let count = host.load(MODULE, U256::from(9))?.saturating_add(U256::from(1));
        host.store(MODULE, U256::from(9), count)?;
        let data = count.to_be_bytes_vec().into();
        host.emit(Log { address: MODULE, topics: vec![B256::repeat_byte(9)], data })
    }

    fn genesis(&self, _: &Genesis, _: &mut dyn Host) -> Result<(), Fault> {
        Ok(())
    }
}

pub(crate) fn eth_key(n: u8) -> EthKey {
    EthKey::from_bytes([n.max(1); 32]).expect("a small number is a key")
}

pub(crate) fn identity_key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

/// A chain in memory, one block after the other.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) state: MemoryState,
    pub(crate) context: BlockContext,
}

impl World {
    /// Eth keys 1 to 3, identity key 1 and the module own 1,000 ANKR each.
    pub(crate) fn new() -> Self {
        let genesis = genesis();
        let mut state = MemoryState::default();
        state.apply(&genesis_changes_with(&genesis, &TestModules).expect("genesis is valid"));
        let context = BlockContext {
            chain_id: CHAIN_ID,
            genesis: genesis.hash(),
            height: 1,
            timestamp_ms: genesis.timestamp_ms + 1_500,
            proposer: PROPOSER,
            randomness: B256::repeat_byte(0x77),
            base_fee: 0,
            treasury: genesis.treasury,
            epoch: Arc::new(EpochConfig::genesis(&genesis, 0).expect("a set")),
            attendance: Attendance::default(),
        };
        Self { state, context }
    }

    /// Executes and applies a block, and checks what holds for every block.
    pub(crate) fn block(&mut self, raw: Vec<Bytes>) -> Execution {
        let transactions: Vec<_> = raw.into_iter().map(decode).collect();
        let input = BlockInput { context: &self.context, transactions: &transactions };
        let run = |lookahead| {
            execute_with(&self.state, &input, &TestModules, lookahead).expect("it executes")
        };
        let execution = run(Lookahead::new(NonZeroUsize::MIN));
        for threads in [1, 3].into_iter().filter_map(NonZeroUsize::new) {
            let again = run(Lookahead::always(threads));
            assert_eq!(execution, again, "a block gives something else on {threads} threads");
        }
        let before = self.state.clone();
        self.state.apply(&execution.changes);
        self.check_block(&before, &transactions, &execution);
        self.context.height += 1;
        self.context.timestamp_ms += 500;
        execution
    }

    fn check_block(
        &self,
        before: &MemoryState,
        transactions: &[Result<Arc<Transaction>, TransactionError>],
        execution: &Execution,
    ) {
        check_supply(&self.state, self.state.accounts().map(|(_, account)| account))
            .expect("the supply is conserved");
        assert!(
            self.state.accounts().all(|(_, a)| !(a.nonce == 0
                && a.balance.is_zero()
                && a.code_hash == alloy_primitives::KECCAK256_EMPTY)),
            "an empty account is kept"
        );
        assert_eq!(execution.included.len(), execution.receipts.len());
        assert_eq!(execution.included.len() + execution.skipped.len(), transactions.len());
        let mut gas = 0;
        for (index, receipt) in execution.included.iter().zip(&execution.receipts) {
            let transaction = transactions[*index as usize].as_ref().expect("decoded");
            assert_eq!(transaction.hash, receipt.tx_hash);
            assert!(receipt.gas_used <= transaction.gas_limit);
            assert!(receipt.success || receipt.logs.is_empty(), "a failure leaks logs");
            gas += receipt.gas_used;
            assert_eq!(receipt.cumulative_gas_used, gas);
        }
        assert_eq!(gas, execution.gas_used);
        for transaction in transactions.iter().flatten() {
            let receipts = execution.receipts.iter().filter(|r| r.from == transaction.sender);
            assert_eq!(
                nonce_of(&self.state, transaction.sender),
                nonce_of(before, transaction.sender) + receipts.count() as u64,
                "a receipt exists if and only if the nonce moved"
            );
        }
    }

    /// A block of one transaction.
    pub(crate) fn one(&mut self, raw: Bytes) -> Execution {
        self.block(vec![raw])
    }

    /// The receipt of a block of one transaction.
    pub(crate) fn run(&mut self, raw: Bytes) -> Receipt {
        self.one(raw).receipts.remove(0)
    }

    /// Deploys `code` from key 1 and returns its address.
    pub(crate) fn deploy(&mut self, code: &[u8]) -> Address {
        let execution = self.one(self.tx(1).create(deployer(code)));
        execution.receipts[0].contract.expect("it deploys")
    }

    /// A transaction of eth key `n` with its next nonce.
    pub(crate) fn tx(&self, n: u8) -> Draft {
        Draft {
            key: n,
            unsigned: UnsignedTransaction {
                chain_id: CHAIN_ID,
                nonce: nonce_of(&self.state, eth_key(n).address()),
                gas_limit: 1_000_000,
                max_fee_per_gas: 10 * GWEI,
                max_priority_fee_per_gas: GWEI,
                to: TxKind::Call(Address::ZERO),
                value: U256::ZERO,
                input: Bytes::new(),
            },
        }
    }

    pub(crate) fn balance(&self, address: Address) -> U256 {
        account_of(&self.state, address).balance
    }

    pub(crate) fn nonce(&self, address: Address) -> u64 {
        nonce_of(&self.state, address)
    }

    pub(crate) fn word(&self, address: Address, slot: u64) -> U256 {
        use neura_types::StateRead;
        self.state.storage(address, U256::from(slot)).expect("memory")
    }
}

pub(crate) fn genesis() -> Genesis {
    let funded = [
        eth_key(1).address(),
        eth_key(2).address(),
        eth_key(3).address(),
        identity_key(1).public_key().address(),
        MODULE,
    ];
    Genesis {
        chain_id: CHAIN_ID,
        timestamp_ms: 1_700_000_000_000,
        params: Default::default(),
        treasury: Address::repeat_byte(0xee),
        faucet: None,
        validators: vec![Validator {
            public_key: identity_key(9).public_key(),
            account: PROPOSER,
            power: 1,
        }],
        accounts: funded
            .map(|address| GenesisAccount { address, balance: Amount::ankr(1_000) })
            .to_vec(),
    }
}

fn account_of(state: &MemoryState, address: Address) -> neura_types::Account {
    use neura_types::StateRead;
    state.account(address).expect("memory").unwrap_or_default()
}

fn nonce_of(state: &MemoryState, address: Address) -> u64 {
    account_of(state, address).nonce
}

pub(crate) fn decode(raw: Bytes) -> Result<Arc<Transaction>, TransactionError> {
    Transaction::decode(raw, CHAIN_ID).map(Arc::new)
}

/// A transaction being written.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) key: u8,
    pub(crate) unsigned: UnsignedTransaction,
}

impl Draft {
    pub(crate) fn gas(mut self, limit: u64) -> Self {
        self.unsigned.gas_limit = limit;
        self
    }

    pub(crate) fn nonce(mut self, nonce: u64) -> Self {
        self.unsigned.nonce = nonce;
        self
    }

    pub(crate) fn value(mut self, wei: u128) -> Self {
        self.unsigned.value = U256::from(wei);
        self
    }

    pub(crate) fn fees(mut self, max: u128, tip: u128) -> Self {
        self.unsigned.max_fee_per_gas = max;
        self.unsigned.max_priority_fee_per_gas = tip;
        self
    }

    pub(crate) fn call(mut self, to: Address, input: &[u8]) -> Bytes {
        self.unsigned.to = TxKind::Call(to);
        self.unsigned.input = Bytes::copy_from_slice(input);
        self.sign()
    }

    pub(crate) fn create(mut self, init: Vec<u8>) -> Bytes {
        self.unsigned.to = TxKind::Create;
        self.unsigned.input = init.into();
        self.sign()
    }

    pub(crate) fn sign(self) -> Bytes {
        self.unsigned.sign_eth(&eth_key(self.key))
    }
}

/// Opcodes that the tests use.
pub(crate) mod op {
    pub(crate) const STOP: u8 = 0x00;
    pub(crate) const ADD: u8 = 0x01;
    pub(crate) const ISZERO: u8 = 0x15;
    pub(crate) const ADDRESS: u8 = 0x30;
    pub(crate) const BALANCE: u8 = 0x31;
    pub(crate) const CALLER: u8 = 0x33;
    pub(crate) const CALLVALUE: u8 = 0x34;
    pub(crate) const CALLDATALOAD: u8 = 0x35;
    pub(crate) const CALLDATASIZE: u8 = 0x36;
    pub(crate) const CALLDATACOPY: u8 = 0x37;
    pub(crate) const CODECOPY: u8 = 0x39;
    pub(crate) const EXTCODESIZE: u8 = 0x3b;
    pub(crate) const RETURNDATASIZE: u8 = 0x3d;
    pub(crate) const RETURNDATACOPY: u8 = 0x3e;
    pub(crate) const BLOCKHASH: u8 = 0x40;
    pub(crate) const COINBASE: u8 = 0x41;
    pub(crate) const TIMESTAMP: u8 = 0x42;
    pub(crate) const NUMBER: u8 = 0x43;
    pub(crate) const PREVRANDAO: u8 = 0x44;
    pub(crate) const GASLIMIT: u8 = 0x45;
    pub(crate) const CHAINID: u8 = 0x46;
    pub(crate) const POP: u8 = 0x50;
    pub(crate) const MSTORE: u8 = 0x52;
    pub(crate) const MSTORE8: u8 = 0x53;
    pub(crate) const SLOAD: u8 = 0x54;
    pub(crate) const SSTORE: u8 = 0x55;
    pub(crate) const JUMPI: u8 = 0x57;
    pub(crate) const GAS: u8 = 0x5a;
    pub(crate) const JUMPDEST: u8 = 0x5b;
    pub(crate) const PUSH0: u8 = 0x5f;
    pub(crate) const PUSH1: u8 = 0x60;
    pub(crate) const PUSH2: u8 = 0x61;
    pub(crate) const PUSH4: u8 = 0x63;
    pub(crate) const PUSH20: u8 = 0x73;
    pub(crate) const DUP1: u8 = 0x80;
    pub(crate) const CREATE: u8 = 0xf0;
    pub(crate) const CALL: u8 = 0xf1;
    pub(crate) const CALLCODE: u8 = 0xf2;
    pub(crate) const RETURN: u8 = 0xf3;
    pub(crate) const DELEGATECALL: u8 = 0xf4;
    pub(crate) const STATICCALL: u8 = 0xfa;
    pub(crate) const REVERT: u8 = 0xfd;
    pub(crate) const INVALID: u8 = 0xfe;
    pub(crate) const SELFDESTRUCT: u8 = 0xff;
}

/// Creation code that deploys `code`.
pub(crate) fn deployer(code: &[u8]) -> Vec<u8> {
    let length = u16::try_from(code.len()).expect("a short code").to_be_bytes();
    let head = [
        op::PUSH2,
        length[0],
        length[1],
        op::DUP1,
        op::PUSH1,
        12,
        op::PUSH0,
        op::CODECOPY,
        op::PUSH0,
        op::RETURN,
        op::STOP,
        op::STOP,
    ];
    [&head, code].concat()
}

/// What a forwarding contract does after its call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum After {
    /// Returns or reverts with what came back.
    Propagate,
    /// Keeps the success in slot 0, writes 1 to slot 1 and returns what came back: a `try` with an empty `catch`.
    Catch,
    /// Reverts.
    Revert,
    /// Runs into INVALID.
    Invalid,
}

/// Code that calls `target` by `scheme` with its own call data and value.
pub(crate) fn forwarder(scheme: u8, target: Address, after: After) -> Vec<u8> {
    forwarder_with_gas(scheme, target, after, &[op::GAS])
}

/// [`forwarder`] that gives the call what `gas` pushes.
pub(crate) fn forwarder_with_gas(scheme: u8, target: Address, after: After, gas: &[u8]) -> Vec<u8> {
    let mut code = vec![op::CALLDATASIZE, op::PUSH0, op::PUSH0, op::CALLDATACOPY];
    code.extend([op::PUSH0, op::PUSH0, op::CALLDATASIZE, op::PUSH0]);
    code.extend(calling(scheme, target, gas));
    code.extend(after_call(after, code.len()));
    code
}

/// Pushes value, address and gas, and calls.
fn calling(scheme: u8, target: Address, gas: &[u8]) -> Vec<u8> {
    let mut code = Vec::new();
    if matches!(scheme, op::CALL | op::CALLCODE) {
        code.push(op::CALLVALUE);
    }
    code.push(op::PUSH20);
    code.extend(target.as_slice());
    code.extend(gas);
    code.push(scheme);
    code
}

fn after_call(after: After, position: usize) -> Vec<u8> {
    let copy = [op::RETURNDATASIZE, op::PUSH0, op::PUSH0, op::RETURNDATACOPY];
    let end = [op::RETURNDATASIZE, op::PUSH0];
    match after {
        After::Propagate => {
            let target = u8::try_from(position + copy.len() + 7).expect("a short code");
            let mut code = copy.to_vec();
            code.extend([op::ISZERO, op::PUSH1, target, op::JUMPI]);
            code.extend(end);
            code.extend([op::RETURN, op::JUMPDEST]);
            code.extend(end);
            code.push(op::REVERT);
            code
        }
        After::Catch => {
            let mut code = vec![op::PUSH0, op::SSTORE, op::PUSH1, 1, op::PUSH1, 1, op::SSTORE];
            code.extend(copy);
            code.extend(end);
            code.push(op::RETURN);
            code
        }
        After::Revert => vec![op::POP, op::PUSH0, op::PUSH0, op::REVERT],
        After::Invalid => vec![op::INVALID],
    }
}

/// Creation code that calls the module with one command byte and its value, then behaves as `after`.
pub(crate) fn module_calling_constructor(command: u8, after: After) -> Vec<u8> {
    let mut code = vec![op::PUSH1, command, op::PUSH0, op::MSTORE8];
    code.extend([op::PUSH0, op::PUSH0, op::PUSH1, 1, op::PUSH0]);
    code.extend(calling(op::CALL, MODULE, &[op::GAS]));
    code.extend(after_call(after, code.len()));
    code
}
