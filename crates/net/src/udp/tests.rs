//! The data socket against itself over loopback: with offload, without, over both families, and on bad days.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant};

use super::*;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn pair(ip: IpAddr) -> (DataSocket, DataSocket) {
    let (a, b) = (DataSocket::bind(ip, 0, PortRange::ANY).unwrap(), DataSocket::bind(ip, 0, PortRange::ANY).unwrap());
    a.connect(b.local_addr().unwrap()).unwrap();
    b.connect(a.local_addr().unwrap()).unwrap();
    (a, b)
}

/// Packets that tell where they belong: the index, then bytes derived from it.
fn run_of(packets: usize, stride: usize) -> Vec<u8> {
    (0..packets)
        .flat_map(|i| {
            let mut packet = vec![(i % 251) as u8; stride];
            packet[..4].copy_from_slice(&(i as u32).to_le_bytes());
            packet
        })
        .collect()
}

/// Receives until `count` packets came or nothing comes any more.
fn receive(socket: &DataSocket, count: usize) -> Vec<Vec<u8>> {
    let mut batch = RecvBatch::new(8);
    let mut got = Vec::new();
    while got.len() < count && socket.recv(&mut batch, Duration::from_secs(5)).unwrap() > 0 {
        got.extend(batch.packets().map(|p| {
            assert!(!p.truncated);
            p.bytes.to_vec()
        }));
    }
    got
}

#[test]
fn runs_arrive_whole_and_in_order_with_and_without_offload() {
    for ip in [V4, V6] {
        for stride in [64, 1452, 1472, 9000] {
            for offload in [true, false] {
                let (sender, receiver) = pair(ip);
                if !offload {
                    sender.disable_offload();
                }
                // More than one offloaded send and more than one sendmmsg call.
                let run = run_of(150, stride);
                // A slow machine must not lose anything to a full receive buffer: read between the groups.
                let mut got = Vec::new();
                for group in run.chunks(50 * stride) {
                    let report = sender.send(group, stride).unwrap();
                    assert_eq!(report, SendReport { sent: 50, dropped: 0 });
                    got.extend(receive(&receiver, 50));
                }
                let expected: Vec<_> = run.chunks(stride).map(<[u8]>::to_vec).collect();
                assert!(got == expected, "{ip} {stride} offload {offload}: {} of 150 packets", got.len());
                assert_eq!(sender.uses_offload(), offload, "loopback takes segmented sends");
            }
        }
    }
}

#[test]
fn a_changing_stride_changes_the_segments() {
    let (sender, receiver) = pair(V4);
    for stride in [1472, 1200, 1472] {
        sender.send(&run_of(10, stride), stride).unwrap();
        let got = receive(&receiver, 10);
        assert_eq!(got.len(), 10);
        assert!(got.iter().all(|p| p.len() == stride));
    }
}

#[test]
fn a_refused_offload_falls_back_within_the_same_send() {
    let (sender, receiver) = pair(V4);
    // Linux refuses segmentation on a socket that sends without checksums.
    sys::send_without_checksum(std::os::fd::AsFd::as_fd(sender.socket())).unwrap();
    let run = run_of(60, 1472);
    assert_eq!(sender.send(&run, 1472).unwrap(), SendReport { sent: 60, dropped: 0 });
    assert!(!sender.uses_offload(), "the refusal must have been seen");
    let expected: Vec<_> = run.chunks(1472).map(<[u8]>::to_vec).collect();
    assert!(receive(&receiver, 60) == expected);
}

#[test]
fn what_is_not_a_whole_packet_is_not_sent() {
    let (sender, receiver) = pair(V4);
    assert_eq!(sender.send(&[0; 99], 100).unwrap(), SendReport::default());
    assert_eq!(sender.send(&[0; 99], 0).unwrap(), SendReport::default());
    assert_eq!(sender.send(&[7; 250], 100).unwrap(), SendReport { sent: 2, dropped: 0 });
    assert_eq!(receive(&receiver, 2), vec![vec![7; 100]; 2]);
}

#[test]
fn a_peer_that_is_gone_costs_packets_not_the_socket() {
    // Below the range that the system hands out: the port must not be somebody else's when the peer comes back.
    let receiver = DataSocket::bind(V4, 0, PortRange::new(32_000, 32_700).unwrap()).unwrap();
    let address = receiver.local_addr().unwrap();
    let sender = DataSocket::bind(V4, 0, PortRange::ANY).unwrap();
    sender.connect(address).unwrap();
    drop(receiver);
    for _ in 0..20 {
        let report = sender.send(&run_of(40, 1472), 1472).unwrap();
        assert_eq!(report.sent + report.dropped, 40);
    }
    let mut batch = RecvBatch::new(1);
    assert_eq!(sender.recv(&mut batch, Duration::from_millis(1)).unwrap(), 0);
    // Back again at the same port.
    let back = UdpSocket::bind(address).unwrap();
    back.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    while sender.send(&[1; 10], 10).unwrap().sent == 0 {}
    let mut buffer = [0; 16];
    assert_eq!(back.recv(&mut buffer).unwrap(), 10);
}

#[test]
fn a_punch_counts_only_from_the_clients_address() {
    let host = DataSocket::bind(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0, PortRange::ANY).unwrap();
    let port = host.local_addr().unwrap().port();
    let neighbour = UdpSocket::bind("127.0.0.2:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    neighbour.send_to(PUNCH, (V4, port)).unwrap();
    client.send_to(b"PFpunch", (V4, port)).unwrap();
    client.send_to(&[], (V4, port)).unwrap();
    client.send_to(&[0xc9; 2000], (V4, port)).unwrap();
    let soon = Instant::now() + Duration::from_millis(50);
    assert_eq!(host.wait_for_punch(V4, soon).unwrap(), None);
    neighbour.send_to(PUNCH, (V4, port)).unwrap();
    client.send_to(b"PFpunch1 and whatever follows", (V4, port)).unwrap();
    let later = Instant::now() + Duration::from_secs(10);
    assert_eq!(host.wait_for_punch(V4, later).unwrap(), Some(client.local_addr().unwrap()));
}

#[test]
fn after_connecting_only_the_peer_is_heard_and_discarding_empties_the_queue() {
    let (host, client) = pair(V4);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(b"hello", host.local_addr().unwrap()).unwrap();
    for _ in 0..10 {
        client.send_one(PUNCH).unwrap();
    }
    host.discard_received();
    client.send_one(b"after").unwrap();
    assert_eq!(receive(&host, 1), [b"after".to_vec()]);
}

#[test]
fn a_port_range_is_kept_to_and_can_be_full() {
    let taken = (20_000..32_000).find_map(|port| UdpSocket::bind(("127.0.0.1", port)).ok()).expect("a free port");
    let port = taken.local_addr().unwrap().port();
    let only: PortRange = port.to_string().parse().unwrap();
    let error = DataSocket::bind(V4, 0, only).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    drop(taken);
    assert_eq!(DataSocket::bind(V4, 0, only).unwrap().local_addr().unwrap().port(), port);
}

#[test]
fn video_to_a_private_address_is_marked_cs5() {
    for ip in [V4, V6] {
        let (sender, _receiver) = pair(ip);
        let socket = socket2::SockRef::from(sender.socket());
        let mark = if ip.is_ipv4() { socket.tos_v4() } else { socket.tclass_v6() };
        assert_eq!(mark.unwrap(), 0xa0);
    }
}
