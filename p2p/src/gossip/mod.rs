//! Gossip of transactions: parameters of gossipsub and names of messages.

mod named;
mod score;

use std::{collections::HashSet, fmt, time::Duration};

use libp2p::{
    StreamProtocol,
    gossipsub::{
        self, ConfigBuilder, IdentTopic, IdentityTransform, MessageAuthenticity, MessageId,
        ValidationMode, WhitelistSubscriptionFilter,
    },
};

use self::named::{Named, Renaming};
pub(crate) use self::score::GRAYLIST;
use crate::{Limits, StartError, config::protocol_name};

/// Room in a gossip packet beside one message of the largest size. The decoder counts what it has
/// read of the next packets too, up to 8 KiB.
const ENVELOPE_BYTES: usize = 16 * 1024;
/// Bytes of the hash that names a message: enough that none can be made to collide with another.
const ID_BYTES: usize = 20;
/// Most subscriptions in one packet; there is one topic.
const MAX_SUBSCRIPTIONS_PER_PACKET: usize = 8;
/// How long a message is remembered as seen: far longer than it travels, and so short that what
/// the allowances let in within it takes little memory.
const SEEN: Duration = Duration::from_secs(60);
/// Messages waiting to be sent to one neighbour; beyond, it loses some and score with them.
const SEND_QUEUE: usize = 1024;
/// Messages in one packet.
const MAX_MESSAGES_PER_PACKET: usize = 256;
/// Above this size, neighbours are told that a message has come and need not be sent again.
const DO_NOT_WANT_BYTES: usize = 1024;
/// The protocol of gossipsub 1.2.
const STANDARD_NAME: &str = "/meshsub/1.2.0";

type Gossipsub = gossipsub::Behaviour<
    IdentityTransform,
    gossipsub::MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>,
>;

/// Gossipsub under the chain's protocol name.
pub(crate) type Behaviour = Named<Gossipsub>;

/// Names a gossip message: a hash of its bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GossipId(MessageId);

impl GossipId {
    /// The name of a message.
    pub fn of(bytes: &[u8]) -> Self {
        Self(message_id(bytes))
    }

    pub(crate) const fn from_message_id(id: MessageId) -> Self {
        Self(id)
    }

    pub(crate) const fn message_id(&self) -> &MessageId {
        &self.0
    }
}

impl fmt::Debug for GossipId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GossipId({})", self.0)
    }
}

/// The application's judgement of a gossip message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// Valid: it is forwarded.
    Accept,
    /// Neither valid nor the forwarder's fault (stale, already known): it is dropped.
    Ignore,
    /// Invalid: it is dropped and costs the forwarder score.
    Reject,
}

impl From<Acceptance> for gossipsub::MessageAcceptance {
    fn from(acceptance: Acceptance) -> Self {
        match acceptance {
            Acceptance::Accept => Self::Accept,
            Acceptance::Ignore => Self::Ignore,
            Acceptance::Reject => Self::Reject,
        }
    }
}

fn message_id(bytes: &[u8]) -> MessageId {
    MessageId::from(&blake3::hash(bytes).as_bytes()[..ID_BYTES])
}

/// The topic of transactions of a chain.
pub(crate) fn topic(tag: &str) -> IdentTopic {
    IdentTopic::new(protocol_name(tag, "transactions"))
}

/// Gossipsub without signatures: messages carry their own authority and are named by their
/// content, so a message is the same whoever forwards it.
pub(crate) fn behaviour(
    tag: &str,
    name: StreamProtocol,
    limits: &Limits,
) -> Result<Behaviour, StartError> {
    let refused = |reason: String| StartError::Stack { part: "gossipsub", reason };
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| message_id(&message.data))
        .max_transmit_size(limits.max_gossip_bytes + ENVELOPE_BYTES)
        .max_publish_messages(MAX_MESSAGES_PER_PACKET)
        .connection_handler_queue_len(SEND_QUEUE)
        .idontwant_message_size_threshold(DO_NOT_WANT_BYTES)
        .duplicate_cache_time(SEEN)
        // Mesh peers and enough others: a lone neighbour gets everything, a crowd is not flooded.
        .flood_publish(false)
        .heartbeat_initial_delay(Duration::from_millis(500))
        .build()
        .map_err(|e| refused(e.to_string()))?;
    let topic = topic(tag);
    let filter = gossipsub::MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(HashSet::from([topic.hash()])),
        max_subscribed_topics: 1,
        max_subscriptions_per_request: MAX_SUBSCRIPTIONS_PER_PACKET,
    };
    let mut behaviour =
        Gossipsub::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
            .map_err(|e| refused(e.to_owned()))?;
    let (params, thresholds) = (score::params(topic.hash()), score::thresholds());
    behaviour.with_peer_score(params, thresholds).map_err(refused)?;
    behaviour.subscribe(&topic).map_err(|e| refused(e.to_string()))?;
    Ok(Named::new(behaviour, Renaming { standard: STANDARD_NAME, own: name }))
}
