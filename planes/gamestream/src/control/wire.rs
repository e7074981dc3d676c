//! The socket under ENet. It tells at which local address a datagram arrived and answers from there, as a client that
//! connected to one of several addresses of this host expects.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rusty_enet::{MTU_MAX, PacketReceived};

use crate::sockets;

/// The socket, readable and writable at the same time.
#[derive(Debug)]
pub(super) struct Wire {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// Where a peer is, and where it sees us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Route {
    pub peer: SocketAddr,
    pub local: Option<IpAddr>,
}

impl rusty_enet::Address for Route {
    fn same_host(&self, other: &Self) -> bool {
        self.peer.ip().to_canonical() == other.peer.ip().to_canonical()
    }

    fn same(&self, other: &Self) -> bool {
        self.peer == other.peer
    }

    /// ENet would take datagrams of anybody for such a peer; this side connects to nobody.
    fn is_broadcast(&self) -> bool {
        false
    }
}

impl Wire {
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::from_std(sockets::udp(address)?);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // Best effort: the system caps it.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), RECEIVE_BUFFER_BYTES);
        Ok(Self { socket, state })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    /// Receives into `memory`: one datagram, or several of one sender. `None` when there is nothing.
    pub fn receive<'m>(&self, memory: &'m mut [u8]) -> io::Result<Option<Received<'m>>> {
        let mut meta = [RecvMeta::default()];
        match self.state.recv(UdpSockRef::from(&self.socket), &mut [IoSliceMut::new(memory)], &mut meta) {
            Ok(_) => {
                let [RecvMeta { addr, len, stride, dst_ip, .. }] = meta;
                let bytes = memory.get(..len).unwrap_or_default();
                Ok(Some(Received { route: Route { peer: addr, local: dst_ip }, bytes, stride: stride.max(1) }))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn send(&self, route: &Route, contents: &[u8]) -> io::Result<()> {
        let transmit =
            Transmit { destination: route.peer, ecn: None, contents, segment_size: None, src_ip: route.local };
        self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
    }
}

/// What one receive brought.
#[derive(Debug)]
pub(super) struct Received<'m> {
    pub route: Route,
    pub bytes: &'m [u8],
    /// Length of each datagram but the last.
    pub stride: usize,
}

/// ENet's end of the wire: it sends itself, and is given what it receives one datagram at a time.
#[derive(Debug)]
pub(super) struct Link {
    wire: Arc<Wire>,
    inbox: Box<[u8; MTU_MAX]>,
    arrived: Option<(Route, usize)>,
}

impl Link {
    pub fn new(wire: Arc<Wire>) -> Self {
        Self { wire, inbox: Box::new([0; MTU_MAX]), arrived: None }
    }

    /// The datagram that ENet reads next. One that is too large for it is dropped.
    pub fn deliver(&mut self, route: Route, datagram: &[u8]) {
        if let Some(place) = self.inbox.get_mut(..datagram.len()) {
            place.copy_from_slice(datagram);
            self.arrived = Some((route, datagram.len()));
        }
    }
}

impl rusty_enet::Socket for Link {
    type Address = Route;
    type Error = io::Error;

    /// A datagram that does not leave is a lost one; ENet sends again what matters.
    fn send(&mut self, route: Route, buffer: &[u8]) -> io::Result<usize> {
        match self.wire.send(&route, buffer) {
            Ok(()) => Ok(buffer.len()),
            Err(error) => {
                tracing::debug!(%error, peer = %route.peer, "a control datagram did not leave");
                Ok(0)
            }
        }
    }

    fn receive(&mut self, buffer: &mut [u8; MTU_MAX]) -> io::Result<Option<(Route, PacketReceived)>> {
        let Some((route, len)) = self.arrived.take() else { return Ok(None) };
        buffer[..len].copy_from_slice(&self.inbox[..len]); // both are MTU_MAX long, and `deliver` checked `len`
        Ok(Some((route, PacketReceived::Complete(len))))
    }
}

/// A flood of some milliseconds does not push a client's datagrams out.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
