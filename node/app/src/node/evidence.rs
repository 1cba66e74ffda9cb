//! Report validators that contradict themselves: keep the proof, send it as a transaction until it counts.
//!
//! Every validator may notice; the first transaction counts. So that not all pay for it, they send one after the other,
//! and only if the chain has not convicted the validator by then. A proof stays on the disk, and is sent again after a
//! restart, until the chain has convicted the validator or takes it no longer.

mod folder;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Result, ensure};
use neura_runtime::modules::staking;
use neura_types::{
    Height, StateRead, U256,
    abi::{IStaking, SolCall},
    codec,
    epoch::EVIDENCE_EPOCHS,
    keys::SecretKey,
    system,
    transaction::TxEd25519,
    vote::Evidence,
};
use tokio::sync::mpsc;

use super::{chain::Chain, intake::Intake};
use folder::{Folder, MAX_PROOFS};

/// Reports that may wait: a third of the largest set.
pub const REPORT_QUEUE: usize = 128;
/// Gas that a report may use: two signature checks, and slashing the longest list of unbonding stakes.
const REPORT_GAS: u64 = 4_000_000;
/// Executed blocks that each validator leaves to the one before it.
const TURN: Height = 8;
/// Executed blocks after which a report that did not count is sent again. Doubled each time: what fails for a reason that
/// stays costs little, in gas and in lines of the log.
const RETRY: Height = 32;
/// Most doublings: some hours.
const MAX_DOUBLINGS: u32 = 10;

/// Sends reports.
#[derive(Debug)]
pub struct Reporter {
    chain: Arc<Chain>,
    intake: Intake,
    key: SecretKey,
    folder: Folder,
}

/// A proof that does not count yet.
#[derive(Debug)]
struct Case {
    evidence: Evidence,
    /// Where it is kept; none if it could not be.
    path: Option<PathBuf>,
    /// Executed height at which to look at it again.
    due: Height,
    /// How often it was sent.
    sent: u32,
}

impl Reporter {
    /// Reports to `chain` through `intake`; `key` pays. The proofs lie in `folder`, one file each.
    pub fn new(chain: Arc<Chain>, intake: Intake, key: SecretKey, folder: PathBuf) -> Self {
        Self { chain, intake, key, folder: Folder(folder) }
    }

    /// Runs until the node stops.
    pub async fn run(self, mut queue: mpsc::Receiver<Evidence>) {
        let mut executed = self.chain.executed.subscribe();
        let mut cases: Vec<_> = self
            .folder
            .read()
            .into_iter()
            .map(|(proof, path)| self.open(proof, Some(path)))
            .collect();
        if !cases.is_empty() {
            tracing::info!(proofs = cases.len(), "evidence from before this start is taken up");
        }
        loop {
            tokio::select! {
                found = queue.recv() => match found {
                    Some(evidence) => self.take(&mut cases, evidence),
                    None => return,
                },
                changed = executed.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let height = *executed.borrow_and_update();
                    cases.retain_mut(|case| !self.attend(case, height));
                }
            }
        }
    }

    /// A case that waits for this validator's turn.
    fn open(&self, evidence: Evidence, path: Option<PathBuf>) -> Case {
        let turn = TURN.saturating_mul(self.chain.validator().unwrap_or(0).into());
        let due = self.chain.executed.borrow().saturating_add(turn);
        Case { evidence, path, due, sent: 0 }
    }

    fn take(&self, cases: &mut Vec<Case>, evidence: Evidence) {
        let (epoch, author) = (evidence.first.epoch, evidence.first.author);
        // Found before a restart, and again after it.
        if cases.iter().any(|case| folder::name(&case.evidence) == folder::name(&evidence)) {
            return;
        }
        if cases.len() >= MAX_PROOFS {
            tracing::error!(epoch, author, "evidence was not kept: too much waits already");
            return;
        }
        let path = self.folder.keep(&evidence);
        match &path {
            Ok(path) => {
                tracing::warn!(epoch, author, kept = %path.display(), "a validator contradicts itself");
            }
            Err(error) => {
                tracing::error!(epoch, author, %error, "evidence could not be kept on the disk");
            }
        }
        cases.push(self.open(evidence, path.ok()));
    }

    /// Does what is due, and says whether the case is settled.
    fn attend(&self, case: &mut Case, height: Height) -> bool {
        if case.due > height {
            return false;
        }
        let (epoch, author) = (case.evidence.first.epoch, case.evidence.first.author);
        let settled = self.is_settled(&case.evidence).unwrap_or_else(|error| {
            tracing::error!(epoch, author, error = %format!("{error:#}"), "evidence was not looked at");
            false
        });
        if settled {
            // A file that stays is found settled again after the next start.
            let _ = case.path.take().map(std::fs::remove_file);
            return true;
        }
        case.due = height.saturating_add(RETRY << case.sent.min(MAX_DOUBLINGS));
        // A full node keeps it: it may become a validator, or its operator may send it.
        if self.chain.validator().is_some() {
            case.sent = case.sent.saturating_add(1);
            if let Err(error) = self.send(&case.evidence) {
                let (error, again_at) = (format!("{error:#}"), case.due);
                tracing::error!(epoch, author, error, again_at, "evidence was not sent");
            }
        }
        false
    }

    /// Whether reporting it would be of no use: it counts already, or is too old to count.
    fn is_settled(&self, evidence: &Evidence) -> Result<bool> {
        let (epoch, author) = (evidence.first.epoch, evidence.first.author);
        if self.chain.epochs.current().epoch > epoch.saturating_add(EVIDENCE_EPOCHS) {
            tracing::warn!(epoch, author, "evidence is too old to count: removed");
            return Ok(true);
        }
        self.is_convicted(evidence)
    }

    fn send(&self, evidence: &Evidence) -> Result<()> {
        let (epoch, author) = (evidence.first.epoch, evidence.first.author);
        let config = neura_runtime::epoch_config(&self.chain.store.state()?, epoch)?;
        let convicts = config.is_some_and(|of| evidence.verify(&of.set, &self.chain.context()));
        ensure!(convicts, "it convicts nobody on this chain");
        let tx = self.intake.submit(self.transaction(evidence)?)?;
        tracing::info!(hash = %tx.hash, epoch, author, "evidence sent");
        Ok(())
    }

    fn is_convicted(&self, evidence: &Evidence) -> Result<bool> {
        let state = self.chain.store.state()?;
        Ok(staking::is_convicted(&state, evidence)?)
    }

    fn transaction(&self, evidence: &Evidence) -> Result<neura_types::Bytes> {
        let public = self.key.public_key();
        let state = self.chain.store.state()?;
        let nonce = state.account(public.address())?.map_or(0, |account| account.nonce);
        let base_fee = self.chain.next_base_fee.load(std::sync::atomic::Ordering::Relaxed);
        let call = IStaking::submitEvidenceCall { evidence: codec::encode(evidence).into() };
        let tx = TxEd25519 {
            chain_id: self.chain.genesis.chain_id,
            nonce,
            max_priority_fee_per_gas: base_fee.into(),
            max_fee_per_gas: u128::from(base_fee).saturating_mul(4),
            gas_limit: REPORT_GAS,
            to: alloy_primitives::TxKind::Call(system::STAKING),
            value: U256::ZERO,
            input: call.abi_encode().into(),
            access_list: Default::default(),
        };
        let signature = self.key.sign(tx.signing_digest().as_slice());
        Ok(tx.encode_signed(&public, &signature))
    }
}
