//! Decide whether a snapshot is the chain's: follow the epochs from genesis to the one that proves it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use neura_storage::{EpochRecord, Manifest};
use neura_types::{
    Anchor, CommitProof, Epoch, EpochConfig, Genesis, codec,
    epoch::{End, follow},
    vote::ChainContext,
};

/// Epochs followed so far.
#[derive(Debug)]
pub(crate) struct Trust {
    chain: ChainContext,
    /// The newest epoch reached, and what it starts from.
    present: (EpochConfig, Anchor),
    /// The records of the epochs passed.
    passed: BTreeMap<Epoch, EpochRecord>,
}

impl Trust {
    /// Trusts genesis.
    pub(crate) fn genesis(genesis: &Genesis, genesis_id: neura_types::BlockId) -> Result<Self> {
        let present = (EpochConfig::genesis(genesis, 0)?, Anchor::genesis(genesis_id));
        Ok(Self::checkpoint(genesis, present))
    }

    /// Trusts an epoch, and the block that it starts from.
    pub(crate) fn checkpoint(genesis: &Genesis, present: (EpochConfig, Anchor)) -> Self {
        let chain = ChainContext { chain_id: genesis.chain_id, genesis: genesis.hash() };
        Self { chain, present, passed: BTreeMap::new() }
    }

    /// The epoch reached.
    pub(crate) fn epoch(&self) -> Epoch {
        self.present.0.epoch
    }

    /// Takes the record of the epoch reached, with the configuration that it leads to.
    pub(crate) fn pass(&mut self, record: EpochRecord, next: &EpochConfig) -> Result<()> {
        let (config, anchor) = &self.present;
        let end = record.end.as_ref().context("the epoch has not ended")?;
        ensure!(record.config == *config, "epoch {} is another one", config.epoch);
        let proof: CommitProof = codec::decode(&end.proof)?;
        let end = End { id: end.block.id(), header: &end.block.header, proof: &proof };
        let anchor = follow(&self.chain, (config, *anchor), end, next)?;
        self.passed.insert(config.epoch, record);
        self.present = (next.clone(), anchor);
        Ok(())
    }

    /// Checks that a snapshot's newest header is final on this chain.
    pub(crate) fn check(&self, manifest: &Manifest) -> Result<()> {
        let (header, id, proof) = manifest.proved().context("the snapshot has no headers")?;
        let (config, anchor) = &self.present;
        if header.epoch != config.epoch {
            bail!(
                "the snapshot is of epoch {}, the chain was followed to {}",
                header.epoch,
                config.epoch
            );
        }
        let proof: CommitProof = codec::decode(proof)?;
        ensure!(proof.block() == id, "the snapshot's proof is of another block");
        proof.verify(&config.set, &self.chain, *anchor).context("the snapshot's proof")
    }

    /// The records of all epochs passed, and of the one reached.
    pub(crate) fn records(self) -> impl Iterator<Item = EpochRecord> {
        let reached = EpochRecord { config: self.present.0, end: None };
        self.passed.into_values().chain([reached])
    }
}
