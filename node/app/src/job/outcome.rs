//! Open a task's result and judge it.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use neura_blobs::{EncryptionSecretKey, EnvelopeContext, Purpose, open};
use neura_client::Client;
use neura_int8::Int8Result;
use neura_types::{
    ChainId,
    job::{JobFault, JobFormat, JobResult, NamedBytes},
    task::{ResultPrivacy, Task, result_commitment},
};
use serde::Serialize;

use super::Job;

/// Largest result that is fetched and opened.
const MAX_RESULT: usize = 256 << 20;

/// How the predictions compare with the labels.
#[derive(Debug, Clone, Serialize)]
pub struct Accuracy {
    /// Predictions equal to their label.
    pub correct: usize,
    /// Predictions in all.
    pub total: usize,
    /// Share in percent.
    pub percent: f64,
}

/// What the owner learns from a result.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Report {
    /// Of an integer network.
    Predictions(Predictions),
    /// Of the other executors.
    Outputs {
        /// Why the job did not end well, if so.
        fault: Option<JobFault>,
        /// What came back.
        outputs: Vec<Output>,
    },
}

/// Classes, compared with what the owner knows of them.
#[derive(Debug, Clone, Serialize)]
pub struct Predictions {
    /// The classes or tokens: the first output of every answer, if it is of whole numbers.
    pub predictions: Vec<i32>,
    /// Answers in all, of whatever numbers.
    pub answers: usize,
    /// Comparison with the labels, if the owner has them.
    pub accuracy: Option<Accuracy>,
    /// Whether they equal the reference's, if the owner has it.
    pub equals_reference: Option<bool>,
}

/// An output of a job.
#[derive(Debug, Clone, Serialize)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: usize,
    /// Its beginning, if it is text.
    pub text: Option<String>,
}

/// Characters of an output that are shown.
const MAX_TEXT: usize = 2_000;

impl Report {
    /// Why the job failed by its own fault, if it did.
    pub fn fault(&self) -> Option<&JobFault> {
        match self {
            Self::Predictions(_) => None,
            Self::Outputs { fault, .. } => fault.as_ref(),
        }
    }

    /// Whether it is as good as can be told: no fault, and nothing that differs from the reference.
    pub fn is_good(&self) -> bool {
        match self {
            Self::Predictions(found) => found.equals_reference != Some(false),
            Self::Outputs { fault, .. } => fault.is_none(),
        }
    }
}

/// Fetches a task's result, checks it against the chain and opens it.
///
/// # Errors
/// If there is none yet, it is not what the chain names, cannot be opened with the key, or does not match the
/// provider's commitment.
pub async fn open_result(
    client: &Client,
    chain_id: ChainId,
    task: &Task,
    key: &EncryptionSecretKey,
) -> Result<Vec<u8>> {
    let result = task
        .result
        .as_ref()
        .with_context(|| format!("task {} has no result yet: it is {:?}", task.id, task.state))?;
    let limit = MAX_RESULT.min(usize::try_from(result.blob.size).unwrap_or(MAX_RESULT));
    let bytes = client.blob(result.blob.hash, limit).await.context("fetching the result")?;
    let plain = match task.terms.privacy {
        ResultPrivacy::Public => bytes,
        ResultPrivacy::Sealed => {
            let context = EnvelopeContext {
                chain_id,
                purpose: Purpose::Result,
                owner: task.owner.into_array(),
                provider: task.terms.provider.into_array(),
                binding: task.terms.envelope_nonce.0,
            };
            open(&context, key, &bytes, MAX_RESULT as u64)
                .context(
                    "opening the result (`neura task challenge` contests one that cannot be read)",
                )?
                .to_vec()
        }
    };
    let commitment = result_commitment(chain_id, task.id, task.terms.provider, &plain);
    ensure!(
        commitment == result.commitment,
        "the result is not the one that the provider committed to: contest it with `neura task challenge {}`",
        task.id
    );
    Ok(plain)
}

/// Reads a result of an executor, and compares it with what the owner knows.
///
/// # Errors
/// If the bytes are no result, or one of another length than the labels or the reference.
pub fn report(executor: &str, job: Option<&Job>, plain: &[u8]) -> Result<Report> {
    if executor == "int8" {
        return predictions(job, plain).map(Report::Predictions);
    }
    let result = JobResult::decode(plain).context("the result is malformed")?;
    let outputs = result.outputs.into_iter().map(|output| Output {
        bytes: output.bytes.len(),
        text: String::from_utf8(output.bytes)
            .ok()
            .filter(|text| !text.is_empty() && !text.contains('\0'))
            .map(|text| text.chars().take(MAX_TEXT).collect()),
        name: output.name,
    });
    Ok(Report::Outputs { fault: result.fault, outputs: outputs.collect() })
}

/// Writes a result: the bytes of an integer network's into a file, the outputs of the others into a folder, each a file
/// of its name.
///
/// # Errors
/// If the bytes are no result, or something cannot be written.
pub fn save(executor: &str, plain: &[u8], path: &Path) -> Result<()> {
    let write = |path: &Path, bytes: &[u8]| {
        std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
    };
    if executor == "int8" {
        return write(path, plain);
    }
    let result = JobResult::decode(plain).context("the result is malformed")?;
    std::fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
    result
        .outputs
        .iter()
        .try_for_each(|output| write(&path.join(file_name(output, executor)), &output.bytes))
}

/// The name of an output's file. The provider chose the output's: nothing of it leads out of the folder.
fn file_name(output: &NamedBytes, executor: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = output.name.chars().map(plain).collect();
    let name = name.trim_start_matches('.');
    let name = if name.is_empty() { "output" } else { name };
    if executor == "onnx" { format!("{name}.npy") } else { name.to_owned() }
}

fn predictions(job: Option<&Job>, plain: &[u8]) -> Result<Predictions> {
    let result = Int8Result::decode(plain).context("the result is malformed")?;
    let first = result.answers().iter().filter_map(|answer| answer.first());
    let predictions: Vec<i32> = first.flat_map(|tensor| tensor.data().i32s()).copied().collect();
    let labels = job.and_then(|job| job.labels.as_deref());
    let reference = job.and_then(|job| job.reference.as_deref());
    for (name, known) in [("labels", labels), ("reference", reference)] {
        if let Some(known) = known
            && known.len() != predictions.len()
        {
            bail!(
                "{} predictions came back, but the {name} file has {}",
                predictions.len(),
                known.len()
            );
        }
    }
    let accuracy = labels.map(|labels| {
        let correct =
            labels.iter().zip(&predictions).filter(|(a, b)| i32::from(**a) == **b).count();
        let total = predictions.len();
        Accuracy { correct, total, percent: 100.0 * correct as f64 / total.max(1) as f64 }
    });
    let equals_reference = reference
        .map(|known| known.iter().map(|class| i32::from(*class)).eq(predictions.iter().copied()));
    let answers = result.answers().len();
    Ok(Predictions { predictions, answers, accuracy, equals_reference })
}
