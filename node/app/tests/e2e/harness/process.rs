//! Processes of the binary: commands that end, and those that run until they are stopped.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::Arc,
};

use neura_client::Client;
use neura_provider::Keys;
use neura_types::Address;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use parking_lot::Mutex;
use serde_json::Value;

use super::{PATIENCE, eventually};

/// The binary, with nothing of this process's settings.
pub(crate) fn neura(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neura"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NEURA_") {
            command.env_remove(name);
        }
    }
    command.env("NEURA_HOME", home).stdin(Stdio::null());
    command
}

/// A command line of a user who works with one network.
pub(crate) struct Cli {
    pub(crate) home: tempfile::TempDir,
    url: String,
}

/// How a command was refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Cli {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self { home: tempfile::tempdir().unwrap(), url: url.into() }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = neura(self.home.path());
        command.env("NEURA_URL", &self.url).args(args);
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Output {
        output(self.command(args)).await
    }

    /// Runs a command that must succeed; returns its text.
    pub(crate) async fn text(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        assert!(output.status.success(), "neura {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command with `--json` that must succeed; returns its one value.
    pub(crate) async fn json(&self, args: &[&str]) -> Value {
        let text = self.text(&[args, &["--json"]].concat()).await;
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("neura {args:?}: {error}: {text}"))
    }

    /// Runs a command with `--json` that must fail with an error in JSON.
    pub(crate) async fn refused(&self, args: &[&str]) -> Refusal {
        let output = self.run(&[args, &["--json"]].concat()).await;
        assert_eq!(output.status.code(), Some(1), "neura {args:?}: {output:?}");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        let field = |name| value["error"][name].as_str().unwrap().to_owned();
        Refusal { code: field("code"), message: field("message") }
    }
}

/// Runs a command to its end. Whatever it was given, it must not panic.
pub(crate) async fn output(command: Command) -> Output {
    let mut command = tokio::process::Command::from(command);
    let running = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, running)
        .await
        .unwrap_or_else(|_| panic!("{command:?} does not end"))
        .unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
    output
}

/// A process that runs until it is stopped. Dropped, it is killed with all its descendants.
pub(crate) struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().unwrap(), Arc::clone(&lines));
        collect(child.stderr.take().unwrap(), Arc::clone(&lines));
        Self { child, lines }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has said, on both streams.
    pub(crate) fn said(&self) -> String {
        self.lines.lock().join("\n")
    }

    /// Waits until it says a line that contains a text; returns the line.
    pub(crate) async fn says(&mut self, text: &str) -> String {
        let lines = Arc::clone(&self.lines);
        eventually(&format!("a line with '{text}' of process {}", self.pid()), async || {
            let ended = self.child.try_wait().unwrap();
            let found = lines.lock().iter().find(|line| line.contains(text)).cloned();
            if let (Some(status), None) = (ended, &found) {
                panic!("it ended with {status} before it said '{text}': {}", self.said());
            }
            found
        })
        .await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send_signal(self.pid(), signal);
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let what = format!("the end of process {}", self.pid());
        eventually(&what, async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Running {
    #[expect(clippy::print_stderr, reason = "what its processes said belongs to a failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- process {} said:\n{}\n---", self.pid(), self.said());
        }
        let mut found = vec![self.pid()];
        let mut next = 0;
        while let Some(pid) = found.get(next) {
            found.extend(children(*pid).into_iter().map(|(child, _)| child));
            next += 1;
        }
        // The first, so that it starts no new ones; what has ended meanwhile is no matter.
        for pid in found {
            let _ = kill(raw(pid), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

fn collect(stream: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            lines.lock().push(line);
        }
    });
}

fn raw(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap())
}

fn send_signal(pid: u32, signal: Signal) {
    kill(raw(pid), signal).unwrap();
}

/// Processes that a process has started, each with its command line.
pub(crate) fn children(parent: u32) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name in parentheses may hold anything; behind it stand the state and the parent.
        let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
        let mut fields = behind.split_whitespace();
        let running = fields.next() != Some("Z");
        if running && fields.next() == Some(&parent.to_string()) {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push((pid, String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    found
}

/// `neura devnet` in the background: four validators and a provider, each a process.
pub(crate) struct DevnetProcess {
    pub(crate) running: Running,
    pub(crate) urls: Vec<String>,
    pub(crate) data: PathBuf,
}

impl DevnetProcess {
    /// Starts it in a folder, with the processor as the provider's device, and waits for its first screen.
    pub(crate) async fn start(folder: &Path) -> Self {
        Self::start_on(folder, "cpu").await
    }

    /// Starts it with this device for the provider.
    pub(crate) async fn start_on(folder: &Path, device: &str) -> Self {
        let data = folder.join("devnet");
        let mut command = neura(folder);
        command.args(["devnet", "--base-port", "0", "--device", device, "--data"]).arg(&data);
        let mut running = Running::start(command);
        running.says("Ctrl-C stops it").await;
        let nodes = running.says("all nodes").await;
        let urls: Vec<String> = nodes
            .split_whitespace()
            .filter(|word| word.starts_with("http"))
            .map(Into::into)
            .collect();
        assert_eq!(urls.len(), 4, "{nodes}");
        Self { running, urls, data }
    }

    /// A user at another terminal, with the commands of the first screen.
    pub(crate) fn cli(&self) -> Cli {
        Cli::new(self.urls.join(","))
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.urls).unwrap()
    }

    /// Key file of a funded account.
    pub(crate) fn key_file(&self, name: &str) -> String {
        self.data.join("accounts").join(format!("{name}.key")).display().to_string()
    }

    /// Kills one of its processes: the one whose command line contains a text.
    pub(crate) fn kill(&self, text: &str) {
        let (pid, _) = self.child(text).unwrap_or_else(|| panic!("no process '{text}' runs"));
        send_signal(pid, Signal::SIGKILL);
    }

    pub(crate) fn child(&self, text: &str) -> Option<(u32, String)> {
        children(self.running.pid()).into_iter().find(|(_, line)| line.contains(text))
    }
}

/// `neura provider join` with the processor as its device.
pub(crate) struct ProviderProcess {
    pub(crate) running: Running,
    pub(crate) address: Address,
}

impl ProviderProcess {
    /// Starts it with keys and journal in a folder, and waits until it serves.
    pub(crate) async fn join(url: &str, folder: &Path) -> Self {
        Self::join_with(url, folder, &[]).await
    }

    /// The same with further arguments.
    pub(crate) async fn join_with(url: &str, folder: &Path, args: &[&str]) -> Self {
        let data = folder.join("provider");
        let mut command = neura(folder);
        command.args(["provider", "join", url, "--device", "cpu", "--data"]).arg(&data).args(args);
        let mut running = Running::start(command);
        running.says("serving as").await;
        let address = Keys::load(&data).unwrap().address();
        Self { running, address }
    }

    /// Kills the worker that it has now.
    pub(crate) fn kill_worker(&self) {
        let workers = children(self.running.pid());
        assert!(!workers.is_empty(), "no worker runs");
        workers.into_iter().for_each(|(pid, _)| send_signal(pid, Signal::SIGKILL));
    }

    /// Kills it and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        self.running.signal(Signal::SIGKILL);
        self.running.ended().await;
    }
}
