//! Build one variant of a test's transaction for the machine.

use alloy_consensus::transaction::SignerRecoverable;
use alloy_eips::{
    eip2718::Decodable2718,
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization as Unsigned,
};
use alloy_primitives::{Address, TxKind, U8, U256};
use neura_runtime::ethereum::{Either, SignedAuthorization, TxEnv};
use neura_types::{keys::EthKey, transaction::TxEnvelope};

use super::{
    exception::Kind,
    fixture::{Authorization, Indexes, Post, Transaction},
};

/// The highest type that there is.
const LAST_TYPE: u8 = 4;
const BLOB_TYPE: u8 = 3;
const AUTHORIZING_TYPE: u8 = 4;

/// Why a variant is no transaction at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The test means it: the transaction breaks a rule of its encoding.
    Rejected(Kind, &'static str),
    /// The test is broken.
    Broken(String),
}

/// The transaction that a case runs.
pub(super) fn environment(
    transaction: &Transaction,
    at: Indexes,
    chain_id: u64,
) -> Result<TxEnv, Unfit> {
    let tx_type = type_of(transaction, at)?;
    let kind = recipient(transaction)?;
    if kind.is_create() && matches!(tx_type, BLOB_TYPE | AUTHORIZING_TYPE) {
        return Err(Unfit::Rejected(Kind::Creation, "this type of transaction creates nothing"));
    }
    let too_large = |what| Unfit::Rejected(Kind::Overflow, what);
    let nonce = transaction.nonce.word().and_then(|nonce| u64::try_from(nonce).ok());
    let value = *pick(&transaction.value, at.value, "value")?;
    let price = transaction.gas_price.or(transaction.max_fee_per_gas).unwrap_or_default();
    Ok(TxEnv {
        tx_type,
        caller: sender(transaction)?,
        gas_limit: pick(&transaction.gas_limit, at.gas, "gasLimit")?.saturated(u64::MAX),
        gas_price: price.saturated(u128::MAX),
        kind,
        value: value.word().ok_or(too_large("the value is past 2^256"))?,
        data: pick(&transaction.data, at.data, "data")?.0.clone(),
        nonce: nonce.ok_or(Unfit::Rejected(Kind::Nonce, "the nonce is past 2^64"))?,
        chain_id: Some(transaction.chain_id.map_or(chain_id, |id| id.saturated(u64::MAX))),
        access_list: access_list(transaction, at),
        gas_priority_fee: transaction.max_priority_fee_per_gas.map(|tip| tip.saturated(u128::MAX)),
        blob_hashes: transaction.blob_versioned_hashes.clone().unwrap_or_default(),
        max_fee_per_blob_gas: transaction
            .max_fee_per_blob_gas
            .map_or(0, |fee| fee.saturated(u128::MAX)),
        authorization_list: authorizations(transaction)?,
    })
}

fn pick<'a, T>(variants: &'a [T], index: usize, what: &str) -> Result<&'a T, Unfit> {
    variants.get(index).ok_or_else(|| {
        Unfit::Broken(format!("{what} has {} variants, none is number {index}", variants.len()))
    })
}

fn type_of(transaction: &Transaction, at: Indexes) -> Result<u8, Unfit> {
    let listed = transaction.access_lists.as_ref().and_then(|lists| lists.get(at.data));
    let by_fields = if transaction.authorization_list.is_some() {
        AUTHORIZING_TYPE
    } else if transaction.max_fee_per_blob_gas.is_some() {
        BLOB_TYPE
    } else if transaction.max_fee_per_gas.is_some() {
        2
    } else {
        u8::from(listed.is_some_and(Option::is_some))
    };
    let tx_type = transaction.tx_type.map_or(by_fields, |named| named.saturated(u8::MAX));
    if tx_type > LAST_TYPE {
        return Err(Unfit::Rejected(Kind::Type, "no transaction has this type"));
    }
    Ok(tx_type)
}

fn recipient(transaction: &Transaction) -> Result<TxKind, Unfit> {
    match transaction.to.0.len() {
        0 => Ok(TxKind::Create),
        20 => Ok(TxKind::Call(Address::from_slice(&transaction.to.0))),
        _ => Err(Unfit::Rejected(Kind::Encoding, "the recipient is no address")),
    }
}

fn sender(transaction: &Transaction) -> Result<Address, Unfit> {
    if let Some(sender) = transaction.sender {
        return Ok(sender);
    }
    let Some(secret) = transaction.secret_key else {
        return Err(Unfit::Rejected(Kind::Signature, "it is signed by nobody"));
    };
    let key = EthKey::from_bytes(secret.hash().0)
        .map_err(|error| Unfit::Broken(format!("secretKey: {error}")))?;
    Ok(key.address())
}

fn access_list(transaction: &Transaction, at: Indexes) -> AccessList {
    let variant = transaction.access_lists.as_ref().and_then(|lists| lists.get(at.data)?.as_ref());
    let items = variant.into_iter().flatten().map(|item| AccessListItem {
        address: item.address,
        storage_keys: item.storage_keys.iter().map(|key| key.hash()).collect(),
    });
    AccessList(items.collect())
}

type Authorized = Either<SignedAuthorization, neura_runtime::ethereum::RecoveredAuthorization>;

fn authorizations(transaction: &Transaction) -> Result<Vec<Authorized>, Unfit> {
    let list = transaction.authorization_list.iter().flatten();
    list.map(|entry| authorization(entry).map(Either::Left)).collect()
}

fn authorization(entry: &Authorization) -> Result<SignedAuthorization, Unfit> {
    let malformed = |what| Unfit::Rejected(Kind::Authorization, what);
    let word = |number: Option<U256>, what| number.ok_or(malformed(what));
    let parity = entry.y_parity.or(entry.v).unwrap_or_default().word();
    let parity = parity.and_then(|parity| u8::try_from(parity).ok());
    let nonce = entry.nonce.word().and_then(|nonce| u64::try_from(nonce).ok());
    let unsigned = Unsigned {
        chain_id: word(entry.chain_id.word(), "an authorization's chain id is past 2^256")?,
        address: entry.address,
        nonce: nonce.ok_or(malformed("an authorization's nonce is past 2^64"))?,
    };
    Ok(SignedAuthorization::new_unchecked(
        unsigned,
        parity.map(U8::from).ok_or(malformed("an authorization's parity is past 2^8"))?.to(),
        word(entry.r.word(), "an authorization's r is past 2^256")?,
        word(entry.s.word(), "an authorization's s is past 2^256")?,
    ))
}

/// What is wrong with a variant's signed bytes, which the fields do not show; nothing where a test has none.
pub(super) fn fault_of_bytes(post: &Post) -> Option<String> {
    match TxEnvelope::decode_2718_exact(&post.txbytes.as_ref()?.0) {
        Err(error) => Some(format!("it cannot be decoded: {error}")),
        Ok(envelope) => envelope.recover_signer().err().map(|error| error.to_string()),
    }
}
