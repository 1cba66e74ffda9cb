//! Run the tests of many files on all cores.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use neura_runtime::ethereum::Ethereum;
use rayon::prelude::*;
use serde::Serialize;

use super::{
    case::{Setting, world},
    fixture::{Suite, Unit},
    fork::Fork,
};

/// Longest file that is read: the largest that Ethereum publishes have some 100 MB, and each core holds one.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// A case that is not as expected, or a file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The file.
    pub file: PathBuf,
    /// Test, fork and variant; none if the whole file is at fault.
    pub case: Option<String>,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if let Some(case) = &self.case {
            write!(f, "{case}: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// How many cases ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// As expected.
    pub passed: u64,
    /// Not as expected, or in a file that cannot be read.
    pub failed: u64,
    /// Of forks that the machine does not know.
    pub skipped_forks: u64,
    /// Tests of other formats than state tests.
    pub skipped_formats: u64,
}

impl Summary {
    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped_forks: self.skipped_forks + other.skipped_forks,
            skipped_formats: self.skipped_formats + other.skipped_formats,
        }
    }
}

/// The files to run: those named, and all `*.json` below the folders named, in order. Hidden folders hold no tests.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut files).map_err(|error| unreadable(path, &error))?;
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let path = entry.path();
        if path.is_dir() {
            if !hidden {
                walk(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "json") && !hidden {
            files.push(path);
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure { file: path.to_owned(), case: None, reason: format!("it cannot be read: {error}") }
}

/// Runs the tests of `files`, those of one fork if it is named. `report` hears of each failure as it happens.
pub fn run(
    ethereum: &Ethereum,
    files: &[PathBuf],
    fork: Option<&Fork>,
    report: &(dyn Fn(&Failure) + Sync),
) -> Summary {
    let one =
        |file: &PathBuf| Run { ethereum, file, fork, report, summary: Summary::default() }.file();
    files.par_iter().with_max_len(1).map(one).reduce(Summary::default, Summary::plus)
}

/// One file while it is run.
struct Run<'a> {
    ethereum: &'a Ethereum,
    file: &'a Path,
    fork: Option<&'a Fork>,
    report: &'a (dyn Fn(&Failure) + Sync),
    summary: Summary,
}

impl Run<'_> {
    fn file(mut self) -> Summary {
        match read(self.file) {
            Err(reason) => self.fail(None, reason),
            Ok(suite) => {
                for (name, unit) in &suite {
                    self.unit(name, unit);
                }
            }
        }
        self.summary
    }

    fn fail(&mut self, case: Option<String>, reason: String) {
        self.summary.failed += 1;
        (self.report)(&Failure { file: self.file.to_owned(), case, reason });
    }

    fn unit(&mut self, name: &str, unit: &Unit) {
        if unit.is_of_another_format() {
            self.summary.skipped_formats += 1;
            return;
        }
        let Unit {
            env: Some(env),
            pre: Some(pre),
            transaction: Some(transaction),
            post: Some(post),
            ..
        } = unit
        else {
            let reason = "it is no state test: env, pre, transaction and post are needed";
            return self.fail(Some(name.to_owned()), reason.to_owned());
        };
        let before = match world(pre) {
            Ok(before) => before,
            Err(reason) => return self.fail(Some(name.to_owned()), reason),
        };
        let ethereum = self.ethereum;
        let setting = Setting { ethereum, env, config: &unit.config, transaction, before: &before };
        let number = env.current_number.saturated(u64::MAX);
        let timestamp = env.current_timestamp.saturated(u64::MAX);
        for (fork_name, posts) in post {
            let fork = Fork::at(fork_name, number, timestamp);
            if self.fork.is_some_and(|only| !fork.is_some_and(|fork| fork.is(only))) {
                continue;
            }
            let Some(fork) = fork else {
                self.summary.skipped_forks += posts.len() as u64;
                continue;
            };
            for post in posts {
                // The machine has no known way to panic; should it have one, the other tests shall still be run.
                let verdict =
                    catch_unwind(AssertUnwindSafe(|| setting.judge(&fork, fork_name, post)))
                        .unwrap_or_else(|_| Err("the EVM panicked".into()));
                match verdict {
                    Ok(()) => self.summary.passed += 1,
                    Err(reason) => {
                        let case = format!("{name}: {fork_name} {}", post.indexes);
                        self.fail(Some(case), reason);
                    }
                }
            }
        }
    }
}

fn read(file: &Path) -> Result<Suite, String> {
    let length = fs::metadata(file).map_err(|error| format!("it cannot be read: {error}"))?.len();
    if length > MAX_FILE_BYTES {
        return Err(format!("it has {length} bytes: at most {MAX_FILE_BYTES} are read"));
    }
    let bytes = fs::read(file).map_err(|error| format!("it cannot be read: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("it is malformed: {error}"))
}
