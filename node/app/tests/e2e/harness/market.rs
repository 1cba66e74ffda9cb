//! A chain with an owner and a provider that are played by the test, so that either can do what no program of ours does.

use std::collections::BTreeSet;

use neura_blobs::EncryptionSecretKey;
use neura_client::{ClientError, Confirmed, Key, Sender};
use neura_types::{
    Account, Address, Amount, B256, Params, StateRead, U256,
    abi::{IProviders, ITasks, SolCall, SolEvent},
    keys::SecretKey,
    provider::Capability,
    system,
    task::{
        BlobRef, Requirement, ResultPrivacy, Settlement, Task, TaskId, Terms, VerificationPolicy,
    },
};

use super::{Network, eventually};

/// What the provider asks per block.
pub(crate) const PRICE: Amount = Amount(1_000_000_000_000_000);
/// What the provider offers.
const RAM_MIB: u32 = 1_024;

/// One validator, an owner, a registered provider.
pub(crate) struct Market {
    pub(crate) network: Network,
    pub(crate) owner: Sender,
    pub(crate) provider: Sender,
    pub(crate) result_key: EncryptionSecretKey,
    /// Where the provider wants to be paid: an account that does nothing else.
    pub(crate) payout: Address,
}

impl Market {
    pub(crate) async fn open(params: Params) -> Self {
        let network = Network::start(1, params).await;
        let owner = network.sender("alice", 0).await;
        let payout = Address::repeat_byte(0x77);
        let provider = join(&network, &owner, 7, (&key(1), payout)).await;
        Self { network, owner, provider, result_key: key(2), payout }
    }

    /// Registers another provider, with the same offer.
    pub(crate) async fn join(&self, seed: u8, encryption: &EncryptionSecretKey) -> Sender {
        join(&self.network, &self.owner, seed, (encryption, self.payout)).await
    }

    /// Terms that the provider meets, for a payload that nobody will open.
    pub(crate) async fn terms(&self, duration_blocks: u64) -> Terms {
        Terms {
            payload: self.store(b"sealed to the provider").await,
            envelope_nonce: B256::repeat_byte(3),
            provider: self.provider.address(),
            key_epoch: 1,
            result_key: self.result_key.public_key().as_bytes().into(),
            requirement: Requirement { ram_mib: RAM_MIB, ..Requirement::default() },
            executor: "int8".into(),
            duration_blocks,
            verification: VerificationPolicy::None,
            privacy: ResultPrivacy::Sealed,
        }
    }

    /// Puts bytes into the node's off-chain store.
    pub(crate) async fn store(&self, bytes: &[u8]) -> BlobRef {
        let stored = self.network.client(0).put_blob(bytes.to_vec()).await.unwrap();
        BlobRef { locator: stored.locator, hash: stored.hash, size: stored.size }
    }

    /// Offers a task that pays for its whole duration.
    pub(crate) async fn offer(&self, duration_blocks: u64) -> Task {
        let terms = self.terms(duration_blocks).await;
        let escrow = PRICE.times(duration_blocks).unwrap();
        let call = ITasks::createCall { terms: (&terms).into() };
        let sent =
            self.owner.call(system::TASKS, escrow.to_u256(), call.abi_encode()).await.unwrap();
        let task = self.task(created_task(&sent)).await;
        assert_eq!((task.escrow, &task.terms), (escrow, &terms));
        task
    }

    pub(crate) async fn task(&self, id: TaskId) -> Task {
        self.network.client(0).task(id).await.unwrap().unwrap()
    }

    /// Waits until the chain has ended a task, by whatever.
    pub(crate) async fn ended(&self, id: TaskId) -> Task {
        let what = format!("the end of task {id}");
        eventually(&what, async || Some(self.task(id).await).filter(|t| t.state.is_terminal()))
            .await
    }

    pub(crate) async fn accept(&self, id: TaskId) -> Result<Confirmed, ClientError> {
        self.as_provider(ITasks::acceptCall { taskId: id }).await
    }

    /// Submits bytes as they are.
    pub(crate) async fn submit(&self, id: TaskId, result: &[u8]) -> Result<Confirmed, ClientError> {
        let blob = self.store(result).await;
        let commitment = B256::repeat_byte(9);
        self.as_provider(ITasks::submitCall { taskId: id, blob: (&blob).into(), commitment }).await
    }

    async fn as_provider(&self, call: impl SolCall) -> Result<Confirmed, ClientError> {
        self.provider.call(system::TASKS, U256::ZERO, call.abi_encode()).await
    }

    pub(crate) async fn as_owner(
        &self,
        value: Amount,
        call: impl SolCall,
    ) -> Result<Confirmed, ClientError> {
        self.owner.call(system::TASKS, value.to_u256(), call.abi_encode()).await
    }

    pub(crate) async fn challenge(&self, task: &Task) -> Result<Confirmed, ClientError> {
        let bond = self.challenge_bond(task);
        let reason = "the result cannot be opened".into();
        self.as_owner(bond, ITasks::challengeCall { taskId: task.id, reason }).await
    }

    pub(crate) fn challenge_bond(&self, task: &Task) -> Amount {
        task.escrow.share(self.network.devnet.genesis.params.challenge_bond_bps).unwrap()
    }

    pub(crate) async fn balance(&self, address: Address) -> U256 {
        self.network.client(0).account(address).await.unwrap().balance.0
    }

    /// Checks that an ended task left nothing behind: its parts are its escrow, the module holds nothing any more, and
    /// the coins of all accounts, with what was burned, are those of the genesis file.
    pub(crate) async fn assert_settled(&self, task: &Task) {
        let Settlement { provider, model, validators, treasury, refund } =
            task.outcome.unwrap().settlement;
        let parts = [provider, model, validators, treasury, refund];
        assert_eq!(parts.iter().map(|part| part.0).sum::<u128>(), task.escrow.0);
        assert_eq!((task.deadline, task.challenge_bond), (0, Amount::ZERO));
        assert_eq!(self.balance(system::TASKS).await, U256::ZERO);
        self.assert_supply();
    }

    fn assert_supply(&self) {
        let chain = &self.network.node(0).chain;
        let genesis = &chain.genesis;
        let mut known: BTreeSet<Address> =
            genesis.accounts.iter().map(|account| account.address).collect();
        known.extend(genesis.validators.iter().map(|validator| validator.account));
        known.extend(system::MODULES.iter().map(|(address, _)| *address));
        known.extend([genesis.treasury, self.provider.address(), self.payout]);
        let state = chain.store.state().unwrap();
        let accounts: Vec<Account> =
            known.iter().filter_map(|address| state.account(*address).unwrap()).collect();
        neura_runtime::check_supply(&state, accounts.iter()).unwrap();
        let (_, block) = chain.block_at(state.height()).unwrap().unwrap();
        let context = chain.block_context(&block.header, 0);
        neura_runtime::check_invariants(&state, context).unwrap();
    }
}

/// Registers the provider of an identity's seed.
async fn join(
    network: &Network,
    owner: &Sender,
    seed: u8,
    (encryption, payout): (&EncryptionSecretKey, Address),
) -> Sender {
    let identity = SecretKey::from_seed(&[seed; 32]);
    let bond = network.devnet.genesis.params.min_provider_bond;
    let funds = bond.add(Amount::ankr(10)).unwrap();
    owner.transfer(identity.public_key().address(), funds.to_u256()).await.unwrap();
    let call = IProviders::registerCall {
        identity: identity.public_key().0,
        encryptionKey: encryption.public_key().as_bytes().into(),
        offer: IProviders::Offer {
            payout,
            capability: (&Capability { ram_mib: RAM_MIB, ..Capability::default() }).into(),
            executors: vec!["int8".into()],
            pricePerBlock: PRICE.0,
            region: String::new(),
            endpoint: String::new(),
            capacity: 4,
        },
    };
    let provider = Sender::new(network.client(0), Key::Identity(identity)).await.unwrap();
    provider.call(system::PROVIDERS, bond.to_u256(), call.abi_encode()).await.unwrap();
    provider
}

/// The encryption key of a seed; the first provider's is that of 1.
pub(crate) fn key(byte: u8) -> EncryptionSecretKey {
    EncryptionSecretKey::from_bytes([byte; 32])
}

/// Number of the task that a transaction created.
pub(crate) fn created_task(sent: &Confirmed) -> TaskId {
    let logs = &sent.info.receipt.as_ref().unwrap().logs;
    let mut created = logs.iter().filter_map(|log| {
        ITasks::TaskCreated::decode_raw_log(log.topics.iter().copied(), &log.data).ok()
    });
    created.next().unwrap().taskId
}
