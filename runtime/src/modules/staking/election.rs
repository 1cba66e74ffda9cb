//! Choose the set of an epoch: those with the most stake, reached from the set before by bounded steps.
//!
//! # Invariants
//! - The changes of power between a set and the next sum up to less than a third of the first one's total (but at least
//!   1, lest the smallest sets never change): those whom the one set trusts hold a quorum's overlap with the next.
//! - A set is never empty, has at most 256 members and less than 2^63 power.

use std::collections::BTreeSet;

use alloy_primitives::Address;
use neura_types::{
    ValidatorSet,
    validator::{MAX_VALIDATORS, Validator},
};

/// Powers of a set sum up to less than this.
const POWER_LIMIT: u64 = 1 << 63;

/// What an election is about.
pub(super) struct Election<'a> {
    /// The set to start from.
    pub(super) present: &'a ValidatorSet,
    /// Who should serve, the strongest first, with the power of their stake.
    pub(super) wanted: &'a [Validator],
    /// Those who are to lose their power before others, being in jail or convicted.
    pub(super) expelled: &'a BTreeSet<Address>,
}

impl Election<'_> {
    /// The members of the next set: those of the present one in their order, then newcomers by stake.
    pub(super) fn members(&self) -> Vec<Validator> {
        let mut members: Vec<Validator> = self.present.iter().map(|(_, v)| v.clone()).collect();
        if self.wanted.is_empty() {
            return members;
        }
        let mut budget = budget(self.present);
        self.lower(&mut members, &mut budget);
        self.raise(&mut members, &mut budget);
        members.retain(|member| member.power > 0);
        members
    }

    /// Takes power from those who should have less, of the expelled first.
    fn lower(&self, members: &mut [Validator], budget: &mut u64) {
        // Someone must be left, if only until another comes.
        let mut total = self.present.total_power();
        for expelled in [true, false] {
            let concerned =
                members.iter_mut().filter(|m| self.expelled.contains(&m.account) == expelled);
            for member in concerned {
                let surplus = member.power.saturating_sub(self.target(member.account));
                let step = surplus.min(*budget).min(total.saturating_sub(1));
                member.power = member.power.saturating_sub(step);
                total = total.saturating_sub(step);
                *budget = budget.saturating_sub(step);
            }
        }
    }

    /// Gives power to those who should have more, the strongest first.
    fn raise(&self, members: &mut Vec<Validator>, budget: &mut u64) {
        let total = members.iter().fold(0u64, |sum, member| sum.saturating_add(member.power));
        *budget = (*budget).min(POWER_LIMIT.saturating_sub(total).saturating_sub(1));
        for wanted in self.wanted {
            let serving = members.iter().filter(|member| member.power > 0).count();
            let known = members.iter_mut().find(|member| member.account == wanted.account);
            match known {
                Some(member) => {
                    let step = wanted.power.saturating_sub(member.power).min(*budget);
                    member.power = member.power.saturating_add(step);
                    *budget = budget.saturating_sub(step);
                }
                None if *budget > 0 && serving < MAX_VALIDATORS => {
                    let power = wanted.power.min(*budget);
                    *budget = budget.saturating_sub(power);
                    members.push(Validator { power, ..wanted.clone() });
                }
                None => {}
            }
        }
    }

    fn target(&self, account: Address) -> u64 {
        self.wanted.iter().find(|wanted| wanted.account == account).map_or(0, |wanted| wanted.power)
    }
}

/// Most by which the power of all members together may change.
fn budget(present: &ValidatorSet) -> u64 {
    present.total_power().saturating_sub(1).checked_div(3).unwrap_or(0).max(1)
}
