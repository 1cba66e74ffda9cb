//! Every bound, with its reason.

use std::time::Duration;

use crate::{Class, StartError};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Largest configurable frame, request or response: lengths fit a `u32` and a budget of permits.
const MAX_UNIT_BYTES: usize = 64 * MIB;

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
    /// Gossip bytes per second taken from one neighbour, with a burst of two seconds' worth.
    pub gossip_bytes_per_second: u32,
    /// Most bytes in a request.
    pub max_request_bytes: usize,
    /// Most bytes in a response.
    pub max_response_bytes: usize,
    /// How long a request may take from sending to the last byte of its answer, on both sides.
    pub request_timeout: Duration,
    /// Requests of ours under way; more wait.
    pub max_outbound_requests: usize,
    /// Requests of others being served, all peers together; beyond, `Busy` is answered. When half
    /// of the places are taken, a peer gets no second one: a few that wait for long answers do not
    /// keep out the others.
    pub max_inbound_requests: usize,
    /// Requests of one peer being served; beyond, `Busy` is answered.
    pub max_inbound_requests_per_peer: usize,
    /// Bytes of answers on their way to slow readers, all together; beyond, `Busy` is answered.
    pub max_answer_bytes: usize,
    /// Serving allowance of one peer per second. A request costs 1, each 64 KiB of answer 1 more.
    pub serve_tokens_per_second: u32,
    /// Most allowance that a peer can save up.
    pub serve_tokens_burst: u32,
    /// Inbound connections of peers that are not reserved: neither validators, nor static or
    /// reserved peers of the configuration.
    pub max_inbound_connections: u32,
    /// Outbound connections to peers that are not reserved: those chosen to stay
    /// ([`crate::Discovery::outbound_peers`]) and those that lookups pass by.
    pub max_outbound_connections: u32,
    /// Inbound connections whose handshake has not ended. Hosts of reserved peers have as many
    /// places again.
    pub max_pending_inbound: u32,
    /// Inbound connections of ordinary peers from one host (an IPv4 address, an IPv6 /64). Some
    /// households and offices have one address; loopback addresses are not counted.
    pub max_connections_per_ip: usize,
    /// Inbound connections of ordinary peers from one public network (IPv4 /24, IPv6 /48).
    pub max_connections_per_group: usize,
    /// Connections with one reserved peer: one, one more while both sides dial, and stale ones.
    /// An ordinary peer has two at most.
    pub max_connections_per_peer: usize,
    /// A direct stream of which the peer has taken nothing for so long, while frames wait, costs
    /// the peer its connections.
    pub stall_timeout: Duration,
    /// First ban; each further one within memory is twice as long. Reserved peers are never banned
    /// for longer.
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
            gossip_bytes_per_second: 8 * MIB as u32,
            max_request_bytes: 64 * KIB,
            max_response_bytes: 8 * MIB,
            request_timeout: Duration::from_secs(10),
            max_outbound_requests: 64,
            max_inbound_requests: 512,
            max_inbound_requests_per_peer: 8,
            max_answer_bytes: 256 * MIB,
            serve_tokens_per_second: 512,
            serve_tokens_burst: 2048,
            max_inbound_connections: 128,
            max_outbound_connections: 32,
            max_pending_inbound: 64,
            max_connections_per_ip: 16,
            max_connections_per_group: 32,
            max_connections_per_peer: 4,
            stall_timeout: Duration::from_secs(20),
            ban_base: Duration::from_secs(30),
            ban_max: Duration::from_secs(12 * 3600),
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

    pub(crate) fn validate(&self) -> Result<(), StartError> {
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
        let message = self.max_gossip_bytes;
        check("gossip_queue_bytes", self.gossip_queue_bytes, message, u32::MAX as usize)?;
        let per_second = self.gossip_bytes_per_second as usize;
        check("gossip_bytes_per_second", per_second, message, u32::MAX as usize)?;
        check("max_request_bytes", self.max_request_bytes, 1, MAX_UNIT_BYTES)?;
        check("max_response_bytes", self.max_response_bytes, 1, MAX_UNIT_BYTES)?;
        let answer = self.max_response_bytes;
        check("max_answer_bytes", self.max_answer_bytes, answer, usize::MAX)?;
        check("max_outbound_requests", self.max_outbound_requests, 1, 1 << 16)?;
        check("max_inbound_requests", self.max_inbound_requests, 1, 1 << 16)?;
        check("max_connections_per_peer", self.max_connections_per_peer, 2, 64)
    }
}
