//! A behaviour under a protocol name of our own.
//!
//! gossipsub speaks version 1.2 (with IDONTWANT, which spares large messages a second way) only
//! under its standard name: its configuration lets a name of one's own have version 1.1 at most.
//! Here the standard name is replaced where streams are negotiated, so that peers of another chain
//! have no protocol in common.

use std::task::{Context, Poll};

use libp2p::{
    Multiaddr, PeerId, Stream,
    core::{
        Endpoint,
        transport::PortUse,
        upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    },
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, StreamProtocol, SubstreamProtocol, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
            InboundUpgradeSend, ListenUpgradeError, OutboundUpgradeSend, UpgradeInfoSend,
        },
    },
};

/// Which protocol goes under which name; others are not offered.
#[derive(Clone, Debug)]
pub(crate) struct Renaming {
    pub(crate) standard: &'static str,
    pub(crate) own: StreamProtocol,
}

/// A behaviour, or a handler, or an upgrade of it, whose protocol has another name.
#[derive(Clone, Debug)]
pub(crate) struct Named<T> {
    pub(crate) inner: T,
    renaming: Renaming,
}

impl<T> Named<T> {
    pub(crate) const fn new(inner: T, renaming: Renaming) -> Self {
        Self { inner, renaming }
    }
}

/// A protocol's own name, and how its upgrade knows it.
#[derive(Clone, Debug)]
pub(crate) struct Name<I> {
    own: StreamProtocol,
    inner: I,
}

impl<I> AsRef<str> for Name<I> {
    fn as_ref(&self) -> &str {
        self.own.as_ref()
    }
}

impl<U: UpgradeInfoSend> UpgradeInfo for Named<U> {
    type Info = Name<U::Info>;
    type InfoIter = std::vec::IntoIter<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        let Renaming { standard, own } = &self.renaming;
        let names = self.inner.protocol_info().filter(|info| info.as_ref() == *standard);
        let own: Vec<_> = names.map(|inner| Name { own: own.clone(), inner }).collect();
        own.into_iter()
    }
}

impl<U: InboundUpgradeSend> InboundUpgrade<Stream> for Named<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_inbound(self, stream: Stream, name: Self::Info) -> Self::Future {
        self.inner.upgrade_inbound(stream, name.inner)
    }
}

impl<U: OutboundUpgradeSend> OutboundUpgrade<Stream> for Named<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_outbound(self, stream: Stream, name: Self::Info) -> Self::Future {
        self.inner.upgrade_outbound(stream, name.inner)
    }
}

impl<H: ConnectionHandler> ConnectionHandler for Named<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = Named<H::InboundProtocol>;
    type OutboundProtocol = Named<H::OutboundProtocol>;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, H::InboundOpenInfo> {
        let renaming = self.renaming.clone();
        self.inner.listen_protocol().map_upgrade(|upgrade| Named::new(upgrade, renaming))
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, H::OutboundOpenInfo, H::ToBehaviour>>
    {
        let event = self.inner.poll(cx);
        event.map(|event| event.map_protocol(|upgrade| Named::new(upgrade, self.renaming.clone())))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<H::ToBehaviour>> {
        self.inner.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: H::FromBehaviour) {
        self.inner.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            H::InboundOpenInfo,
            H::OutboundOpenInfo,
        >,
    ) {
        self.inner.on_connection_event(match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info }) => {
                ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info })
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol,
                info,
            }) => {
                ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info })
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error })
            }
            ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error }) => {
                ConnectionEvent::ListenUpgradeError(ListenUpgradeError { info, error })
            }
            ConnectionEvent::AddressChange(change) => ConnectionEvent::AddressChange(change),
            ConnectionEvent::LocalProtocolsChange(change) => {
                ConnectionEvent::LocalProtocolsChange(change)
            }
            ConnectionEvent::RemoteProtocolsChange(change) => {
                ConnectionEvent::RemoteProtocolsChange(change)
            }
            // Added by a later libp2p: nothing that this version of the inner handler knows.
            _ => return,
        });
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Named<B> {
    type ConnectionHandler = Named<B::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner = &mut self.inner;
        let handler =
            inner.handle_established_inbound_connection(connection, peer, local, remote)?;
        Ok(Named::new(handler, self.renaming.clone()))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner = &mut self.inner;
        let handler =
            inner.handle_established_outbound_connection(connection, peer, address, role, port)?;
        Ok(Named::new(handler, self.renaming.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}
