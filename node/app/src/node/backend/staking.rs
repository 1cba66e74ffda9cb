//! Read validators, delegations, epochs and proposals at the executed tip.

use std::sync::Arc;

use neura_api::{EpochRef, Listing, ValidatorRef};
use neura_consensus::leaders::passed_over;
use neura_runtime::{
    Fault, Host,
    modules::{
        governance::{self, Matter, Proposal, Status, Upgrade},
        staking::{self, Candidate},
    },
};
use neura_storage::EpochRecord;
use neura_types::{
    Absence, Address, Amount, CommitProof, EpochConfig, TimeoutCertificate, ValidatorIndex, codec,
    rest::{
        DelegationInfo, EpochEnd, EpochInfo, ParameterChange, ProposalInfo, ProposalStatus,
        StakingAccount, UnbondingInfo, UpgradeInfo, ValidatorInfo, ValidatorStatus, Validators,
    },
    validator::Validator,
};

use super::{Answer, execution::with_state, internal, registry::at_tip, state, storage};
use crate::node::chain::Chain;

/// Registered validators looked at to find what an account has at stake; beyond, an index by account would be due.
const MAX_SCANNED: u64 = 10_000;
/// Candidates that the module gives at once.
const MODULE_PAGE: u64 = neura_runtime::modules::MAX_PAGE;

/// The set of the present epoch and who is passed over in it.
struct Present {
    epoch: Arc<EpochConfig>,
    absent: Vec<Absence>,
}

impl Present {
    fn of(chain: &Chain) -> Answer<Self> {
        let epoch = chain.epochs.current();
        let newest = chain.block_at(chain.committed_height()).map_err(storage)?;
        let absent = newest
            .map_or_else(Vec::new, |(_, block)| passed_over(&block.header, epoch.epoch).to_vec());
        Ok(Self { epoch, absent })
    }

    fn member(&self, operator: Address) -> Option<(ValidatorIndex, &Validator)> {
        self.epoch.set.iter().find(|(_, member)| member.account == operator)
    }

    fn describe(&self, host: &mut dyn Host, candidate: &Candidate) -> Result<ValidatorInfo, Fault> {
        let operator = candidate.operator;
        let (_, own, _) = staking::delegation(host, operator, operator)?;
        let member = self.member(operator);
        let index = member.map(|(index, _)| index);
        let jailed = candidate.jailed_until > 0;
        Ok(ValidatorInfo {
            index,
            public_key: candidate.public_key.0,
            account: operator,
            power: member.map_or(0, |(_, member)| member.power),
            status: match member {
                _ if candidate.tombstoned => ValidatorStatus::Tombstoned,
                _ if jailed => ValidatorStatus::Jailed,
                _ if candidate.slot.is_none() => ValidatorStatus::Left,
                Some(_) => ValidatorStatus::Active,
                None => ValidatorStatus::Waiting,
            },
            stake: candidate.pool.stake,
            delegated: Amount(candidate.pool.stake.0.saturating_sub(own.0)),
            commission_bps: candidate.commission_bps,
            jailed_until: jailed.then_some(candidate.jailed_until),
            missed_epochs: candidate.missed_epochs,
            passed_over: self.absent.iter().any(|absence| Some(absence.validator) == index),
        })
    }
}

pub(super) fn validators(chain: &Chain) -> Answer<Validators> {
    let present = Present::of(chain)?;
    let set = &present.epoch.set;
    let validators = at_tip(chain, |host| {
        let mut describe = |(_, member): (_, &Validator)| {
            let candidate = staking::get(host, member.account)?;
            candidate.map(|candidate| present.describe(host, &candidate)).transpose()
        };
        set.iter().filter_map(|member| describe(member).transpose()).collect()
    })?;
    Ok(Validators { epoch: set.epoch(), total_power: set.total_power(), validators })
}

pub(super) fn candidates(
    chain: &Chain,
    after: u64,
    limit: u32,
) -> Answer<Listing<ValidatorInfo, u64>> {
    let present = Present::of(chain)?;
    at_tip(chain, |host| {
        let found = staking::candidates(host, after, u64::from(limit).min(MODULE_PAGE))?;
        let end = after.saturating_add(found.len() as u64);
        let next = (end < staking::candidate_count(host)?).then_some(end);
        let items = found.iter().map(|candidate| present.describe(host, candidate));
        Ok(Listing { items: items.collect::<Result<_, _>>()?, next })
    })
}

pub(super) fn validator(chain: &Chain, name: ValidatorRef) -> Answer<Option<ValidatorInfo>> {
    let present = Present::of(chain)?;
    at_tip(chain, |host| {
        let candidate = match name {
            ValidatorRef::Operator(operator) => staking::get(host, operator)?,
            ValidatorRef::Key(key) => match staking::operator_of(host, &key)? {
                Some(operator) => staking::get(host, operator)?,
                None => None,
            },
        };
        candidate.map(|candidate| present.describe(host, &candidate)).transpose()
    })
}

pub(super) fn account(
    chain: &Chain,
    address: Address,
    operator: Option<Address>,
) -> Answer<StakingAccount> {
    with_state(chain, neura_api::BlockRef::Latest, |view, context| {
        let height = context.height;
        let mut host = neura_runtime::ReadHost::new(view, context);
        let operators = match operator {
            Some(operator) => vec![operator],
            None => operators(&mut host).map_err(internal)?,
        };
        let entries = operators.into_iter().map(|operator| entry(&mut host, operator, address));
        let delegations = entries.filter_map(Result::transpose).collect::<Result<_, _>>();
        Ok(StakingAccount { address, height, delegations: delegations.map_err(internal)? })
    })
}

fn operators(host: &mut dyn Host) -> Result<Vec<Address>, Fault> {
    let mut found = Vec::new();
    while (found.len() as u64) < MAX_SCANNED {
        let page = staking::candidates(host, found.len() as u64, MODULE_PAGE)?;
        if page.is_empty() {
            break;
        }
        found.extend(page.into_iter().map(|candidate| candidate.operator));
    }
    Ok(found)
}

/// What an account has at one validator; none if nothing.
fn entry(
    host: &mut dyn Host,
    operator: Address,
    delegator: Address,
) -> Result<Option<DelegationInfo>, Fault> {
    let (shares, amount, rewards) = staking::delegation(host, operator, delegator)?;
    let leaving = staking::unbondings(host, operator, delegator)?;
    if shares == 0 && rewards == Amount::ZERO && leaving.is_empty() {
        return Ok(None);
    }
    let unbonding = leaving.into_iter().map(|entry| UnbondingInfo {
        begun: entry.begun,
        released_at: entry.released_at,
        amount: entry.amount,
    });
    Ok(Some(DelegationInfo {
        operator,
        delegator,
        shares: shares.to_string(),
        amount,
        rewards,
        unbonding: unbonding.collect(),
    }))
}

pub(super) fn epoch(chain: &Chain, epoch: EpochRef) -> Answer<Option<EpochInfo>> {
    let current = chain.epochs.current().epoch;
    let number = match epoch {
        EpochRef::Current => current,
        EpochRef::Next => current.saturating_add(1),
        EpochRef::Number(number) => number,
    };
    let recorded = chain.store.epoch(number).map_err(storage)?;
    if let Some(EpochRecord { config, end: Some(end) }) = recorded {
        let end = EpochEnd {
            id: end.block.id(),
            header: codec::encode(&end.block.header).into(),
            justify: end.block.justify,
            timeout: end.block.timeout,
            proof: end.proof.into(),
        };
        return Ok(Some(EpochInfo { digest: config.digest(), config, end: Some(end) }));
    }
    let known = match chain.epochs.get(number) {
        Some(config) => Some(EpochConfig::clone(&config)),
        None => {
            let view = chain.store.state().map_err(storage)?;
            neura_runtime::epoch_config(&view, number).map_err(state)?
        }
    };
    let Some(config) = known else { return Ok(None) };
    Ok(Some(EpochInfo { digest: config.digest(), end: end(chain, &config)?, config }))
}

/// The end of an epoch from its last block, if that is final and kept.
fn end(chain: &Chain, config: &EpochConfig) -> Answer<Option<EpochEnd>> {
    let Some((id, block)) = chain.block_at(config.last).map_err(storage)? else { return Ok(None) };
    let proof = chain.store.commit_proof_at_or_after(config.last, config.last).map_err(storage)?;
    let Some((_, proof)) = proof else { return Ok(None) };
    let of: CommitProof = codec::decode(&proof).map_err(internal)?;
    Ok((of.block() == id).then(|| EpochEnd {
        id,
        header: codec::encode(&block.header).into(),
        justify: block.justify.digest(),
        timeout: block.timeout.as_ref().map(TimeoutCertificate::digest),
        proof: proof.into(),
    }))
}

pub(super) fn proposals(
    chain: &Chain,
    before: Option<u64>,
    limit: u32,
) -> Answer<Listing<ProposalInfo, u64>> {
    at_tip(chain, |host| {
        let end = governance::count(host)?.saturating_add(1);
        let end = before.map_or(end, |before| before.min(end));
        let start = end.saturating_sub(limit.into()).max(1);
        let mut items = Vec::new();
        for id in (start..end).rev() {
            if let Some(proposal) = governance::get(host, id)? {
                items.push(describe(host, proposal)?);
            }
        }
        Ok(Listing { items, next: (start > 1).then_some(start) })
    })
}

pub(super) fn proposal(chain: &Chain, id: u64) -> Answer<Option<ProposalInfo>> {
    at_tip(chain, |host| {
        governance::get(host, id)?.map(|proposal| describe(host, proposal)).transpose()
    })
}

fn describe(host: &mut dyn Host, proposal: Proposal) -> Result<ProposalInfo, Fault> {
    let approving = governance::approving(host, proposal.id)?;
    let info = |to: Upgrade| Some(UpgradeInfo { version: to.version, epoch: to.epoch });
    let (changes, upgrade, cancels) = match proposal.matter {
        Matter::Params(changes) => (changes, None, None),
        Matter::Upgrade(upgrade) => (Vec::new(), info(upgrade), None),
        Matter::Cancellation(upgrade) => (Vec::new(), None, info(upgrade)),
    };
    let change = |(name, value): (String, u128)| ParameterChange { name, value: value.to_string() };
    Ok(ProposalInfo {
        id: proposal.id,
        proposer: proposal.proposer,
        title: proposal.title,
        changes: changes.into_iter().map(change).collect(),
        upgrade,
        cancels,
        created_at: proposal.created_at,
        expires_at: proposal.expires_at,
        status: match proposal.status {
            Status::Open => ProposalStatus::Open,
            Status::Passed => ProposalStatus::Passed,
            Status::Expired => ProposalStatus::Expired,
            Status::Failed => ProposalStatus::Failed,
            Status::Lapsed => ProposalStatus::Lapsed,
        },
        approving,
        total_power: host.block().validators().total_power(),
    })
}
