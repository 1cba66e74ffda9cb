//! Act on a native module with an account: send a call, wait until it is executed, say what came of it.

use std::path::PathBuf;

use anyhow::{Result, bail};
use neura_client::{Client, Confirmed, Key, Sender};
use neura_types::{
    Address, Amount,
    abi::{SolCall, SolEvent},
};
use serde_json::{Value, json};

use super::{Account, Screen, Shared, account::ensure_funds};
use crate::keyfile;

/// Whose account signs.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Signer {
    /// Identity key file: its own account signs. Without it, that of --key does.
    #[arg(long, env = "NEURA_IDENTITY")]
    pub(super) identity: Option<PathBuf>,
}

impl Signer {
    /// The key that the flags name.
    pub(super) fn key(&self, shared: &Shared) -> Result<Key> {
        match &self.identity {
            Some(path) => Ok(Key::Identity(keyfile::read_identity(path)?)),
            None => Ok(Key::Ethereum(Account::open(shared)?.key)),
        }
    }
}

/// An account that acts, and the screen that tells of it.
pub(super) struct Actor {
    pub(super) client: Client,
    pub(super) screen: Screen,
    key: Key,
}

impl Actor {
    pub(super) fn new(key: Key, shared: &Shared) -> Result<Self> {
        Ok(Self { client: Client::new(&shared.url)?, screen: Screen::new(shared.json), key })
    }

    pub(super) fn open(signer: &Signer, shared: &Shared) -> Result<Self> {
        Self::new(signer.key(shared)?, shared)
    }

    pub(super) fn address(&self) -> Address {
        self.key.address()
    }

    /// Calls a module with coins and waits until the call is executed.
    pub(super) async fn call<C: SolCall>(
        &mut self,
        module: Address,
        call: &C,
        value: Amount,
    ) -> Result<Confirmed> {
        let address = self.address();
        if value > Amount::ZERO {
            ensure_funds(&self.client, address, value, &mut self.screen).await?;
        } else if self.client.account(address).await?.balance.0.is_zero() {
            bail!("account {address} has no coins: it needs some to pay the fee");
        }
        self.screen.waiting("waiting until the transaction is executed");
        let sender = Sender::new(self.client.clone(), self.key.clone()).await?;
        let done = sender.call(module, value.to_u256(), call.abi_encode()).await;
        self.screen.done();
        Ok(done?)
    }

    /// Says what came of a call: a sentence, or with `--json` its facts beside those of the transaction.
    pub(super) fn say(&mut self, done: &Confirmed, facts: Value, text: &str) -> Result<()> {
        let mut value = json!({
            "account": self.address(), "transaction": done.hash, "height": done.height
        });
        if let (Some(all), Value::Object(facts)) = (value.as_object_mut(), facts) {
            all.extend(facts);
        }
        if !self.screen.result(&value)? {
            self.screen.line(format!("{text} (transaction {}, block {})", done.hash, done.height));
        }
        Ok(())
    }
}

/// The first event of a kind that a call left.
pub(super) fn event<E: SolEvent>(done: &Confirmed) -> Option<E> {
    let logs = &done.info.receipt.as_ref()?.logs;
    logs.iter().find_map(|log| E::decode_raw_log(log.topics.iter().copied(), &log.data).ok())
}
