//! Which rules hold where on an Ethereum chain, as its genesis file says.

use alloy_eips::eip7840::BlobParams;
use anyhow::{Context, Result};
use neura_runtime::ethereum::SpecId;
use serde_json::Value;

/// A fork, the rules that it stands for, and its blob parameters.
type BlobFork = (&'static str, &'static str, fn() -> BlobParams);

/// Hardforks that begin at a block.
const BY_BLOCK: [(&str, SpecId); 9] = [
    ("homesteadBlock", SpecId::HOMESTEAD),
    ("eip150Block", SpecId::TANGERINE),
    ("eip158Block", SpecId::SPURIOUS_DRAGON),
    ("byzantiumBlock", SpecId::BYZANTIUM),
    // Constantinople never held without Petersburg's repair, except on chains made for tests.
    ("petersburgBlock", SpecId::PETERSBURG),
    ("istanbulBlock", SpecId::ISTANBUL),
    ("berlinBlock", SpecId::BERLIN),
    ("londonBlock", SpecId::LONDON),
    ("mergeNetsplitBlock", SpecId::MERGE),
];
/// Hardforks that begin at a time.
const BY_TIME: [(&str, SpecId); 4] = [
    ("shanghaiTime", SpecId::SHANGHAI),
    ("cancunTime", SpecId::CANCUN),
    ("pragueTime", SpecId::PRAGUE),
    ("osakaTime", SpecId::OSAKA),
];
/// Changes of how many blobs there are, by time, with what holds if the file does not say.
const BLOBS: [BlobFork; 5] = [
    ("cancunTime", "cancun", BlobParams::cancun),
    ("pragueTime", "prague", BlobParams::prague),
    ("osakaTime", "osaka", BlobParams::osaka),
    ("bpo1Time", "bpo1", BlobParams::bpo1),
    ("bpo2Time", "bpo2", BlobParams::bpo2),
];

/// The schedule of a chain.
#[derive(Debug)]
pub(super) struct Forks {
    by_block: Vec<(u64, SpecId)>,
    by_time: Vec<(u64, SpecId)>,
    blobs: Vec<(u64, BlobParams)>,
    pub(super) chain_id: u64,
}

impl Forks {
    /// Reads the `config` of a genesis file.
    pub(super) fn read(config: &Value) -> Result<Self> {
        let at = |name: &str| config[name].as_u64();
        let chain_id = at("chainId").context("config.chainId is missing")?;
        let by_block = BY_BLOCK.iter().filter_map(|(name, spec)| Some((at(name)?, *spec)));
        let by_time = BY_TIME.iter().filter_map(|(name, spec)| Some((at(name)?, *spec)));
        let blobs = BLOBS.iter().filter_map(|(time, name, usual)| {
            let stated = &config["blobSchedule"][name];
            let mut params = usual();
            params.target_blob_count =
                stated["target"].as_u64().unwrap_or(params.target_blob_count);
            params.max_blob_count = stated["max"].as_u64().unwrap_or(params.max_blob_count);
            let fraction = stated["baseFeeUpdateFraction"].as_u64();
            params.update_fraction = fraction.map_or(params.update_fraction, u128::from);
            Some((at(time)?, params))
        });
        Ok(Self {
            by_block: by_block.collect(),
            by_time: by_time.collect(),
            blobs: blobs.collect(),
            chain_id,
        })
    }

    /// The rules of a block; `is_merged` says whether it has no difficulty.
    pub(super) fn spec(&self, number: u64, time: u64, is_merged: bool) -> SpecId {
        let blocks = self
            .by_block
            .iter()
            .filter(|(from, spec)| *from <= number && (is_merged || *spec < SpecId::MERGE));
        let mut spec = blocks.map(|(_, spec)| *spec).max().unwrap_or(SpecId::FRONTIER);
        if is_merged {
            let times = self.by_time.iter().filter(|(from, _)| *from <= time);
            spec = times.map(|(_, spec)| *spec).max().unwrap_or(SpecId::MERGE).max(spec);
        }
        spec
    }

    /// How blobs are priced at a time.
    pub(super) fn blobs(&self, time: u64) -> BlobParams {
        let begun = self.blobs.iter().rev().find(|(from, _)| *from <= time);
        begun.map_or_else(BlobParams::cancun, |(_, params)| *params)
    }
}
