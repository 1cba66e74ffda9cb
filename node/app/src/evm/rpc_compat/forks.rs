//! Which rules hold where on an Ethereum chain, as its genesis file says.

use std::collections::BTreeSet;

use alloy_eips::eip7840::BlobParams;
use anyhow::{Context, Result};
use neura_runtime::ethereum::SpecId;
use neura_types::Address;
use serde_json::Value;

/// A fork, the rules that it stands for, and its blob parameters.
type BlobFork = (&'static str, &'static str, fn() -> BlobParams);

/// Hardforks that begin at a block.
const BY_BLOCK: [(&str, SpecId); 10] = [
    ("homesteadBlock", SpecId::HOMESTEAD),
    ("eip150Block", SpecId::TANGERINE),
    ("eip158Block", SpecId::SPURIOUS_DRAGON),
    ("byzantiumBlock", SpecId::BYZANTIUM),
    // The machine has no Constantinople without Petersburg's repair. Only chains made for tests do, and there the
    // rules differ in what a second write of a word costs.
    ("constantinopleBlock", SpecId::PETERSBURG),
    ("petersburgBlock", SpecId::PETERSBURG),
    ("istanbulBlock", SpecId::ISTANBUL),
    ("berlinBlock", SpecId::BERLIN),
    ("londonBlock", SpecId::LONDON),
    ("mergeNetsplitBlock", SpecId::MERGE),
];
/// Hardforks that begin at a time.
const BY_TIME: [(&str, SpecId); 5] = [
    ("shanghaiTime", SpecId::SHANGHAI),
    ("cancunTime", SpecId::CANCUN),
    ("pragueTime", SpecId::PRAGUE),
    ("osakaTime", SpecId::OSAKA),
    ("amsterdamTime", SpecId::AMSTERDAM),
];
/// Changes of how many blobs there are, in their order, with what holds if the file does not say.
const BLOBS: [BlobFork; 9] = [
    ("cancunTime", "cancun", BlobParams::cancun),
    ("pragueTime", "prague", BlobParams::prague),
    ("osakaTime", "osaka", BlobParams::osaka),
    ("bpo1Time", "bpo1", BlobParams::bpo1),
    ("bpo2Time", "bpo2", BlobParams::bpo2),
    ("bpo3Time", "bpo3", BlobParams::bpo2),
    ("bpo4Time", "bpo4", BlobParams::bpo2),
    ("bpo5Time", "bpo5", BlobParams::bpo2),
    ("amsterdamTime", "amsterdam", BlobParams::bpo2),
];

/// The schedule of a chain.
#[derive(Debug)]
pub(super) struct Forks {
    by_block: Vec<(u64, SpecId)>,
    by_time: Vec<(u64, SpecId)>,
    blobs: Vec<(u64, BlobParams)>,
    /// Numbers and times at which anything changes, whether the machine knows it or not.
    pub(super) changes: Changes,
    pub(super) chain_id: u64,
    /// The contract that takes validators' deposits.
    pub(super) deposits: Option<Address>,
}

/// Where a chain's rules change, in order.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) blocks: BTreeSet<u64>,
    pub(super) times: BTreeSet<u64>,
}

impl Changes {
    fn read(config: &Value) -> Self {
        let named = |end: &'static str| {
            let members = config.as_object().into_iter().flatten();
            members.filter(move |(name, _)| name.ends_with(end)).filter_map(|(_, at)| at.as_u64())
        };
        Self { blocks: named("Block").collect(), times: named("Time").collect() }
    }
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
            changes: Changes::read(config),
            chain_id,
            deposits: config["depositContractAddress"].as_str().and_then(|at| at.parse().ok()),
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

    /// The rules of genesis: forks by time hold there whatever its difficulty is, if London does.
    pub(super) fn genesis_spec(&self, time: u64) -> SpecId {
        match self.spec(0, time, false) {
            spec if spec >= SpecId::LONDON => {
                let times = self.by_time.iter().filter(|(from, _)| *from <= time);
                times.map(|(_, spec)| *spec).fold(spec, SpecId::max)
            }
            spec => spec,
        }
    }

    /// How blobs are priced at a time.
    pub(super) fn blobs(&self, time: u64) -> BlobParams {
        let begun = self.blobs.iter().rev().find(|(from, _)| *from <= time);
        begun.map_or_else(BlobParams::cancun, |(_, params)| *params)
    }
}
