//! Keep a devnet's processes running: start them, start them again when they end, stop them.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};

use super::Child;

/// A process that ends so soon after its start did not work at all.
const TOO_SOON: Duration = Duration::from_secs(10);
/// So many ends too soon in a row, and it is given up.
const GIVE_UP_AFTER: u32 = 3;
/// Pause before a process is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
/// How long a process may take to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// What the supervisor has to say.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A process ended and is started again.
    Restarting {
        /// Its name.
        name: String,
        /// How it ended, with the end of its log.
        cause: String,
    },
    /// A process ended again and again; it is not started any more.
    GivenUp {
        /// Its name.
        name: String,
        /// How it ended, with the end of its log.
        cause: String,
    },
}

/// Runs processes until it is stopped.
#[derive(Debug)]
pub struct Supervisor {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    notices: mpsc::Receiver<Notice>,
    sender: mpsc::Sender<Notice>,
}

impl Default for Supervisor {
    fn default() -> Self {
        let (sender, notices) = mpsc::channel(64);
        Self { stop: watch::Sender::new(false), tasks: Vec::new(), notices, sender }
    }
}

impl Supervisor {
    /// Starts a process and keeps it running.
    ///
    /// # Errors
    /// If it cannot be started at all.
    pub fn run(&mut self, mut child: Child) -> Result<()> {
        child.start()?;
        self.tasks.push(tokio::spawn(keep(child, self.stop.subscribe(), self.sender.clone())));
        Ok(())
    }

    /// The next thing to say.
    pub async fn notice(&mut self) -> Notice {
        match self.notices.recv().await {
            Some(notice) => notice,
            None => std::future::pending().await,
        }
    }

    /// What there is to say now: fails if a process was given up.
    ///
    /// # Errors
    /// The cause of the process that was given up.
    pub fn check(&mut self) -> Result<Vec<Notice>> {
        let mut notices = Vec::new();
        while let Ok(notice) = self.notices.try_recv() {
            if let Notice::GivenUp { name, cause } = &notice {
                bail!("{name} does not run: {cause}");
            }
            notices.push(notice);
        }
        Ok(notices)
    }

    /// Stops all processes and waits for them.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // A supervisor task that panicked has nothing left to stop: its child dies with it.
            let _ = task.await;
        }
    }
}

async fn keep(mut child: Child, mut stop: watch::Receiver<bool>, notices: mpsc::Sender<Notice>) {
    let mut soon = 0;
    loop {
        let started = Instant::now();
        let ended = tokio::select! {
            ended = child.ended() => Some(ended),
            () = asked(&mut stop) => None,
        };
        let Some(ended) = ended else {
            child.terminate();
            child.stopped(STOP_GRACE).await;
            return;
        };
        soon = if started.elapsed() < TOO_SOON { soon + 1 } else { 0 };
        let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        let mut cause = format!("{how}\n{}\n(log: {})", child.last_words(), child.log.display());
        // A program that is being replaced is missing for a moment: not to start counts as to end at once.
        loop {
            let name = child.name.clone();
            if soon >= GIVE_UP_AFTER {
                // Nobody listening means that the devnet is stopping.
                let _ = notices.send(Notice::GivenUp { name, cause }).await;
                return;
            }
            let _ = notices.send(Notice::Restarting { name, cause }).await;
            tokio::select! {
                () = tokio::time::sleep(RESTART_PAUSE) => {}
                () = asked(&mut stop) => return,
            }
            match child.start() {
                Ok(()) => break,
                Err(error) => (soon, cause) = (soon + 1, format!("{error:#}")),
            }
        }
    }
}

/// Waits until the supervisor is asked to stop, or is gone.
async fn asked(stop: &mut watch::Receiver<bool>) {
    // An error means that the supervisor is gone: a reason to stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}
