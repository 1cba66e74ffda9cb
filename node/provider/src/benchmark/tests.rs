use super::*;
use crate::{Device, WorkerCommand};

fn config(folder: &Path) -> AgentConfig {
    let worker = WorkerCommand { program: "none".into(), args: Vec::new() };
    let mut config = AgentConfig::new(Vec::new(), folder.to_owned(), worker);
    config.device = Device::Cpu;
    config
}

#[test]
fn what_was_measured_is_kept_and_can_be_checked() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(last_benchmark(folder.path()), None);
    let plan = ChainPlan { seed: [1; 32], challenge: Some([2; 32]) };
    let measured = benchmark(&config(folder.path()), plan).unwrap();
    assert_eq!(measured.chain.checked.as_ref().unwrap().sums, CHECKED);
    let kept = last_benchmark(folder.path()).unwrap();
    assert_eq!(kept.rates.device, measured.rates.device);
    assert_eq!(kept.chain.root, measured.chain.root);
    let text = kept.to_string();
    assert!(text.contains(&kept.chain.root) && text.contains("256 sums checked"), "{text}");
}

#[test]
fn a_seed_leads_to_one_root() {
    let backend = CpuBackend::new();
    let root =
        |seed| chain(&backend, ChainPlan { seed: [seed; 32], challenge: None }).unwrap().root;
    assert_eq!(root(1), root(1));
    assert_ne!(root(1), root(2));
}

#[test]
fn a_file_that_is_no_measurement_is_none() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["", "{}", "nonsense"] {
        fs::write(folder.path().join(BENCHMARK_FILE), text).unwrap();
        assert_eq!(last_benchmark(folder.path()), None);
    }
}
