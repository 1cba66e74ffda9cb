use neura_types::{B256, QuorumCertificate, keys::SecretKey, vote::ChainContext};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

fn record(voted: u64) -> Arc<SafetyRecord> {
    let chain = ChainContext { chain_id: 1, genesis: B256::ZERO };
    let key = SecretKey::from_seed(&[1; 32]).public_key();
    let mut record = SafetyRecord::new(chain, 0, key, QuorumCertificate::genesis(B256::ZERO));
    record.voted = voted;
    Arc::new(record)
}

/// Writes and syncs this many records.
fn file(writes: u64) -> RecordFile {
    let mut file = RecordFile::default();
    for voted in 1..=writes {
        file.write(record(voted));
        file.sync();
    }
    file
}

#[test]
fn what_was_synced_is_found_after_any_crash_in_the_next_write() {
    for seed in 0..400 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut file = file(1 + seed % 5);
        let synced = file.durable().expect("a record").voted;
        file.write(record(synced + 1));
        file.crash(&mut rng);
        match file.read(false) {
            Found::Record(found) => assert!([synced, synced + 1].contains(&found.voted)),
            found => panic!("a torn write is no damage: {found:?} of {file:?}"),
        }
    }
}

#[test]
fn a_damaged_record_is_never_replaced_by_an_older_one() {
    for seed in 0..100 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut file = file(3 + seed % 5);
        file.damage(&mut rng);
        assert!(matches!(file.read(false), Found::Damaged), "{file:?}");
        assert!(matches!(file.read(true), Found::Record(_)), "{file:?}");
    }
}

#[test]
fn the_first_write_is_there_as_a_whole_or_not_at_all() {
    for seed in 0..50 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut file = RecordFile::default();
        file.write(record(1));
        assert!(file.durable().is_none());
        file.crash(&mut rng);
        assert!(!matches!(file.read(false), Found::Damaged));
    }
}
