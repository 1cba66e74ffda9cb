//! Execution of final blocks, and the batches that it needs.

use std::sync::Arc;

use neura_types::{B256, Batch, BatchRef, Block};
use rand::RngExt;

use super::{Event, World};
use crate::{ledger::Job, plan::DriverBug};

/// Batches offered in one block.
const MAX_BATCHES: usize = 2;
/// Newest batches from which a proposer chooses.
const OFFERED: usize = 6;

impl World {
    /// Begins to execute the next final block, if its batches are at hand.
    pub(crate) fn execute_next(&mut self, node: usize) {
        let at = &self.nodes[node];
        let next = at.executed_height() + 1;
        let Some(committed) = at.disk.at(next).filter(|_| at.up && !at.executing) else { return };
        let block = Arc::clone(&committed.block);
        let life = at.life;
        // Faster than blocks come, or nobody would ever catch up.
        let weather = &self.plan.weather;
        let after_us = (weather.max_work_us / 4).min(weather.max_build_us / 8);
        // Without its batches it waits; asked again when one arrives or the time has passed.
        let _ = self.ask_for_batches(node, &block);
        self.nodes[node].executing = true;
        self.schedule(after_us, Event::Execute { node, life });
    }

    /// The time of an execution has passed.
    pub(crate) fn on_executed(&mut self, node: usize) {
        self.nodes[node].executing = false;
        let at = &self.nodes[node];
        let next = at.executed_height() + 1;
        let reverse = self.plan.driver_bug == Some(DriverBug::ExecutionReversed)
            && at.disk.at(next + 1).is_some();
        let order = if reverse { vec![next + 1, next] } else { vec![next] };
        for height in order {
            self.execute(node, height);
        }
        self.answer_checks(node);
        let at = &self.nodes[node];
        let waits =
            at.replica.as_ref().is_none_or(|replica| replica.status().epoch != at.config.epoch);
        if waits {
            self.enter_epoch(node);
        }
        self.execute_next(node);
    }

    /// Executes again what is final, after a start.
    pub(crate) fn replay(&mut self, node: usize) {
        for height in 1..=self.nodes[node].disk.height() {
            if !self.execute(node, height) {
                break;
            }
        }
    }

    fn execute(&mut self, node: usize, height: u64) -> bool {
        let at = &self.nodes[node];
        let Some(committed) = at.disk.at(height).cloned() else { return false };
        let header = &committed.block.header;
        let holds = committed.block.batches.iter().all(|batch| at.held.contains(&batch.digest));
        let (Some(config), true) = (at.configs.get(&header.epoch).cloned(), holds) else {
            return false;
        };
        let before = Arc::clone(at.executed.last().expect("genesis is executed"));
        let (id, block) = (committed.id, &committed.block);
        let job = Job { id, block, config: &config, batches: &self.batches };
        match self.ledger.execute(&self.chain, &before, job) {
            Ok(executed) => {
                if self.nodes[node].honest {
                    self.checker.on_executed(node, &self.nodes[node].disk, &executed);
                }
                let at = &mut self.nodes[node];
                if let Some(next) = &executed.next {
                    at.configs.insert(next.epoch, Arc::clone(next));
                }
                at.executed.push(executed);
                true
            }
            Err(error) => {
                self.checker.report(format!("node {node}: {error}"));
                false
            }
        }
    }

    /// Whether the node holds a block's batches; asks others for those that it lacks.
    pub(crate) fn ask_for_batches(&mut self, node: usize, block: &Block) -> bool {
        let held = &self.nodes[node].held;
        let lacking: Vec<B256> = block
            .batches
            .iter()
            .map(|b| b.digest)
            .filter(|digest| !held.contains(digest))
            .collect();
        for digest in &lacking {
            let other = self.draw(self.nodes.len() as u64) as usize;
            let serves = other != node
                && self.nodes[other].up
                && self.nodes[other].held.contains(digest)
                && !self.withholds_batches(other);
            if !serves {
                continue;
            }
            for after_us in self.network.delays(other, node, &mut self.rng) {
                self.schedule(after_us, Event::BatchArrived { node, digest: *digest });
            }
        }
        lacking.is_empty()
    }

    /// A node keeps a batch.
    pub(crate) fn hold_batch(&mut self, node: usize, digest: B256) {
        if self.nodes[node].up && self.nodes[node].held.insert(digest) {
            self.answer_checks(node);
        }
    }

    /// A validator puts transactions into a batch and sends it to the others.
    pub(crate) fn make_batch(&mut self, node: usize) {
        let Some(author) = self.nodes[node].index().filter(|_| self.nodes[node].up) else { return };
        let state = Arc::clone(self.nodes[node].executed.last().expect("genesis is executed"));
        let items = self.clients.pending(&state.state, &mut self.rng);
        let batch = Batch { author, sequence: self.now_us, items };
        let digest = batch.digest();
        self.batches.insert(digest, Arc::new(batch));
        self.nodes[node].held.insert(digest);
        let chosen = self.draw(self.nodes.len() as u64) as usize;
        for other in 0..self.nodes.len() {
            if other == node || (self.withholds_batches(node) && other != chosen) {
                continue;
            }
            for after_us in self.network.delays(node, other, &mut self.rng) {
                self.schedule(after_us, Event::BatchArrived { node: other, digest });
            }
        }
    }

    /// Batches for a block: some of the newest that the node holds.
    pub(crate) fn offered_batches(&mut self, node: usize) -> Vec<BatchRef> {
        let held = &self.nodes[node].held;
        let mut newest: Vec<&Arc<Batch>> =
            held.iter().filter_map(|d| self.batches.get(d)).collect();
        newest.sort_by_key(|batch| std::cmp::Reverse(batch.sequence));
        newest.truncate(OFFERED);
        let mut offered = Vec::new();
        for batch in newest {
            if offered.len() < MAX_BATCHES && self.rng.random_ratio(1, 3) {
                offered.push(batch.reference());
            }
        }
        offered
    }
}
