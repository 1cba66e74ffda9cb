//! The registry's tables.

use alloy_primitives::Address;
use neura_types::{provider::Requester, system};

use crate::modules::store::{Table, Words};

/// Entries by account.
pub(super) const REQUESTERS: Table<Address, Requester> = Table::new(system::REQUESTERS, 1);
/// Accounts by order of registration, from 0.
pub(super) const ORDER: Words<u64, Address> = Words::new(system::REQUESTERS, 2);
/// Number of entries.
pub(super) const COUNT: Words<(), u64> = Words::new(system::REQUESTERS, 3);
