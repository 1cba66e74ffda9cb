//! The registry's tables.

use alloy_primitives::Address;
use neura_types::{Amount, provider::Provider, system};

use crate::modules::store::{Table, Words};

/// Entries by account.
pub(super) const PROVIDERS: Table<Address, Provider> = Table::new(system::PROVIDERS, 1);
/// Accounts by order of first registration, from 0.
pub(super) const ORDER: Words<u64, Address> = Words::new(system::PROVIDERS, 2);
/// Number of entries.
pub(super) const COUNT: Words<(), u64> = Words::new(system::PROVIDERS, 3);
/// Sum of all bonds, in wei.
pub(super) const BONDED: Words<(), Amount> = Words::new(system::PROVIDERS, 4);
