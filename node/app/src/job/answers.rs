//! Say what the answers of an integer network are, as far as its manifest tells: classes, tokens, or numbers.

use anyhow::{Context, Result, bail};
use neura_int8::{Int8Job, Int8Result, Manifest, Model, Tensor, ValueId, ops::Op};
use serde::Serialize;

use super::Job;

/// Outputs that are shown; a job may have 65,536 answers.
const MAX_OUTPUTS: usize = 16;
/// Numbers of an output that are shown: about a line.
const MAX_NUMBERS: usize = 16;

/// How the classes compare with the labels.
#[derive(Debug, Clone, Serialize)]
pub struct Accuracy {
    /// Classes equal to their label.
    pub correct: usize,
    /// Classes in all.
    pub total: usize,
    /// Share in percent.
    pub percent: f64,
}

/// What a network gave, compared with what the owner knows of it.
#[derive(Debug, Clone, Serialize)]
pub struct Answers {
    /// Answers in all.
    pub answers: usize,
    /// Classes or tokens: the first output of every answer, if it is of that kind.
    pub predictions: Vec<i32>,
    /// The first outputs, answer by answer.
    pub outputs: Vec<Described>,
    /// Whether the result holds more than these.
    pub shortened: bool,
    /// Comparison with the labels, if the owner has them.
    pub accuracy: Option<Accuracy>,
    /// Whether they equal the reference's, if the owner has it.
    pub equals_reference: Option<bool>,
}

/// What an output of an answer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Described {
    /// Number of the answer, from 0.
    pub answer: usize,
    /// The output's name in the model, where that is known.
    pub name: Option<String>,
    /// What its numbers are.
    pub kind: OutputKind,
    /// Type of its numbers.
    pub dtype: String,
    /// Its axes.
    pub shape: Vec<usize>,
    /// Its first numbers.
    pub first: Vec<i32>,
}

/// What numbers of an output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// The index of the greatest score.
    Classes,
    /// Tokens that were drawn.
    Tokens,
    /// Numbers in the model's own steps.
    Numbers,
}

/// Reads a network's result, and compares it with what the owner knows; `payload` is the job as it was sealed, if that
/// is at hand.
pub(super) fn answers(job: Option<&Job>, payload: Option<&[u8]>, plain: &[u8]) -> Result<Answers> {
    let result = Int8Result::decode(plain).context("the result is malformed")?;
    let payload = payload.or(job.map(|job| &job.payload[..]));
    let model = payload
        .and_then(|payload| Int8Job::decode(payload).ok())
        .and_then(|job| Model::decode(&job.model).ok());
    let ports = model.as_ref().map_or_else(Vec::new, |model| ports(model.manifest()));
    let mut found = Answers {
        answers: result.answers().len(),
        predictions: Vec::new(),
        outputs: Vec::new(),
        shortened: false,
        accuracy: None,
        equals_reference: None,
    };
    for (answer, tensors) in result.answers().iter().enumerate() {
        for (place, tensor) in tensors.iter().enumerate() {
            let (name, kind) = match ports.get(place) {
                // A generation's tokens are of the first output.
                Some((name, kind)) => (Some(name.clone()), *kind),
                None => (None, OutputKind::Numbers),
            };
            if place == 0 && kind != OutputKind::Numbers {
                found.predictions.extend_from_slice(tensor.data().i32s());
            }
            found.shortened |= tensor.data().len() > MAX_NUMBERS;
            if found.outputs.len() < MAX_OUTPUTS {
                found.outputs.push(described(answer, name, kind, tensor));
            } else {
                found.shortened = true;
            }
        }
    }
    compare(&mut found, job)?;
    Ok(found)
}

/// Name and kind of each output of a model.
fn ports(manifest: &Manifest) -> Vec<(String, OutputKind)> {
    let made_by = |value: ValueId| {
        let mut nodes = manifest.nodes().iter().enumerate();
        nodes.find(|(at, _)| manifest.made_by(*at) == value).map(|(_, node)| &node.op)
    };
    let kind = |value| match made_by(value) {
        Some(Op::Argmax(_)) => OutputKind::Classes,
        Some(Op::Sample(_)) => OutputKind::Tokens,
        _ => OutputKind::Numbers,
    };
    manifest.outputs().iter().map(|output| (output.name.clone(), kind(output.value))).collect()
}

fn described(answer: usize, name: Option<String>, kind: OutputKind, tensor: &Tensor) -> Described {
    let numbers = tensor.data().widened();
    Described {
        answer,
        name,
        kind,
        dtype: tensor.data().dtype().to_string(),
        shape: tensor.dims().to_vec(),
        first: numbers.iter().take(MAX_NUMBERS).copied().collect(),
    }
}

/// Holds classes or tokens against labels and reference.
fn compare(found: &mut Answers, job: Option<&Job>) -> Result<()> {
    let labels = job.and_then(|job| job.labels.as_deref());
    let reference = job.and_then(|job| job.reference.as_deref());
    let count = found.predictions.len();
    for (name, known) in [("labels", labels), ("reference", reference)] {
        match known.map(<[u16]>::len) {
            Some(_) if count == 0 => bail!(
                "the job file has {name}, but the model's first output is neither classes nor tokens: leave them out"
            ),
            Some(known) if known != count => {
                bail!("{count} classes came back, but the {name} file has {known}")
            }
            _ => {}
        }
    }
    let same = |known: &[u16]| {
        let pairs = known.iter().zip(&found.predictions);
        pairs.filter(|(class, found)| i32::from(**class) == **found).count()
    };
    found.accuracy = labels.map(|labels| {
        let correct = same(labels);
        Accuracy { correct, total: count, percent: 100.0 * correct as f64 / count.max(1) as f64 }
    });
    found.equals_reference = reference.map(|reference| same(reference) == count);
    Ok(())
}

impl std::fmt::Display for Described {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "answer {}", self.answer)?;
        if let Some(name) = &self.name {
            write!(f, ", {name}")?;
        }
        let shape: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        let shape = shape.join(" x ");
        match self.kind {
            OutputKind::Classes => write!(f, ": classes, {shape}: ")?,
            OutputKind::Tokens => write!(f, ": tokens, {shape}: ")?,
            OutputKind::Numbers => write!(f, ": {}, {shape}: ", self.dtype)?,
        }
        let numbers: Vec<String> = self.first.iter().map(i32::to_string).collect();
        let more = if numbers.len() < self.shape.iter().product() { " …" } else { "" };
        write!(f, "{}{more}", numbers.join(" "))
    }
}
