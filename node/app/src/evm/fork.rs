//! Names of Ethereum's hardforks, and what each sets.

use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use neura_runtime::ethereum::SpecId;

/// Most blobs of one transaction since Osaka (EIP-7594).
const MAX_BLOBS_OF_OSAKA: u64 = 6;

/// A hardfork that the machine knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// Its name in the tests.
    pub name: &'static str,
    /// Its rules.
    pub spec: SpecId,
    /// Its blobs; none before Cancun.
    pub(super) blobs: Option<Blobs>,
}

/// What a fork says of blobs (EIP-7840).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blobs {
    /// Blobs of one block at which their price stays.
    pub(super) target: u64,
    /// Most blobs of one block.
    pub(super) max: u64,
    /// How slowly their price moves.
    pub(super) update_fraction: u64,
}

impl Blobs {
    const fn new(target: u64, max: u64, update_fraction: u64) -> Option<Self> {
        Some(Self { target, max, update_fraction })
    }

    /// The excess after a block (EIP-4844).
    pub(super) fn excess_after(self, excess: u64, used: u64) -> u64 {
        let target = self.target.saturating_mul(DATA_GAS_PER_BLOB);
        excess.saturating_add(used).saturating_sub(target)
    }
}

const fn fork(name: &'static str, spec: SpecId, blobs: Option<Blobs>) -> Fork {
    Fork { name, spec, blobs }
}

/// All of them; several names may mean the same rules.
const FORKS: [Fork; 29] = [
    fork("Frontier", SpecId::FRONTIER, None),
    fork("Homestead", SpecId::HOMESTEAD, None),
    fork("DAOFork", SpecId::HOMESTEAD, None),
    fork("EIP150", SpecId::TANGERINE, None),
    fork("TangerineWhistle", SpecId::TANGERINE, None),
    fork("EIP158", SpecId::SPURIOUS_DRAGON, None),
    fork("SpuriousDragon", SpecId::SPURIOUS_DRAGON, None),
    fork("Byzantium", SpecId::BYZANTIUM, None),
    fork("ConstantinopleFix", SpecId::PETERSBURG, None),
    fork("Petersburg", SpecId::PETERSBURG, None),
    fork("Istanbul", SpecId::ISTANBUL, None),
    fork("MuirGlacier", SpecId::ISTANBUL, None),
    fork("Berlin", SpecId::BERLIN, None),
    fork("London", SpecId::LONDON, None),
    fork("ArrowGlacier", SpecId::LONDON, None),
    fork("GrayGlacier", SpecId::LONDON, None),
    fork("Paris", SpecId::MERGE, None),
    fork("Merge", SpecId::MERGE, None),
    fork("Shanghai", SpecId::SHANGHAI, None),
    fork("Cancun", SpecId::CANCUN, Blobs::new(3, 6, 3_338_477)),
    fork("Prague", SpecId::PRAGUE, Blobs::new(6, 9, 5_007_716)),
    fork("Osaka", SpecId::OSAKA, Blobs::new(6, 9, 5_007_716)),
    fork("BPO1", SpecId::OSAKA, Blobs::new(10, 15, 8_346_193)),
    fork("BPO2", SpecId::OSAKA, Blobs::new(14, 21, 11_684_671)),
    fork("BPO3", SpecId::OSAKA, Blobs::new(21, 32, 20_609_697)),
    fork("BPO4", SpecId::OSAKA, Blobs::new(14, 21, 13_739_630)),
    fork("BPO5", SpecId::OSAKA, Blobs::new(14, 21, 13_739_630)),
    fork("Amsterdam", SpecId::AMSTERDAM, Blobs::new(14, 21, 11_684_671)),
    // What the chain itself runs.
    fork("Neura", SpecId::OSAKA, Blobs::new(6, 9, 5_007_716)),
];

/// A name that no fork has.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{name} is no fork that this EVM knows; it knows {}", known().join(", "))]
pub struct UnknownFork {
    /// The name.
    pub name: String,
}

fn known() -> Vec<&'static str> {
    FORKS.iter().map(|fork| fork.name).collect()
}

impl std::str::FromStr for Fork {
    type Err = UnknownFork;

    fn from_str(name: &str) -> Result<Self, UnknownFork> {
        let named = FORKS.iter().find(|fork| fork.name.eq_ignore_ascii_case(name));
        named.copied().ok_or_else(|| UnknownFork { name: name.to_owned() })
    }
}

impl Fork {
    /// The fork that a test names, at its block. `AToBAt5` and `AToBAtTime15k` are B from that block or time on.
    pub(super) fn at(name: &str, number: u64, timestamp: u64) -> Option<Self> {
        if let Ok(fork) = name.parse() {
            return Some(fork);
        }
        let (before, rest) = name.split_once("To")?;
        let (after, moment) = rest.rsplit_once("At")?;
        let reached = match moment.strip_prefix("Time") {
            Some(time) => timestamp >= thousands(time)?,
            None => number >= thousands(moment)?,
        };
        if reached { after } else { before }.parse().ok()
    }

    /// Whether a test's name of a fork is this one's, by whatever alias.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.spec == other.spec && self.blobs == other.blobs
    }

    /// Most blobs of one transaction, where a test may have its own schedule.
    pub(super) fn max_blobs(&self, blobs: Option<Blobs>) -> Option<u64> {
        let max = blobs?.max;
        let since_osaka = self.spec.is_enabled_in(SpecId::OSAKA);
        Some(if since_osaka { max.min(MAX_BLOBS_OF_OSAKA) } else { max })
    }
}

/// `15k` is 15,000.
fn thousands(text: &str) -> Option<u64> {
    match text.strip_suffix('k') {
        Some(number) => number.parse::<u64>().ok()?.checked_mul(1_000),
        None => text.parse().ok(),
    }
}
