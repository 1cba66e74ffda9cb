//! Send the requests of a file, and judge what comes back.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{compare, io::Script};

/// Time for one answer.
const ANSWER_TIME: Duration = Duration::from_secs(40);
/// Bytes of one answer.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// How a file came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Played {
    /// All answers are as expected.
    Passed,
    /// One is not.
    Failed {
        /// The method asked.
        method: String,
        /// What is different.
        difference: String,
    },
}

/// Plays a file against the node at a URL.
pub async fn play(client: &reqwest::Client, url: &str, path: &Path) -> Played {
    let failed =
        |method: &str, difference: String| Played::Failed { method: method.into(), difference };
    let script = match Script::read(path) {
        Ok(script) => script,
        Err(error) => return failed("", format!("{error:#}")),
    };
    for exchange in &script.exchanges {
        let method = method_of(&exchange.request);
        let answer = match ask(client, url, &exchange.request).await {
            Ok(answer) => answer,
            Err(error) => return failed(&method, format!("{error:#}")),
        };
        let difference = compare::difference(&exchange.expected, &answer, script.is_form_only);
        if let Some(difference) = difference {
            return failed(&method, difference);
        }
    }
    Played::Passed
}

fn method_of(request: &str) -> String {
    let request: Value = serde_json::from_str(request).unwrap_or_default();
    request["method"].as_str().unwrap_or("a batch").to_owned()
}

async fn ask(client: &reqwest::Client, url: &str, request: &str) -> Result<Value> {
    let mut response = client
        .post(url)
        .header("content-type", "application/json")
        .body(request.to_owned())
        .timeout(ANSWER_TIME)
        .send()
        .await
        .with_context(|| format!("{url} does not answer"))?;
    let status = response.status();
    ensure!(status.is_success(), "{url} answers with HTTP status {status}");
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await? {
        ensure!(
            body.len() + part.len() <= MAX_ANSWER_BYTES,
            "the answer has more than {MAX_ANSWER_BYTES} bytes"
        );
        body.extend_from_slice(&part);
    }
    serde_json::from_slice(&body).context("the answer is not JSON")
}
