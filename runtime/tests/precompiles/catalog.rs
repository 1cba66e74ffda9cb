//! For every method of every module, a situation in which it succeeds.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes};
use neura_types::{
    Amount,
    abi::{
        IGovernance::{self, *},
        IProviders::{self, *},
        IRequesters::{self, *},
        IRewards, IStaking, ITasks, SolCall, SolInterface,
    },
    codec::encode,
    epoch::PROTOCOL_VERSION,
    staking::possession_digest,
    system,
    task::{BlobRef, Requirement, ResultPrivacy, Terms, VerificationPolicy},
    vote::{Evidence, Signed, Statement},
};

use crate::stage::{
    Act, Actor, NEWCOMER, OPERATORS, OWNER, PROVIDER, STRANGER, Stage, identity, validator_key,
};

const PRICE: u128 = 1_000_000_007;
const DURATION: u64 = 8;

/// A call that succeeds on a stage.
pub(crate) struct Example {
    pub(crate) name: &'static str,
    pub(crate) module: Address,
    pub(crate) stage: Stage,
    pub(crate) caller: Actor,
    pub(crate) value: Amount,
    pub(crate) input: Bytes,
}

/// The examples, by module and selector.
#[derive(Default)]
pub(crate) struct Catalog(pub(crate) BTreeMap<(Address, [u8; 4]), Example>);

/// The methods that the interfaces declare, by module and selector.
pub(crate) fn methods() -> Vec<(Address, [u8; 4])> {
    fn of<C: SolInterface>(module: Address) -> impl Iterator<Item = (Address, [u8; 4])> {
        C::selectors().map(move |selector| (module, selector))
    }
    of::<IProvidersCalls>(system::PROVIDERS)
        .chain(of::<IRequestersCalls>(system::REQUESTERS))
        .chain(of::<ITasks::ITasksCalls>(system::TASKS))
        .chain(of::<IRewards::IRewardsCalls>(system::REWARDS))
        .chain(of::<IStaking::IStakingCalls>(system::STAKING))
        .chain(of::<IGovernanceCalls>(system::GOVERNANCE))
        .collect()
}

impl Catalog {
    pub(crate) fn new() -> Self {
        let mut catalog = Self::default();
        catalog.providers();
        catalog.requesters();
        catalog.tasks();
        catalog.rewards();
        catalog.staking();
        catalog.governance();
        catalog
    }

    fn add<C: SolCall>(
        &mut self,
        stage: &Stage,
        (caller, module): (Actor, Address),
        value: Amount,
        call: C,
    ) {
        let input = call.abi_encode().into();
        let (name, stage) = (C::SIGNATURE, stage.clone());
        let example = Example { name, module, stage, caller, value, input };
        assert!(self.0.insert((module, C::SELECTOR), example).is_none(), "{name} twice");
    }

    fn view<C: SolCall>(&mut self, stage: &Stage, module: Address, call: C) {
        self.add(stage, (STRANGER, module), Amount::ZERO, call);
    }

    fn providers(&mut self) {
        let stage = with_provider();
        let account = PROVIDER.address();
        let by = (PROVIDER, system::PROVIDERS);
        let bond = stage.context.params().min_provider_bond;
        self.add(&stage, (NEWCOMER, by.1), bond, registration(NEWCOMER, 2));
        self.add(&stage, by, Amount::ZERO, updateCall { offer: offer(STRANGER.address()) });
        let key = IProviders::rotateKeyCall { encryptionKey: B256::repeat_byte(4) };
        self.add(&stage, by, Amount::ZERO, key);
        let mut later = stage.clone();
        later.wait(1);
        self.add(&later, by, Amount::ZERO, heartbeatCall {});
        self.add(&stage, by, Amount::ZERO, drainCall {});
        let mut drained = stage.clone();
        drained.does(act(by, Amount::ZERO, &drainCall {}));
        self.add(&drained, by, Amount::ZERO, resumeCall {});
        self.add(&drained, by, Amount::ZERO, unregisterCall {});
        drained.does(act(by, Amount::ZERO, &unregisterCall {}));
        drained.wait(3);
        self.add(&drained, by, Amount::ZERO, withdrawBondCall {});
        self.view(&stage, by.1, providerCall { account });
        self.view(&stage, by.1, IProviders::isRegisteredCall { account });
        self.view(&stage, by.1, IProviders::countCall {});
        self.view(&stage, by.1, IProviders::listCall { start: 0, limit: 10 });
    }

    fn requesters(&mut self) {
        let mut stage = Stage::new();
        let by = (OWNER, system::REQUESTERS);
        let register = IRequesters::registerCall { encryptionKey: B256::repeat_byte(5) };
        self.add(&stage, by, Amount::ZERO, register.clone());
        stage.does(act(by, Amount::ZERO, &register));
        let key = IRequesters::rotateKeyCall { encryptionKey: B256::repeat_byte(6) };
        self.add(&stage, by, Amount::ZERO, key);
        let account = OWNER.address();
        self.view(&stage, by.1, requesterCall { account });
        self.view(&stage, by.1, IRequesters::isRegisteredCall { account });
        self.view(&stage, by.1, IRequesters::countCall {});
        self.view(&stage, by.1, IRequesters::listCall { start: 0, limit: 10 });
    }

    fn tasks(&mut self) {
        let mut stage = with_provider();
        let (owner, provider) = ((OWNER, system::TASKS), (PROVIDER, system::TASKS));
        let escrow = Amount(PRICE * u128::from(DURATION) + 5);
        self.add(&stage, owner, escrow, create());
        stage.does(act(owner, escrow, &create()));
        let id = 1;
        self.add(&stage, owner, Amount::ZERO, ITasks::cancelCall { taskId: id });
        let reason = "no".to_owned();
        self.add(&stage, provider, Amount::ZERO, ITasks::declineCall { taskId: id, reason });
        self.add(&stage, provider, Amount::ZERO, ITasks::acceptCall { taskId: id });
        stage.does(act(provider, Amount::ZERO, &ITasks::acceptCall { taskId: id }));
        self.progress(&mut stage);
        let submit = ITasks::submitCall {
            taskId: id,
            blob: (&blob(3)).into(),
            commitment: B256::repeat_byte(3),
        };
        self.add(&stage, provider, Amount::ZERO, submit.clone());
        stage.does(act(provider, Amount::ZERO, &submit));
        self.add(&stage, owner, Amount::ZERO, ITasks::approveCall { taskId: id });
        let reason = "it cannot be opened".to_owned();
        self.add(
            &stage,
            owner,
            Amount(escrow.0 / 10),
            ITasks::challengeCall { taskId: id, reason },
        );
        let (account, other) = (OWNER.address(), PROVIDER.address());
        let quote = ITasks::quoteCall { provider: other, durationBlocks: 7 };
        self.view(&stage, owner.1, quote);
        self.view(&stage, owner.1, ITasks::challengeBondCall { taskId: id });
        self.view(&stage, owner.1, ITasks::taskCall { taskId: id });
        self.view(&stage, owner.1, ITasks::countCall {});
        self.view(&stage, owner.1, ITasks::listCall { before: 10, limit: 10 });
        let of_owner = ITasks::tasksOfOwnerCall { owner: account, before: 10, limit: 10 };
        self.view(&stage, owner.1, of_owner);
        let of_provider = ITasks::tasksOfProviderCall { provider: other, before: 10, limit: 10 };
        self.view(&stage, owner.1, of_provider);
    }

    /// A task that runs: its provider lives, and is silent in another run of events.
    fn progress(&mut self, stage: &mut Stage) {
        let (owner, provider) = ((OWNER, system::TASKS), (PROVIDER, system::TASKS));
        let task = 1;
        stage.wait(1);
        self.add(stage, provider, Amount::ZERO, ITasks::heartbeatCall { taskId: task });
        let reference = (&blob(2)).into();
        let checkpoint = ITasks::checkpointCall { taskId: task, step: 7, blob: reference };
        self.add(stage, provider, Amount::ZERO, checkpoint.clone());
        stage.does(act(provider, Amount::ZERO, &checkpoint));
        self.view(stage, owner.1, ITasks::checkpointOfCall { taskId: task });
        let mut silent = stage.clone();
        let bond = silent.context.params().min_provider_bond;
        let newcomer = registration(NEWCOMER, 2);
        silent.does(act((NEWCOMER, system::PROVIDERS), bond, &newcomer));
        silent.wait(silent.context.params().silence_blocks);
        let reassign = ITasks::reassignCall {
            taskId: task,
            provider: NEWCOMER.address(),
            keyEpoch: 1,
            payload: (&blob(5)).into(),
            resumeFrom: (&blob(6)).into(),
        };
        self.add(&silent, owner, Amount::ZERO, reassign);
    }

    fn rewards(&mut self) {
        let stage = Stage::new();
        self.view(&stage, system::REWARDS, IRewards::poolCall {});
        self.view(&stage, system::REWARDS, IRewards::distributedCall {});
    }

    fn staking(&mut self) {
        let mut stage = Stage::new();
        let module = system::STAKING;
        let (none, operator) = (Amount::ZERO, OPERATORS[1].address());
        self.add(&stage, (STRANGER, module), Amount::ankr(3), candidacy(&stage, STRANGER));
        let delegate = IStaking::delegateCall { operator };
        self.add(&stage, (STRANGER, module), Amount::ankr(2), delegate.clone());
        let shares = Amount::ankr(2).0;
        stage.does(act((STRANGER, module), Amount::ankr(2), &delegate));
        let undelegate = IStaking::undelegateCall { operator, shares: shares / 2 };
        self.add(&stage, (STRANGER, module), none, undelegate.clone());
        self.staking_views(&stage);
        let grave = IStaking::submitEvidenceCall { evidence: evidence(&stage).into() };
        self.add(&stage, (STRANGER, module), none, grave);
        self.add(&stage, (OPERATORS[3], module), none, IStaking::retireCall {});
        let mut retired = stage.clone();
        retired.does(act((OPERATORS[3], module), none, &IStaking::retireCall {}));
        let enlist = IStaking::enlistCall { instead: Address::ZERO };
        self.add(&retired, (OPERATORS[3], module), none, enlist);
        self.add(&jailed(), (OPERATORS[2], module), none, IStaking::unjailCall {});
        stage.does(act((STRANGER, module), none, &undelegate));
        // The delegation serves from epoch 2 on; what the pool holds then, fees of tasks, say, is shared at its end.
        stage.wait_for_epoch(2);
        stage.give(OWNER, system::REWARDS, Amount::ankr(9));
        stage.wait_for_epoch(3);
        let commission = IStaking::setCommissionCall { commissionBps: 950 };
        self.add(&stage, (OPERATORS[1], module), none, commission);
        self.add(&stage, (STRANGER, module), none, IStaking::claimCall { operator });
        stage.wait_for_epoch(7);
        self.add(&stage, (STRANGER, module), none, IStaking::withdrawCall { operator });
    }

    fn staking_views(&mut self, stage: &Stage) {
        let (operator, delegator) = (OPERATORS[1].address(), STRANGER.address());
        let module = system::STAKING;
        self.view(stage, module, IStaking::epochCall {});
        self.view(stage, module, IStaking::countCall {});
        self.view(stage, module, IStaking::totalPowerCall {});
        self.view(stage, module, IStaking::validatorCall { index: 1 });
        self.view(stage, module, IStaking::validatorsCall { start: 0, limit: 10 });
        self.view(stage, module, IStaking::candidateCall { operator });
        self.view(stage, module, IStaking::candidateCountCall {});
        self.view(stage, module, IStaking::candidatesCall { start: 0, limit: 10 });
        self.view(stage, module, IStaking::delegationCall { operator, delegator });
        self.view(stage, module, IStaking::unbondingsCall { operator, delegator });
    }

    fn governance(&mut self) {
        let mut stage = Stage::new();
        let module = system::GOVERNANCE;
        let [first, .., last] = OPERATORS.map(|operator| (operator, module));
        let changes = vec![Change { name: "slash_bps".into(), value: 700 }];
        let propose = proposeParamsCall { changes, title: "milder".into() };
        self.add(&stage, first, Amount::ZERO, propose.clone());
        let version = PROTOCOL_VERSION + 1;
        let upgrade = proposeUpgradeCall { version, epoch: 40, title: "newer".into() };
        self.add(&stage, first, Amount::ZERO, upgrade.clone());
        stage.does(act(first, Amount::ZERO, &propose));
        let id = 1;
        self.add(&stage, last, Amount::ZERO, voteCall { id, approve: true });
        self.view(&stage, module, IGovernance::countCall {});
        self.view(&stage, module, proposalCall { id });
        self.view(&stage, module, proposalsCall { start: 0, limit: 10 });
        self.view(&stage, module, supportCall { id });
        self.view(&stage, module, parameterCall { name: "slash_bps".into() });
        self.view(&stage, module, scheduledUpgradeCall {});
        self.cancellation(&upgrade);
    }

    fn cancellation(&mut self, upgrade: &proposeUpgradeCall) {
        let mut stage = Stage::new();
        let by = OPERATORS.map(|operator| (operator, system::GOVERNANCE));
        stage.does(act(by[0], Amount::ZERO, upgrade));
        for operator in by {
            stage.does(act(operator, Amount::ZERO, &voteCall { id: 1, approve: true }));
        }
        stage.wait_for_epoch(1);
        let cancel = proposeCancellationCall { title: "not yet".into() };
        self.add(&stage, by[0], Amount::ZERO, cancel);
    }
}

fn act(by: (Actor, Address), value: Amount, call: &impl SolCall) -> Act {
    Act::call(by.0, by.1, value, call.abi_encode().into())
}

fn with_provider() -> Stage {
    let mut stage = Stage::new();
    let bond = stage.context.params().min_provider_bond;
    stage.does(act((PROVIDER, system::PROVIDERS), bond, &registration(PROVIDER, 1)));
    stage
}

fn registration(who: Actor, seed: u8) -> IProviders::registerCall {
    IProviders::registerCall {
        identity: identity(seed).public_key().0,
        encryptionKey: B256::repeat_byte(3),
        offer: offer(who.address()),
    }
}

fn offer(payout: Address) -> Offer {
    Offer {
        payout,
        capability: Capability {
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
        provider: PROVIDER.address(),
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

fn candidacy(stage: &Stage, operator: Actor) -> IStaking::createValidatorCall {
    let key = validator_key(50);
    let digest = possession_digest(&stage.context.chain(), operator.address());
    IStaking::createValidatorCall {
        publicKey: key.public_key().0,
        proof: key.sign(digest.as_slice()).0.to_vec().into(),
        commissionBps: 500,
    }
}

/// Two commit votes of the last validator in the present epoch.
fn evidence(stage: &Stage) -> Vec<u8> {
    let epoch = stage.context.epoch.epoch;
    let author = 3;
    let signed = |byte| {
        let statement = Statement::Commit { view: 5, block: B256::repeat_byte(byte) };
        let digest = statement.digest(&stage.context.chain(), epoch);
        let signature = validator_key(author).sign(digest.as_slice());
        Signed { epoch, author: author.into(), statement, signature }
    };
    encode(&Evidence { first: signed(1), second: signed(2) })
}

/// The third validator was absent for two epochs, and has served its time in jail.
fn jailed() -> Stage {
    let mut stage = Stage::new();
    stage.context.attendance.seen = vec![0, 1, 3];
    stage.context.attendance.failed = vec![2];
    stage.wait_for_epoch(2);
    stage.context.attendance.failed = vec![];
    stage.wait_for_epoch(4);
    stage
}
