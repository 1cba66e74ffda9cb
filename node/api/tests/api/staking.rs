//! Validators, delegations, epochs and votes over REST.

use alloy_primitives::{Address, B256};
use neura_api::{EpochRef, Listing, ValidatorRef};
use neura_types::{
    Amount, CommitProof, EpochConfig, Params, ValidatorSet,
    block::{Block, ExecutedRoot, Header},
    certificate::{CommitCertificate, Signers},
    codec,
    keys::{PublicKey, SecretKey},
    rest::{
        DelegationInfo, EpochEnd, EpochInfo, Page, ParameterChange, ProposalInfo, ProposalStatus,
        StakingAccount, UnbondingInfo, ValidatorInfo, ValidatorStatus, Validators,
    },
    validator::Validator,
};
use serde_json::Value;

use crate::{
    harness::Server,
    rest::{check_problems, read},
};

/// An account that has delegated to the first validator.
pub(crate) const DELEGATOR: Address = Address::repeat_byte(0xd1);
/// Validators that are registered; the first one serves.
const CANDIDATES: u8 = 3;
const PROPOSALS: u64 = 3;

fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed(&[seed; 32]).public_key()
}

pub(crate) fn candidate(seed: u8) -> ValidatorInfo {
    let serves = seed == 1;
    ValidatorInfo {
        index: serves.then_some(0),
        public_key: key(seed).0,
        account: key(seed).address(),
        power: if serves { 10 } else { 0 },
        status: if serves { ValidatorStatus::Active } else { ValidatorStatus::Jailed },
        stake: Amount::ankr(10),
        delegated: Amount::ankr(4),
        commission_bps: 500,
        jailed_until: (!serves).then_some(7),
        missed_epochs: 0,
        passed_over: serves,
    }
}

pub(crate) fn validators() -> Validators {
    Validators { epoch: 0, total_power: 10, validators: vec![candidate(1)] }
}

pub(crate) fn candidates(after: u64, limit: u32) -> Listing<ValidatorInfo, u64> {
    let first = u8::try_from(after).unwrap().saturating_add(1);
    let items: Vec<_> = (first..=CANDIDATES).take(limit as usize).map(candidate).collect();
    let end = after + items.len() as u64;
    Listing { items, next: (end < CANDIDATES.into()).then_some(end) }
}

pub(crate) fn validator(name: ValidatorRef) -> Option<ValidatorInfo> {
    (1..=CANDIDATES).map(candidate).find(|candidate| match name {
        ValidatorRef::Operator(account) => candidate.account == account,
        ValidatorRef::Key(key) => candidate.public_key == key.0,
    })
}

pub(crate) fn staking(address: Address, operator: Option<Address>) -> StakingAccount {
    let first = key(1).address();
    let has = address == DELEGATOR && operator.is_none_or(|operator| operator == first);
    let delegation = DelegationInfo {
        operator: first,
        delegator: address,
        shares: "4000".into(),
        amount: Amount::ankr(4),
        rewards: Amount(5),
        unbonding: vec![UnbondingInfo { begun: 1, released_at: 5, amount: Amount(6) }],
    };
    StakingAccount {
        address,
        height: 9,
        delegations: has.then_some(delegation).into_iter().collect(),
    }
}

pub(crate) fn epoch(name: EpochRef) -> Option<EpochInfo> {
    let epoch = match name {
        EpochRef::Current => 1,
        EpochRef::Next => 2,
        EpochRef::Number(epoch @ 0..=2) => epoch,
        EpochRef::Number(_) => return None,
    };
    let member = Validator { public_key: key(1), account: key(1).address(), power: 10 };
    let params = Params { slash_bps: if epoch == 2 { 600 } else { 500 }, ..Params::default() };
    let config = EpochConfig {
        epoch,
        first: epoch * 1_000 + 1,
        last: epoch * 1_000 + 1_000,
        version: 1,
        set: ValidatorSet::new(epoch, vec![member]).unwrap(),
        params,
    };
    let end = (epoch == 0).then(|| {
        let mut block = Block::genesis(B256::repeat_byte(3), 0, ExecutedRoot::default());
        block.header.height = config.last;
        let proof = CommitProof::Certificate(CommitCertificate {
            epoch,
            view: 1_000,
            block: block.id(),
            signers: Signers::default(),
        });
        EpochEnd {
            id: block.id(),
            header: codec::encode(&block.header).into(),
            justify: block.justify.digest(),
            timeout: None,
            proof: codec::encode(&proof).into(),
        }
    });
    Some(EpochInfo { digest: config.digest(), config, end })
}

pub(crate) fn proposal(id: u64) -> Option<ProposalInfo> {
    (1..=PROPOSALS).contains(&id).then(|| ProposalInfo {
        id,
        proposer: key(1).address(),
        title: "harder".into(),
        changes: vec![ParameterChange { name: "slash_bps".into(), value: "600".into() }],
        upgrade: None,
        cancels: None,
        created_at: 0,
        expires_at: 14,
        status: ProposalStatus::Open,
        approving: 10,
        total_power: 10,
    })
}

pub(crate) fn proposals(before: Option<u64>, limit: u32) -> Listing<ProposalInfo, u64> {
    let below = before.unwrap_or(u64::MAX).min(PROPOSALS + 1);
    let items: Vec<_> = (1..below).rev().take(limit as usize).filter_map(proposal).collect();
    let next = items.last().map(|proposal| proposal.id).filter(|id| *id > 1);
    Listing { items, next }
}

#[tokio::test]
async fn a_validator_is_found_by_its_account_and_by_its_key() {
    let server = Server::start().await;
    let set: Validators = read(&server, "/v1/validators").await;
    assert_eq!(set, validators());
    for seed in 1..=CANDIDATES {
        let (by_key, by_account) = (key(seed).0.to_string(), key(seed).address().to_string());
        for name in [by_key, by_account] {
            let found: ValidatorInfo = read(&server, &format!("/v1/validators/{name}")).await;
            assert_eq!(found, candidate(seed));
        }
    }
    let json: Value = read(&server, &format!("/v1/validators/{}", key(2).0)).await;
    assert_eq!((&json["status"], &json["index"]), (&"jailed".into(), &Value::Null));
    assert_eq!(json["stake"], "10000000000000000000");
    let (account, hash) = (Address::repeat_byte(9), B256::repeat_byte(9));
    check_problems(
        &server,
        &[
            (&format!("/v1/validators/{account}"), 404, "unknown_validator"),
            (&format!("/v1/validators/{hash}"), 404, "unknown_validator"),
            ("/v1/validators/0", 400, "invalid_input"),
            ("/v1/validators/0x12", 400, "invalid_input"),
        ],
    )
    .await;
}

#[tokio::test]
async fn candidates_are_listed_page_by_page() {
    let server = Server::start().await;
    let page: Page<ValidatorInfo> = read(&server, "/v1/candidates?limit=2").await;
    assert_eq!(page.items, [candidate(1), candidate(2)]);
    let path = format!("/v1/candidates?after={}", page.next.unwrap());
    let rest: Page<ValidatorInfo> = read(&server, &path).await;
    assert_eq!((rest.items, rest.next), (vec![candidate(3)], None));
    check_problems(&server, &[("/v1/candidates?after=x", 400, "invalid_input")]).await;
}

#[tokio::test]
async fn what_an_account_has_at_stake_is_told() {
    let server = Server::start().await;
    let operator = key(1).address();
    let account: StakingAccount = read(&server, &format!("/v1/accounts/{DELEGATOR}/staking")).await;
    assert_eq!(account, staking(DELEGATOR, None));
    let nobody = Address::repeat_byte(9);
    let empty: StakingAccount = read(&server, &format!("/v1/accounts/{nobody}/staking")).await;
    assert!(empty.delegations.is_empty());
    for name in [operator.to_string(), key(1).0.to_string()] {
        let path = format!("/v1/validators/{name}/delegations/{DELEGATOR}");
        let one: DelegationInfo = read(&server, &path).await;
        assert_eq!(one, account.delegations[0]);
    }
    let other = key(2).address();
    check_problems(
        &server,
        &[
            (&format!("/v1/validators/{operator}/delegations/{nobody}"), 404, "unknown_delegation"),
            (&format!("/v1/validators/{other}/delegations/{DELEGATOR}"), 404, "unknown_delegation"),
            (&format!("/v1/validators/{nobody}/delegations/{DELEGATOR}"), 404, "unknown_validator"),
            (&format!("/v1/validators/{operator}/delegations/7"), 400, "invalid_input"),
            ("/v1/accounts/7/staking", 400, "invalid_input"),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_epoch_is_told_so_that_its_digest_can_be_computed_again() {
    let server = Server::start().await;
    for (name, number) in [("0", 0), ("current", 1), ("next", 2), ("2", 2)] {
        let info: EpochInfo = read(&server, &format!("/v1/epochs/{name}")).await;
        assert_eq!(info.config.epoch, number);
        assert_eq!(info.digest, info.config.digest());
        assert_eq!(info, epoch(EpochRef::Number(number)).unwrap());
        if let Some(end) = info.end {
            let header: Header = codec::decode(&end.header).unwrap();
            assert_eq!(header.height, info.config.last);
            assert_eq!(codec::decode::<CommitProof>(&end.proof).unwrap().block(), end.id);
        }
    }
    check_problems(
        &server,
        &[
            ("/v1/epochs/3", 404, "unknown_epoch"),
            ("/v1/epochs/-1", 400, "invalid_input"),
            ("/v1/epochs/last", 400, "invalid_input"),
        ],
    )
    .await;
}

#[tokio::test]
async fn parameters_are_those_of_the_present_epoch_unless_another_is_named() {
    let server = Server::start().await;
    let slash = async |query: &str| read::<Params>(&server, query).await.slash_bps;
    assert_eq!(slash("/v1/params").await, 500);
    assert_eq!(slash("/v1/params?epoch=current").await, 500);
    assert_eq!(slash("/v1/params?epoch=next").await, 600);
    assert_eq!(slash("/v1/params?epoch=0").await, 500);
    check_problems(
        &server,
        &[
            ("/v1/params?epoch=9", 404, "unknown_epoch"),
            ("/v1/params?epoch=x", 400, "invalid_input"),
            ("/v1/params?epoque=1", 400, "invalid_input"),
        ],
    )
    .await;
}

#[tokio::test]
async fn proposals_are_listed_newest_first_and_read_by_number() {
    let server = Server::start().await;
    let page: Page<ProposalInfo> = read(&server, "/v1/governance/proposals?limit=2").await;
    assert_eq!(page.items.iter().map(|p| p.id).collect::<Vec<_>>(), [3, 2]);
    let path = format!("/v1/governance/proposals?before={}", page.next.unwrap());
    let rest: Page<ProposalInfo> = read(&server, &path).await;
    assert_eq!((rest.items.len(), rest.next), (1, None));
    let one: ProposalInfo = read(&server, "/v1/governance/proposals/2").await;
    assert_eq!(one, proposal(2).unwrap());
    check_problems(
        &server,
        &[
            ("/v1/governance/proposals/4", 404, "unknown_proposal"),
            ("/v1/governance/proposals/x", 400, "invalid_input"),
        ],
    )
    .await;
}
