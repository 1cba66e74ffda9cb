//! `neura status`.

use anyhow::Result;
use neura_client::Client;
use neura_types::rest::{Status, Validators};

use super::{Screen, Shared};

pub(super) async fn run(shared: Shared) -> Result<()> {
    let client = Client::new(&shared.url)?;
    let status = client.status().await?;
    let mut screen = Screen::new(shared.json);
    if screen.result(&status)? {
        return Ok(());
    }
    let role =
        status.validator.map_or("full node".to_owned(), |index| format!("validator {index}"));
    screen.line(format!("node       {} (version {}, {role})", client.url(), status.version));
    screen.line(format!("chain      {} (genesis {})", status.chain_id, status.genesis_hash));
    screen.line(format!(
        "blocks     ordered {}, executed {}, certified {}; view {}",
        status.ordered, status.executed, status.certified, status.view
    ));
    screen.line(format!("epoch      {}", epoch(&status)));
    screen.line(format!("validators {}", validators(&client.validators().await?)));
    if status.evidence > 0 {
        screen.line(format!(
            "evidence   {} contradictions seen since the start: see `neura validator report`",
            status.evidence
        ));
    }
    screen.line(format!(
        "network    {} peers{}",
        status.peers,
        if status.syncing { ", catching up" } else { "" }
    ));
    if status.faucet {
        screen.line("faucet     `neura faucet ADDRESS` gives coins on this chain");
    }
    Ok(())
}

/// The epoch and how far it is.
pub(super) fn epoch(status: &Status) -> String {
    let left = status.epoch_last.saturating_sub(status.ordered);
    format!("{}, ends with block {} ({left} to go)", status.epoch, status.epoch_last)
}

/// How many serve, and who is passed over.
pub(super) fn validators(set: &Validators) -> String {
    let passed_over: Vec<String> = set
        .validators
        .iter()
        .filter(|info| info.passed_over)
        .filter_map(|info| info.index.map(|index| index.to_string()))
        .collect();
    let mut text = format!("{} with total power {}", set.validators.len(), set.total_power);
    if !passed_over.is_empty() {
        text.push_str(&format!("; passed over as leaders: {}", passed_over.join(", ")));
    }
    text
}
