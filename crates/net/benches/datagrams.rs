//! What a video packet costs to send and to receive over loopback: one by one, with `sendmmsg`, with segmentation
//! offload. Prints a table (`cargo bench -p punktfunk-net`); never fails for being slow.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use punktfunk_net::udp::{DataSocket, PortRange, RecvBatch};
use rustix::time::{ClockId, clock_gettime};

const STRIDE: usize = 1472;
const PACKETS: usize = 200_000;

fn main() {
    println!("{PACKETS} packets of {STRIDE} bytes over loopback, ns of this thread's CPU per packet");
    println!("{:<28} {:>8} {:>10}", "way", "send", "to sendto");
    // A sink that nobody reads: the kernel drops what does not fit, as it would for a dead client.
    let sink = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let base = one_by_one(&sink);
    row("sendto", base, base);
    for (name, offload, run) in [
        ("sendmmsg, runs of 16", false, 16),
        ("sendmmsg, runs of 64", false, 64),
        ("offload, runs of 16", true, 16),
        ("offload, runs of 44", true, 44),
    ] {
        row(name, in_runs(&sink, offload, run), base);
    }
    println!();
    println!("{:<28} {:>8} {:>10}", "way", "receive", "lost");
    for (name, offload) in [("recvmmsg from offload", true), ("recvmmsg from sendmmsg", false)] {
        let (cost, lost) = receive(offload);
        println!("{name:<28} {cost:>8.0} {lost:>10}");
    }
}

fn row(name: &str, cost: f64, base: f64) {
    println!("{name:<28} {cost:>8.0} {:>9.2}x", cost / base);
}

/// CPU time of this thread: what others do on the machine does not count.
fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

fn per_packet(start: Duration, packets: usize) -> f64 {
    (cpu() - start).as_nanos() as f64 / packets as f64
}

fn one_by_one(sink: &UdpSocket) -> f64 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let (packet, to) = ([7; STRIDE], sink.local_addr().expect("bound"));
    let start = cpu();
    for _ in 0..PACKETS {
        socket.send_to(&packet, to).expect("sends");
    }
    per_packet(start, PACKETS)
}

fn sender(offload: bool, to: std::net::SocketAddr) -> DataSocket {
    let socket = DataSocket::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, PortRange::ANY).expect("a socket");
    socket.connect(to).expect("connects");
    if !offload {
        socket.disable_offload();
    }
    socket
}

fn in_runs(sink: &UdpSocket, offload: bool, run: usize) -> f64 {
    let socket = sender(offload, sink.local_addr().expect("bound"));
    let packets = vec![7; run * STRIDE];
    let start = cpu();
    for _ in 0..PACKETS / run {
        socket.send(&packets, STRIDE).expect("sends");
    }
    per_packet(start, PACKETS / run * run)
}

/// Sends and receives in turns on one thread, so that only the receiving half is timed.
fn receive(offload: bool) -> (f64, usize) {
    let receiver = DataSocket::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, PortRange::ANY).expect("a socket");
    let socket = sender(offload, receiver.local_addr().expect("bound"));
    receiver.connect(socket.local_addr().expect("bound")).expect("connects");
    let (run, mut batch) = (vec![7; 44 * STRIDE], RecvBatch::new(16));
    let (mut spent, mut got, mut sent) = (Duration::ZERO, 0, 0);
    while sent < PACKETS {
        sent += socket.send(&run, STRIDE).expect("sends").sent;
        let start = cpu();
        let mut here = 0;
        while here < 44 && receiver.recv(&mut batch, Duration::from_millis(20)).expect("receives") > 0 {
            here += batch.packets().count();
        }
        spent += cpu() - start;
        got += here;
    }
    (spent.as_nanos() as f64 / got.max(1) as f64, sent - got)
}
