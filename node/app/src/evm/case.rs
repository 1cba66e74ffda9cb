//! Run one variant of a test's transaction under one fork, and judge it.

use alloy_primitives::U256;
use neura_runtime::ethereum::{
    BlobExcessGasAndPrice, BlockEnv, Ethereum, Rejection, Rules, SpecId, World,
};

use super::{
    exception::{Kind, is_expected, is_named},
    fixture::{Account, Config, Env, Post, Quantity, Transaction},
    fork::{Blobs, Fork},
    transaction::{Unfit, environment, fault_of_bytes},
};

/// The parts of a test that its variants share.
pub(super) struct Setting<'a> {
    pub(super) ethereum: &'a Ethereum,
    pub(super) env: &'a Env,
    pub(super) config: &'a Config,
    pub(super) transaction: &'a Transaction,
    pub(super) before: &'a World,
}

/// The accounts that a test begins with.
pub(super) fn world<'a>(
    accounts: impl IntoIterator<Item = (&'a alloy_primitives::Address, &'a Account)>,
) -> Result<World, String> {
    let mut world = World::default();
    for (address, account) in accounts {
        let past = |what: &str| format!("pre: {what} of {address} is past its type");
        let nonce = account.nonce.word().and_then(|nonce| u64::try_from(nonce).ok());
        let nonce = nonce.ok_or_else(|| past("the nonce"))?;
        let balance = account.balance.word().ok_or_else(|| past("the balance"))?;
        let words = account.storage.iter().map(|(slot, value)| slot.word().zip(value.word()));
        let storage = words.collect::<Option<_>>().ok_or_else(|| past("the storage"))?;
        world.insert(*address, (nonce, balance), account.code.0.clone(), storage);
    }
    Ok(world)
}

impl Setting<'_> {
    /// Runs and judges one variant.
    ///
    /// # Errors
    /// A sentence that says what is not as expected.
    pub(super) fn judge(&self, fork: &Fork, fork_name: &str, post: &Post) -> Result<(), String> {
        let chain_id = self.config.chainid.or(self.env.current_chain_id);
        let chain_id = chain_id.map_or(1, |id| id.saturated(u64::MAX));
        let blobs = self.blobs(fork, fork_name);
        let rules = Rules { spec: fork.spec, chain_id, max_blobs: fork.max_blobs(blobs) };
        let transaction = match environment(self.transaction, post.indexes, chain_id) {
            Ok(transaction) => transaction,
            Err(Unfit::Rejected(kind, why)) => return self.rejected(post, kind, why),
            Err(Unfit::Broken(why)) => return Err(why),
        };
        let block = self.block(fork.spec, blobs);
        match self.ethereum.transact(self.before, &rules, block, transaction) {
            Err(Rejection::Transaction(error)) => {
                self.rejected(post, Kind::of(&error), &error.to_string())
            }
            Err(other) => Err(other.to_string()),
            Ok(outcome) => {
                if let Some(expected) = &post.expect_exception {
                    return match fault_of_bytes(post) {
                        Some(fault) => self
                            .rejected(post, Kind::Encoding, &fault)
                            .or_else(|_| self.rejected(post, Kind::Signature, &fault)),
                        None if self.is_unsigned(post) && is_named(Kind::Signature, expected) => {
                            self.rejected(post, Kind::Signature, "it is signed by nobody")
                        }
                        None => Err(format!(
                            "{expected} was expected, the transaction ran ({}, {} gas)",
                            outcome.ending, outcome.gas_used
                        )),
                    };
                }
                let how = format!("({}, {} gas)", outcome.ending, outcome.gas_used);
                let logs = outcome.logs_hash();
                if let Some(expected) = post.logs.filter(|expected| *expected != logs) {
                    return Err(format!("the logs hash to {logs}, not {expected} {how}"));
                }
                let root = outcome.world.root();
                if root != post.hash {
                    return Err(format!("the state root is {root}, not {} {how}", post.hash));
                }
                Ok(())
            }
        }
    }

    /// Whether nothing shows that the sender signed a variant.
    fn is_unsigned(&self, post: &Post) -> bool {
        post.txbytes.is_none() && self.transaction.secret_key.is_none()
    }

    /// Judges a rejection: it is expected, and changes nothing.
    fn rejected(&self, post: &Post, kind: Kind, why: &str) -> Result<(), String> {
        let Some(expected) = &post.expect_exception else {
            return Err(format!("the transaction was rejected: {why}"));
        };
        if !is_expected(kind, expected) {
            return Err(format!("{expected} was expected, the transaction was rejected: {why}"));
        }
        // Old tests without the accounts were filled with a whole block, whose own effects their root contains.
        let Some(state) = &post.state else { return Ok(()) };
        let root = self.before.root();
        if root != post.hash && world(state)?.root() != post.hash {
            return Err(format!(
                "a rejected transaction leaves the state root at {root}, not {}",
                post.hash
            ));
        }
        Ok(())
    }

    /// The blobs of a fork: as the test's schedule has them, or as the fork has.
    fn blobs(&self, fork: &Fork, fork_name: &str) -> Option<Blobs> {
        let schedule = &self.config.blob_schedule;
        let own = schedule.get(fork_name).or_else(|| schedule.get(fork.name));
        let own = own.map(|own| Blobs {
            target: own.target.saturated(u64::MAX),
            max: own.max.saturated(u64::MAX),
            update_fraction: own.base_fee_update_fraction.saturated(u64::MAX),
        });
        fork.blobs.map(|known| own.unwrap_or(known))
    }

    fn block(&self, spec: SpecId, blobs: Option<Blobs>) -> BlockEnv {
        let env = self.env;
        let random = env.current_random.map(|random| random.hash());
        BlockEnv {
            number: env.current_number.saturated(U256::MAX),
            beneficiary: env.current_coinbase,
            timestamp: env.current_timestamp.saturated(U256::MAX),
            gas_limit: env.current_gas_limit.saturated(u64::MAX),
            // Tests of several forks name it for all of them.
            basefee: match env.current_base_fee {
                Some(fee) if spec.is_enabled_in(SpecId::LONDON) => fee.saturated(u64::MAX),
                _ => 0,
            },
            difficulty: env.current_difficulty.saturated(U256::MAX),
            prevrandao: spec.is_enabled_in(SpecId::MERGE).then(|| random.unwrap_or_default()),
            blob_excess_gas_and_price: blobs
                .map(|blobs| BlobExcessGasAndPrice::new(self.excess(blobs), blobs.update_fraction)),
            slot_num: env.slot_number.unwrap_or_default().saturated(u64::MAX),
        }
    }

    /// The block's excess of blob gas; older tests say what its parent's was.
    fn excess(&self, blobs: Blobs) -> u64 {
        let gas = |quantity: Option<Quantity>| quantity.unwrap_or_default().saturated(u64::MAX);
        match self.env.current_excess_blob_gas {
            Some(_) => gas(self.env.current_excess_blob_gas),
            None => {
                let (excess, used) =
                    (self.env.parent_excess_blob_gas, self.env.parent_blob_gas_used);
                blobs.excess_after(gas(excess), gas(used))
            }
        }
    }
}
