//! Carry out what the operator orders: look, drain, resume, leave, take the bond back.

use std::path::Path;

use neura_client::{Client, Confirmed, Key, Sender};
use neura_types::{
    Address, Amount, Height, U256,
    abi::{IProviders, SolCall},
    provider::{Provider, ProviderStatus},
    rest::Wei,
    system,
    task::Task,
};
use serde::Serialize;

use crate::{Keys, ProviderError};

/// Pages of tasks that are looked through at most: the unfinished ones are nearly always on the first.
const MAX_PAGES: usize = 50;
/// Blocks without a sign of life after which owners may doubt a provider.
const QUIET_BLOCKS: Height = 20_000;

/// Acts for a provider with its identity key, beside a running agent or without one.
#[derive(Debug, Clone)]
pub struct Operator {
    pub(crate) client: Client,
    pub(crate) sender: Sender,
    pub(crate) keys: Keys,
}

/// How a provider stands.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// Its account.
    pub address: Address,
    /// Height that this was read at.
    pub height: Height,
    /// What the account has besides the bond.
    pub balance: Wei,
    /// Its registry entry, if it has one.
    pub provider: Option<Provider>,
    /// Its tasks that have not ended, newest first.
    pub tasks: Vec<Task>,
    /// What may keep jobs away.
    pub remarks: Vec<String>,
}

impl Operator {
    /// Reads the keys from a data folder and connects to a node.
    ///
    /// # Errors
    /// If a key file is missing or unsafe, or no node answers.
    pub async fn open(nodes: &[String], data: &Path) -> Result<Self, ProviderError> {
        Self::connect(Client::new(nodes)?, Keys::load(data)?).await
    }

    pub(crate) async fn connect(client: Client, keys: Keys) -> Result<Self, ProviderError> {
        let sender = Sender::new(client.clone(), Key::Identity(keys.identity.clone())).await?;
        Ok(Self { client, sender, keys })
    }

    /// The provider's account.
    pub fn address(&self) -> Address {
        self.keys.address()
    }

    /// Takes nothing new; what is accepted is finished.
    ///
    /// # Errors
    /// If the provider is not active.
    pub async fn drain(&self) -> Result<Confirmed, ProviderError> {
        self.call(IProviders::drainCall {}).await
    }

    /// Takes tasks again.
    ///
    /// # Errors
    /// If the provider is not draining.
    pub async fn resume(&self) -> Result<Confirmed, ProviderError> {
        self.call(IProviders::resumeCall {}).await
    }

    /// Leaves the registry; returns the height from which the bond can be withdrawn.
    ///
    /// # Errors
    /// `tasks_active` while tasks have not ended.
    pub async fn leave(&self) -> Result<Height, ProviderError> {
        self.call(IProviders::unregisterCall {}).await?;
        Ok(self.entry().await?.unbonds_at)
    }

    /// Takes the bond back to the provider's account.
    ///
    /// # Errors
    /// `bond_locked` before the unbonding delay has passed.
    pub async fn withdraw_bond(&self) -> Result<Amount, ProviderError> {
        let bond = self.entry().await?.bond;
        self.call(IProviders::withdrawBondCall {}).await?;
        Ok(bond)
    }

    /// How the provider stands.
    ///
    /// # Errors
    /// If no node answers.
    pub async fn status(&self) -> Result<StatusReport, ProviderError> {
        let address = self.address();
        let account = self.client.account(address).await?;
        let provider = self.client.provider(address).await?;
        let active = provider.as_ref().map_or(0, |provider| provider.active_tasks);
        let tasks = self.unfinished(active).await?;
        let remarks = remarks(provider.as_ref(), account.height);
        let (height, balance) = (account.height, account.balance);
        Ok(StatusReport { address, height, balance, provider, tasks, remarks })
    }

    /// The registry's entry.
    pub(crate) async fn entry(&self) -> Result<Provider, ProviderError> {
        let address = self.address();
        self.client.provider(address).await?.ok_or(ProviderError::NotRegistered { address })
    }

    /// The provider's tasks that have not ended, of which the registry counts `active`.
    pub(crate) async fn unfinished(&self, active: u32) -> Result<Vec<Task>, ProviderError> {
        let (mut found, mut before) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let page = self.client.tasks_of_provider(self.address(), before).await?;
            found.extend(page.items.into_iter().filter(|task| !task.state.is_terminal()));
            before = page.next.and_then(|next| next.parse().ok());
            if before.is_none() || found.len() >= active as usize {
                break;
            }
        }
        Ok(found)
    }

    pub(crate) async fn call<C: SolCall>(&self, call: C) -> Result<Confirmed, ProviderError> {
        self.pay(call, Amount::ZERO).await
    }

    /// Calls the tasks module.
    pub(crate) async fn call_tasks<C: SolCall>(&self, call: C) -> Result<Confirmed, ProviderError> {
        Ok(self.sender.call(system::TASKS, U256::ZERO, call.abi_encode()).await?)
    }

    pub(crate) async fn pay<C: SolCall>(
        &self,
        call: C,
        value: Amount,
    ) -> Result<Confirmed, ProviderError> {
        let value = U256::from(value.0);
        Ok(self.sender.call(system::PROVIDERS, value, call.abi_encode()).await?)
    }
}

/// Answers "why do I get no jobs?" as far as the chain knows.
fn remarks(provider: Option<&Provider>, height: Height) -> Vec<String> {
    let Some(provider) = provider else {
        return vec!["not registered: run `neura provider join`".into()];
    };
    let mut remarks = Vec::new();
    match provider.status {
        ProviderStatus::Active => {}
        ProviderStatus::Draining => {
            remarks.push("draining: no new tasks until `neura provider resume`".into());
        }
        ProviderStatus::Left if provider.bond == Amount::ZERO => {
            remarks.push(
                "has left, and has its bond back: `neura provider join` registers again".into(),
            );
        }
        ProviderStatus::Left => remarks.push(format!(
            "has left; the bond of {} can be withdrawn from block {} on (now: {height})",
            provider.bond, provider.unbonds_at
        )),
    }
    if provider.status != ProviderStatus::Left && provider.working_tasks() >= provider.capacity {
        remarks.push(format!(
            "full: at work on {} of {} tasks at a time (those that wait for approval take no place)",
            provider.working_tasks(),
            provider.capacity
        ));
    }
    if provider.status == ProviderStatus::Active && height > provider.heartbeat_at + QUIET_BLOCKS {
        remarks.push(format!(
            "no sign of life since block {}: is the agent running?",
            provider.heartbeat_at
        ));
    }
    if provider.record.at_fault > provider.record.settled {
        remarks.push(format!(
            "more tasks failed by this provider ({}) than were settled ({}): owners see that",
            provider.record.at_fault, provider.record.settled
        ));
    }
    remarks
}
