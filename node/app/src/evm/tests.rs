//! The suite is judged rightly: what the specification says passes, and every kind of wrong expectation fails.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use neura_runtime::ethereum::Ethereum;
use serde_json::{Value, json};

use super::*;

const WRONG_HASH: &str = "0x4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evm/fixtures")
}

fn fixture(name: &str) -> Value {
    let text = fs::read_to_string(fixtures().join(name).with_extension("json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Runs what lies at `path` and returns what came out, with the failures.
fn outcome(path: &Path, fork: Option<&str>) -> (Summary, Vec<Failure>) {
    let ethereum = Ethereum::new().unwrap();
    let fork = fork.map(|name| name.parse::<Fork>().unwrap());
    let failures = Mutex::new(Vec::new());
    let report = |failure: &Failure| failures.lock().unwrap().push(failure.clone());
    let files = find(&[path.to_owned()]).unwrap();
    let summary = run(&ethereum, &files, fork.as_ref(), &report);
    (summary, failures.into_inner().unwrap())
}

/// Runs one file of the given content.
fn of_text(text: &str) -> (Summary, Vec<Failure>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.json");
    fs::write(&file, text).unwrap();
    outcome(&file, None)
}

/// Runs a fixture with its test changed, under Osaka alone.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> (Summary, Vec<Failure>) {
    let mut suite = fixture(name);
    let test = &mut suite[name];
    let osaka = test["post"]["Osaka"].clone();
    test["post"] = json!({ "Osaka": osaka });
    change(test);
    of_text(&suite.to_string())
}

/// The reason why a changed fixture fails.
fn reason(name: &str, change: impl FnOnce(&mut Value)) -> String {
    let (summary, mut failures) = changed(name, change);
    assert_eq!((summary.passed, summary.failed), (0, 1), "{failures:?}");
    failures.remove(0).reason
}

#[test]
fn what_the_specification_expects_passes_under_every_fork() {
    let (summary, failures) = outcome(&fixtures(), None);
    assert_eq!(failures, []);
    assert_eq!((summary.passed, summary.failed), (48, 0));
    let (summary, _) = outcome(&fixtures(), Some("Osaka"));
    assert_eq!(summary.passed, 7);
    let (summary, _) = outcome(&fixtures(), Some("TangerineWhistle"));
    assert_eq!(summary.passed, 2, "EIP150 by its other name");
}

#[test]
fn a_wrong_state_root_or_logs_hash_fails() {
    let told = reason("set_code_run", |test| test["post"]["Osaka"][0]["hash"] = WRONG_HASH.into());
    assert!(told.contains("state root") && told.contains(WRONG_HASH), "{told}");
    let told = reason("blobs_run", |test| test["post"]["Osaka"][0]["logs"] = WRONG_HASH.into());
    assert!(told.contains("logs hash") && told.contains(WRONG_HASH), "{told}");
}

#[test]
fn an_expected_rejection_that_does_not_come_fails_and_so_does_one_that_nobody_expects() {
    let told = reason("access_list_run", |test| {
        test["post"]["Osaka"][0]["expectException"] = "TransactionException.NONCE_IS_MAX".into();
    });
    assert!(told.contains("NONCE_IS_MAX was expected, the transaction ran"), "{told}");
    let told = reason("legacy_rejected", |test| {
        test["post"]["Osaka"][0].as_object_mut().unwrap().remove("expectException");
    });
    assert!(told.starts_with("the transaction was rejected: "), "{told}");
}

#[test]
fn a_number_that_is_left_out_is_zero() {
    for nothing in ["", "0x", "0", "0x000000"] {
        let (summary, _) = changed("legacy_run", |test| {
            assert_eq!(test["transaction"]["nonce"], "0x0");
            test["transaction"]["nonce"] = nothing.into();
        });
        assert_eq!((summary.passed, summary.failed), (1, 0), "{nothing:?}");
    }
    let told = reason("legacy_run", |test| test["transaction"]["nonce"] = "0xzz".into());
    assert!(told.contains("is no number"), "{told}");
}

#[test]
fn a_test_without_key_or_bytes_is_rejected_only_where_it_names_the_signature() {
    let unsigned = |expected: &'static str| {
        move |test: &mut Value| {
            test["transaction"].as_object_mut().unwrap().remove("secretKey");
            let post = test["post"]["Osaka"][0].as_object_mut().unwrap();
            post.retain(|name, _| !matches!(name.as_str(), "txbytes" | "state"));
            post.insert("expectException".into(), expected.into());
        }
    };
    let told = reason("legacy_run", unsigned("TransactionException.OF_A_FORK_TO_COME"));
    assert!(told.contains("was expected, the transaction ran"), "{told}");
    let (summary, _) =
        changed("legacy_run", unsigned("TransactionException.INVALID_SIGNATURE_VRS"));
    assert_eq!((summary.passed, summary.failed), (1, 0));
}

#[test]
fn a_rejection_for_another_reason_or_with_another_state_fails() {
    let told = reason("set_code_rejected", |test| {
        test["post"]["Osaka"][0]["expectException"] =
            "TransactionException.INITCODE_SIZE_EXCEEDED".into();
    });
    assert!(told.contains("INITCODE_SIZE_EXCEEDED was expected"), "{told}");
    let wrong = |test: &mut Value| test["post"]["Osaka"][0]["hash"] = WRONG_HASH.into();
    let told = reason("set_code_rejected", wrong);
    assert!(told.contains("leaves the state root"), "{told}");
}

#[test]
fn one_of_several_expected_rejections_is_enough_and_an_unknown_name_takes_any() {
    for (expected, passed) in [
        ("TransactionException.INITCODE_SIZE_EXCEEDED|TransactionException.SENDER_NOT_EOA", 1),
        ("TransactionException.OF_A_FORK_TO_COME", 1),
        ("TransactionException.INITCODE_SIZE_EXCEEDED", 0),
    ] {
        let (summary, failures) = changed("legacy_run", |test| {
            let sender = test["transaction"]["sender"].as_str().unwrap().to_owned();
            test["pre"][&sender]["code"] = "0x00".into();
            test["post"]["Osaka"][0]["expectException"] = expected.into();
        });
        assert_eq!(summary.passed, passed, "{failures:?}");
    }
}

#[test]
fn transactions_that_cannot_be_encoded_are_rejections() {
    let overflow = |test: &mut Value| {
        test["transaction"]["value"][0] = format!("0x:bigint 0x1{}", "0".repeat(64)).into();
    };
    assert!(reason("legacy_run", overflow).contains("past 2^256"));
    let creation = |test: &mut Value| test["transaction"]["to"] = "".into();
    assert!(reason("set_code_run", creation).contains("creates nothing"));
}

#[test]
fn a_file_that_is_no_test_is_a_failure_with_its_name() {
    for text in ["", "{", r#"{"t": {"env": {}}}"#] {
        let (summary, failures) = of_text(text);
        assert_eq!((summary.passed, summary.failed), (0, 1), "{text}");
        assert!(failures[0].to_string().contains("test.json: "), "{}", failures[0]);
    }
    let (summary, failures) = outcome(Path::new("/nowhere/test.json"), None);
    assert_eq!(summary.failed, 1);
    assert!(failures[0].reason.contains("cannot be read"));
    let told = reason("legacy_run", |test| test["post"]["Osaka"][0]["indexes"]["gas"] = 3.into());
    assert!(told.contains("none is number 3"), "{told}");
}

#[test]
fn where_nothing_is_run_it_says_why() {
    let why = |(summary, failures): (Summary, Vec<Failure>), fork: Option<&str>| {
        assert_eq!((summary.passed, summary.failed), (0, 0), "{failures:?}");
        let fork = fork.map(|name| name.parse::<Fork>().unwrap());
        summary.why_empty(fork.as_ref()).expect("nothing ran")
    };
    for text in ["[]", "7", r#"{"t": 1}"#, r#"{"t": {"blocks": []}}"#] {
        assert!(why(of_text(text), None).contains("none of 1 entries is a state test"), "{text}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(why(outcome(empty.path(), None), None).contains("no .json file"));
    let other_fork = changed("legacy_run", |test| {
        let post = test["post"]["Osaka"].clone();
        test["post"] = json!({ "Constantinople": post });
    });
    assert!(why(other_fork, None).contains("of forks that this EVM does not know"));
    let file = fixtures().join("set_code_run.json");
    let told = why(outcome(&file, Some("Byzantium")), Some("Byzantium"));
    assert!(told.contains("state tests says anything of Byzantium"), "{told}");
    let (summary, _) = outcome(&file, None);
    assert_eq!(summary.why_empty(None), None);
}

#[test]
fn a_broken_test_leaves_the_others_of_its_file_and_folder() {
    let mut suite = fixture("legacy_run");
    suite["broken"] = json!({ "env": {}, "transaction": {}, "post": {} });
    suite["of another kind"] = json!({ "blocks": [] });
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tests.json"), suite.to_string()).unwrap();
    // What lies beside tests in Ethereum's repositories: lists, settings, tests that are not filled in.
    fs::write(folder.path().join("list.json"), "[1]").unwrap();
    fs::write(folder.path().join("package.json"), r#"{"name": "tests"}"#).unwrap();
    let filler = json!({ "t": { "env": {}, "pre": {}, "transaction": {}, "expect": [] } });
    fs::write(folder.path().join("filler.json"), filler.to_string()).unwrap();
    let (alone, _) = outcome(&fixtures().join("legacy_run.json"), None);
    let (summary, failures) = outcome(folder.path(), None);
    assert_eq!((summary.passed, summary.failed), (alone.passed, 1), "{failures:?}");
    assert_eq!((summary.skipped_formats, summary.skipped_others), (2, 2));
    assert!(failures[0].to_string().contains("broken: it is no state test"), "{failures:?}");
}

#[test]
fn a_large_file_is_run_like_a_small_one() {
    let small = fixture("legacy_run");
    let mut large = json!({});
    for number in 0..4 {
        large[format!("test {number}")] = small["legacy_run"].clone();
    }
    large["padding"] = json!(["of another kind", "x".repeat(8 << 20)]);
    let (one, _) = of_text(&small.to_string());
    let (summary, failures) = of_text(&large.to_string());
    assert_eq!((summary.passed, summary.failed), (4 * one.passed, 0), "{failures:?}");
}

#[test]
fn the_excess_of_blobs_may_be_told_by_the_parents() {
    let blob = 1 << 17;
    let told = |excess: u64, used: u64| {
        changed("blobs_run", |test| {
            let env = test["env"].as_object_mut().unwrap();
            env.remove("currentExcessBlobGas");
            env.insert("parentExcessBlobGas".into(), format!("{excess:#x}").into());
            env.insert("parentBlobGasUsed".into(), format!("{used:#x}").into());
            test["config"]["blobSchedule"] = json!({ "Osaka": { "target": "0x06", "max": "0x09", "baseFeeUpdateFraction": "0x4c6964" } });
        })
    };
    let expected = fixture("blobs_run")["blobs_run"]["env"]["currentExcessBlobGas"].clone();
    let expected = u64::from_str_radix(expected.as_str().unwrap().trim_start_matches("0x"), 16);
    let (summary, failures) = told(expected.unwrap() + 2 * blob, 4 * blob);
    assert_eq!((summary.passed, summary.failed), (1, 0), "{failures:?}");
    let (summary, _) = told(200_000_000, 9 * blob);
    assert_eq!(summary.failed, 1, "blobs cost more than the test's transaction offers");
}

#[test]
fn unknown_forks_and_other_formats_are_counted_apart() {
    let (summary, failures) = changed("legacy_run", |test| {
        let post = test["post"]["Osaka"].clone();
        test["post"] = json!({ "Constantinople": post, "Osaka": post });
    });
    assert_eq!((summary.passed, summary.skipped_forks), (1, 1), "{failures:?}");
    let other = json!({ "t": { "_info": { "fixture-format": "blockchain_test" }, "blocks": [] } });
    let (summary, _) = of_text(&other.to_string());
    assert_eq!((summary.failed, summary.skipped_formats), (0, 1));
    let unknown = "Byzantine".parse::<Fork>().unwrap_err();
    assert!(unknown.to_string().contains("Byzantium, ConstantinopleFix"));
}

#[test]
fn folders_are_searched_for_json_and_hidden_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b");
    let hidden = folder.path().join(".meta");
    for place in [&deep, &hidden] {
        fs::create_dir_all(place).unwrap();
    }
    fs::write(hidden.join("index.json"), "{}").unwrap();
    fs::write(deep.join("README.md"), "no test").unwrap();
    fs::copy(fixtures().join("legacy_run.json"), deep.join("test.json")).unwrap();
    assert_eq!(find(&[folder.path().to_owned()]), Ok(vec![deep.join("test.json")]));
    assert!(outcome(folder.path(), None).0.passed > 10);
}

#[test]
fn forks_change_at_a_block_or_a_time() {
    let at = |name, number, time| Fork::at(name, number, time).map(|fork| fork.name);
    assert_eq!(at("CancunToPragueAtTime15k", 1, 14_999), Some("Cancun"));
    assert_eq!(at("CancunToPragueAtTime15k", 1, 15_000), Some("Prague"));
    assert_eq!(at("BerlinToLondonAt5", 4, 0), Some("Berlin"));
    assert_eq!(at("BerlinToLondonAt5", 5, 0), Some("London"));
    assert_eq!(at("Constantinople", 5, 0), None);
}
