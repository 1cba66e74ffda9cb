//! Put a simulated block together in Ethereum's form: header, transactions without signatures, roots, hash.

use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, Eip658Value, Header, Receipt, ReceiptEnvelope, ReceiptWithBloom,
    SignableTransaction, TxEip1559, TxEip4844, TxEip7702, TxEnvelope, TxLegacy, Typed2718,
    proofs::{calculate_receipt_root, calculate_withdrawals_root},
};
use alloy_eips::{eip2718::Encodable2718, eip4844::DATA_GAS_PER_BLOB, eip4895::Withdrawal};
use alloy_primitives::{
    Address, B64, B256, Bloom, Bytes, Log as EvmLog, LogData, Signature, TxKind, U256, b256,
    keccak256,
};
use alloy_trie::root::ordered_trie_root_encoded;
use neura_types::{
    Log, Transaction,
    simulation::{BlockOverrides, CallRequest, CallStatus, SimulatedBlock, SimulatedCall},
    transaction::TxSignature,
};

use revm::primitives::hardfork::SpecId;

use super::{Planned, SimulationParent};

/// Hash of no requests (EIP-7685): sha256 of nothing.
const NO_REQUESTS: B256 = b256!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

/// What is known of a header before its calls run.
pub(super) fn draft(parent: &SimulationParent, planned: &Planned<'_>, validates: bool) -> Header {
    let changed = &planned.overrides.block;
    let before = &parent.header;
    // Without validation no fee is asked for, unless the caller says so.
    let base_fee = if validates { parent.next_base_fee } else { 0 };
    Header {
        parent_hash: parent.hash,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: changed.fee_recipient.unwrap_or(before.beneficiary),
        number: planned.number,
        gas_limit: changed.gas_limit.unwrap_or(before.gas_limit),
        timestamp: planned.time,
        mix_hash: changed.prev_randao.unwrap_or_default(),
        nonce: B64::ZERO,
        base_fee_per_gas: Some(changed.base_fee.unwrap_or(base_fee)),
        ..Header::default()
    }
}

/// What Ethereum's headers have and ours do not.
pub(super) fn add_ethereum_fields(
    header: &mut Header,
    parent: &SimulationParent,
    planned: &Planned<'_>,
    spec: SpecId,
) {
    let changed = &planned.overrides.block;
    if spec.is_enabled_in(SpecId::SHANGHAI) {
        let withdrawals = changed.withdrawals.clone().unwrap_or_default();
        header.withdrawals_root = Some(calculate_withdrawals_root(&withdrawals));
    }
    if spec.is_enabled_in(SpecId::CANCUN) {
        header.parent_beacon_block_root = Some(changed.beacon_root.unwrap_or_default());
        let excess = parent.header.next_block_excess_blob_gas(parent.blobs);
        header.excess_blob_gas = Some(excess.unwrap_or_default());
        header.blob_gas_used = Some(0);
    }
    if spec.is_enabled_in(SpecId::PRAGUE) {
        header.requests_hash = Some(NO_REQUESTS);
    }
}

/// A header in the terms in which the machine's block is set.
pub(super) fn as_overrides(header: &Header) -> BlockOverrides {
    BlockOverrides {
        number: Some(header.number),
        time: Some(header.timestamp),
        gas_limit: Some(header.gas_limit),
        fee_recipient: Some(header.beneficiary),
        prev_randao: Some(header.mix_hash),
        base_fee: header.base_fee_per_gas,
        ..BlockOverrides::default()
    }
}

/// A block's transactions and what they did.
pub(super) struct Body {
    pub(super) gas_used: u64,
    pub(super) withdrawals: Vec<Withdrawal>,
    blob_gas: u64,
    transactions: Vec<Transaction>,
    receipts: Vec<ReceiptEnvelope>,
    calls: Vec<SimulatedCall>,
}

impl Body {
    pub(super) fn new(withdrawals: Vec<Withdrawal>) -> Self {
        Self {
            gas_used: 0,
            withdrawals,
            blob_gas: 0,
            transactions: Vec::new(),
            receipts: Vec::new(),
            calls: Vec::new(),
        }
    }

    /// Adds a call that ran; `logs` are those that its receipt has.
    pub(super) fn add(
        &mut self,
        call: &CallRequest,
        chain_id: u64,
        did: SimulatedCall,
        logs: Vec<Log>,
    ) {
        let blobs = u64::try_from(call.blob_hashes.len()).unwrap_or(u64::MAX);
        self.gas_used = self.gas_used.saturating_add(did.gas_used);
        self.blob_gas = self.blob_gas.saturating_add(blobs.saturating_mul(DATA_GAS_PER_BLOB));
        let transaction = unsigned(call, chain_id);
        let receipt = Receipt {
            status: Eip658Value::Eip658(did.status == CallStatus::Success),
            cumulative_gas_used: self.gas_used,
            logs: logs.into_iter().map(evm_log).collect(),
        };
        self.receipts.push(envelope(transaction.tx_type, receipt.with_bloom()));
        self.transactions.push(transaction);
        self.calls.push(did);
    }

    /// The block, with a header whose state root is set.
    pub(super) fn assemble(self, mut header: Header) -> SimulatedBlock {
        let raw: Vec<&Bytes> = self.transactions.iter().map(|tx| &tx.raw).collect();
        header.gas_used = self.gas_used;
        header.transactions_root = ordered_trie_root_encoded(&raw);
        header.receipts_root = calculate_receipt_root(&self.receipts);
        header.logs_bloom =
            self.receipts.iter().fold(Bloom::ZERO, |all, receipt| all | *receipt.logs_bloom());
        header.blob_gas_used = header.blob_gas_used.map(|_| self.blob_gas);
        let hash = header.hash_slow();
        let size = size(&header, &self.transactions, &self.withdrawals);
        SimulatedBlock {
            header,
            hash,
            size,
            transactions: self.transactions,
            calls: self.calls,
            withdrawals: self.withdrawals,
        }
    }
}

fn evm_log(log: Log) -> EvmLog {
    EvmLog { address: log.address, data: LogData::new_unchecked(log.topics, log.data) }
}

fn envelope(tx_type: u8, receipt: ReceiptWithBloom<Receipt>) -> ReceiptEnvelope {
    match tx_type {
        0 => ReceiptEnvelope::Legacy(receipt),
        3 => ReceiptEnvelope::Eip4844(receipt),
        4 => ReceiptEnvelope::Eip7702(receipt),
        _ => ReceiptEnvelope::Eip1559(receipt),
    }
}

/// Bytes of the block as Ethereum encodes it.
fn size(header: &Header, transactions: &[Transaction], withdrawals: &[Withdrawal]) -> u64 {
    use alloy_rlp::{Encodable, length_of_length};
    let list = |payload: usize| payload.saturating_add(length_of_length(payload));
    // A typed transaction stands in a block as a string of bytes, a legacy one as the list that it is.
    let bodies = transactions.iter().map(|tx| match tx.tx_type {
        0 => tx.raw.len(),
        _ => tx.raw.length(),
    });
    let bodies = list(bodies.fold(0, usize::saturating_add));
    let no_uncles = 1;
    let mut payload = header.length().saturating_add(bodies).saturating_add(no_uncles);
    if header.withdrawals_root.is_some() {
        let all = withdrawals.iter().map(Encodable::length).fold(0, usize::saturating_add);
        payload = payload.saturating_add(list(all));
    }
    u64::try_from(list(payload)).unwrap_or(u64::MAX)
}

/// A call as the transaction that it would be, without a signature.
fn unsigned(call: &CallRequest, chain_id: u64) -> Transaction {
    let (tx_type, raw) = if call.has_gas_price { (0, legacy(call)) } else { typed(call, chain_id) };
    let max_fee_per_gas = call.max_fee_per_gas.unwrap_or(0);
    Transaction {
        hash: keccak256(&raw),
        raw: raw.into(),
        sender: call.from.unwrap_or(Address::ZERO),
        tx_type,
        chain_id,
        nonce: call.nonce.unwrap_or(0),
        gas_limit: call.gas.unwrap_or(0),
        max_fee_per_gas,
        max_priority_fee_per_gas: match tx_type {
            0 => max_fee_per_gas,
            _ => call.max_priority_fee_per_gas.unwrap_or(0),
        },
        to: call.to.map_or(TxKind::Create, TxKind::Call),
        value: call.value,
        input: call.input.clone(),
        access_list: call.access_list.clone(),
        delegations: Vec::new(),
        signature: TxSignature::Secp256k1(no_signature()),
    }
}

fn no_signature() -> Signature {
    Signature::new(U256::ZERO, U256::ZERO, false)
}

/// What is signed of a legacy transaction ends in a chain and two zeros, where v, r and s go: with chain 0, in zeros.
fn legacy(call: &CallRequest) -> Vec<u8> {
    let transaction = TxLegacy {
        chain_id: Some(0),
        nonce: call.nonce.unwrap_or(0),
        gas_price: call.max_fee_per_gas.unwrap_or(0),
        gas_limit: call.gas.unwrap_or(0),
        to: call.to.map_or(TxKind::Create, TxKind::Call),
        value: call.value,
        input: call.input.clone(),
    };
    transaction.encoded_for_signing()
}

fn typed(call: &CallRequest, chain_id: u64) -> (u8, Vec<u8>) {
    let fees = TxEip1559 {
        chain_id,
        nonce: call.nonce.unwrap_or(0),
        gas_limit: call.gas.unwrap_or(0),
        max_fee_per_gas: call.max_fee_per_gas.unwrap_or(0),
        max_priority_fee_per_gas: call.max_priority_fee_per_gas.unwrap_or(0),
        to: call.to.map_or(TxKind::Create, TxKind::Call),
        value: call.value,
        access_list: call.access_list.clone(),
        input: call.input.clone(),
    };
    let envelope: TxEnvelope = match (call.blob_hashes.is_empty(), call.authorizations.is_empty()) {
        (true, true) => fees.into_signed(no_signature()).into(),
        (true, false) => authorizing(fees, call).into_signed(no_signature()).into(),
        (false, _) => with_blobs(fees, call).into_signed(no_signature()).into(),
    };
    (envelope.ty(), envelope.encoded_2718())
}

fn authorizing(fees: TxEip1559, call: &CallRequest) -> TxEip7702 {
    TxEip7702 {
        chain_id: fees.chain_id,
        nonce: fees.nonce,
        gas_limit: fees.gas_limit,
        max_fee_per_gas: fees.max_fee_per_gas,
        max_priority_fee_per_gas: fees.max_priority_fee_per_gas,
        to: call.to.unwrap_or(Address::ZERO),
        value: fees.value,
        access_list: fees.access_list,
        authorization_list: call.authorizations.clone(),
        input: fees.input,
    }
}

fn with_blobs(fees: TxEip1559, call: &CallRequest) -> TxEip4844 {
    TxEip4844 {
        chain_id: fees.chain_id,
        nonce: fees.nonce,
        gas_limit: fees.gas_limit,
        max_fee_per_gas: fees.max_fee_per_gas,
        max_priority_fee_per_gas: fees.max_priority_fee_per_gas,
        to: call.to.unwrap_or(Address::ZERO),
        value: fees.value,
        access_list: fees.access_list,
        blob_versioned_hashes: call.blob_hashes.clone(),
        max_fee_per_blob_gas: call.max_fee_per_blob_gas.unwrap_or(0),
        input: fees.input,
    }
}
