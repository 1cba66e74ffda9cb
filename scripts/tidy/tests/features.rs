//! One build of the dependencies: what the tests need of them is what the binary is built with.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Features of each dependency of the given edges, by name and version, as Cargo would build it.
fn features(edges: &str) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--workspace", "--prefix", "none", "--no-dedupe"])
        .args(["--edges", edges, "--format", "{p}|{f}"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .expect("cargo tree starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo tree writes text");
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (package, features) = line.split_once('|').expect("the format's two parts");
            (package.to_owned(), features.split(',').map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn dependencies_of_the_binary_have_the_same_features_under_test() {
    let alone = features("normal,build,no-proc-macro");
    let tested = features("normal,build,dev,no-proc-macro");
    let different: Vec<String> = alone
        .iter()
        .filter(|(package, _)| !package.contains("/"))
        .filter(|(package, features)| tested.get(*package) != Some(features))
        .map(|(package, features)| {
            let more = tested.get(package).map(|t| t - features).unwrap_or_default();
            format!("{package}: tests add {more:?}")
        })
        .collect();
    assert!(
        different.is_empty(),
        "these are built twice, for scripts/devnet and for scripts/test; give the workspace's dependency the feature, \
         or take it from the test's: {different:#?}"
    );
}
