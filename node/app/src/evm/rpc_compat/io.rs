//! Read `.io` files: comments, requests, and the responses that they should get.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Files in one suite: Ethereum's has a few hundred.
const MAX_FILES: usize = 20_000;
/// Folders within folders.
const MAX_DEPTH: usize = 8;
/// Bytes of one file.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// A request and the response that it should get.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exchange {
    pub(super) request: String,
    pub(super) expected: Value,
}

/// What a file says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Script {
    /// Whether only the form of the responses is to be compared.
    pub(super) is_form_only: bool,
    pub(super) exchanges: Vec<Exchange>,
}

impl Script {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let size = std::fs::metadata(path).with_context(|| path.display().to_string())?.len();
        ensure!(size <= MAX_FILE_BYTES, "{}: more than {MAX_FILE_BYTES} bytes", path.display());
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut script = Self { is_form_only: false, exchanges: Vec::new() };
        let mut asked: Option<String> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if let Some(comment) = line.strip_prefix("//") {
                script.is_form_only |= comment.trim_start().starts_with("speconly:");
            } else if let Some(request) = line.strip_prefix(">>") {
                ensure!(asked.is_none(), "line {number}: the request before has no response");
                let request = request.trim();
                serde_json::from_str::<serde::de::IgnoredAny>(request)
                    .with_context(|| format!("line {number}: the request is not JSON"))?;
                asked = Some(request.to_owned());
            } else if let Some(response) = line.strip_prefix("<<") {
                let request = asked
                    .take()
                    .with_context(|| format!("line {number}: a response without a request"))?;
                let expected = serde_json::from_str(response.trim())
                    .with_context(|| format!("line {number}: the response is not JSON"))?;
                script.exchanges.push(Exchange { request, expected });
            } else if !line.is_empty() {
                bail!(
                    "line {number}: neither a comment (//) nor a request (>>) nor a response (<<)"
                );
            }
        }
        ensure!(asked.is_none(), "the last request has no response");
        ensure!(!script.exchanges.is_empty(), "there is no request in it");
        Ok(script)
    }
}

/// The `.io` files under a path, in order of their names; a file that is named is one whatever its name.
pub(super) fn find(path: &Path) -> Result<Vec<PathBuf>> {
    let meta = std::fs::metadata(path)
        .with_context(|| format!("{}: there is no such file or folder", path.display()))?;
    let mut files = Vec::new();
    if meta.is_file() {
        files.push(path.to_owned());
    } else {
        collect(path, 0, &mut files)?;
    }
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    ensure!(depth <= MAX_DEPTH, "{}: more than {MAX_DEPTH} folders deep", folder.display());
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            collect(&path, depth + 1, files)?;
        } else if path.extension().is_some_and(|extension| extension == "io") {
            ensure!(files.len() < MAX_FILES, "more than {MAX_FILES} files");
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_comments_requests_and_responses() {
        let text = "// speconly: times differ\n>> {\"id\":1}\n<< {\"id\":1,\"result\":\"0x1\"}\n\n";
        let script = Script::parse(text).unwrap();
        assert!(script.is_form_only);
        assert_eq!(script.exchanges.len(), 1);
        assert_eq!(script.exchanges[0].expected["result"], "0x1");
    }

    #[test]
    fn what_is_no_script_is_refused_with_its_line() {
        for (text, line) in [
            (">> {}\n>> {}", "line 2"),
            ("<< {}", "line 1"),
            (">> {}\n<< nothing", "line 2"),
            ("hello", "line 1"),
            (">> {}", "no response"),
            ("// only a comment", "no request"),
        ] {
            let error = format!("{:#}", Script::parse(text).unwrap_err());
            assert!(error.contains(line), "{error}");
        }
    }
}
