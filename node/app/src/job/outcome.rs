//! Open a task's result and judge it.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use neura_blobs::{EncryptionSecretKey, Purpose, open};
use neura_client::Client;
use neura_provider::envelope_context;
use neura_types::{
    ChainId,
    job::{JobFault, JobFormat, JobResult, NamedBytes},
    task::{ResultPrivacy, Task, result_commitment},
};
use serde::Serialize;

use super::{
    Job,
    answers::{Answers, answers},
    end::no_result,
};

/// Largest result that is fetched and opened.
const MAX_RESULT: usize = 256 << 20;
/// Largest result that is fetched only to see whether its job failed.
const MAX_LOOK: u64 = 1 << 20;

/// What the owner learns from a result.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Report {
    /// Of an integer network.
    Answers(Answers),
    /// Of the other executors, and of a network that was not done in time.
    Outputs {
        /// Why the job did not end well, if so.
        fault: Option<JobFault>,
        /// What came back.
        outputs: Vec<Output>,
    },
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
            Self::Answers(_) => None,
            Self::Outputs { fault, .. } => fault.as_ref(),
        }
    }

    /// Whether it is as good as can be told: no fault, and nothing that differs from the reference.
    pub fn is_good(&self) -> bool {
        match self {
            Self::Answers(found) => found.equals_reference != Some(false),
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
    let Some(result) = &task.result else {
        bail!("{}", no_result(task, super::declined_because(client, task).await.as_deref()));
    };
    let limit = MAX_RESULT.min(usize::try_from(result.blob.size).unwrap_or(MAX_RESULT));
    let bytes = client.blob(result.blob.hash, limit).await.context("fetching the result")?;
    let plain = match task.terms.privacy {
        ResultPrivacy::Public => bytes,
        ResultPrivacy::Sealed => {
            open(&envelope_context(chain_id, task, Purpose::Result), key, &bytes, MAX_RESULT as u64)
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

/// The plain payload of a task, as its owner can open it; none if the store does not have it any more, or it is not
/// this key's.
pub async fn open_payload(
    client: &Client,
    chain_id: ChainId,
    task: &Task,
    key: &EncryptionSecretKey,
) -> Option<Vec<u8>> {
    let payload = &task.terms.payload;
    let limit = usize::try_from(payload.size).ok().filter(|size| *size <= MAX_RESULT)?;
    let sealed = client.blob(payload.hash, limit).await.ok()?;
    let context = envelope_context(chain_id, task, Purpose::Payload);
    Some(open(&context, key, &sealed, MAX_RESULT as u64).ok()?.to_vec())
}

/// Why the job of a task failed, if it did so by its own fault and this key opens its result. None for a result that is
/// too long to be fetched for that.
pub async fn fault(
    client: &Client,
    chain_id: ChainId,
    task: &Task,
    key: &EncryptionSecretKey,
) -> Option<JobFault> {
    task.result.as_ref().filter(|result| result.blob.size <= MAX_LOOK)?;
    let plain = open_result(client, chain_id, task, key).await.ok()?;
    JobResult::decode(&plain).ok()?.fault
}

/// Whether a result is a network's answers, and not its fault or another executor's outputs.
fn is_of_network(executor: &str, plain: &[u8]) -> bool {
    executor == "int8" && JobResult::decode(plain).is_err()
}

/// Reads a result of an executor, and compares it with what the owner knows. `payload` is the plain payload, if that is
/// at hand without a job file.
///
/// # Errors
/// If the bytes are no result, or one of another length than the labels or the reference.
pub fn report(
    executor: &str,
    job: Option<&Job>,
    payload: Option<&[u8]>,
    plain: &[u8],
) -> Result<Report> {
    if is_of_network(executor, plain) {
        return answers(job, payload, plain).map(Report::Answers);
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
    if is_of_network(executor, plain) {
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
