//! Listening sockets of this plane. Bound to the unspecified IPv6 address they take IPv4, too.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// A bound, non-blocking UDP socket.
pub(crate) fn udp(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = bind(address, Type::DGRAM, Protocol::UDP)?;
    Ok(socket.into())
}

/// A listening, non-blocking TCP socket.
pub(crate) fn tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = bind(address, Type::STREAM, Protocol::TCP)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    if kind == Type::STREAM && cfg!(unix) {
        // Connections of the last run that still wait for their end do not hold the port.
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Connections that the kernel holds until they are accepted; it caps this at its own limit.
const BACKLOG: i32 = 1024;
