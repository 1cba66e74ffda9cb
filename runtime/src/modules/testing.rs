//! A world in memory for the modules' tests: balances, words, logs, and a journal that takes back what is refused.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, U256, address};
use neura_types::{
    Amount, EpochConfig, Genesis, Log, Params,
    abi::{IProviders, ITasks, SolCall, SolEvent},
    genesis::GenesisAccount,
    keys::SecretKey,
    params::FeeSplit,
    provider::Provider,
    state::{MemoryState, StateChanges},
    system,
    task::{BlobRef, Requirement, ResultPrivacy, Task, TaskId, Terms, VerificationPolicy},
    validator::Validator,
};

use super::host::{Attendance, BlockContext, Call, Fault, Host};
use crate::chain::BURNED_SLOT;

/// The treasury of the test chain.
pub(crate) const TREASURY: Address = address!("7700000000000000000000000000000000000001");
/// An owner of tasks, with coins.
pub(crate) const ALICE: Address = address!("a11ce00000000000000000000000000000000001");
/// Another.
pub(crate) const BOB: Address = address!("b0b0000000000000000000000000000000000001");
/// What every party of the test chain starts with.
pub(crate) const FUNDS: Amount = Amount::ankr(1_000_000);
/// Price per block in [`offer`]: odd, so that splits leave remainders.
pub(crate) const PRICE: u128 = 1_000_000_007;
/// Duration in [`World::terms`].
pub(crate) const DURATION: u64 = 8;
/// Escrow that covers [`World::terms`].
pub(crate) const ESCROW: Amount = Amount(PRICE * DURATION as u128);

enum Undo {
    Balance(Address, U256),
    Word(Address, U256, U256),
    Log,
}

/// The world.
pub(crate) struct World {
    pub(crate) block: BlockContext,
    pub(crate) logs: Vec<Log>,
    /// Gas left for what modules charge by themselves.
    pub(crate) gas: u64,
    balances: BTreeMap<Address, U256>,
    words: BTreeMap<(Address, U256), U256>,
    undo: Vec<Undo>,
    is_static: bool,
    supply: U256,
}

/// Parameters with short windows.
pub(crate) fn params() -> Params {
    Params {
        accept_window_blocks: 5,
        approve_window_blocks: 6,
        respond_window_blocks: 4,
        silence_blocks: 3,
        provider_unbond_blocks: 10,
        max_duration_blocks: 50,
        challenge_bond_bps: 1_000,
        fee_split: FeeSplit { model_bps: 100, validators_bps: 700, treasury_bps: 300 },
        ..Params::default()
    }
}

/// The account of the provider made from a seed.
pub(crate) fn account(seed: u8) -> Address {
    SecretKey::from_seed(&[seed; 32]).public_key().address()
}

/// The key of the genesis validator of an index.
pub(crate) fn validator_key(index: u8) -> SecretKey {
    SecretKey::from_seed(&[100 + index; 32])
}

/// The operator of the genesis validator of an index.
pub(crate) const fn operator(index: u8) -> Address {
    Address::repeat_byte(0xe0 + index)
}

/// A genesis with four validators of different power, two owners, providers of seeds 1 to 4.
pub(crate) fn genesis(params: Params) -> Genesis {
    let validators = (0..4u8)
        .map(|i| Validator {
            public_key: validator_key(i).public_key(),
            account: operator(i),
            power: 1 + u64::from(i),
        })
        .collect();
    let parties = (1..=4).map(account).chain([ALICE, BOB]);
    Genesis {
        chain_id: 4_242,
        timestamp_ms: 1,
        params,
        treasury: TREASURY,
        faucet: None,
        validators,
        accounts: parties.map(|address| GenesisAccount { address, balance: FUNDS }).collect(),
    }
}

/// An offer of a small machine.
pub(crate) fn offer(payout: Address) -> IProviders::Offer {
    IProviders::Offer {
        payout,
        capability: IProviders::Capability {
            gpuModel: "NVIDIA H200".into(),
            gpuBackend: "vulkan".into(),
            gpuMemoryMib: 1_000,
            cpuCores: 4,
            ramMib: 2_000,
            diskMib: 3_000,
        },
        executors: vec!["int8".into(), "wgsl".into()],
        pricePerBlock: PRICE,
        region: "north".into(),
        endpoint: "http://127.0.0.1:9000".into(),
        capacity: 3,
    }
}

/// A reference to an object.
pub(crate) fn blob(byte: u8) -> BlobRef {
    let hash = B256::repeat_byte(byte);
    BlobRef { locator: format!("neura:{}", alloy_primitives::hex::encode(hash)), hash, size: 9 }
}

/// The code of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, Fault>) -> &'static str {
    match result {
        Err(Fault::Refused(refusal)) => refusal.code,
        other => panic!("no refusal: {other:?}"),
    }
}

impl World {
    /// A chain at height 1 after genesis.
    pub(crate) fn new() -> Self {
        Self::with(params())
    }

    /// The same with other parameters.
    pub(crate) fn with(params: Params) -> Self {
        let genesis = genesis(params);
        let mut world = Self {
            block: BlockContext {
                chain_id: genesis.chain_id,
                genesis: genesis.hash(),
                height: 0,
                timestamp_ms: 1,
                proposer: Address::repeat_byte(0xe0),
                randomness: B256::ZERO,
                base_fee: 1,
                treasury: genesis.treasury,
                epoch: Arc::new(EpochConfig::genesis(&genesis, 0).unwrap()),
                attendance: Attendance::default(),
            },
            logs: Vec::new(),
            gas: u64::MAX,
            balances: genesis
                .accounts
                .iter()
                .map(|account| (account.address, account.balance.to_u256()))
                .chain([(system::STAKING, genesis.stake().unwrap().to_u256())])
                .collect(),
            words: BTreeMap::new(),
            undo: Vec::new(),
            is_static: false,
            supply: genesis.supply().unwrap().to_u256(),
        };
        super::genesis(&genesis, &mut world).unwrap();
        world.block.height = 1;
        world
    }

    /// A chain with the provider of seed 1 registered.
    pub(crate) fn with_provider() -> Self {
        let mut world = Self::new();
        world.register(1).unwrap();
        world
    }

    /// Calls a module as a transaction would: value first, everything back if it fails.
    pub(crate) fn call<C: SolCall>(
        &mut self,
        caller: Address,
        value: Amount,
        module: Address,
        call: &C,
    ) -> Result<C::Return, Fault> {
        self.call_raw(caller, value, module, call.abi_encode().into())
            .map(|output| C::abi_decode_returns(&output).unwrap())
    }

    /// The same with raw input.
    pub(crate) fn call_raw(
        &mut self,
        caller: Address,
        value: Amount,
        module: Address,
        input: Bytes,
    ) -> Result<Bytes, Fault> {
        self.undo.clear();
        let is_static = self.is_static;
        let result = self.transfer_raw(caller, module, value).and_then(|()| {
            super::dispatch(self, module, &Call { caller, value, input, is_static })
        });
        if result.is_err() {
            self.revert();
        }
        result
    }

    /// Calls a view.
    pub(crate) fn view<C: SolCall>(
        &mut self,
        module: Address,
        call: &C,
    ) -> Result<C::Return, Fault> {
        self.is_static = true;
        let result = self.call(BOB, Amount::ZERO, module, call);
        self.is_static = false;
        result
    }

    /// Calls in a static frame.
    pub(crate) fn call_static<C: SolCall>(
        &mut self,
        caller: Address,
        module: Address,
        call: &C,
    ) -> Result<C::Return, Fault> {
        self.is_static = true;
        let result = self.call(caller, Amount::ZERO, module, call);
        self.is_static = false;
        result
    }

    /// Registers the provider of a seed with the least bond.
    pub(crate) fn register(&mut self, seed: u8) -> Result<Address, Fault> {
        let account = account(seed);
        let call = IProviders::registerCall {
            identity: SecretKey::from_seed(&[seed; 32]).public_key().0,
            encryptionKey: B256::repeat_byte(seed),
            offer: offer(account),
        };
        let bond = self.block.params().min_provider_bond;
        self.call(account, bond, system::PROVIDERS, &call).map(|_| account)
    }

    /// Terms that the provider of a seed meets.
    pub(crate) fn terms(&self, seed: u8) -> Terms {
        Terms {
            payload: blob(7),
            envelope_nonce: B256::repeat_byte(8),
            provider: account(seed),
            key_epoch: 1,
            result_key: B256::repeat_byte(9),
            requirement: Requirement { gpu_memory_mib: 500, ..Requirement::default() },
            executor: "int8".into(),
            duration_blocks: DURATION,
            verification: VerificationPolicy::None,
            privacy: ResultPrivacy::Sealed,
        }
    }

    /// Creates a task.
    pub(crate) fn create(
        &mut self,
        owner: Address,
        terms: &Terms,
        escrow: Amount,
    ) -> Result<TaskId, Fault> {
        self.call(owner, escrow, system::TASKS, &ITasks::createCall { terms: terms.into() })
    }

    /// Alice offers the provider of seed 1 a task.
    pub(crate) fn offered(&mut self) -> TaskId {
        let terms = self.terms(1);
        self.create(ALICE, &terms, ESCROW).unwrap()
    }

    /// Calls the tasks module without coins.
    pub(crate) fn on_task<C: SolCall>(&mut self, caller: Address, call: C) -> Result<(), Fault> {
        self.call(caller, Amount::ZERO, system::TASKS, &call).map(|_| ())
    }

    pub(crate) fn accept(&mut self, seed: u8, id: TaskId) -> Result<(), Fault> {
        self.on_task(account(seed), ITasks::acceptCall { taskId: id })
    }

    pub(crate) fn submit(&mut self, seed: u8, id: TaskId) -> Result<(), Fault> {
        let call = ITasks::submitCall {
            taskId: id,
            blob: (&blob(seed)).into(),
            commitment: B256::repeat_byte(seed),
        };
        self.on_task(account(seed), call)
    }

    pub(crate) fn approve(&mut self, caller: Address, id: TaskId) -> Result<(), Fault> {
        self.on_task(caller, ITasks::approveCall { taskId: id })
    }

    pub(crate) fn task(&mut self, id: TaskId) -> Task {
        super::tasks::get(self, id).unwrap().unwrap()
    }

    pub(crate) fn provider(&mut self, seed: u8) -> Provider {
        super::providers::get(self, account(seed)).unwrap().unwrap()
    }

    /// Balance of an account, in wei.
    pub(crate) fn wei(&self, account: Address) -> u128 {
        self.balances.get(&account).copied().unwrap_or_default().to()
    }

    /// Events of one kind that a module emitted.
    pub(crate) fn events<E: SolEvent>(&self) -> Vec<E> {
        self.logs
            .iter()
            .filter_map(|log| E::decode_raw_log(log.topics.iter().copied(), &log.data).ok())
            .collect()
    }

    /// The words as a state.
    pub(crate) fn state(&self) -> MemoryState {
        let mut state = MemoryState::default();
        state.apply(&StateChanges { storage: self.words.clone(), ..StateChanges::default() });
        state
    }

    /// Number of storage words that are not zero.
    pub(crate) fn words(&self) -> usize {
        self.words.len()
    }

    /// Storage and balances as they are.
    pub(crate) fn snapshot(&self) -> (BTreeMap<(Address, U256), U256>, BTreeMap<Address, U256>) {
        let mut balances = self.balances.clone();
        balances.retain(|_, balance| !balance.is_zero());
        (self.words.clone(), balances)
    }

    /// Ends the block and checks every invariant of ours, then begins the next.
    pub(crate) fn end_block(&mut self) {
        super::end_block(self).unwrap();
        self.check();
        if self.block.ends_epoch() {
            let next = self.block.epoch.epoch + 1;
            self.block.epoch = Arc::new(super::staking::config(self, next).unwrap());
        }
        self.block.height += 1;
        super::begin_block(self).unwrap();
    }

    /// Checks every invariant of ours.
    pub(crate) fn check(&mut self) {
        assert_eq!(super::audit(self), Ok(()), "in block {}", self.block.height);
        let balances = self.balances.values().fold(U256::ZERO, |sum, balance| sum + *balance);
        let burned = self.load(system::CHAIN, BURNED_SLOT).unwrap();
        assert_eq!(balances + burned, self.supply, "supply in block {}", self.block.height);
        let held = super::tasks::held(self).unwrap();
        assert_eq!(self.wei(system::TASKS), held.0, "held in block {}", self.block.height);
    }

    /// Ends the epoch, leaving out the blocks in which nothing is due.
    pub(crate) fn end_epoch(&mut self) {
        self.block.height = self.block.epoch.last;
        self.end_block();
    }

    /// The number of the present epoch.
    pub(crate) fn epoch(&self) -> u64 {
        self.block.epoch.epoch
    }

    /// Coins burned so far, in wei.
    pub(crate) fn burned(&mut self) -> u128 {
        self.load(system::CHAIN, BURNED_SLOT).unwrap().to()
    }

    /// Ends so many blocks.
    pub(crate) fn advance(&mut self, blocks: u64) {
        (0..blocks).for_each(|_| self.end_block());
    }

    /// Gives a module coins that nobody sent it, as a contract that destroys itself can.
    pub(crate) fn force(&mut self, account: Address, amount: Amount) {
        *self.balances.entry(account).or_default() += amount.to_u256();
        self.supply += amount.to_u256();
    }

    fn transfer_raw(&mut self, from: Address, to: Address, amount: Amount) -> Result<(), Fault> {
        let was_static = std::mem::replace(&mut self.is_static, false);
        let result = self.transfer(from, to, amount);
        self.is_static = was_static;
        result
    }

    fn take(&mut self, from: Address, amount: Amount) -> Result<(), Fault> {
        if self.is_static {
            return Err(Fault::ReadOnly);
        }
        let rest = self
            .balance(from)?
            .checked_sub(amount.to_u256())
            .ok_or_else(|| Fault::refused("insufficient_balance", "too few coins"))?;
        self.set_balance(from, rest);
        Ok(())
    }

    fn set_balance(&mut self, account: Address, balance: U256) {
        let old = self.balances.insert(account, balance).unwrap_or_default();
        self.undo.push(Undo::Balance(account, old));
    }

    fn revert(&mut self) {
        while let Some(step) = self.undo.pop() {
            match step {
                Undo::Balance(account, old) => drop(self.balances.insert(account, old)),
                Undo::Word(module, slot, old) => self.write(module, slot, old),
                Undo::Log => drop(self.logs.pop()),
            }
        }
    }

    fn write(&mut self, module: Address, slot: U256, value: U256) {
        if value.is_zero() {
            self.words.remove(&(module, slot));
        } else {
            self.words.insert((module, slot), value);
        }
    }
}

impl Host for World {
    fn block(&self) -> &BlockContext {
        &self.block
    }

    fn load(&mut self, module: Address, slot: U256) -> Result<U256, Fault> {
        Ok(self.words.get(&(module, slot)).copied().unwrap_or_default())
    }

    fn store(&mut self, module: Address, slot: U256, value: U256) -> Result<(), Fault> {
        if self.is_static {
            return Err(Fault::ReadOnly);
        }
        let old = self.load(module, slot)?;
        self.undo.push(Undo::Word(module, slot, old));
        self.write(module, slot, value);
        Ok(())
    }

    fn balance(&mut self, account: Address) -> Result<U256, Fault> {
        Ok(self.balances.get(&account).copied().unwrap_or_default())
    }

    fn transfer(&mut self, from: Address, to: Address, amount: Amount) -> Result<(), Fault> {
        self.take(from, amount)?;
        let sum = self.balance(to)? + amount.to_u256();
        self.set_balance(to, sum);
        Ok(())
    }

    fn burn(&mut self, from: Address, amount: Amount) -> Result<(), Fault> {
        self.take(from, amount)?;
        let burned = self.load(system::CHAIN, BURNED_SLOT)?;
        self.store(system::CHAIN, BURNED_SLOT, burned + amount.to_u256())
    }

    fn emit(&mut self, log: Log) -> Result<(), Fault> {
        if self.is_static {
            return Err(Fault::ReadOnly);
        }
        self.undo.push(Undo::Log);
        self.logs.push(log);
        Ok(())
    }

    fn charge(&mut self, gas: u64) -> Result<(), Fault> {
        self.gas = self.gas.checked_sub(gas).ok_or(Fault::OutOfGas)?;
        Ok(())
    }
}
