//! Run the tests of many files on all cores.
//!
//! Small files are run side by side, large ones one after the other with their tests side by side: so no core waits
//! for another's last file, and memory holds the text of one large file at most.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use neura_runtime::ethereum::Ethereum;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    case::{Setting, world},
    fixture::{Entry, Parts, Post, Suite, Unit},
    fork::Fork,
};

/// Longest file that is read: the largest that Ethereum publishes have some 100 MB.
const MAX_FILE_BYTES: u64 = 512 << 20;
/// From this size on a file is large. As many as there are cores below it take little memory.
const LARGE_FILE_BYTES: u64 = 8 << 20;

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
    /// JSON that is no test.
    pub skipped_others: u64,
    /// State tests that were read, each of which may have many cases.
    pub state_tests: u64,
}

impl Summary {
    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped_forks: self.skipped_forks + other.skipped_forks,
            skipped_formats: self.skipped_formats + other.skipped_formats,
            skipped_others: self.skipped_others + other.skipped_others,
            state_tests: self.state_tests + other.state_tests,
        }
    }

    /// Whether no case was run: then nothing was shown, and why.
    pub fn why_empty(&self, fork: Option<&Fork>) -> Option<String> {
        if self.passed + self.failed > 0 {
            return None;
        }
        let (all, of_forks) = (self.skipped_formats + self.skipped_others, self.skipped_forks);
        Some(match fork {
            _ if of_forks > 0 => {
                format!("all {of_forks} cases are of forks that this EVM does not know")
            }
            Some(fork) if self.state_tests > 0 => {
                let (tests, name) = (self.state_tests, fork.name);
                format!(
                    "none of {tests} state tests says anything of {name}: choose another --fork"
                )
            }
            _ if self.state_tests > 0 => {
                format!("{} state tests say nothing of any fork", self.state_tests)
            }
            _ if all > 0 => format!(
                "none of {all} entries is a state test: name files or folders of state tests"
            ),
            _ => "there is no .json file: name files or folders of state tests".to_owned(),
        })
    }
}

/// The files to run: those named, and all `*.json` below the folders named, in order. Hidden folders hold no tests.
///
/// # Errors
/// If a folder cannot be read.
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
    let run = Run { ethereum, fork, report };
    let is_large =
        |file: &&PathBuf| fs::metadata(file).is_ok_and(|it| it.len() >= LARGE_FILE_BYTES);
    let (large, small): (Vec<&PathBuf>, Vec<&PathBuf>) = files.iter().partition(is_large);
    let of_small = small.par_iter().with_max_len(1).map(|file| run.file(file, false));
    let of_small = of_small.reduce(Summary::default, Summary::plus);
    let of_large = large.iter().map(|file| run.file(file, true));
    of_large.fold(of_small, Summary::plus)
}

/// What all files are run with.
struct Run<'a> {
    ethereum: &'a Ethereum,
    fork: Option<&'a Fork>,
    report: &'a (dyn Fn(&Failure) + Sync),
}

impl Run<'_> {
    fn file(&self, file: &Path, is_large: bool) -> Summary {
        let bytes = match read(file) {
            Ok(bytes) => bytes,
            Err(reason) => return self.failure(file, None, reason),
        };
        let suite: Suite<'_> = match serde_json::from_slice(&bytes) {
            Ok(suite) => suite,
            Err(error) if error.is_data() => {
                return Summary { skipped_others: 1, ..Summary::default() };
            }
            Err(error) => return self.failure(file, None, format!("it is malformed: {error}")),
        };
        let test = |(name, text): (&String, &&RawValue)| self.test(file, name, text.get());
        if is_large {
            suite.par_iter().map(test).reduce(Summary::default, Summary::plus)
        } else {
            suite.iter().map(test).fold(Summary::default(), Summary::plus)
        }
    }

    fn failure(&self, file: &Path, case: Option<String>, reason: String) -> Summary {
        (self.report)(&Failure { file: file.to_owned(), case, reason });
        Summary { failed: 1, ..Summary::default() }
    }

    fn test(&self, file: &Path, name: &str, text: &str) -> Summary {
        match Parts::entry_of(text) {
            Entry::State => {}
            Entry::Other => return Summary { skipped_formats: 1, ..Summary::default() },
            Entry::None => return Summary { skipped_others: 1, ..Summary::default() },
        }
        let failure = |reason| self.failure(file, Some(name.to_owned()), reason);
        let unit: Unit = match serde_json::from_str(text) {
            Ok(unit) => unit,
            Err(error) => return failure(format!("it is no state test: {error}")),
        };
        let before = match world(&unit.pre) {
            Ok(before) => before,
            Err(reason) => return failure(reason),
        };
        let setting = Setting {
            ethereum: self.ethereum,
            env: &unit.env,
            config: &unit.config,
            transaction: &unit.transaction,
            before: &before,
        };
        let number = unit.env.current_number.saturated(u64::MAX);
        let timestamp = unit.env.current_timestamp.saturated(u64::MAX);
        let mut summary = Summary { state_tests: 1, ..Summary::default() };
        for (fork_name, posts) in &unit.post {
            let fork = Fork::at(fork_name, number, timestamp);
            if self.fork.is_some_and(|only| !fork.is_some_and(|fork| fork.is(only))) {
                continue;
            }
            let Some(fork) = fork else {
                summary.skipped_forks += posts.len() as u64;
                continue;
            };
            for post in posts {
                match verdict(&setting, &fork, fork_name, post) {
                    Ok(()) => summary.passed += 1,
                    Err(reason) => {
                        let case = format!("{name}: {fork_name} {}", post.indexes);
                        summary = summary.plus(self.failure(file, Some(case), reason));
                    }
                }
            }
        }
        summary
    }
}

/// The machine has no known way to panic; should it have one, the other tests shall still be run.
fn verdict(setting: &Setting<'_>, fork: &Fork, fork_name: &str, post: &Post) -> Result<(), String> {
    let judge = AssertUnwindSafe(|| setting.judge(fork, fork_name, post));
    catch_unwind(judge).unwrap_or_else(|_| Err("the EVM panicked".into()))
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    let length = fs::metadata(file).map_err(unreadable)?.len();
    if length > MAX_FILE_BYTES {
        return Err(format!("it has {length} bytes: at most {MAX_FILE_BYTES} are read"));
    }
    fs::read(file).map_err(unreadable)
}
