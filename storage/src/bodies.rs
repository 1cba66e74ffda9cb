//! Keep the bodies of batches in files of their own, beside the database.
//!
//! Batches are large, many, written once and dropped in the order in which they came. In the database each would be
//! written and checked several times, in its log, its tables and their compactions. Here each is appended once to a
//! segment; the database keeps its place. A segment goes when nothing in it is named any more.
//!
//! # Invariants
//! - Bodies are durable before the rows that name them: every synced write of the database syncs the segment first.
//! - A file is removed only after the removal of its last row is durable.
//! - What a crash tore is found when the store opens: rows of the segment that was written to are checked against their
//!   digests, and dropped if they fail. Later reads check too.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

/// A segment takes no more once it has so many bytes: few files, and space comes free in small pieces.
const SEGMENT_BYTES: u64 = 16 << 20;

/// Where a body lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// The segments.
#[derive(Debug)]
pub(crate) struct Bodies {
    folder: PathBuf,
    state: Mutex<State>,
    /// Held while the disk works, so that who finds nothing to sync knows that it is done.
    syncing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    segment: u64,
    file: Option<Arc<File>>,
    length: u64,
    dirty: bool,
    /// Rows that name each segment.
    live: BTreeMap<u64, usize>,
    /// Segments that no row names any more.
    dead: Vec<u64>,
}

impl Bodies {
    /// Opens a folder of segments; new bodies go to a new one.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut newest = 0;
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name();
            if let Some(segment) = name.to_str().and_then(|name| name.parse::<u64>().ok()) {
                found.push(segment);
                newest = newest.max(segment);
            }
        }
        let state = State {
            segment: newest.saturating_add(1),
            file: None,
            length: 0,
            dirty: false,
            live: found.into_iter().map(|segment| (segment, 0)).collect(),
            dead: Vec::new(),
        };
        Ok(Self { folder: folder.into(), state: Mutex::new(state), syncing: Mutex::new(()) })
    }

    /// The segment that was written to last before this start, if it is still there.
    pub(crate) fn last_written(&self) -> Option<u64> {
        self.state().live.keys().next_back().copied()
    }

    /// Makes durable what an earlier process wrote to the last segment: later only newer segments are looked after.
    pub(crate) fn settle(&self) -> io::Result<()> {
        match self.last_written() {
            Some(segment) => File::open(self.path(segment))?.sync_data(),
            None => Ok(()),
        }
    }

    /// Counts a row that was found; says whether its segment is there.
    pub(crate) fn count(&self, place: Place) -> bool {
        self.state().live.get_mut(&place.segment).map(|rows| *rows += 1).is_some()
    }

    /// Removes the segments that no row was counted for.
    pub(crate) fn sweep(&self) {
        let mut state = self.state();
        let dead: Vec<u64> = state
            .live
            .iter()
            .filter(|(_, rows)| **rows == 0)
            .map(|(segment, _)| *segment)
            .collect();
        for segment in dead {
            state.live.remove(&segment);
            state.dead.push(segment);
        }
    }

    /// Appends bodies. Not durable before [`Bodies::sync`].
    pub(crate) fn append(&self, bodies: &[&[u8]]) -> io::Result<Vec<Place>> {
        let mut state = self.state();
        let mut places = Vec::with_capacity(bodies.len());
        for body in bodies {
            let length = u32::try_from(body.len()).map_err(io::Error::other)?;
            let mut file = self.writable(&mut state)?;
            file.write_all(body)?;
            let place = Place { segment: state.segment, offset: state.length, length };
            state.length = state.length.saturating_add(length.into());
            state.dirty = true;
            *state.live.entry(place.segment).or_default() += 1;
            places.push(place);
        }
        Ok(places)
    }

    /// The file that is written to; a full one is made durable and left.
    fn writable(&self, state: &mut State) -> io::Result<Arc<File>> {
        if state.length >= SEGMENT_BYTES
            && let Some(full) = state.file.take()
        {
            full.sync_data()?;
            let emptied = state.live.get(&state.segment) == Some(&0);
            if emptied {
                state.live.remove(&state.segment);
                let segment = state.segment;
                state.dead.push(segment);
            }
            state.segment = state.segment.saturating_add(1);
            state.length = 0;
        }
        if let Some(file) = &state.file {
            return Ok(Arc::clone(file));
        }
        let path = self.path(state.segment);
        let file = Arc::new(OpenOptions::new().append(true).create_new(true).open(path)?);
        // The file's name must survive too.
        File::open(&self.folder)?.sync_all()?;
        state.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Reads a body; none if its segment is gone or ends before it does.
    pub(crate) fn read(&self, place: Place) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(place.segment)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let end = place.offset.saturating_add(place.length.into());
        if file.metadata()?.len() < end {
            return Ok(None);
        }
        let mut body = vec![0; place.length as usize];
        file.read_exact_at(&mut body, place.offset)?;
        Ok(Some(body))
    }

    /// A row that named this place is being removed.
    pub(crate) fn forget(&self, place: Place) {
        let mut state = self.state();
        let Some(rows) = state.live.get_mut(&place.segment) else { return };
        *rows = rows.saturating_sub(1);
        if *rows == 0 && place.segment != state.segment {
            state.live.remove(&place.segment);
            state.dead.push(place.segment);
        }
    }

    /// Makes every body appended so far durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let file = {
            let mut state = self.state();
            let dirty = std::mem::replace(&mut state.dirty, false);
            state.file.clone().filter(|_| dirty)
        };
        file.map_or(Ok(()), |file| file.sync_data())
    }

    /// Whether there are bodies that are not durable yet.
    #[cfg(test)]
    pub(crate) fn is_dirty(&self) -> bool {
        self.state().dirty
    }

    /// The segments whose last rows have been removed by a write that was asked for; they may go once it is durable.
    pub(crate) fn take_dead(&self) -> Vec<u64> {
        std::mem::take(&mut self.state().dead)
    }

    /// Removes segments. One that stays is removed at the next start.
    pub(crate) fn remove(&self, segments: Vec<u64>) {
        for segment in segments {
            if let Err(error) = std::fs::remove_file(self.path(segment)) {
                tracing::warn!(segment, %error, "a segment of batches was not removed");
            }
        }
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:010}"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_back_and_those_cut_off_do_not() {
        let folder = tempfile::tempdir().expect("folder");
        let bodies = Bodies::open(folder.path()).expect("opened");
        let places = bodies.append(&[b"one", b"", b"three"]).expect("written");
        bodies.sync().expect("synced");
        for (place, body) in places.iter().zip([&b"one"[..], b"", b"three"]) {
            assert_eq!(bodies.read(*place).expect("read").as_deref(), Some(body));
        }
        let beyond = Place { length: 6, ..places[2] };
        assert_eq!(bodies.read(beyond).expect("read"), None);
        let gone = Place { segment: 99, ..places[0] };
        assert_eq!(bodies.read(gone).expect("read"), None);
    }

    #[test]
    fn a_segment_goes_with_its_last_row_unless_it_is_written_to() {
        let folder = tempfile::tempdir().expect("folder");
        let bodies = Bodies::open(folder.path()).expect("opened");
        let big = vec![1; SEGMENT_BYTES as usize];
        let first = bodies.append(&[&big]).expect("written")[0];
        let second = bodies.append(&[b"next"]).expect("written")[0];
        assert!(first.segment < second.segment);
        bodies.forget(second);
        assert!(bodies.take_dead().is_empty(), "it is written to");
        bodies.forget(first);
        let dead = bodies.take_dead();
        assert_eq!(dead, [first.segment]);
        bodies.remove(dead);
        assert_eq!(bodies.read(first).expect("read"), None);
    }

    #[test]
    fn a_restart_counts_rows_and_drops_what_none_names() {
        let folder = tempfile::tempdir().expect("folder");
        let place = {
            let bodies = Bodies::open(folder.path()).expect("opened");
            bodies.append(&[b"body"]).expect("written")[0]
        };
        let again = Bodies::open(folder.path()).expect("opened");
        assert_eq!(again.last_written(), Some(place.segment));
        assert!(again.count(place) && !again.count(Place { segment: 77, ..place }));
        again.sweep();
        assert!(again.take_dead().is_empty());
        let new = again.append(&[b"new"]).expect("written")[0];
        assert!(new.segment > place.segment);
        let third = Bodies::open(folder.path()).expect("opened");
        third.sweep();
        assert_eq!(third.take_dead(), [place.segment, new.segment]);
    }
}
