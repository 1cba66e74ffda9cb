//! The task that owns the swarm: turns its events into links, readers and application events.

mod connections;
mod discovery;
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
    Acceptance, Class, GossipId, NetworkConfig, Penalty, RequestError, StartError, Usage,
    Violation,
    bucket::Buckets,
    dialer::Dialer,
    events::EventQueue,
    gate::Direction,
    gossip,
    handle::Shared,
    judge::Judge,
    peers::Peer,
    ports,
    requests::{Reply, Serving},
    swarm::{self, Behaviour, BehaviourEvent},
};

/// How often pauses that are over are looked for.
const TICK: Duration = Duration::from_millis(50);
/// How often what is no longer needed is forgotten, in ticks.
const TICKS_PER_PRUNE: u32 = 100;
/// How often the sizes of tables are told and scores are looked at, in ticks.
const TICKS_PER_LOOK: u32 = 4;
/// Identifications of one peer per second, and how many it can save up: it sends one at first and
/// one for each change of its addresses.
const IDENTIFICATIONS_PER_SECOND: u32 = 1;
const IDENTIFICATIONS_BURST: u32 = 30;
/// Refused requests of one peer per second that are borne, and how many it can save up: it may not
/// know better at first.
const REFUSALS_PER_SECOND: u32 = 64;
const REFUSALS_BURST: u32 = 256;
/// Listeners are ready within moments, or never.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a port in use is tried again, and after which pause: two seconds in all.
const BIND_ATTEMPTS: u32 = 20;
const BIND_PAUSE: Duration = Duration::from_millis(100);
/// How long peers are given to see that this node leaves.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// What handles and readers ask of the driver.
pub(crate) enum Command {
    Publish {
        message: Bytes,
        _permit: OwnedSemaphorePermit,
    },
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
    Penalise {
        peer: PeerId,
        penalty: Penalty,
    },
    AddAddress {
        peer: PeerId,
        address: Multiaddr,
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
    tag: String,
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
    scout: discovery::Scout,
    /// Reserved peers of the configuration.
    reserved: BTreeSet<PeerId>,
    peers: HashMap<PeerId, Peer>,
    /// Budgets of validators, kept over reconnections: frames of an earlier one may still wait.
    budgets: HashMap<PeerId, Budgets>,
    asked: HashMap<OutboundRequestId, Asked>,
    serving: Serving,
    gossip_messages: Buckets<PeerId>,
    gossip_bytes: Buckets<PeerId>,
    /// Messages beyond a neighbour's allowance that are borne, each at the cost of remembering it.
    gossip_excess: Buckets<PeerId>,
    identifications: Buckets<PeerId>,
    refusals: Buckets<PeerId>,
    judge: Judge,
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
        let now = Instant::now();
        let dialer = Dialer::new(shared.local, &config.bootstrap, limits, now);
        let swarm = swarm::build(config, keypair, shared.metrics.refused_connections.clone())?;
        let twice = |per_second: u32| Buckets::new(per_second, per_second.saturating_mul(2));
        let mut driver = Self {
            swarm,
            events,
            tag: config.protocol_tag.clone(),
            protocol_version: swarm::protocol_version(&config.protocol_tag),
            topic: gossip::topic(&config.protocol_tag),
            validators,
            current: Arc::new(config.validators.clone()),
            commands,
            command_sender,
            replies,
            reply_sender,
            dialer,
            scout: discovery::Scout::new(config, now),
            reserved: config.reserved.clone(),
            peers: HashMap::new(),
            budgets: HashMap::new(),
            asked: HashMap::new(),
            serving: Serving::new(limits),
            gossip_messages: twice(limits.gossip_messages_per_second),
            gossip_bytes: twice(limits.gossip_bytes_per_second),
            gossip_excess: twice(limits.gossip_messages_per_second),
            identifications: Buckets::new(IDENTIFICATIONS_PER_SECOND, IDENTIFICATIONS_BURST),
            refusals: Buckets::new(REFUSALS_PER_SECOND, REFUSALS_BURST),
            judge: Judge::new(limits),
            ticks: 0,
            shared,
        };
        driver.reserve();
        for (peer, address) in &config.bootstrap {
            driver.swarm.behaviour_mut().gate.trust(*peer, address);
        }
        Ok(driver)
    }

    /// Tells the behaviours who is reserved: validators, static and reserved peers.
    fn reserve(&mut self) {
        let configured = self.dialer.fixed().chain(self.reserved.iter().copied());
        let reserved: HashSet<_> = configured.chain(self.current.iter().copied()).collect();
        let behaviour = self.swarm.behaviour_mut();
        behaviour.direct.keep_alive(reserved.clone());
        behaviour.gate.set_reserved(reserved);
    }

    /// Listens on all addresses and waits until each has a port.
    pub(crate) async fn listen(&mut self, config: &NetworkConfig) -> Result<(), StartError> {
        let refused = |address: &Multiaddr, reason: String| StartError::Listen {
            address: address.clone(),
            reason,
        };
        let mut waiting: HashMap<ListenerId, &Multiaddr> = HashMap::new();
        for address in &config.listen {
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
        timeout(waited, all_ready).await.unwrap_or(Err(StartError::ListenTimeout { waited }))?;
        self.start_discovery(&config.bootstrap);
        Ok(())
    }

    /// Binds an address, with patience: a process that has just ended can hold its port for a
    /// moment more.
    async fn listen_on(&mut self, address: &Multiaddr) -> Result<ListenerId, String> {
        let mut attempts = BIND_ATTEMPTS;
        loop {
            attempts -= 1;
            let bound = match ports::check_free(address) {
                Ok(()) => self.swarm.listen_on(address.clone()),
                Err(error) => Err(TransportError::Other(error)),
            };
            match bound {
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
            Command::Publish { message, .. } => self.publish(message),
            Command::Report { id, from, acceptance } => self.report(&id, &from, acceptance),
            Command::Request { peer, request, answer, permit } => {
                self.ask(peer, request, Asked { answer, _permit: permit });
            }
            Command::Ban { peer, duration } => self.ban(peer, Violation::Application, duration),
            Command::Violated { peer, violation } => self.punish(peer, violation),
            Command::Penalise { peer, penalty } => {
                self.penalise(peer, penalty, Violation::Application);
            }
            Command::AddAddress { peer, address } => {
                let (mut book_entry, now) = (vec![address], Instant::now());
                book_entry.retain(|_| peer != self.shared.local);
                self.scout.book.note(peer, book_entry, true, now);
            }
        }
    }

    fn on_tick(&mut self, now: Instant) {
        self.discover(now);
        self.dial(now);
        self.reopen_streams(now);
        self.close_surplus(now);
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(TICKS_PER_LOOK) {
            self.drop_stalled(now);
            self.judge_gossipers();
            self.tell_usage();
        }
        if self.ticks.is_multiple_of(TICKS_PER_PRUNE) {
            let behaviour = self.swarm.behaviour_mut();
            behaviour.gate.prune(now);
            behaviour.discovery.prune(now);
            self.judge.prune(now);
            for buckets in [
                &mut self.gossip_messages,
                &mut self.gossip_bytes,
                &mut self.gossip_excess,
                &mut self.identifications,
                &mut self.refusals,
            ] {
                buckets.prune(now);
            }
            self.serving.prune(now);
        }
    }

    /// Publishes the sizes of all tables.
    fn tell_usage(&mut self) {
        let behaviour = self.swarm.behaviour_mut();
        let usage = Usage {
            peers: self.peers.len(),
            inbound: behaviour.gate.ordinary(Direction::Inbound),
            outbound: behaviour.gate.ordinary(Direction::Outbound),
            pending: behaviour.gate.pending(),
            bans: behaviour.gate.bans(),
            offenders: self.judge.offenders(),
            allowances: self.gossip_messages.len()
                + self.gossip_bytes.len()
                + self.gossip_excess.len()
                + self.identifications.len()
                + self.refusals.len()
                + self.serving.allowances(),
            known_peers: self.scout.book.len(),
            routing_table: behaviour.discovery.table_len(),
            lookups: behaviour.discovery.lookups(),
            requests_served: self.serving.len(),
            answer_bytes: self.serving.answer_bytes(),
            requests_asked: self.asked.len(),
            readers: self.peers.values().map(Peer::readers).sum(),
            ..self.events.usage()
        };
        self.shared.metrics.tell(&usage);
        *self.shared.usage.write() = usage;
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_established(peer_id, connection_id, &endpoint);
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
                self.announce();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                tracing::warn!(%address, "no longer listening");
                self.shared.listen.write().retain(|a| *a != address);
                self.announce();
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::warn!(?addresses, ?reason, "listener closed");
                self.shared.listen.write().retain(|a| !addresses.contains(a));
                self.announce();
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
            BehaviourEvent::Discovery(event) => self.on_discovery(event),
            BehaviourEvent::Gate(never) => match never {},
        }
    }
}

impl Drop for Driver {
    /// However the task ends, the application learns it.
    fn drop(&mut self) {
        self.events.close();
    }
}
