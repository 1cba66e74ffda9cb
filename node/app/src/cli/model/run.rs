//! `neura model run`, `pack`, `answers`.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use neura_convert::{Array, Card, Kind, Sample, read_samples};
use neura_int8::{
    DType, Data, Generation, Int8Result, Kernels, MAX_RESULT_BYTES, MAX_TEMPERATURE, Model, Prompt,
    Request, Sampling, Tensor, encode_requests,
};
use rayon::prelude::*;

use super::{Processor, Shared, card, open};
use crate::{
    bounded,
    cli::{Screen, screen},
};

/// Largest file of inputs.
const MAX_INPUT: u64 = 1 << 30;

/// What a model is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Asked {
    /// Inputs: a .npy file, run as one batch, or lists of tokens as JSON lines, run one by one.
    #[arg(long, required_unless_present_any = ["prompt", "text"])]
    input: Option<PathBuf>,
    /// Tokens to generate from, such as 1,2,3.
    #[arg(long, value_delimiter = ',', conflicts_with = "input")]
    prompt: Vec<i32>,
    /// A text to generate from, for models whose tokens are bytes.
    #[arg(long, conflicts_with_all = ["input", "prompt"])]
    text: Option<String>,
    /// Tokens to generate at most.
    #[arg(long, default_value_t = 100)]
    max_tokens: usize,
    /// Tokens after which nothing more is generated.
    #[arg(long, value_delimiter = ',')]
    stop: Vec<i32>,
    /// Which tokens are drawn: the same seed gives the same.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How far from the most probable token: 0 takes it always.
    #[arg(long, default_value_t = 0.0)]
    temperature: f64,
}

/// What `run` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The model.
    model: PathBuf,
    #[command(flatten)]
    asked: Asked,
    /// Run by the interpreter that defines what is right: slower, the same bits.
    #[arg(long)]
    reference: bool,
    #[command(flatten)]
    written: Written,
}

/// What `pack` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct PackArgs {
    /// The model.
    model: PathBuf,
    #[command(flatten)]
    asked: Asked,
    /// Where to write the inputs.
    #[arg(long)]
    out: PathBuf,
}

/// What `answers` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct AnswersArgs {
    /// The model that the job ran.
    model: PathBuf,
    /// The result.
    result: PathBuf,
    /// Bytes as text, for models whose tokens are bytes.
    #[arg(long)]
    text: bool,
    #[command(flatten)]
    written: Written,
}

/// Where answers go, and which.
#[derive(Debug, clap::Args)]
pub(crate) struct Written {
    /// A .npy file; lists of numbers as JSON lines on the screen if left out.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The output that is shown; the first if left out.
    #[arg(long)]
    output: Option<String>,
}

pub(super) fn run(args: &RunArgs, shared: &Shared) -> Result<()> {
    let model = open(&args.model)?;
    let card = card(&args.model, &model)?;
    let asked = &args.asked;
    let requests = asked.requests(&model, card.as_ref())?;
    let processor = Processor::new(args.reference);
    if let [Request::Generate(prompt)] = &requests[..] {
        let is_text = asked.text.is_some();
        return processor.with(|kernels| generate(&model, (prompt, is_text), kernels, shared));
    }
    let answers = requests
        .par_iter()
        .enumerate()
        .map(|(index, request)| {
            let answer = processor.with(|kernels| request.answer(&model, kernels));
            answer.with_context(|| format!("input {index}"))
        })
        .collect::<Result<Vec<_>>>()?;
    args.written.write(&model, card.as_ref(), &answers, shared)
}

pub(super) fn pack(args: &PackArgs, shared: &Shared) -> Result<()> {
    let model = open(&args.model)?;
    let card = card(&args.model, &model)?;
    let requests = args.asked.requests(&model, card.as_ref())?;
    for (index, request) in requests.iter().enumerate() {
        request.check(&model).with_context(|| format!("input {index}"))?;
    }
    let bytes = encode_requests(&requests)?;
    fs::write(&args.out, &bytes).with_context(|| format!("writing {}", args.out.display()))?;
    let mut screen = Screen::new(shared.json);
    let made = serde_json::json!({ "requests": requests.len(), "bytes": bytes.len() });
    if !screen.result(&made)? {
        screen.line(format!("{} requests, {} bytes", requests.len(), bytes.len()));
    }
    Ok(())
}

pub(super) fn answers(args: &AnswersArgs, shared: &Shared) -> Result<()> {
    let model = open(&args.model)?;
    let card = card(&args.model, &model)?;
    let bytes = bounded::read(&args.result, MAX_RESULT_BYTES as u64)?;
    let result = Int8Result::decode(&bytes)
        .with_context(|| format!("{}: not the result of an int8 job", args.result.display()))?;
    if args.text {
        for answer in result.answers() {
            let tokens = answer.first().map(|tensor| tensor.data().widened()).unwrap_or_default();
            screen::print(&text_of(&tokens));
        }
        return Ok(());
    }
    args.written.write(&model, card.as_ref(), result.answers(), shared)
}

/// Tokens that are bytes, as text.
fn text_of(tokens: &[i32]) -> String {
    let bytes: Vec<u8> = tokens.iter().filter_map(|token| u8::try_from(*token).ok()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Generates and shows the tokens.
fn generate(
    model: &Model,
    (prompt, is_text): (&Prompt, bool),
    kernels: &dyn Kernels,
    shared: &Shared,
) -> Result<()> {
    let mut screen = Screen::new(shared.json);
    let mut generation = Generation::new(model, prompt.clone())?;
    let bar = screen.progress(prompt.max_tokens as u64, "tokens");
    while generation.step(kernels)?.is_some() {
        bar.inc(1);
    }
    bar.finish_and_clear();
    let tokens = generation.tokens();
    let text = is_text.then(|| text_of(tokens));
    if !screen.result(&serde_json::json!({ "tokens": tokens, "text": text }))? {
        screen.line(text.unwrap_or_else(|| serde_json::json!(tokens).to_string()));
    }
    Ok(())
}

impl Asked {
    fn requests(&self, model: &Model, card: Option<&Card>) -> Result<Vec<Request>> {
        let sampling = self.sampling()?;
        let tokens = match &self.text {
            Some(text) => text.bytes().map(i32::from).collect(),
            None => self.prompt.clone(),
        };
        let Some(path) = &self.input else {
            model.check_generates().context("generating from a prompt")?;
            let (max_tokens, stop) = (self.max_tokens, self.stop.clone());
            return Ok(vec![Request::Generate(Prompt { tokens, max_tokens, stop, sampling })]);
        };
        let bytes = bounded::read(path, MAX_INPUT)?;
        let named = || path.display().to_string();
        let inputs = match Array::is_npy(&bytes) {
            true => vec![tensor(model, card, &Array::read(&bytes).with_context(named)?)?],
            false => read_samples(&bytes)
                .with_context(named)?
                .into_iter()
                .map(|sample| match sample {
                    Sample::Tokens(tokens) => text(model, tokens),
                    Sample::Features { .. } => bail!("numbers come as a .npy file"),
                })
                .collect::<Result<_>>()?,
        };
        ensure!(!inputs.is_empty(), "{}: it holds no inputs", path.display());
        let request = |input| Request::Run { inputs: vec![input], sampling };
        Ok(inputs.into_iter().map(request).collect())
    }

    fn sampling(&self) -> Result<Sampling> {
        let steps = (self.temperature * f64::from(1 << 16)).round();
        ensure!(
            (0.0..=f64::from(MAX_TEMPERATURE)).contains(&steps),
            "the temperature is {}, from 0 to {} are possible",
            self.temperature,
            MAX_TEMPERATURE >> 16
        );
        let mut seed = [0; 32];
        seed.iter_mut().zip(self.seed.to_le_bytes()).for_each(|(cell, byte)| *cell = byte);
        Ok(Sampling { seed, temperature: steps as u32 })
    }
}

/// Tokens as a model's input: rows of their own, or all of them one row.
fn text(model: &Model, tokens: Vec<i32>) -> Result<Tensor> {
    match model.manifest().inputs().first().map_or(&[][..], |input| &input.dims) {
        [] => Ok(Tensor::list(tokens)?),
        dims => {
            let (count, most) = (tokens.len(), dims.iter().product::<usize>());
            ensure!(count == most, "a text has {count} tokens, the model takes {most}");
            Ok(Tensor::new([&[1], dims].concat(), Data::I32(tokens))?)
        }
    }
}

/// An array as a model's input: integers as they are, floats in the steps of the model's card.
fn tensor(model: &Model, card: Option<&Card>, array: &Array) -> Result<Tensor> {
    let [input] = model.manifest().inputs() else {
        bail!("the model has more than one input: make a job of encoded requests");
    };
    let is_float = matches!(array.kind, Kind::F32 | Kind::F64);
    let unit = match card.and_then(|card| card.inputs.first()) {
        _ if !is_float => 1.0,
        Some(port) => port.unit,
        None => bail!(
            "the model has no card beside it that says what its integers mean: give integers ({}), or convert again",
            input.dtype
        ),
    };
    let (low, high) = (f64::from(input.low), f64::from(input.high));
    let step = |x: &f64| {
        let step = (x / unit).round();
        // Floats beyond the calibrated range are clamped, as within the model; integers must fit.
        if is_float { step.clamp(low, high) as i32 } else { step as i32 }
    };
    let (least, greatest) = input.dtype.limits();
    let fits = |x: &f64| is_float || (f64::from(least)..=f64::from(greatest)).contains(x);
    ensure!(
        array.values.iter().all(fits),
        "a value does not fit the model's type, {}",
        input.dtype
    );
    let cells = Data::collect(input.dtype, array.values.iter().map(step));
    Ok(Tensor::new(array.shape.clone(), cells)?)
}

impl Written {
    /// Shows one output of every answer, in its units if the model has a card.
    fn write(
        &self,
        model: &Model,
        card: Option<&Card>,
        answers: &[Vec<Tensor>],
        shared: &Shared,
    ) -> Result<()> {
        let outputs = model.manifest().outputs();
        let at = match &self.output {
            None => 0,
            Some(name) => {
                outputs.iter().position(|output| &output.name == name).with_context(|| {
                    let names: Vec<&str> = outputs.iter().map(|output| &output.name[..]).collect();
                    format!("the model has no output '{name}', it has: {}", names.join(", "))
                })?
            }
        };
        let unit = card.and_then(|card| card.outputs.get(at)).map_or(1.0, |port| port.unit);
        let found = answers.iter().map(|answer| answer.get(at).context("an answer is too short"));
        let found = found.collect::<Result<Vec<&Tensor>>>()?;
        match &self.out {
            Some(path) => {
                let bytes = stacked(&found, unit)?.write();
                fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
            }
            None => show(&found, unit, shared),
        }
    }
}

fn real(tensor: &Tensor, unit: f64) -> Vec<f64> {
    tensor.data().widened().iter().map(|cell| f64::from(*cell) * unit).collect()
}

/// Answers of one shape as one array, with an axis for the answers if there are several.
fn stacked(found: &[&Tensor], unit: f64) -> Result<Array> {
    let [first, rest @ ..] = found else { bail!("there are no answers") };
    ensure!(
        rest.iter().all(|tensor| tensor.dims() == first.dims()),
        "the answers have different shapes: leave out --out to get them line by line"
    );
    let mut shape = first.dims().to_vec();
    if !rest.is_empty() {
        shape.insert(0, found.len());
    }
    let values = found.iter().flat_map(|tensor| real(tensor, unit)).collect();
    let kind = match first.data().dtype() {
        _ if unit != 1.0 => Kind::F32,
        DType::I8 => Kind::I8,
        DType::I16 => Kind::I16,
        DType::U16 => Kind::U16,
        DType::I32 => Kind::I32,
    };
    Ok(Array { kind, shape, values })
}

fn show(found: &[&Tensor], unit: f64, shared: &Shared) -> Result<()> {
    let lines: Vec<serde_json::Value> = found
        .iter()
        .map(|tensor| match unit == 1.0 {
            true => serde_json::json!(&*tensor.data().widened()),
            false => serde_json::json!(real(tensor, unit)),
        })
        .collect();
    let mut screen = Screen::new(shared.json);
    if !screen.result(&lines)? {
        lines.iter().for_each(|line| screen.line(line.to_string()));
    }
    Ok(())
}
