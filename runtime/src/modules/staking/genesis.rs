//! What the module knows at genesis.

use neura_types::Genesis;

use super::state;
use crate::modules::{
    entry,
    host::{Fault, Host},
};

/// Records the genesis validators.
pub(crate) fn genesis(genesis: &Genesis, host: &mut dyn Host) -> Result<(), Fault> {
    let set = genesis.validator_set().map_err(|error| entry::broken(&error.to_string()))?;
    for (index, validator) in set.iter() {
        state::VALIDATORS.put(host, &u64::from(index), validator)?;
    }
    state::COUNT.set(host, &(), u64::try_from(set.len()).unwrap_or(u64::MAX))?;
    state::TOTAL_POWER.set(host, &(), set.total_power())
}
