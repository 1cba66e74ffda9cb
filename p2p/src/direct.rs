//! The libp2p behaviour that opens and accepts direct streams. Mechanism only: which streams are
//! opened, and which inbound ones are kept, is the driver's decision.

use std::{
    collections::{HashSet, VecDeque},
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{
        Endpoint,
        transport::PortUse,
        upgrade::{InboundUpgrade, ReadyUpgrade, UpgradeInfo},
    },
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, StreamUpgradeError, SubstreamProtocol, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};

use crate::Class;

/// Inbound streams of one connection that wait for the driver; a peer needs one per class.
const MAX_WAITING_STREAMS: usize = 4 * Class::COUNT;

/// The protocol name of each class.
pub(crate) type Protocols = [StreamProtocol; Class::COUNT];

/// What happened to a direct stream.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    /// The peer opened a stream.
    Inbound(Class, Stream),
    /// A stream that was asked for is open.
    Opened(Class, Stream),
    /// A stream that was asked for could not be opened.
    Failed(Class),
    /// The peer does not know the class's protocol: it is of another chain.
    Unsupported,
}

/// A stream event with its origin.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    pub(crate) event: StreamEvent,
}

/// Opens and accepts direct streams.
pub(crate) struct Behaviour {
    protocols: Protocols,
    keep_alive: HashSet<PeerId>,
    pending: VecDeque<ToSwarm<Event, Class>>,
}

impl Behaviour {
    pub(crate) fn new(protocols: Protocols) -> Self {
        Self { protocols, keep_alive: HashSet::new(), pending: VecDeque::new() }
    }

    /// New connections with these peers stay open while idle.
    pub(crate) fn keep_alive(&mut self, peers: HashSet<PeerId>) {
        self.keep_alive = peers;
    }

    /// Asks for a stream on a connection. An [`Event`] tells the result; none comes if the
    /// connection closes first.
    pub(crate) fn open(&mut self, peer: PeerId, connection: ConnectionId, class: Class) {
        self.pending.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(connection),
            event: class,
        });
    }

    fn handler(&self, peer: PeerId) -> Handler {
        Handler {
            protocols: self.protocols.clone(),
            keep_alive: self.keep_alive.contains(&peer),
            to_open: VecDeque::new(),
            events: VecDeque::new(),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.pending.push_back(ToSwarm::GenerateEvent(Event { peer, connection, event }));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // No waker: all that fills the queue happens on the task that polls.
        self.pending.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The direct streams of one connection.
pub(crate) struct Handler {
    protocols: Protocols,
    keep_alive: bool,
    to_open: VecDeque<Class>,
    events: VecDeque<StreamEvent>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Class;
    type ToBehaviour = StreamEvent;
    type InboundProtocol = AnyClass;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Class;

    fn listen_protocol(&self) -> SubstreamProtocol<AnyClass> {
        SubstreamProtocol::new(AnyClass(self.protocols.clone()), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.keep_alive
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Class, StreamEvent>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if let Some(class) = self.to_open.pop_front() {
            let upgrade = ReadyUpgrade::new(self.protocols[class.index()].clone());
            let protocol = SubstreamProtocol::new(upgrade, class);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, class: Class) {
        self.to_open.push_back(class);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, AnyClass, Self::OutboundProtocol, (), Class>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (class, stream),
                ..
            }) if self.events.len() < MAX_WAITING_STREAMS => {
                self.events.push_back(StreamEvent::Inbound(class, stream));
            }
            // Beyond, the stream is dropped: the peer opens another.
            ConnectionEvent::FullyNegotiatedInbound(_) => {}
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: class,
            }) => self.events.push_back(StreamEvent::Opened(class, stream)),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: class, error }) => {
                self.events.push_back(match error {
                    StreamUpgradeError::NegotiationFailed => StreamEvent::Unsupported,
                    _ => StreamEvent::Failed(class),
                });
            }
            _ => {}
        }
    }
}

/// Accepts a stream of any class and says which.
pub(crate) struct AnyClass(Protocols);

impl UpgradeInfo for AnyClass {
    type Info = StreamProtocol;
    type InfoIter = std::array::IntoIter<StreamProtocol, { Class::COUNT }>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for AnyClass {
    type Output = (Class, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        let is_named = |class: &Class| self.0[class.index()] == name;
        // The negotiation yields one of the names offered.
        let class = Class::ALL.into_iter().find(is_named).unwrap_or(Class::Batch);
        ready(Ok((class, stream)))
    }
}
