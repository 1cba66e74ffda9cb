//! What a validator's owner prepares outside of the chain.

use alloy_primitives::{Address, B256};

use crate::{
    hash::{Domain, hash_value},
    vote::ChainContext,
};

/// What a validator's key signs to join: that `operator` may register it on this chain. Nobody can enter another's key,
/// nor replay its proof for another account or chain.
pub fn possession_digest(chain: &ChainContext, operator: Address) -> B256 {
    hash_value(Domain::Possession, &(chain, operator))
}
