//! Measure how fast executed blocks of transfers are committed. Prints one JSON line per block size.
//!
//! `cargo run -p neura-storage --example commit -- [accounts] [blocks] [threads]`: each of `threads` stores (as many as
//! nodes on the machine) commits blocks of 100, 300 and 1,000 transfers between random ones of `accounts` accounts.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{path::Path, time::Instant};

use alloy_primitives::{Address, B256, Bytes, U256};
use neura_storage::{Committed, ExecutedBlock, Retention, Store, StoreConfig, genesis_root};
use neura_types::{Account, Block, BlockId, ExecutedRoot, Receipt, StateChanges};

/// Blocks kept by the pruning stores of the measurement.
const RETAINED: u64 = 300;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let accounts = arguments.next().transpose()?.unwrap_or(100_000);
    let blocks = arguments.next().transpose()?.unwrap_or(100);
    let threads = arguments.next().transpose()?.unwrap_or(1);
    let dir = tempfile::tempdir()?;
    for transfers in [100, 300, 1_000] {
        let stores = (0..threads)
            .map(|thread| prepare(&dir.path().join(format!("{transfers}-{thread}")), accounts))
            .collect::<Result<Vec<_>, _>>()?;
        let start = Instant::now();
        let (keys, cpu_us): (u64, f64) = std::thread::scope(|scope| {
            let running: Vec<_> = stores
                .into_iter()
                .map(|mut chain| {
                    scope.spawn(move || measure(&mut chain, accounts, blocks, transfers))
                })
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().map_err(|_| Failure::from("a thread panicked"))?)
                .try_fold((0, 0.0), |(keys, cpu), thread: Result<(u64, f64), Failure>| {
                    let (more, time) = thread?;
                    Ok::<_, Failure>((keys + more, cpu + time))
                })
        })?;
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{{\"bench\":\"commit\",\"stores\":{threads},\"accounts\":{accounts},\"blocks\":{blocks},\
             \"transfers_per_block\":{transfers},\"keys\":{keys},\"seconds\":{seconds:.2},\
             \"keys_per_second_all\":{:.0},\"transfers_per_second_each\":{:.0},\
             \"cpu_us_per_key\":{:.1}}}",
            keys as f64 / seconds,
            (blocks * transfers) as f64 / seconds,
            cpu_us / keys as f64,
        );
    }
    Ok(())
}

/// Runs a chain and returns the keys changed and the microseconds that this thread was on a processor (Linux; else 0).
fn measure(
    chain: &mut Chain,
    accounts: u64,
    blocks: u64,
    transfers: u64,
) -> Result<(u64, f64), Failure> {
    let before = cpu_ns();
    let keys = chain.run(accounts, blocks, transfers)?;
    Ok((keys, (cpu_ns() - before) / 1_000.0))
}

fn cpu_ns() -> f64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    schedstat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0)
}

/// A store with the number of its last block.
struct Chain {
    store: Store,
    parent: BlockId,
    height: u64,
    random: u64,
}

fn prepare(path: &Path, accounts: u64) -> Result<Chain, Failure> {
    let config =
        StoreConfig { retention: Retention::Blocks(RETAINED), ..StoreConfig::new(1, B256::ZERO) };
    let store = Store::open(path, config)?;
    let mut changes = StateChanges::default();
    for number in 0..accounts {
        changes.accounts.insert(address(number), Some(account(number)));
    }
    let block = Block::genesis(B256::ZERO, 1, genesis_root(&changes, 100)?);
    let parent = block.id();
    store.init_genesis(&block, parent, &changes)?;
    Ok(Chain { store, parent, height: 0, random: 1 })
}

fn address(number: u64) -> Address {
    Address::left_padding_from(&number.to_be_bytes())
}

fn account(balance: u64) -> Account {
    Account { nonce: 1, balance: U256::from(balance) << 60, ..Account::default() }
}

impl Chain {
    fn random(&mut self, below: u64) -> u64 {
        // xorshift64: the same accounts in every run.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Commits blocks and returns how many account keys they changed.
    fn run(&mut self, accounts: u64, blocks: u64, transfers: u64) -> Result<u64, Failure> {
        let mut keys = 0;
        for _ in 0..blocks {
            let mut changes = StateChanges::default();
            for _ in 0..2 * transfers {
                let (who, balance) = (self.random(accounts), self.random(u64::MAX));
                changes.accounts.insert(address(who), Some(account(balance)));
            }
            keys += changes.accounts.len() as u64;
            self.commit(&changes, transfers)?;
        }
        Ok(keys)
    }

    fn commit(&mut self, changes: &StateChanges, transfers: u64) -> Result<(), Failure> {
        self.height += 1;
        let height = self.height;
        let mut block = Block::genesis(self.parent, height, ExecutedRoot::default());
        block.header.height = height;
        block.payload = vec![Bytes::from(vec![7; 120]); usize::try_from(transfers)?];
        let id = block.id();
        self.store.put_block(&block, id, true)?;
        self.store.commit(&[Committed { id, height, proof: Some(vec![1; 300]) }])?;
        let receipts: Vec<Receipt> = (0..transfers).map(|n| receipt(height, n)).collect();
        let included: Vec<u32> = (0u32..).take(receipts.len()).collect();
        self.store.commit_executed(&ExecutedBlock {
            id,
            height,
            timestamp_ms: height,
            gas_used: 21_000 * transfers,
            base_fee: 1,
            next_base_fee: 1,
            proposer: Address::ZERO,
            receipts: &receipts,
            included: &included,
            block_logs: &[],
            changes,
        })?;
        self.store.prune(1)?;
        self.parent = id;
        Ok(())
    }
}

fn receipt(height: u64, number: u64) -> Receipt {
    let hash = [height.to_be_bytes(), number.to_be_bytes()].concat();
    Receipt {
        tx_hash: B256::new(*blake3::hash(&hash).as_bytes()),
        tx_type: 2,
        from: Address::repeat_byte(1),
        to: Some(Address::repeat_byte(2)),
        contract: None,
        success: true,
        gas_used: 21_000,
        cumulative_gas_used: 21_000 * (number + 1),
        effective_gas_price: U256::from(1_000_000_000u64),
        logs: Vec::new(),
        revert_data: Bytes::new(),
    }
}
