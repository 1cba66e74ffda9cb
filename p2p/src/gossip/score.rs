//! What gossip counts for and against a peer.
//!
//! Shape and ratios are those of Lighthouse, with its thresholds divided by four, because one topic
//! can earn a quarter of what its topics earn together: as there, about thirteen invalid messages
//! within the memory of them, and a peer is not heard any more.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use libp2p::gossipsub::{
    PeerScoreParams, PeerScoreThresholds, TopicHash, TopicScoreParams,
    score_parameter_decay_with_base,
};

/// Below, a peer's messages are not even decoded, and an ordinary peer is banned.
pub(crate) const GRAYLIST: f64 = -4000.0;
/// Below, nothing of one's own is sent to a peer.
const PUBLISH: f64 = -2000.0;
/// Below, a peer is neither told what there is nor asked for it.
const GOSSIP: f64 = -1000.0;
/// Above, peers that a peer names would be believed; none are asked for.
const ACCEPT_EXCHANGE: f64 = 100.0;
/// When the better half of the mesh is below, better peers are sought for it.
const OPPORTUNISTIC_GRAFT: f64 = 5.0;

/// Weight of the only topic.
const TOPIC_WEIGHT: f64 = 0.5;
/// What an hour in the mesh is worth.
const MESH_WORTH: f64 = 10.0;
const MESH_SECONDS: f64 = 3600.0;
/// What being the first with so many messages, most of them lately, is worth.
const FIRST_WORTH: f64 = 40.0;
const FIRST_MESSAGES: f64 = 1000.0;
const FIRST_MEMORY: Duration = Duration::from_secs(60);
/// The most that a peer can earn.
const MAX_EARNED: f64 = TOPIC_WEIGHT * (MESH_WORTH + FIRST_WORTH);
/// How long invalid messages are remembered; half of each after nine minutes.
const INVALID_MEMORY: Duration = Duration::from_secs(3600);
/// Peers on one address that are no reason for suspicion.
const NEIGHBOURS: f64 = 8.0;
/// Conduct that can happen by accident so often: grafting too early, promising and not delivering.
const ACCIDENTS: f64 = 6.0;
const ACCIDENT_WEIGHT: f64 = -10.0;
const ACCIDENT_MEMORY: Duration = Duration::from_secs(600);
/// Messages that a peer does not take off its full queue: some can be lost in a burst, thousands
/// in a second are a reader that is too slow for the network.
const SLOW_BURST: f64 = 50.0;
const SLOW_WEIGHT: f64 = -1.0;
/// How often scores decay, below which value a counter is zero, and how long a peer that left is
/// remembered: coming back does not wash it clean.
const DECAY_INTERVAL: Duration = Duration::from_secs(1);
const DECAY_TO_ZERO: f64 = 0.01;
const RETAIN: Duration = Duration::from_secs(3600);

fn decay(memory: Duration) -> f64 {
    score_parameter_decay_with_base(memory, DECAY_INTERVAL, DECAY_TO_ZERO)
}

pub(super) fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: GOSSIP,
        publish_threshold: PUBLISH,
        graylist_threshold: GRAYLIST,
        accept_px_threshold: ACCEPT_EXCHANGE,
        opportunistic_graft_threshold: OPPORTUNISTIC_GRAFT,
    }
}

/// Parameters for one topic. Being quiet is no fault: a chain can be idle, so missing deliveries
/// do not count.
pub(super) fn params(topic: TopicHash) -> PeerScoreParams {
    let transactions = TopicScoreParams {
        topic_weight: TOPIC_WEIGHT,
        time_in_mesh_weight: MESH_WORTH / MESH_SECONDS,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: MESH_SECONDS,
        first_message_deliveries_weight: FIRST_WORTH / FIRST_MESSAGES,
        first_message_deliveries_decay: decay(FIRST_MEMORY),
        first_message_deliveries_cap: FIRST_MESSAGES,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // The number is squared: one costs all that a peer can earn, two cost four times as much.
        invalid_message_deliveries_weight: -MAX_EARNED / TOPIC_WEIGHT,
        invalid_message_deliveries_decay: decay(INVALID_MEMORY),
        ..TopicScoreParams::default()
    };
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    PeerScoreParams {
        topics: [(topic, transactions)].into(),
        topic_score_cap: MAX_EARNED,
        ip_colocation_factor_weight: -MAX_EARNED,
        ip_colocation_factor_threshold: NEIGHBOURS,
        ip_colocation_factor_whitelist: HashSet::from(loopback),
        behaviour_penalty_weight: ACCIDENT_WEIGHT,
        behaviour_penalty_threshold: ACCIDENTS,
        behaviour_penalty_decay: decay(ACCIDENT_MEMORY),
        decay_interval: DECAY_INTERVAL,
        decay_to_zero: DECAY_TO_ZERO,
        retain_score: RETAIN,
        slow_peer_weight: SLOW_WEIGHT,
        slow_peer_threshold: SLOW_BURST,
        slow_peer_decay: 0.2,
        ..PeerScoreParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_are_usable_and_thirteen_invalid_messages_silence_a_peer() {
        let topic = TopicHash::from_raw("t");
        let params = params(topic.clone());
        params.validate().unwrap();
        thresholds().validate().unwrap();
        let topic = &params.topics[&topic];
        let score = |invalid: f64| {
            MAX_EARNED
                + topic.topic_weight * topic.invalid_message_deliveries_weight * invalid * invalid
        };
        assert_eq!(score(1.0), 0.0, "one costs the best of peers all it has");
        assert!(score(12.0) > GRAYLIST && score(13.0) < GRAYLIST);
    }
}
