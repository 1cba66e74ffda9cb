//! Counters of the network, for Prometheus.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{Class, Usage};

/// Counters of one node's network. Clones share the counters.
#[derive(Clone, Debug)]
pub struct Metrics {
    messages_in: Family<Channel, Counter>,
    messages_out: Family<Channel, Counter>,
    bytes_in: Family<Channel, Counter>,
    bytes_out: Family<Channel, Counter>,
    dropped: Family<Channel, Counter>,
    direct: [Traffic; Class::COUNT],
    pub(crate) gossip: Traffic,
    pub(crate) request: Traffic,
    pub(crate) response: Traffic,
    pub(crate) peers: Gauge,
    pub(crate) links: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) bans: Counter,
    pub(crate) refused_streams: Counter,
    pub(crate) dial_failures: Counter,
    pub(crate) refused_connections: Counter,
    pub(crate) penalties: Counter,
    pub(crate) stalled_links: Counter,
    sizes: Family<Table, Gauge>,
}

/// The label that tells kinds of traffic apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Channel {
    channel: &'static str,
}

/// The label that tells tables and queues apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Table {
    table: &'static str,
}

/// The counters of one kind of traffic.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    messages_in: Counter,
    messages_out: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
    dropped: Counter,
}

impl Traffic {
    pub(crate) fn received(&self, bytes: usize) {
        self.messages_in.inc();
        self.bytes_in.inc_by(bytes as u64);
    }

    pub(crate) fn sent(&self, messages: usize, bytes: usize) {
        self.messages_out.inc_by(messages as u64);
        self.bytes_out.inc_by(bytes as u64);
    }

    pub(crate) fn dropped(&self, messages: usize) {
        self.dropped.inc_by(messages as u64);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Counters at zero.
    pub fn new() -> Self {
        let family = Family::<Channel, Counter>::default;
        let families = [family(), family(), family(), family(), family()];
        let traffic = |channel: &'static str| {
            let counter = |family: &Family<Channel, Counter>| {
                family.get_or_create(&Channel { channel }).clone()
            };
            Traffic {
                messages_in: counter(&families[0]),
                messages_out: counter(&families[1]),
                bytes_in: counter(&families[2]),
                bytes_out: counter(&families[3]),
                dropped: counter(&families[4]),
            }
        };
        let direct = Class::ALL.map(|class| traffic(class.name()));
        let (gossip, request, response) =
            (traffic("gossip"), traffic("request"), traffic("response"));
        let [messages_in, messages_out, bytes_in, bytes_out, dropped] = families;
        Self {
            messages_in,
            messages_out,
            bytes_in,
            bytes_out,
            dropped,
            direct,
            gossip,
            request,
            response,
            peers: Gauge::default(),
            links: Gauge::default(),
            connections: Gauge::default(),
            bans: Counter::default(),
            refused_streams: Counter::default(),
            dial_failures: Counter::default(),
            refused_connections: Counter::default(),
            penalties: Counter::default(),
            stalled_links: Counter::default(),
            sizes: Family::default(),
        }
    }

    /// Registers all counters under the prefix `neura_p2p`.
    pub fn register(&self, registry: &mut Registry) {
        let r = registry.sub_registry_with_prefix("neura_p2p");
        r.register("messages_in", "Messages received, by channel", self.messages_in.clone());
        r.register("messages_out", "Messages sent, by channel", self.messages_out.clone());
        r.register("bytes_in", "Payload bytes received, by channel", self.bytes_in.clone());
        r.register("bytes_out", "Payload bytes sent, by channel", self.bytes_out.clone());
        r.register(
            "messages_dropped",
            "Messages dropped or refused because a queue or an allowance was used up",
            self.dropped.clone(),
        );
        r.register("peers", "Peers of this chain that are connected", self.peers.clone());
        r.register("links", "Validators with direct links", self.links.clone());
        r.register("connections", "Open connections", self.connections.clone());
        r.register("bans", "Peers banned", self.bans.clone());
        r.register(
            "refused_streams",
            "Direct streams dropped because the peer is not a validator",
            self.refused_streams.clone(),
        );
        r.register("dial_failures", "Dial attempts that failed", self.dial_failures.clone());
        r.register(
            "refused_connections",
            "Connections refused: bans, limits, no free place",
            self.refused_connections.clone(),
        );
        r.register("penalties", "Offences of peers counted", self.penalties.clone());
        r.register(
            "stalled_links",
            "Validators disconnected because they took nothing",
            self.stalled_links.clone(),
        );
        r.register("table_size", "Entries in tables and queues, by name", self.sizes.clone());
    }

    /// Sets the sizes of tables and queues.
    pub(crate) fn tell(&self, usage: &Usage) {
        for (table, size) in [
            ("inbound", usage.inbound),
            ("outbound", usage.outbound),
            ("pending", usage.pending),
            ("bans", usage.bans),
            ("offenders", usage.offenders),
            ("known_peers", usage.known_peers),
            ("routing_table", usage.routing_table),
            ("requests_served", usage.requests_served),
            ("queued_frames", usage.queued_frames),
            ("queued_gossip", usage.queued_gossip),
        ] {
            self.sizes.get_or_create(&Table { table }).set(size as i64);
        }
    }

    /// Payload bytes received so far in a direct class.
    pub fn bytes_in(&self, class: Class) -> u64 {
        self.direct(class).bytes_in.get()
    }

    /// Payload bytes sent so far in a direct class.
    pub fn bytes_out(&self, class: Class) -> u64 {
        self.direct(class).bytes_out.get()
    }

    /// Frames dropped or refused so far in a direct class.
    pub fn dropped(&self, class: Class) -> u64 {
        self.direct(class).dropped.get()
    }

    /// Peers banned so far.
    pub fn bans(&self) -> u64 {
        self.bans.get()
    }

    /// Connections refused so far.
    pub fn refused_connections(&self) -> u64 {
        self.refused_connections.get()
    }

    /// Offences counted so far.
    pub fn penalties(&self) -> u64 {
        self.penalties.get()
    }

    /// Validators disconnected so far because they took nothing of what waited for them.
    pub fn stalled_links(&self) -> u64 {
        self.stalled_links.get()
    }

    /// Direct streams dropped so far because the peer was not a validator.
    pub fn refused_streams(&self) -> u64 {
        self.refused_streams.get()
    }

    pub(crate) const fn direct(&self, class: Class) -> &Traffic {
        &self.direct[class.index()]
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn the_registered_counters_are_the_ones_that_count() {
        let metrics = Metrics::new();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        metrics.direct(Class::Batch).received(10);
        metrics.direct(Class::Batch).received(32);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("neura_p2p_bytes_in_total{channel=\"batch\"} 42"), "{text}");
        assert!(text.contains("neura_p2p_messages_in_total{channel=\"batch\"} 2"), "{text}");
        assert!(text.contains("neura_p2p_messages_in_total{channel=\"gossip\"} 0"), "{text}");
    }
}
