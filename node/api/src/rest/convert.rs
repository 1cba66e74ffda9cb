//! Values of the backend as JSON bodies.

use neura_types::{
    Receipt, Transaction,
    rest::{
        BlockDetail, BlockExecution, BlockSummary, Finality, Inclusion, LogInfo, ReceiptInfo,
        TransactionInfo, Wei,
    },
};

use crate::{
    backend::{BlockHead, BlockView, Included, TransactionView},
    revert,
};

pub(super) fn block_summary(head: &BlockHead) -> BlockSummary {
    let header = &head.header;
    BlockSummary {
        id: head.id,
        height: header.height,
        parent: header.parent,
        view: header.view,
        epoch: header.epoch,
        proposer: header.proposer,
        proposer_account: head.proposer,
        timestamp_ms: header.timestamp_ms,
        beacon: header.beacon.value,
        transactions: head.transactions,
        size: head.size,
        finality: head.finality,
        execution: head.executed.as_ref().map(|executed| BlockExecution {
            state_root: executed.root.state_root,
            receipts_root: executed.root.receipts_root,
            gas_used: executed.root.gas_used,
            gas_limit: executed.gas_limit,
            base_fee_per_gas: u128::from(executed.base_fee).into(),
        }),
    }
}

pub(super) fn block_detail(view: &BlockView) -> BlockDetail {
    BlockDetail {
        block: block_summary(&view.head),
        certifies: view.head.header.executed,
        transaction_hashes: view.transactions.iter().map(|tx| tx.hash).collect(),
    }
}

pub(super) fn transaction(view: TransactionView) -> TransactionInfo {
    let Transaction { hash, sender, tx_type, nonce, gas_limit, to, value, input, .. } =
        view.transaction;
    TransactionInfo {
        hash,
        tx_type,
        from: sender,
        to: to.to().copied(),
        nonce,
        value: Wei(value),
        gas_limit,
        max_fee_per_gas: view.transaction.max_fee_per_gas.into(),
        max_priority_fee_per_gas: view.transaction.max_priority_fee_per_gas.into(),
        input,
        finality: view.included.as_ref().map_or(Finality::Pending, |place| place.finality),
        inclusion: view.included.as_ref().map(inclusion),
        receipt: view.included.and_then(|place| place.receipt).map(receipt),
    }
}

fn inclusion(place: &Included) -> Inclusion {
    Inclusion {
        block: place.block,
        height: place.height,
        index: place.index,
        timestamp_ms: place.timestamp_ms,
    }
}

fn receipt(receipt: Receipt) -> ReceiptInfo {
    let log = |log: neura_types::Log| LogInfo {
        address: log.address,
        topics: log.topics,
        data: log.data,
    };
    ReceiptInfo {
        success: receipt.success,
        gas_used: receipt.gas_used,
        effective_gas_price: Wei(receipt.effective_gas_price),
        contract: receipt.contract,
        logs: receipt.logs.into_iter().map(log).collect(),
        revert_reason: revert::reason(&receipt.revert_data),
        revert_data: receipt.revert_data,
    }
}
