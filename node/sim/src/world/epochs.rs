//! Starts of nodes and of epochs: which set and anchor a replica gets, and which record.

use std::sync::Arc;

use neura_consensus::{Config, Output, Recovered, Replica, SafetyRecord};
use neura_types::{Anchor, EpochConfig};

use super::World;
use crate::{plan::DriverBug, record_file::Found};

/// First view timer in the simulator, in milliseconds.
const BASE_TIMEOUT_MS: u64 = 600;
/// Longest view timer in the simulator, in milliseconds.
const MAX_TIMEOUT_MS: u64 = 3_000;

impl World {
    /// Starts a node that is down, from its disk.
    pub(crate) fn start(&mut self, node: usize) {
        if self.nodes[node].up {
            return;
        }
        if std::mem::take(&mut self.nodes[node].failing_disk) {
            // A read failed: the process ends and is started again.
            self.tell(node, || "READ ERROR".to_owned());
            let after_us = 10_000 + self.draw(500_000);
            return self.schedule(after_us, super::Event::Start { node });
        }
        self.tell(node, || "START".to_owned());
        self.record(node, 0, &[]);
        let at = &mut self.nodes[node];
        at.up = true;
        at.life += 1;
        at.timer_ms = None;
        at.waiting.clear();
        at.executing = false;
        at.executed.truncate(1);
        at.observes_in = None;
        self.checker.on_start(node, &self.nodes[node]);
        self.replay(node);
        self.enter_epoch(node);
        self.execute_next(node);
        if self.plan.weather.reconnects {
            self.reconnect(node);
        }
    }

    /// Makes the replica of the epoch that follows from the newest final block, once its validators are known.
    pub(crate) fn enter_epoch(&mut self, node: usize) {
        let at = &self.nodes[node];
        let newest = at.disk.at(at.disk.height()).expect("genesis is final").clone();
        let header = &newest.block.header;
        let epoch = header.epoch + u64::from(header.next_epoch.is_some());
        let serving = at.replica.is_some() && at.config.epoch == epoch;
        let Some(config) = at.configs.get(&epoch).cloned().filter(|_| !serving) else {
            return self.leave_if_behind(node, epoch);
        };
        let anchor = match at.disk.at(config.first - 1) {
            Some(last) => Anchor { view: last.block.header.view, block: last.id },
            None => self.chain.anchor(),
        };
        let safety = self.read_record(node, &config);
        let at = &mut self.nodes[node];
        at.config = Arc::clone(&config);
        at.waiting.clear();
        let (me, now_ms) = (at.index(), at.timer_now_ms(self.now_us));
        let recovered = Recovered {
            safety,
            committed: (newest.block, newest.id, newest.proof),
            uncommitted: at.disk.uncommitted(epoch),
            must_observe: at.observes_in == Some(epoch),
        };
        let set = Arc::new(config.set.clone());
        let mut core = Config::new(self.chain.context, anchor, (set, config.last), me);
        (core.base_timeout_ms, core.max_timeout_ms) = (BASE_TIMEOUT_MS, MAX_TIMEOUT_MS);
        let signer = me.map(|_| at.key.clone());
        let (replica, outputs): (Replica, Vec<Output>) =
            Replica::new(core, signer, recovered, now_ms)
                .expect("key, set and record belong together");
        at.replica = Some(replica);
        self.checker.on_epoch(&config, anchor);
        self.tell(node, || format!("EPOCH {epoch} as {me:?}"));
        self.carry_out(node, outputs);
    }

    /// The validators of the next epoch are not known yet: the old replica has nothing left to do.
    fn leave_if_behind(&mut self, node: usize, epoch: u64) {
        if self.nodes[node].config.epoch != epoch {
            self.nodes[node].replica = None;
        }
    }

    /// The record of this epoch. A damaged one may be of this epoch: the node must not sign in it.
    fn read_record(&mut self, node: usize, config: &EpochConfig) -> Option<SafetyRecord> {
        let careless = self.plan.driver_bug == Some(DriverBug::OlderRecordAccepted);
        match self.nodes[node].disk.read_record(careless) {
            Found::Record(record) => {
                Some(record.as_ref().clone()).filter(|record| record.epoch == config.epoch)
            }
            Found::Damaged => {
                // Known since the start: epochs that begin later are not touched by it.
                if self.nodes[node].replica.is_none() && self.nodes[node].observes_in.is_none() {
                    self.nodes[node].observes_in = Some(config.epoch);
                }
                None
            }
            Found::Nothing => None,
        }
    }
}
