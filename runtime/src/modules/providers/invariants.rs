//! What holds of the registry after every block.

use neura_types::{Amount, provider::ProviderStatus, system};

use super::{get, state};
use crate::modules::host::{Fault, Host};

/// Checks in a few reads that the bonds are there.
pub(crate) fn check(host: &mut dyn Host) -> Result<Vec<String>, Fault> {
    let bonded = state::BONDED.get(host, &())?;
    let balance = host.balance(system::PROVIDERS)?;
    let mut broken = Vec::new();
    if balance < bonded.to_u256() {
        broken.push(format!("providers: {balance} wei held for bonds of {} wei", bonded.0));
    }
    Ok(broken)
}

/// Walks all entries.
pub(crate) fn audit(host: &mut dyn Host) -> Result<Vec<String>, Fault> {
    let mut broken = Vec::new();
    let mut sum = Amount::ZERO;
    for position in 0..state::COUNT.get(host, &())? {
        let account = state::ORDER.get(host, &position)?;
        let Some(provider) = get(host, account)? else {
            broken.push(format!("providers: position {position} has no entry"));
            continue;
        };
        sum = sum.add(provider.bond)?;
        let tasks = crate::modules::tasks::active_of(host, account)?;
        let counted = (provider.active_tasks, provider.submitted_tasks);
        if tasks != counted {
            broken.push(format!(
                "providers: {account} counts {counted:?} active and submitted tasks, it has {tasks:?}"
            ));
        }
        if provider.status == ProviderStatus::Left && tasks.0 > 0 {
            broken.push(format!("providers: {account} left {} tasks behind", tasks.0));
        }
    }
    if sum != state::BONDED.get(host, &())? {
        broken.push("providers: the bonds do not sum up to the total".into());
    }
    Ok(broken)
}
