//! `neura status`.

use anyhow::Result;
use neura_client::Client;

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
