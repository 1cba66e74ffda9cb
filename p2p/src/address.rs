//! Addresses: which can be dialled, which are public, and which are likely to be in one hand.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// Which addresses told by others are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Public ones only: the node is in the internet, and nobody is to make it probe its own
    /// network.
    Public,
    /// Private and loopback ones too: the whole network is one.
    Any,
}

/// Addresses that one operator can have many of at little cost: a /24 of IPv4, a /48 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Group {
    V4([u8; 3]),
    V6([u8; 6]),
}

/// The IP address that a multiaddress begins with.
pub(crate) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip).to_canonical()),
        _ => None,
    }
}

/// The smallest unit that limits count: an IPv4 address, or the /64 that an IPv6 host has.
pub(crate) fn host_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// The group of a public address. Private networks are one hand anyway and have no groups.
pub(crate) fn group_of(ip: IpAddr) -> Option<Group> {
    is_public(ip).then(|| match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            Group::V4([a, b, c])
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, ..] = ip.octets();
            Group::V6([a, b, c, d, e, f])
        }
    })
}

/// Whether an address can be reached from anywhere in the internet.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// The registry of special-purpose addresses (RFC 6890), as far as hosts can have them.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocols = (a, b, c) == (192, 0, 0);
    let benchmarks = a == 198 && (b == 18 || b == 19);
    !(a == 0
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || shared
        || protocols
        || benchmarks
        // Multicast, reserved, broadcast.
        || a >= 224)
}

/// Global unicast (2000::/3) without documentation and the tunnels that wrap IPv4 addresses.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let documentation = (a, b) == (0x2001, 0x0db8) || a & 0xfff0 == 0x3ff0;
    let tunnel = (a, b) == (0x2001, 0) || a == 0x2002;
    a & 0xe000 == 0x2000 && !documentation && !tunnel
}

impl Scope {
    /// The address as it is dialled, if `peer` may be dialled there: an IP address with a TCP or
    /// QUIC port, in scope, and no other peer's. Names and relays of others are not followed.
    pub(crate) fn dialable(self, peer: PeerId, address: &Multiaddr) -> Option<Multiaddr> {
        let mut address = address.clone();
        if let Some(Protocol::P2p(named)) = address.iter().last() {
            if named != peer {
                return None;
            }
            address.pop();
        }
        let parts: Vec<_> = address.iter().collect();
        let port = match parts[..] {
            [_, Protocol::Tcp(port)] | [_, Protocol::Udp(port), Protocol::QuicV1] => port,
            _ => return None,
        };
        let ip = ip_of(&address)?;
        let in_scope = match self {
            Self::Public => is_public(ip),
            Self::Any => !ip.is_unspecified() && !ip.is_multicast(),
        };
        (port != 0 && in_scope).then_some(address)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_a_peer_tells_is_refused_or_has_a_public_address(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            ip in any::<u32>(),
            port in any::<u16>(),
        ) {
            let peer = PeerId::random();
            let told = [
                Multiaddr::try_from(bytes).ok(),
                Some(Multiaddr::from(Ipv4Addr::from(ip)).with(Protocol::Tcp(port))),
            ];
            for address in told.into_iter().flatten() {
                if let Some(dialled) = Scope::Public.dialable(peer, &address) {
                    prop_assert!(ip_of(&dialled).is_some_and(is_public));
                    prop_assert_eq!(dialled.iter().count(), address.iter().count());
                }
            }
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_that_cannot_be_reached_from_the_internet_are_not_public() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fd00::2",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:a00:1::",
        ] {
            assert!(!is_public(ip(private).to_canonical()), "{private}");
        }
        for public in ["1.1.1.1", "100.128.0.1", "198.20.0.1", "2606:4700::1111", "2a01:4f8::1"] {
            assert!(is_public(ip(public)), "{public}");
        }
    }

    #[test]
    fn groups_are_slash_24_and_slash_48_of_public_addresses() {
        assert_eq!(group_of(ip("1.2.3.4")), group_of(ip("1.2.3.200")));
        assert_ne!(group_of(ip("1.2.3.4")), group_of(ip("1.2.4.4")));
        assert_eq!(group_of(ip("2a01:4f8:1:2::3")), group_of(ip("2a01:4f8:1:ffff::")));
        assert_ne!(group_of(ip("2a01:4f8:1::")), group_of(ip("2a01:4f8:2::")));
        assert_eq!(group_of(ip("10.0.0.1")), None);
        assert_eq!(host_of(ip("2a01:4f8:1:2::3")), host_of(ip("2a01:4f8:1:2:ffff::")));
        assert_ne!(host_of(ip("1.2.3.4")), host_of(ip("1.2.3.5")));
    }

    #[test]
    fn only_plain_addresses_in_scope_are_dialled() {
        let peer = PeerId::random();
        let other = PeerId::random();
        let dialable = |scope: Scope, text: &str| scope.dialable(peer, &text.parse().unwrap());
        let public = "/ip4/1.2.3.4/tcp/4001";
        let named = format!("{public}/p2p/{peer}");
        assert_eq!(dialable(Scope::Public, &named), Some(public.parse().unwrap()));
        for good in ["/ip4/1.2.3.4/udp/4001/quic-v1", "/ip6/2a01:4f8::1/tcp/1"] {
            assert_eq!(dialable(Scope::Public, good), Some(good.parse().unwrap()));
        }
        for private in ["/ip4/127.0.0.1/tcp/1", "/ip6/fd00::1/udp/1/quic-v1"] {
            assert_eq!(dialable(Scope::Public, private), None, "{private}");
            assert_eq!(dialable(Scope::Any, private), Some(private.parse().unwrap()));
        }
        for bad in [
            "/ip4/0.0.0.0/tcp/4001",
            "/ip4/1.2.3.4/tcp/0",
            "/ip4/1.2.3.4/udp/4001",
            "/ip4/1.2.3.4/tcp/80/ws",
            "/dns4/example.org/tcp/4001",
            "/memory/1",
            &format!("{public}/p2p/{other}"),
            &format!("{public}/p2p/{other}/p2p-circuit/p2p/{peer}"),
        ] {
            assert_eq!(dialable(Scope::Any, bad), None, "{bad}");
        }
    }
}
