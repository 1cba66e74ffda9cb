//! `neura model convert`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use neura_convert::{
    Config, ConvertError, Graph, MAX_CONFIG_BYTES, OnnxOptions, Op, Options, OutputError, Report,
    Sample, calibrate, compare, quantise, read_checkpoint, read_onnx, read_samples,
};
use neura_int8::{MAX_MODEL_BYTES, MAX_ROWS, Sampling};
use serde::Serialize;

use super::{Processor, Shared, card_path};
use crate::{bounded, cli::Screen};

/// Largest float model: what an integer one of 64 MiB can have been, with room.
const MAX_FLOAT_MODEL: u64 = 1 << 30;
/// Largest file of data.
const MAX_DATA: u64 = 1 << 30;
/// Samples of the calibration that are compared if no others are given: enough to see a failure.
const FEW: usize = 32;

/// What `convert` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The float model: an ONNX file, a safetensors file, or a folder with model.safetensors and config.json.
    input: PathBuf,
    /// Where to write the integer model; its card is written beside it.
    #[arg(long)]
    out: PathBuf,
    /// Data like that which the model will meet: a .npy file, or lists of tokens as JSON lines.
    #[arg(long)]
    calibrate: PathBuf,
    /// Data to compare with, which calibration does not see; some of that if left out.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// The config.json of a safetensors file; that beside it if left out.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Most rows of a run: tokens of a text, images of a batch.
    #[arg(long, default_value_t = 512, value_parser = rows)]
    rows: usize,
    /// The lengths of an ONNX model's axes, beside the batch's, that its file leaves open: 48,320.
    #[arg(long, value_delimiter = ',')]
    length: Vec<usize>,
    /// An output of an ONNX model to convert, and only what it needs; all if left out. Repeatable.
    #[arg(long)]
    output: Vec<String>,
    /// Share of a value's cells that its scale covers; what is greater is clamped.
    #[arg(long, default_value_t = Options::default().share, value_parser = covered)]
    share: f64,
    /// How much of the spread between channels is moved into weights, from 0 to 1.
    #[arg(long, default_value_t = Options::default().smoothing, value_parser = share)]
    smoothing: f64,
    /// Hold what weights are multiplied with in 15 bits instead of 8: much less lost, twice the products.
    #[arg(long)]
    fine: bool,
    /// Hold the table of words in 16 bits: a larger file, a little less lost.
    #[arg(long)]
    fine_words: bool,
}

/// Mean cosine below which `--fine` is advised: most models stay above it without.
const ENOUGH: f64 = 0.99;

impl Args {
    fn options(&self) -> Options {
        let Args { share, smoothing, fine_words, fine, .. } = *self;
        Options { share, smoothing, fine_words, fine }
    }
}

/// Whether both paths lead to one file that exists.
fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("from 0 to 1 are possible".into()) }
}

/// A share that covers something.
fn covered(text: &str) -> Result<f64, String> {
    share(text).and_then(|share| match share > 0.0 {
        true => Ok(share),
        false => Err("a scale that covers nothing clamps everything: above 0, to 1".into()),
    })
}

fn rows(text: &str) -> Result<usize, String> {
    let rows: usize = text.parse().map_err(|_| "not a whole number".to_owned())?;
    match rows {
        1..=MAX_ROWS => Ok(rows),
        _ => Err(format!("from 1 to {MAX_ROWS} are possible")),
    }
}

#[derive(Serialize)]
struct Converted<'a> {
    model: &'a str,
    file: &'a Path,
    float_bytes: u64,
    calibration_samples: usize,
    compared_with_calibration: bool,
    assumed: &'a [String],
    warnings: &'a [String],
    report: &'a Report,
}

pub(super) fn run(args: &Args, shared: &Shared) -> Result<()> {
    for input in [Some(&args.input), Some(&args.calibrate), args.compare.as_ref()] {
        ensure!(
            input.is_none_or(|input| !same_file(input, &args.out)),
            "--out names {}, which is read: it would be lost; name another file",
            args.out.display()
        );
    }
    let mut screen = Screen::new(shared.json);
    screen.waiting("reading the model");
    let (graph, float_bytes) = read(args)?;
    let samples = data(&graph, &args.calibrate)?;
    let warnings: Vec<String> = poor(&samples).into_iter().collect();
    let own = args.compare.is_none();
    let others = match &args.compare {
        Some(path) => data(&graph, path)?,
        None => samples.iter().take(FEW).cloned().collect(),
    };
    ensure!(!others.is_empty(), "there is nothing to compare with in the file given");
    screen.waiting("running the float model over the calibration data");
    let calibration = calibrate(&graph, &samples)
        .with_context(|| format!("calibrating with {}", args.calibrate.display()))?;
    screen.waiting("quantising");
    let made = quantise(&graph, &calibration, args.options())?;
    let bytes = made.model.encode();
    let limit = MAX_MODEL_BYTES;
    ensure!(
        bytes.len() <= limit,
        "the integer model has {} bytes, at most {limit} can be sent as a job: convert a smaller one, or without --fine-words",
        bytes.len()
    );
    screen.waiting("comparing");
    let processor = Processor::new(false);
    let report = compare(&graph, &made.model, &made.card, &others, |inputs| {
        processor.with(|kernels| made.model.run_with(kernels, inputs, Sampling::default()))
    })?;
    std::fs::write(&args.out, &bytes).with_context(|| format!("writing {}", args.out.display()))?;
    std::fs::write(card_path(&args.out), serde_json::to_vec_pretty(&made.card)?)?;
    let converted = Converted {
        model: &made.card.model,
        file: &args.out,
        float_bytes,
        calibration_samples: samples.len(),
        compared_with_calibration: own,
        assumed: &graph.assumed,
        warnings: &warnings,
        report: &report,
    };
    if !screen.result(&converted)? {
        show(&screen, &converted);
        let lost = |output: &OutputError| output.cosine_mean.is_some_and(|mean| mean < ENOUGH);
        if !args.fine && report.outputs.iter().any(lost) {
            screen.line("advice       --fine loses less, for twice the products");
        }
    }
    Ok(())
}

/// The float model, and how many bytes its file has.
fn read(args: &Args) -> Result<(Graph, u64)> {
    let path = match args.input.is_dir() {
        true => args.input.join("model.safetensors"),
        false => args.input.clone(),
    };
    let load = |path: &Path, limit| {
        bounded::read(path, limit).with_context(|| format!("cannot read {}", path.display()))
    };
    let of_file =
        |error: ConvertError| anyhow::Error::new(error).context(path.display().to_string());
    let bytes = load(&path, MAX_FLOAT_MODEL)?;
    let size = bytes.len() as u64;
    if path.extension().is_some_and(|kind| kind == "onnx") {
        let options = OnnxOptions {
            max_rows: args.rows,
            lengths: &args.length,
            outputs: &args.output,
            folder: path.parent(),
        };
        return Ok((read_onnx(&bytes, &options).map_err(of_file)?, size));
    }
    ensure!(
        path.extension().is_some_and(|kind| kind == "safetensors"),
        "{}: name a .onnx or a .safetensors file",
        path.display()
    );
    let beside = path.with_file_name("config.json");
    let config = args.config.as_ref().unwrap_or(&beside);
    let text =
        load(config, MAX_CONFIG_BYTES).context("name the model's config.json with --config")?;
    let config = Config::read(&text).with_context(|| config.display().to_string())?;
    Ok((read_checkpoint(&bytes, &config, args.rows).map_err(of_file)?, size))
}

/// Samples for a graph: those of another kind or of other axes than it takes are refused.
fn data(graph: &Graph, path: &Path) -> Result<Vec<Sample>> {
    let bytes =
        bounded::read(path, MAX_DATA).with_context(|| format!("cannot read {}", path.display()))?;
    let samples = read_samples(&bytes).with_context(|| path.display().to_string())?;
    check(graph, &samples).with_context(|| path.display().to_string())?;
    Ok(samples)
}

fn check(graph: &Graph, samples: &[Sample]) -> Result<()> {
    let Some(input) = graph.nodes.first() else { return Ok(()) };
    let takes_tokens = matches!(input.op, Op::Tokens(_));
    let expected = input.width();
    for (index, sample) in samples.iter().enumerate() {
        match sample {
            Sample::Features { .. } if takes_tokens => bail!(
                "it holds numbers, and the model takes tokens: give a text file with a list of tokens on each line, \
                 such as [101, 7592, 102]"
            ),
            Sample::Tokens(_) if !takes_tokens => bail!(
                "it holds lists of tokens, and the model takes {expected} numbers for each sample: give a .npy file of \
                 numpy.save, a sample in each row"
            ),
            Sample::Features { width, .. } => ensure!(
                *width == expected,
                "sample {index} has {width} numbers, the model takes {expected}"
            ),
            Sample::Tokens(_) => {}
        }
    }
    Ok(())
}

/// What is wrong with data that is one number, or one token, again and again.
fn poor(samples: &[Sample]) -> Option<String> {
    let first = match samples.first()? {
        Sample::Features { values, .. } => *values.first()?,
        Sample::Tokens(tokens) => *tokens.first()? as f32,
    };
    let same = |sample: &Sample| match sample {
        Sample::Features { values, .. } => values.iter().all(|value| *value == first),
        Sample::Tokens(tokens) => tokens.iter().all(|token| *token as f32 == first),
    };
    samples.iter().all(same).then(|| {
        format!(
            "the calibration data is {first} everywhere: scales made of it fit nothing else; give data like that which \
             the model will meet"
        )
    })
}

fn show(screen: &Screen, made: &Converted<'_>) {
    let report = made.report;
    screen.line(format!("model        {}", made.model));
    screen.line(format!(
        "size         {} bytes, the float file has {}",
        report.model_bytes, made.float_bytes
    ));
    for assumed in made.assumed {
        screen.line(format!("assumed      {assumed}"));
    }
    for warning in made.warnings {
        screen.line(format!("warning      {warning}"));
    }
    let seen = if made.compared_with_calibration { " of the calibration" } else { "" };
    screen.line(format!(
        "compared     {} samples{seen}, {} calibrated",
        report.samples, made.calibration_samples
    ));
    for output in &report.outputs {
        let cosine = match (output.cosine_mean, output.cosine_min) {
            (Some(mean), Some(least)) => {
                format!("cosine {mean:.5} on average, {least:.5} at least; ")
            }
            _ => String::new(),
        };
        screen.line(format!(
            "output       {}: {cosine}same greatest value in {:.2} % of {} rows; error {:.4} relative, {:.4} at most",
            output.name,
            output.top1 * 100.0,
            output.rows,
            output.relative_error,
            output.max_error
        ));
    }
    screen.line(format!(
        "time         {:.2} s in integers, {:.2} s in floats by plain code",
        report.int8_seconds, report.float_seconds
    ));
}

#[cfg(test)]
mod tests;
