//! Which addresses may be called on behalf of a stranger.
//!
//! The check sits in the resolver that the HTTP client connects through, so the addresses that are
//! checked are the ones that are used, however the name resolves the next time.

use crate::limits::MAX_ADDRESSES_PER_HOST;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use thiserror::Error;

/// What kind of network an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressClass {
    /// The public Internet.
    Public,
    /// This machine, or a private network: called only where `allow_private` is set.
    Private,
    /// Link-local (where clouds keep their metadata service), multicast, unspecified or reserved:
    /// never called.
    Special,
}

impl AddressClass {
    /// The class of `address`; an IPv6 address that embeds an IPv4 one has the class of the latter.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => class_v4(address),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(embedded) => class_v4(embedded),
                None => class_v6(address),
            },
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Special => "special-purpose",
        })
    }
}

/// By IANA's registry of special-purpose IPv4 addresses.
fn class_v4(address: Ipv4Addr) -> AddressClass {
    match address.octets() {
        [10 | 127, ..] | [192, 168, ..] => AddressClass::Private,
        [172, 16..=31, ..] | [100, 64..=127, ..] => AddressClass::Private,
        [0 | 224..=255, ..] | [169, 254, ..] => AddressClass::Special,
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [192, 31, 196, _] => AddressClass::Special,
        [192, 52, 193, _] | [192, 175, 48, _] | [198, 18 | 19, ..] => AddressClass::Special,
        [198, 51, 100, _] | [203, 0, 113, _] => AddressClass::Special,
        _ => AddressClass::Public,
    }
}

/// Only 2000::/3 is assigned for global unicast; within it, ranges that tunnel or document are
/// refused.
fn class_v6(address: Ipv6Addr) -> AddressClass {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] | [0xfc00..=0xfdff, ..] => AddressClass::Private,
        // IETF protocols with Teredo; documentation; 6to4; documentation again.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] => AddressClass::Special,
        [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => AddressClass::Special,
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Special,
    }
}

/// A refusal by the guard, found again in the HTTP client's chain of causes.
#[derive(Clone, Debug, Error)]
#[error("host {host} is at {address}, a {class} address")]
pub(super) struct Refused {
    pub(super) host: String,
    pub(super) address: IpAddr,
    pub(super) class: AddressClass,
}

/// Decides about addresses, and resolves names to allowed ones only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    pub(super) allow_private: bool,
}

impl Guard {
    pub(super) fn check(self, host: &str, address: IpAddr) -> Result<(), Refused> {
        let class = AddressClass::of(address);
        match class {
            AddressClass::Public => Ok(()),
            AddressClass::Private if self.allow_private => Ok(()),
            _ => Err(Refused { host: host.into(), address, class }),
        }
    }

    /// The allowed ones of `addresses`; the refusal of the last one if none is.
    pub(super) fn allowed(
        self,
        host: &str,
        addresses: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Refused> {
        let mut allowed = Vec::new();
        let mut refusal = None;
        for address in addresses.take(MAX_ADDRESSES_PER_HOST) {
            match self.check(host, address.ip()) {
                Ok(()) => allowed.push(address),
                Err(refused) => refusal = Some(refused),
            }
        }
        match refusal {
            Some(refused) if allowed.is_empty() => Err(refused),
            _ => Ok(allowed),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = *self;
        Box::pin(async move {
            // Port 0 stands for the URL's own port.
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = guard.allowed(name.as_str(), addresses)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
