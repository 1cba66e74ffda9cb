//! Read the native modules' records at the executed tip.

use neura_api::{Listing, TaskQuery};
use neura_runtime::{
    Fault, ReadHost,
    modules::{providers as provider_module, requesters, tasks as task_module},
};
use neura_types::{
    Address,
    provider::{Provider, Requester},
    task::{Task, TaskId},
};

use super::{Answer, execution::with_state, internal};
use crate::node::chain::Chain;

/// Tasks looked at to fill one page of a filtered listing.
const MAX_SCANNED: u32 = 2_000;
/// Providers that the module gives at once.
const MODULE_PAGE: u64 = neura_runtime::modules::MAX_PAGE;
/// Providers listed at most; beyond, an index by address would be due.
const MAX_PROVIDERS: u64 = 10_000;

/// Reads the modules' records after the newest executed block.
pub(super) fn at_tip<T>(
    chain: &Chain,
    read: impl FnOnce(&mut ReadHost<'_, neura_storage::StateView<'_>>) -> Result<T, Fault>,
) -> Answer<T> {
    with_state(chain, neura_api::BlockRef::Latest, |view, context| {
        read(&mut ReadHost::new(view, context)).map_err(internal)
    })
}

pub(super) fn providers(
    chain: &Chain,
    after: Option<Address>,
    limit: u32,
) -> Answer<Listing<Provider, Address>> {
    let mut all = at_tip(chain, |host| {
        let mut all = Vec::new();
        while (all.len() as u64) < MAX_PROVIDERS {
            let page = provider_module::list(host, all.len() as u64, MODULE_PAGE)?;
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        Ok(all)
    })?;
    all.sort_by_key(|provider| provider.address);
    let mut items: Vec<Provider> = all
        .into_iter()
        .filter(|provider| after.is_none_or(|after| provider.address > after))
        .take((limit as usize).saturating_add(1))
        .collect();
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|provider| provider.address);
    Ok(Listing { items, next })
}

pub(super) fn provider(chain: &Chain, address: Address) -> Answer<Option<Provider>> {
    at_tip(chain, |host| provider_module::get(host, address))
}

/// A task with its provider's entry.
pub(in crate::node) fn provider_of(chain: &Chain, id: TaskId) -> Answer<Option<(Task, Provider)>> {
    let Some(task) = task(chain, id)? else { return Ok(None) };
    Ok(provider(chain, task.terms.provider)?.map(|provider| (task, provider)))
}

pub(super) fn requester(chain: &Chain, address: Address) -> Answer<Option<Requester>> {
    at_tip(chain, |host| requesters::get(host, address))
}

pub(super) fn task(chain: &Chain, id: TaskId) -> Answer<Option<Task>> {
    at_tip(chain, |host| task_module::get(host, id))
}

pub(super) fn tasks(chain: &Chain, query: &TaskQuery, limit: u32) -> Answer<Listing<Task, TaskId>> {
    at_tip(chain, |host| {
        let count = task_module::count(host)?;
        let mut next = query.before.map_or(count, |before| before.saturating_sub(1).min(count));
        let mut items = Vec::new();
        let mut scanned = 0;
        while next > 0 && items.len() < limit as usize && scanned < MAX_SCANNED {
            if let Some(task) = task_module::get(host, next)?
                && matches(query, &task)
            {
                items.push(task);
            }
            next -= 1;
            scanned += 1;
        }
        Ok(Listing { items, next: (next > 0).then_some(next + 1) })
    })
}

fn matches(query: &TaskQuery, task: &Task) -> bool {
    query.owner.is_none_or(|owner| task.owner == owner)
        && query.provider.is_none_or(|provider| task.terms.provider == provider)
        && query.state.is_none_or(|state| task.state == state)
}
