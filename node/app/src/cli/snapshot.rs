//! `neura snapshot`: write the state of a stopped node to a folder, look at such a folder, start a fresh node from it.

mod epochs;

#[doc(hidden)]
pub use epochs::parse as parse_epochs;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use neura_storage::{Manifest, SnapshotFolder, SnapshotImport, Store, StoreConfig};
use neura_types::{B256, Block, Genesis, Height, codec};
use serde_json::json;

use super::{Screen, Shared};
use crate::{
    keyfile,
    node::{
        snapshots::{Trust, complete},
        start::read_genesis,
    },
};
use epochs::Epochs;

/// How far below the newest executed block a state is looked for that a proven header certifies, first and at most.
const LOOK_BACK: [Height; 3] = [32, 256, 4_096];

/// Commands of `neura snapshot`. They work on the data folder of a node that is not running.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Write the state after a block to a folder.
    Export {
        #[command(flatten)]
        node: NodeFolder,
        /// The folder; made, must be empty.
        out: PathBuf,
        /// Lowest height whose state is wanted; the newest that is certified if left out.
        #[arg(long)]
        height: Option<Height>,
    },
    /// Fill a fresh data folder from a snapshot. It is checked from genesis on, along the chain of validator sets that it
    /// brings; or from a block that is trusted.
    Import {
        #[command(flatten)]
        node: NodeFolder,
        /// Folder of the snapshot.
        folder: PathBuf,
        /// Block that proves the snapshot, as `neura snapshot info` shows it and somebody whom you trust confirms.
        #[arg(long, value_name = "HEIGHT:BLOCK-ID", value_parser = checkpoint)]
        trust: Option<Checkpoint>,
    },
    /// Show what a snapshot is of.
    Info {
        /// Its folder.
        folder: PathBuf,
    },
}

/// Where a node keeps its chain.
#[derive(Debug, clap::Args)]
pub(super) struct NodeFolder {
    /// Data folder of the node.
    #[arg(long, env = "NEURA_DATA")]
    data: PathBuf,
    /// Genesis file; default: genesis.json in the data folder.
    #[arg(long, env = "NEURA_GENESIS")]
    genesis: Option<PathBuf>,
}

impl NodeFolder {
    fn genesis(&self) -> Result<Genesis> {
        read_genesis(&self.genesis.clone().unwrap_or_else(|| self.data.join("genesis.json")))
    }

    fn chain(&self) -> PathBuf {
        self.data.join("chain")
    }

    /// Opens the store, which is made if there is none.
    fn open(&self, genesis: &Genesis) -> Result<Store> {
        keyfile::create_private_dir(&self.data)?;
        let config = StoreConfig::new(genesis.chain_id, genesis.hash());
        Store::open(&self.chain(), config)
            .with_context(|| format!("opening the data folder {}", self.data.display()))
    }
}

/// A block that is trusted to be final.
type Checkpoint = (Height, B256);

fn checkpoint(text: &str) -> Result<Checkpoint, String> {
    let wrong = || format!("'{text}' is no checkpoint: write HEIGHT:BLOCK-ID, such as 1200:0x5a…");
    let (height, id) = text.split_once(':').ok_or_else(wrong)?;
    Ok((height.parse().map_err(|_| wrong())?, id.parse().map_err(|_| wrong())?))
}

pub(super) fn run(command: Command, shared: &Shared) -> Result<()> {
    let screen = Screen::new(shared.json);
    match command {
        Command::Export { node, out, height } => export(&node, &out, height, screen),
        Command::Import { node, folder, trust } => {
            let (snapshot, epochs) = (open(&folder)?, Epochs::read(&folder)?);
            let genesis = node.genesis()?;
            let trust = check(&genesis, snapshot.manifest(), &epochs, trust)?;
            let store = node.open(&genesis)?;
            import((&genesis, &store), &snapshot, &trust, screen)
        }
        Command::Info { folder } => info(&open(&folder)?, screen),
    }
}

fn open(folder: &Path) -> Result<SnapshotFolder> {
    SnapshotFolder::open(folder)
        .with_context(|| format!("opening the snapshot in {}", folder.display()))
}

fn export(node: &NodeFolder, out: &Path, height: Option<Height>, mut screen: Screen) -> Result<()> {
    let none = || format!("{} holds no chain: name the data folder of a node", node.data.display());
    ensure!(node.chain().exists(), none());
    let store = node.open(&node.genesis()?)?;
    ensure!(store.is_initialised()?, none());
    let height = certified(&store, height)?;
    screen.waiting(&format!("writing the state after block {height}"));
    let snapshot = store.export_snapshot(height, out)?;
    let (header, ..) = snapshot.manifest().proved().context("the snapshot holds no header")?;
    epochs::write(&store, header.epoch, out)?;
    info(&snapshot, screen)
}

/// The height whose state is exported.
fn certified(store: &Store, wanted: Option<Height>) -> Result<Height> {
    let (tip, _) = store.executed_tip()?;
    let from: Vec<Height> = match wanted {
        Some(height) => vec![height],
        None => LOOK_BACK.iter().map(|back| tip.saturating_sub(*back)).collect(),
    };
    for height in from {
        if let Some(found) = store.snapshot_height(height)? {
            return Ok(found);
        }
    }
    bail!(
        "no state from block {} on is certified by a final header yet: let the node run on for a moment",
        wanted.unwrap_or_default()
    )
}

/// Checks who proved a snapshot: the block that the user trusts, or the validators whom the chain of epochs leads to
/// from genesis. Returns the way there.
fn check(
    genesis: &Genesis,
    manifest: &Manifest,
    epochs: &Epochs,
    trust: Option<Checkpoint>,
) -> Result<Trust> {
    let (own, theirs) = (genesis.hash(), manifest.genesis_hash);
    ensure!(
        (genesis.chain_id, own) == (manifest.chain_id, theirs),
        "the snapshot is of chain {} (genesis {theirs}), the genesis file is that of chain {} (genesis {own})",
        manifest.chain_id,
        genesis.chain_id
    );
    let (header, id, _) = manifest.proved().context("the snapshot holds no header")?;
    if let Some((height, trusted)) = trust {
        ensure!(
            (height, trusted) == (header.height, id),
            "the snapshot is proved by block {0}:{id}, not by the trusted {height}:{trusted}: ask whom you trust for the \
             id of block {0}",
            header.height
        );
    }
    let base = manifest.block().context("the snapshot holds no header")?.0.epoch;
    // A trusted block certifies the state, which names the epochs around it: compared when it is there.
    let mut trust = match (trust, base.checked_sub(1)) {
        (Some(_), Some(before @ 1..)) => {
            let present = (epochs.get(before)?.config.clone(), epochs.anchor(before)?);
            Trust::checkpoint(genesis, present)
        }
        _ => Trust::genesis(genesis, genesis_block(genesis)?.id())?,
    };
    epochs.lead(&mut trust, header.epoch).context(
        "the validators who proved the snapshot do not follow from genesis: take it from somebody else",
    )?;
    trust.check(manifest)?;
    Ok(trust)
}

fn genesis_block(genesis: &Genesis) -> Result<Block> {
    let changes = neura_runtime::genesis_changes(genesis)?;
    let executed = neura_storage::genesis_root(&changes, genesis.params.initial_base_fee)?;
    Ok(Block::genesis(genesis.hash(), genesis.timestamp_ms, executed))
}

fn import(
    (genesis, store): (&Genesis, &Store),
    folder: &SnapshotFolder,
    trust: &Trust,
    mut screen: Screen,
) -> Result<()> {
    let import = SnapshotImport::begin(store, folder.manifest().clone())?;
    let bar = screen.progress(folder.chunks().len() as u64, "chunks");
    for (number, chunk) in folder.chunks().iter().enumerate() {
        let path = &chunk.span.start;
        if !import.holds(path) {
            let wrong = || format!("chunk {number} of the snapshot in the folder");
            let taken = import.put_chunk(&folder.chunk_at(path)?).with_context(wrong)?;
            ensure!(
                taken.span == chunk.span,
                "{}: it covers other paths than the list says",
                wrong()
            );
        }
        bar.inc(1);
    }
    let base: Block = codec::decode(&folder.block_bytes()?).context("the snapshot's block")?;
    complete(&import, trust, &genesis_block(genesis)?, &base)?;
    bar.finish_and_clear();
    let height = import.manifest().height();
    if !screen.result(&json!({ "height": height, "block": base.id() }))? {
        screen.line(format!("the node starts after block {height} ({})", base.id()));
    }
    Ok(())
}

fn info(snapshot: &SnapshotFolder, mut screen: Screen) -> Result<()> {
    let manifest = snapshot.manifest();
    let (_, block) = manifest.block().context("the snapshot holds no header")?;
    let (header, id, _) = manifest.proved().context("the snapshot holds no header")?;
    let root = manifest.root;
    let bytes: u64 = snapshot.chunks().iter().map(|chunk| u64::from(chunk.bytes)).sum();
    let value = json!({
        "chain_id": manifest.chain_id,
        "genesis_hash": manifest.genesis_hash,
        "height": root.height,
        "block": block,
        "state_root": root.state_root,
        "proved_by": { "height": header.height, "block": id, "epoch": header.epoch },
        "chunks": snapshot.chunks().len(),
        "bytes": bytes,
    });
    if screen.result(&value)? {
        return Ok(());
    }
    screen.line(format!("chain      {} (genesis {})", manifest.chain_id, manifest.genesis_hash));
    screen.line(format!("state      after block {} ({block})", root.height));
    screen.line(format!("root       {}", root.state_root));
    screen.line(format!("proved by  {}:{id} of epoch {}", header.height, header.epoch));
    screen.line(format!("size       {bytes} bytes in {} chunks", snapshot.chunks().len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_a_height_and_a_block() {
        let id = B256::repeat_byte(0x5a);
        assert_eq!(checkpoint(&format!("1200:{id}")), Ok((1_200, id)));
        for text in ["", "1200", "1200:", &format!("{id}"), &format!("x:{id}"), "1:0x5a"] {
            assert!(checkpoint(text).unwrap_err().contains("HEIGHT:BLOCK-ID"), "{text}");
        }
    }
}
