//! The chain's state and rules.

use std::collections::{BTreeMap, HashMap};

use neura_types::{
    Address, Amount, B256, Height, Params, Transaction, U256,
    abi::{
        IProviders::{IProvidersCalls as ProvidersCall, Offer},
        ITasks::ITasksCalls as TasksCall,
        SolInterface,
    },
    keys::PublicKey,
    note::TaskNote,
    provider::{Provider, ProviderStatus, TrackRecord},
    rest::{ChainEvent, Finality, Inclusion, ReceiptInfo, TaskChange, TransactionInfo, Wei},
    system,
    task::{
        Checkpoint, EndReason, Outcome, Party, Settlement, Task, TaskId, TaskResult, TaskState,
        Terms,
    },
};

pub(crate) const CHAIN_ID: u64 = 7_331;

/// Everything that the node knows.
#[derive(Clone, Default)]
pub(crate) struct Chain {
    pub(crate) height: Height,
    pub(crate) params: Params,
    pub(crate) faucet: bool,
    pub(crate) balances: HashMap<Address, U256>,
    pub(crate) nonces: HashMap<Address, u64>,
    pub(crate) providers: BTreeMap<Address, Provider>,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    pub(crate) blobs: HashMap<B256, Vec<u8>>,
    pub(crate) executed: HashMap<B256, TransactionInfo>,
    /// Name and hash of each module call handed over, in order, refused and repeated ones included.
    pub(crate) seen: Vec<(&'static str, B256)>,
    /// Whether the owner approves each result at once.
    pub(crate) approving: bool,
    /// Further calls of the provider's modules that are lost on their way, by name.
    pub(crate) losing: Vec<&'static str>,
    pub(crate) changed: Vec<TaskId>,
    /// Sealed notes, in order.
    pub(crate) notes: Vec<TaskNote>,
}

type Refused = Result<(), String>;

impl Chain {
    /// Hashes of the calls of a name that were handed over, each once.
    pub(crate) fn distinct(&self, name: &str) -> Vec<B256> {
        let mut hashes: Vec<B256> =
            self.seen.iter().filter(|(call, _)| *call == name).map(|(_, hash)| *hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    /// How many calls of a name took effect.
    pub(crate) fn took_effect(&self, name: &str) -> usize {
        let succeeded = |hash: &B256| {
            self.executed.get(hash).and_then(|tx| tx.receipt.as_ref()).is_some_and(|r| r.success)
        };
        self.distinct(name).iter().filter(|hash| succeeded(hash)).count()
    }

    pub(crate) fn create(&mut self, owner: Address, terms: Terms) -> TaskId {
        let provider = self.providers.get_mut(&terms.provider).unwrap();
        provider.active_tasks += 1;
        let id = self.tasks.len() as TaskId + 1;
        let price_per_block = provider.price_per_block;
        let task = Task {
            id,
            owner,
            escrow: price_per_block.times(terms.duration_blocks).unwrap(),
            price_per_block,
            challenge_bond: Amount::ZERO,
            challenges: 0,
            state: TaskState::Assigned,
            created_at: self.height,
            accepted_at: 0,
            submitted_at: 0,
            deadline: self.height + self.params.accept_window_blocks,
            result: None,
            outcome: None,
            seen_at: self.height,
            checkpoint: None,
            terms,
        };
        self.tasks.insert(id, task);
        self.changed.push(id);
        id
    }

    pub(crate) fn end(&mut self, id: TaskId, state: TaskState, reason: EndReason) {
        let task = self.tasks.get_mut(&id).unwrap();
        let mut settlement = Settlement::default();
        match state {
            TaskState::Settled => settlement.provider = task.escrow,
            _ => settlement.refund = task.escrow,
        }
        task.state = state;
        task.deadline = 0;
        task.outcome = Some(Outcome { reason, at_fault: Party::None, settlement, at: self.height });
        self.providers.get_mut(&task.terms.provider).unwrap().active_tasks -= 1;
        self.changed.push(id);
    }

    pub(crate) fn contest(&mut self, id: TaskId) {
        let task = self.tasks.get_mut(&id).unwrap();
        assert_eq!(task.state, TaskState::Submitted);
        task.challenges += 1;
        task.state = TaskState::Verifying;
        task.deadline = self.height + self.params.respond_window_blocks;
        self.changed.push(id);
    }

    /// What listeners are told of the block.
    pub(crate) fn take_events(&mut self) -> Vec<ChainEvent> {
        let changed = std::mem::take(&mut self.changed);
        let block = ChainEvent::BlockExecuted {
            id: B256::ZERO,
            height: self.height,
            transactions: 1,
            gas_used: 0,
        };
        let change = |id: TaskId| {
            let task = &self.tasks[&id];
            ChainEvent::Task(TaskChange {
                task: id,
                state: task.state,
                owner: task.owner,
                provider: task.terms.provider,
                height: self.height,
            })
        };
        std::iter::once(block).chain(changed.into_iter().map(change)).collect()
    }

    /// Executes a transaction, or says by which code and sentence it is not taken.
    pub(crate) fn take(&mut self, tx: Transaction) -> Result<B256, (u16, &'static str)> {
        let name = call_name(&tx);
        self.seen.push((name, tx.hash));
        if self.executed.contains_key(&tx.hash) {
            return Err((422, "already_known"));
        }
        if let Some(lost) = self.losing.iter().position(|lost| *lost == name) {
            self.losing.remove(lost);
            return Err((503, "unavailable"));
        }
        let balance = self.balances.get(&tx.sender).copied().unwrap_or_default();
        if tx.max_cost() > balance {
            return Err((422, "insufficient_funds"));
        }
        let nonce = self.nonces.entry(tx.sender).or_default();
        if tx.nonce != *nonce {
            let code = if tx.nonce < *nonce { "nonce_too_low" } else { "nonce_too_high" };
            return Err((422, code));
        }
        *nonce += 1;
        let outcome = self.execute(&tx);
        if outcome.is_ok() {
            self.balances.insert(tx.sender, balance - tx.value);
        }
        let hash = tx.hash;
        self.executed.insert(hash, self.info(tx, outcome.err()));
        Ok(hash)
    }

    fn execute(&mut self, tx: &Transaction) -> Refused {
        match tx.to.to().copied() {
            Some(system::PROVIDERS) => {
                let call = ProvidersCall::abi_decode(&tx.input).map_err(|e| e.to_string())?;
                self.providers_call(tx, call)
            }
            Some(system::TASKS) => {
                let call = TasksCall::abi_decode(&tx.input).map_err(|e| e.to_string())?;
                self.tasks_call(tx, call)
            }
            _ => Ok(()),
        }
    }

    fn providers_call(&mut self, tx: &Transaction, call: ProvidersCall) -> Refused {
        let height = self.height;
        if let ProvidersCall::register(call) = call {
            assert_eq!(PublicKey(call.identity).address(), tx.sender);
            let bond = Amount::from_u256(tx.value).unwrap();
            let earlier = self.providers.get(&tx.sender);
            let key_epoch = earlier.map_or(0, |e| e.key_epoch) + 1;
            let mut provider = Provider {
                address: tx.sender,
                identity: PublicKey(call.identity),
                encryption_key: call.encryptionKey,
                key_epoch,
                payout: Address::ZERO,
                capability: Default::default(),
                executors: Vec::new(),
                price_per_block: Amount::ZERO,
                region: String::new(),
                endpoint: String::new(),
                bond,
                status: ProviderStatus::Active,
                capacity: 0,
                active_tasks: 0,
                submitted_tasks: 0,
                registered_at: height,
                heartbeat_at: height,
                unbonds_at: 0,
                record: TrackRecord::default(),
            };
            apply(&mut provider, call.offer);
            self.providers.insert(tx.sender, provider);
            return Ok(());
        }
        let unbond = self.params.provider_unbond_blocks;
        let provider = self.providers.get_mut(&tx.sender).ok_or("unknown_provider: nobody")?;
        provider.heartbeat_at = height;
        match call {
            ProvidersCall::update(call) => apply(provider, call.offer),
            ProvidersCall::rotateKey(call) => {
                provider.encryption_key = call.encryptionKey;
                provider.key_epoch += 1;
            }
            ProvidersCall::drain(_) => provider.status = ProviderStatus::Draining,
            ProvidersCall::resume(_) => provider.status = ProviderStatus::Active,
            ProvidersCall::unregister(_) if provider.active_tasks > 0 => {
                return Err("tasks_active: finish them first".into());
            }
            ProvidersCall::unregister(_) => {
                provider.status = ProviderStatus::Left;
                provider.unbonds_at = height + unbond;
            }
            ProvidersCall::withdrawBond(_) if height < provider.unbonds_at => {
                return Err("bond_locked: later".into());
            }
            ProvidersCall::withdrawBond(_) => {
                let bond = std::mem::take(&mut provider.bond);
                *self.balances.entry(tx.sender).or_default() += U256::from(bond.0);
            }
            _ => {}
        }
        Ok(())
    }

    fn tasks_call(&mut self, tx: &Transaction, call: TasksCall) -> Refused {
        let id = match &call {
            TasksCall::accept(call) => call.taskId,
            TasksCall::decline(call) => call.taskId,
            TasksCall::submit(call) => call.taskId,
            TasksCall::heartbeat(call) => call.taskId,
            TasksCall::checkpoint(call) => call.taskId,
            _ => return Err("unknown_function: none".into()),
        };
        let height = self.height;
        let windows = self.params.approve_window_blocks;
        let task = self.tasks.get_mut(&id).ok_or("unknown_task: none")?;
        task.seen_at = height;
        assert_eq!(task.terms.provider, tx.sender);
        let wanted: &[TaskState] = match call {
            TasksCall::submit(_) => &[TaskState::Running, TaskState::Verifying],
            TasksCall::heartbeat(_) | TasksCall::checkpoint(_) => &[TaskState::Running],
            _ => &[TaskState::Assigned],
        };
        if !wanted.contains(&task.state) {
            return Err(format!("wrong_state: task {id} is {}", task.state.name()));
        }
        match call {
            TasksCall::accept(_) => {
                task.state = TaskState::Running;
                task.accepted_at = height;
                task.deadline = height + task.terms.duration_blocks;
            }
            TasksCall::submit(call) => {
                let (blob, commitment) = (call.blob.into(), call.commitment);
                task.result = Some(TaskResult { blob, commitment, at: height });
                task.state = TaskState::Submitted;
                task.deadline = height + windows;
                if self.approving {
                    self.end(id, TaskState::Settled, EndReason::Approved);
                }
            }
            TasksCall::heartbeat(_) => {}
            TasksCall::checkpoint(call) => {
                if task.checkpoint.as_ref().is_some_and(|noted| call.step <= noted.step) {
                    return Err("step_not_higher: than the last".into());
                }
                let blob = call.blob.into();
                task.checkpoint = Some(Checkpoint { step: call.step, at: height, blob });
            }
            _ => self.end(id, TaskState::Refunded, EndReason::Declined),
        }
        self.changed.push(id);
        Ok(())
    }

    fn info(&self, tx: Transaction, revert_reason: Option<String>) -> TransactionInfo {
        let receipt = ReceiptInfo {
            success: revert_reason.is_none(),
            gas_used: 21_000,
            effective_gas_price: Wei::default(),
            contract: None,
            logs: Vec::new(),
            revert_data: Default::default(),
            revert_reason,
        };
        let inclusion =
            Inclusion { block: B256::ZERO, height: self.height, index: 0, timestamp_ms: 0 };
        TransactionInfo {
            hash: tx.hash,
            tx_type: tx.tx_type,
            from: tx.sender,
            to: tx.to.to().copied(),
            nonce: tx.nonce,
            value: Wei(tx.value),
            gas_limit: tx.gas_limit,
            max_fee_per_gas: Wei::from(tx.max_fee_per_gas),
            max_priority_fee_per_gas: Wei::from(tx.max_priority_fee_per_gas),
            input: tx.input,
            finality: Finality::Executed,
            inclusion: Some(inclusion),
            receipt: Some(receipt),
        }
    }
}

fn apply(provider: &mut Provider, offer: Offer) {
    provider.payout = offer.payout;
    provider.capability = offer.capability.into();
    provider.executors = offer.executors;
    provider.price_per_block = Amount(offer.pricePerBlock);
    provider.region = offer.region;
    provider.endpoint = offer.endpoint;
    provider.capacity = offer.capacity;
}

fn call_name(tx: &Transaction) -> &'static str {
    let selector = tx.input.get(..4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
    ProvidersCall::name_by_selector(selector)
        .or_else(|| TasksCall::name_by_selector(selector))
        .unwrap_or("transfer")
}
