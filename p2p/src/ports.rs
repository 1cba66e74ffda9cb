//! Find out whether somebody listens on a TCP port already.
//!
//! libp2p lets its sockets share a port, so that connections can be dialled from the one that is listened on. Two nodes of
//! one user would then share it too, without a word, and each get half of the connections.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use socket2::{Domain, Socket, Type};

/// Says which port is in use, if the address is a TCP port on which another socket listens. Addresses of other kinds,
/// and those that let the system choose the port, are free.
pub(crate) fn check_free(address: &Multiaddr) -> io::Result<()> {
    let Some(address) = tcp(address).filter(|address| address.port() > 0) else { return Ok(()) };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // What is left of connections of a process that has ended does not count, as for libp2p itself.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into()).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            let port = address.port();
            io::Error::new(error.kind(), format!("TCP port {port} is in use by another process"))
        }
        _ => error,
    })
}

fn tcp(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}
