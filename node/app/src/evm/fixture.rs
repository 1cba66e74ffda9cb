//! The JSON of state tests.

use std::{collections::BTreeMap, fmt};

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, Visitor},
};
use serde_json::value::{RawValue, Value};

/// The tests of a file, by name; their text, as one is read at a time.
pub(super) type Suite<'a> = BTreeMap<String, &'a RawValue>;

/// Which parts a test has, by which its kind is told.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Parts {
    #[serde(default, rename = "_info")]
    info: Value,
    env: Option<IgnoredAny>,
    transaction: Option<IgnoredAny>,
    post: Option<IgnoredAny>,
    blocks: Option<IgnoredAny>,
    vectors: Option<IgnoredAny>,
    result: Option<IgnoredAny>,
    /// Of tests before their results are filled in.
    expect: Option<IgnoredAny>,
}

/// What an entry of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// A state test, be it a broken one.
    State,
    /// A test of something else, or one whose results are not filled in.
    Other,
    /// JSON that is no test.
    None,
}

impl Parts {
    /// The kind of an entry, by its text.
    pub(super) fn entry_of(text: &str) -> Entry {
        let parts: Self = serde_json::from_str(text).unwrap_or_default();
        let format = parts.info.get("fixture-format").or(parts.info.get("fixture_format"));
        let others = [&parts.blocks, &parts.vectors, &parts.result, &parts.expect];
        let own = [&parts.env, &parts.transaction, &parts.post];
        let has_any = |these: &[&Option<IgnoredAny>]| these.iter().any(|part| part.is_some());
        match format.and_then(Value::as_str) {
            _ if parts.transaction.is_some() && parts.post.is_some() => Entry::State,
            Some("state_test") => Entry::State,
            Some(_) => Entry::Other,
            None if has_any(&others) => Entry::Other,
            None if has_any(&own) => Entry::State,
            None => Entry::None,
        }
    }
}

/// A transaction in variants, with what each must lead to under each fork.
#[derive(Debug, Deserialize)]
pub(super) struct Unit {
    pub(super) env: Env,
    pub(super) pre: BTreeMap<Address, Account>,
    pub(super) transaction: Transaction,
    pub(super) post: BTreeMap<String, Vec<Post>>,
    #[serde(default)]
    pub(super) config: Config,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Config {
    #[serde(alias = "chainId")]
    pub(super) chainid: Option<Quantity>,
    #[serde(default)]
    pub(super) blob_schedule: BTreeMap<String, BlobSchedule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlobSchedule {
    #[serde(default)]
    pub(super) target: Quantity,
    pub(super) max: Quantity,
    pub(super) base_fee_update_fraction: Quantity,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Env {
    #[serde(rename = "currentChainID")]
    pub(super) current_chain_id: Option<Quantity>,
    pub(super) current_coinbase: Address,
    #[serde(default)]
    pub(super) current_difficulty: Quantity,
    pub(super) current_gas_limit: Quantity,
    pub(super) current_number: Quantity,
    pub(super) current_timestamp: Quantity,
    pub(super) current_base_fee: Option<Quantity>,
    pub(super) current_random: Option<Quantity>,
    pub(super) current_excess_blob_gas: Option<Quantity>,
    pub(super) parent_excess_blob_gas: Option<Quantity>,
    pub(super) parent_blob_gas_used: Option<Quantity>,
    #[serde(alias = "currentSlotNumber")]
    pub(super) slot_number: Option<Quantity>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Account {
    pub(super) balance: Quantity,
    #[serde(default)]
    pub(super) code: Data,
    pub(super) nonce: Quantity,
    #[serde(default)]
    pub(super) storage: BTreeMap<Quantity, Quantity>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transaction {
    #[serde(rename = "type")]
    pub(super) tx_type: Option<Quantity>,
    pub(super) chain_id: Option<Quantity>,
    pub(super) data: Vec<Data>,
    pub(super) gas_limit: Vec<Quantity>,
    pub(super) value: Vec<Quantity>,
    pub(super) gas_price: Option<Quantity>,
    pub(super) nonce: Quantity,
    pub(super) secret_key: Option<Quantity>,
    pub(super) sender: Option<Address>,
    /// Empty for a creation.
    #[serde(default)]
    pub(super) to: Data,
    pub(super) max_fee_per_gas: Option<Quantity>,
    pub(super) max_priority_fee_per_gas: Option<Quantity>,
    #[serde(default)]
    pub(super) access_lists: Option<Vec<Option<Vec<AccessListItem>>>>,
    pub(super) authorization_list: Option<Vec<Authorization>>,
    pub(super) blob_versioned_hashes: Option<Vec<B256>>,
    pub(super) max_fee_per_blob_gas: Option<Quantity>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessListItem {
    pub(super) address: Address,
    pub(super) storage_keys: Vec<Quantity>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Authorization {
    pub(super) chain_id: Quantity,
    pub(super) address: Address,
    pub(super) nonce: Quantity,
    pub(super) v: Option<Quantity>,
    pub(super) y_parity: Option<Quantity>,
    pub(super) r: Quantity,
    pub(super) s: Quantity,
}

/// What one variant of the transaction must lead to.
#[derive(Debug, Deserialize)]
pub(super) struct Post {
    pub(super) hash: B256,
    /// Hash of the logs; the oldest tests have none.
    pub(super) logs: Option<B256>,
    pub(super) indexes: Indexes,
    #[serde(default, rename = "expectException")]
    pub(super) expect_exception: Option<String>,
    #[serde(default)]
    pub(super) txbytes: Option<Data>,
    /// All accounts afterwards, where a test lists them.
    #[serde(default)]
    pub(super) state: Option<BTreeMap<Address, Account>>,
}

/// Which variant.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Indexes {
    pub(super) data: usize,
    pub(super) gas: usize,
    pub(super) value: usize,
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{} g{} v{}", self.data, self.gas, self.value)
    }
}

/// A number: hexadecimal after `0x`, else decimal; none if it is too large for 256 bits, as some tests want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Quantity(Option<U256>);

impl Default for Quantity {
    fn default() -> Self {
        Self(Some(U256::ZERO))
    }
}

impl Quantity {
    /// The number, if it fits.
    pub(super) fn word(self) -> Option<U256> {
        self.0
    }

    /// The number, or the highest of the type.
    pub(super) fn saturated<N: TryFrom<U256>>(self, highest: N) -> N {
        self.0.and_then(|word| N::try_from(word).ok()).unwrap_or(highest)
    }

    /// The number as a word of 32 bytes; the highest if it does not fit.
    pub(super) fn hash(self) -> B256 {
        B256::from(self.0.unwrap_or(U256::MAX))
    }

    fn parse(text: &str) -> Result<Self, String> {
        // Written so that the tools that fill tests do not shorten it.
        let text = text.strip_prefix("0x:bigint ").unwrap_or(text);
        let (digits, radix) = match text.strip_prefix("0x") {
            // The oldest tests leave zeros out altogether.
            Some("") => return Ok(Self::default()),
            None if text.is_empty() => return Ok(Self::default()),
            Some(digits) => (digits, 16),
            None => (text, 10),
        };
        if !digits.chars().all(|digit| digit.is_digit(radix)) {
            return Err(format!("{text:?} is no number"));
        }
        Ok(Self(U256::from_str_radix(digits, u64::from(radix)).ok()))
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, decimal or hexadecimal")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Quantity, E> {
                Quantity::parse(text).map_err(E::custom)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(Some(U256::from(number))))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// Bytes in hexadecimal; none where the text is empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Data(pub(super) Bytes);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        let bytes =
            hex::decode(text.strip_prefix("0x").unwrap_or(&text)).map_err(D::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}
