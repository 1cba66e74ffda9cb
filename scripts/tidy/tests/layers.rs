//! Which crate may depend on which. A new crate or dependency that breaks the table fails here.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// One crate's layer.
struct Rule {
    krate: &'static str,
    /// Crates of the workspace that it may depend on.
    may_import: &'static [&'static str],
    /// Crates that must not be reachable from it by normal dependencies, however indirectly.
    must_not_reach: &'static [&'static str],
    /// Crates that it must not depend on itself.
    must_not_import: &'static [&'static str],
}

const ASYNC: &[&str] = &["tokio", "libp2p", "axum", "reqwest", "hyper"];

const RULES: &[Rule] = &[
    Rule {
        krate: "neura-types",
        may_import: &[],
        must_not_reach: &["tokio", "libp2p", "axum", "reqwest", "rocksdb", "wgpu", "revm"],
        must_not_import: &["rand", "futures", "tracing"],
    },
    Rule {
        krate: "neura-consensus",
        may_import: &["neura-types"],
        must_not_reach: &["tokio", "libp2p", "axum", "reqwest", "rocksdb", "wgpu", "revm"],
        must_not_import: &["rand", "futures", "tracing", "parking_lot"],
    },
    Rule {
        krate: "neura-consensus-bugs",
        may_import: &["neura-types"],
        must_not_reach: &["tokio", "libp2p", "axum", "reqwest", "rocksdb", "wgpu", "revm"],
        must_not_import: &["rand", "futures", "tracing", "parking_lot"],
    },
    Rule {
        krate: "neura-model",
        may_import: &["neura-types", "neura-consensus-bugs"],
        must_not_reach: ASYNC,
        must_not_import: &[],
    },
    Rule {
        krate: "neura-wasm-abi",
        may_import: &[],
        must_not_reach: &["tokio", "wgpu", "revm", "wasmi"],
        must_not_import: &["rand"],
    },
    Rule {
        krate: "neura-wasm-host",
        may_import: &["neura-wasm-abi"],
        must_not_reach: &["tokio", "libp2p", "axum", "reqwest", "rocksdb", "wgpu", "revm"],
        must_not_import: &["rand", "futures", "rayon", "tracing"],
    },
    Rule {
        krate: "neura-runtime",
        may_import: &["neura-types", "neura-wasm-abi", "neura-wasm-host"],
        must_not_reach: &["tokio", "libp2p", "axum", "reqwest", "rocksdb", "wgpu"],
        must_not_import: &["rand", "futures", "rayon", "tracing"],
    },
    Rule {
        krate: "neura-storage",
        may_import: &["neura-types"],
        must_not_reach: &["tokio", "libp2p", "axum", "reqwest", "wgpu", "revm"],
        must_not_import: &[],
    },
    Rule {
        krate: "neura-blobs",
        may_import: &["neura-types"],
        must_not_reach: &["libp2p", "axum", "rocksdb", "wgpu", "revm"],
        must_not_import: &[],
    },
    Rule {
        krate: "neura-p2p",
        may_import: &[],
        must_not_reach: &["axum", "rocksdb", "wgpu", "revm"],
        must_not_import: &[],
    },
    Rule {
        krate: "neura-int8",
        may_import: &[],
        must_not_reach: &["tokio", "wgpu", "rand", "rayon"],
        must_not_import: &[],
    },
    Rule {
        krate: "neura-native",
        may_import: &["neura-int8"],
        must_not_reach: &["tokio", "wgpu", "rand"],
        must_not_import: &[],
    },
    Rule {
        krate: "neura-gpu",
        may_import: &["neura-int8", "neura-native"],
        must_not_reach: ASYNC,
        must_not_import: &[],
    },
    Rule {
        krate: "neura-convert",
        may_import: &["neura-int8"],
        must_not_reach: &["tokio", "libp2p", "axum", "reqwest", "hyper", "wgpu"],
        must_not_import: &[],
    },
    Rule {
        krate: "neura-api",
        may_import: &["neura-types"],
        must_not_reach: &["libp2p", "rocksdb", "wgpu", "revm"],
        must_not_import: &[],
    },
    Rule {
        krate: "neura-client",
        may_import: &["neura-types"],
        must_not_reach: &["libp2p", "axum", "rocksdb", "wgpu", "revm"],
        must_not_import: &[],
    },
    Rule {
        krate: "neura-provider",
        may_import: &["neura-types", "neura-client", "neura-blobs", "neura-gpu", "neura-int8"],
        must_not_reach: &["libp2p", "axum", "rocksdb", "revm"],
        must_not_import: &[],
    },
    Rule {
        krate: "neura-sim",
        may_import: &["neura-types", "neura-consensus-bugs", "neura-runtime"],
        must_not_reach: &["tokio", "libp2p", "rocksdb", "wgpu"],
        must_not_import: &[],
    },
    Rule {
        krate: "neura-testnet",
        may_import: &["neura-types", "neura-client"],
        must_not_reach: &["libp2p", "axum", "rocksdb", "wgpu", "revm"],
        must_not_import: &[],
    },
    Rule {
        krate: "neura",
        may_import: &[
            "neura-types",
            "neura-consensus",
            "neura-api",
            "neura-client",
            "neura-provider",
            "neura-runtime",
            "neura-storage",
            "neura-blobs",
            "neura-p2p",
            "neura-gpu",
            "neura-int8",
            "neura-convert",
            "neura-native",
        ],
        must_not_reach: &["neura-sim", "neura-testnet", "neura-fuzz"],
        must_not_import: &["revm", "rocksdb", "libp2p", "wgpu", "jmt"],
    },
    Rule {
        krate: "neura-fuzz",
        may_import: &[
            "neura",
            "neura-types",
            "neura-consensus-bugs",
            "neura-model",
            "neura-api",
            "neura-blobs",
            "neura-convert",
            "neura-int8",
            "neura-p2p",
            "neura-storage",
        ],
        must_not_reach: &["neura-sim", "neura-testnet"],
        must_not_import: &["revm", "rocksdb", "libp2p", "wgpu", "jmt"],
    },
    Rule { krate: "neura-tidy", may_import: &[], must_not_reach: &["tokio"], must_not_import: &[] },
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .other_options(["--locked".to_owned()])
        .exec()
        .expect("cargo metadata runs")
}

/// Names that each package depends on, by package id; normal dependencies only, or all.
fn edges(metadata: &Metadata, dev: bool) -> BTreeMap<String, BTreeSet<String>> {
    let resolve = metadata.resolve.as_ref().expect("metadata holds the resolved graph");
    resolve
        .nodes
        .iter()
        .map(|node| {
            let wanted = node.deps.iter().filter(|dep| {
                dep.dep_kinds.iter().any(|kind| {
                    kind.kind == DependencyKind::Normal
                        || dev && kind.kind == DependencyKind::Development
                })
            });
            (node.id.repr.clone(), wanted.map(|dep| dep.pkg.repr.clone()).collect())
        })
        .collect()
}

fn reachable(edges: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(id) = open.pop() {
        for next in edges.get(&id).into_iter().flatten() {
            if seen.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    seen
}

#[test]
fn every_crate_of_the_workspace_has_its_rule() {
    let metadata = metadata();
    let crates: BTreeSet<&str> =
        metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    let ruled: BTreeSet<&str> = RULES.iter().map(|rule| rule.krate).collect();
    assert_eq!(crates, ruled);
}

#[test]
fn crates_import_only_the_layers_below_them() {
    let metadata = metadata();
    let names: BTreeMap<&str, &str> =
        metadata.packages.iter().map(|p| (p.id.repr.as_str(), p.name.as_str())).collect();
    let ours: BTreeSet<&str> = RULES.iter().map(|rule| rule.krate).collect();
    let edges = edges(&metadata, false);
    for rule in RULES {
        let package =
            metadata.packages.iter().find(|p| p.name.as_str() == rule.krate).expect("ruled");
        for dep in &edges[&package.id.repr] {
            let name = names[dep.as_str()];
            let allowed = !ours.contains(name) || rule.may_import.contains(&name);
            assert!(allowed, "{} must not import {name}", rule.krate);
            assert!(!rule.must_not_import.contains(&name), "{} must not import {name}", rule.krate);
        }
        for dep in reachable(&edges, &package.id.repr) {
            let name = names[dep.as_str()];
            assert!(!rule.must_not_reach.contains(&name), "{} must not reach {name}", rule.krate);
        }
    }
}

#[test]
fn no_crate_is_its_own_development_dependency_in_a_circle() {
    let metadata = metadata();
    let edges = edges(&metadata, true);
    for rule in RULES {
        let package =
            metadata.packages.iter().find(|p| p.name.as_str() == rule.krate).expect("ruled");
        let id = &package.id.repr;
        assert!(!reachable(&edges, id).contains(id), "{} reaches itself", rule.krate);
    }
}
