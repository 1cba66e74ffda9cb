//! Know which validators and parameters are in force.
//!
//! The state holds the configurations of the present epoch and of the next one; the executor reads them when it has
//! executed the last block of an epoch, the driver enters the next epoch when that block is final.

use std::{collections::BTreeMap, sync::Arc};

use neura_types::{Epoch, EpochConfig, Height, epoch::PROTOCOL_VERSION, validator::Validator};
use parking_lot::RwLock;

/// Configurations kept at hand: the present epoch, the next one and those of late messages and recent blocks.
const MAX_KNOWN: usize = 16;

/// Why an epoch cannot be entered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EpochError {
    /// The rules changed.
    #[error(
        "epoch {epoch} (from block {first} on) needs protocol version {needs}, this program speaks version \
         {PROTOCOL_VERSION}: install a newer release and start the node again"
    )]
    Version {
        /// The epoch.
        epoch: Epoch,
        /// Height of its first block.
        first: Height,
        /// Its version.
        needs: u16,
    },
    /// The chain names another configuration than this node computed.
    #[error(
        "the last block before epoch {0} names another configuration than this node computed: keep the data folder \
         for examination; a fresh sync may recover the node"
    )]
    Divergence(Epoch),
}

/// The configurations around the newest block.
#[derive(Debug)]
pub struct Epochs {
    known: RwLock<BTreeMap<Epoch, Arc<EpochConfig>>>,
    current: RwLock<Arc<EpochConfig>>,
}

impl Epochs {
    /// With the epoch that consensus is in.
    pub fn new(current: EpochConfig) -> Self {
        let current = Arc::new(current);
        let known = BTreeMap::from([(current.epoch, Arc::clone(&current))]);
        Self { known: RwLock::new(known), current: RwLock::new(current) }
    }

    /// Remembers a configuration that was read from the state. One of a newer protocol is announced: the operator has an
    /// epoch's time for it.
    pub fn learn(&self, config: EpochConfig) {
        let mut known = self.known.write();
        if config.version > PROTOCOL_VERSION && !known.contains_key(&config.epoch) {
            let EpochConfig { epoch, first, version: needs, .. } = config;
            let reason = EpochError::Version { epoch, first, needs };
            tracing::warn!(%reason, "an upgrade is scheduled: this program will stop then");
        }
        known.entry(config.epoch).or_insert_with(|| Arc::new(config));
        while known.len() > MAX_KNOWN {
            known.pop_first();
        }
    }

    /// The epoch that consensus is in.
    pub fn current(&self) -> Arc<EpochConfig> {
        Arc::clone(&self.current.read())
    }

    /// A recent epoch or the next one.
    pub fn get(&self, epoch: Epoch) -> Option<Arc<EpochConfig>> {
        self.known.read().get(&epoch).cloned()
    }

    /// The epoch of a recent height.
    pub fn at(&self, height: Height) -> Option<Arc<EpochConfig>> {
        let contains = |config: &&Arc<EpochConfig>| (config.first..=config.last).contains(&height);
        self.known.read().values().find(contains).cloned()
    }

    /// Moves on to the epoch after the present one, whose last block names `config`.
    ///
    /// # Errors
    /// [`EpochError`]: the node must stop.
    pub fn enter(
        &self,
        config: Arc<EpochConfig>,
        named: Option<neura_types::B256>,
    ) -> Result<(), EpochError> {
        let EpochConfig { epoch, first, version, .. } = *config;
        if named != Some(config.digest()) {
            return Err(EpochError::Divergence(epoch));
        }
        if version > PROTOCOL_VERSION {
            return Err(EpochError::Version { epoch, first, needs: version });
        }
        *self.current.write() = config;
        Ok(())
    }

    /// The validators that this node speaks with directly: those of the present epoch, of the one before, whose members
    /// may still need its end, and of the next one, whose members get ready.
    pub fn neighbours(&self) -> Vec<Validator> {
        let current = self.current().epoch;
        let near = |config: &&Arc<EpochConfig>| config.epoch.abs_diff(current) <= 1;
        let known = self.known.read();
        let members = known.values().filter(near).flat_map(|config| config.set.iter());
        members.map(|(_, member)| member.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use neura_types::{Address, Params, ValidatorSet, keys::SecretKey};

    use super::*;

    fn config(epoch: Epoch, seeds: &[u8], version: u16) -> EpochConfig {
        let member = |seed: &u8| Validator {
            public_key: SecretKey::from_seed(&[*seed; 32]).public_key(),
            account: Address::ZERO,
            power: 1,
        };
        let set = ValidatorSet::new(epoch, seeds.iter().map(member).collect()).unwrap();
        let first = epoch * 10 + 1;
        EpochConfig { epoch, first, last: first + 9, version, set, params: Params::default() }
    }

    #[test]
    fn an_epoch_is_entered_only_as_the_chain_names_it() {
        let epochs = Epochs::new(config(0, &[1], 1));
        let next = Arc::new(config(1, &[1, 2], 1));
        let other = config(1, &[2], 1).digest();
        assert_eq!(epochs.enter(Arc::clone(&next), Some(other)), Err(EpochError::Divergence(1)));
        assert_eq!(epochs.enter(Arc::clone(&next), None), Err(EpochError::Divergence(1)));
        assert_eq!(epochs.current().epoch, 0);
        assert_eq!(epochs.enter(Arc::clone(&next), Some(next.digest())), Ok(()));
        assert_eq!(epochs.current().epoch, 1);
    }

    #[test]
    fn an_epoch_of_a_newer_protocol_is_refused_with_the_reason() {
        let epochs = Epochs::new(config(0, &[1], 1));
        let next = Arc::new(config(1, &[1], PROTOCOL_VERSION + 1));
        let digest = next.digest();
        let error = epochs.enter(next, Some(digest)).unwrap_err();
        assert!(error.to_string().contains("needs protocol version 2"), "{error}");
    }

    #[test]
    fn heights_belong_to_the_epochs_that_contain_them_and_memory_is_bounded() {
        let epochs = Epochs::new(config(0, &[1], 1));
        for epoch in 1..40 {
            epochs.learn(config(epoch, &[1], 1));
        }
        assert_eq!(epochs.at(400).unwrap().epoch, 39);
        assert_eq!(epochs.at(391).unwrap().epoch, 39);
        assert_eq!(epochs.at(390).unwrap().epoch, 38);
        assert!(epochs.get(0).is_none() && epochs.at(5).is_none());
    }

    #[test]
    fn neighbours_are_the_validators_of_three_epochs() {
        let epochs = Epochs::new(config(4, &[1], 1));
        for (epoch, seed) in [(2, 2), (3, 3), (5, 5), (6, 6)] {
            epochs.learn(config(epoch, &[seed], 1));
        }
        let mut keys: Vec<_> = epochs.neighbours().into_iter().map(|v| v.public_key).collect();
        let mut expected: Vec<_> =
            [1u8, 3, 5].map(|seed| SecretKey::from_seed(&[seed; 32]).public_key()).to_vec();
        keys.sort();
        expected.sort();
        assert_eq!(keys, expected);
    }
}
