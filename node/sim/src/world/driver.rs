//! Carry out outputs as a driver must: what is to be durable first, commits before their execution.

use std::sync::Arc;

use neura_consensus::{Body, CommittedBlock, Input, Output};
use neura_types::{Block, BlockId, Height, View};
use rand::RngExt;

use super::{Event, World};
use crate::{
    node::Waiting,
    plan::{Behaviour, DriverBug},
    trace,
};

/// Time until something that is missing is looked at again, in microseconds.
const POLL_US: u64 = 8_000;
/// Longest time until a crashed node starts again, in microseconds.
const MAX_DOWN_US: u64 = 3_000_000;
/// Furthest that a block's time may lie ahead of a voter's clock, in milliseconds.
const MAX_DRIFT_MS: u64 = 10_000;
/// Blocks that wait for their check: more than the core asks for at a time.
const MAX_WAITING: usize = 8;

/// A request for a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PayloadRequest {
    view: View,
    parent: BlockId,
    height: Height,
    parent_executed: Height,
    must_be_empty: bool,
    ends_epoch: bool,
}

/// Why a node stopped in the middle of its outputs.
struct Stopped;

impl World {
    /// Carries out outputs in order; a doomed node crashes between two of them.
    pub(crate) fn carry_out(&mut self, node: usize, mut outputs: Vec<Output>) {
        if self.plan.driver_bug == Some(DriverBug::SendBeforePersist) {
            outputs.sort_by_key(|output| {
                matches!(output, Output::StoreBlock { .. } | Output::Persist(_))
            });
        }
        let doomed = self.nodes[node].doomed && !outputs.is_empty();
        let crash_after = doomed.then(|| self.rng.random_range(0..=outputs.len()));
        let mut ended = None;
        for (done, output) in outputs.into_iter().enumerate() {
            let at = (node, self.nodes[node].outputs);
            if crash_after == Some(done) || self.plan.crash_at == Some(at) {
                return self.crash(node);
            }
            self.nodes[node].outputs += 1;
            self.tell(node, || format!("-> {}", trace::output(&output)));
            if let Output::Commit(committed) = &output
                && committed.block.header.next_epoch.is_some()
            {
                ended = Some(committed.id);
            }
            if self.perform(node, output).is_err() {
                return self.crash(node);
            }
        }
        if self.sync(node).is_err() || crash_after.is_some() {
            return self.crash(node);
        }
        if ended.is_some() {
            self.enter_epoch(node);
        }
    }

    /// Whether a write or a sync may go on.
    fn write_succeeds(&mut self, node: usize) -> Result<(), Stopped> {
        if !std::mem::take(&mut self.nodes[node].failing_disk) {
            return Ok(());
        }
        self.tell(node, || "I/O ERROR".to_owned());
        Err(Stopped)
    }

    /// Makes durable what was written, if anything was.
    fn sync(&mut self, node: usize) -> Result<(), Stopped> {
        if !self.nodes[node].disk.is_dirty() {
            return Ok(());
        }
        match self.write_succeeds(node) {
            Ok(()) => self.nodes[node].disk.sync(),
            // Later syncs succeed, as the system has forgotten what it could not write.
            Err(_) if self.plan.driver_bug == Some(DriverBug::SyncFailureIgnored) => {
                self.nodes[node].disk.fail_sync();
            }
            Err(stopped) => return Err(stopped),
        }
        Ok(())
    }

    /// The process ends; what is not durable may be lost.
    fn crash(&mut self, node: usize) {
        self.tell(node, || "CRASH".to_owned());
        self.record(node, 2, &[]);
        self.plan.crash_at.take_if(|(crashing, _)| *crashing == node);
        let down = &mut self.nodes[node];
        (down.up, down.replica, down.doomed, down.failing_disk) = (false, None, false, false);
        down.disk.crash(&mut self.rng);
        if self.plan.driver_bug == Some(DriverBug::RecordForgotten) {
            down.disk.lose_record();
        }
        if self.plan.damaged.contains(&down.identity) && self.rng.random() {
            down.disk.damage_record(&mut self.rng);
        }
        let after_us = 10_000 + self.draw(MAX_DOWN_US);
        self.schedule(after_us, Event::Start { node });
    }

    fn perform(&mut self, node: usize, output: Output) -> Result<(), Stopped> {
        match &output {
            Output::StoreBlock { .. } | Output::Persist(_) | Output::Commit(_)
                if self.plan.driver_bug != Some(DriverBug::SyncFailureIgnored) =>
            {
                self.write_succeeds(node)?;
            }
            Output::StoreBlock { .. } | Output::Persist(_) | Output::Commit(_) => {}
            // Never is anything sent or asked for that the disk does not know of.
            _ if self.plan.driver_bug != Some(DriverBug::SendBeforePersist) => self.sync(node)?,
            _ => {}
        }
        let (life, honest) = (self.nodes[node].life, self.nodes[node].honest);
        if honest {
            self.checker.on_output(&self.nodes[node], &output, &self.batches);
        }
        match output {
            Output::StoreBlock { id, block } => self.nodes[node].disk.store(id, block),
            Output::Persist(record) => {
                // What the record speaks of is durable before the record.
                self.sync(node)?;
                self.nodes[node].disk.write_record(Arc::from(record));
            }
            Output::Send { to, message } => self.send(node, Some(to), message),
            Output::Broadcast(message) => self.send(node, None, message),
            Output::SetTimer { at_ms } => {
                let now_ms = self.nodes[node].timer_now_ms(self.now_us);
                let after_us = at_ms.saturating_sub(now_ms) * 1_000 + self.draw(3_000);
                self.nodes[node].timer_ms = Some(at_ms);
                self.schedule(after_us, Event::Timer { node, life, at_ms });
            }
            Output::BuildPayload {
                view,
                parent,
                height,
                parent_executed,
                must_be_empty,
                ends_epoch,
                ..
            } => {
                let request = PayloadRequest {
                    view,
                    parent,
                    height,
                    parent_executed,
                    must_be_empty,
                    ends_epoch,
                };
                let after_us = self.draw(self.plan.weather.max_build_us);
                self.schedule(after_us, Event::Build { node, life, request });
            }
            Output::Validate { id, block, .. } => {
                let waiting = &mut self.nodes[node].waiting;
                if waiting.len() == MAX_WAITING {
                    waiting.remove(0);
                }
                waiting.push(Waiting { id, block });
                self.answer_checks(node);
            }
            Output::Fetch(request) => self.fetch(node, request),
            Output::Commit(committed) => return self.commit(node, committed),
            Output::Evidence(evidence) if honest => self.clients.on_evidence(&evidence),
            Output::Evidence(_) | Output::PeerFault { .. } => {}
        }
        Ok(())
    }

    /// A batch of final blocks is written and made durable, then executed.
    fn commit(&mut self, node: usize, committed: CommittedBlock) -> Result<(), Stopped> {
        let at = &self.nodes[node];
        if at.honest {
            let held = |digest| self.nodes.iter().filter(|n| n.held.contains(digest)).count();
            let retrievable = committed.block.batches.iter().all(|batch| held(&batch.digest) > 0);
            self.checker.on_commit((node, at.height()), &committed, retrievable);
        }
        let proved = committed.proof.clone();
        self.record(node, 3, committed.id.as_slice());
        self.nodes[node].disk.commit(committed);
        let Some(proof) = proved else { return Ok(()) };
        if self.plan.driver_bug == Some(DriverBug::DeliveredBeforeDurable) {
            self.on_executed(node);
        } else {
            self.sync(node)?;
            self.execute_next(node);
        }
        self.announce(node, proof);
        Ok(())
    }

    /// Builds a body once what it refers to is known.
    pub(crate) fn build(&mut self, node: usize, request: PayloadRequest) {
        let PayloadRequest { view, parent, height, .. } = request;
        let life = self.nodes[node].life;
        let at = &self.nodes[node];
        let next = at.configs.get(&(at.config.epoch + 1)).map(|config| config.digest());
        let executed = at.root_for(&self.chain, height, request.parent_executed);
        let (Some(executed), true) = (executed, next.is_some() || !request.ends_epoch) else {
            return self.schedule(POLL_US, Event::Build { node, life, request });
        };
        let mut body = Body {
            timestamp_ms: at.wall_ms(&self.chain, self.now_us),
            executed,
            next_epoch: next.filter(|_| request.ends_epoch),
            ..Body::default()
        };
        if !request.must_be_empty {
            let state = at.executed.last().map(Arc::clone).expect("genesis is executed");
            body.payload = self.clients.pending(&state.state, &mut self.rng);
            body.batches = self.offered_batches(node);
        }
        self.step(node, Input::Payload { view, parent, body: Box::new(body) });
    }

    /// Answers the checks for which everything is at hand.
    pub(crate) fn answer_checks(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let mut poll = false;
        for Waiting { id, block } in std::mem::take(&mut self.nodes[node].waiting) {
            let Some(verdict) = self.verdict(node, &block) else {
                self.nodes[node].waiting.push(Waiting { id, block });
                poll = true;
                continue;
            };
            match &verdict {
                Ok(()) => self.nodes[node].refused.remove(&id),
                Err(_) => self.nodes[node].refused.insert(id),
            };
            let after_us = self.draw(self.plan.weather.max_work_us);
            let input = Box::new(Input::Validated { block: id, verdict });
            self.schedule(after_us, Event::Own { node, life, input });
        }
        if poll {
            let after_us = POLL_US + self.draw(POLL_US);
            self.schedule(after_us, Event::Recheck { node, life });
        }
    }

    /// Whether a block may be voted for; none while something is missing.
    fn verdict(&mut self, node: usize, block: &Block) -> Option<Result<(), String>> {
        let header = &block.header;
        if self.plan.driver_bug != Some(DriverBug::BatchNotHeld)
            && !self.ask_for_batches(node, block)
        {
            return None;
        }
        let at = &self.nodes[node];
        if header.timestamp_ms > at.wall_ms(&self.chain, self.now_us) + MAX_DRIFT_MS {
            return Some(Err("the time lies ahead".to_owned()));
        }
        if header.executed.height > self.chain.executable(header.height) {
            return Some(Err("executed sooner than the lag allows".to_owned()));
        }
        if self.plan.driver_bug != Some(DriverBug::RootNotCompared)
            && at.root(header.executed.height)? != header.executed
        {
            return Some(Err("another root".to_owned()));
        }
        if let Some(named) = header.next_epoch
            && at.configs.get(&(header.epoch + 1))?.digest() != named
        {
            return Some(Err("another next epoch".to_owned()));
        }
        Some(Ok(()))
    }

    /// Whether the node keeps its batches from most.
    pub(crate) fn withholds_batches(&self, node: usize) -> bool {
        self.does(node, Behaviour::BatchWithholder)
    }
}
