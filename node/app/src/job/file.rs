//! Read a job file and what it names.

use std::path::{Path, PathBuf};

use neura_types::{
    Amount,
    task::{Requirement, ResultPrivacy},
};
use serde::{Deserialize, de::DeserializeOwned};

use super::work::{ExecutorName, RawJob};
use crate::bounded;

/// Longest list of classes.
const MAX_CLASSES: u64 = 16 << 20;
/// Characters of a bad line that are shown.
const MAX_SHOWN: usize = 40;
/// Longest job file.
const MAX_JOB_FILE: u64 = 1 << 20;

/// Why a job file describes no job.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A file cannot be read, or is too long.
    #[error("cannot read {path}: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Not the TOML that is expected.
    #[error("job file {path}: {cause}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        cause: toml::de::Error,
    },
    /// A field that makes no sense.
    #[error("job file {path}: {reason}")]
    Field {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to write.
        reason: String,
    },
    /// A model or batch that the executor would refuse.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl JobError {
    /// Stable code, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "file_unreadable",
            Self::Toml { .. } | Self::Field { .. } => "invalid_job_file",
            Self::Content { .. } => "invalid_job",
        }
    }
}

/// A job file; `J` is what its executor's `[job]` table holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile<J> {
    job: J,
    #[serde(default)]
    requirements: Requirement,
    terms: RawTerms,
}

/// What is read first: which keys may follow. The file is then read again for those, so that an error has its place.
#[derive(Debug, Deserialize)]
struct Head {
    job: HeadJob,
}

#[derive(Debug, Deserialize)]
struct HeadJob {
    executor: ExecutorName,
}

impl<J: DeserializeOwned> RawFile<J> {
    fn read(text: &str, job: impl FnOnce(J) -> RawJob) -> Result<RawFile<RawJob>, toml::de::Error> {
        let Self { job: table, requirements, terms } = toml::from_str(text)?;
        Ok(RawFile { job: job(table), requirements, terms })
    }
}

impl RawFile<RawJob> {
    fn of(text: &str) -> Result<Self, toml::de::Error> {
        let Head { job: HeadJob { executor } } = toml::from_str(text)?;
        match executor {
            ExecutorName::Int8 => RawFile::read(text, RawJob::Int8),
            ExecutorName::Wgsl => RawFile::read(text, RawJob::Wgsl),
            ExecutorName::Wasm => RawFile::read(text, RawJob::Wasm),
            ExecutorName::Onnx => RawFile::read(text, RawJob::Onnx),
            ExecutorName::Oci => RawFile::read(text, RawJob::Oci),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTerms {
    duration_blocks: u64,
    max_price: String,
    result: Option<ResultPrivacy>,
}

/// A job, ready to be sealed.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name, for the screen.
    pub name: String,
    /// Executor.
    pub executor: String,
    /// What the provider gets, before sealing.
    pub payload: Vec<u8>,
    /// Right classes, which stay with the owner.
    pub labels: Option<Vec<u16>>,
    /// Classes that a correct execution gives, which stay with the owner.
    pub reference: Option<Vec<u16>>,
    /// What the job needs.
    pub requirement: Requirement,
    /// Most blocks from acceptance to submission.
    pub duration_blocks: u64,
    /// Most that the owner pays.
    pub max_price: Amount,
    /// Who may read the result.
    pub privacy: ResultPrivacy,
}

impl Job {
    /// Reads a job file; paths in it are relative to it.
    ///
    /// # Errors
    /// See [`JobError`]: a job that the executor would refuse is refused here, before anything is paid.
    pub fn load(path: &Path) -> Result<Self, JobError> {
        let text = String::from_utf8(read(path, MAX_JOB_FILE)?).map_err(|_| JobError::Read {
            path: path.to_owned(),
            reason: "it is not a text file: name a job file such as examples/digits/job.toml"
                .into(),
        })?;
        let (raw, max_price) = parse(path, &text)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let known = |name: &Option<PathBuf>| {
            name.as_ref().map(|name| classes(&folder.join(name))).transpose()
        };
        let (labels, reference) = match &raw.job {
            RawJob::Int8(job) => (known(&job.labels)?, known(&job.reference)?),
            _ => (None, None),
        };
        Ok(Self {
            labels,
            reference,
            name: raw.job.name().to_owned(),
            executor: raw.job.executor().to_owned(),
            payload: raw.job.payload(folder)?,
            requirement: raw.requirements,
            duration_blocks: raw.terms.duration_blocks,
            max_price,
            privacy: raw.terms.result.unwrap_or(ResultPrivacy::Sealed),
        })
    }

    /// Whether a task of this executor and plain payload is this job's, as far as the payload is at hand.
    #[must_use]
    pub fn is_of(&self, executor: &str, payload: Option<&[u8]>) -> bool {
        self.executor == executor && payload.is_none_or(|payload| payload == self.payload)
    }
}

/// Whether a text is a job file, whatever the files that it names hold.
///
/// # Errors
/// As [`Job::load`] for the text alone.
pub fn check_text(text: &str) -> Result<(), JobError> {
    parse(Path::new("job.toml"), text).map(|_| ())
}

/// Reads the text of a job file, and the price in it.
fn parse(path: &Path, text: &str) -> Result<(RawFile<RawJob>, Amount), JobError> {
    let raw = RawFile::of(text).map_err(|cause| JobError::Toml { path: path.to_owned(), cause })?;
    let field = |reason: String| JobError::Field { path: path.to_owned(), reason };
    if raw.terms.duration_blocks == 0 {
        return Err(field("duration_blocks must be at least 1".into()));
    }
    let max_price =
        Amount::parse(&raw.terms.max_price).map_err(|error| field(error.to_string()))?;
    raw.job.check().map_err(field)?;
    Ok((raw, max_price))
}

pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, JobError> {
    bounded::bytes(path, limit)
        .map_err(|error| JobError::Read { path: path.to_owned(), reason: error.to_string() })
}

/// Reads classes, one number per line; `#` begins a comment.
fn classes(path: &Path) -> Result<Vec<u16>, JobError> {
    let bytes = read(path, MAX_CLASSES)?;
    String::from_utf8_lossy(&bytes)
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .map(|line| {
            line.parse().map_err(|_| JobError::Content {
                path: path.to_owned(),
                reason: format!(
                    "'{}' is not a class: write one number from 0 to 65535 per line",
                    line.escape_debug().take(MAX_SHOWN).collect::<String>()
                ),
            })
        })
        .collect()
}
