//! Say which rules hold on an imported chain now and next (`eth_config`, EIP-7910).

use alloy_primitives::U64;
use neura_runtime::ethereum::SpecId;
use neura_types::B256;
use serde_json::{Map, Value, json};

use super::forks::Forks;

/// Precompiles with the hardfork since which each is there.
const PRECOMPILES: [(&str, u16, SpecId); 18] = [
    ("ECREC", 0x01, SpecId::FRONTIER),
    ("SHA256", 0x02, SpecId::FRONTIER),
    ("RIPEMD160", 0x03, SpecId::FRONTIER),
    ("ID", 0x04, SpecId::FRONTIER),
    ("MODEXP", 0x05, SpecId::BYZANTIUM),
    ("BN254_ADD", 0x06, SpecId::BYZANTIUM),
    ("BN254_MUL", 0x07, SpecId::BYZANTIUM),
    ("BN254_PAIRING", 0x08, SpecId::BYZANTIUM),
    ("BLAKE2F", 0x09, SpecId::ISTANBUL),
    ("KZG_POINT_EVALUATION", 0x0a, SpecId::CANCUN),
    ("BLS12_G1ADD", 0x0b, SpecId::PRAGUE),
    ("BLS12_G1MSM", 0x0c, SpecId::PRAGUE),
    ("BLS12_G2ADD", 0x0d, SpecId::PRAGUE),
    ("BLS12_G2MSM", 0x0e, SpecId::PRAGUE),
    ("BLS12_PAIRING_CHECK", 0x0f, SpecId::PRAGUE),
    ("BLS12_MAP_FP_TO_G1", 0x10, SpecId::PRAGUE),
    ("BLS12_MAP_FP2_TO_G2", 0x11, SpecId::PRAGUE),
    ("P256VERIFY", 0x100, SpecId::OSAKA),
];
/// System contracts with the hardfork since which each is called.
const CONTRACTS: [(&str, &str, SpecId); 4] = [
    ("BEACON_ROOTS_ADDRESS", "0x000f3df6d732807ef1319fb7b8bb8522d0beac02", SpecId::CANCUN),
    ("HISTORY_STORAGE_ADDRESS", "0x0000f90827f1c53a10cb7a02335b175320002935", SpecId::PRAGUE),
    (
        "WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS",
        "0x00000961ef480eb55e80d19ad83579a64c007002",
        SpecId::PRAGUE,
    ),
    (
        "CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS",
        "0x0000bbddc7ce488642fb579f8b00f3a590007251",
        SpecId::PRAGUE,
    ),
];

/// The rules at a time, those that follow, and the last that are known.
pub(super) fn config(forks: &Forks, genesis: (B256, u64), now: u64) -> Value {
    let times = || forks.changes.times.iter().copied();
    let current = times().rfind(|at| *at <= now).unwrap_or_default();
    let next = times().find(|at| *at > now);
    let last = next.and_then(|_| times().next_back());
    let at = |time: u64| rules(forks, genesis, time);
    json!({ "current": at(current), "next": next.map(at), "last": last.map(at) })
}

/// The rules that begin at a time.
fn rules(forks: &Forks, genesis: (B256, u64), time: u64) -> Value {
    let spec = forks.spec(u64::MAX, time, true);
    let has = |since: SpecId| spec >= since;
    let precompiles = PRECOMPILES.iter().filter(|(_, _, since)| has(*since));
    let precompiles =
        precompiles.map(|(name, at, _)| ((*name).into(), json!(format!("{at:#042x}"))));
    let contracts = CONTRACTS.iter().filter(|(_, _, since)| has(*since));
    let contracts = contracts.map(|(name, at, _)| ((*name).into(), json!(at)));
    let mut contracts: Map<String, Value> = contracts.collect();
    if let Some(deposits) = forks.deposits.filter(|_| has(SpecId::PRAGUE)) {
        contracts.insert("DEPOSIT_CONTRACT_ADDRESS".into(), json!(deposits));
    }
    let blobs = has(SpecId::CANCUN).then(|| {
        let blobs = forks.blobs(time);
        json!({
            "baseFeeUpdateFraction": u64::try_from(blobs.update_fraction).unwrap_or(u64::MAX),
            "max": blobs.max_blob_count,
            "target": blobs.target_blob_count,
        })
    });
    json!({
        "activationTime": time,
        "blobSchedule": blobs,
        "chainId": U64::from(forks.chain_id),
        "forkId": fork_id(forks, genesis, time),
        "precompiles": precompiles.collect::<Map<String, Value>>(),
        "systemContracts": contracts,
    })
}

/// Checksum of genesis and all changes of rules up to a time (EIP-2124).
fn fork_id(forks: &Forks, (genesis, began): (B256, u64), time: u64) -> String {
    let mut sum = crc32fast::Hasher::new();
    sum.update(genesis.as_slice());
    let changes = &forks.changes;
    let times = changes.times.range(began.saturating_add(1)..=time.max(began.saturating_add(1)));
    let passed = changes.blocks.iter().filter(|block| **block > 0);
    for change in passed.chain(times.filter(|at| **at <= time)) {
        sum.update(&change.to_be_bytes());
    }
    format!("{:#010x}", sum.finalize())
}
