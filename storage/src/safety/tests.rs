//! The record over a disk that forgets, tears and flips, and over real files.

use std::{cell::RefCell, io, rc::Rc};

use proptest::prelude::*;

use super::{
    layout::{FILE_BYTES, SECTOR_BYTES, SLOT_BYTES, SLOT_SECTORS},
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
    fail_write: bool,
    fail_sync: bool,
}

impl Disk {
    fn fresh() -> Self {
        let bytes = blank_record(&[]).expect("an empty record fits");
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
        (state.fail_write, state.fail_sync) = (false, false);
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
        if state.fail_write {
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
    Slots::load(disk.clone()).expect("the disk answers")
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
    for sectors in 0..=SLOT_SECTORS {
        for from_the_end in [false, true] {
            let disk = written(3);
            let (mut slots, _) = load(&disk);
            disk.fail_sync();
            assert!(matches!(slots.write(&record(9)), Err(WriteError::Io("synced", _))));
            disk.crash(|place| {
                let place = place % SLOT_SECTORS;
                if from_the_end { place >= SLOT_SECTORS - sectors } else { place < sectors }
            });
            let expected = if sectors == SLOT_SECTORS { record(9) } else { record(3) };
            assert_eq!(load(&disk).1, Recovered::Record(expected), "{sectors} sectors");
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_never_brings_back_an_older_record() {
    for count in [1u8, 2, 3] {
        let good = written(count).bytes();
        let mut damaged = 0;
        for position in 0..FILE_BYTES {
            let mut bytes = good.clone();
            bytes[position] ^= 1 << (position % 8);
            match load(&Disk::with(bytes)).1 {
                Recovered::Record(found) => assert_eq!(found, record(count), "byte {position}"),
                Recovered::Damaged(Damage::NewerMayBeLost { .. }) => damaged += 1,
                other => panic!("byte {position} gave {other:?}"),
            }
        }
        assert_eq!(damaged, SLOT_BYTES, "every byte of the newest slot counts, none of the older");
    }
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
            (state.fail_sync, state.fail_write) = (sync, !sync);
        }
        assert!(matches!(slots.write(&record(2)), Err(WriteError::Io(..))));
        disk.crash(|_| true);
        assert!(matches!(slots.write(&record(3)), Err(WriteError::Poisoned)));
        assert!(matches!(slots.replace(&record(3)), Err(WriteError::Poisoned)));
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

#[derive(Debug, Clone)]
enum Step {
    Write(u8),
    /// A write whose sync fails, and of which these sectors reach the disk.
    Crash(u8, u32),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1u8..=255).prop_map(Step::Write),
        3 => (1u8..=255, any::<u32>()).prop_map(|(number, kept)| Step::Crash(number, kept)),
        1 => Just(Step::Reopen),
    ]
}

/// Runs the steps, and returns the disk with the records that may be newest: the acknowledged and those attempted since.
fn run(steps: &[Step]) -> (Disk, Vec<Vec<u8>>) {
    let disk = Disk::fresh();
    let (mut slots, _) = load(&disk);
    let mut possible = vec![Vec::new()];
    for step in steps {
        match step {
            Step::Write(number) => {
                slots.write(&record(*number)).expect("written");
                possible = vec![record(*number)];
            }
            Step::Crash(number, kept) => {
                disk.fail_sync();
                assert!(slots.write(&record(*number)).is_err());
                disk.crash(|place| kept >> place & 1 == 1);
                possible.push(record(*number));
                slots = check(&disk, &mut possible);
            }
            Step::Reopen => slots = check(&disk, &mut possible),
        }
    }
    (disk, possible)
}

/// Opens, and expects one of the possible records; from then on only that one.
fn check(disk: &Disk, possible: &mut Vec<Vec<u8>>) -> Slots<Disk> {
    let (slots, recovered) = load(disk);
    let found = match recovered {
        Recovered::Empty => Vec::new(),
        Recovered::Record(found) => found,
        Recovered::Damaged(damage) => panic!("a crash alone damaged the record: {damage}"),
    };
    assert!(possible.contains(&found), "an older record came back");
    *possible = vec![found];
    slots
}

proptest! {
    #[test]
    fn crashes_alone_never_damage_and_never_bring_back_an_older_record(
        steps in proptest::collection::vec(step(), 1..30),
    ) {
        run(&steps);
    }

    #[test]
    fn a_crash_and_a_flipped_bit_together_never_bring_back_an_older_record(
        steps in proptest::collection::vec(step(), 1..12),
        last in (1u8..=255, any::<u32>(), any::<bool>()),
        flip in (0..FILE_BYTES, 0u8..8),
    ) {
        let (disk, mut possible) = run(&steps);
        let (number, kept, crash) = last;
        if crash {
            let (mut slots, _) = load(&disk);
            disk.fail_sync();
            prop_assert!(slots.write(&record(number)).is_err());
            disk.crash(|place| kept >> place & 1 == 1);
            possible.push(record(number));
        }
        let mut bytes = disk.bytes();
        bytes[flip.0] ^= 1 << flip.1;
        match load(&Disk::with(bytes)).1 {
            Recovered::Record(found) => prop_assert!(possible.contains(&found)),
            Recovered::Empty => prop_assert!(possible.contains(&Vec::new())),
            Recovered::Damaged(_) => {}
        }
    }

    #[test]
    fn a_crash_while_a_damaged_record_is_replaced_leaves_it_damaged_or_replaced(
        first in any::<u32>(), second in any::<u32>(), during_second in any::<bool>(),
    ) {
        let mut bytes = written(3).bytes();
        // Record 3 stands in slot 0 or 1; damage the newest only, so that the older one is still whole.
        let newest = (0..2)
            .find(|slot| {
                let mut bytes = bytes.clone();
                bytes[slot * SLOT_BYTES] ^= 1;
                matches!(load(&Disk::with(bytes)).1, Recovered::Damaged(_))
            })
            .expect("one slot is the newest");
        bytes[newest * SLOT_BYTES] ^= 1;
        let disk = Disk::with(bytes);
        {
            // The two writes of a replacement, the crash in one of them.
            let mut medium = disk.clone();
            medium.write_at(0, &[0; FILE_BYTES]).expect("cached");
            if during_second {
                medium.sync().expect("durable");
                medium.write_at(0, &blank_record(&record(8)).expect("fits")).expect("cached");
                disk.crash(|place| second >> place & 1 == 1);
            } else {
                disk.crash(|place| first >> place & 1 == 1);
            }
        }
        let found = load(&disk).1;
        match found {
            Recovered::Damaged(_) => {}
            Recovered::Record(found) => prop_assert_eq!(found, record(8)),
            Recovered::Empty => prop_assert!(false, "it forgot"),
        }
    }

    #[test]
    fn arbitrary_bytes_are_judged_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..FILE_BYTES + 2),
    ) {
        prop_assert!(matches!(load(&Disk::with(bytes)).1, Recovered::Damaged(_)));
    }
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
