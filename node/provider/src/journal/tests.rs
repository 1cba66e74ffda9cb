use proptest::prelude::*;

use super::*;

fn journal() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), B256::repeat_byte(7)).unwrap();
    (dir, journal)
}

fn stages() -> Vec<Stage> {
    let tx = SignedTx { raw: vec![0x4e, 1, 2].into() };
    let blob = BlobRef { locator: "neura:00".into(), hash: B256::repeat_byte(3), size: 9 };
    let result = ResultRecord { blob, commitment: B256::repeat_byte(4) };
    vec![
        Stage::Seen,
        Stage::Answering { tx: tx.clone(), refusal: None },
        Stage::Answering { tx: tx.clone(), refusal: Some("too large".into()) },
        Stage::Executed { result: result.clone() },
        Stage::Uploaded { result: result.clone() },
        Stage::Submitting { result, tx },
    ]
}

#[test]
fn every_stage_is_read_back_by_a_later_run() {
    let (dir, journal) = journal();
    for (task, stage) in (1..).zip(stages()) {
        let entry = Entry { round: 1, stage, ..Entry::new(task) };
        journal.save(&entry).unwrap();
        let later = Journal::open(dir.path(), B256::repeat_byte(7)).unwrap();
        assert_eq!(later.load(task).unwrap(), entry);
    }
    assert_eq!(journal.tasks().unwrap(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn the_format_of_an_entry_is_frozen() {
    let tx = SignedTx { raw: vec![0x4e, 1].into() };
    let entry = Entry { stage: Stage::Answering { tx, refusal: None }, ..Entry::new(5) };
    let text = r#"{"version":1,"task":5,"round":0,"stage":"answering","tx":{"raw":"0x4e01"},"refusal":null}"#;
    assert_eq!(serde_json::to_string(&entry).unwrap(), text);
}

#[test]
fn tasks_of_another_chain_are_not_mixed_in() {
    let (dir, journal) = journal();
    journal.save(&Entry::new(1)).unwrap();
    let other = Journal::open(dir.path(), B256::repeat_byte(8)).unwrap();
    assert!(other.tasks().unwrap().is_empty());
}

#[test]
fn a_forgotten_task_leaves_no_file() {
    let (_dir, journal) = journal();
    journal.save(&Entry::new(1)).unwrap();
    journal.write(1, Part::Payload, b"sealed").unwrap();
    journal.write(1, Part::Result, b"result").unwrap();
    journal.forget(1).unwrap();
    assert_eq!(fs::read_dir(&journal.dir).unwrap().count(), 0);
    journal.forget(1).unwrap();
}

#[test]
fn a_write_that_was_interrupted_leaves_the_file_as_it_was() {
    let (_dir, journal) = journal();
    let entry = Entry { round: 1, ..Entry::new(1) };
    journal.save(&entry).unwrap();
    fs::write(journal.dir.join("1.json.draft"), b"{\"version\":1,\"ta").unwrap();
    assert_eq!(journal.load(1).unwrap(), entry);
    assert_eq!(journal.tasks().unwrap(), [1]);
}

#[test]
fn a_file_longer_than_the_limit_is_as_good_as_none() {
    let (_dir, journal) = journal();
    journal.write(1, Part::Payload, &[1; 100]).unwrap();
    assert_eq!(journal.read(1, Part::Payload, 99).unwrap(), None);
    assert_eq!(journal.read(1, Part::Payload, 100).unwrap(), Some(vec![1; 100]));
}

proptest! {
    #[test]
    fn an_entry_of_arbitrary_bytes_starts_anew(bytes: Vec<u8>) {
        let (_dir, journal) = journal();
        journal.write(3, Part::Entry, &bytes).unwrap();
        prop_assert_eq!(journal.load(3).unwrap(), Entry::new(3));
    }
}
