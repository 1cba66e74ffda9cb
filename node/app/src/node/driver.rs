//! Drive the consensus core: feed it messages, timers and answers; carry out what it asks for, in its order.
//!
//! The driver has a thread of its own, which may block on the disk: what must be durable before a message leaves is
//! synced here, once per turn of the loop, before anything of that turn is sent. A failed sync stops the node.

mod build;
mod check;
mod fetch;
mod order;
mod seat;

pub(crate) use self::fetch::input;
pub use self::seat::{Memory, Seat, own_record};

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use neura_api::Event;
use neura_consensus::{CommittedBlock, FetchRequest, Input, Output, Peer, Replica, SafetyRecord};
use neura_p2p::{Class, Event as NetEvent, EventKind, Events, NetworkHandle};
use neura_storage::{Committed, SafetyFile};
use neura_types::{
    B256, Block, BlockId, codec,
    vote::{ConsensusMessage, Evidence},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use self::{
    build::Builder,
    check::Checker,
    order::{Effects, carry_out},
};
use super::{catchup::CatchUp, chain::Chain, peers::Peers, views, wire};

/// Inputs taken in one turn of the loop, and so covered by one sync. Bounds the time until outputs leave.
const MAX_TURN: usize = 128;
/// Answers to fetches that may wait; the core asks again for what is lost.
pub const ANSWER_QUEUE: usize = 64;
/// How long a peer stays out that sent something provably invalid.
const FAULT_BAN: Duration = Duration::from_secs(30);

/// What the driver works with.
pub struct Parts {
    /// What the node shares.
    pub chain: Arc<Chain>,
    /// The consensus core.
    pub replica: Replica,
    /// What the core asked for when it was made.
    pub outputs: Vec<Output>,
    /// Makes the core of the next epoch.
    pub seat: Seat,
    /// The newest final block, if it is the last of its epoch.
    pub ending: Option<CommittedBlock>,
    /// The safety record. One that was lost is begun anew with the first signature after it.
    pub safety: SafetyFile,
    /// The network.
    pub network: NetworkHandle,
    /// Which peer is which validator.
    pub peers: Arc<Peers>,
    /// Gets ranges of final blocks.
    pub catch_up: Arc<CatchUp>,
    /// Takes evidence against validators.
    pub reports: mpsc::Sender<Evidence>,
    /// Takes answers to fetches.
    pub answers: mpsc::Sender<Input>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// The driver.
#[derive(Debug)]
pub struct Driver {
    parts: Parts,
    started: Instant,
    timer: Option<Instant>,
    /// The last block of the epoch, until the next one begins.
    ending: Option<CommittedBlock>,
    builder: Builder,
    checker: Checker,
    runtime: tokio::runtime::Handle,
}

impl Driver {
    /// Runs on the current thread until the node stops. `events` are the consensus events of the network, `inbox`
    /// takes answers; fetches run on `runtime`. `started` is the zero of the core's clock.
    pub async fn run(
        mut parts: Parts,
        mut events: Events,
        mut inbox: mpsc::Receiver<Input>,
        started: Instant,
        runtime: tokio::runtime::Handle,
    ) {
        let chain = Arc::clone(&parts.chain);
        let mut driver = Self {
            builder: Builder::new(Arc::clone(&chain)),
            checker: Checker::new(Arc::clone(&chain)),
            ending: parts.ending.take(),
            parts,
            started,
            timer: None,
            runtime,
        };
        let first = std::mem::take(&mut driver.parts.outputs);
        let mut result = driver.turn(Vec::new(), first);
        while result.is_ok() && !chain.failure.is_stopping() {
            let mut inputs = Vec::new();
            let due = driver.next_due();
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(event) => driver.decode(event, &mut inputs),
                    None => break,
                },
                Some(input) = inbox.recv() => inputs.push(input),
                () = chain.wake.notified() => {}
                () = sleep_until(due) => {}
            }
            while inputs.len() < MAX_TURN {
                if let Some(event) = events.try_next() {
                    driver.decode(event, &mut inputs);
                } else if let Ok(input) = inbox.try_recv() {
                    inputs.push(input);
                } else {
                    break;
                }
            }
            result = driver.turn(inputs, Vec::new());
        }
        if let Err(error) = result {
            tracing::error!(error = %format!("{error:#}"), "consensus stops");
            chain.failure.stop(format!("consensus: {error:#}"));
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn next_due(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        [self.timer, self.builder.due(), self.checker.due()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(far)
    }

    fn decode(&self, event: NetEvent, inputs: &mut Vec<Input>) {
        let (from, bytes) = match event {
            NetEvent::Message { from, bytes, .. } => (from, bytes),
            NetEvent::Connected(peer) => {
                tracing::info!(%peer, "connected");
                // The core says again what the peer may have missed.
                if let Some(Peer::Validator(index)) = self.parts.peers.of(&peer) {
                    inputs.push(Input::Connected { peer: index });
                }
                return;
            }
            NetEvent::Disconnected(peer) => return tracing::info!(%peer, "disconnected"),
            NetEvent::Banned { peer, violation, duration } => {
                return tracing::warn!(%peer, %violation, ?duration, "peer banned");
            }
            NetEvent::Request { .. } | NetEvent::Gossip { .. } => return,
        };
        let Some(peer) = self.parts.peers.of(&from) else { return };
        match wire::decode::<ConsensusMessage>(&bytes, wire::MAX_CONSENSUS_MESSAGE) {
            Ok(message) => inputs.push(Input::Message { from: peer, message }),
            Err(error) => self.ban(peer, &format!("malformed consensus message: {error}")),
        }
    }

    fn ban(&self, peer: Peer, reason: &str) {
        tracing::warn!(?peer, reason, "peer banned");
        if let Some(id) = self.parts.peers.id(peer) {
            let network = self.parts.network.clone();
            self.runtime.spawn(async move { network.ban(id, FAULT_BAN).await });
        }
    }

    /// Steps the core over the inputs and carries its outputs out, until it asks for nothing that is at hand.
    fn turn(&mut self, inputs: Vec<Input>, mut outputs: Vec<Output>) -> Result<()> {
        for input in inputs {
            outputs.extend(self.parts.replica.step(self.now_ms(), input));
        }
        if self.timer.is_some_and(|at| at <= Instant::now()) {
            self.timer = None;
            outputs.extend(self.parts.replica.step(self.now_ms(), Input::Timer));
        }
        loop {
            carry_out(outputs, self)?;
            if let Some(first) = self.enter_next_epoch()? {
                outputs = first;
                continue;
            }
            let mut ready = self.checker.ready();
            ready.extend(self.builder.ready());
            if ready.is_empty() {
                break;
            }
            outputs = Vec::new();
            for input in ready {
                outputs.extend(self.parts.replica.step(self.now_ms(), input));
            }
        }
        self.parts.chain.show(self.parts.replica.status());
        Ok(())
    }

    /// What was asked by the core of the epoch before is of no use any more.
    fn restart_parts(&mut self) {
        self.builder = Builder::new(Arc::clone(&self.parts.chain));
        self.checker = Checker::new(Arc::clone(&self.parts.chain));
    }

    /// The batches that a block and its ancestors name, as far as they are not final.
    fn taken(&self, mut block: BlockId) -> HashSet<B256> {
        let mut taken = HashSet::new();
        while let Some(ancestor) = self.parts.replica.block(&block) {
            taken.extend(ancestor.batches.iter().map(|batch| batch.digest));
            block = ancestor.header.parent;
        }
        taken
    }

    fn fetch(&self, request: FetchRequest) {
        let (network, peers) = (self.parts.network.clone(), Arc::clone(&self.parts.peers));
        let catch_up = Arc::clone(&self.parts.catch_up);
        let answers = self.parts.answers.clone();
        self.runtime.spawn(async move {
            let input = match request {
                FetchRequest::Committed { from, ask } => catch_up.fetch(from, ask).await,
                request => fetch::fetch(&network, &peers, request).await,
            };
            // A full queue or a stopped driver: the core asks again, or nobody needs the answer.
            let _ = answers.try_send(input);
        });
    }

    fn send(&self, to: neura_types::ValidatorIndex, message: &ConsensusMessage) {
        if let Some(peer) = self.parts.peers.id(Peer::Validator(to)) {
            let frame = codec::encode(message).into();
            if let Err(error) = self.parts.network.send(peer, class_of(message), frame) {
                tracing::debug!(%error, to, "not sent");
            }
        }
    }

    fn broadcast(&self, message: &ConsensusMessage) {
        let frame = codec::encode(message).into();
        if let Err(error) = self.parts.network.broadcast(class_of(message), frame) {
            tracing::warn!(%error, "not broadcast");
        }
    }
}

impl Effects for Driver {
    fn store(&mut self, blocks: &[(BlockId, Arc<Block>)]) -> Result<()> {
        let named: Vec<_> = blocks.iter().map(|(id, block)| (*id, &**block)).collect();
        self.parts.chain.store.put_blocks(&named, true).context("storing blocks")
    }

    fn record(&mut self, record: SafetyRecord) -> Result<()> {
        let (seat, safety) = (&mut self.parts.seat, &mut self.parts.safety);
        let bytes = seat::entry(self.parts.chain.store.mark(), &record);
        let written = if seat.is_lost() { safety.replace(&bytes) } else { safety.write(&bytes) };
        written.context("writing the safety record")?;
        seat.note(record);
        Ok(self.parts.chain.store.note_safety_sequence(safety.sequence())?)
    }

    fn ordered(&mut self, block: &CommittedBlock) {
        self.parts.chain.batches.ordered(&block.block);
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Send { to, message } => self.send(to, &message),
            Output::Broadcast(message) => self.broadcast(&message),
            Output::SetTimer { at_ms } => {
                self.timer = Some(self.started + Duration::from_millis(at_ms));
            }
            Output::BuildPayload {
                view,
                parent,
                height,
                parent_timestamp_ms,
                parent_executed,
                must_be_empty,
                ends_epoch,
            } => {
                let taken = self.taken(parent);
                let request = build::Request {
                    view,
                    parent,
                    height,
                    parent_timestamp_ms,
                    parent_executed,
                    must_be_empty,
                    ends_epoch,
                    since: Instant::now(),
                };
                self.builder.request(request, taken);
            }
            Output::Validate { id, block, parent } => {
                let taken = self.taken(block.header.parent);
                self.checker.request(id, block, &parent, taken);
            }
            Output::Fetch(request) => self.fetch(request),
            Output::Evidence(evidence) => {
                self.parts.chain.evidence.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    ?evidence,
                    "two statements of one validator that exclude each other"
                );
                // Full only if more than a third of the largest set is reported at once.
                let _ = self.parts.reports.try_send(*evidence);
            }
            Output::PeerFault { peer, reason } => self.ban(peer, &reason.to_string()),
            Output::StoreBlock { .. } | Output::Persist(_) | Output::Commit(_) => {}
        }
    }

    /// Final blocks are handed to execution.
    fn commit(&mut self, blocks: Vec<CommittedBlock>) -> Result<()> {
        let chain = &self.parts.chain;
        let Some(last) = blocks.last().map(|block| block.block.header.height) else {
            return Ok(());
        };
        // What this node did not vote for, it may not have stored yet.
        for CommittedBlock { id, block, .. } in &blocks {
            if !chain.store.has_block(*id)? {
                chain.store.put_block(block, *id, false).context("storing a final block")?;
            }
        }
        let records: Vec<Committed> = blocks
            .iter()
            .map(|b| Committed {
                id: b.id,
                height: b.block.header.height,
                proof: b.proof.as_ref().map(codec::encode),
            })
            .collect();
        chain.store.commit(&records).context("storing final blocks")?;
        chain.store.prune_forks(last, MAX_TURN).context("removing abandoned blocks")?;
        for CommittedBlock { id, block, proof } in blocks {
            if block.header.next_epoch.is_some() {
                let block = Arc::clone(&block);
                self.ending = Some(CommittedBlock { id, block, proof });
            }
            if chain.events.receiver_count() > 0 {
                let head = views::ordered_head(chain, id, &block);
                // No receiver is no failure: they come and go.
                let _ = chain.events.send(Event::Ordered(Arc::new(head)));
            }
            chain.remember(id, block);
        }
        chain.committed.send_replace(last);
        Ok(())
    }
}

fn class_of(message: &ConsensusMessage) -> Class {
    match message {
        ConsensusMessage::Proposal(_) => Class::Proposal,
        _ => Class::Consensus,
    }
}

/// Kinds of network events that the driver takes.
pub const DRIVER_EVENTS: [EventKind; 3] =
    [EventKind::Peer, EventKind::Consensus, EventKind::Proposal];
