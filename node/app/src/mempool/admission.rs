//! Add a transaction while blocks are executed beside it.

use std::sync::Arc;

use neura_types::Transaction;
use parking_lot::Mutex;

use super::{Mempool, PoolError, Sealing, Standing};

/// Adds a verified transaction to a pool that others use; `standing` asks the state for what it says of the sender now.
///
/// The state is asked again afterwards. A block executed between the first answer and the insertion tells the pool of the
/// sender's nonce before the pool knows the sender: nothing would tell it later, and the transactions of that sender would
/// wait for a nonce that is long used.
///
/// # Errors
/// If the pool refuses it, or the state cannot be read.
pub fn admit<E: From<PoolError>>(
    pool: &Mutex<Mempool>,
    tx: &Arc<Transaction>,
    sealing: Sealing,
    mut standing: impl FnMut() -> Result<Standing, E>,
) -> Result<(), E> {
    let before = standing()?;
    pool.lock().insert(Arc::clone(tx), before, sealing)?;
    let after = standing()?;
    if after.nonce > before.nonce {
        pool.lock().on_executed([], [(tx.sender, after.nonce)]);
    }
    Ok(())
}
