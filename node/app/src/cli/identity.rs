//! `neura identity`: show the public side of an identity key.

use std::path::PathBuf;

use anyhow::Result;
use neura_p2p::peer_id_from_public_key;

use super::{Screen, Shared};
use crate::keyfile;

/// Arguments of `neura identity`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The key file; made if it does not exist.
    file: PathBuf,
}

pub(super) fn run(args: &Args, shared: &Shared) -> Result<()> {
    let (key, made) = keyfile::read_or_create_identity(&args.file)?;
    let public_key = key.public_key();
    let peer_id = peer_id_from_public_key(&public_key.0.0)?.to_string();
    let value = serde_json::json!({
        "public_key": public_key.0, "address": public_key.address(), "peer_id": peer_id, "made": made
    });
    let mut screen = Screen::new(shared.json);
    if !screen.result(&value)? {
        if made {
            screen.line(format!("made {}", args.file.display()));
        }
        screen.line(format!("public key  {public_key}  (for `neura genesis --validator`)"));
        screen.line(format!("account     {}", public_key.address()));
        screen.line(format!("peer id     {peer_id}  (for `neura node --peer …/p2p/…`)"));
    }
    Ok(())
}
