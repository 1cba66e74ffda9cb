//! The application's side of the network.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use parking_lot::RwLock;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    Acceptance, Class, Events, GossipId, Limits, Metrics, NetworkConfig, Penalty, PublishError,
    RequestError, SendError, StartError, Usage,
    driver::{Command, Driver, Wires},
    events::EventQueue,
    identity,
    outbox::Outbox,
};

/// Messages from handles and readers waiting for the network task; publishing beyond is refused.
const COMMAND_QUEUE: usize = 8192;

/// A running network.
#[derive(Debug)]
pub struct Network {
    /// Sends and asks; clone it freely.
    pub handle: NetworkHandle,
    /// What happens. If it is not read, peers are held back; nothing grows.
    pub events: Events,
}

impl Network {
    /// Starts the network: listens on all addresses and begins to dial the static peers.
    /// Must be called within a tokio runtime. It runs until [`NetworkHandle::shutdown`].
    ///
    /// # Errors
    /// [`StartError`] if the configuration is unusable or an address cannot be listened on.
    pub async fn start(config: NetworkConfig) -> Result<Self, StartError> {
        config.validate()?;
        let keypair = identity::keypair_from_seed(&config.keypair_seed)?;
        let local = keypair.public().to_peer_id();
        let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
        let (validators, seen) = watch::channel(Arc::new(config.validators.clone()));
        let shared = Arc::new(Shared::new(local, config.limits.clone()));
        let handle = NetworkHandle {
            outbound_requests: Arc::new(Semaphore::new(config.limits.max_outbound_requests)),
            publishing: Arc::new(Semaphore::new(config.limits.gossip_queue_bytes)),
            shared: shared.clone(),
            commands: command_sender.clone(),
            validators: Arc::new(validators),
            stop: CancellationToken::new(),
            stopped: CancellationToken::new(),
        };
        let queue = EventQueue::new(&config.limits);
        let events = queue.receiver();
        let wires = Wires { validators: seen, command_sender, commands };
        let mut driver = Driver::new(&config, &keypair, shared, queue, wires)?;
        driver.listen(&config).await?;
        let (stop, stopped) = (handle.stop.clone(), handle.stopped.clone());
        tokio::spawn(async move {
            // Reported also if the task should panic.
            let _stopped = stopped.drop_guard();
            driver.run(stop).await;
        });
        Ok(Self { handle, events })
    }
}

/// What handles and the network task have in common.
pub(crate) struct Shared {
    pub(crate) local: PeerId,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    /// Outboxes of the validators with a link.
    pub(crate) outboxes: RwLock<HashMap<PeerId, Arc<Outbox>>>,
    /// Verified peers.
    pub(crate) peers: RwLock<BTreeSet<PeerId>>,
    pub(crate) listen: RwLock<Vec<Multiaddr>>,
    pub(crate) usage: RwLock<Usage>,
}

impl Shared {
    fn new(local: PeerId, limits: Limits) -> Self {
        Self {
            local,
            limits,
            metrics: Metrics::new(),
            outboxes: RwLock::default(),
            peers: RwLock::default(),
            listen: RwLock::default(),
            usage: RwLock::default(),
        }
    }
}

/// Sends, publishes, asks and administers. Clones share one network.
#[derive(Clone)]
pub struct NetworkHandle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    validators: Arc<watch::Sender<Arc<BTreeSet<PeerId>>>>,
    outbound_requests: Arc<Semaphore>,
    /// Bytes of messages that may wait to be published.
    publishing: Arc<Semaphore>,
    stop: CancellationToken,
    stopped: CancellationToken,
}

impl fmt::Debug for NetworkHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkHandle").field("local", &self.shared.local).finish_non_exhaustive()
    }
}

/// What became of a broadcast.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Broadcast {
    /// Validators for which the frame was queued.
    pub queued: usize,
    /// Validators whose batch queue was full.
    pub refused: Vec<PeerId>,
}

impl NetworkHandle {
    /// Queues a frame for one validator. Does not wait.
    ///
    /// # Errors
    /// [`SendError`]; for [`Class::Batch`] also when the queue is full. Full queues of the other
    /// classes lose their oldest frames instead.
    pub fn send(&self, peer: PeerId, class: Class, frame: Bytes) -> Result<(), SendError> {
        self.check_frame(class, &frame)?;
        let outbox = self.shared.outboxes.read().get(&peer).cloned();
        let outbox = outbox.ok_or(SendError::NotConnected { peer })?;
        if self.push(&outbox, class, frame) { Ok(()) } else { Err(SendError::Full { peer }) }
    }

    /// Queues a frame for all validators that are connected. Does not wait.
    ///
    /// # Errors
    /// [`SendError::Length`] only; validators whose batch queue is full are in the result.
    pub fn broadcast(&self, class: Class, frame: Bytes) -> Result<Broadcast, SendError> {
        self.check_frame(class, &frame)?;
        let mut result = Broadcast::default();
        for (peer, outbox) in self.shared.outboxes.read().iter() {
            if self.push(outbox, class, frame.clone()) {
                result.queued += 1;
            } else {
                result.refused.push(*peer);
            }
        }
        Ok(result)
    }

    fn check_frame(&self, class: Class, frame: &Bytes) -> Result<(), SendError> {
        let (length, max) = (frame.len(), self.shared.limits.class(class).max_frame_bytes);
        if length == 0 || length > max {
            return Err(SendError::Length { class, length, max });
        }
        Ok(())
    }

    fn push(&self, outbox: &Outbox, class: Class, frame: Bytes) -> bool {
        let pushed = outbox.push(class, frame);
        let lost = *pushed.as_ref().unwrap_or(&1);
        if lost > 0 {
            self.shared.metrics.direct(class).dropped(lost);
        }
        pushed.is_ok()
    }

    /// Publishes a message to the open network. That nobody is connected is no error.
    ///
    /// # Errors
    /// [`PublishError`] if the size is wrong or too much waits to be published.
    pub fn publish(&self, message: Bytes) -> Result<(), PublishError> {
        let (length, max) = (message.len(), self.shared.limits.max_gossip_bytes);
        if length == 0 || length > max {
            return Err(PublishError::Length { length, max });
        }
        let permit = self.publishing.clone().try_acquire_many_owned(length as u32);
        let permit = permit.map_err(|_| PublishError::Busy)?;
        let command = Command::Publish { message, _permit: permit };
        self.commands.try_send(command).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => PublishError::Busy,
            mpsc::error::TrySendError::Closed(_) => PublishError::Closed,
        })
    }

    /// Judges a gossip message, of which `from` and `id` came with the event. Only an accepted
    /// message is forwarded. A judgement that comes later than some seconds has no effect.
    pub fn report(&self, id: GossipId, from: PeerId, acceptance: Acceptance) {
        if self.commands.try_send(Command::Report { id, from, acceptance }).is_err() {
            self.shared.metrics.gossip.dropped(1);
        }
    }

    /// Asks a connected peer and waits for its answer.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, peer: PeerId, request: Bytes) -> Result<Bytes, RequestError> {
        let (length, max) = (request.len(), self.shared.limits.max_request_bytes);
        if length == 0 || length > max {
            return Err(RequestError::Length { length, max });
        }
        let permit = self.outbound_requests.clone().acquire_owned().await;
        let permit = permit.map_err(|_| RequestError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let command = Command::Request { peer, request, answer, permit };
        self.commands.send(command).await.map_err(|_| RequestError::Closed)?;
        answered.await.map_err(|_| RequestError::Closed)?
    }

    /// The peers of this chain that are connected.
    pub fn peers(&self) -> Vec<PeerId> {
        self.shared.peers.read().iter().copied().collect()
    }

    /// The validators to which frames can be sent now.
    pub fn linked_validators(&self) -> Vec<PeerId> {
        self.shared.outboxes.read().keys().copied().collect()
    }

    /// This node's id.
    pub fn local_peer_id(&self) -> PeerId {
        self.shared.local
    }

    /// The addresses listened on, with the ports that the system chose.
    pub fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.shared.listen.read().clone()
    }

    /// Replaces the set of peers allowed on the direct classes. This node sends in them only while
    /// it is in the set itself.
    pub fn set_validators(&self, validators: BTreeSet<PeerId>) {
        self.validators.send_replace(Arc::new(validators));
    }

    /// Counts an offence that only the application can see, such as a wrong block. With too many,
    /// the peer is banned; see [`Penalty`]. Does not wait; while the network task is overloaded,
    /// an offence can go uncounted.
    pub fn penalise(&self, peer: PeerId, penalty: Penalty) {
        // Fails when the queue is full, or the network has been shut down.
        let _ = self.commands.try_send(Command::Penalise { peer, penalty });
    }

    /// Tells where a peer can be dialled, such as a validator whose address is known from
    /// elsewhere. It replaces what was known, until the peer itself says otherwise.
    pub async fn add_address(&self, peer: PeerId, address: Multiaddr) {
        // Fails only when the network has been shut down.
        let _ = self.commands.send(Command::AddAddress { peer, address }).await;
    }

    /// The sizes of the network's tables and queues, some tenths of a second old.
    pub fn usage(&self) -> Usage {
        *self.shared.usage.read()
    }

    /// Disconnects a peer and keeps it out for a while.
    pub async fn ban(&self, peer: PeerId, duration: Duration) {
        // Fails only when the network has been shut down, and with it every connection.
        let _ = self.commands.send(Command::Ban { peer, duration }).await;
    }

    /// The network's counters.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The network's bounds.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Closes all connections and listeners and waits until that is done.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.stopped.cancelled().await;
    }
}
