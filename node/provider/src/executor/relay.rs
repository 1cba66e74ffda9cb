//! Connect an executor with who waits for it: where it begins, how far it is, what it leaves for whoever goes on.

use std::time::{Duration, Instant};

use neura_gpu::DeviceInfo;
use neura_types::B256;

use super::Executor;
use crate::checkpoint::Checkpoint;

/// Least time between two reports of progress: a screen shows no more.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Longest text of a report, in bytes: a line on a screen, or an error with its place.
pub(crate) const MAX_TEXT: usize = 1_024;
/// Most text that one run logs, in bytes: what a person reads, and little enough to be sealed and sent.
const MAX_LOGGED: usize = 64 << 10;

/// What an executor says while it works.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    /// The device is open and passed its test.
    Opened(Box<DeviceInfo>),
    /// So much of the whole is done.
    Progress { done: u64, total: u64, note: String },
    /// A line for the owner.
    Log(String),
    /// The checkpoint is not of this job, or damaged: it begins at the beginning.
    SetAside(String),
    /// The state of the work.
    Checkpoint { step: u64, bytes: Vec<u8> },
}

/// What is asked of a run beside its result.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keeping {
    /// The checkpoint to go on from.
    pub(crate) start: Option<Vec<u8>>,
    /// Least time between two checkpoints; none for no checkpoints at all.
    pub(crate) every: Option<Duration>,
    /// Longest checkpoint, in bytes.
    pub(crate) max_bytes: u64,
}

/// What an executor is run with.
pub(crate) struct Relay<'a> {
    executor: Executor,
    payload: B256,
    keeping: Keeping,
    kept_at: Instant,
    told_at: Option<Instant>,
    logged: usize,
    say: &'a mut dyn FnMut(Said),
}

impl<'a> Relay<'a> {
    /// For the job whose payload has this hash.
    pub(crate) fn new(
        executor: Executor,
        payload: B256,
        keeping: Keeping,
        say: &'a mut dyn FnMut(Said),
    ) -> Self {
        let kept_at = Instant::now();
        Self { executor, payload, keeping, kept_at, told_at: None, logged: 0, say }
    }

    /// Says which device is used.
    pub(crate) fn opened(&mut self, device: DeviceInfo) {
        (self.say)(Said::Opened(Box::new(device)));
    }

    /// What `resume` makes of the checkpoint's step and state, if there is one and it takes it. One that it does not
    /// take is set aside, and the job begins at the beginning.
    pub(crate) fn resumed<T, E: ToString>(
        &mut self,
        resume: impl FnOnce(u64, &[u8]) -> Result<T, E>,
    ) -> Option<T> {
        let start = self.keeping.start.take()?;
        let taken = Checkpoint::of(self.executor, self.payload, &start)
            .map_err(|error| error.to_string())
            .and_then(|read| resume(read.step, read.state).map_err(|error| error.to_string()));
        match taken {
            Ok(resumed) => Some(resumed),
            Err(reason) => {
                (self.say)(Said::SetAside(clipped(reason)));
                None
            }
        }
    }

    /// Says how far the work is, unless it was said a moment ago.
    pub(crate) fn progress(&mut self, done: u64, total: u64, note: impl FnOnce() -> String) {
        if done < total && self.told_at.is_some_and(|at| at.elapsed() < PROGRESS_EVERY) {
            return;
        }
        self.told_at = Some(Instant::now());
        (self.say)(Said::Progress { done, total, note: clipped(note()) });
    }

    /// Says something to the owner, as long as the run has not said too much.
    pub(crate) fn log(&mut self, text: impl ToString) {
        let text = clipped(text.to_string());
        // A line without text is sent too.
        self.logged = self.logged.saturating_add(text.len().max(1));
        if self.logged <= MAX_LOGGED {
            (self.say)(Said::Log(text));
        }
    }

    /// Whether it is time for a checkpoint.
    pub(crate) fn wants_checkpoint(&self) -> bool {
        self.keeping.every.is_some_and(|every| self.kept_at.elapsed() >= every)
    }

    /// Gives the state of the work away. If it is too long for the store, there are no checkpoints.
    pub(crate) fn checkpoint(&mut self, step: u64, state: &[u8]) {
        let (executor, payload) = (self.executor, self.payload);
        let bytes = Checkpoint { executor, payload, step, state }.encode();
        let (size, max) = (bytes.len() as u64, self.keeping.max_bytes);
        if size > max {
            self.keeping.every = None;
            self.log(format!("no checkpoints: one has {size} bytes, and {max} at most are kept"));
            return;
        }
        (self.say)(Said::Checkpoint { step, bytes });
        self.kept_at = Instant::now();
    }
}

/// A text within [`MAX_TEXT`].
pub(crate) fn clipped(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}
