use neura_types::{B256, QuorumCertificate, vote::ChainContext};

use super::*;

const STARTED: u64 = 1_000_000;
const SAFE: u64 = STARTED + CLOCK_MARGIN_MS;
const RUNNING: u64 = 60_000;
const NOW: u64 = STARTED + RUNNING;
const CLOCKS: (u64, u64) = (NOW, RUNNING);

fn seat(memory: Memory) -> Seat {
    Seat {
        key: SecretKey::from_seed(&[1; 32]),
        memory,
        started_ms: STARTED,
        started: Instant::now(),
    }
}

fn kept(epoch: Epoch) -> Memory {
    let chain = ChainContext { chain_id: 1, genesis: B256::ZERO };
    let key = SecretKey::from_seed(&[1; 32]).public_key();
    let qc = QuorumCertificate::genesis(B256::ZERO);
    Memory::Kept(Box::new(SafetyRecord::new(chain, epoch, key, qc)))
}

#[test]
fn a_record_lets_its_own_epoch_and_later_ones_be_signed() {
    for (epoch, signs) in [(4, false), (5, true), (6, true)] {
        assert_eq!(seat(kept(5)).may_sign(epoch, 0, CLOCKS), signs, "epoch {epoch}");
    }
}

#[test]
fn without_a_record_only_epochs_that_began_after_the_node_are_signed() {
    for memory in [Memory::Lost, Memory::Blank] {
        let seat = seat(memory);
        for (began, signs) in [(0, false), (STARTED, false), (SAFE - 1, false), (SAFE, true)] {
            assert_eq!(seat.may_sign(3, began, CLOCKS), signs, "{began} of {:?}", seat.memory);
        }
    }
}

#[test]
fn the_first_epoch_is_signed_by_who_has_signed_nothing_and_not_by_who_forgot_it() {
    assert!(seat(Memory::Blank).may_sign(0, 0, CLOCKS));
    assert!(!seat(Memory::Lost).may_sign(0, 0, CLOCKS));
}

#[test]
fn a_clock_that_is_behind_the_chain_proves_nothing() {
    let seat = seat(Memory::Lost);
    assert!(seat.may_sign(3, NOW + MAX_CLOCK_DRIFT_MS, CLOCKS));
    assert!(!seat.may_sign(3, NOW + MAX_CLOCK_DRIFT_MS + 1, CLOCKS));
}

#[test]
fn what_was_signed_after_the_loss_is_remembered() {
    let mut seat = seat(Memory::Lost);
    let Memory::Kept(record) = kept(3) else { unreachable!() };
    seat.note(*record);
    assert!(!seat.is_lost());
    assert!(seat.may_sign(3, 0, CLOCKS) && !seat.may_sign(2, SAFE, CLOCKS));
}

#[test]
fn a_clock_that_was_set_since_the_start_proves_nothing() {
    let seat = seat(Memory::Lost);
    for hour in [-3_600_000, 3_600_000] {
        let now = NOW.saturating_add_signed(hour);
        assert!(!seat.may_sign(3, now, (now, RUNNING)), "set by {hour} ms");
    }
}
