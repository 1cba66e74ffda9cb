//! What stands in blocks and messages: one encoding each, and no panic in what checks them.

use alloy_consensus::{TxEnvelope, transaction::SignerRecoverable as _};
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_sol_types::{SolInterface, abi::AbiDecoderConfig};
use neura_model::real::Realm;
use neura_types::{
    Account, Address, B256, Batch, Block, Bytes, CommitCertificate, CommitProof, EpochConfig,
    QuorumCertificate, Receipt, TimeoutCertificate, Transaction, U256, ValidatorSet,
    abi::{
        IGovernance::IGovernanceCalls, IProviders::IProvidersCalls, IRequesters::IRequestersCalls,
        IRewards::IRewardsCalls, IStaking::IStakingCalls, ITasks::ITasksCalls,
    },
    codec::{self, MAX_DECODED_BYTES},
    hash::keccak,
    keys::EthKey,
    provider::{Provider, Requester},
    state::{
        StateKey,
        proof::{Proof, account_value, verify_proof},
    },
    task::Task,
    transaction::{ED25519_TX_TYPE, TxEd25519, UnsignedTransaction},
    vote::{ConsensusMessage, Evidence},
};

use crate::{
    Target,
    check::{one_encoding, same, unhex, vectors},
};

/// Bytes that decoding a call may take, as the runtime bounds it.
const MAX_CALL_MEMORY: usize = 64 << 10;
/// Words of arguments in the seed of each function.
const ARGUMENT_WORDS: usize = 24;
/// Chain that seeds are for.
const CHAIN_ID: u64 = 4_242;

pub(super) const TARGETS: &[Target] = &[
    Target::new("block", block, vectors!("node/types": "block", "genesis-block")),
    Target::new("batch", batch, vectors!("node/types": "batch")),
    Target::new(
        "quorum-certificate",
        quorum,
        vectors!("node/types": "quorum-certificate", "anchor-certificate"),
    ),
    Target::new("timeout-certificate", timeout, vectors!("node/types": "timeout-certificate")),
    Target::new("commit-certificate", commit, vectors!("node/types": "commit-certificate")),
    Target::new(
        "commit-proof",
        proof,
        vectors!("node/types": "commit-proof-certificate", "commit-proof-two-chain"),
    ),
    Target::new(
        "consensus-message",
        message,
        vectors!("node/types": "message-proposal", "message-vote", "message-commit-vote",
            "message-timeout", "message-quorum", "message-view-change", "message-committed"),
    ),
    Target::new("evidence", evidence, vectors!("node/types": "evidence")),
    Target::new("epoch-config", epoch, vectors!("node/types": "epoch-config")),
    Target::new("validator-set", set, vectors!("node/types": "validator-set")),
    Target::new("receipt", receipt, vectors!("node/types": "receipt")),
    Target::new("module-record", module_record, || vec![vec![0; 200], vec![1; 400]]),
    Target::new("transaction", transaction, transactions),
    Target::new("module-call", module_call, module_calls),
    Target::new("state-proof", state_proof, state_proofs),
];

fn realm() -> &'static Realm {
    static REALM: std::sync::LazyLock<Realm> = std::sync::LazyLock::new(|| Realm::new(10));
    &REALM
}

fn block(bytes: &[u8]) {
    if let Some(block) = one_encoding::<Block>(bytes, MAX_DECODED_BYTES) {
        let _any = (block.id(), block.payload_matches());
    }
}

fn batch(bytes: &[u8]) {
    if let Some(batch) = one_encoding::<Batch>(bytes, MAX_DECODED_BYTES) {
        assert_eq!(batch.digest(), batch.reference().digest);
    }
}

fn quorum(bytes: &[u8]) {
    if let Some(certificate) = one_encoding::<QuorumCertificate>(bytes, MAX_DECODED_BYTES) {
        let realm = realm();
        let _any = certificate.verify(&realm.set, &realm.chain, realm.anchor());
    }
}

fn timeout(bytes: &[u8]) {
    if let Some(certificate) = one_encoding::<TimeoutCertificate>(bytes, MAX_DECODED_BYTES) {
        let realm = realm();
        let _any = certificate.verify(&realm.set, &realm.chain, realm.anchor());
    }
}

fn commit(bytes: &[u8]) {
    if let Some(certificate) = one_encoding::<CommitCertificate>(bytes, MAX_DECODED_BYTES) {
        let _any = certificate.verify(&realm().set, &realm().chain);
    }
}

fn proof(bytes: &[u8]) {
    if let Some(proof) = one_encoding::<CommitProof>(bytes, MAX_DECODED_BYTES) {
        let realm = realm();
        let _any = (proof.block(), proof.verify(&realm.set, &realm.chain, realm.anchor()));
    }
}

fn message(bytes: &[u8]) {
    one_encoding::<ConsensusMessage>(bytes, MAX_DECODED_BYTES);
}

fn evidence(bytes: &[u8]) {
    if let Some(evidence) = one_encoding::<Evidence>(bytes, MAX_DECODED_BYTES) {
        let [one, other] = [&evidence.first, &evidence.second];
        assert_eq!(one.conflicts_with(other), other.conflicts_with(one));
        let _any = evidence.verify(&realm().set, &realm().chain);
    }
}

fn epoch(bytes: &[u8]) {
    if let Some(config) = one_encoding::<EpochConfig>(bytes, MAX_DECODED_BYTES) {
        let _any = config.digest();
    }
}

fn set(bytes: &[u8]) {
    let Some(set) = one_encoding::<ValidatorSet>(bytes, MAX_DECODED_BYTES) else { return };
    assert!(set.len() > 0 && set.is_quorum(set.total_power()));
    for view in [0, 1, u64::MAX] {
        assert!(set.get(set.leader(view, &[])).is_some(), "nobody leads view {view}");
    }
}

fn receipt(bytes: &[u8]) {
    one_encoding::<Receipt>(bytes, MAX_DECODED_BYTES);
}

/// Records of the native modules and of accounts, which snapshots carry.
fn module_record(bytes: &[u8]) {
    one_encoding::<Account>(bytes, MAX_DECODED_BYTES);
    one_encoding::<Task>(bytes, MAX_DECODED_BYTES);
    one_encoding::<Provider>(bytes, MAX_DECODED_BYTES);
    one_encoding::<Requester>(bytes, MAX_DECODED_BYTES);
}

/// No two byte strings are transactions of one hash; what is read is what was signed.
fn transaction(bytes: &[u8]) {
    if let Ok(transaction) = Transaction::decode(bytes.to_vec(), CHAIN_ID) {
        assert_eq!(transaction.hash, keccak(bytes));
        let _any = (transaction.max_cost(), transaction.effective_gas_price(u64::MAX));
    }
    if bytes.first() == Some(&ED25519_TX_TYPE) {
        if let Ok((transaction, key, signature)) = TxEd25519::decode_signed(bytes) {
            same(bytes, &transaction.encode_signed(&key, &signature));
        }
    } else if let Ok(envelope) = TxEnvelope::decode_2718_exact(bytes)
        && envelope.recover_signer().is_ok()
        && !envelope.is_eip4844()
    {
        same(bytes, &envelope.encoded_2718());
    }
}

fn transactions() -> Vec<Vec<u8>> {
    let unsigned = || UnsignedTransaction {
        chain_id: CHAIN_ID,
        nonce: 7,
        gas_limit: 100_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1,
        to: Some(Address::repeat_byte(4)).into(),
        value: U256::from(1_000_000),
        input: Bytes::from_static(b"input"),
    };
    let key = EthKey::from_bytes([1; 32]).expect("a key");
    let identity = neura_types::keys::SecretKey::from_seed(&[1; 32]);
    vec![
        unsigned().sign_eth(&key).to_vec(),
        unsigned().sign_ed25519(&identity).to_vec(),
        UnsignedTransaction { to: alloy_primitives::TxKind::Create, ..unsigned() }
            .sign_eth(&key)
            .to_vec(),
        // The example of EIP-155.
        unhex(concat!(
            "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a7640000",
            "8025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f",
            "761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
        )),
        // Type 1 with an access list; its signature is another's.
        unhex(concat!(
            "01f8a587796f6c6f763380843b9aca008262d4948a8eafb1cf62bfbeb1741769dae1a9dd479961928080",
            "f838f7940000000000000000000000000000000000001337e1a000000000000000000000000000000000",
            "0000000000000000000000000000000080a0775101f92dcca278a56bfe4d613428624a1ebfc3cd9e0bcc",
            "1de80c41455b9021a06c9deac205afe7b124907d4ba54a9f46161498bd3990b90d175aac12c9a40ee9"
        )),
    ]
}

/// Calls of the native modules, read as the runtime reads them.
fn module_call(bytes: &[u8]) {
    read_call::<IProvidersCalls>(bytes);
    read_call::<IRequestersCalls>(bytes);
    read_call::<ITasksCalls>(bytes);
    read_call::<IRewardsCalls>(bytes);
    read_call::<IStakingCalls>(bytes);
    read_call::<IGovernanceCalls>(bytes);
}

fn read_call<C: SolInterface>(bytes: &[u8]) {
    let Some((selector, arguments)) = bytes.split_first_chunk::<4>() else { return };
    let config = AbiDecoderConfig::new().validate(true).memory_limit(MAX_CALL_MEMORY);
    let read = |arguments: &[u8]| C::abi_decode_raw_with_config(*selector, arguments, config);
    if let Ok(call) = read(arguments) {
        let again = call.abi_encode();
        let value = C::abi_decode(&again).expect("what was read can be written and read");
        same(&again, &value.abi_encode());
    }
}

fn module_calls() -> Vec<Vec<u8>> {
    fn of<C: SolInterface>() -> impl Iterator<Item = Vec<u8>> {
        // Offsets that lead behind the heads, to empty texts.
        let words = (0..ARGUMENT_WORDS).flat_map(|_| U256::from(64).to_be_bytes::<32>());
        let arguments: Vec<u8> = words.collect();
        (0..C::COUNT).filter_map(C::selector_at).flat_map(move |selector| {
            [[&selector[..], &arguments].concat(), [&selector[..], &[0; 320]].concat()]
        })
    }
    of::<IProvidersCalls>()
        .chain(of::<IRequestersCalls>())
        .chain(of::<ITasksCalls>())
        .chain(of::<IRewardsCalls>())
        .chain(of::<IStakingCalls>())
        .chain(of::<IGovernanceCalls>())
        .collect()
}

fn state_proof(bytes: &[u8]) {
    if let Ok(proof) = Proof::decode(bytes) {
        same(bytes, &proof.encode());
    }
    let key = StateKey::Account(Address::ZERO);
    let value = account_value(&Account::default());
    for value in [None, Some(&value[..])] {
        assert!(verify_proof(B256::ZERO, &key, value, bytes).is_err(), "a root was forged");
    }
}

fn state_proofs() -> Vec<Vec<u8>> {
    let leaf = neura_types::state::proof::Leaf { path: [3; 32], value: [4; 32] };
    let siblings = vec![[5; 32]; 6];
    [
        Proof::default(),
        Proof { leaf: Some(leaf), siblings: Vec::new() },
        Proof { leaf: Some(leaf), siblings },
    ]
    .iter()
    .map(Proof::encode)
    .chain([codec::encode(&Account::default())])
    .collect()
}
