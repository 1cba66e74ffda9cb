//! Chain the outputs of the leaders' verifiable random functions to a beacon: one value for each block.
//!
//! A block's value hashes that of its parent with the output of its proposer for the place: chain, epoch, height and
//! the parent's value. So it depends on nothing that the proposer could vary: not on the view, nor on time, body or
//! certificates. What a leader can do is not to propose; then the next leader's value takes the place of its own.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::{
    Epoch,
    block::Header,
    hash::{Domain, hash, hash_value},
    keys::{PublicKey, SecretKey},
    vote::ChainContext,
    vrf::{Output, Proof},
};

/// A link of the beacon, as a header carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beacon {
    /// The value: PREVRANDAO of the block.
    pub value: B256,
    /// Proof of the proposer's output, from which the value follows.
    pub proof: Proof,
}

/// A block's place in the beacon: on this parent, in this epoch.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The chain.
    pub chain: &'a ChainContext,
    /// Epoch of the block.
    pub epoch: Epoch,
    /// Header of its parent.
    pub parent: &'a Header,
}

impl Place<'_> {
    /// What the proposer's function is applied to.
    pub fn input(&self) -> B256 {
        let height = self.parent.height.saturating_add(1);
        let previous = self.parent.beacon.value;
        hash_value(Domain::BeaconInput, &(self.chain, self.epoch, height, previous))
    }

    fn value(&self, output: &Output) -> B256 {
        hash_value(Domain::Beacon, &(self.parent.beacon.value, output.as_slice()))
    }
}

impl Beacon {
    /// The first link: follows from the genesis file and needs no proof.
    pub fn genesis(genesis_hash: B256) -> Self {
        let proof = Proof(Default::default());
        Self { value: hash(Domain::Beacon, genesis_hash.as_slice()), proof }
    }

    /// The link that a proposer adds. None for one input in 2^256: see [`SecretKey::prove`].
    pub fn next(place: Place<'_>, key: &SecretKey) -> Option<Self> {
        let proof = key.prove(place.input().as_slice())?;
        Some(Self { value: place.value(&proof.output()?), proof })
    }

    /// Whether this is the link that the holder of `key` has to add at a place.
    pub fn follows(&self, place: Place<'_>, key: &PublicKey) -> bool {
        key.verify_proof(place.input().as_slice(), &self.proof)
            .is_some_and(|output| place.value(&output) == self.value)
    }
}

#[cfg(test)]
mod tests;
