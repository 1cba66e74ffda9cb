//! Random writes, crashes and damage against the records that may be newest.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Write(u8),
    /// A write whose sync fails, and of which these sectors reach the disk.
    Crash(u8, u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1u8..=255).prop_map(Step::Write),
        3 => (1u8..=255, any::<u64>()).prop_map(|(number, kept)| Step::Crash(number, kept)),
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
                disk.crash(|place| kept >> (place % 64) & 1 == 1);
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
        last in (1u8..=255, any::<u64>(), any::<bool>()),
        flip in (0..FILE_BYTES, 0u8..8),
    ) {
        let (disk, mut possible) = run(&steps);
        let (number, kept, crash) = last;
        if crash {
            let (mut slots, _) = load(&disk);
            disk.fail_sync();
            prop_assert!(slots.write(&record(number)).is_err());
            disk.crash(|place| kept >> (place % 64) & 1 == 1);
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
        first in any::<u64>(), second in any::<u64>(), during_second in any::<bool>(),
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
                medium.write_at(0, &fresh_file(1, &record(8)).expect("fits")).expect("cached");
                disk.crash(|place| second >> (place % 64) & 1 == 1);
            } else {
                disk.crash(|place| first >> (place % 64) & 1 == 1);
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
        pattern in proptest::collection::vec(any::<u8>(), 1..700),
        length in prop_oneof![Just(FILE_BYTES), 0..FILE_BYTES + 2],
    ) {
        let bytes: Vec<u8> = pattern.iter().copied().cycle().take(length).collect();
        prop_assert!(matches!(load(&Disk::with(bytes)).1, Recovered::Damaged(_)));
    }

    #[test]
    fn any_sectors_lost_after_any_crashes_never_bring_back_an_older_record(
        steps in proptest::collection::vec(step(), 1..12),
        lost in proptest::collection::vec((0..2 * SLOT_SECTORS, any::<bool>()), 0..40),
    ) {
        let (disk, possible) = run(&steps);
        let mut bytes = disk.bytes();
        for (sector, low) in lost {
            // Mostly the sectors that short records fill.
            let place = sector % SLOT_SECTORS;
            let place = if low { place % LEAST_SECTORS } else { place };
            let start = (sector / SLOT_SECTORS) * SLOT_BYTES + place * SECTOR_BYTES;
            bytes[start..start + SECTOR_BYTES].fill(0xe5);
        }
        match load(&Disk::with(bytes)).1 {
            Recovered::Record(found) => prop_assert!(possible.contains(&found)),
            Recovered::Empty => prop_assert!(possible.contains(&Vec::new())),
            Recovered::Damaged(_) => {}
        }
    }
}
