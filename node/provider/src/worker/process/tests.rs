use super::*;
use crate::executor::MAX_TEXT;

#[test]
fn a_worker_gets_nothing_of_the_environment_but_what_drivers_need() {
    let all =
        ["PATH", "VK_ICD_FILENAMES", "NEURA_KEY", "AWS_SECRET_ACCESS_KEY", "HOME", "LD_PRELOAD"];
    let all = all.into_iter().map(|name| (OsString::from(name), OsString::from("x")));
    let passed: Vec<_> = environment(all).map(|(name, _)| name).collect();
    assert_eq!(passed, ["PATH", "VK_ICD_FILENAMES"]);
}

/// Drivers wrote that it is not set, which then stood in what was told of a crash.
#[tokio::test]
async fn a_worker_has_a_folder_for_run_time_files_which_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let told = r#"read -r line; printf '{"report":"failed","kind":"job","detail":"%s"}\n' "$XDG_RUNTIME_DIR""#;
    let command = WorkerCommand { program: "/bin/sh".into(), args: vec!["-c".into(), told.into()] };
    let worker = Worker::new(command, Device::Cpu, None, folder.path().into(), None);
    match worker.probe().await {
        Err(WorkerError::Failed(failure)) => assert_eq!(Path::new(&failure.detail), folder.path()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_probe_found_out_is_sent_to_later_workers_and_outlives_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kernels.json");
    std::fs::write(&file, "of something else").unwrap();
    let start = || {
        let command = WorkerCommand { program: "none".into(), args: Vec::new() };
        Worker::new(command, Device::Best, None, folder.path().into(), None).tuned(file.clone())
    };
    let worker = start();
    assert_eq!(worker.tuning(), Tuning::default());
    let found = r#"{"gemm_i8": {"a GPU / vulkan / a driver": "wide"}}"#;
    let found: Tuning = serde_json::from_str(found).unwrap();
    worker.keep(&found);
    assert_eq!(worker.clone().tuning(), found);
    assert_eq!(start().tuning(), found);
}

async fn answer(bytes: &[u8]) -> Result<Option<(Report, Vec<u8>)>, String> {
    read_answer(bytes, SIZES, |_| {}).await
}

const SIZES: Sizes = Sizes { result: 4, checkpoint: 3 };

#[tokio::test]
async fn what_a_worker_says_is_passed_on_in_order_and_bounded() {
    let long = "x".repeat(2 * MAX_TEXT);
    let text = format!(
        "{{\"report\":\"log\",\"text\":\"{long}\"}}\n{}{}",
        "{\"report\":\"checkpoint\",\"step\":7,\"bytes\":3}\nabc",
        "{\"report\":\"progress\",\"done\":1,\"total\":2,\"note\":\"\"}\n"
    );
    let mut all = Vec::new();
    let ended = read_answer(text.as_bytes(), SIZES, |said| all.push(said)).await;
    assert_eq!(ended, Ok(None));
    let checkpoint = Said::Checkpoint { step: 7, bytes: b"abc".to_vec() };
    let progress = Said::Progress { done: 1, total: 2, note: String::new() };
    assert_eq!(all, [Said::Log("x".repeat(MAX_TEXT)), checkpoint, progress]);
}

#[tokio::test]
async fn a_checkpoint_that_is_too_long_or_cut_off_is_not_passed_on() {
    let long = answer(b"{\"report\":\"checkpoint\",\"step\":7,\"bytes\":4}\nabcd").await;
    assert!(long.unwrap_err().contains("over the limit"));
    let cut = answer(b"{\"report\":\"checkpoint\",\"step\":7,\"bytes\":3}\nab").await;
    assert_eq!(cut, Ok(None));
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_none() {
    assert_eq!(answer(b"").await, Ok(None));
    assert_eq!(answer(b"{\"report\":\"done\"").await, Ok(None));
    assert_eq!(answer(b"{\"report\":\"done\",\"bytes\":3}\nab").await, Ok(None));
    let whole = answer(b"{\"report\":\"done\",\"bytes\":3}\nabc").await.unwrap().unwrap();
    assert_eq!(whole.1, b"abc");
}

#[tokio::test]
async fn an_answer_out_of_bounds_is_refused() {
    assert!(answer(b"{\"report\":\"done\",\"bytes\":5}\nabcde").await.is_err());
    assert!(answer(b"warning: no display\n").await.is_err());
    assert!(answer(&vec![b'x'; 1 << 20]).await.is_err());
}
