//! `neura epoch`.

use anyhow::Result;
use neura_client::Client;
use neura_types::epoch::PROTOCOL_VERSION;

use super::{Screen, Shared};

/// Arguments of `neura epoch`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its number, current or next.
    #[arg(default_value = "current")]
    epoch: String,
}

pub(super) async fn run(args: Args, shared: Shared) -> Result<()> {
    let info = Client::new(&shared.url)?.epoch(&args.epoch).await?;
    let mut screen = Screen::new(shared.json);
    if screen.result(&info)? {
        return Ok(());
    }
    let config = &info.config;
    screen
        .line(format!("epoch      {} (blocks {} to {})", config.epoch, config.first, config.last));
    screen.line(format!("protocol   version {}", config.version));
    if config.version > PROTOCOL_VERSION {
        screen.line(format!(
            "warning    this program speaks version {PROTOCOL_VERSION}: its nodes stop before block {}",
            config.first
        ));
    }
    screen.line(format!("digest     {}", info.digest));
    match &info.end {
        Some(end) => screen.line(format!("ended      with block {}", end.id)),
        None => screen.line("ended      not yet"),
    }
    screen.line(format!(
        "validators {} with total power {}",
        config.set.len(),
        config.set.total_power()
    ));
    for (index, member) in config.set.iter() {
        screen.line(format!("{index:>4}  {}  power {}", member.account, member.power));
    }
    Ok(())
}
