//! Another program, measured in turns with ours: a round for each line that it is sent, answered with nanoseconds.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// A program that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Beside {
    name: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Beside {
    /// Starts a command of words separated by spaces, with these arguments after its own.
    pub(super) fn start(command: &str, arguments: &[String]) -> Result<Self> {
        let mut words = command.split_whitespace();
        let name = words.next().context("the command is empty")?.to_owned();
        let mut child = Command::new(&name)
            .args(words)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let input = child.stdin.take().context("it has no input")?;
        let output = BufReader::new(child.stdout.take().context("it has no output")?);
        Ok(Self { name, child, input, output })
    }

    /// Has it do a round; gives the time that it says the round took.
    pub(super) fn round(&mut self) -> Result<Duration> {
        let failed = || format!("{} did not do its round", self.name);
        self.input.write_all(b"\n").with_context(failed)?;
        let mut line = String::new();
        self.output.read_line(&mut line).with_context(failed)?;
        let nanoseconds = line.trim().parse().with_context(failed)?;
        ensure!(nanoseconds > 0, "{} says that a round takes no time", self.name);
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It fails if the program has ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rounds.sh");
        std::fs::write(&file, text).unwrap();
        let command = format!("sh {}", file.display());
        (folder, command)
    }

    #[test]
    fn each_line_is_a_round() {
        let (_folder, command) = script("while read -r _; do echo $(($1 + 1)); done");
        let mut beside = Beside::start(&command, &["6".to_owned()]).unwrap();
        assert_eq!(beside.round().unwrap(), Duration::from_nanos(7));
        assert_eq!(beside.round().unwrap(), Duration::from_nanos(7));
    }

    #[test]
    fn what_is_no_time_is_an_error_and_no_figure() {
        for text in ["exit 0", "echo soon; cat >/dev/null", "echo 0; cat >/dev/null"] {
            let (_folder, command) = script(text);
            assert!(Beside::start(&command, &[]).unwrap().round().is_err(), "{text}");
        }
        assert!(Beside::start("", &[]).is_err());
        assert!(Beside::start("/none/such", &[]).is_err());
    }
}
