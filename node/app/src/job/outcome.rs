//! Open a task's result and judge it.

use anyhow::{Context, Result, bail, ensure};
use neura_blobs::{EncryptionSecretKey, EnvelopeContext, Purpose, open};
use neura_client::Client;
use neura_int8::Int8Result;
use neura_types::{
    ChainId,
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
pub struct Report {
    /// The classes or tokens: the first output of every answer, if it is of whole numbers.
    pub predictions: Vec<i32>,
    /// Comparison with the labels, if the owner has them.
    pub accuracy: Option<Accuracy>,
    /// Whether they equal the reference's, if the owner has it.
    pub equals_reference: Option<bool>,
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

/// Reads a result and compares it with what the owner knows.
///
/// # Errors
/// If the bytes are no result, or one of another length than the labels or the reference.
pub fn report(job: Option<&Job>, plain: &[u8]) -> Result<Report> {
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
    Ok(Report { predictions, accuracy, equals_reference })
}
