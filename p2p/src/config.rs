//! Configuration of a node's part in the network.

use std::{collections::BTreeSet, fmt};

use libp2p::{Multiaddr, PeerId};

use crate::{Limits, StartError};

/// Generation of the wire protocols, the end of every protocol name and topic. Nodes of different
/// generations have no protocol in common.
pub const PROTOCOL_VERSION: u16 = 3;
/// Longest protocol tag: the longest chain id, a genesis hash in hexadecimal and a stroke between
/// them take 85; names built from it stay below the 140 bytes that libp2p negotiates.
const MAX_TAG: usize = 100;
/// Most outbound peers that can be asked for.
const MAX_OUTBOUND_PEERS: usize = 1024;

/// The protocol tag of a chain: its id and its whole genesis hash, so that no two chains share it.
pub fn chain_tag(chain_id: u64, genesis_hash: &[u8; 32]) -> String {
    let hex = genesis_hash.iter().map(|byte| format!("{byte:02x}"));
    format!("{chain_id}/{}", hex.collect::<String>())
}

/// The name of a protocol of a chain.
pub(crate) fn protocol_name(tag: &str, part: &str) -> String {
    format!("/neura/{tag}/{part}/{PROTOCOL_VERSION}")
}

/// How a node takes part in the network.
#[derive(Clone)]
pub struct NetworkConfig {
    /// The node's ed25519 seed (RFC 8032 secret key, 32 bytes).
    pub keypair_seed: [u8; 32],
    /// Addresses to listen on, such as `/ip4/0.0.0.0/udp/4001/quic-v1` or `/ip4/0.0.0.0/tcp/4001`.
    pub listen: Vec<Multiaddr>,
    /// Static peers, dialled again while disconnected. A peer may stand several times, with
    /// addresses that are tried in turn. The node itself may be in the list.
    pub bootstrap: Vec<(PeerId, Multiaddr)>,
    /// Names the chain in every protocol id and topic; see [`chain_tag`].
    pub protocol_tag: String,
    /// Peers allowed on the direct classes; see `NetworkHandle::set_validators`.
    pub validators: BTreeSet<PeerId>,
    /// Peers that no crowd keeps out, as static peers and validators are: a validator's sentries,
    /// for a sentry its validator, or partners.
    pub reserved: BTreeSet<PeerId>,
    /// Connects with reserved peers only (static, reserved and validators) and looks for no
    /// others: for a validator behind sentries.
    pub reserved_only: bool,
    /// Tells peers the addresses of this node. If not, no peer learns more than the address of the
    /// connection that it has, and no routing table holds this node.
    pub announce: bool,
    /// Addresses under which others reach this node, where it does not listen on them itself:
    /// behind a router that forwards a port. IP addresses, for others do not follow names.
    pub external: Vec<Multiaddr>,
    /// How peers that nobody configured are found.
    pub discovery: Discovery,
    /// Bounds.
    pub limits: Limits,
}

/// How unknown peers are found, over Kademlia.
#[derive(Clone, Copy, Debug)]
pub struct Discovery {
    /// Finds peers and is found. If not, only configured peers are dialled.
    pub enabled: bool,
    /// So many outbound connections with peers of our choice are kept, for which inbound ones,
    /// chosen by others, never take the place.
    pub outbound_peers: usize,
    /// Whether private and loopback addresses of others are dialled, and one's own are told.
    /// `None` decides at the start: yes, unless a public address is among those listened on,
    /// configured as external or given for a static peer.
    pub private_addresses: Option<bool>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self { enabled: true, outbound_peers: 16, private_addresses: None }
    }
}

impl fmt::Debug for NetworkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkConfig")
            .field("listen", &self.listen)
            .field("bootstrap", &self.bootstrap)
            .field("protocol_tag", &self.protocol_tag)
            .field("validators", &self.validators.len())
            .field("reserved", &self.reserved.len())
            .field("reserved_only", &self.reserved_only)
            .field("announce", &self.announce)
            .field("external", &self.external)
            .field("discovery", &self.discovery)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl NetworkConfig {
    /// A configuration with no peers and the default limits.
    pub fn new(keypair_seed: [u8; 32], protocol_tag: impl Into<String>) -> Self {
        Self {
            keypair_seed,
            listen: Vec::new(),
            bootstrap: Vec::new(),
            protocol_tag: protocol_tag.into(),
            validators: BTreeSet::new(),
            reserved: BTreeSet::new(),
            reserved_only: false,
            announce: true,
            external: Vec::new(),
            discovery: Discovery::default(),
            limits: Limits::default(),
        }
    }

    /// Checks what a typing error could have spoilt.
    pub(crate) fn validate(&self) -> Result<(), StartError> {
        let tag = &self.protocol_tag;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        if tag.is_empty() || tag.len() > MAX_TAG || !tag.chars().all(plain) {
            return Err(StartError::Tag { tag: tag.clone(), max: MAX_TAG });
        }
        let (value, max) = (self.discovery.outbound_peers, self.limits.max_outbound_connections);
        let max = (max as usize).min(MAX_OUTBOUND_PEERS);
        if self.discovery.enabled && value > max {
            return Err(StartError::Limit { name: "outbound_peers", value, min: 0, max });
        }
        self.limits.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_holds_the_whole_genesis_hash_and_fits_a_protocol_name() {
        let tag = chain_tag(u64::MAX, &[0xab; 32]);
        assert_eq!(tag, format!("18446744073709551615/{}", "ab".repeat(32)));
        assert!(NetworkConfig::new([1; 32], tag.clone()).validate().is_ok());
        assert!(protocol_name(&tag, "transactions").len() < 140);
        let mut other = [0xab; 32];
        other[31] = 0xac;
        assert_ne!(chain_tag(1, &[0xab; 32]), chain_tag(1, &other));
        assert_ne!(chain_tag(1, &[0xab; 32]), chain_tag(2, &[0xab; 32]));
    }
}
