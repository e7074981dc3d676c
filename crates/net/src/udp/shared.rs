//! One socket for many peers: every datagram is answered to where it came from, from the address that it was sent to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::socket::{TOS_CS5, deliver, is_nothing_yet, is_private, offload_refused, widen};
use super::{DataSocket, SendReport, sys};

/// An unconnected UDP socket. All methods take `&self`: one thread receives while others send.
#[derive(Debug)]
pub struct SharedSocket {
    socket: UdpSocket,
    ipv6: bool,
}

/// The way to a peer: where to, and which of the host's addresses it knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Path {
    /// The peer, as an IPv4 address wherever it is one.
    pub peer: SocketAddr,
    /// The local address to send from; `None` = as the route says.
    pub local: Option<IpAddr>,
}

/// A datagram that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Bytes of it in the buffer.
    pub len: usize,
    /// It was longer than the buffer.
    pub truncated: bool,
    /// The way back.
    pub path: Path,
}

/// How packets are marked for routers (DSCP), where the peer's address is private: public networks bleach or punish
/// marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mark {
    /// Not at all.
    #[default]
    None,
    /// CS5.
    Video,
    /// CS6.
    Audio,
}

impl Mark {
    fn tos(self, peer: IpAddr) -> u8 {
        match self {
            _ if !is_private(peer) => 0,
            Self::None => 0,
            Self::Video => TOS_CS5 as u8,
            Self::Audio => TOS_CS6,
        }
    }
}

impl SharedSocket {
    /// Binds `ip`:`port` with large buffers and fragmentation allowed. The unspecified IPv6 address takes IPv4, too.
    ///
    /// # Errors
    /// As the system tells: `AddrInUse` if the port is taken.
    pub fn bind(ip: IpAddr, port: u16) -> io::Result<Self> {
        let address = SocketAddr::new(ip, port);
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        sys::want_local_address(socket.as_fd(), address.is_ipv6())?;
        widen(&socket, address.is_ipv6());
        Ok(Self { socket: socket.into(), ipv6: address.is_ipv6() })
    }

    /// Binds `port` on every address of both families, or of IPv4 alone where the system has no IPv6.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub fn bind_any(port: u16) -> io::Result<Self> {
        match Self::bind(Ipv6Addr::UNSPECIFIED.into(), port) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => Self::bind(Ipv4Addr::UNSPECIFIED.into(), port),
            bound => bound,
        }
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// As the socket tells.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits for one datagram, as long as [`Self::set_recv_timeout`] says; `Ok(None)` when the time is up.
    ///
    /// # Errors
    /// As the socket tells. Refusals (ICMP) of packets that were sent are not errors here.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<Arrival>> {
        match sys::recv_from(self.socket.as_fd(), buffer) {
            Ok(Some(sys::Arrived { len, truncated, peer, local })) => {
                let path = Path { peer: canonical(peer), local: local.map(|ip| ip.to_canonical()) };
                Ok(Some(Arrival { len, truncated, path }))
            }
            Ok(None) => Ok(None),
            Err(error) if is_nothing_yet(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How long [`Self::recv`] waits; `None` = for ever.
    ///
    /// # Errors
    /// As the socket tells.
    pub fn set_recv_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    /// The address in the form that the socket's family wants.
    fn own_form(&self, address: SocketAddr) -> SocketAddr {
        match address {
            SocketAddr::V4(v4) if self.ipv6 => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            other => other,
        }
    }

    fn own_ip(&self, ip: IpAddr) -> IpAddr {
        match ip {
            IpAddr::V4(v4) if self.ipv6 => v4.to_ipv6_mapped().into(),
            other => other,
        }
    }
}

/// One peer's stream through a shared socket. Whether its path takes segmented sends is its own affair.
#[derive(Debug)]
pub struct Flow {
    socket: Arc<SharedSocket>,
    mark: Mark,
    /// False once kernel, device or path refused a segmented send.
    offload: AtomicBool,
}

impl Flow {
    /// A stream through `socket`.
    #[must_use]
    pub const fn new(socket: Arc<SharedSocket>, mark: Mark) -> Self {
        Self { socket, mark, offload: AtomicBool::new(true) }
    }

    /// Sends `run`, whole packets of `stride` bytes each, along `path`. Waits at most 10 ms in all for room in the
    /// kernel's buffer and drops the rest then; drops everything while the path is down or the local address is gone.
    /// Allocates nothing.
    ///
    /// # Errors
    /// Only for errors that no later send can survive.
    pub fn send(&self, path: &Path, run: &[u8], stride: usize) -> io::Result<SendReport> {
        let peer = SockAddr::from(self.socket.own_form(path.peer));
        let to = sys::Address {
            peer: &peer,
            source: path.local.map(|ip| self.socket.own_ip(ip)),
            tos: self.mark.tos(path.peer.ip()),
            ipv4: path.peer.is_ipv4(),
        };
        let fd = self.socket.socket.as_fd();
        let mut gone = false;
        let report = deliver(&self.socket.socket, run, stride, |rest| {
            let packets = rest.len() / stride;
            let segment = u16::try_from(stride).ok().filter(|_| packets > 1 && self.offload.load(Ordering::Relaxed));
            if segment.is_some() {
                let packets = packets.min(DataSocket::max_run(stride));
                match sys::send_to(fd, &rest[..packets * stride], &to, segment) {
                    Err(error) if offload_refused(&error) => self.refused(&error),
                    sent => return sent.map(|_| packets),
                }
            }
            let sent = if packets == 1 {
                sys::send_to(fd, &rest[..stride], &to, None).map(|_| 1)
            } else {
                sys::send_many_to(fd, &rest[..packets.min(sys::MAX_BATCH) * stride], stride, &to)
            };
            // What the system says when the local address is none of its own any more. The next datagram of the peer
            // brings another.
            gone = sent.as_ref().is_err_and(|error| {
                matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EADDRNOTAVAIL | libc::ENODEV))
            });
            sent
        });
        match report {
            Err(_) if gone => Ok(SendReport { sent: 0, dropped: run.len() / stride }),
            report => report,
        }
    }

    /// Whether runs still go out with segmentation offload.
    #[must_use]
    pub fn uses_offload(&self) -> bool {
        self.offload.load(Ordering::Relaxed)
    }

    fn refused(&self, error: &io::Error) {
        if self.offload.swap(false, Ordering::Relaxed) {
            tracing::info!(%error, "no UDP segmentation offload on this path, sending with sendmmsg");
        }
    }
}

/// An IPv4 address in IPv6 clothes becomes one again.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => (v4, address.port()).into(),
        IpAddr::V6(_) => address,
    }
}

/// What existing hosts mark sound with.
const TOS_CS6: u8 = 0xc0;

#[cfg(test)]
mod tests {
    use super::*;

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    /// A host on `bound` and a client at `client` whose first datagram arrived at `host`.
    fn pair(bound: IpAddr, client: IpAddr, host: IpAddr) -> (Arc<SharedSocket>, UdpSocket, Path) {
        let shared = Arc::new(SharedSocket::bind(bound, 0).unwrap());
        let port = shared.local_addr().unwrap().port();
        let socket = UdpSocket::bind((client, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.send_to(b"hello", (host, port)).unwrap();
        let mut buffer = [0; 16];
        let arrival = shared.recv(&mut buffer).unwrap().unwrap();
        assert_eq!((&buffer[..arrival.len], arrival.truncated), (&b"hello"[..], false));
        assert_eq!(arrival.path, Path { peer: socket.local_addr().unwrap(), local: Some(host) });
        (shared, socket, arrival.path)
    }

    fn receive(socket: &UdpSocket, from: SocketAddr, count: usize) -> Vec<Vec<u8>> {
        let mut buffer = [0; 2048];
        (0..count)
            .map(|_| {
                let (len, source) = socket.recv_from(&mut buffer).unwrap();
                assert_eq!(source, from, "answered from the address that the client used");
                buffer[..len].to_vec()
            })
            .collect()
    }

    #[test]
    fn runs_arrive_from_the_address_that_the_client_used() {
        let other = IpAddr::from([127, 0, 0, 2]);
        let any6 = Ipv6Addr::UNSPECIFIED.into();
        let any4 = Ipv4Addr::UNSPECIFIED.into();
        let cases = [(V4, V4, V4), (V6, V6, V6), (any6, V4, other), (any6, V6, V6), (any4, V4, other), (any4, V4, V4)];
        for (bound, client, host) in cases {
            for mark in [Mark::None, Mark::Video, Mark::Audio] {
                for offload in [true, false] {
                    let (shared, socket, path) = pair(bound, client, host);
                    let from = SocketAddr::new(host, shared.local_addr().unwrap().port());
                    let flow = Flow::new(shared, mark);
                    flow.offload.store(offload, Ordering::Relaxed);
                    let run: Vec<u8> = (0..70_u8).flat_map(|i| [i; 1392]).collect();
                    let mut got = Vec::new();
                    for group in run.chunks(35 * 1392) {
                        let report = flow.send(&path, group, 1392).unwrap();
                        assert_eq!(report, SendReport { sent: 35, dropped: 0 });
                        got.extend(receive(&socket, from, 35));
                    }
                    assert!(got.concat() == run, "{bound} to {host}, offload {offload}");
                    assert_eq!(flow.uses_offload(), offload, "loopback takes segmented sends");
                }
            }
        }
    }

    #[test]
    fn a_refused_offload_falls_back_within_the_same_send() {
        let (shared, socket, path) = pair(V4, V4, V4);
        // Linux refuses segmentation on a socket that sends without checksums.
        sys::send_without_checksum(shared.socket.as_fd()).unwrap();
        let from = shared.local_addr().unwrap();
        let flow = Flow::new(shared, Mark::Video);
        assert_eq!(flow.send(&path, &[7; 1000], 100).unwrap(), SendReport { sent: 10, dropped: 0 });
        assert!(!flow.uses_offload(), "the refusal must have been seen");
        assert_eq!(receive(&socket, from, 10), vec![vec![7; 100]; 10]);
    }

    #[test]
    fn a_local_address_that_is_gone_costs_packets_not_the_socket() {
        let (shared, socket, path) = pair(Ipv4Addr::UNSPECIFIED.into(), V4, V4);
        let from = SocketAddr::new(V4, shared.local_addr().unwrap().port());
        let flow = Flow::new(shared, Mark::None);
        let gone = Path { local: Some(IpAddr::from([192, 0, 2, 1])), ..path };
        assert_eq!(flow.send(&gone, &[1; 300], 100).unwrap(), SendReport { sent: 0, dropped: 3 });
        assert_eq!(flow.send(&path, &[2; 300], 100).unwrap(), SendReport { sent: 3, dropped: 0 });
        assert_eq!(receive(&socket, from, 3), vec![vec![2; 100]; 3]);
        // A peer that is gone is no error either.
        drop(socket);
        for _ in 0..5 {
            let report = flow.send(&path, &[3; 300], 100).unwrap();
            assert_eq!(report.sent + report.dropped, 3);
        }
    }

    #[test]
    fn marks_are_for_private_addresses() {
        for (ip, video) in [("10.0.0.1", 0xa0), ("fd00::1", 0xa0), ("::1", 0xa0), ("8.8.8.8", 0), ("2001:db8::1", 0)] {
            let ip = ip.parse().unwrap();
            assert_eq!(Mark::Video.tos(ip), video, "{ip}");
            assert_eq!(Mark::None.tos(ip), 0);
        }
        assert_eq!(Mark::Audio.tos(V4), 0xc0);
    }

    #[test]
    fn marks_reach_the_wire() {
        for (bound, client) in [(V4, V4), (Ipv6Addr::UNSPECIFIED.into(), V4), (V6, V6)] {
            let (shared, socket, path) = pair(bound, client, client);
            let marked = socket2::SockRef::from(&socket);
            if client.is_ipv4() { marked.set_recv_tos_v4(true) } else { marked.set_recv_tclass_v6(true) }.unwrap();
            Flow::new(shared, Mark::Audio).send(&path, &[1; 10], 10).unwrap();
            assert_eq!(sys::recv_tos(socket.as_fd()).unwrap(), Some(0xc0), "{bound} to {client}");
        }
    }
}
