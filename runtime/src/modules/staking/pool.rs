//! Divide an amount of stake into shares, so that slashing all owners alike is one subtraction.
//!
//! # Invariants
//! - No shares, no stake, and the reverse.
//! - Every conversion rounds against who asks for it, so that nobody gains by going in and out.

use alloy_primitives::U256;
use neura_types::Amount;
use serde::{Deserialize, Serialize};

use crate::modules::{entry, host::Fault};

/// Stake with several owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pool {
    /// What it holds.
    pub stake: Amount,
    /// Number of shares.
    pub shares: u128,
}

impl Pool {
    /// Shares that `amount` would buy: as many as wei in an empty pool. None past 2^128.
    pub fn price_of(&self, amount: Amount) -> Option<u128> {
        if self.shares == 0 {
            return Some(amount.0);
        }
        mul_div(amount.0, self.shares, self.stake.0)
    }

    /// What `shares` are worth; they are not more than all.
    pub fn worth_of(&self, shares: u128) -> Amount {
        Amount(mul_div(shares, self.stake.0, self.shares).unwrap_or(0))
    }

    /// Puts in `amount` for shares at the present price.
    pub(super) fn join(&mut self, amount: Amount, shares: u128) -> Result<(), Fault> {
        self.stake = self.stake.add(amount)?;
        self.shares =
            self.shares.checked_add(shares).ok_or_else(|| entry::broken("shares pass 2^128"))?;
        Ok(())
    }

    /// Takes out what `shares` are worth.
    pub(super) fn leave(&mut self, shares: u128) -> Result<Amount, Fault> {
        let amount = self.worth_of(shares);
        self.shares =
            self.shares.checked_sub(shares).ok_or_else(|| entry::broken("shares below zero"))?;
        self.stake = self.stake.sub(amount)?;
        Ok(amount)
    }

    /// Takes a part away from all owners; returns it. Never everything: the part is below the whole.
    pub(super) fn slash(&mut self, bps: u16) -> Result<Amount, Fault> {
        let part = self.stake.share(bps)?;
        self.stake = self.stake.sub(part)?;
        Ok(part)
    }
}

/// `a × b / c`, rounded down; none past 2^128 or for `c` of zero.
pub(super) fn mul_div(a: u128, b: u128, c: u128) -> Option<u128> {
    let product = U256::from(a).checked_mul(U256::from(b))?;
    u128::try_from(product.checked_div(U256::from(c))?).ok()
}
