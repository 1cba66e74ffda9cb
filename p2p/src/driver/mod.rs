//! The task that owns the swarm: turns its events into links, readers and application events.

mod connections;
mod streams;
mod traffic;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::{ListenerId, TransportError},
    identity::Keypair,
    request_response::OutboundRequestId,
    swarm::SwarmEvent,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Acceptance, Class, GossipId, NetworkConfig, RequestError, StartError, Violation,
    bucket::Buckets,
    dialer::Dialer,
    events::EventQueue,
    gossip,
    handle::Shared,
    offences::Offences,
    peers::Peer,
    requests::{Reply, Serving},
    swarm::{self, Behaviour, BehaviourEvent},
};

/// How often pauses that are over are looked for.
const TICK: Duration = Duration::from_millis(50);
/// How often what is no longer needed is forgotten, in ticks.
const TICKS_PER_PRUNE: u32 = 100;
/// Listeners are ready within moments, or never.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a port in use is tried again, and after which pause: two seconds in all.
const BIND_ATTEMPTS: u32 = 20;
const BIND_PAUSE: Duration = Duration::from_millis(100);
/// How long peers are given to see that this node leaves.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// What handles and readers ask of the driver.
pub(crate) enum Command {
    Publish(Bytes),
    Report {
        id: GossipId,
        from: PeerId,
        acceptance: Acceptance,
    },
    Request {
        peer: PeerId,
        request: Bytes,
        answer: oneshot::Sender<Result<Bytes, RequestError>>,
        permit: OwnedSemaphorePermit,
    },
    Ban {
        peer: PeerId,
        duration: Duration,
    },
    Violated {
        peer: PeerId,
        violation: Violation,
    },
}

/// The ends of the handles' channels.
pub(crate) struct Wires {
    pub(crate) validators: watch::Receiver<Arc<BTreeSet<PeerId>>>,
    pub(crate) command_sender: mpsc::Sender<Command>,
    pub(crate) commands: mpsc::Receiver<Command>,
}

/// A request of ours under way.
struct Asked {
    answer: oneshot::Sender<Result<Bytes, RequestError>>,
    _permit: OwnedSemaphorePermit,
}

type Budgets = [Arc<Semaphore>; Class::COUNT];

/// The task's state.
pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    shared: Arc<Shared>,
    events: Arc<EventQueue>,
    protocol_version: String,
    topic: libp2p::gossipsub::IdentTopic,
    validators: watch::Receiver<Arc<BTreeSet<PeerId>>>,
    /// The set that is in force here.
    current: Arc<BTreeSet<PeerId>>,
    commands: mpsc::Receiver<Command>,
    command_sender: mpsc::Sender<Command>,
    replies: mpsc::Receiver<Reply>,
    reply_sender: mpsc::Sender<Reply>,
    dialer: Dialer,
    peers: HashMap<PeerId, Peer>,
    /// Budgets of validators, kept over reconnections: frames of an earlier one may still wait.
    budgets: HashMap<PeerId, Budgets>,
    asked: HashMap<OutboundRequestId, Asked>,
    serving: Serving,
    gossip_allowance: Buckets,
    offences: Offences,
    ticks: u32,
}

impl Driver {
    pub(crate) fn new(
        config: &NetworkConfig,
        keypair: &Keypair,
        shared: Arc<Shared>,
        events: Arc<EventQueue>,
        wires: Wires,
    ) -> Result<Self, StartError> {
        let Wires { validators, command_sender, commands } = wires;
        let limits = &config.limits;
        let (reply_sender, replies) = mpsc::channel(2 * limits.max_inbound_requests);
        let dialer = Dialer::new(shared.local, &config.bootstrap, limits, Instant::now());
        let kept: HashSet<_> = dialer.peers().chain(config.validators.iter().copied()).collect();
        let per_second = limits.gossip_messages_per_second;
        Ok(Self {
            swarm: swarm::build(config, keypair, &kept)?,
            events,
            protocol_version: swarm::protocol_version(&config.protocol_tag),
            topic: gossip::topic(&config.protocol_tag),
            validators,
            current: Arc::new(config.validators.clone()),
            commands,
            command_sender,
            replies,
            reply_sender,
            dialer,
            peers: HashMap::new(),
            budgets: HashMap::new(),
            asked: HashMap::new(),
            serving: Serving::new(limits),
            gossip_allowance: Buckets::new(per_second, per_second.saturating_mul(2)),
            offences: Offences::new(limits.ban_base, limits.ban_max, limits.ban_half_life),
            ticks: 0,
            shared,
        })
    }

    /// Listens on all addresses and waits until each has a port.
    pub(crate) async fn listen(&mut self, addresses: &[Multiaddr]) -> Result<(), StartError> {
        let refused = |address: &Multiaddr, reason: String| StartError::Listen {
            address: address.clone(),
            reason,
        };
        let mut waiting: HashMap<ListenerId, &Multiaddr> = HashMap::new();
        for address in addresses {
            let listener = self.listen_on(address).await;
            waiting.insert(listener.map_err(|reason| refused(address, reason))?, address);
        }
        let all_ready = async {
            while !waiting.is_empty() {
                let event = self.swarm.select_next_some().await;
                match &event {
                    SwarmEvent::NewListenAddr { listener_id, .. } => {
                        waiting.remove(listener_id);
                    }
                    SwarmEvent::ListenerClosed { listener_id, reason: Err(e), .. } => {
                        if let Some(address) = waiting.get(listener_id) {
                            return Err(refused(address, e.to_string()));
                        }
                    }
                    _ => {}
                }
                self.on_swarm_event(event);
            }
            Ok(())
        };
        let waited = LISTEN_TIMEOUT;
        timeout(waited, all_ready).await.unwrap_or(Err(StartError::ListenTimeout { waited }))
    }

    /// Binds an address, with patience: a process that has just ended can hold its port for a
    /// moment more.
    async fn listen_on(&mut self, address: &Multiaddr) -> Result<ListenerId, String> {
        let mut attempts = BIND_ATTEMPTS;
        loop {
            attempts -= 1;
            match self.swarm.listen_on(address.clone()) {
                Ok(listener) => return Ok(listener),
                Err(TransportError::Other(_)) if attempts > 0 => sleep(BIND_PAUSE).await,
                Err(TransportError::Other(error)) => return Err(error.to_string()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                Some(command) = self.commands.recv() => self.on_command(command),
                Some(reply) = self.replies.recv() => self.on_reply(reply),
                Ok(()) = self.validators.changed() => self.on_validators(),
                _ = tick.tick() => self.on_tick(Instant::now()),
            }
        }
        self.close().await;
    }

    /// Says goodbye to all peers.
    async fn close(&mut self) {
        let connected: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            // Fails only if the peer has gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let all_closed = async {
            while self.swarm.connected_peers().next().is_some() {
                let event = self.swarm.select_next_some().await;
                self.on_swarm_event(event);
            }
        };
        let _ = timeout(CLOSE_TIMEOUT, all_closed).await;
        self.peers.values_mut().for_each(Peer::stop_readers);
        self.shared.outboxes.write().clear();
        self.shared.peers.write().clear();
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish(message) => self.publish(message),
            Command::Report { id, from, acceptance } => self.report(&id, &from, acceptance),
            Command::Request { peer, request, answer, permit } => {
                self.ask(peer, request, Asked { answer, _permit: permit });
            }
            Command::Ban { peer, duration } => self.ban(peer, Violation::Application, duration),
            Command::Violated { peer, violation } => self.punish(peer, violation),
        }
    }

    fn on_tick(&mut self, now: Instant) {
        self.dial(now);
        self.reopen_streams(now);
        self.close_surplus(now);
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(TICKS_PER_PRUNE) {
            self.swarm.behaviour_mut().gate.prune(now);
            self.offences.prune(now);
            self.gossip_allowance.prune(now);
            self.serving.prune(now);
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_established(peer_id, connection_id, endpoint.is_dialer());
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                self.on_closed(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                self.on_dial_failure(peer_id, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "inbound connection failed");
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.shared.listen.write().push(address);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                tracing::warn!(%address, "no longer listening");
                self.shared.listen.write().retain(|a| *a != address);
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::warn!(?addresses, ?reason, "listener closed");
                self.shared.listen.write().retain(|a| !addresses.contains(a));
            }
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(event) => self.on_identify(event),
            BehaviourEvent::Ping(event) => self.on_ping(&event),
            BehaviourEvent::Direct(event) => self.on_stream(event),
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Requests(event) => self.on_request_event(event),
            BehaviourEvent::Gate(never) | BehaviourEvent::Limits(never) => match never {},
        }
    }
}

impl Drop for Driver {
    /// However the task ends, the application learns it.
    fn drop(&mut self) {
        self.events.close();
    }
}
