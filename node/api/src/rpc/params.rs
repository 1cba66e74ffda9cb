//! Decode positional parameters.

use std::fmt;

use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::SignedAuthorization,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use neura_types::{Height, simulation::CallRequest};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    error::{RpcError, RpcResult},
    evm::Spent,
};
use crate::{
    backend::BlockRef,
    limits::{MAX_CALL_GAS, MAX_PARAMS},
};

/// The parameters of one call.
#[derive(Debug, Default)]
pub(crate) struct Params<'a> {
    items: Vec<&'a RawValue>,
    /// How many were sent: no more are held than any method takes.
    count: usize,
    spent: Spent,
}

impl<'a> Params<'a> {
    /// Reads the `params` member: an array, or nothing.
    pub(crate) fn read(raw: Option<&'a RawValue>) -> RpcResult<Self> {
        match raw.map(RawValue::get) {
            None | Some("null") => Ok(Self::default()),
            Some(text) => serde_json::from_str::<FirstOf<'a, MAX_PARAMS>>(text)
                .map(|FirstOf { items, count }| Self { items, count, spent: Spent::default() })
                .map_err(|_| {
                    let wanted = "the values in their order, without names";
                    RpcError::params(format!("non-array args: params must be an array: {wanted}"))
                }),
        }
    }

    /// Refuses more than a method takes, as geth does: what would be ignored may have meant something.
    pub(crate) fn check_count(&self, most: usize) -> RpcResult<()> {
        if self.count > most {
            return Err(RpcError::params(format!("too many arguments, want at most {most}")));
        }
        Ok(())
    }

    /// A parameter that must be there.
    pub(crate) fn required<T: DeserializeOwned>(&self, index: usize, name: &str) -> RpcResult<T> {
        self.optional(index, name)?.ok_or_else(|| {
            RpcError::params(format!("missing value for required argument {index} ({name})"))
        })
    }

    /// A parameter that may be left out or null.
    pub(crate) fn optional<T: DeserializeOwned>(
        &self,
        index: usize,
        name: &str,
    ) -> RpcResult<Option<T>> {
        let Some(raw) = self.items.get(index) else { return Ok(None) };
        serde_json::from_str(raw.get()).map_err(|error| {
            RpcError::params(format!("invalid argument {index} ({name}): {error}"))
        })
    }

    /// What is called together draws on one account of time.
    pub(super) fn drawing_on(mut self, spent: &Spent) -> Self {
        self.spent = spent.clone();
        self
    }

    /// The account of time.
    pub(super) fn spent(&self) -> &Spent {
        &self.spent
    }

    /// Whether the block is named as a method's own name says: by its hash, or by its number or a tag.
    pub(crate) fn check_block_of(&self, method: &str) -> RpcResult<()> {
        let named = |parts: &[&str]| parts.iter().any(|part| method.contains(part));
        if named(&["BlockByHash", "HeaderByHash", "ByBlockHash", "CountByHash", "DetailsByHash"]) {
            self.required::<B256>(0, "blockHash")?;
        } else if named(&["BlockByNumber", "HeaderByNumber", "ByBlockNumber", "CountByNumber"])
            && matches!(self.optional(0, "blockNumber")?, Some(BlockId(BlockRef::Id(_))))
        {
            let text = "invalid argument 0 (blockNumber): a hash, where a number of at most 64 bits or a tag is due";
            return Err(RpcError::params(text));
        }
        Ok(())
    }

    /// The block that a state method asks for; latest if it is left out.
    pub(crate) fn block(&self, index: usize) -> RpcResult<BlockId> {
        Ok(self.optional(index, "block")?.unwrap_or(BlockId::LATEST))
    }
}

/// The first `N` values of an array, borrowed, and how many it has: longer ones are counted, not held.
#[derive(Debug)]
pub(crate) struct FirstOf<'a, const N: usize> {
    pub(crate) items: Vec<&'a RawValue>,
    pub(crate) count: usize,
}

impl<'de: 'a, 'a, const N: usize> Deserialize<'de> for FirstOf<'a, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<const N: usize>;
        impl<'de, const N: usize> Visitor<'de> for Items<N> {
            type Value = (Vec<&'de RawValue>, usize);

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let (mut items, mut count) = (Vec::new(), 0usize);
                while items.len() < N
                    && let Some(item) = seq.next_element()?
                {
                    items.push(item);
                    count += 1;
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok((items, count))
            }
        }
        let (items, count) = deserializer.deserialize_seq(Items::<N>)?;
        Ok(Self { items, count })
    }
}

/// A number: `0x` and digits as Ethereum writes it, or a JSON number as some tools send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantity(pub(crate) U256);

impl Quantity {
    /// As 64 bits.
    pub(crate) fn to_u64(self) -> RpcResult<u64> {
        u64::try_from(self.0)
            .map_err(|_| RpcError::params(format!("{:#x} is above 2^64-1", self.0)))
    }

    /// As 128 bits.
    pub(crate) fn to_u128(self) -> RpcResult<u128> {
        u128::try_from(self.0)
            .map_err(|_| RpcError::params(format!("{:#x} is above 2^128-1", self.0)))
    }
}

/// Reads `0x` and 1 to 64 hexadecimal digits.
pub(crate) fn hex_number(text: &str) -> Option<U256> {
    let digits = text.strip_prefix("0x")?;
    let well_formed =
        (1..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if well_formed { U256::from_str_radix(digits, 16).ok() } else { None }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number in hexadecimal with 0x, of at most 256 bits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                hex_number(text)
                    .map(Quantity)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Other("text"), &self))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(U256::from(number)))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// Length of a hash in hexadecimal with 0x.
const HASH_TEXT: usize = 66;

/// A block as a caller names it: a tag, a height, a hash, or an EIP-1898 object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockId(BlockRef);

impl BlockId {
    /// The highest executed block.
    pub(crate) const LATEST: Self = Self(BlockRef::Latest);

    /// In the backend's terms.
    pub(crate) fn to_ref(self) -> BlockRef {
        self.0
    }

    fn from_text(text: &str) -> Option<BlockRef> {
        match text {
            // Blocks are final when they are ordered, and nothing is shown before.
            "latest" | "safe" | "finalized" => Some(BlockRef::Latest),
            "pending" => Some(BlockRef::Pending),
            "earliest" => Some(BlockRef::Height(0)),
            // All 32 bytes are a hash; a height above 2^64 is one that no block has.
            _ => hex_number(text).map(|number| match text.len() == HASH_TEXT {
                true => BlockRef::Id(B256::from(number)),
                false => BlockRef::Height(Height::try_from(number).unwrap_or(Height::MAX)),
            }),
        }
    }
}

impl<'de> Deserialize<'de> for BlockId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Object {
            block_hash: Option<B256>,
            block_number: Option<String>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Number(u64),
            Object(Object),
        }
        const EXPECTED: &str = "a block is latest, safe, finalized, pending, earliest, a number in \
                                hexadecimal, or {\"blockHash\": …} or {\"blockNumber\": …}";
        let wrong = || de::Error::custom(EXPECTED);
        let block = match Form::deserialize(deserializer).map_err(|_| wrong())? {
            Form::Text(text) => Self::from_text(&text),
            Form::Number(number) => Some(BlockRef::Height(number)),
            Form::Object(Object { block_hash: Some(hash), block_number: None }) => {
                Some(BlockRef::Id(hash))
            }
            Form::Object(Object { block_hash: None, block_number: Some(text) }) => {
                Self::from_text(&text)
            }
            Form::Object(_) => None,
        };
        block.map(Self).ok_or_else(wrong)
    }
}

/// A call or the draft of a transaction. Members that are not known are ignored, as geth does.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CallParams {
    from: Option<Address>,
    to: Option<Address>,
    gas: Option<Quantity>,
    gas_price: Option<Quantity>,
    max_fee_per_gas: Option<Quantity>,
    max_priority_fee_per_gas: Option<Quantity>,
    value: Option<Quantity>,
    nonce: Option<Quantity>,
    data: Option<Bytes>,
    input: Option<Bytes>,
    access_list: Option<Vec<AccessItem>>,
    chain_id: Option<Quantity>,
    blob_versioned_hashes: Option<Vec<B256>>,
    max_fee_per_blob_gas: Option<Quantity>,
    authorization_list: Option<Vec<SignedAuthorization>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessItem {
    address: Address,
    #[serde(default)]
    storage_keys: Vec<B256>,
}

impl CallParams {
    /// Whether it states two kinds of input that differ.
    pub(crate) fn contradicts_itself(&self) -> bool {
        matches!((&self.data, &self.input), (Some(data), Some(input)) if data != input)
    }

    /// In the backend's terms, with gas capped.
    pub(crate) fn into_request(self, chain_id: u64) -> RpcResult<CallRequest> {
        if let Some(got) = self.chain_id
            && got.0 != U256::from(chain_id)
        {
            let text = format!("chainId does not match node's (have={}, want={chain_id})", got.0);
            return Err(RpcError::params(text));
        }
        if self.gas_price.is_some()
            && (self.max_fee_per_gas.is_some() || self.max_priority_fee_per_gas.is_some())
        {
            return Err(RpcError::params(
                "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
            ));
        }
        let number = |given: Option<Quantity>| given.map(Quantity::to_u128).transpose();
        let gas = self.gas.map(|gas| gas.to_u64().unwrap_or(MAX_CALL_GAS).min(MAX_CALL_GAS));
        let item = |item: AccessItem| AccessListItem {
            address: item.address,
            storage_keys: item.storage_keys,
        };
        Ok(CallRequest {
            from: self.from,
            to: self.to,
            gas,
            max_fee_per_gas: number(self.max_fee_per_gas.or(self.gas_price))?,
            max_priority_fee_per_gas: number(self.max_priority_fee_per_gas.or(self.gas_price))?,
            has_gas_price: self.gas_price.is_some(),
            max_fee_per_blob_gas: number(self.max_fee_per_blob_gas)?,
            blob_hashes: self.blob_versioned_hashes.unwrap_or_default(),
            authorizations: self.authorization_list.unwrap_or_default(),
            value: self.value.map_or(U256::ZERO, |value| value.0),
            input: self.input.or(self.data).unwrap_or_default(),
            nonce: self.nonce.map(Quantity::to_u64).transpose()?,
            access_list: AccessList(
                self.access_list.unwrap_or_default().into_iter().map(item).collect(),
            ),
        })
    }
}

#[cfg(test)]
mod tests;
