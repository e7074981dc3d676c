//! Both ports over loopback.

use std::net::UdpSocket;
use std::time::Instant;

use punktfunk_core::packet::PacketBatch;
use punktfunk_engine::link::DatagramSink as _;

use super::*;
use crate::wire::audio::AudioOut as _;
use crate::wire::ping::Ping;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn start(ip: Option<IpAddr>) -> MediaPorts {
    MediaPorts::start(&MediaPortsConfig { ip, video_port: 0, audio_port: 0 }).expect("free ports")
}

fn tag(ping: &[u8; 16]) -> SessionTag {
    SessionTag { ping: *ping, legacy: false, peer: LOOPBACK, mark_video: true, mark_audio: true }
}

struct Client(UdpSocket);

impl Client {
    fn new(ip: IpAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).expect("a port");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        Self(socket)
    }

    fn ping(&self, to: (IpAddr, u16), payload: &[u8; 16], counter: u32) {
        let mut bytes = Vec::new();
        Ping::Tagged { payload: *payload, counter }.encode(&mut bytes);
        self.0.send_to(&bytes, to).expect("sent");
    }

    fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2048];
        let (len, from) = self.0.recv_from(&mut buffer).expect("a datagram");
        (buffer[..len].to_vec(), from)
    }
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn batch(packets: usize, mark: u8) -> PacketBatch {
    let mut batch = PacketBatch::new();
    batch.reset(1424, packets).fill(mark);
    batch
}

#[test]
fn sessions_are_told_apart_and_answered_from_the_address_they_used() {
    let ports = start(None);
    let (one, two) = (b"one-------------", b"two-------------");
    let (mut a, mut b) = (ports.register(&tag(one)), ports.register(&tag(two)));
    assert_eq!(a.video.send(&batch(3, 1), 0..3).expect("nobody there yet"), 0);
    assert!(!a.audio.is_ready());

    let clients = [Client::new(LOOPBACK), Client::new(LOOPBACK)];
    let addresses = [LOOPBACK, IpAddr::from([127, 0, 0, 3])];
    clients[0].ping((addresses[0], ports.video_port()), one, 1);
    clients[1].ping((addresses[1], ports.video_port()), two, 1);
    wait("both", || a.pings.now().video.is_some() && b.pings.now().video.is_some());
    assert_eq!(a.pings.now().video, clients[0].0.local_addr().ok());
    assert_eq!(a.pings.now().audio, None);
    for (registration, mark) in [(&mut a, 1), (&mut b, 2)] {
        assert_eq!(registration.video.send(&batch(10, mark), 2..9).expect("sent"), 7);
    }
    for (client, (address, mark)) in clients.iter().zip([(addresses[0], 1), (addresses[1], 2)]) {
        for _ in 0..7 {
            assert_eq!(client.receive(), (vec![mark; 1424], SocketAddr::new(address, ports.video_port())));
        }
    }

    clients[1].ping((addresses[1], ports.audio_port()), two, 1);
    wait("sound", || b.audio.is_ready());
    b.audio.send(b"sound").expect("sent");
    assert_eq!(clients[1].receive(), (b"sound".to_vec(), SocketAddr::new(addresses[1], ports.audio_port())));
}

#[test]
fn a_client_that_moves_takes_its_stream_along_and_junk_does_not() {
    let ports = start(Some(LOOPBACK));
    let payload = b"0123456789abcdef";
    let mut session = ports.register(&tag(payload));
    let (old, new, stranger) = (Client::new(LOOPBACK), Client::new(LOOPBACK), Client::new(LOOPBACK));
    let to = (LOOPBACK, ports.video_port());
    old.ping(to, payload, 1);
    wait("the first", || session.pings.now().video == old.0.local_addr().ok());
    for junk in [&b""[..], b"PING", b"0123456789abcdef", &[0xff; 20], &[7; 60_000], payload] {
        stranger.0.send_to(junk, to).expect("sent");
    }
    stranger.ping(to, payload, 1);
    stranger.ping(to, b"0123456789abcdeF", 9);
    new.ping(to, payload, 2);
    wait("the move", || session.pings.now().video == new.0.local_addr().ok());
    assert_eq!(session.video.send(&batch(1, 5), 0..1).expect("sent"), 1);
    assert_eq!(new.receive().0, vec![5; 1424]);

    let Registration { mut video, pings, .. } = session;
    drop(pings);
    assert_eq!(video.send(&batch(1, 5), 0..1).expect("nothing"), 0, "ended");
    assert_eq!(ports.table.len(), 0);
}

#[test]
fn waiting_for_the_first_ping_can_be_given_up_and_taken_up() {
    let ports = start(Some(LOOPBACK));
    let payload = b"0123456789abcdef";
    let mut session = ports.register(&tag(payload));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let soon = tokio::time::timeout(Duration::from_millis(20), session.pings.video()).await;
        assert!(soon.is_err());
        let client = Client::new(LOOPBACK);
        client.ping((LOOPBACK, ports.video_port()), payload, 1);
        let peer = tokio::time::timeout(Duration::from_secs(30), session.pings.video()).await;
        assert_eq!(peer.ok(), client.0.local_addr().ok());
    });
}

#[test]
fn a_taken_port_is_named_and_closing_frees_both() {
    // Below the range that the system hands out: nobody takes them in between.
    let config = |port| MediaPortsConfig { ip: Some(LOOPBACK), video_port: port, audio_port: port + 1 };
    let try_port = |port| MediaPorts::start(&config(port)).ok().map(|ports| (config(port), ports));
    let (config, ports) = (21_000..32_000).step_by(2).find_map(try_port).expect("two free ports");
    let error = MediaPorts::start(&config).expect_err("taken");
    assert_eq!(error.reason.code, "gamestream.media_socket");
    assert!(error.detail.contains(&config.video_port.to_string()), "{}", error.detail);
    drop(ports);
    let again = MediaPorts::start(&config).expect("free again");
    assert_eq!((again.video_port(), again.audio_port()), (config.video_port, config.audio_port));
}
