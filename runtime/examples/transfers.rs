//! Measure how many signed transactions one core executes per second over a state in memory; prints JSON lines.
//!
//! `cargo run -p neura-runtime --example transfers -- [transactions]`
#![expect(clippy::disallowed_types, reason = "a measurement needs a clock; the library has none")]

use std::{io::Write, sync::Arc, time::Instant};

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use neura_runtime::{Attendance, BlockContext, BlockInput, Execution, execute, genesis_changes};
use neura_types::{
    Amount, EpochConfig, Genesis, Params, Transaction,
    genesis::GenesisAccount,
    keys::{EthKey, SecretKey},
    state::MemoryState,
    transaction::UnsignedTransaction,
    validator::Validator,
};

type Failure = Box<dyn std::error::Error>;

/// Senders, so that a block is not one chain of nonces.
const SENDERS: u64 = 500;
/// Transactions of a block: below the default gas limit for both kinds.
const PER_BLOCK: usize = 300;

/// `transfer(to, amount)` without a selector: moves the second word of the call data from the caller's balance to the
/// first word's, both in words named by the keccak256 of the account; anyone has 2^255 to begin with.
const TOKEN: [u8; 51] = [
    0x33, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0x20, // key of the caller
    0x80, 0x54, 0x60, 0x20, 0x35, 0x90, 0x03, 0x90, 0x55, // balance - amount
    0x5f, 0x35, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0x20, // key of the receiver
    0x80, 0x54, 0x60, 0x20, 0x35, 0x01, 0x90, 0x55, // balance + amount
    0x60, 0x20, 0x35, 0x5f, 0x52, // the amount as the event's data
    0x5f, 0x35, 0x33, 0x61, 0xdd, 0xf2, 0x60, 0x20, 0x5f, 0xa3, // LOG3
    0x00, 0x00, 0x00, 0x00,
];

struct Chain {
    genesis: Genesis,
    state: MemoryState,
    context: BlockContext,
    keys: Vec<EthKey>,
}

impl Chain {
    fn new() -> Result<Self, Failure> {
        let keys = (1..=SENDERS)
            .map(|n| EthKey::from_bytes(B256::from(U256::from(n)).0))
            .collect::<Result<Vec<_>, _>>()?;
        let accounts = keys
            .iter()
            .map(|key| GenesisAccount { address: key.address(), balance: Amount::ankr(1_000_000) });
        let genesis = Genesis {
            chain_id: 4_242,
            timestamp_ms: 1_700_000_000_000,
            params: Params::default(),
            treasury: Address::repeat_byte(0xee),
            faucet: None,
            validators: vec![Validator {
                public_key: SecretKey::from_seed(&[1; 32]).public_key(),
                account: Address::repeat_byte(0xcc),
                power: 1,
            }],
            accounts: accounts.collect(),
        };
        let mut state = MemoryState::default();
        state.apply(&genesis_changes(&genesis)?);
        let context = BlockContext {
            chain_id: genesis.chain_id,
            genesis: genesis.hash(),
            height: 1,
            timestamp_ms: genesis.timestamp_ms,
            proposer: Address::repeat_byte(0xcc),
            randomness: B256::ZERO,
            base_fee: 0,
            treasury: genesis.treasury,
            epoch: Arc::new(EpochConfig::genesis(&genesis, 0)?),
            attendance: Attendance::default(),
        };
        Ok(Self { genesis, state, context, keys })
    }

    fn signed(&self, sender: usize, nonce: u64, to: TxKind, input: Bytes) -> Option<Bytes> {
        let unsigned = UnsignedTransaction {
            chain_id: self.genesis.chain_id,
            nonce,
            gas_limit: if input.is_empty() { 21_000 } else { 200_000 },
            max_fee_per_gas: 1 << 60,
            max_priority_fee_per_gas: 1,
            to,
            value: U256::from(u8::from(input.is_empty())),
            input,
        };
        self.keys.get(sender).map(|key| unsigned.sign_eth(key))
    }

    fn block(&mut self, raw: Vec<Bytes>) -> Result<Execution, Failure> {
        let transactions: Vec<_> = raw
            .into_iter()
            .map(|raw| Transaction::decode(raw, self.genesis.chain_id).map(Arc::new))
            .collect();
        let input = BlockInput { context: &self.context, transactions: &transactions };
        let execution = execute(&self.state, &input)?;
        self.state.apply(&execution.changes);
        self.context.height += 1;
        Ok(execution)
    }
}

fn receiver(n: usize) -> Address {
    Address::from_word(alloy_primitives::keccak256(n.to_be_bytes()))
}

fn measure(
    chain: &mut Chain,
    kind: &str,
    raw: Vec<Bytes>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let started = Instant::now();
    let transactions: Vec<_> = raw
        .into_iter()
        .map(|raw| Transaction::decode(raw, chain.genesis.chain_id).map(Arc::new))
        .collect();
    let decoding = started.elapsed();
    let (mut executing, mut executed, mut gas) = (std::time::Duration::ZERO, 0, 0);
    for block in transactions.chunks(PER_BLOCK) {
        let input = BlockInput { context: &chain.context, transactions: block };
        let started = Instant::now();
        let execution = execute(&chain.state, &input)?;
        executing += started.elapsed();
        executed += execution.receipts.iter().filter(|receipt| receipt.success).count();
        gas += execution.gas_used;
        chain.state.apply(&execution.changes);
        chain.context.height += 1;
    }
    let rate = |count: usize, time: std::time::Duration| {
        (count as u128 * 1_000_000_000) / time.as_nanos().max(1)
    };
    writeln!(
        out,
        "{{\"bench\":\"{kind}\",\"transactions\":{},\"executed\":{executed},\"gas\":{gas},\"executed_per_s\":{},\"decoded_per_s\":{}}}",
        transactions.len(),
        rate(executed, executing),
        rate(transactions.len(), decoding),
    )?;
    Ok(())
}

fn main() -> Result<(), Failure> {
    let count: usize = std::env::args().nth(1).map_or(Ok(20_000), |text| text.parse())?;
    let mut out = std::io::stdout();
    let mut chain = Chain::new()?;
    let senders = chain.keys.len();
    let round = |n: usize| u64::try_from(n / senders);

    let mut raw = Vec::with_capacity(count);
    for n in 0..count {
        let to = TxKind::Call(receiver(n));
        raw.extend(chain.signed(n % senders, round(n)?, to, Bytes::new()));
    }
    measure(&mut chain, "transfers", raw, &mut out)?;

    let first = round(count.next_multiple_of(senders))?;
    let code = [&[0x61, 0, 51, 0x80, 0x60, 12, 0x5f, 0x39, 0x5f, 0xf3, 0, 0], &TOKEN[..]].concat();
    let creation = chain.signed(0, first, TxKind::Create, code.into());
    let created = chain.block(creation.into_iter().collect())?;
    let token = created.receipts.first().and_then(|receipt| receipt.contract);
    let token = token.ok_or("the token was not created")?;
    let mut raw = Vec::with_capacity(count);
    for n in 0..count {
        let nonce = first + round(n)? + u64::from(n % senders == 0);
        let mut input = receiver(n % 1_000).into_word().to_vec();
        input.extend(B256::with_last_byte(1));
        raw.extend(chain.signed(n % senders, nonce, TxKind::Call(token), input.into()));
    }
    measure(&mut chain, "token_transfers", raw, &mut out)
}
