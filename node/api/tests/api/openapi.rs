//! The OpenAPI document against what is served.

use std::collections::BTreeSet;

use neura_api::EpochRef;
use neura_types::{
    Params,
    block::ExecutedRoot,
    provider::{Capability, ProviderStatus, TrackRecord},
    task::{Checkpoint, EndReason, Outcome, Party, Settlement, TaskState},
};
use serde::Serialize;
use serde_json::Value;

use crate::{chain::Chain, harness::Server, staking};

const ROUTES: [(&str, &[&str]); 25] = [
    ("/v1/status", &["get"]),
    ("/v1/blocks", &["get"]),
    ("/v1/blocks/{block}", &["get"]),
    ("/v1/blocks/{block}/raw", &["get"]),
    ("/v1/transactions", &["post"]),
    ("/v1/transactions/{hash}", &["get"]),
    ("/v1/accounts/{address}", &["get"]),
    ("/v1/providers", &["get"]),
    ("/v1/providers/{address}", &["get"]),
    ("/v1/match", &["post"]),
    ("/v1/requesters/{address}", &["get"]),
    ("/v1/tasks", &["get"]),
    ("/v1/tasks/{id}", &["get"]),
    ("/v1/tasks/{id}/notes", &["post", "get"]),
    ("/v1/validators", &["get"]),
    ("/v1/validators/{validator}", &["get"]),
    ("/v1/validators/{validator}/delegations/{delegator}", &["get"]),
    ("/v1/candidates", &["get"]),
    ("/v1/accounts/{address}/staking", &["get"]),
    ("/v1/epochs/{epoch}", &["get"]),
    ("/v1/governance/proposals", &["get"]),
    ("/v1/governance/proposals/{id}", &["get"]),
    ("/v1/params", &["get"]),
    ("/v1/events", &["get"]),
    ("/v1/faucet", &["post"]),
];

#[tokio::test]
async fn the_document_is_3_1_and_lists_each_route() {
    let server = Server::start().await;
    let document = server.json("/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let listed: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let blobs = ["/v1/blobs", "/v1/blobs/{hash}"];
    let expected = ROUTES.iter().map(|(path, _)| *path).chain(blobs).collect();
    assert_eq!(listed, expected);
    for (path, methods) in ROUTES {
        for method in methods {
            let operation = &document["paths"][path][method];
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            assert!(
                operation["responses"]["default"].is_object(),
                "{method} {path} has no problems"
            );
        }
    }
    let operations = document["paths"].as_object().unwrap().values().flat_map(|item| {
        item.as_object().unwrap().values().map(|route| route["operationId"].as_str().unwrap())
    });
    let names: Vec<_> = operations.collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    for (path, method) in [(blobs[0], "post"), (blobs[1], "get")] {
        assert!(document["paths"][path][method].is_object(), "{method} {path}");
    }
}

#[test]
fn every_reference_in_the_document_resolves() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match (name.as_str(), member.as_str()) {
                        ("$ref", Some(reference)) => found.push(reference),
                        _ => references(member, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = neura_api::openapi_document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 30);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn members(value: impl Serialize) -> BTreeSet<String> {
    let value = serde_json::to_value(value).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn each_schema_names_the_members_of_its_value() {
    let document = neura_api::openapi_document();
    let schemas = &document["components"]["schemas"];
    let chain = Chain::new();
    let provider = chain.providers.values().next().unwrap();
    let task = &chain.tasks[&1];
    let outcome = Outcome {
        reason: EndReason::Approved,
        at_fault: Party::None,
        settlement: Settlement::default(),
        at: 1,
    };
    let checkpoint = Checkpoint { step: 1, at: 1, blob: task.terms.payload.clone() };
    let epoch = staking::epoch(EpochRef::Current).unwrap();
    for (name, expected) in [
        ("Provider", members(provider)),
        ("Capability", members(Capability::default())),
        ("TrackRecord", members(TrackRecord::default())),
        ("Task", members(task)),
        ("Terms", members(&task.terms)),
        ("BlobRef", members(&task.terms.payload)),
        ("Requirement", members(&task.terms.requirement)),
        ("Checkpoint", members(checkpoint)),
        ("TaskNote", members(crate::notes::note(1))),
        ("Outcome", members(outcome)),
        ("Settlement", members(Settlement::default())),
        ("Params", members(Params::default())),
        ("FeeSplit", members(Params::default().fee_split)),
        ("ExecutedRoot", members(ExecutedRoot::default())),
        ("EpochConfig", members(&epoch.config)),
        ("ValidatorSet", members(&epoch.config.set)),
        ("Validator", members(epoch.config.set.get(0))),
        ("EpochInfo", members(&epoch)),
        ("ValidatorInfo", members(staking::candidate(1))),
        ("ProposalInfo", members(staking::proposal(1))),
    ] {
        let described: BTreeSet<String> = schemas[name]["properties"]
            .as_object()
            .unwrap_or_else(|| panic!("no schema {name}"))
            .keys()
            .cloned()
            .collect();
        assert_eq!(described, expected, "{name}");
    }
}

#[test]
fn each_schema_names_the_values_of_its_enumeration() {
    let document = neura_api::openapi_document();
    for (name, value) in [
        ("TaskState", serde_json::to_value(TaskState::Verifying).unwrap()),
        ("EndReason", serde_json::to_value(EndReason::AcceptedByTimeout).unwrap()),
        ("ProviderStatus", serde_json::to_value(ProviderStatus::Draining).unwrap()),
    ] {
        let values = document["components"]["schemas"][name]["enum"].as_array().unwrap();
        assert!(values.contains(&value), "{name} lacks {value}");
    }
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let server = Server::start().await;
    let answer = server.get("/docs").send().await.unwrap();
    assert!(answer.headers()["content-security-policy"].to_str().unwrap().contains("'none'"));
    let page = answer.text().await.unwrap();
    assert!(page.contains("/v1/openapi.json"));
    assert!(!page.contains("http://") && !page.contains("https://"));
}
