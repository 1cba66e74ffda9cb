//! The module's tables.

use neura_types::{Amount, system};

use crate::modules::store::Words;

/// What was paid out since genesis, in wei.
pub(super) const DISTRIBUTED: Words<(), Amount> = Words::new(system::REWARDS, 1);
