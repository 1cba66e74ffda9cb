//! Tell a task's owner how the work goes: sealed notes, one now and then, of what was said meanwhile. Nothing depends
//! on them: what cannot be sent is left.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use neura_blobs::max_plaintext_len;
use neura_types::{
    note::{MAX_NOTE_BYTES, Remark, TaskNote},
    task::Task,
};
use tokio::sync::Notify;

use super::core::Core;
use crate::{executor::MAX_TEXT, job::seal_note};

/// Least time between two notes of a task: nobody reads faster, and nodes keep few of them.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// Lines that wait to be sent; beyond, the oldest are left out.
const MAX_LINES: usize = 64;
/// Bytes of the progress in a note, at most: its text, two numbers, and the list's length.
const MAX_PROGRESS: usize = MAX_TEXT + 2 * REMARK_OVERHEAD;
/// Bytes of a remark's encoding beside its text, at most.
const REMARK_OVERHEAD: usize = 24;

/// What a run has said and its owner was not told yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The newest stands for those before.
    progress: Option<Remark>,
    lines: VecDeque<String>,
    /// Number of the last note.
    number: u64,
}

impl Outbox {
    pub(super) fn progress(&self, done: u64, total: u64, note: &str) {
        let note = note.to_owned();
        self.add(|waiting| waiting.progress = Some(Remark::Progress { done, total, note }));
    }

    pub(super) fn log(&self, text: &str) {
        self.add(|waiting| {
            if waiting.lines.len() == MAX_LINES {
                waiting.lines.pop_front();
            }
            waiting.lines.push_back(text.to_owned());
        });
    }

    fn add(&self, add: impl FnOnce(&mut Waiting)) {
        add(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// As much as one note holds, with the note's number; none if there is nothing.
    fn take(&self) -> Option<(u64, Vec<Remark>)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let room = max_plaintext_len(MAX_NOTE_BYTES as u64, 1).unwrap_or(0);
        let mut room = usize::try_from(room).unwrap_or(0).saturating_sub(MAX_PROGRESS);
        let mut remarks: Vec<Remark> = waiting.progress.take().into_iter().collect();
        while let Some(line) = waiting.lines.pop_front() {
            let size = line.len() + REMARK_OVERHEAD;
            if size > room {
                waiting.lines.push_front(line);
                self.changed.notify_one();
                break;
            }
            room -= size;
            remarks.push(Remark::Log(line));
        }
        // Rises across restarts of the agent too.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        waiting.number = u64::try_from(now).unwrap_or(0).max(waiting.number + 1);
        (!remarks.is_empty()).then_some((waiting.number, remarks))
    }
}

impl Core {
    /// Sends what is said, for as long as it is polled.
    pub(super) async fn send_notes(&self, task: &Task, outbox: &Outbox) -> Infallible {
        loop {
            outbox.changed.notified().await;
            self.send_note(task, outbox).await;
            tokio::time::sleep(NOTE_EVERY).await;
        }
    }

    /// Sends what is left when a run has ended, unless that takes long: the result matters more.
    pub(super) async fn send_last_note(&self, task: &Task, outbox: &Outbox) {
        let _ = tokio::time::timeout(NOTE_EVERY, self.send_note(task, outbox)).await;
    }

    /// Sends what waits, as far as it fits into one note.
    async fn send_note(&self, task: &Task, outbox: &Outbox) {
        let Some((number, remarks)) = outbox.take() else { return };
        let Some(sealed) = seal_note(self.chain_id, task, &Remark::encode_list(&remarks)) else {
            return;
        };
        let key = &self.operator.keys.identity;
        let note = TaskNote::sign(self.chain_id, (task.id, number), sealed.into(), key);
        if let Err(error) = self.operator.client.post_note(&note).await {
            tracing::debug!(task = task.id, %error, "a note to the owner is not sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_fit_and_lose_nothing_that_may_wait() {
        let outbox = Outbox::default();
        let line = "x".repeat(MAX_TEXT);
        (0..10).for_each(|_| outbox.log(&line));
        outbox.progress(1, 9, "old");
        outbox.progress(2, 9, "new");
        let (mut lines, mut last) = (0, 0);
        while let Some((number, remarks)) = outbox.take() {
            assert!(number > last);
            last = number;
            let plain = Remark::encode_list(&remarks).len() as u64;
            assert!(neura_blobs::sealed_len(plain, 1) <= MAX_NOTE_BYTES as u64);
            lines += remarks.iter().filter(|remark| matches!(remark, Remark::Log(_))).count();
            assert!(
                !remarks.iter().any(|remark| matches!(remark, Remark::Progress { done: 1, .. }))
            );
        }
        assert_eq!(lines, 10);
    }

    #[test]
    fn the_oldest_of_too_many_lines_are_left_out() {
        let outbox = Outbox::default();
        (0..MAX_LINES + 3).for_each(|number| outbox.log(&number.to_string()));
        let (_, remarks) = outbox.take().unwrap();
        assert_eq!(remarks[0], Remark::Log("3".into()));
    }
}
