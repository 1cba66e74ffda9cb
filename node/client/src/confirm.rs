//! Wait until a transaction has taken effect, and say why it has not.

use std::time::Duration;

use neura_types::{
    B256, Height,
    rest::{Finality, ReceiptInfo, TransactionInfo},
};
use tokio::time::Instant;

use crate::{Client, ClientError};

/// How long a transaction is waited for at all: many times the chain's slowest recovery from failed leaders.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(120);
/// First pause between two looks at a transaction; grows to the last.
const LOOK_FIRST: Duration = Duration::from_millis(10);
/// Last pause between two looks.
const LOOK_LAST: Duration = Duration::from_millis(500);

/// A transaction that took effect.
#[derive(Debug, Clone)]
pub struct Confirmed {
    /// Its hash.
    pub hash: B256,
    /// Height of its block.
    pub height: Height,
    /// Everything about it, receipt included.
    pub info: TransactionInfo,
}

impl Client {
    /// Waits until a transaction that was sent is executed.
    ///
    /// # Errors
    /// [`ClientError::Reverted`] with the module's code if it failed, [`ClientError::NotConfirmed`] after two minutes.
    pub async fn confirm(&self, hash: B256) -> Result<Confirmed, ClientError> {
        let mut wait = Wait::new(hash);
        loop {
            if let Some(confirmed) = self.look(hash).await? {
                return Ok(confirmed);
            }
            wait.pause().await?;
        }
    }

    /// What became of a transaction; none while it waits, or the node does not know it or does not answer.
    pub(crate) async fn look(&self, hash: B256) -> Result<Option<Confirmed>, ClientError> {
        let info = match self.transaction(hash).await {
            Ok(info) => info,
            Err(error) if error.code() == "unknown_transaction" || error.is_transient() => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if !matches!(info.finality, Finality::Executed | Finality::Certified) {
            return Ok(None);
        }
        match (&info.inclusion, &info.receipt) {
            (Some(inclusion), Some(receipt)) if receipt.success => {
                Ok(Some(Confirmed { hash, height: inclusion.height, info }))
            }
            (_, Some(receipt)) => Err(reverted(hash, receipt)),
            // Ordered, but its sender could not pay any more when its turn came.
            (_, None) => Err(ClientError::Reverted {
                hash,
                code: "not_executed".into(),
                detail: "the block that holds the transaction did not execute it: when its turn came, the account \
                         could not pay for it or had used its nonce"
                    .into(),
            }),
        }
    }
}

fn reverted(hash: B256, receipt: &ReceiptInfo) -> ClientError {
    let reason = receipt.revert_reason.clone().unwrap_or_else(|| "the call failed".into());
    let (code, detail) = match reason.split_once(": ") {
        Some((code, detail)) if !code.contains(' ') => (code.to_owned(), detail.to_owned()),
        _ => ("execution_reverted".to_owned(), reason),
    };
    ClientError::Reverted { hash, code, detail }
}

/// Pauses that grow, up to a last one, until the time is up.
#[derive(Debug)]
pub(crate) struct Wait {
    hash: B256,
    started: Instant,
    pause: Duration,
}

impl Wait {
    pub(crate) fn new(hash: B256) -> Self {
        Self { hash, started: Instant::now(), pause: LOOK_FIRST }
    }

    pub(crate) async fn pause(&mut self) -> Result<(), ClientError> {
        if self.started.elapsed() > GIVE_UP {
            return Err(ClientError::NotConfirmed { hash: self.hash, seconds: GIVE_UP.as_secs() });
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LOOK_LAST);
        Ok(())
    }
}
