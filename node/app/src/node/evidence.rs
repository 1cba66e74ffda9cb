//! Report validators that contradict themselves: keep the proof, send it as a transaction.
//!
//! Every validator may notice; the first transaction counts. So that not all pay for it, they send one after the other,
//! and only if the chain has not convicted the validator by then.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use neura_runtime::modules::staking;
use neura_types::{
    Height, StateRead, U256,
    abi::{IStaking, SolCall},
    codec,
    keys::SecretKey,
    system,
    transaction::TxEd25519,
    vote::Evidence,
};
use tokio::sync::mpsc;

use super::{chain::Chain, intake::Intake};

/// Reports that may wait: a third of the largest set.
pub const REPORT_QUEUE: usize = 128;
/// Gas that a report may use: two signature checks, and slashing the longest list of unbonding stakes.
const REPORT_GAS: u64 = 4_000_000;
/// Executed blocks that each validator leaves to the one before it.
const TURN: Height = 8;

/// Sends reports.
#[derive(Debug)]
pub struct Reporter {
    /// The chain.
    pub chain: Arc<Chain>,
    /// Takes the transactions.
    pub intake: Intake,
    /// Pays for them.
    pub key: SecretKey,
    /// Keeps the proofs, one file each.
    pub folder: PathBuf,
}

impl Reporter {
    /// Runs until the node stops. One report after the other: each is rare and settles within seconds.
    pub async fn run(self, mut queue: mpsc::Receiver<Evidence>) {
        while let Some(evidence) = queue.recv().await {
            if let Err(error) = self.report(&evidence).await {
                tracing::error!(error = %format!("{error:#}"), "evidence was not reported");
            }
        }
    }

    async fn report(&self, evidence: &Evidence) -> Result<()> {
        let (epoch, author) = (evidence.first.epoch, evidence.first.author);
        let path = self.folder.join(format!("epoch-{epoch}-validator-{author}.bin"));
        std::fs::create_dir_all(&self.folder)
            .and_then(|()| std::fs::write(&path, codec::encode(evidence)))
            .with_context(|| format!("keeping the evidence in {}", path.display()))?;
        tracing::warn!(epoch, author, kept = %path.display(), "a validator contradicts itself");
        let Some(me) = self.chain.validator() else { return Ok(()) };
        let wait = TURN.saturating_mul(me.into());
        let mut executed = self.chain.executed.subscribe();
        let until = executed.borrow().saturating_add(wait);
        executed.wait_for(|height| *height >= until).await?;
        if self.is_convicted(evidence)? {
            return Ok(());
        }
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
