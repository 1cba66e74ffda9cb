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
    let Report::Predictions(report) = report("int8", Some(&job), &result.encode()).unwrap() else {
        panic!("a network predicts");
    };
    assert_eq!((report.answers, report.equals_reference), (1, Some(true)));
    assert!(report.accuracy.unwrap().percent >= 95.0);
}

#[test]
fn a_job_file_with_a_mistake_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(digits().join("job.toml")).unwrap();
    for (from, to, reason) in [
        (
            "executor = \"int8\"",
            "executor = \"docker\"",
            "unknown variant `docker`, expected one of `int8`",
        ),
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
    assert!(report("int8", Some(&job), &short.encode()).is_err());
    assert!(report("int8", None, b"garbage").is_err());
}

#[test]
fn outputs_are_shown_and_saved_under_harmless_names() {
    use neura_types::job::{FaultCode, JobFault, JobFormat, JobResult, NamedBytes};

    let output = |name: &str, bytes: &[u8]| NamedBytes { name: name.into(), bytes: bytes.into() };
    let fault = JobFault { code: FaultCode::ExitCode, detail: "it ended with code 3".into() };
    let outputs =
        vec![output("stdout", b"hello"), output("../../etc/x", &[0, 1]), output("..", b"")];
    let plain = JobResult { fault: Some(fault), outputs }.encode().unwrap();
    let shown = report("wasm", None, &plain).unwrap();
    assert!(!shown.is_good());
    let json = serde_json::to_value(&shown).unwrap();
    assert_eq!(json["fault"]["code"], "exit_code");
    assert_eq!(json["outputs"][0]["text"], "hello");
    assert_eq!(json["outputs"][1]["text"], serde_json::Value::Null);

    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    save("wasm", &plain, &out).unwrap();
    let mut names: Vec<_> =
        std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["_.._etc_x", "output", "stdout"]);
    assert_eq!(std::fs::read(out.join("stdout")).unwrap(), b"hello");
}
