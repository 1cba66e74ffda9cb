//! The record over a disk that forgets, tears and flips, and over real files.

mod crashes;

use std::{cell::RefCell, io, rc::Rc};

use super::{
    layout::{FILE_BYTES, LEAST_SECTORS, SECTOR_BYTES, SLOT_BYTES, SLOT_SECTORS, sectors_of},
    medium::Medium,
    slots::{Slots, WriteError},
    *,
};

/// A disk that keeps only what was synced, and of the rest the sectors that a test chooses.
#[derive(Debug, Clone, Default)]
struct Disk(Rc<RefCell<DiskState>>);

#[derive(Debug, Default)]
struct DiskState {
    durable: Vec<u8>,
    cached: Vec<u8>,
    /// Fails writes after this many more bytes are taken.
    fail_write_after: Option<usize>,
    fail_sync: bool,
}

impl Disk {
    fn fresh() -> Self {
        let bytes = fresh_file(1, &[]).expect("an empty record fits");
        let state = DiskState { durable: bytes.clone(), cached: bytes, ..DiskState::default() };
        Self(Rc::new(RefCell::new(state)))
    }

    fn with(bytes: Vec<u8>) -> Self {
        let state = DiskState { durable: bytes.clone(), cached: bytes, ..DiskState::default() };
        Self(Rc::new(RefCell::new(state)))
    }

    /// Power fails: of the sectors not synced, those for which `kept` says so are written.
    fn crash(&self, kept: impl Fn(usize) -> bool) {
        let mut state = self.0.borrow_mut();
        let DiskState { durable, cached, .. } = &mut *state;
        let sectors = durable.chunks_mut(SECTOR_BYTES).zip(cached.chunks_mut(SECTOR_BYTES));
        for (place, (durable, cached)) in sectors.enumerate() {
            if kept(place) {
                durable.copy_from_slice(cached);
            } else {
                cached.copy_from_slice(durable);
            }
        }
        (state.fail_write_after, state.fail_sync) = (None, false);
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.borrow().durable.clone()
    }

    fn fail_sync(&self) {
        self.0.borrow_mut().fail_sync = true;
    }
}

impl Medium for Disk {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.borrow().cached.clone())
    }

    fn set_len(&mut self, bytes: usize) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.cached.resize(bytes, 0);
        state.durable.resize(bytes, 0);
        Ok(())
    }

    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        if let Some(taken) = state.fail_write_after {
            let taken = taken.min(bytes.len());
            state.cached[offset..offset + taken].copy_from_slice(&bytes[..taken]);
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        state.cached[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        if state.fail_sync {
            return Err(io::Error::other("the disk is gone"));
        }
        state.durable = state.cached.clone();
        Ok(())
    }
}

fn record(number: u8) -> Vec<u8> {
    (0..=usize::from(number) * 97 % MAX_RECORD_BYTES).map(|i| number ^ (i as u8)).collect()
}

fn load(disk: &Disk) -> (Slots<Disk>, Recovered) {
    Slots::load(disk.clone(), 0).expect("the disk answers")
}

/// A disk on which records `1..=count` were acknowledged.
fn written(count: u8) -> Disk {
    let disk = Disk::fresh();
    let (mut slots, _) = load(&disk);
    (1..=count).for_each(|number| slots.write(&record(number)).expect("written"));
    disk
}

#[test]
fn a_fresh_record_is_empty_and_the_last_write_is_read_back() {
    assert_eq!(load(&Disk::fresh()).1, Recovered::Empty);
    for count in 1..6 {
        assert_eq!(load(&written(count)).1, Recovered::Record(record(count)));
    }
}

#[test]
fn the_longest_record_fits_and_one_byte_more_is_refused_without_harm() {
    let disk = Disk::fresh();
    let (mut slots, _) = load(&disk);
    let longest = vec![7; MAX_RECORD_BYTES];
    slots.write(&longest).expect("it fits");
    assert!(matches!(slots.write(&[7; MAX_RECORD_BYTES + 1]), Err(WriteError::TooLarge(_))));
    slots.write(&record(1)).expect("still usable");
    slots.write(&longest).expect("written");
    assert_eq!(load(&disk).1, Recovered::Record(longest));
}

#[test]
fn a_write_torn_after_any_number_of_sectors_falls_back_to_the_acknowledged_record() {
    for number in [9, 255] {
        let filled = sectors_of(record(number).len());
        for (sectors, from_the_end) in
            (0..=SLOT_SECTORS).flat_map(|sectors| [(sectors, false), (sectors, true)])
        {
            let disk = written(3);
            let (mut slots, _) = load(&disk);
            disk.fail_sync();
            assert!(matches!(slots.write(&record(number)), Err(WriteError::Io("synced", _))));
            let kept = |place: usize| {
                let place = place % SLOT_SECTORS;
                if from_the_end { place >= SLOT_SECTORS - sectors } else { place < sectors }
            };
            disk.crash(kept);
            let expected = if (0..filled).all(kept) { record(number) } else { record(3) };
            assert_eq!(load(&disk).1, Recovered::Record(expected), "{sectors} sectors");
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_never_brings_back_an_older_record() {
    // Records of the fewest sectors, then a longer one: every byte of what they fill, and samples of the rest.
    for (numbers, step) in [(1..=2, 1), (254..=255, 67)] {
        let disk = Disk::fresh();
        let (mut slots, _) = load(&disk);
        numbers.clone().for_each(|number| slots.write(&record(number)).expect("written"));
        let (good, newest) = (disk.bytes(), record(*numbers.end()));
        let filled = sectors_of(newest.len()) * SECTOR_BYTES;
        let positions = (0..filled).step_by(step).chain((filled..SLOT_BYTES).step_by(509));
        let mut damaged = [0; 2];
        for position in positions.flat_map(|p| [p, p + SLOT_BYTES]) {
            let mut bytes = good.clone();
            bytes[position] ^= 1 << (position % 8);
            match load(&Disk::with(bytes)).1 {
                Recovered::Record(found) => assert_eq!(found, newest, "byte {position}"),
                Recovered::Damaged(Damage::NewerMayBeLost { .. }) => {
                    damaged[position / SLOT_BYTES] += 1;
                }
                other => panic!("byte {position} gave {other:?}"),
            }
        }
        damaged.sort_unstable();
        let all = (0..filled).step_by(step).count();
        assert_eq!(damaged, [0, all], "every byte of the newest record counts, none of the older");
    }
}

#[test]
fn every_sector_of_the_newest_record_may_be_lost_at_once_and_it_is_still_missed() {
    for number in [1, 20, 255] {
        let disk = written(3);
        let (mut slots, _) = load(&disk);
        slots.write(&record(number)).expect("written");
        let good = disk.bytes();
        let filled = sectors_of(record(number).len()) * SECTOR_BYTES;
        let whole = |slot: usize| {
            let mut bytes = good.clone();
            bytes[slot * SLOT_BYTES..][..filled].fill(0xdb);
            load(&Disk::with(bytes)).1
        };
        let answers = [whole(0), whole(1)];
        assert!(answers.contains(&Recovered::Damaged(Damage::NewerMayBeLost { whole: 7 })));
        assert!(
            answers.contains(&Recovered::Damaged(Damage::NewerMayBeLost { whole: 8 })),
            "without a sector of the older record nothing shows that it was the older: {answers:?}"
        );
    }
}

#[test]
fn an_old_copy_of_the_file_is_found_out_by_the_sequence() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("safety.dat");
    let mut file = SafetyFile::create(&path).expect("created");
    file.write(&record(1)).expect("written");
    let old = std::fs::read(&path).expect("read");
    for number in 2..6 {
        file.write(&record(number)).expect("written");
    }
    let known = file.sequence();
    drop(file);
    let (file, recovered) = SafetyFile::open_after(&path, Some(known)).expect("opened");
    assert_eq!(recovered, Recovered::Record(record(5)), "the newest itself is no old copy");
    assert!(file.sequence() > known);
    drop(file);

    std::fs::write(&path, old).expect("an old copy");
    let (mut file, recovered) = SafetyFile::open_after(&path, Some(known)).expect("opened");
    assert!(
        matches!(recovered, Recovered::Damaged(Damage::Older { found, known: k }) if found < known && k == known)
    );
    assert!(matches!(file.write(&record(6)), Err(SafetyError::Sealed)));
    file.replace(&record(7)).expect("replaced");
    assert!(file.sequence() > known, "the sequence goes on above what is known");
    drop(file);
    let (_, recovered) = SafetyFile::open_after(&path, Some(known)).expect("opened");
    assert_eq!(recovered, Recovered::Record(record(7)));
}

#[test]
fn a_file_cut_or_grown_is_damaged() {
    let good = written(2).bytes();
    for length in [0, 1, SECTOR_BYTES, SLOT_BYTES, FILE_BYTES - 1] {
        let found = load(&Disk::with(good[..length].to_vec())).1;
        assert_eq!(found, Recovered::Damaged(Damage::Length { found: length as u64 }));
    }
    let grown = [good, vec![0]].concat();
    let found = load(&Disk::with(grown)).1;
    assert_eq!(found, Recovered::Damaged(Damage::Length { found: FILE_BYTES as u64 + 1 }));
}

#[test]
fn swapped_or_zeroed_slots_are_damaged() {
    let good = written(4).bytes();
    let swapped = [&good[SLOT_BYTES..], &good[..SLOT_BYTES]].concat();
    let both = [swapped, vec![0; FILE_BYTES]];
    for bytes in both {
        assert_eq!(load(&Disk::with(bytes)).1, Recovered::Damaged(Damage::NoWholeSlot));
    }
    for slot in 0..2 {
        let mut bytes = good.clone();
        bytes[slot * SLOT_BYTES..(slot + 1) * SLOT_BYTES].fill(0);
        assert!(matches!(
            load(&Disk::with(bytes)).1,
            Recovered::Damaged(Damage::NewerMayBeLost { .. })
        ));
    }
}

#[test]
fn a_failed_write_or_sync_poisons_for_good() {
    for sync in [false, true] {
        let disk = written(1);
        let (mut slots, _) = load(&disk);
        {
            let mut state = disk.0.borrow_mut();
            (state.fail_sync, state.fail_write_after) = (sync, (!sync).then_some(700));
        }
        assert!(matches!(slots.write(&record(2)), Err(WriteError::Io(..))));
        disk.crash(|_| true);
        assert!(matches!(slots.write(&record(3)), Err(WriteError::Poisoned)));
        assert!(matches!(slots.replace(&record(3)), Err(WriteError::Poisoned)));
    }
}

#[test]
fn a_disk_that_fills_up_inside_a_record_keeps_the_acknowledged_one() {
    for taken in (0..LEAST_SECTORS * SECTOR_BYTES).step_by(97) {
        let disk = written(3);
        let (mut slots, _) = load(&disk);
        disk.0.borrow_mut().fail_write_after = Some(taken);
        assert!(matches!(
            slots.write(&record(4)),
            Err(WriteError::Io("written", e)) if e.kind() == io::ErrorKind::StorageFull
        ));
        disk.0.borrow_mut().fail_write_after = None;
        assert!(matches!(slots.write(&record(5)), Err(WriteError::Poisoned)));
        let found = load(&disk).1;
        // A sector cut in the middle fails its checksum. With an older one beside it the write is seen to be torn.
        let older = taken.div_ceil(SECTOR_BYTES) < LEAST_SECTORS;
        match found {
            Recovered::Record(found) if older => assert_eq!(found, record(3)),
            Recovered::Damaged(Damage::NewerMayBeLost { .. }) if !older => {}
            other => panic!("{taken} bytes were taken: {other:?}"),
        }
    }
}

#[test]
fn what_a_failed_sync_left_in_the_cache_is_made_durable_before_it_is_believed() {
    let disk = written(1);
    let (mut slots, _) = load(&disk);
    disk.fail_sync();
    assert!(slots.write(&record(2)).is_err());
    // The process dies, the machine does not: the cache still shows record 2, which the disk does not have.
    disk.0.borrow_mut().fail_sync = false;
    assert_eq!(load(&disk).1, Recovered::Record(record(2)));
    disk.crash(|_| false);
    assert_eq!(load(&disk).1, Recovered::Record(record(2)));
}

#[test]
fn a_damaged_record_takes_no_write_until_it_is_replaced() {
    let mut bytes = written(3).bytes();
    bytes[100] ^= 1;
    bytes[SLOT_BYTES + 100] ^= 1;
    let disk = Disk::with(bytes);
    let (mut slots, recovered) = load(&disk);
    assert_eq!(recovered, Recovered::Damaged(Damage::NoWholeSlot));
    assert!(matches!(slots.write(&record(4)), Err(WriteError::Sealed)));
    slots.replace(&record(8)).expect("replaced");
    assert_eq!(load(&disk).1, Recovered::Record(record(8)));
    let (mut slots, _) = load(&disk);
    slots.write(&record(9)).expect("written");
    assert_eq!(load(&slots.into_medium()).1, Recovered::Record(record(9)));
}

#[test]
fn real_files_are_created_once_locked_and_reopened() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("safety.dat");
    let (_, missing) = SafetyFile::open(&path).expect("no error");
    assert_eq!(missing, Recovered::Damaged(Damage::Missing));
    assert!(!path.exists(), "opening creates nothing");

    let mut file = SafetyFile::create(&path).expect("created");
    assert_eq!(std::fs::metadata(&path).expect("there").len(), FILE_BYTES as u64);
    assert!(matches!(SafetyFile::open(&path), Err(SafetyError::Locked { .. })));
    file.write(&record(1)).expect("written");
    file.write(&record(2)).expect("written");
    drop(file);
    assert!(matches!(SafetyFile::create(&path), Err(SafetyError::Exists { .. })));
    let (_, recovered) = SafetyFile::open(&path).expect("opened");
    assert_eq!(recovered, Recovered::Record(record(2)));
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1, "no draft is left");
}

#[test]
fn a_missing_file_is_written_only_by_replacing_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("safety.dat");
    let (mut file, _) = SafetyFile::open(&path).expect("no error");
    assert!(matches!(file.write(&record(1)), Err(SafetyError::Sealed)));
    file.replace(&record(5)).expect("replaced");
    file.write(&record(6)).expect("written");
    drop(file);
    assert_eq!(SafetyFile::open(&path).expect("opened").1, Recovered::Record(record(6)));
}

#[test]
fn a_cut_file_on_disk_is_damaged_and_can_be_replaced() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("safety.dat");
    drop(SafetyFile::create(&path).expect("created"));
    for length in [100, FILE_BYTES as u64 + 100] {
        let file = File::options().write(true).open(&path).expect("opened");
        file.set_len(length).expect("resized");
        let (mut file, recovered) = SafetyFile::open(&path).expect("opened");
        assert!(matches!(recovered, Recovered::Damaged(Damage::Length { .. })));
        file.replace(&record(3)).expect("replaced");
        drop(file);
        assert_eq!(SafetyFile::open(&path).expect("opened").1, Recovered::Record(record(3)));
    }
}
