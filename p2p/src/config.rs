//! Configuration, and every bound with its reason.

use std::{collections::BTreeSet, fmt, time::Duration};

use libp2p::{Multiaddr, PeerId};

use crate::{Class, StartError};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Longest protocol tag: names built from it stay below libp2p's 140-byte habit.
const MAX_TAG: usize = 80;
/// Largest configurable frame, request or response: lengths fit a `u32` and a budget of permits.
const MAX_UNIT_BYTES: usize = 64 * MIB;

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
    /// Names the chain in every protocol id and topic: `<chain id>/<8 hex of the genesis hash>`.
    pub protocol_tag: String,
    /// Peers allowed on the direct classes; see `NetworkHandle::set_validators`.
    pub validators: BTreeSet<PeerId>,
    /// Bounds.
    pub limits: Limits,
}

impl fmt::Debug for NetworkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkConfig")
            .field("listen", &self.listen)
            .field("bootstrap", &self.bootstrap)
            .field("protocol_tag", &self.protocol_tag)
            .field("validators", &self.validators.len())
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
        self.limits.validate()
    }
}

/// Bounds of one direct class.
#[derive(Clone, Copy, Debug)]
pub struct ClassLimits {
    /// Most bytes in a frame.
    pub max_frame_bytes: usize,
    /// Most frames waiting to be sent to one peer.
    pub outbound_frames: usize,
    /// Most bytes waiting to be sent to one peer.
    pub outbound_bytes: usize,
    /// Most received bytes of one peer that wait for the application; beyond, its stream is not
    /// read. A frame counts as at least [`ClassLimits::MIN_FRAME_COST`] bytes.
    pub inbound_bytes: usize,
}

impl ClassLimits {
    /// What a frame costs at least: its bookkeeping takes about so many bytes.
    pub const MIN_FRAME_COST: usize = 256;
}

/// Every bound of the network. The defaults serve a validator of a set of about a hundred.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Votes, timeouts, certificates.
    pub consensus: ClassLimits,
    /// Proposals.
    pub proposal: ClassLimits,
    /// Batches.
    pub batch: ClassLimits,
    /// Most bytes in a gossip message: a transaction with its envelope.
    pub max_gossip_bytes: usize,
    /// Most gossip messages waiting for the application; beyond, they are ignored.
    pub gossip_queue_messages: usize,
    /// Most bytes of gossip messages waiting for the application; beyond, they are ignored.
    pub gossip_queue_bytes: usize,
    /// Gossip messages per second taken from one neighbour, with a burst of two seconds' worth.
    pub gossip_messages_per_second: u32,
    /// Most bytes in a request.
    pub max_request_bytes: usize,
    /// Most bytes in a response.
    pub max_response_bytes: usize,
    /// How long a request may take from sending to the last byte of its answer, on both sides.
    pub request_timeout: Duration,
    /// Requests of ours under way; more wait.
    pub max_outbound_requests: usize,
    /// Requests of others being served, all peers together; beyond, `Busy` is answered.
    pub max_inbound_requests: usize,
    /// Requests of one peer being served; beyond, `Busy` is answered.
    pub max_inbound_requests_per_peer: usize,
    /// Serving allowance of one peer per second. A request costs 1, each 64 KiB of answer 1 more.
    pub serve_tokens_per_second: u32,
    /// Most allowance that a peer can save up.
    pub serve_tokens_burst: u32,
    /// Inbound connections of peers that are neither validators nor static peers.
    pub max_inbound_connections: u32,
    /// Inbound connections whose handshake has not ended.
    pub max_pending_inbound: u32,
    /// Inbound connections from one IP address. A machine can run a whole devnet, hence not few.
    pub max_connections_per_ip: usize,
    /// Connections with one peer: one, one more while both sides dial, and stale ones.
    pub max_connections_per_peer: usize,
    /// First ban; each further one within memory is twice as long.
    pub ban_base: Duration,
    /// Longest ban.
    pub ban_max: Duration,
    /// Time in which half of a peer's offences are forgotten.
    pub ban_half_life: Duration,
    /// First pause before a static peer is dialled again.
    pub redial_min: Duration,
    /// Longest pause before a static peer is dialled again.
    pub redial_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            consensus: ClassLimits {
                max_frame_bytes: 256 * KIB,
                outbound_frames: 2048,
                outbound_bytes: 4 * MIB,
                inbound_bytes: 4 * MIB,
            },
            proposal: ClassLimits {
                max_frame_bytes: 4 * MIB,
                outbound_frames: 64,
                outbound_bytes: 16 * MIB,
                inbound_bytes: 8 * MIB,
            },
            batch: ClassLimits {
                max_frame_bytes: 2 * MIB,
                outbound_frames: 512,
                outbound_bytes: 32 * MIB,
                inbound_bytes: 8 * MIB,
            },
            max_gossip_bytes: 256 * KIB,
            gossip_queue_messages: 8192,
            gossip_queue_bytes: 16 * MIB,
            gossip_messages_per_second: 5000,
            max_request_bytes: 64 * KIB,
            max_response_bytes: 8 * MIB,
            request_timeout: Duration::from_secs(10),
            max_outbound_requests: 64,
            max_inbound_requests: 32,
            max_inbound_requests_per_peer: 8,
            serve_tokens_per_second: 512,
            serve_tokens_burst: 2048,
            max_inbound_connections: 128,
            max_pending_inbound: 64,
            max_connections_per_ip: 64,
            max_connections_per_peer: 4,
            ban_base: Duration::from_secs(30),
            ban_max: Duration::from_secs(3600),
            ban_half_life: Duration::from_secs(600),
            redial_min: Duration::from_millis(100),
            redial_max: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// The bounds of a direct class.
    pub const fn class(&self, class: Class) -> &ClassLimits {
        match class {
            Class::Consensus => &self.consensus,
            Class::Proposal => &self.proposal,
            Class::Batch => &self.batch,
        }
    }

    fn validate(&self) -> Result<(), StartError> {
        let check = |name, value, min, max| {
            let usable = (min..=max).contains(&value);
            if usable { Ok(()) } else { Err(StartError::Limit { name, value, min, max }) }
        };
        for class in Class::ALL {
            let limits = self.class(class);
            let frame = limits.max_frame_bytes;
            check("max_frame_bytes", frame, 1, MAX_UNIT_BYTES)?;
            check("outbound_frames", limits.outbound_frames, 1, usize::MAX)?;
            check("outbound_bytes", limits.outbound_bytes, frame, usize::MAX)?;
            let cost = frame.max(ClassLimits::MIN_FRAME_COST);
            check("inbound_bytes", limits.inbound_bytes, cost, u32::MAX as usize)?;
        }
        check("max_gossip_bytes", self.max_gossip_bytes, 100, MAX_UNIT_BYTES)?;
        check("max_request_bytes", self.max_request_bytes, 1, MAX_UNIT_BYTES)?;
        check("max_response_bytes", self.max_response_bytes, 1, MAX_UNIT_BYTES)?;
        check("max_outbound_requests", self.max_outbound_requests, 1, 1 << 16)?;
        check("max_inbound_requests", self.max_inbound_requests, 1, 1 << 16)?;
        check("max_connections_per_peer", self.max_connections_per_peer, 2, 64)
    }
}
