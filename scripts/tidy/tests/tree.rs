//! What files look like: sizes, names, documentation, links.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

/// Longest source file, in lines: what one reads in a sitting.
const MAX_LINES: usize = 500;
/// Folders that are not ours, or not source.
const SKIPPED: &[&str] = &[".git", "target", "node_modules", ".whl", ".gl"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

fn files(ending: &str) -> Vec<PathBuf> {
    let skipped = |name: &str| SKIPPED.contains(&name);
    WalkDir::new(root())
        .into_iter()
        .filter_entry(|entry| !entry.file_name().to_str().is_some_and(skipped))
        .map(|entry| entry.expect("the repository can be read").into_path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn no_source_file_is_longer_than_five_hundred_lines() {
    let long: Vec<String> = files("rs")
        .into_iter()
        .map(|path| (read(&path).lines().count(), name(&path)))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, name)| format!("{name}: {lines}"))
        .collect();
    assert!(long.is_empty(), "split these files:\n{}", long.join("\n"));
}

#[test]
fn no_file_is_named_for_what_it_is_not() {
    let vague = ["util", "utils", "common", "helpers", "helper", "misc"];
    for path in files("rs") {
        for part in path.strip_prefix(root()).expect("inside").components() {
            let part = Path::new(part.as_os_str()).file_stem().expect("a name");
            assert!(
                !vague.contains(&part.to_string_lossy().as_ref()),
                "{}: name its content",
                name(&path)
            );
        }
    }
}

#[test]
fn every_module_folder_and_crate_says_what_it_is_for() {
    for path in files("rs") {
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let tests = path.components().any(|part| part.as_os_str() == "tests");
        if !tests && ["lib.rs", "mod.rs", "main.rs"].contains(&file.as_str()) {
            assert!(read(&path).starts_with("//!"), "{} does not begin with //!", name(&path));
        }
    }
    for manifest in files("toml") {
        let folder = manifest.parent().expect("a folder");
        let is_crate = manifest.ends_with("Cargo.toml") && read(&manifest).contains("[package]");
        assert!(
            !is_crate || folder.join("README.md").exists(),
            "{}/README.md is missing",
            name(folder)
        );
    }
}

#[test]
fn no_test_is_disabled_and_no_work_is_left_in_the_source() {
    let marks = [
        concat!("#[", "ignore"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("XX", "X"),
    ];
    for path in files("rs") {
        let text = read(&path);
        for mark in marks {
            assert!(!text.contains(mark), "{} contains {mark}", name(&path));
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for path in files("md") {
        let text = read(&path);
        for part in text.split("](").skip(1) {
            let Some(target) = part.split(')').next() else { continue };
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            let file = path.parent().expect("a folder").join(target);
            assert!(file.exists(), "{}: {target} does not exist", name(&path));
        }
    }
}

#[test]
fn hash_domains_have_tags_of_their_own() {
    let source = read(&root().join("node/types/src/hash.rs"));
    let tags: Vec<&str> =
        source.lines().filter_map(|line| line.split("=> \"neura ").nth(1)).collect();
    assert!(tags.len() > 5, "the tags were not found");
    assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), tags.len(), "a tag stands twice");
}

#[test]
fn scripts_can_be_run_and_stop_at_the_first_failure() {
    use std::os::unix::fs::PermissionsExt;
    for script in [
        "scripts/devnet",
        "scripts/test",
        "scripts/bench",
        "scripts/model",
        "scripts/fuzz",
        "scripts/setup",
        ".ci/run",
    ] {
        let path = root().join(script);
        let mode =
            fs::metadata(&path).unwrap_or_else(|e| panic!("{script}: {e}")).permissions().mode();
        assert!(mode & 0o111 != 0, "{script} is not executable");
        assert!(read(&path).contains("set -euo pipefail"), "{script} does not stop at failures");
    }
}
