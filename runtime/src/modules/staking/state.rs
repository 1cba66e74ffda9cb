//! The module's tables.

use neura_types::{system, validator::Validator};

use crate::modules::store::{Table, Words};

/// Validators by index.
pub(super) const VALIDATORS: Table<u64, Validator> = Table::new(system::STAKING, 1);
/// Number of validators.
pub(super) const COUNT: Words<(), u64> = Words::new(system::STAKING, 2);
/// Sum of their voting power.
pub(super) const TOTAL_POWER: Words<(), u64> = Words::new(system::STAKING, 3);
