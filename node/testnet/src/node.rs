//! One node: its folder, its addresses, its process.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use neura_client::{Client, ClientError};
use neura_types::{Address, rest::Status};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::Rpc;

/// Tells a node which process it belongs to: it ends when that one does.
const SUPERVISED: &str = "NEURA_SUPERVISED";
/// Time for one look at a node, which may be paused or cut off.
const LOOK: Duration = Duration::from_secs(2);
/// Time for a node to stop when it is asked to.
const STOP_GRACE: Duration = Duration::from_secs(15);
/// Bytes of a log's end that are shown when something is wrong.
const TAIL: u64 = 2_048;

/// A node and, while it runs, its process.
#[derive(Debug)]
pub struct Node {
    /// Position in the network; validators come first, in the order of the genesis file.
    pub index: usize,
    /// Whether its key is in the genesis file; others may join, and this one leave, later.
    pub validator: bool,
    /// Public key in hexadecimal.
    pub public_key: String,
    /// Account of its key: the operator of its validator.
    pub account: Address,
    /// Peer id.
    pub peer_id: String,
    /// Its folder.
    pub data: PathBuf,
    /// Everything that it has said, over all its lives.
    pub log: PathBuf,
    /// Where REST and JSON-RPC listen.
    pub api: SocketAddr,
    /// Port that its peers find it at.
    pub p2p: u16,
    /// Calls of its REST interface.
    pub client: Client,
    /// Calls of its JSON-RPC interface.
    pub rpc: Rpc,
    command: Vec<String>,
    child: Option<Child>,
    paused: bool,
    log_read: u64,
}

/// What a node is made from.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) index: usize,
    pub(crate) validator: bool,
    pub(crate) public_key: String,
    pub(crate) account: Address,
    pub(crate) peer_id: String,
    pub(crate) data: PathBuf,
    pub(crate) host: IpAddr,
    pub(crate) ports: (u16, u16),
    /// Program and arguments.
    pub(crate) command: Vec<String>,
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Result<Self> {
        let api = SocketAddr::new(parts.host, parts.ports.0);
        let url = format!("http://{api}");
        Ok(Self {
            index: parts.index,
            validator: parts.validator,
            public_key: parts.public_key,
            account: parts.account,
            peer_id: parts.peer_id,
            log: parts.data.with_extension("log"),
            data: parts.data,
            api,
            p2p: parts.ports.1,
            client: Client::new([&url])?,
            rpc: Rpc::new(url)?,
            command: parts.command,
            child: None,
            paused: false,
            log_read: 0,
        })
    }

    /// Name on the screen and of its folder.
    pub fn name(&self) -> String {
        name(self.index)
    }

    /// Address that its peers dial, if they reach it at `at`.
    pub fn multiaddr(&self, at: SocketAddr) -> String {
        format!("/ip4/{}/tcp/{}/p2p/{}", at.ip(), at.port(), self.peer_id)
    }

    /// Where its peers reach it without anything in between.
    pub fn p2p_addr(&self) -> SocketAddr {
        SocketAddr::new(self.api.ip(), self.p2p)
    }

    /// Starts its process; does nothing if it runs.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let (program, args) = self.command.split_first().context("a node without a command")?;
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("NEURA_") && name != "NEURA_LOG" {
                command.env_remove(&*name);
            }
        }
        let child = command
            .args(args)
            .env(SUPERVISED, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        self.child = Some(child);
        Ok(())
    }

    /// Whether its process was started and not ended by us.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Whether it can answer: it runs and is not paused.
    pub fn is_awake(&self) -> bool {
        self.child.is_some() && !self.paused
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Kills it: nothing of it has time to react.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.paused = false;
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Errors
    /// If it does not stop in time, or ends with an error.
    pub async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let deadline = tokio::time::Instant::now() + STOP_GRACE;
        loop {
            if let Some(status) = child.try_wait()? {
                anyhow::ensure!(status.success(), "{} stopped with {status}", self.name());
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                anyhow::bail!("{} did not stop within {} s", self.name(), STOP_GRACE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Holds its process still.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        self.paused = true;
        Ok(())
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn resume(&mut self) -> Result<()> {
        self.paused = false;
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        kill(Pid::from_raw(i32::try_from(pid)?), signal)
            .with_context(|| format!("sending {signal} to {}", self.name()))
    }

    /// How it ended, if it ended although nobody ended it. It counts as not running from then on.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn ended_by_itself(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let status = child.try_wait()?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }

    /// Bytes of memory that its process holds; none if it does not run.
    pub fn resident_bytes(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.pid()?)).ok()?;
        let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
        pages.checked_mul(4_096)
    }

    /// Where it stands.
    ///
    /// # Errors
    /// If it does not answer in time.
    pub async fn status(&self) -> Result<Status, ClientError> {
        match tokio::time::timeout(LOOK, self.client.status()).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Unreachable {
                urls: self.api.to_string(),
                cause: format!("no answer within {} s", LOOK.as_secs()),
            }),
        }
    }

    /// Height that it has executed; none if it does not answer.
    pub async fn height(&self) -> Option<u64> {
        self.status().await.ok().map(|status| status.executed)
    }

    /// Lines of its log since the last call.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn new_log_lines(&mut self) -> Result<Vec<String>> {
        let Ok(mut file) = File::open(&self.log) else { return Ok(Vec::new()) };
        file.seek(SeekFrom::Start(self.log_read))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // The last line may be half written; it is read again with the next ones.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.log_read += whole as u64;
        Ok(String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_owned).collect())
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let size = file.metadata()?.len();
            file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Whatever the system says, there is nothing left to do about the process.
        let _ = self.kill();
    }
}

/// Name of the node at a position.
pub(crate) fn name(index: usize) -> String {
    format!("node-{index}")
}
