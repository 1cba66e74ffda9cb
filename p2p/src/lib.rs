//! Move opaque bytes between authenticated peers, within bounds, over libp2p.
//!
//! # Design
//! One libp2p swarm in its own task serves three kinds of traffic:
//! - **Direct classes** between validators ([`Class`]): one long-lived stream per peer and class,
//!   length-prefixed frames, strict priority when sending. These bytes never pass through the
//!   swarm task: a sender puts them into the peer's outbox, a writer task moves them to the
//!   streams, a reader task per stream moves them into the event queue.
//! - **Gossip** of transactions in the open network (gossipsub): content-addressed, unsigned,
//!   forwarded only after the application has accepted the message.
//! - **Requests** for synchronisation: one bounded answer per bounded request.
//!
//! QUIC and TCP (Noise, Yamux) listen side by side. Peers are known by their ed25519 key. Kademlia
//! finds those that nobody configured; the driver keeps outbound connections to some of them,
//! chosen at random and spread over networks.
//!
//! # Invariants
//! - A length is checked against its maximum before memory for it is allocated.
//! - Every queue is bounded. Inbound direct traffic has a byte budget per peer and class, so that
//!   a peer that floods stops only itself: its streams are not read until its budget is free.
//! - Direct frames are taken from validators only. Places of validators, static and reserved peers
//!   are taken by nobody else.
//! - Every table that peers can fill is bounded: offences, bans, allowances, addresses, routes.
//! - The chain's tag and the protocol version are part of every protocol name and topic: peers of
//!   another chain or version cannot talk.
//! - No other Neura crate is imported here.
//!
//! # Delivery
//! Frames of one class arrive in the order they were sent while a connection lasts. When a
//! connection breaks, frames in flight can be lost and a frame sent around that moment can arrive
//! twice. Protocols above must repeat and must not mind repetition.

mod address;
mod book;
mod bucket;
mod class;
mod config;
#[doc(hidden)]
pub mod decoders;
mod dialer;
mod direct;
mod discovery;
mod driver;
mod error;
mod events;
mod frame;
mod gate;
mod gossip;
mod handle;
mod identity;
mod judge;
mod limits;
mod link;
mod metrics;
mod offences;
mod outbox;
mod peers;
mod penalty;
mod ports;
mod reader;
mod requests;
mod swarm;
mod usage;
mod writer;

pub use class::Class;
pub use config::{Discovery, NetworkConfig, PROTOCOL_VERSION, chain_tag};
pub use error::{PublishError, ReplyError, RequestError, SendError, StartError, Violation};
pub use events::{Event, EventKind, Events};
pub use gossip::{Acceptance, GossipId};
pub use handle::{Broadcast, Network, NetworkHandle};
pub use identity::{IdentityError, peer_id_from_public_key, peer_id_from_seed};
pub use libp2p::{Multiaddr, PeerId};
pub use limits::{ClassLimits, Limits};
pub use metrics::Metrics;
pub use penalty::Penalty;
pub use requests::ReplyHandle;
pub use usage::Usage;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
