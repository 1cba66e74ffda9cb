//! Epochs, stake and evidence through signed transactions in blocks: the real modules inside the real machine.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use neura_runtime::{
    Attendance, BlockContext, BlockInput, Execution, RuntimeError, chain, check_invariants,
    check_supply, epoch_config, execute, genesis_changes, is_convicted, revert_reason,
};
use neura_types::{
    Absence, Amount, Block, EpochConfig, ExecutedRoot, Genesis, Params, Receipt, StateRead,
    Transaction,
    abi::{IStaking, SolCall},
    certificate::Signers,
    codec::encode,
    epoch::PROTOCOL_VERSION,
    genesis::GenesisAccount,
    keys::{EthKey, SecretKey, Signature},
    staking::possession_digest,
    state::MemoryState,
    system,
    transaction::UnsignedTransaction,
    validator::Validator,
    vote::{Evidence, Signed, Statement},
};

/// What ed25519 signatures of evidence cost at least.
const SIGNATURES_GAS: u64 = 16_000;

fn sender() -> EthKey {
    EthKey::from_bytes([7; 32]).unwrap()
}

fn validator_key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[100 + n; 32])
}

#[derive(Clone)]
struct Chain {
    state: MemoryState,
    context: BlockContext,
}

impl Chain {
    fn new() -> Self {
        let validator = |n: u8| Validator {
            public_key: validator_key(n).public_key(),
            account: Address::repeat_byte(0xe0 + n),
            power: 10,
        };
        let genesis = Genesis {
            chain_id: 4_242,
            timestamp_ms: 1,
            params: Params { epoch_blocks: 16, ..Params::default() },
            treasury: Address::repeat_byte(0x77),
            faucet: None,
            validators: (0..4).map(validator).collect(),
            accounts: vec![GenesisAccount {
                address: sender().address(),
                balance: Amount::ankr(1_000),
            }],
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
        for epoch in [0, 1] {
            let fixed = epoch_config(&state, epoch).unwrap();
            assert_eq!(fixed, Some(EpochConfig::genesis(&genesis, epoch).unwrap()));
        }
        Self { state, context }
    }

    /// Executes a block, checks supply and invariants behind it, and enters the next epoch if it was the last.
    fn block(&mut self, raw: Vec<Bytes>) -> Execution {
        let transactions: Vec<_> = raw
            .into_iter()
            .map(|raw| Transaction::decode(raw, self.context.chain_id).map(Arc::new))
            .collect();
        let input = BlockInput { context: &self.context, transactions: &transactions };
        let execution = execute(&self.state, &input).unwrap();
        assert_eq!(execution, execute(&self.state, &input).unwrap(), "two runs differ");
        self.state.apply(&execution.changes);
        check_supply(&self.state, self.state.accounts().map(|(_, account)| account)).unwrap();
        check_invariants(&self.state, self.context.clone()).unwrap();
        if self.context.ends_epoch() {
            let next = self.context.epoch.epoch + 1;
            self.context.epoch = Arc::new(epoch_config(&self.state, next).unwrap().unwrap());
        }
        self.context.height += 1;
        execution
    }

    fn end_epoch(&mut self) {
        let epoch = self.context.epoch.epoch;
        while self.context.epoch.epoch == epoch {
            self.block(vec![]);
        }
    }

    fn send(&mut self, to: TxKind, value: Amount, input: Vec<u8>, gas_limit: u64) -> Receipt {
        let account = self.state.account(sender().address()).unwrap().unwrap();
        let unsigned = UnsignedTransaction {
            chain_id: self.context.chain_id,
            nonce: account.nonce,
            gas_limit,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1,
            to,
            value: value.to_u256(),
            input: input.into(),
        };
        self.block(vec![unsigned.sign_eth(&sender())]).receipts.remove(0)
    }

    fn stake(&mut self, value: Amount, call: &impl SolCall) -> Receipt {
        self.send(TxKind::Call(system::STAKING), value, call.abi_encode(), 3_000_000)
    }

    /// Two commit votes of a validator of genesis in the present epoch.
    fn evidence(&self, n: u8) -> Evidence {
        let epoch = self.context.epoch.epoch;
        let signed = |byte| {
            let statement = Statement::Commit { view: 5, block: B256::repeat_byte(byte) };
            let digest = statement.digest(&self.context.chain(), epoch);
            let signature = validator_key(n).sign(digest.as_slice());
            Signed { epoch, author: n.into(), statement, signature }
        };
        Evidence { first: signed(1), second: signed(2) }
    }

    fn balance(&self, address: Address) -> U256 {
        self.state.account(address).unwrap().unwrap_or_default().balance
    }

    fn reason(receipt: &Receipt) -> Option<String> {
        revert_reason(&receipt.revert_data).and_then(|reason| reason.code)
    }
}

fn submission(evidence: &Evidence) -> IStaking::submitEvidenceCall {
    IStaking::submitEvidenceCall { evidence: encode(evidence).into() }
}

#[test]
fn a_newcomer_joins_while_blocks_go_on_and_serves_two_epochs_later() {
    let mut chain = Chain::new();
    let operator = sender().address();
    let key = SecretKey::from_seed(&[9; 32]);
    let proof = key.sign(possession_digest(&chain.context.chain(), operator).as_slice());
    let create = IStaking::createValidatorCall {
        publicKey: key.public_key().0,
        proof: proof.0.to_vec().into(),
        commissionBps: 500,
    };
    let receipt = chain.stake(Amount::ankr(8), &create);
    assert!(receipt.success, "{:?}", revert_reason(&receipt.revert_data));
    assert_eq!(chain.balance(system::STAKING), Amount::ankr(48).to_u256());
    for (epoch, members) in [(0, 4), (1, 4), (2, 5)] {
        let config = epoch_config(&chain.state, epoch);
        assert_eq!(chain.context.epoch.epoch, epoch);
        assert_eq!(config.unwrap().unwrap().set.len(), members);
        assert_eq!(chain.context.validators().index_of(&key.public_key()).is_some(), epoch == 2);
        chain.end_epoch();
    }
    // What the blocks' fees left for the validators was shared.
    let shared = IStaking::claimCall { operator };
    let before = chain.balance(operator);
    assert!(chain.stake(Amount::ZERO, &shared).success);
    assert!(chain.balance(operator) < before, "it served in no epoch in which fees were paid");
}

#[test]
fn fees_of_an_epoch_are_shared_at_its_end_and_not_before() {
    let mut chain = Chain::new();
    let pay = IStaking::delegateCall { operator: Address::repeat_byte(0xe2) };
    assert!(chain.stake(Amount::ankr(10), &pay).success);
    let pool = chain.balance(system::REWARDS);
    chain.block(vec![]);
    assert_eq!(chain.balance(system::REWARDS), pool);
    assert!(pool > U256::from(4_000_000_000u64));
    chain.end_epoch();
    assert!(chain.balance(system::REWARDS) < U256::from(4));
    let half = chain.balance(Address::repeat_byte(0xe2));
    assert_eq!(half, pool / U256::from(4) / U256::from(10), "the commission on a fourth");
}

#[test]
fn an_idle_chain_changes_its_state_only_around_the_ends_of_epochs() {
    let mut chain = Chain::new();
    chain.end_epoch();
    for height in 17..=48u64 {
        assert_eq!(chain.context.height, height);
        let before = chain.state.clone();
        let execution = chain.block(vec![]);
        let apart = |state: &MemoryState| {
            let mut words: Vec<_> = execution.changes.storage.keys().copied().collect();
            words.retain(|word| *word != (system::CHAIN, chain::NEXT_BASE_FEE_SLOT));
            words.iter().map(|(a, slot)| state.storage(*a, *slot).unwrap()).collect::<Vec<_>>()
        };
        let quiet = apart(&before) == apart(&chain.state) && execution.changes.accounts.is_empty();
        let expected = !matches!(height % 16, 0 | 1);
        assert_eq!(quiet, expected, "block {height}");
    }
}

#[test]
fn evidence_in_a_transaction_slashes_once_and_what_is_burned_is_counted() {
    let mut chain = Chain::new();
    let evidence = chain.evidence(3);
    assert!(!is_convicted(&chain.state, &evidence).unwrap());
    let receipt = chain.stake(Amount::ZERO, &submission(&evidence));
    assert!(receipt.success, "{:?}", revert_reason(&receipt.revert_data));
    assert!(is_convicted(&chain.state, &evidence).unwrap());
    // 5 % of 10 ANKR.
    let taken = Amount::ankr(1).to_u256() / U256::from(2);
    assert_eq!(chain.balance(system::STAKING), Amount::ankr(40).to_u256() - taken);
    assert!(
        chain::burned(&chain.state).unwrap().to_u256() > taken / U256::from(20) * U256::from(19)
    );
    let again = chain.stake(Amount::ZERO, &submission(&evidence));
    assert_eq!(Chain::reason(&again).as_deref(), Some("already_punished"));
    assert!(again.logs.is_empty());
    chain.end_epoch();
    chain.end_epoch();
    assert_eq!(chain.context.validators().len(), 3);
}

#[test]
fn a_slash_in_a_frame_that_reverts_never_happened() {
    let mut chain = Chain::new();
    // Calls the staking module with its own input, then reverts.
    let mut code = vec![0x36, 0x5f, 0x5f, 0x37, 0x5f, 0x5f, 0x36, 0x5f, 0x34, 0x73];
    code.extend(system::STAKING.as_slice());
    code.extend([0x5a, 0xf1, 0x50, 0x5f, 0x5f, 0xfd]);
    let length = u8::try_from(code.len()).unwrap();
    let mut init = vec![0x60, length, 0x80, 0x60, 11, 0x5f, 0x39, 0x5f, 0xf3, 0, 0];
    init.extend(code);
    let contract = chain.send(TxKind::Create, Amount::ZERO, init, 3_000_000).contract.unwrap();
    let evidence = chain.evidence(3);
    let input = submission(&evidence).abi_encode();
    let receipt = chain.send(TxKind::Call(contract), Amount::ZERO, input, 3_000_000);
    assert!(!receipt.success && receipt.gas_used > SIGNATURES_GAS);
    assert_eq!(chain.balance(system::STAKING), Amount::ankr(40).to_u256());
    assert!(!is_convicted(&chain.state, &evidence).unwrap());
    assert!(chain.stake(Amount::ZERO, &submission(&evidence)).success, "it still counts");
}

#[test]
fn signatures_of_evidence_are_paid_for_before_they_are_checked() {
    let mut chain = Chain::new();
    let genuine = chain.evidence(3);
    let second = Signed { signature: Signature([7; 64]), ..genuine.second };
    let forged = submission(&Evidence { second, ..genuine }).abi_encode();
    let to = TxKind::Call(system::STAKING);
    let refused = chain.send(to, Amount::ZERO, forged.clone(), 3_000_000);
    assert_eq!(Chain::reason(&refused).as_deref(), Some("invalid_evidence"));
    // The charge is the last before the refusal: whatever is missing, the signatures are not looked at.
    for missing in [1, SIGNATURES_GAS] {
        let gas = refused.gas_used - missing;
        let receipt = chain.send(to, Amount::ZERO, forged.clone(), gas);
        assert!(!receipt.success && receipt.revert_data.is_empty());
        assert_eq!(receipt.gas_used, gas, "out of gas, all of it paid");
    }
}

#[test]
fn a_block_of_a_newer_protocol_stops_the_node() {
    let mut chain = Chain::new();
    Arc::make_mut(&mut chain.context.epoch).version = PROTOCOL_VERSION + 1;
    let input = BlockInput { context: &chain.context, transactions: &[] };
    let error = execute(&chain.state, &input).unwrap_err();
    assert!(matches!(error, RuntimeError::Module { stage: "block start", .. }), "{error}");
}

#[test]
fn a_block_shows_its_proposer_the_signers_of_its_certificate_and_who_failed_before_it() {
    let set = Chain::new().context.epoch.set.clone();
    let mut block = Block::genesis(B256::ZERO, 0, ExecutedRoot::default());
    block.header.height = 40;
    block.header.proposer = 3;
    block.header.absent =
        vec![Absence { validator: 1, since: 12 }, Absence { validator: 2, since: 40 }];
    assert_eq!(
        Attendance::of(&block, &set),
        Attendance { seen: vec![3], failed: vec![2] },
        "the certificate that an epoch starts from has no signers"
    );
    let signature = Signature([0; 64]);
    block.justify.signers = Signers::collect(&set, [0, 2, 3].map(|index| (index, signature)));
    assert_eq!(Attendance::of(&block, &set).seen, [3, 0, 2, 3]);
}
