//! The encodings of what nodes send and store do not change unnoticed.
//!
//! Each value has a file `tests/vectors/NAME.hex`. A change of a format shows here; if it is meant, write the files
//! anew with `NEURA_WRITE_VECTORS=1` and raise the version of what carries the format.

use std::{fmt::Debug, path::PathBuf, sync::Arc};

use neura_types::{
    Absence, Address, Anchor, B256, Batch, Beacon, Block, Bytes, CommitCertificate, CommitProof,
    EpochConfig, ExecutedRoot, Header, Log, Params, QuorumCertificate, Receipt, TimeoutCertificate,
    U256, ValidatorSet, View,
    beacon::Place,
    block::payload_digest,
    certificate::Signers,
    codec,
    commit_proof::TwoChain,
    keys::SecretKey,
    transaction::{Transaction, TxEd25519},
    validator::Validator,
    vote::{ChainContext, ConsensusMessage, Evidence, Proposal, Signed, Statement},
};
use serde::{Serialize, de::DeserializeOwned};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(format!("{name}.hex"))
}

/// The bytes must be those of the file.
fn frozen(name: &str, bytes: &[u8]) {
    let path = file(name);
    let hex = alloy_primitives::hex::encode(bytes);
    if std::env::var_os("NEURA_WRITE_VECTORS").is_some() {
        std::fs::write(&path, format!("{hex}\n")).unwrap();
    }
    let kept = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: the vector is missing", path.display()));
    assert_eq!(kept.trim(), hex, "the encoding of {name} has changed");
}

/// Encodes to the file's bytes, and is read back from them.
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) {
    let bytes = codec::encode(value);
    frozen(name, &bytes);
    let read: T = codec::decode(&bytes).unwrap();
    assert_eq!(&read, value, "{name} is not read back");
    for cut in 0..bytes.len() {
        assert!(codec::decode::<T>(&bytes[..cut]).is_err(), "{name} is read from {cut} bytes");
    }
}

struct Fixture {
    keys: Vec<SecretKey>,
    set: ValidatorSet,
    chain: ChainContext,
    genesis: Block,
}

impl Fixture {
    fn new() -> Self {
        let keys: Vec<SecretKey> = (1..=4u8).map(|i| SecretKey::from_seed(&[i; 32])).collect();
        let members = (1..).zip(&keys).map(|(power, key)| Validator {
            public_key: key.public_key(),
            account: key.public_key().address(),
            power,
        });
        let set = ValidatorSet::new(3, members.collect()).unwrap();
        let chain = ChainContext { chain_id: 4_242, genesis: B256::repeat_byte(7) };
        let genesis = Block::genesis(chain.genesis, 1_700_000_000_000, ExecutedRoot::default());
        Self { keys, set, chain, genesis }
    }

    fn signed(&self, author: u16, statement: Statement) -> Signed {
        let digest = statement.digest(&self.chain, 3);
        let signature = self.keys[usize::from(author)].sign(digest.as_slice());
        Signed { epoch: 3, author, statement, signature }
    }

    fn signers(&self, statement: Statement) -> Signers {
        let sign = |author| (author, self.signed(author, statement).signature);
        Signers::collect(&self.set, [1, 2, 3].map(sign))
    }

    fn qc(&self, view: View, block: B256) -> QuorumCertificate {
        let statement = Statement::Vote { view, block, parent_view: view - 1 };
        let signers = self.signers(statement);
        QuorumCertificate { epoch: 3, view, block, parent_view: view - 1, signers }
    }

    fn tc(&self) -> TimeoutCertificate {
        let statement = Statement::Timeout { view: 12, high_qc_view: 10 };
        TimeoutCertificate {
            epoch: 3,
            view: 12,
            reported: vec![10; 3],
            high_qc: self.qc(10, B256::repeat_byte(9)),
            signers: self.signers(statement),
        }
    }

    fn batch(&self) -> Batch {
        Batch { author: 2, sequence: 77, items: vec![Bytes::from_static(b"one"), Bytes::new()] }
    }

    fn block(&self) -> Block {
        let batches = vec![self.batch().reference()];
        let payload = vec![Bytes::from_static(b"transaction")];
        let header = Header {
            epoch: 3,
            view: 13,
            height: 8,
            parent: B256::repeat_byte(9),
            proposer: 1,
            timestamp_ms: 1_700_000_000_123,
            beacon: self.beacon(),
            payload_digest: payload_digest(&batches, &payload),
            executed: ExecutedRoot {
                height: 4,
                state_root: B256::repeat_byte(4),
                receipts_root: B256::repeat_byte(5),
                gas_used: 21_000,
                next_base_fee: 1_000_000_000,
            },
            absent: vec![Absence { validator: 0, since: 6 }],
            next_epoch: Some(B256::repeat_byte(6)),
        };
        let justify = self.qc(10, B256::repeat_byte(9));
        Block { header, justify, timeout: Some(self.tc()), batches, payload }
    }

    /// The link of the first block after genesis.
    fn beacon(&self) -> Beacon {
        let place = Place { chain: &self.chain, epoch: 3, parent: &self.genesis.header };
        Beacon::next(place, &self.keys[1]).unwrap()
    }

    fn two_chain(&self) -> CommitProof {
        let block = self.block();
        CommitProof::TwoChain(Box::new(TwoChain {
            header: block.header.clone(),
            justify: block.justify.clone(),
            certificate: self.qc(13, block.id()),
        }))
    }

    fn commit(&self) -> CommitCertificate {
        let block = self.block().id();
        let signers = self.signers(Statement::Commit { view: 13, block });
        CommitCertificate { epoch: 3, view: 13, block, signers }
    }
}

#[test]
fn blocks_batches_and_their_names() {
    let fixture = Fixture::new();
    let block = fixture.block();
    round_trip("block", &block);
    round_trip("genesis-block", &fixture.genesis);
    frozen("block-id", block.id().as_slice());
    frozen("genesis-block-id", fixture.genesis.id().as_slice());
    round_trip("beacon", &fixture.beacon());
    frozen("payload-digest", block.header.payload_digest.as_slice());
    round_trip("batch", &fixture.batch());
    frozen("batch-digest", fixture.batch().digest().as_slice());
}

#[test]
fn certificates_and_proofs() {
    let fixture = Fixture::new();
    let qc = fixture.qc(10, B256::repeat_byte(9));
    round_trip("quorum-certificate", &qc);
    frozen("quorum-certificate-digest", qc.digest().as_slice());
    round_trip(
        "anchor-certificate",
        &QuorumCertificate::anchor(3, Anchor { view: 5, block: B256::repeat_byte(3) }),
    );
    round_trip("timeout-certificate", &fixture.tc());
    frozen("timeout-certificate-digest", fixture.tc().digest().as_slice());
    round_trip("commit-certificate", &fixture.commit());
    round_trip("commit-proof-certificate", &CommitProof::Certificate(fixture.commit()));
    round_trip("commit-proof-two-chain", &fixture.two_chain());
}

#[test]
fn consensus_messages() {
    let fixture = Fixture::new();
    let block = Arc::new(fixture.block());
    let (view, id) = (block.header.view, block.id());
    let propose = fixture.signed(1, Statement::Propose { view, block: id });
    let vote = fixture.signed(0, Statement::Vote { view, block: id, parent_view: 10 });
    let commit = fixture.signed(0, Statement::Commit { view, block: id });
    let timeout = fixture.signed(2, Statement::Timeout { view, high_qc_view: 10 });
    let qc = Box::new(fixture.qc(10, B256::repeat_byte(9)));
    let proposal = Proposal { block, signature: propose.signature };
    round_trip("message-proposal", &ConsensusMessage::Proposal(Box::new(proposal)));
    round_trip("message-vote", &ConsensusMessage::Vote(vote));
    round_trip("message-commit-vote", &ConsensusMessage::Vote(commit));
    round_trip("message-timeout", &ConsensusMessage::Timeout(timeout, qc.clone()));
    round_trip("message-quorum", &ConsensusMessage::Quorum(qc));
    round_trip("message-view-change", &ConsensusMessage::ViewChange(Box::new(fixture.tc())));
    round_trip("message-committed", &ConsensusMessage::Committed(Box::new(fixture.two_chain())));
    round_trip("evidence", &Evidence { first: vote, second: commit });
    for (name, signed) in
        [("propose", propose), ("vote", vote), ("commit", commit), ("timeout", timeout)]
    {
        let digest = signed.statement.digest(&fixture.chain, 3);
        frozen(&format!("statement-{name}-digest"), digest.as_slice());
    }
}

#[test]
fn epochs_sets_and_receipts() {
    let fixture = Fixture::new();
    round_trip("validator-set", &fixture.set);
    frozen("validator-set-digest", fixture.set.digest().as_slice());
    let leaders: Vec<u8> = (0..64).map(|view| fixture.set.leader(view, &[]) as u8).collect();
    frozen("leaders-of-powers-1-2-3-4", &leaders);
    let set = fixture.set.clone();
    let config =
        EpochConfig { epoch: 3, first: 31, last: 40, version: 1, set, params: Params::default() };
    round_trip("epoch-config", &config);
    frozen("epoch-config-digest", config.digest().as_slice());
    let log = Log {
        address: Address::repeat_byte(1),
        topics: vec![B256::repeat_byte(2)],
        data: Bytes::from_static(b"data"),
    };
    let receipt = Receipt {
        tx_hash: B256::repeat_byte(3),
        tx_type: 0x4e,
        from: Address::repeat_byte(4),
        to: Some(Address::repeat_byte(5)),
        contract: None,
        success: true,
        gas_used: 21_000,
        cumulative_gas_used: 42_000,
        effective_gas_price: U256::from(7),
        logs: vec![log],
        revert_data: Bytes::new(),
    };
    round_trip("receipt", &receipt);
}

#[test]
fn transactions_of_identity_keys() {
    let key = SecretKey::from_seed(&[9; 32]);
    let tx = TxEd25519 {
        chain_id: 4_242,
        nonce: 3,
        max_priority_fee_per_gas: 1,
        max_fee_per_gas: 2_000_000_000,
        gas_limit: 100_000,
        to: alloy_primitives::TxKind::Call(Address::repeat_byte(8)),
        value: U256::from(5),
        input: Bytes::from_static(&[1, 2, 3]),
        access_list: Default::default(),
    };
    frozen("transaction-4e-signing-digest", tx.signing_digest().as_slice());
    let signature = key.sign(tx.signing_digest().as_slice());
    let raw = tx.encode_signed(&key.public_key(), &signature);
    frozen("transaction-4e", &raw);
    let read = Transaction::decode(raw.clone(), 4_242).unwrap();
    assert_eq!(read.sender, key.public_key().address());
    frozen("transaction-4e-hash", read.hash.as_slice());
    for cut in 0..raw.len() {
        assert!(Transaction::decode(raw.slice(..cut), 4_242).is_err(), "read from {cut} bytes");
    }
}
