//! Gossip of transactions: parameters of gossipsub and names of messages.

use std::{collections::HashSet, fmt, time::Duration};

use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, IdentityTransform, MessageAuthenticity, MessageId,
    PeerScoreParams, PeerScoreThresholds, TopicScoreParams, ValidationMode,
    WhitelistSubscriptionFilter,
};

use crate::{Limits, StartError};

/// Room in a gossip packet beside one message of the largest size.
const ENVELOPE_BYTES: usize = 4 * 1024;
/// Bytes of the hash that names a message: enough that none can be made to collide with another.
const ID_BYTES: usize = 20;
/// Most subscriptions in one packet; there is one topic.
const MAX_SUBSCRIPTIONS_PER_PACKET: usize = 8;
/// How long a message is remembered as seen.
const SEEN: Duration = Duration::from_secs(120);

pub(crate) type Behaviour = gossipsub::Behaviour<
    IdentityTransform,
    gossipsub::MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>,
>;

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
    IdentTopic::new(format!("/neura/{tag}/transactions"))
}

/// Gossipsub without signatures: messages carry their own authority and are named by their
/// content, so a message is the same whoever forwards it.
pub(crate) fn behaviour(tag: &str, limits: &Limits) -> Result<Behaviour, StartError> {
    let refused = |reason: String| StartError::Stack { part: "gossipsub", reason };
    let config = ConfigBuilder::default()
        .protocol_id_prefix(format!("/neura/{tag}/gossip"))
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| message_id(&message.data))
        .max_transmit_size(limits.max_gossip_bytes + ENVELOPE_BYTES)
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
        Behaviour::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
            .map_err(|e| refused(e.to_owned()))?;
    behaviour.with_peer_score(score(&topic), PeerScoreThresholds::default()).map_err(refused)?;
    behaviour.subscribe(&topic).map_err(|e| refused(e.to_string()))?;
    Ok(behaviour)
}

/// Scores: invalid messages weigh heavily (three within a minute and a peer is not heard), being
/// quiet is no fault (a chain can be idle), many peers on one address are no fault either (the
/// gate bounds them).
fn score(topic: &IdentTopic) -> PeerScoreParams {
    let transactions = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 300.0,
        first_message_deliveries_weight: 0.01,
        first_message_deliveries_decay: 0.9,
        first_message_deliveries_cap: 200.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.95,
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: [(topic.hash(), transactions)].into(),
        topic_score_cap: 5.0,
        ip_colocation_factor_weight: 0.0,
        ..PeerScoreParams::default()
    }
}
