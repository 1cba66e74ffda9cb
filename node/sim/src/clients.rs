//! Users who send coins, and delegate; operators who join and leave; whoever hands in evidence.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::TxKind;
use alloy_sol_types::SolCall;
use neura_types::{
    Address, Amount, B256, Bytes, StateRead, U256,
    abi::IStaking,
    codec,
    keys::{EthKey, SecretKey},
    staking::possession_digest,
    state::MemoryState,
    system,
    transaction::UnsignedTransaction,
    vote::Evidence,
};
use rand::{RngExt, rand_core::Rng};

use crate::{
    chain::Chain,
    node::Node,
    plan::{Identity, Plan},
};

/// Most transactions of one body.
const MAX_ITEMS: usize = 4;
/// Most transactions of an account that wait.
const MAX_AHEAD: u64 = 12;
/// Gas of a call to the staking module.
const CALL_GAS: u64 = 2_000_000;
const GWEI: u128 = 1_000_000_000;

#[derive(Debug)]
enum Signer {
    Eth(EthKey),
    Identity(SecretKey),
}

/// An account's transactions by nonce.
#[derive(Debug)]
struct Account {
    signer: Signer,
    address: Address,
    signed: BTreeMap<u64, Bytes>,
}

/// What someone wants done.
#[derive(Debug)]
struct Wish {
    from: usize,
    to: Address,
    value: U256,
    input: Bytes,
}

/// All accounts, and what they have sent.
#[derive(Debug)]
pub(crate) struct Clients {
    accounts: Vec<Account>,
    users: usize,
    /// Staking calls to come, drawn at the start.
    staking: Vec<Wish>,
    /// Evidence to hand in.
    evidence: Vec<Bytes>,
    reported: BTreeSet<B256>,
}

impl Clients {
    /// Accounts that have sent nothing.
    pub(crate) fn new(chain: &Chain, plan: &Plan, rng: &mut impl Rng) -> Self {
        let users = chain.users.iter().map(|key| (key.address(), Signer::Eth(key.clone())));
        let operators = chain
            .keys
            .iter()
            .map(|key| (key.public_key().address(), Signer::Identity(key.clone())));
        let accounts = users.chain(operators).map(|(address, signer)| Account {
            signer,
            address,
            signed: BTreeMap::new(),
        });
        let mut clients = Self {
            accounts: accounts.collect(),
            users: chain.users.len(),
            staking: Vec::new(),
            evidence: Vec::new(),
            reported: BTreeSet::new(),
        };
        clients.draw_staking(chain, plan, rng);
        clients
    }

    /// Candidates join, users delegate to those who follow the rules, and some leave if enough are left.
    fn draw_staking(&mut self, chain: &Chain, plan: &Plan, rng: &mut impl Rng) {
        for candidate in plan.validators..plan.validators + plan.candidates {
            let wish = self.join(chain, candidate, Amount::ankr(rng.random_range(5..15)));
            self.staking.push(wish);
        }
        let faulty: BTreeSet<Identity> =
            plan.byzantine.keys().chain(&plan.damaged).copied().collect();
        let sound: Vec<Identity> = (0..plan.validators).filter(|i| !faulty.contains(i)).collect();
        for _ in 0..rng.random_range(0..4) {
            let operator = self.accounts
                [self.users + usize::from(sound[rng.random_range(0..sound.len())])]
            .address;
            self.staking.push(Wish {
                from: rng.random_range(0..self.users),
                to: system::STAKING,
                value: Amount::ankr(rng.random_range(1..6)).to_u256(),
                input: IStaking::delegateCall { operator }.abi_encode().into(),
            });
        }
        // Without those who leave, the faulty ones are still less than a third.
        let spare =
            sound.len().saturating_sub(2 * plan.tolerated() + 1 + usize::from(plan.validators < 4));
        for leaver in sound.iter().take(if faulty.is_empty() { spare.min(1) } else { 0 }) {
            self.staking.push(Wish {
                from: self.users + usize::from(*leaver),
                to: system::STAKING,
                value: U256::ZERO,
                input: IStaking::retireCall {}.abi_encode().into(),
            });
        }
    }

    fn join(&self, chain: &Chain, candidate: Identity, bond: Amount) -> Wish {
        let from = self.users + usize::from(candidate);
        let key = &chain.keys[usize::from(candidate)];
        let proof =
            key.sign(possession_digest(&chain.context, self.accounts[from].address).as_slice());
        let call = IStaking::createValidatorCall {
            publicKey: key.public_key().0,
            proof: proof.0.to_vec().into(),
            commissionBps: 100,
        };
        let (to, value) = (system::STAKING, bond.to_u256());
        Wish { from, to, value, input: call.abi_encode().into() }
    }

    /// One of the accounts signs another transaction.
    pub(crate) fn submit(&mut self, chain: &Chain, rng: &mut impl Rng) {
        let wish = self.wish(rng);
        let account = &mut self.accounts[wish.from];
        let nonce = account.signed.last_key_value().map_or(0, |(nonce, _)| nonce + 1);
        let first = account.signed.first_key_value().map_or(0, |(nonce, _)| *nonce);
        if nonce - first >= MAX_AHEAD {
            return;
        }
        let unsigned = UnsignedTransaction {
            chain_id: chain.genesis.chain_id,
            nonce,
            gas_limit: if wish.input.is_empty() { 21_000 } else { CALL_GAS },
            max_fee_per_gas: 20 * GWEI,
            max_priority_fee_per_gas: GWEI,
            to: TxKind::Call(wish.to),
            value: wish.value,
            input: wish.input,
        };
        let raw = match &account.signer {
            Signer::Eth(key) => unsigned.sign_eth(key),
            Signer::Identity(key) => unsigned.sign_ed25519(key),
        };
        account.signed.insert(nonce, raw);
    }

    fn wish(&mut self, rng: &mut impl Rng) -> Wish {
        let from = rng.random_range(0..self.users);
        if let Some(input) = self.evidence.pop() {
            return Wish { from, to: system::STAKING, value: U256::ZERO, input };
        }
        if rng.random_ratio(1, 4)
            && let Some(wish) = self.staking.pop()
        {
            return wish;
        }
        let to = self.accounts[rng.random_range(0..self.accounts.len())].address;
        let value = Amount(rng.random_range(1..1_000)).to_u256();
        Wish { from, to, value, input: Bytes::new() }
    }

    /// Transactions that can be executed after a state, as far as its holder knows; some stand in earlier blocks already.
    pub(crate) fn pending(&mut self, state: &MemoryState, rng: &mut impl Rng) -> Vec<Bytes> {
        let mut items = Vec::new();
        let (count, start) = (self.accounts.len(), rng.random_range(0..self.accounts.len()));
        for place in 0..count {
            let account = &mut self.accounts[(start + place) % count];
            let nonce = state.account(account.address).ok().flatten().unwrap_or_default().nonce;
            let ahead = rng.random_range(0..3);
            items.extend(account.signed.range(nonce + ahead..).next().map(|(_, tx)| tx.clone()));
            // A little history stays: it is offered again by those who are behind.
            let newest = account.signed.last_key_value().map_or(0, |(nonce, _)| *nonce);
            let kept = nonce.saturating_sub(MAX_AHEAD / 2).min(newest);
            account.signed = account.signed.split_off(&kept);
        }
        items.truncate(rng.random_range(0..=MAX_ITEMS));
        items
    }

    /// Transactions that a node has executed.
    pub(crate) fn executed(&self, node: &Node) -> u64 {
        let state = node.executed.last().map(|executed| &executed.state);
        let nonce = |account: &Account| {
            let found = state.and_then(|state| state.account(account.address).ok().flatten());
            found.map_or(0, |account| account.nonce)
        };
        self.accounts.iter().map(nonce).sum()
    }

    /// An honest node found evidence: a user hands it in, once per offence.
    pub(crate) fn on_evidence(&mut self, evidence: &Evidence) {
        let bytes = codec::encode(evidence);
        let author = (evidence.first.epoch, evidence.first.author);
        if self.reported.insert(B256::new(*blake3::hash(&codec::encode(&author)).as_bytes())) {
            let call = IStaking::submitEvidenceCall { evidence: bytes.into() };
            self.evidence.push(call.abi_encode().into());
        }
    }
}
