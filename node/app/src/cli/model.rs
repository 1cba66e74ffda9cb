//! `neura model`: convert float models, look at integer ones, run them, make jobs of them.

mod convert;
mod inspect;
mod run;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use neura_convert::Card;
use neura_gpu::{CpuBackend, OnDevice};
use neura_int8::{Kernels, MAX_MODEL_BYTES, Model, Reference};

use super::Shared;
use crate::bounded;

/// Commands of `neura model`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Convert a float model to integers, with scales from data of yours, and say what that loses.
    Convert(convert::Args),
    /// Show a model: id, root, graph, ranges, sizes, cost.
    Inspect {
        /// The model.
        model: PathBuf,
    },
    /// Run a model here, as a provider would: the same integers.
    Run(run::RunArgs),
    /// Make the inputs of a job, the file that `inputs` in a job file names.
    Pack(run::PackArgs),
    /// Read the answers of a job, as `neura task result --out` writes them.
    Answers(run::AnswersArgs),
}

pub(super) fn run(command: Command, shared: &Shared) -> Result<()> {
    match command {
        Command::Convert(args) => convert::run(&args, shared),
        Command::Inspect { model } => inspect::run(&model, shared),
        Command::Run(args) => run::run(&args, shared),
        Command::Pack(args) => run::pack(&args, shared),
        Command::Answers(args) => run::answers(&args, shared),
    }
}

/// What computes models here: the native kernels, or the interpreter that defines their bits.
#[derive(Debug)]
struct Processor(Option<CpuBackend>);

impl Processor {
    fn new(reference: bool) -> Self {
        Processor((!reference).then(CpuBackend::new))
    }

    /// Gives its kernels to a run.
    fn with<T>(&self, run: impl FnOnce(&dyn Kernels) -> T) -> T {
        match &self.0 {
            Some(backend) => run(&OnDevice::new(backend)),
            None => run(&Reference),
        }
    }
}

/// Longest card: some names and numbers.
const MAX_CARD: u64 = 1 << 20;

/// Reads a model, and proves again that it cannot overflow.
fn open(path: &Path) -> Result<Model> {
    let bytes = bounded::read(path, MAX_MODEL_BYTES as u64)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Model::decode(&bytes).with_context(|| {
        format!("{}: not a model that can be run; `neura model convert` makes one", path.display())
    })
}

/// Where the card of a model lies: beside it.
fn card_path(model: &Path) -> PathBuf {
    let mut name = model.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

/// The card of a model, if there is one, and it is of this model.
fn card(path: &Path, model: &Model) -> Result<Option<Card>> {
    let path = card_path(path);
    if !path.exists() {
        return Ok(None);
    }
    let text = bounded::read(&path, MAX_CARD)?;
    let card: Card = serde_json::from_slice(&text)
        .with_context(|| format!("{}: not the card of a model", path.display()))?;
    anyhow::ensure!(
        card.model == hex::encode(model.id()),
        "{} is the card of another model: convert again, or remove it to work with integers",
        path.display()
    );
    Ok(Some(card))
}
