//! Set up logs on standard error.

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging: `NEURA_LOG` (such as `info,neura_p2p=debug`) decides, else `default`; `NEURA_LOG_FORMAT=json` gives
/// one JSON value per line.
pub(super) fn start(default: &str) {
    let filter = EnvFilter::try_from_env("NEURA_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let json = std::env::var("NEURA_LOG_FORMAT").is_ok_and(|format| format == "json");
    // A second start, as in tests that run commands in one process, keeps the first.
    let _ = if json { builder.json().try_init() } else { builder.with_ansi(false).try_init() };
}
