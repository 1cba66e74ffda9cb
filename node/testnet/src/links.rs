//! How the nodes of a network reach each other, and how they are cut off.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Result, bail};

use crate::{DelayProxy, netns::Cables};

/// How the nodes are to reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// Over loopback; they cannot be cut off.
    Direct,
    /// Each in a network namespace of its own.
    Namespaces,
    /// Over loopback, through a proxy per ordered pair that delays by this much.
    Proxies(Duration),
}

/// The links of a network.
#[derive(Debug)]
pub(crate) enum Links {
    Direct,
    Namespaces(Cables),
    Proxies(Vec<Proxy>),
}

/// The proxy through which `from` dials `to`.
#[derive(Debug)]
pub(crate) struct Proxy {
    from: usize,
    to: usize,
    proxy: DelayProxy,
}

impl Links {
    /// Address that a node's listeners bind to.
    pub(crate) fn host(&self, index: usize) -> IpAddr {
        match self {
            Self::Namespaces(cables) => cables.host(index),
            Self::Direct | Self::Proxies(_) => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// What a node's command begins with.
    pub(crate) fn prefix(&self, index: usize) -> Vec<String> {
        match self {
            Self::Namespaces(cables) => cables.prefix(index),
            Self::Direct | Self::Proxies(_) => Vec::new(),
        }
    }

    /// Proxies between nodes at these addresses.
    pub(crate) async fn proxies(targets: &[SocketAddr], delay: Duration) -> Result<Self> {
        let mut proxies = Vec::new();
        for from in 0..targets.len() {
            for (to, target) in targets.iter().enumerate().filter(|(to, _)| *to != from) {
                proxies.push(Proxy { from, to, proxy: DelayProxy::start(*target, delay).await? });
            }
        }
        Ok(Self::Proxies(proxies))
    }

    /// Where `from` dials `to`, which listens at `target`.
    pub(crate) fn between(&self, from: usize, to: usize, target: SocketAddr) -> SocketAddr {
        let Self::Proxies(proxies) = self else { return target };
        let found = proxies.iter().find(|proxy| (proxy.from, proxy.to) == (from, to));
        found.map_or(target, |proxy| proxy.proxy.addr())
    }

    /// Whether the nodes reach each other through proxies.
    pub(crate) fn pass_proxies(&self) -> bool {
        matches!(self, Self::Proxies(_))
    }

    /// Ports from which proxies reach the nodes; empty without proxies.
    pub(crate) fn proxy_ports(&self) -> BTreeSet<u16> {
        let Self::Proxies(proxies) = self else { return BTreeSet::new() };
        proxies.iter().flat_map(|proxy| proxy.proxy.far_ports()).collect()
    }

    /// Cuts a node off from all others, or joins it again.
    pub(crate) fn plug(&self, index: usize, plugged: bool) -> Result<()> {
        match self {
            Self::Direct => bail!("nodes that are linked directly cannot be cut off"),
            Self::Namespaces(cables) => cables.plug(index, plugged)?,
            Self::Proxies(proxies) => proxies
                .iter()
                .filter(|proxy| proxy.from == index || proxy.to == index)
                .for_each(|proxy| proxy.proxy.set_open(plugged)),
        }
        Ok(())
    }

    /// Splits some nodes off from the others, or joins them again. Among themselves they stay connected.
    pub(crate) fn split(&self, group: &[usize], off: bool) -> Result<()> {
        match self {
            Self::Direct => bail!("nodes that are linked directly cannot be split"),
            Self::Namespaces(cables) => {
                group.iter().try_for_each(|index| cables.split(*index, off))?;
            }
            Self::Proxies(proxies) => proxies
                .iter()
                .filter(|proxy| group.contains(&proxy.from) != group.contains(&proxy.to))
                .for_each(|proxy| proxy.proxy.set_open(!off)),
        }
        Ok(())
    }
}
