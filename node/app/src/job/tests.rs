use std::path::Path;

use neura_int8::{Int8Job, Int8Result, Reference, Tensor};

use super::*;

fn digits() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits")
}

#[test]
fn the_digits_job_is_read_whole() {
    let job = Job::load(&digits().join("job.toml")).unwrap();
    let labels = job.labels.as_ref().unwrap();
    assert_eq!(labels.len(), job.reference.as_ref().unwrap().len());
    let open = Int8Job::decode(&job.payload).unwrap().open().unwrap();
    let result = open.run(&Reference).unwrap();
    assert_eq!(result.answers()[0][0].dims(), [labels.len()]);
    let report = report(Some(&job), &result.encode()).unwrap();
    assert_eq!(report.equals_reference, Some(true));
    assert!(report.accuracy.unwrap().percent >= 95.0);
}

#[test]
fn a_job_file_with_a_mistake_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(digits().join("job.toml")).unwrap();
    for (from, to, reason) in [
        ("executor = \"int8\"", "executor = \"docker\"", "executor 'docker' is not known"),
        ("max_price = \"5 ANKR\"", "max_price = \"many\"", "'many' is not an amount"),
        ("duration_blocks = 600", "duration_blocks = 0", "at least 1"),
        ("duration_blocks = 600", "duration = 600", "unknown field"),
        ("model = \"model.nint8\"", "model = \"missing.nint8\"", "cannot read"),
        ("model = \"model.nint8\"", "model = \"job.toml\"", "job.toml"),
    ] {
        assert!(good.contains(from), "{from}");
        let path = dir.path().join("job.toml");
        std::fs::write(&path, good.replace(from, to)).unwrap();
        for name in
            ["model.nint8", "images-heldout.bin", "labels-heldout.txt", "reference-predictions.txt"]
        {
            std::fs::copy(digits().join(name), dir.path().join(name)).unwrap();
        }
        let error = Job::load(&path).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn a_result_of_another_length_is_refused() {
    let job = Job::load(&digits().join("job.toml")).unwrap();
    let short = Int8Result::new(vec![vec![Tensor::list(vec![0; 20]).unwrap()]]).unwrap();
    assert!(report(Some(&job), &short.encode()).is_err());
    assert!(report(None, b"garbage").is_err());
}
