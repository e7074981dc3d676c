//! The system calls of the data plane that no safe binding offers: `sendmmsg`, `recvmmsg` and the UDP offload options.
//! Each function borrows its buffers for the call only and keeps no pointer.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd};

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
