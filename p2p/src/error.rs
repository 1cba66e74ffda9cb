//! What can go wrong, one enum per operation.

use std::{io, time::Duration};

use libp2p::{Multiaddr, PeerId};

use crate::{Class, IdentityError, Penalty};

/// Why a network could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The protocol tag cannot be part of a protocol name.
    #[error("protocol tag {tag:?} is not usable: use 1 to {max} of a-z A-Z 0-9 . _ - /")]
    Tag {
        /// The tag as configured.
        tag: String,
        /// Longest tag, in characters.
        max: usize,
    },
    /// A limit contradicts another one.
    #[error("limit {name} is {value}, it must be between {min} and {max}")]
    Limit {
        /// Name of the limit.
        name: &'static str,
        /// Configured value.
        value: usize,
        /// Smallest usable value.
        min: usize,
        /// Largest usable value.
        max: usize,
    },
    /// The key seed gave no key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address}: {reason}; check that the port is free and the address is this machine's"
    )]
    Listen {
        /// The address as configured.
        address: Multiaddr,
        /// What the transport said.
        reason: String,
    },
    /// No listener became ready in time.
    #[error("no listener was ready after {waited:?}; check the listen addresses")]
    ListenTimeout {
        /// How long the start waited.
        waited: Duration,
    },
    /// The system's resolver configuration cannot be read although a static peer has a DNS name.
    #[error(
        "cannot set up DNS for the peers given by name; use addresses or repair /etc/resolv.conf"
    )]
    Dns(#[source] io::Error),
    /// A part of the network stack refused its configuration.
    #[error("cannot configure {part}: {reason}")]
    Stack {
        /// Which part.
        part: &'static str,
        /// What it said.
        reason: String,
    },
}

/// Why a direct frame was not queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No direct link to the peer: it is not connected, or one side is not a validator.
    #[error(
        "no direct link to {peer}: it is not connected or not a validator; send again after Connected"
    )]
    NotConnected {
        /// The addressee.
        peer: PeerId,
    },
    /// The frame is empty or larger than its class allows.
    #[error("a {} frame has 1 to {max} bytes, this one has {length}", class.name())]
    Length {
        /// Class of the frame.
        class: Class,
        /// Bytes in the frame.
        length: usize,
        /// Most bytes a frame of the class may have.
        max: usize,
    },
    /// The peer's batch queue is full: it receives more slowly than is sent.
    #[error("the batch queue to {peer} is full; slow down and send again")]
    Full {
        /// The addressee.
        peer: PeerId,
    },
}

/// Why a message was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The message is empty or too large.
    #[error("a gossip message has 1 to {max} bytes, this one has {length}")]
    Length {
        /// Bytes in the message.
        length: usize,
        /// Most bytes a message may have.
        max: usize,
    },
    /// More is published than the network task can take.
    #[error("too many messages wait to be published; publish again later")]
    Busy,
    /// The network has been shut down.
    #[error("the network has been shut down")]
    Closed,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The request is empty or too large.
    #[error("a request has 1 to {max} bytes, this one has {length}")]
    Length {
        /// Bytes in the request.
        length: usize,
        /// Most bytes a request may have.
        max: usize,
    },
    /// The peer is not connected.
    #[error("{peer} is not connected; ask another peer")]
    NotConnected {
        /// The peer asked.
        peer: PeerId,
    },
    /// No answer in time.
    #[error("no answer in time; ask another peer")]
    Timeout,
    /// The connection closed first.
    #[error("the connection closed before the answer; ask another peer")]
    Disconnected,
    /// The peer serves no more requests of ours at present.
    #[error("the peer is busy; ask another peer or wait")]
    Busy,
    /// The peer's application gave no answer.
    #[error("the peer refused to answer; ask another peer")]
    Refused,
    /// The answer broke the size limit or the format; the peer has been banned.
    #[error("the answer was malformed or too large, the peer is banned; ask another peer")]
    BadAnswer,
    /// The peer does not speak this protocol.
    #[error("the peer does not speak the request protocol of this chain")]
    Unsupported,
    /// The network has been shut down.
    #[error("the network has been shut down")]
    Closed,
}

/// Why a reply was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The reply is larger than a response may be; the peer is told that it is refused.
    #[error("a reply has at most {max} bytes, this one has {length}; answer a smaller part")]
    Length {
        /// Bytes in the reply.
        length: usize,
        /// Most bytes a reply may have.
        max: usize,
    },
    /// The peer no longer waits.
    #[error("the peer no longer waits for this reply")]
    Gone,
}

/// A breach of the protocol that costs the peer its connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A direct frame announced no bytes or more than its class allows.
    #[error("a {} frame announced {length} bytes, 1 to {max} are allowed", class.name())]
    FrameLength {
        /// Class of the stream.
        class: Class,
        /// Length announced.
        length: usize,
        /// Most bytes a frame of the class may have.
        max: usize,
    },
    /// A request announced a length that is not allowed.
    #[error("a request was malformed: {0}")]
    Request(String),
    /// A response announced a length that is not allowed, or an unknown status.
    #[error("a response was malformed: {0}")]
    Response(String),
    /// The peer does far more of something than any use explains.
    #[error("a flood of {of}")]
    Flood {
        /// Of what.
        of: &'static str,
    },
    /// The peer's gossip was invalid too often, or its conduct in the gossip protocol is hostile.
    #[error("its gossip score is too low")]
    Gossip,
    /// The application asked for the ban, or for one penalty too many.
    #[error("banned by the application")]
    Application,
}

impl Violation {
    /// What it costs.
    pub(crate) const fn penalty(&self) -> Penalty {
        match self {
            Self::Flood { .. } => Penalty::Low,
            _ => Penalty::Fatal,
        }
    }
}
