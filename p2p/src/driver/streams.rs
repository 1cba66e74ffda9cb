//! Links to validators and their streams.

use std::{sync::Arc, time::Instant};

use libp2p::{PeerId, Stream};
use tokio::sync::Semaphore;

use super::{Command, Driver};
use crate::{
    Class,
    direct::{self, StreamEvent},
    link::Link,
    peers::Peer,
    reader::Reader,
};

impl Driver {
    fn is_validator(&self, peer: PeerId) -> bool {
        self.current.contains(&peer)
    }

    /// Brings a peer's link in line with the validators and with its connections.
    pub(super) fn update_link(&mut self, peer: PeerId, now: Instant) {
        if !self.is_validator(peer) || !self.is_validator(self.shared.local) {
            self.drop_link(peer);
            return;
        }
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let Some(connection) = entry.preferred(now) else { return };
        let shared = &self.shared;
        let link = entry.link.get_or_insert_with(|| {
            let link = Link::new(&shared.limits, shared.metrics.clone(), now);
            shared.outboxes.write().insert(peer, link.outbox().clone());
            shared.metrics.links.inc();
            link
        });
        for class in link.move_to(connection) {
            self.swarm.behaviour_mut().direct.open(peer, connection, class);
        }
    }

    pub(super) fn drop_link(&mut self, peer: PeerId) {
        let link = self.peers.get_mut(&peer).and_then(|entry| entry.link.take());
        if link.is_some() {
            self.shared.outboxes.write().remove(&peer);
            self.shared.metrics.links.dec();
        }
    }

    pub(super) fn reopen_streams(&mut self, now: Instant) {
        for (peer, entry) in &mut self.peers {
            let Some(link) = &mut entry.link else { continue };
            for (class, connection) in link.due(now) {
                self.swarm.behaviour_mut().direct.open(*peer, connection, class);
            }
        }
    }

    /// Gives up connections with peers that have long taken nothing of what waits for them. They
    /// may come back; what waited is lost, as it would have been too late.
    pub(super) fn drop_stalled(&mut self, now: Instant) {
        let patience = self.shared.limits.stall_timeout;
        let stalled = |(peer, entry): (&PeerId, &Peer)| {
            entry.link.as_ref()?.is_stalled(patience, now).then_some(*peer)
        };
        let peers: Vec<_> = self.peers.iter().filter_map(stalled).collect();
        for peer in peers {
            tracing::warn!(%peer, ?patience, "the peer takes nothing; disconnected");
            self.shared.metrics.stalled_links.inc();
            self.drop_link(peer);
            // Fails only if the peer has gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Puts a new set of validators into force.
    pub(super) fn on_validators(&mut self) {
        let new = self.validators.borrow_and_update().clone();
        self.current = new;
        self.reserve();
        self.budgets.retain(|peer, _| self.current.contains(peer));
        let now = Instant::now();
        let connected: Vec<_> = self.peers.keys().copied().collect();
        for peer in connected {
            if !self.is_validator(peer)
                && let Some(entry) = self.peers.get_mut(&peer)
            {
                entry.stop_readers();
            }
            self.update_link(peer, now);
        }
    }

    pub(super) fn on_stream(&mut self, event: direct::Event) {
        let direct::Event { peer, connection, event } = event;
        let now = Instant::now();
        match event {
            StreamEvent::Inbound(class, stream) => self.accept(peer, class, stream, now),
            StreamEvent::Unsupported => self.on_foreign(peer, "no direct classes of this chain"),
            StreamEvent::Opened(class, stream) => {
                if let Some(link) = self.link(peer) {
                    link.opened(class, connection, stream, now);
                }
            }
            StreamEvent::Failed(class) => {
                if let Some(link) = self.link(peer) {
                    link.failed(class, connection, now);
                }
            }
        }
    }

    fn link(&mut self, peer: PeerId) -> Option<&mut Link> {
        self.peers.get_mut(&peer)?.link.as_mut()
    }

    /// Reads an inbound stream, if the peer is a validator; else the stream is dropped.
    fn accept(&mut self, peer: PeerId, class: Class, stream: Stream, now: Instant) {
        if !self.is_validator(peer) {
            tracing::debug!(%peer, class = class.name(), "direct stream of no validator refused");
            self.shared.metrics.refused_streams.inc();
            return;
        }
        let limits = self.shared.limits.clone();
        let budgets = self.budgets.entry(peer).or_insert_with(|| {
            Class::ALL.map(|class| Arc::new(Semaphore::new(limits.class(class).inbound_bytes)))
        });
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let reader = Reader {
            peer,
            class,
            max_frame_bytes: limits.class(class).max_frame_bytes,
            budget: budgets[class.index()].clone(),
            events: self.events.clone(),
            metrics: self.shared.metrics.clone(),
        };
        let commands = self.command_sender.clone();
        let task = tokio::spawn(async move {
            if let Err(violation) = reader.run(stream).await {
                // Fails only when the driver has ended.
                let _ = commands.send(Command::Violated { peer, violation }).await;
            }
        });
        entry.add_reader(class, task.abort_handle());
        if let Some(link) = &mut entry.link {
            link.encourage(now);
        }
    }
}
