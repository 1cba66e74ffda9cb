//! Decide whether a snapshot is the chain's: follow the epochs from genesis to the one that proves it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
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
    /// The records of the epochs passed, and what each started from.
    passed: BTreeMap<Epoch, (EpochRecord, Anchor)>,
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

    /// The epoch reached, if it lies before the one that proves a snapshot.
    pub(crate) fn before(&self, manifest: &Manifest) -> Option<Epoch> {
        let (header, ..) = manifest.proved()?;
        Some(self.epoch()).filter(|reached| *reached < header.epoch)
    }

    /// Takes the record of the epoch reached, with the configuration that it leads to.
    pub(crate) fn pass(&mut self, record: EpochRecord, next: &EpochConfig) -> Result<()> {
        let (config, begun) = &self.present;
        let end = record.end.as_ref().context("the epoch has not ended")?;
        ensure!(record.config == *config, "epoch {} is another one", config.epoch);
        let proof: CommitProof = codec::decode(&end.proof)?;
        let end = End { id: end.block.id(), header: &end.block.header, proof: &proof };
        let anchor = follow(&self.chain, (config, *begun), end, next)?;
        self.passed.insert(config.epoch, (record, *begun));
        self.present = (next.clone(), anchor);
        Ok(())
    }

    /// Checks that a snapshot's newest header is final on this chain, and with it all that the manifest says.
    pub(crate) fn check(&self, manifest: &Manifest) -> Result<()> {
        let of = (manifest.chain_id, manifest.genesis_hash);
        ensure!(
            of == (self.chain.chain_id, self.chain.genesis),
            "the snapshot is of another chain"
        );
        let (header, id, proof) = manifest.proved().context("the snapshot has no headers")?;
        let (config, anchor) = self.at(header.epoch).with_context(|| {
            let reached = self.epoch();
            format!(
                "the snapshot is of epoch {}, the chain was followed to {reached}",
                header.epoch
            )
        })?;
        let proof: CommitProof = codec::decode(proof)?;
        ensure!(proof.block() == id, "the snapshot's proof is of another block");
        proof.verify(&config.set, &self.chain, anchor).context("the snapshot's proof")
    }

    /// An epoch that was passed or reached, and what it starts from.
    fn at(&self, epoch: Epoch) -> Option<(&EpochConfig, Anchor)> {
        let (present, anchor) = &self.present;
        if present.epoch == epoch {
            return Some((present, *anchor));
        }
        self.passed.get(&epoch).map(|(record, anchor)| (&record.config, *anchor))
    }

    /// The records of all epochs passed, and of the one reached.
    pub(crate) fn records(&self) -> impl Iterator<Item = EpochRecord> {
        let reached = EpochRecord { config: self.present.0.clone(), end: None };
        self.passed.values().map(|(record, _)| record.clone()).chain([reached])
    }
}
