//! Keep the last notes of tasks for their owners: in memory, at the node that the provider talks to, and at those
//! whose readers ask for them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use neura_api::{BackendError, NoteFeed};
use neura_p2p::{NetworkHandle, PeerId};
use neura_types::{
    note::{MAX_NOTE_BYTES, TaskNote},
    task::{TaskId, TaskState},
};
use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::{
    backend::{Answer, internal, provider_of},
    chain::Chain,
    wire::{self, MAX_NOTES_BYTES, NotesAnswer, NotesRequest, Request},
};

/// Tasks whose notes are kept: more than there can be readers, so that none of a task that is read give way.
const MAX_TASKS: usize = 256;
/// Notes kept of a task: half a minute of them.
const MAX_NOTES: usize = 32;
/// Pause between two questions for a task's notes to other nodes.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// After so long without a note of the provider's own, others are asked whether it talks to them.
const SILENCE: Duration = Duration::from_secs(10);
/// Peers asked for the notes of a task, until one has some.
const MAX_ASKED: usize = 8;
/// Tasks whose notes are asked for at a time: each costs a request a second.
const MAX_FOLLOWED: usize = 32;

/// The notes of tasks.
#[derive(Debug)]
pub struct Notes {
    chain: Arc<Chain>,
    network: NetworkHandle,
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    tasks: HashMap<TaskId, Kept>,
    /// Counts uses, to tell which notes were used last.
    turn: u64,
    followed: usize,
}

#[derive(Debug)]
struct Kept {
    notes: VecDeque<Arc<TaskNote>>,
    live: broadcast::Sender<Arc<TaskNote>>,
    used: u64,
    /// Whether other nodes are asked.
    followed: bool,
    /// When the provider talked to this node last.
    told_at: Option<Instant>,
}

impl Default for Kept {
    fn default() -> Self {
        let live = broadcast::Sender::new(MAX_NOTES);
        Self { notes: VecDeque::new(), live, used: 0, followed: false, told_at: None }
    }
}

impl Kept {
    fn last(&self) -> u64 {
        self.notes.back().map_or(0, |note| note.number)
    }

    fn newer(&self, after: u64) -> Vec<Arc<TaskNote>> {
        self.notes.iter().filter(|note| note.number > after).cloned().collect()
    }
}

impl Board {
    /// A task's notes; for a new task the notes used longest ago give way, those without readers first.
    fn of(&mut self, task: TaskId) -> &mut Kept {
        self.turn += 1;
        if !self.tasks.contains_key(&task) && self.tasks.len() >= MAX_TASKS {
            let oldest = self
                .tasks
                .iter()
                .min_by_key(|(_, kept)| (kept.live.receiver_count() > 0, kept.used));
            if let Some(oldest) = oldest.map(|(task, _)| *task) {
                self.tasks.remove(&oldest);
            }
        }
        let kept = self.tasks.entry(task).or_default();
        kept.used = self.turn;
        kept
    }

    /// Keeps a note and gives it to the readers; one that is no newer than the last is not kept.
    fn keep(&mut self, note: TaskNote, own: bool) -> bool {
        let kept = self.of(note.task);
        if own {
            kept.told_at = Some(Instant::now());
        }
        if note.number <= kept.last() {
            return false;
        }
        if kept.notes.len() == MAX_NOTES {
            kept.notes.pop_front();
        }
        let note = Arc::new(note);
        kept.notes.push_back(Arc::clone(&note));
        // An error means that nobody reads.
        let _ = kept.live.send(note);
        true
    }
}

impl Notes {
    /// No notes yet.
    pub fn new(chain: Arc<Chain>, network: NetworkHandle) -> Self {
        Self { chain, network, board: Mutex::default() }
    }

    /// Takes a note from its provider.
    ///
    /// # Errors
    /// [`BackendError::NoteRefused`].
    pub async fn take(&self, note: TaskNote) -> Answer<()> {
        let number = note.number;
        if self.checked(note, true).await? {
            return Ok(());
        }
        let problem = format!("its number {number} is not above that of the last one");
        Err(BackendError::NoteRefused(problem))
    }

    /// Keeps a note that is the provider's; says whether it was new.
    async fn checked(&self, note: TaskNote, own: bool) -> Answer<bool> {
        let refused = |problem: String| Err(BackendError::NoteRefused(problem));
        let (id, size) = (note.task, note.sealed.len());
        if size > MAX_NOTE_BYTES {
            return refused(format!("it has {size} bytes, {MAX_NOTE_BYTES} at most are taken"));
        }
        let chain = Arc::clone(&self.chain);
        let found = tokio::task::spawn_blocking(move || provider_of(&chain, id)).await;
        let Some((task, provider)) = found.map_err(internal)?? else {
            return refused(format!("there is no task {id}, or no provider of it"));
        };
        // Other nodes give what they took while the task ran: it may have ended since.
        if own && task.state != TaskState::Running {
            return refused(format!("task {id} is {}, not running", task.state.name()));
        }
        if let Err(error) = note.verify(self.chain.genesis.chain_id, &provider.identity) {
            return refused(format!("it is not signed by provider {}: {error}", provider.address));
        }
        Ok(self.board.lock().keep(note, own))
    }

    /// The notes of a task that are here, and those to come. As long as somebody reads them, other nodes are asked.
    pub fn feed(self: &Arc<Self>, task: TaskId) -> NoteFeed {
        let mut board = self.board.lock();
        let may_follow = board.followed < MAX_FOLLOWED;
        let kept = board.of(task);
        let feed = NoteFeed { kept: kept.newer(0), live: kept.live.subscribe() };
        if may_follow && !kept.followed {
            kept.followed = true;
            board.followed += 1;
            let notes = Arc::clone(self);
            self.chain.spawn(async move { notes.follow(task).await });
        }
        feed
    }

    /// The notes of a task above a number, for another node.
    pub fn newer(&self, request: &NotesRequest) -> NotesAnswer {
        let board = self.board.lock();
        let newer = board.tasks.get(&request.task).map(|kept| kept.newer(request.after));
        NotesAnswer(newer.into_iter().flatten().map(|note| TaskNote::clone(&note)).collect())
    }

    /// Asks other nodes for a task's notes until nobody reads them here.
    async fn follow(&self, task: TaskId) {
        let mut source = None;
        while let Some((after, told_here)) = self.read_here(task) {
            if !told_here {
                source = self.ask_any(source, NotesRequest { task, after }).await;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// The number of the last note, and whether the provider talks to this node; none if nobody reads any more.
    fn read_here(&self, task: TaskId) -> Option<(u64, bool)> {
        let mut board = self.board.lock();
        let kept = board.tasks.get_mut(&task);
        if let Some(kept) = kept
            && kept.live.receiver_count() > 0
        {
            let told_here = kept.told_at.is_some_and(|at| at.elapsed() < SILENCE);
            return Some((kept.last(), told_here));
        }
        if let Some(kept) = board.tasks.get_mut(&task) {
            kept.followed = false;
        }
        board.followed = board.followed.saturating_sub(1);
        None
    }

    /// Asks the peer that had notes, or some until one has; tells which one had.
    async fn ask_any(&self, source: Option<PeerId>, request: NotesRequest) -> Option<PeerId> {
        let peers = self.network.peers().into_iter().take(MAX_ASKED);
        for peer in source.into_iter().chain(peers) {
            let question = wire::encode(&Request::Notes(request.clone()));
            let Ok(answer) = self.network.request(peer, question.into()).await else { continue };
            let Ok(NotesAnswer(notes)) = wire::decode(&answer, MAX_NOTES_BYTES) else { continue };
            let mut new = false;
            for note in notes.into_iter().filter(|note| note.task == request.task) {
                // What is not the provider's is the fault of whoever kept it.
                new |= self.checked(note, false).await.unwrap_or(false);
            }
            if new {
                return Some(peer);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use neura_types::keys::SecretKey;

    use super::*;

    fn note(task: TaskId, number: u64) -> TaskNote {
        TaskNote::sign(1, (task, number), Default::default(), &SecretKey::from_seed(&[1; 32]))
    }

    #[test]
    fn the_last_notes_of_a_task_are_kept_each_once_and_in_order() {
        let mut board = Board::default();
        for number in 1..=MAX_NOTES as u64 + 5 {
            assert!(board.keep(note(1, number), true));
            assert!(!board.keep(note(1, number), true), "twice");
        }
        let numbers: Vec<u64> = board.of(1).newer(30).iter().map(|note| note.number).collect();
        assert_eq!(numbers, (31..=MAX_NOTES as u64 + 5).collect::<Vec<_>>());
        assert_eq!(board.of(1).notes.len(), MAX_NOTES);
    }

    #[test]
    fn notes_that_somebody_reads_do_not_give_way() {
        let mut board = Board::default();
        let mut reader = board.of(1).live.subscribe();
        for task in 2..=3 * MAX_TASKS as TaskId {
            board.keep(note(task, 1), true);
        }
        assert_eq!(board.tasks.len(), MAX_TASKS);
        board.keep(note(1, 7), true);
        assert_eq!(reader.try_recv().unwrap().number, 7);
        assert!(!board.tasks.contains_key(&2));
    }
}
