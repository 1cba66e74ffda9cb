//! What the module knows at genesis.

use neura_types::{Amount, EpochConfig, Genesis, validator::Validator};

use super::{
    calls::{NewCandidate, register},
    state,
};
use crate::modules::{
    entry,
    host::{Fault, Host},
};

/// Commission of the genesis validators, in basis points, unless the chain allows less.
const GENESIS_COMMISSION_BPS: u16 = 1_000;

/// Registers the genesis validators, whose stake lies on the module's account, and fixes the first two epochs.
pub(crate) fn genesis(genesis: &Genesis, host: &mut dyn Host) -> Result<(), Fault> {
    let commission_bps = GENESIS_COMMISSION_BPS.min(genesis.params.max_commission_bps);
    for Validator { public_key, account, power } in &genesis.validators {
        let new = NewCandidate { operator: *account, public_key: *public_key, commission_bps };
        register(host, new, Amount::ankr(*power))?;
    }
    for epoch in [0, 1] {
        let config = EpochConfig::genesis(genesis, epoch)
            .map_err(|error| entry::broken(&error.to_string()))?;
        state::EPOCHS.put(host, &epoch, &config)?;
    }
    Ok(())
}
