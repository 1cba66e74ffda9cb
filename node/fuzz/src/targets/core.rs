//! The ordering core: sequences of inputs to real replicas, and the record that they rely on after a crash.

use neura_consensus_bugs::{MAX_RECORD_BYTES, SafetyRecord};
use neura_model::{
    hunt::follow,
    real::{Node, Realm},
    rng::Rng,
};

use crate::{Target, check::same};

/// Lengths of the schedules to begin with, in bytes: some ten to some hundred events.
const SCHEDULES: [usize; 12] = [16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1_024, 1_536];

pub(super) const TARGETS: &[Target] = &[
    Target::new("core-sequence", sequence, schedules),
    Target::new("safety-record", safety_record, safety_records),
];

/// The bytes are a schedule of three honest replicas and a Byzantine validator: deliveries, losses, repetitions,
/// crashes, timers, answers true and false, forged and true certificates, altered messages. Every output is watched.
fn sequence(bytes: &[u8]) {
    if let Some(violation) = follow(bytes, None) {
        panic!("{violation}");
    }
}

fn schedules() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(0);
    SCHEDULES.iter().map(|length| (0..*length).map(|_| rng.next() as u8).collect()).collect()
}

fn safety_record(bytes: &[u8]) {
    if let Ok(record) = SafetyRecord::decode(bytes) {
        assert!(bytes.len() <= MAX_RECORD_BYTES);
        same(bytes, &record.encode());
    }
}

fn safety_records() -> Vec<Vec<u8>> {
    let realm = Realm::new(10);
    let (mut node, outputs) = Node::start(&realm, 0);
    outputs.iter().for_each(|output| node.absorb(output));
    let fresh =
        SafetyRecord::new(realm.chain, realm.epoch(), realm.key(0).public_key(), realm.anchor_qc());
    // A timer gives up the first view: the record then holds a timeout and its certificate.
    node.now_ms = 60_000;
    let outputs = node.step(neura_consensus_bugs::Input::Timer);
    outputs.iter().for_each(|output| node.absorb(output));
    node.disk.record.iter().chain([&fresh]).map(SafetyRecord::encode).collect()
}
