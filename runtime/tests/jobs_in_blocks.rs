//! A job's life through signed transactions in blocks: the real modules inside the real machine.

#[path = "jobs_in_blocks/wasm_examples.rs"]
mod wasm_examples;

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use neura_runtime::{
    Attendance, BlockContext, BlockInput, CallError, Execution, Scene, call, chain,
    check_invariants, check_supply, estimate_gas, execute, genesis_changes, revert_reason,
};
use neura_types::{
    Amount, EpochConfig, Genesis, Params, Receipt, StateRead, Transaction,
    abi::{IProviders, ITasks, SolCall, SolEvent},
    genesis::GenesisAccount,
    keys::{EthKey, SecretKey},
    simulation::CallRequest,
    state::MemoryState,
    system,
    task::{BlobRef, Requirement, ResultPrivacy, Terms, VerificationPolicy},
    transaction::UnsignedTransaction,
    validator::Validator,
};

const PRICE: u128 = 1_000_000_007;
const DURATION: u64 = 8;
const ESCROW: u128 = PRICE * DURATION as u128 + 5;
const ACCEPT_WINDOW: u64 = 3;

fn owner() -> EthKey {
    EthKey::from_bytes([7; 32]).unwrap()
}

fn provider() -> SecretKey {
    SecretKey::from_seed(&[8; 32])
}

#[derive(Clone)]
struct Chain {
    state: MemoryState,
    context: BlockContext,
}

impl Chain {
    fn new() -> Self {
        let funded = [owner().address(), provider().public_key().address()];
        let validator = |n: u8| Validator {
            public_key: SecretKey::from_seed(&[100 + n; 32]).public_key(),
            account: Address::repeat_byte(0xe0 + n),
            power: u64::from(n),
        };
        let genesis = Genesis {
            chain_id: 4_242,
            timestamp_ms: 1,
            params: Params {
                accept_window_blocks: ACCEPT_WINDOW,
                approve_window_blocks: 3,
                ..Params::default()
            },
            treasury: Address::repeat_byte(0x77),
            faucet: None,
            validators: vec![validator(1), validator(2)],
            accounts: funded
                .map(|address| GenesisAccount { address, balance: Amount::ankr(1_000) })
                .to_vec(),
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
            attendance: Attendance::default(),
        };
        Self { state, context }
    }

    /// Executes a block and checks the supply and every module's invariants behind it.
    fn block(&mut self, raw: Vec<Bytes>) -> Execution {
        let transactions: Vec<_> = raw
            .into_iter()
            .map(|raw| Transaction::decode(raw, self.context.chain_id).map(Arc::new))
            .collect();
        let input = BlockInput { context: &self.context, transactions: &transactions };
        let execution = execute(&self.state, &input).unwrap();
        assert_eq!(execution, execute(&self.state, &input).unwrap(), "two runs differ");
        assert_eq!(execution.skipped, []);
        self.state.apply(&execution.changes);
        check_supply(&self.state, self.state.accounts().map(|(_, account)| account)).unwrap();
        check_invariants(&self.state, self.context.clone()).unwrap();
        self.context.height += 1;
        execution
    }

    fn unsigned(
        &self,
        from: Address,
        to: TxKind,
        value: u128,
        input: Vec<u8>,
    ) -> UnsignedTransaction {
        let account = self.state.account(from).unwrap().unwrap_or_default();
        UnsignedTransaction {
            chain_id: self.context.chain_id,
            nonce: account.nonce,
            gas_limit: 3_000_000,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1,
            to,
            value: U256::from(value),
            input: input.into(),
        }
    }

    fn by_owner(&mut self, to: Address, value: u128, call: &impl SolCall) -> Receipt {
        let to = TxKind::Call(to);
        let unsigned = self.unsigned(owner().address(), to, value, call.abi_encode());
        self.block(vec![unsigned.sign_eth(&owner())]).receipts.remove(0)
    }

    fn by_provider(&mut self, to: Address, value: u128, call: &impl SolCall) -> Receipt {
        let from = provider().public_key().address();
        let unsigned = self.unsigned(from, TxKind::Call(to), value, call.abi_encode());
        self.block(vec![unsigned.sign_ed25519(&provider())]).receipts.remove(0)
    }

    fn view<C: SolCall>(&self, to: Address, view: &C) -> C::Return {
        let request =
            CallRequest { to: Some(to), input: view.abi_encode().into(), ..CallRequest::default() };
        let outcome = call(&Scene::new(&self.state, &self.context), &request).unwrap();
        assert!(outcome.success(), "{outcome:?}");
        C::abi_decode_returns(&outcome.output).unwrap()
    }

    fn task(&self, id: u64) -> ITasks::Task {
        self.view(system::TASKS, &ITasks::taskCall { taskId: id })
    }

    fn balance(&self, address: Address) -> U256 {
        self.state.account(address).unwrap().unwrap_or_default().balance
    }

    fn with_provider() -> Self {
        let mut chain = Self::new();
        let account = provider().public_key().address();
        let register = IProviders::registerCall {
            identity: provider().public_key().0,
            encryptionKey: B256::repeat_byte(3),
            offer: IProviders::Offer {
                payout: account,
                capability: IProviders::Capability {
                    gpuModel: "NVIDIA H200".into(),
                    gpuBackend: "vulkan".into(),
                    gpuMemoryMib: 1_000,
                    cpuCores: 4,
                    ramMib: 2_000,
                    diskMib: 3_000,
                },
                executors: vec!["int8".into()],
                pricePerBlock: PRICE,
                region: "north".into(),
                endpoint: "http://127.0.0.1:9000".into(),
                capacity: 3,
            },
        };
        let bond = chain.context.params().min_provider_bond.0;
        let receipt = chain.by_provider(system::PROVIDERS, bond, &register);
        assert!(receipt.success, "{:?}", revert_reason(&receipt.revert_data));
        assert_eq!(receipt.tx_type, 0x4e);
        chain
    }
}

fn blob(byte: u8) -> BlobRef {
    let hash = B256::repeat_byte(byte);
    BlobRef { locator: format!("neura:{}", alloy_primitives::hex::encode(hash)), hash, size: 9 }
}

fn create() -> ITasks::createCall {
    let terms = Terms {
        payload: blob(7),
        envelope_nonce: B256::repeat_byte(8),
        provider: provider().public_key().address(),
        key_epoch: 1,
        result_key: B256::repeat_byte(9),
        requirement: Requirement { gpu_memory_mib: 500, ..Requirement::default() },
        executor: "int8".into(),
        duration_blocks: DURATION,
        verification: VerificationPolicy::None,
        privacy: ResultPrivacy::Sealed,
    };
    ITasks::createCall { terms: (&terms).into() }
}

fn ended(logs: &[neura_types::Log]) -> Option<ITasks::TaskEnded> {
    logs.iter().find_map(|log| {
        let topics = log.topics.iter().copied();
        ITasks::TaskEnded::decode_raw_log(topics, &log.data).ok()
    })
}

#[test]
fn a_job_runs_from_registration_to_settlement() {
    let mut chain = Chain::with_provider();
    let created = chain.by_owner(system::TASKS, ESCROW, &create());
    assert!(created.success, "{:?}", revert_reason(&created.revert_data));
    assert_eq!(chain.balance(system::TASKS), U256::from(ESCROW));
    let accepted = chain.by_provider(system::TASKS, 0, &ITasks::acceptCall { taskId: 1 });
    assert!(accepted.success, "{:?}", revert_reason(&accepted.revert_data));
    let submit =
        ITasks::submitCall { taskId: 1, blob: (&blob(4)).into(), commitment: B256::repeat_byte(5) };
    let submitted = chain.by_provider(system::TASKS, 0, &submit);
    assert!(submitted.success, "{:?}", revert_reason(&submitted.revert_data));
    assert_eq!(chain.task(1).state, ITasks::State::Submitted);
    let approved = chain.by_owner(system::TASKS, 0, &ITasks::approveCall { taskId: 1 });
    assert!(approved.success, "{:?}", revert_reason(&approved.revert_data));
    let ended = ended(&approved.logs).expect("TaskEnded");
    let parts = ended.settlement;
    let sum = parts.provider + parts.model + parts.validators + parts.treasury + parts.refund;
    assert_eq!(sum, ESCROW);
    assert_eq!(chain.balance(system::TASKS), U256::ZERO);
    assert_eq!(chain.balance(chain.context.treasury), U256::from(parts.treasury));
    assert_eq!(chain.task(1).state, ITasks::State::Settled);
}

#[test]
fn a_task_that_nobody_accepts_is_refunded_at_the_end_of_a_block() {
    let mut chain = Chain::with_provider();
    assert!(chain.by_owner(system::TASKS, ESCROW, &create()).success);
    let before = chain.balance(owner().address());
    let end = (0..=ACCEPT_WINDOW + 2).find_map(|_| ended(&chain.block(vec![]).block_logs));
    assert_eq!(end.expect("TaskEnded").settlement.refund, ESCROW);
    assert_eq!(chain.balance(owner().address()), before + U256::from(ESCROW));
    assert_eq!(chain.task(1).state, ITasks::State::Refunded);
}

#[test]
fn a_refusal_reads_the_same_in_a_receipt_a_call_and_an_estimate() {
    let mut chain = Chain::with_provider();
    let request = CallRequest {
        from: Some(owner().address()),
        to: Some(system::TASKS),
        value: U256::from(1),
        input: create().abi_encode().into(),
        ..CallRequest::default()
    };
    let simulated = call(&Scene::new(&chain.state, &chain.context), &request).unwrap();
    let estimated = estimate_gas(&Scene::new(&chain.state, &chain.context), &request).unwrap_err();
    let receipt = chain.by_owner(system::TASKS, 1, &create());
    assert!(!receipt.success);
    assert!(receipt.gas_used < 3_000_000, "a refusal returns the gas that is left");
    let reason = revert_reason(&receipt.revert_data).expect("Error(string)");
    assert_eq!(reason.code.as_deref(), Some("escrow_below_price"));
    assert_eq!(simulated.output, receipt.revert_data);
    assert!(matches!(estimated, CallError::Reverted(data) if data == receipt.revert_data));
    assert_eq!(chain.balance(system::TASKS), U256::ZERO);
}

#[test]
fn an_estimate_suffices_for_every_step_of_a_job() {
    let mut chain = Chain::with_provider();
    let request = CallRequest {
        from: Some(owner().address()),
        to: Some(system::TASKS),
        value: U256::from(ESCROW),
        input: create().abi_encode().into(),
        ..CallRequest::default()
    };
    let gas = estimate_gas(&Scene::new(&chain.state, &chain.context), &request).unwrap();
    let to = TxKind::Call(system::TASKS);
    let unsigned = chain.unsigned(owner().address(), to, ESCROW, create().abi_encode());
    let raw = UnsignedTransaction { gas_limit: gas, ..unsigned }.sign_eth(&owner());
    let receipt = chain.block(vec![raw]).receipts.remove(0);
    assert!(receipt.success, "{gas} gas");
}

#[test]
fn out_of_gas_at_any_step_of_creating_a_task_leaves_no_trace() {
    let base = Chain::with_provider();
    let mut probe = base.clone();
    let needed = probe.by_owner(system::TASKS, ESCROW, &create()).gas_used;
    let count = |chain: &Chain| chain.view(system::TASKS, &ITasks::countCall {});
    // Limits spread by a prime; below some 38,000 the call data alone is not paid.
    for gas in (60_000..needed).step_by(9_973).chain([needed - 1]) {
        let mut chain = base.clone();
        let to = TxKind::Call(system::TASKS);
        let unsigned = chain.unsigned(owner().address(), to, ESCROW, create().abi_encode());
        let raw = UnsignedTransaction { gas_limit: gas, ..unsigned }.sign_eth(&owner());
        let receipt = chain.block(vec![raw]).receipts.remove(0);
        assert!(!receipt.success, "at {gas} of {needed} gas");
        assert_eq!(receipt.gas_used, gas);
        assert!(receipt.logs.is_empty());
        assert_eq!(chain.balance(system::TASKS), U256::ZERO);
        assert_eq!(count(&chain), 0);
    }
    assert_eq!(count(&probe), 1);
}

/// Code that calls the tasks module with its own call data and value, then returns or reverts.
fn contract(reverts: bool) -> Vec<u8> {
    let mut code = vec![0x36, 0x5f, 0x5f, 0x37, 0x5f, 0x5f, 0x36, 0x5f, 0x34, 0x73];
    code.extend(system::TASKS.as_slice());
    code.extend([0x5a, 0xf1, 0x50]);
    code.extend(if reverts { [0x5f, 0x5f, 0xfd] } else { [0x5f, 0x5f, 0xf3] });
    let length = u8::try_from(code.len()).unwrap();
    [&[0x60, length, 0x80, 0x60, 9, 0x5f, 0x39, 0x5f, 0xf3], code.as_slice()].concat()
}

#[test]
fn a_contract_owns_the_task_that_it_creates_and_its_revert_takes_the_task_back() {
    for reverts in [false, true] {
        let mut chain = Chain::with_provider();
        let unsigned = chain.unsigned(owner().address(), TxKind::Create, 0, contract(reverts));
        let deployed = chain.block(vec![unsigned.sign_eth(&owner())]).receipts.remove(0);
        let contract = deployed.contract.expect("deployed");
        let receipt = chain.by_owner(contract, ESCROW, &create());
        assert_eq!(receipt.success, !reverts);
        assert_eq!(receipt.logs.is_empty(), reverts);
        let count = chain.view(system::TASKS, &ITasks::countCall {});
        assert_eq!(count, u64::from(!reverts));
        let held = if reverts { 0 } else { ESCROW };
        assert_eq!(chain.balance(system::TASKS), U256::from(held));
        if !reverts {
            assert_eq!(chain.task(1).owner, contract);
        }
    }
}

#[test]
fn an_idle_chain_with_the_lowest_base_fee_changes_nothing() {
    let mut chain = Chain::new();
    while chain::next_base_fee(&chain.state).unwrap() > chain.context.params().min_base_fee {
        chain.block(vec![]);
    }
    assert_eq!(chain.block(vec![]).changes, neura_types::StateChanges::default());
}
