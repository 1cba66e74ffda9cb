mod epochs;

use std::collections::HashMap;

use axum::{Router, http::StatusCode};
use neura_types::{
    Bytes, Params, QuorumCertificate, U256, ValidatorSet,
    block::{ExecutedRoot, Header},
    certificate::Signers,
    keys::SecretKey,
    rest::{AccountProof, Wei},
    state::proof::{EMPTY_HASH, Leaf, Proof, account_value, inner_hash, path_of, value_hash},
    validator::Validator,
    vote::Statement,
};

use super::*;

/// A state tree of accounts alone.
struct Tree {
    leaves: Vec<Leaf>,
    values: HashMap<[u8; 32], Vec<u8>>,
}

impl Tree {
    fn new(accounts: impl Iterator<Item = (Address, Account)>) -> Self {
        let entry = |(address, account)| (Self::path(address), account_value(&account));
        let values: HashMap<_, _> = accounts.map(entry).collect();
        let leaf =
            |(path, value): (&[u8; 32], &Vec<u8>)| Leaf { path: *path, value: value_hash(value) };
        Self { leaves: values.iter().map(leaf).collect(), values }
    }

    fn path(address: Address) -> [u8; 32] {
        path_of(&StateKey::Account(address).to_bytes())
    }

    fn root(&self) -> B256 {
        B256::new(hash(&self.leaves, 0))
    }

    fn prove(&self, address: Address) -> (Option<Vec<u8>>, Proof) {
        let path = Self::path(address);
        let (mut leaves, mut siblings) = (self.leaves.clone(), Vec::new());
        while leaves.len() > 1 {
            let depth = siblings.len();
            let (mine, other) =
                leaves.iter().partition(|leaf| bit(&leaf.path, depth) == bit(&path, depth));
            leaves = mine;
            siblings.push(hash(&other, depth + 1));
        }
        (self.values.get(&path).cloned(), Proof { leaf: leaves.first().copied(), siblings })
    }
}

fn bit(path: &[u8; 32], depth: usize) -> bool {
    path[depth / 8] & (0x80 >> (depth % 8)) != 0
}

/// Hash of the subtree of these leaves.
fn hash(leaves: &[Leaf], depth: usize) -> [u8; 32] {
    match leaves {
        [] => EMPTY_HASH,
        [leaf] => leaf.hash(),
        _ => {
            let (right, left): (Vec<Leaf>, Vec<Leaf>) =
                leaves.iter().partition(|leaf| bit(&leaf.path, depth));
            inner_hash(&hash(&left, depth + 1), &hash(&right, depth + 1))
        }
    }
}

const ALICE: Address = Address::repeat_byte(0xa1);
const NOBODY: Address = Address::repeat_byte(0xb2);

fn alice() -> Account {
    Account { nonce: 3, balance: U256::from(500), ..Account::default() }
}

/// A chain of two blocks whose first certifies a state with Alice's account.
struct Chain {
    tree: Tree,
    root: B256,
    trusted: Trusted,
    block: Block,
    child: Block,
}

pub(super) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// An epoch of ten blocks with these validators.
pub(super) fn config(epoch: Epoch, seeds: std::ops::Range<u8>) -> EpochConfig {
    let member = |seed| {
        let public_key = key(seed).public_key();
        Validator { public_key, account: public_key.address(), power: 1 }
    };
    let set = ValidatorSet::new(epoch, seeds.map(member).collect()).unwrap();
    let first = epoch * 10 + 1;
    EpochConfig { epoch, first, last: first + 9, version: 1, set, params: Params::default() }
}

fn certificate(trusted: &Trusted, block: BlockId, signers: &[u8]) -> QuorumCertificate {
    let digest = Statement::Vote { view: 1, block, parent_view: 0 }.digest(&trusted.chain, 0);
    let signatures = signers.iter().map(|seed| {
        let key = key(*seed);
        (trusted.config.set.index_of(&key.public_key()).unwrap(), key.sign(digest.as_slice()))
    });
    let signers = Signers::collect(&trusted.config.set, signatures);
    QuorumCertificate { epoch: 0, view: 1, block, parent_view: 0, signers }
}

impl Chain {
    fn new(signers: &[u8]) -> Self {
        let others = (0..40u8).map(|n| (Address::repeat_byte(n), Account::default()));
        let tree = Tree::new(others.chain([(ALICE, alice())]));
        let root = tree.root();

        let chain = ChainContext { chain_id: 7, genesis: B256::repeat_byte(1) };
        let genesis = Block::genesis(chain.genesis, 0, ExecutedRoot::default());
        let anchor = Anchor::genesis(genesis.id());
        let trusted = Trusted { chain, anchor, config: config(0, 0..4) };
        let next = |parent: &Block, justify, executed| Block {
            header: Header {
                view: parent.header.view + 1,
                height: parent.header.height + 1,
                parent: parent.id(),
                executed,
                ..genesis.header.clone()
            },
            justify,
            timeout: None,
            batches: Vec::new(),
            payload: Vec::new(),
        };
        let executed = ExecutedRoot { state_root: root, ..ExecutedRoot::default() };
        let block = next(&genesis, QuorumCertificate::genesis(genesis.id()), executed);
        let child =
            next(&block, certificate(&trusted, block.id(), signers), ExecutedRoot::default());
        Self { tree, root, trusted, block, child }
    }

    fn answer(&self, address: Address) -> AccountInfo {
        let (value, proof) = self.tree.prove(address);
        AccountInfo {
            address,
            balance: Wei::default(),
            nonce: 0,
            pending_nonce: 0,
            contract: false,
            code_hash: B256::ZERO,
            height: 1,
            proof: Some(AccountProof {
                height: 1,
                state_root: self.root,
                certified_by: self.block.id(),
                account: value.map(Bytes::from),
                proof: proof.encode().into(),
            }),
        }
    }

    /// Checks what a node says that serves this chain and that answer.
    async fn check(&self, answer: &AccountInfo) -> Result<Option<Account>, ClientError> {
        let id = self.block.id();
        let routes = HashMap::from([
            (format!("/v1/accounts/{}", answer.address), serde_json::to_vec(answer).unwrap()),
            (format!("/v1/blocks/{id}/raw"), codec::encode(&self.block)),
            ("/v1/blocks/2/raw".to_owned(), codec::encode(&self.child)),
        ]);
        let client = serving(routes).await;
        account(&client, &mut self.trusted.clone(), answer.address).await
    }
}

/// A client of a node that gives these answers. The node serves until the test ends.
pub(super) async fn serving(routes: HashMap<String, Vec<u8>>) -> Client {
    let router = Router::new().fallback(move |uri: axum::http::Uri| async move {
        match routes.get(uri.path()) {
            Some(body) => (StatusCode::OK, body.clone()),
            None => (StatusCode::NOT_FOUND, Vec::new()),
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new([listener.local_addr().unwrap().to_string()]).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    client
}

pub(super) fn assert_not_proven<T: std::fmt::Debug>(checked: Result<T, ClientError>) {
    assert!(matches!(checked, Err(ClientError::NotProven(_))), "{checked:?}");
}

#[tokio::test]
async fn presence_and_absence_are_proven_down_to_the_certificate() {
    let chain = Chain::new(&[0, 1, 3]);
    assert_eq!(chain.check(&chain.answer(ALICE)).await.unwrap(), Some(alice()));
    assert_eq!(chain.check(&chain.answer(NOBODY)).await.unwrap(), None);
}

#[tokio::test]
async fn an_answer_that_differs_from_the_state_is_refused() {
    let chain = Chain::new(&[0, 1, 2, 3]);
    let mut richer = chain.answer(ALICE);
    let account = Account { balance: U256::from(501), ..alice() };
    richer.proof.as_mut().unwrap().account = Some(codec::encode(&account).into());
    assert_not_proven(chain.check(&richer).await);

    let mut gone = chain.answer(ALICE);
    gone.proof.as_mut().unwrap().account = None;
    assert_not_proven(chain.check(&gone).await);

    let mut of_another = chain.answer(ALICE);
    of_another.address = NOBODY;
    assert_not_proven(chain.check(&of_another).await);

    let mut unproven = chain.answer(ALICE);
    unproven.proof = None;
    assert_not_proven(chain.check(&unproven).await);
}

#[tokio::test]
async fn a_root_that_no_certified_header_names_is_refused() {
    let mut chain = Chain::new(&[0, 1, 2]);
    chain.block.header.executed.state_root = B256::ZERO;
    assert_not_proven(chain.check(&chain.answer(ALICE)).await);

    let mut chain = Chain::new(&[0, 1, 2]);
    chain.child.justify.block = B256::ZERO;
    assert_not_proven(chain.check(&chain.answer(ALICE)).await);
}

#[tokio::test]
async fn a_certificate_without_quorum_or_of_others_is_refused() {
    let chain = Chain::new(&[0, 1]);
    assert_not_proven(chain.check(&chain.answer(ALICE)).await);

    let mut chain = Chain::new(&[0, 1, 2]);
    chain.trusted.config = config(0, 10..14);
    assert_not_proven(chain.check(&chain.answer(ALICE)).await);

    let mut chain = Chain::new(&[0, 1, 2]);
    chain.trusted.chain.chain_id = 8;
    assert_not_proven(chain.check(&chain.answer(ALICE)).await);
}
