//! The system calls of the data plane that no safe binding offers: `sendmmsg`, `recvmmsg` and the UDP offload options.
//! Each function borrows its buffers for the call only and keeps no pointer.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::SockAddr;

/// Most datagrams of one `sendmmsg` or `recvmmsg`. The headers live on the stack: 64 × 80 bytes.
pub(super) const MAX_BATCH: usize = 64;

/// Switches UDP segmentation offload: every send is cut into datagrams of `segment` bytes; 0 switches it off.
pub(super) fn set_udp_segment(fd: BorrowedFd<'_>, segment: u16) -> io::Result<()> {
    set_int(fd, libc::SOL_UDP, libc::UDP_SEGMENT, libc::c_int::from(segment))
}

/// Switches receive offload: the kernel may hand over several datagrams of one flow as one buffer.
pub(super) fn set_udp_gro(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_int(fd, libc::SOL_UDP, libc::UDP_GRO, libc::c_int::from(on))
}

/// Asks for socket buffers beyond the system's limit, which needs `CAP_NET_ADMIN`.
pub(super) fn force_buffers(fd: BorrowedFd<'_>, bytes: i32) -> io::Result<()> {
    set_int(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes)?;
    set_int(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
}

/// Lets the stack fragment packets that exceed the path's MTU instead of refusing them: a picture in fragments is
/// better than none.
pub(super) fn allow_fragmentation(fd: BorrowedFd<'_>, ipv6: bool) -> io::Result<()> {
    if ipv6 {
        set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT)
    } else {
        set_int(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)
    }
}

/// Makes the kernel refuse segmentation offload on this socket, as some devices do.
#[cfg(test)]
pub(super) fn send_without_checksum(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_int(fd, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1)
}

/// The type of service that a datagram arrived with, where the socket was told to say so.
#[cfg(test)]
pub(super) fn recv_tos(fd: BorrowedFd<'_>) -> io::Result<Option<u8>> {
    let mut bytes = [0_u8; 16];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control = Control([0; 64]);
    // SAFETY: all-zero bytes are a valid msghdr: null pointers with zero lengths mean "none".
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    // SAFETY: header, part, its bytes and the control buffer are live and writable during the call.
    if unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as in `local_address`; either message holds at least one byte, and both begin with the value's low byte on
    // the little-endian machines that tests run on.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        Ok(message.as_ref().map(|_| libc::CMSG_DATA(message).read()))
    }
}

/// One plain send on a connected socket. Never blocks.
pub(super) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: `bytes` is a live slice of exactly that length, which the kernel only reads during the call.
    let sent = unsafe {
        libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Sends up to [`MAX_BATCH`] datagrams of `stride` bytes each (`run.len()` is a multiple of it) on a connected socket.
/// Returns how many went out, at least one. Never blocks.
pub(super) fn send_many(fd: BorrowedFd<'_>, run: &[u8], stride: usize) -> io::Result<usize> {
    let mut parts = [const { MaybeUninit::<libc::iovec>::uninit() }; MAX_BATCH];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MAX_BATCH];
    let mut count = 0;
    for (datagram, (part, header)) in run.chunks_exact(stride).zip(parts.iter_mut().zip(&mut headers)) {
        let part = part.write(libc::iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: stride });
        // SAFETY: all-zero bytes are a valid mmsghdr: null pointers with zero lengths mean "none".
        let header = header.write(unsafe { mem::zeroed() });
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    // SAFETY: the first `count` headers and the parts they point to were written above and live until the call
    // returns; each part spans one chunk of `run`, which the kernel only reads.
    let sent = unsafe {
        libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr().cast(), count, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// What goes along with a datagram on an unconnected socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address<'a> {
    pub peer: &'a SockAddr,
    /// The local address to send from, in the form of the socket's family.
    pub source: Option<IpAddr>,
    /// The type-of-service byte, 0 = leave it.
    pub tos: u8,
    /// Whether the peer is reached by IPv4 (also from a socket of IPv6).
    pub ipv4: bool,
}

/// Room for the control messages of one send: source, type of service and segment size, aligned as the kernel wants it.
#[repr(C, align(8))]
struct SendControl([u8; 128]);

/// Sends `bytes` to an address, as one datagram or cut into datagrams of `segment` bytes by the kernel. Never blocks.
pub(super) fn send_to(fd: BorrowedFd<'_>, bytes: &[u8], to: &Address<'_>, segment: Option<u16>) -> io::Result<usize> {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = SendControl([0; 128]);
    let header = header_to(&mut part, &mut control, to, segment);
    // SAFETY: header, part, control and the peer's address live until the call returns; the part spans `bytes`. The
    // kernel only reads them.
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// As [`send_many`], to an address.
pub(super) fn send_many_to(fd: BorrowedFd<'_>, run: &[u8], stride: usize, to: &Address<'_>) -> io::Result<usize> {
    let mut parts = [const { MaybeUninit::<libc::iovec>::uninit() }; MAX_BATCH];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MAX_BATCH];
    // The same for all of them: read only.
    let mut control = SendControl([0; 128]);
    let mut count = 0;
    for (datagram, (part, header)) in run.chunks_exact(stride).zip(parts.iter_mut().zip(&mut headers)) {
        let part = part.write(libc::iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: stride });
        header.write(libc::mmsghdr { msg_hdr: header_to(part, &mut control, to, None), msg_len: 0 });
        count += 1;
    }
    // SAFETY: the first `count` headers and what they point to (parts, the control messages, the peer's address) were
    // written above and live until the call returns; each part spans one chunk of `run`. The kernel only reads them.
    let sent = unsafe {
        libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr().cast(), count, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// A header that points to `part`, `control` and the peer's address, with the control messages written.
fn header_to(
    part: &mut libc::iovec,
    control: &mut SendControl,
    to: &Address<'_>,
    segment: Option<u16>,
) -> libc::msghdr {
    // SAFETY: all-zero bytes are a valid msghdr: null pointers with zero lengths mean "none".
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_name = to.peer.as_ptr().cast_mut().cast();
    header.msg_namelen = to.peer.len();
    header.msg_iov = part;
    header.msg_iovlen = 1;
    let mut writer = ControlWriter { control: &mut control.0, len: 0 };
    match to.source {
        Some(IpAddr::V4(source)) => writer.push(
            libc::IPPROTO_IP,
            libc::IP_PKTINFO,
            libc::in_pktinfo {
                ipi_ifindex: 0, // as the route says
                ipi_spec_dst: libc::in_addr { s_addr: u32::from(source).to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            },
        ),
        Some(IpAddr::V6(source)) => writer.push(
            libc::IPPROTO_IPV6,
            libc::IPV6_PKTINFO,
            libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: source.octets() }, ipi6_ifindex: 0 },
        ),
        None => {}
    }
    if to.tos != 0 {
        let tos = libc::c_int::from(to.tos);
        let (level, name) =
            if to.ipv4 { (libc::IPPROTO_IP, libc::IP_TOS) } else { (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) };
        writer.push(level, name, tos);
    }
    if let Some(segment) = segment {
        writer.push(libc::SOL_UDP, libc::UDP_SEGMENT, segment);
    }
    header.msg_controllen = writer.len as _;
    if header.msg_controllen != 0 {
        header.msg_control = control.0.as_mut_ptr().cast();
    }
    header
}

/// Lays out control messages one after the other.
struct ControlWriter<'a> {
    control: &'a mut [u8; 128],
    len: usize,
}

impl ControlWriter<'_> {
    /// Appends a message. `T` is a plain C value.
    fn push<T: Copy>(&mut self, level: libc::c_int, name: libc::c_int, value: T) {
        let size = mem::size_of::<T>() as u32;
        // SAFETY: both are arithmetic on the length alone.
        let (len, space) = unsafe { (libc::CMSG_LEN(size) as usize, libc::CMSG_SPACE(size) as usize) };
        // The largest set, IPV6_PKTINFO, IPV6_TCLASS and UDP_SEGMENT, takes 40 + 24 + 24 bytes.
        let room = &mut self.control[self.len..self.len + space];
        let head = libc::cmsghdr { cmsg_len: len as _, cmsg_level: level, cmsg_type: name };
        // SAFETY: `room` has CMSG_SPACE(size) bytes, which covers the aligned header and the value after it; its start is
        // aligned for a cmsghdr, because the buffer is aligned to 8 and every message's space is a multiple of that. The
        // value lies CMSG_LEN(0) bytes in, which is where the kernel looks for it, and is written unaligned.
        unsafe {
            room.as_mut_ptr().cast::<libc::cmsghdr>().write(head);
            let at = room.as_mut_ptr().add(libc::CMSG_LEN(0) as usize);
            at.cast::<T>().write_unaligned(value);
        }
        self.len += space;
    }
}

/// Asks for the local address of every datagram that arrives.
pub(super) fn want_local_address(fd: BorrowedFd<'_>, ipv6: bool) -> io::Result<()> {
    if ipv6 {
        set_int(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        set_int(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

/// A datagram that came to an unconnected socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    /// Bytes in the buffer.
    pub len: usize,
    /// It was longer than the buffer.
    pub truncated: bool,
    pub peer: SocketAddr,
    /// The address that it was sent to, where the kernel tells.
    pub local: Option<IpAddr>,
}

/// Receives one datagram with its addresses. Blocks as long as the socket's receive timeout says. `None`: its sender has
/// no IP address.
pub(super) fn recv_from(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<Arrived>> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; 64]);
    // SAFETY: all-zero bytes are a valid msghdr: null pointers with zero lengths mean "none".
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    let receive = |storage: *mut socket2::SockAddrStorage, storage_len: *mut libc::socklen_t| {
        header.msg_name = storage.cast();
        // SAFETY: socket2 hands in valid pointers to a storage and its length.
        header.msg_namelen = unsafe { *storage_len };
        // SAFETY: the storage, `part` (which spans `buffer`, borrowed mutably) and `control` are live and writable until
        // the call returns.
        let got = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, 0) };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: as above.
        unsafe { *storage_len = header.msg_namelen };
        Ok(got)
    };
    // SAFETY: recvmsg fills the storage with an address and `receive` reports its length; on errors nothing is read.
    let (len, peer) = unsafe { SockAddr::try_init(receive)? };
    let Some(peer) = peer.as_socket() else { return Ok(None) };
    let truncated = header.msg_flags & libc::MSG_TRUNC != 0;
    Ok(Some(Arrived { len: len.min(buffer.len()), truncated, peer, local: local_address(&header) }))
}

/// The destination address that the kernel left in the control messages.
fn local_address(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: `header` was filled in by recvmsg and its control buffer still lives (the caller's `control`), so the CMSG
    // macros walk only bytes that the kernel wrote; a value is read, unaligned, only when the message's length says that
    // all of it is there.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(head) = message.as_ref() {
            let holds = |size: usize| head.cmsg_len >= libc::CMSG_LEN(size as u32) as usize;
            match (head.cmsg_level, head.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) if holds(mem::size_of::<libc::in_pktinfo>()) => {
                    let info = libc::CMSG_DATA(message).cast::<libc::in_pktinfo>().read_unaligned();
                    return Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if holds(mem::size_of::<libc::in6_pktinfo>()) => {
                    let info = libc::CMSG_DATA(message).cast::<libc::in6_pktinfo>().read_unaligned();
                    return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                _ => message = libc::CMSG_NXTHDR(header, message),
            }
        }
    }
    None
}

/// What one receive buffer got.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Received {
    /// Bytes in the buffer.
    pub len: usize,
    /// Size of each datagram in it but the last, where the kernel joined several; 0 for a single one.
    pub segment: usize,
    /// The datagram was longer than the buffer and lost its tail.
    pub truncated: bool,
}

/// Room for one control message holding an int, aligned as the kernel wants it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// Receives up to `out.len()` (at most [`MAX_BATCH`]) datagrams into consecutive buffers of `size` bytes in `memory`.
/// Blocks for the first one as long as the socket's receive timeout says, then takes what is there.
pub(super) fn recv_many(fd: BorrowedFd<'_>, memory: &mut [u8], size: usize, out: &mut [Received]) -> io::Result<usize> {
    let mut parts = [const { MaybeUninit::<libc::iovec>::uninit() }; MAX_BATCH];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MAX_BATCH];
    let mut controls = [Control([0; 64]); MAX_BATCH];
    let mut count = 0;
    let buffers = memory.chunks_exact_mut(size).take(out.len());
    for (buffer, ((part, header), control)) in buffers.zip(parts.iter_mut().zip(&mut headers).zip(&mut controls)) {
        let part = part.write(libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: size });
        // SAFETY: all-zero bytes are a valid mmsghdr: null pointers with zero lengths mean "none".
        let header = header.write(unsafe { mem::zeroed() });
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = control.0.len() as _;
        count += 1;
    }
    // SAFETY: the first `count` headers, parts and control buffers were written above and live until the call returns;
    // the parts point to disjoint chunks of `memory`, which is borrowed mutably for the whole call.
    let got = unsafe {
        libc::recvmmsg(fd.as_raw_fd(), headers.as_mut_ptr().cast(), count, libc::MSG_WAITFORONE, std::ptr::null_mut())
    };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    for (header, received) in headers.iter().zip(&mut *out).take(got) {
        // SAFETY: the first `got` ≤ `count` headers were initialised above and filled in by the kernel.
        let header = unsafe { header.assume_init_ref() };
        *received = Received {
            len: (header.msg_len as usize).min(size),
            segment: gro_segment(&header.msg_hdr),
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        };
    }
    Ok(got)
}

/// The segment size that the kernel left in the control messages, 0 if it left none.
fn gro_segment(header: &libc::msghdr) -> usize {
    // SAFETY: `header` was filled in by recvmmsg and its control buffer still lives (the caller's `controls`), so the
    // CMSG macros walk only bytes that the kernel wrote; the data of a UDP_GRO message is an int, read unaligned and
    // only when the message's length says that it is there.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(head) = message.as_ref() {
            let whole = head.cmsg_len >= libc::CMSG_LEN(mem::size_of::<libc::c_int>() as u32) as usize;
            if head.cmsg_level == libc::SOL_UDP && head.cmsg_type == libc::UDP_GRO && whole {
                let size = libc::CMSG_DATA(message).cast::<libc::c_int>().read_unaligned();
                return usize::try_from(size).unwrap_or(0);
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    0
}

fn set_int(fd: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: `value` is a live int and its size is passed along; the kernel only reads it during the call.
    let outcome = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            mem::size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
