//! The socket of one session's video.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::recv::{BUFFER_BYTES, RecvBatch};
use super::{PortRange, is_punch, sys};

/// A bound UDP socket, connected later. All methods take `&self`: one thread sends while another receives.
#[derive(Debug)]
pub struct DataSocket {
    socket: UdpSocket,
    /// False once kernel, device or path refused a segmented send.
    offload: AtomicBool,
    /// The segment size set on the socket, 0 if none.
    segment: AtomicU16,
    /// The receive timeout set on the socket, in ns.
    recv_timeout_ns: AtomicU64,
}

/// What became of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SendReport {
    /// Packets that the kernel took.
    pub sent: usize,
    /// Packets that were given up, because the kernel's buffer stayed full or the path is down.
    pub dropped: usize,
}

impl DataSocket {
    /// Binds on `ip`, at the first free port of `ports`, with large buffers, fragmentation allowed and receive offload
    /// on. `scope_id` is the interface of a link-local IPv6 address, else 0.
    ///
    /// # Errors
    /// The last port's error: `AddrInUse` if the whole range is taken.
    pub fn bind(ip: IpAddr, scope_id: u32, ports: PortRange) -> io::Result<Self> {
        let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
        for port in ports.iter() {
            let mut address = SocketAddr::new(ip, port);
            if let SocketAddr::V6(v6) = &mut address {
                v6.set_scope_id(scope_id);
            }
            match bind_socket(address) {
                Ok(socket) => {
                    return Ok(Self {
                        socket,
                        offload: AtomicBool::new(true),
                        segment: AtomicU16::new(0),
                        recv_timeout_ns: AtomicU64::new(0),
                    });
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// As the socket tells.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Fixes the peer: sends go there, and only its datagrams are received. Toward a private address, packets are marked
    /// DSCP CS5 (§5.10); public networks bleach or punish marks.
    ///
    /// # Errors
    /// As the system tells (no route, for one).
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(peer)?;
        if is_private(peer.ip()) {
            let socket = SockRef::from(&self.socket);
            let marked = if peer.is_ipv4() { socket.set_tos_v4(TOS_CS5) } else { socket.set_tclass_v6(TOS_CS5) };
            if let Err(error) = marked {
                tracing::debug!(%error, "cannot mark video packets");
            }
        }
        Ok(())
    }

    /// Waits for a punch from `client` and returns the address it came from; `None` if `deadline` passes. Anything else
    /// that arrives is thrown away. Call before [`Self::connect`].
    ///
    /// # Errors
    /// As the socket tells.
    pub fn wait_for_punch(&self, client: IpAddr, deadline: Instant) -> io::Result<Option<SocketAddr>> {
        let mut buffer = [0; 64];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.set_recv_timeout(left)?;
            match self.socket.recv_from(&mut buffer) {
                Ok((len, from)) if from.ip().to_canonical() == client && is_punch(&buffer[..len]) => {
                    return Ok(Some(from));
                }
                Ok(_) => {}
                Err(e) if is_nothing_yet(&e) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Sends `run`, which holds whole packets of `stride` bytes each, to the connected peer. Waits at most
    /// 10 ms in all for room in the kernel's buffer and drops the rest then.
    ///
    /// # Errors
    /// Only for errors that no later send can survive (the socket is not connected or of no use).
    pub fn send(&self, run: &[u8], stride: usize) -> io::Result<SendReport> {
        deliver(&self.socket, run, stride, |rest| self.send_some(rest, stride))
    }

    /// Sends one datagram of any size to the connected peer (punches, mostly). Never blocks.
    ///
    /// # Errors
    /// As the socket tells; `WouldBlock` if the buffer is full.
    pub fn send_one(&self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send(datagram).map(drop)
    }

    /// Receives what there is, waiting at most `timeout` for the first datagram. Returns the number of datagrams'
    /// buffers filled; 0 when the time is up.
    ///
    /// # Errors
    /// As the socket tells. Refusals (ICMP) of packets we sent are not errors here.
    pub fn recv(&self, batch: &mut RecvBatch, timeout: Duration) -> io::Result<usize> {
        batch.filled = 0;
        self.set_recv_timeout(timeout)?;
        let out = &mut batch.received[..batch.buffers];
        match sys::recv_many(self.socket.as_fd(), &mut batch.memory, BUFFER_BYTES, out) {
            Ok(count) => batch.filled = count,
            Err(e) if is_nothing_yet(&e) => {}
            Err(e) => return Err(e),
        }
        Ok(batch.filled)
    }

    /// Throws away what has arrived. After connecting, a host expects nothing from its client here but punches; an
    /// unread queue would only hold memory.
    pub fn discard_received(&self) {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 16];
        let socket = SockRef::from(&self.socket);
        for _ in 0..DISCARD_AT_MOST {
            if socket.recv_with_flags(&mut buffer, libc::MSG_DONTWAIT | libc::MSG_TRUNC).is_err() {
                return;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Whether runs still go out with segmentation offload.
    #[must_use]
    pub fn uses_offload(&self) -> bool {
        self.offload.load(Ordering::Relaxed)
    }

    /// Stops using segmentation offload, as when a device drops segmented bursts.
    pub fn disable_offload(&self) {
        if self.offload.swap(false, Ordering::Relaxed) {
            self.segment.store(0, Ordering::Relaxed);
            if let Err(error) = sys::set_udp_segment(self.socket.as_fd(), 0) {
                tracing::debug!(%error, "cannot switch segmentation off");
            }
        }
    }

    /// The most packets of `stride` bytes that one system call takes with offload.
    #[must_use]
    pub fn max_run(stride: usize) -> usize {
        (MAX_UDP_PAYLOAD / stride.max(1)).clamp(1, MAX_SEGMENTS)
    }

    /// One system call's worth of `rest`.
    fn send_some(&self, rest: &[u8], stride: usize) -> io::Result<usize> {
        let fd = self.socket.as_fd();
        let packets = rest.len() / stride;
        if packets > 1 && self.uses_offload() {
            match self.send_segmented(fd, rest, stride, packets.min(Self::max_run(stride))) {
                Err(e) if offload_refused(&e) => {
                    tracing::info!(error = %e, "no UDP segmentation offload on this path, sending with sendmmsg");
                    self.disable_offload();
                }
                done => return done,
            }
        }
        if packets == 1 {
            return sys::send(fd, &rest[..stride]).map(|_| 1);
        }
        sys::send_many(fd, &rest[..packets.min(sys::MAX_BATCH) * stride], stride)
    }

    fn send_segmented(&self, fd: BorrowedFd<'_>, rest: &[u8], stride: usize, packets: usize) -> io::Result<usize> {
        let segment = u16::try_from(stride).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        if self.segment.load(Ordering::Relaxed) != segment {
            sys::set_udp_segment(fd, segment)?;
            self.segment.store(segment, Ordering::Relaxed);
        }
        sys::send(fd, &rest[..packets * stride]).map(|_| packets)
    }

    fn set_recv_timeout(&self, timeout: Duration) -> io::Result<()> {
        // Zero would mean "for ever".
        let timeout = timeout.max(Duration::from_micros(1));
        let ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        if self.recv_timeout_ns.load(Ordering::Relaxed) != ns {
            self.socket.set_read_timeout(Some(timeout))?;
            self.recv_timeout_ns.store(ns, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Sends `run` piece by piece: `send_some` takes what is left and returns how many packets went. Waits at most
/// [`SEND_PATIENCE`] in all for room in the kernel's buffer and drops the rest then.
pub(super) fn deliver(
    socket: &UdpSocket,
    run: &[u8],
    stride: usize,
    mut send_some: impl FnMut(&[u8]) -> io::Result<usize>,
) -> io::Result<SendReport> {
    if stride == 0 {
        return Ok(SendReport::default());
    }
    let mut report = SendReport::default();
    let mut rest = &run[..run.len() - run.len() % stride];
    let mut patience = SEND_PATIENCE;
    let mut refusals = 0;
    while !rest.is_empty() {
        match send_some(rest) {
            Ok(packets) => {
                report.sent += packets;
                rest = &rest[packets * stride..];
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock) || e.raw_os_error() == Some(libc::ENOBUFS) => {
                let before = Instant::now();
                if patience.is_zero() || !wait_writable(socket, patience, e.kind())? {
                    break;
                }
                patience = patience.saturating_sub(before.elapsed());
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            // An ICMP error of an earlier packet, told once: the peer's port may open yet (a client that is about
            // to bind, a restarted router).
            Err(e) if e.kind() == ErrorKind::ConnectionRefused && refusals < 2 => refusals += 1,
            Err(e) if is_path_trouble(&e) => break,
            Err(e) => return Err(e),
        }
    }
    report.dropped = rest.len() / stride;
    Ok(report)
}

/// False when `patience` is over. A full device queue (`ENOBUFS`) does not show in poll, so that is slept on.
fn wait_writable(socket: &UdpSocket, patience: Duration, why: ErrorKind) -> io::Result<bool> {
    if why != ErrorKind::WouldBlock {
        std::thread::sleep(patience.min(DEVICE_QUEUE_WAIT));
        return Ok(true);
    }
    let timeout = Timespec { tv_sec: 0, tv_nsec: patience.subsec_nanos().into() };
    match poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(e) => Err(e.into()),
    }
}

fn bind_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&address.into())?;
    widen(&socket, address.is_ipv6());
    let _ = sys::set_udp_gro(socket.as_fd(), true);
    Ok(socket.into())
}

/// Large buffers, fragmentation allowed. Best effort: the system caps what we ask for, and older kernels lack some.
pub(super) fn widen(socket: &Socket, ipv6: bool) {
    if sys::force_buffers(socket.as_fd(), BUFFER_REQUEST).is_err() {
        let _ = socket.set_send_buffer_size(BUFFER_REQUEST as usize);
        let _ = socket.set_recv_buffer_size(BUFFER_REQUEST as usize);
    }
    let _ = sys::allow_fragmentation(socket.as_fd(), ipv6);
}

/// Private in the sense of §5.10: no public router sees the mark.
pub(super) fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// A receive that found nothing: timed out, interrupted, or told of an ICMP error for something we sent.
pub(super) fn is_nothing_yet(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted | ErrorKind::ConnectionRefused
    ) || is_path_trouble(error)
}

/// The network is in the way right now; later packets may pass.
pub(super) fn is_path_trouble(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::ENETUNREACH
                | libc::EHOSTUNREACH
                | libc::ENETDOWN
                | libc::EHOSTDOWN
                | libc::EPERM
                | libc::EMSGSIZE
        )
    )
}

/// Errors of a segmented send that a plain one may survive: no such option, no checksum offload on the device (`EIO`),
/// or segments above the path's MTU.
pub(super) fn offload_refused(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EINVAL | libc::ENOPROTOOPT | libc::EOPNOTSUPP | libc::EMSGSIZE)
    )
}

/// How long a send waits for a full kernel buffer: longer than any pacing group, shorter than a frame
/// interval at 60 Hz. A picture that late is better repaired than waited for.
const SEND_PATIENCE: Duration = Duration::from_millis(10);

/// §5.10. Also what a browser of the network expects of interactive video (RFC 4594 broadcast video).
pub(super) const TOS_CS5: u32 = 0xa0;
/// §5.10: asked for; the system grants up to its own limit (`net.core.rmem_max`, `wmem_max`).
const BUFFER_REQUEST: i32 = 32 << 20;
/// The kernel's limit of segments in one send (`UDP_MAX_SEGMENTS` before 6.9; newer ones take 128).
const MAX_SEGMENTS: usize = 64;
/// Largest UDP payload over IPv4.
const MAX_UDP_PAYLOAD: usize = 65_507;
/// A full device queue drains about a gigabit's 64 KiB in this time.
const DEVICE_QUEUE_WAIT: Duration = Duration::from_micros(500);
/// Punches come every 200 ms; a flood beyond this may wait for the next call.
const DISCARD_AT_MOST: usize = 64;
