//! The driver on real sockets, against a host made of `net` and `core` alone: who may come in, what arrives, and how each
//! kind of end is told. Nothing here measures time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_client::{
    ClientClock, DialBudget, DialFailed, Dialer, EndedBy, Happening, PairError, SessionConfig, Stream, StreamError,
    StreamOptions, Target, pair,
};
use punktfunk_core::clock::echo;
use punktfunk_core::control::ControlMessage;
use punktfunk_core::fec::Strength;
use punktfunk_core::framing::{FrameReader, frame_with};
use punktfunk_core::handshake::{Hello, Start, Welcome};
use punktfunk_core::packet::{PacketBatch, UserFlags, max_frame_bytes};
use punktfunk_core::packetize::{FrameMeta, Packetizer, PacketizerConfig};
use punktfunk_core::pairing::{HostCeremony, PairMessage, RANDOM_BYTES};
use punktfunk_core::seal::{Direction, Sealer};
use punktfunk_core::{CloseCode, Codec, CodecSet, Fingerprint, Mode, Timestamp};
use punktfunk_net::Identity;
use punktfunk_net::quic::{DialError, EndpointOptions, Handshaken, Server, server_endpoint};
use punktfunk_net::udp::{DataSocket, PortRange};

const MODE: Mode = Mode { width: 640, height: 480, refresh_hz: 60 };
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct World {
    server: Server,
    host: Identity,
    dialer: Dialer,
    target: Target,
}

/// One accepted client, and the control stream it opened.
struct Client {
    handshaken: Handshaken,
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    reader: FrameReader,
}

impl World {
    fn new() -> Self {
        let host = Identity::generate(&[]).unwrap();
        let server = server_endpoint(SocketAddr::new(LOCALHOST, 0), &host, EndpointOptions::default()).unwrap();
        let port = server.local_addr().unwrap().port();
        let dialer = Dialer::new(Arc::new(Identity::generate(&[]).unwrap()));
        Self { server, host, dialer, target: Target { host: "127.0.0.1".to_owned(), port } }
    }

    /// Runs `host` for the first client that comes.
    fn serve<F>(&self, host: impl FnOnce(Client) -> F + Send + 'static) -> tokio::task::JoinHandle<()>
    where
        F: Future<Output = ()> + Send,
    {
        let server = self.server.clone();
        tokio::spawn(async move {
            let handshaken = server.accept().await.unwrap().handshake().await.unwrap();
            let (send, recv) = handshaken.connection.accept_bi().await.unwrap();
            host(Client { handshaken, send, recv, reader: FrameReader::new() }).await;
        })
    }

    async fn dial(&mut self) -> punktfunk_client::Link {
        self.dialer.dial(&self.target, Some(self.host.fingerprint()), DialBudget::default()).await.unwrap()
    }

    async fn open(&mut self) -> Result<Stream, StreamError> {
        let link = self.dial().await;
        let session = SessionConfig::new(MODE, CodecSet::only(Codec::H264), None);
        Stream::open(&link, ClientClock::start(), StreamOptions::new(session)).await
    }
}

impl Client {
    async fn read(&mut self) -> Vec<u8> {
        loop {
            if let Some(payload) = self.reader.next() {
                return payload.to_vec();
            }
            let chunk = self.recv.read_chunk(4096, true).await.unwrap().expect("the stream goes on");
            self.reader.push(&chunk.bytes);
        }
    }

    async fn write(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        frame_with(&mut bytes, encode).unwrap();
        self.send.write_all(&bytes).await.unwrap();
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.handshaken.connection.close(code.0.into(), reason.as_bytes());
    }

    /// Hello, Welcome, Start, punch; returns where video goes and how to make it.
    async fn welcome(&mut self) -> (DataSocket, Packetizer) {
        let hello = Hello::decode(&self.read().await).unwrap();
        assert_eq!(hello.mode, MODE);
        let socket = DataSocket::bind(LOCALHOST, 0, PortRange::ANY).unwrap();
        let port = socket.local_addr().unwrap().port();
        let mut welcome = Welcome::new(MODE, Codec::H264, port, [9; 16], [1, 2, 3, 4]);
        welcome.bitrate_kbps = 20_000;
        self.write(|b| welcome.encode(b)).await;
        let start = Start::decode(&self.read().await).unwrap();
        let (socket, seen) = tokio::task::spawn_blocking(move || {
            let seen = socket.wait_for_punch(LOCALHOST, Instant::now() + Duration::from_secs(10)).unwrap();
            (socket, seen)
        })
        .await
        .unwrap();
        let seen = seen.expect("a client punches");
        assert_eq!(seen.port(), start.client_udp_port);
        socket.connect(seen).unwrap();
        let shape = PacketizerConfig {
            shard_payload: welcome.shard_payload,
            max_data_per_block: welcome.max_data_per_block,
            scheme: welcome.fec_scheme,
            welcome_fec_percent: welcome.fec_percent,
            max_frame_bytes: max_frame_bytes(welcome.bitrate_kbps, MODE.refresh_hz),
        };
        let sealer = Sealer::new(punktfunk_accel::aes128_gcm(&welcome.aes_key), welcome.salt, Direction::HostToClient);
        (socket, Packetizer::new(shape, sealer, punktfunk_accel::fec(welcome.fec_scheme)).unwrap())
    }

    /// Answers what a client cannot do without until it says good-bye.
    async fn answer_clock(&mut self) {
        while let Ok(Some(chunk)) = self.recv.read_chunk(4096, true).await {
            self.reader.push(&chunk.bytes);
            let mut probes = Vec::new();
            while let Some(payload) = self.reader.next() {
                if let Ok(ControlMessage::ClockProbe { t1_ns }) = ControlMessage::decode(payload) {
                    probes.push(t1_ns);
                }
            }
            for t1_ns in probes {
                self.write(|b| echo(t1_ns, Timestamp(t1_ns), Timestamp(t1_ns)).encode(b)).await;
            }
        }
    }
}

/// Sends one access unit; says in how many packets.
fn send(socket: &DataSocket, packetizer: &mut Packetizer, au: &[u8], keyframe: bool) -> u64 {
    let flags = if keyframe { UserFlags::PICTURE | UserFlags::KEYFRAME } else { UserFlags::PICTURE };
    let meta = FrameMeta { pts_ns: 1, user_flags: flags, strength: Strength::Percent(10), probe: false };
    let mut batch = PacketBatch::default();
    packetizer.packetize(au, &meta, &mut batch).unwrap();
    socket.send(batch.packets(0..batch.len()), batch.packet_bytes()).unwrap();
    batch.len() as u64
}

#[tokio::test]
async fn units_arrive_and_both_kinds_of_good_bye_are_told() {
    for host_ends in [false, true] {
        let mut world = World::new();
        let served = world.serve(move |mut client| async move {
            let (socket, mut packetizer) = client.welcome().await;
            let sent: u64 = (0..20).map(|i| send(&socket, &mut packetizer, &vec![i; 5000], i == 0)).sum();
            if host_ends {
                // A good-bye ends the client's reading at once, so it waits for the report that everything came.
                let mut came = 0;
                while came < sent {
                    if let Ok(ControlMessage::DeliveryReport { packets_received }) =
                        ControlMessage::decode(&client.read().await)
                    {
                        came = packets_received;
                    }
                }
                client.close(CloseCode::DONE, "done");
            } else {
                client.answer_clock().await;
                let end = client.handshaken.connection.closed().await;
                assert!(matches!(end, quinn::ConnectionError::ApplicationClosed(c) if c.error_code == 0x51_u32.into()));
            }
        });
        let mut stream = world.open().await.unwrap();
        let handle = stream.handle();
        let units = tokio::task::spawn_blocking(move || {
            let mut units = Vec::new();
            while units.len() < 20
                && let Some(unit) = handle.next_unit(Duration::from_secs(20))
            {
                units.push((unit.au.index, unit.show, unit.au.data.to_vec()));
                let now = handle.now();
                handle.decoded(unit, true, now, now);
            }
            units
        });
        if host_ends {
            let end = loop {
                if let Happening::Ended(end) = stream.next().await {
                    break end;
                }
            };
            assert_eq!((end.by, end.code, end.reason.as_str()), (EndedBy::Host, Some(CloseCode::DONE), "done"));
        }
        let units = units.await.unwrap();
        assert_eq!(units.len(), 20);
        for (i, (index, show, data)) in units.into_iter().enumerate() {
            assert!(index as usize == i && show && data == vec![i as u8; 5000]);
        }
        let summary = stream.summary().unwrap();
        assert_eq!((summary.frames_received, summary.keyframes, summary.frames_lost), (20, 1, 0));
        let handle = stream.handle();
        let end = stream.close(CloseCode::QUIT).await;
        assert_eq!(end.by, if host_ends { EndedBy::Host } else { EndedBy::Us });
        assert!(handle.is_over() && handle.next_unit(Duration::from_secs(20)).is_none());
        served.await.unwrap();
    }
}

#[tokio::test]
async fn a_refusal_keeps_its_code_and_its_words() {
    for code in [CloseCode::BUSY, CloseCode::DENIED, CloseCode::SETUP_FAILED] {
        let mut world = World::new();
        let served = world.serve(move |mut client| async move {
            client.read().await;
            client.close(code, "because");
            client.handshaken.connection.closed().await;
        });
        let Err(StreamError::Ended(end)) = world.open().await else { panic!("{code} is a refusal") };
        assert!(end.is_refusal());
        assert_eq!((end.code, end.reason.as_str()), (Some(code), "because"));
        served.await.unwrap();
    }
}

#[tokio::test]
async fn a_welcome_of_no_use_is_answered_with_code_1() {
    let mut world = World::new();
    let served = world.serve(|mut client| async move {
        client.read().await;
        client.write(|b| b.extend_from_slice(b"PKF1nonsense")).await;
        let end = client.handshaken.connection.closed().await;
        assert!(matches!(end, quinn::ConnectionError::ApplicationClosed(c) if c.error_code == 1_u32.into()));
    });
    assert!(matches!(world.open().await, Err(StreamError::Session(_))));
    served.await.unwrap();
}

#[tokio::test]
async fn another_host_at_the_same_address_is_refused() {
    let mut world = World::new();
    let server = world.server.clone();
    let accepting = tokio::spawn(async move {
        while let Some(arrival) = server.accept().await {
            assert!(arrival.handshake().await.is_err());
        }
    });
    let expected = Fingerprint([3; 32]);
    let refused = world.dialer.dial(&world.target, Some(expected), DialBudget::default()).await;
    assert!(matches!(
        refused,
        Err(DialFailed::Dial(_, DialError::OtherHost { expected: e, seen })) if e == expected && seen == world.host.fingerprint()
    ));
    world.server.close(0, b"");
    accepting.await.unwrap();
}

/// The host's half of a ceremony with `pin`; says `ok` if the client's proof is right.
async fn host_pairs(mut client: Client, host: Fingerprint, pin: &'static str) {
    let us = client.handshaken.fingerprint.expect("clients show a certificate");
    let Ok(PairMessage::Request { name, spake_a, device_key: None }) = PairMessage::decode(&client.read().await) else {
        panic!("no request")
    };
    assert_eq!(name, "box");
    let ceremony = HostCeremony::respond(pin, &us, &host, &spake_a, [5; RANDOM_BYTES]).unwrap();
    let challenge = PairMessage::Challenge { spake_b: ceremony.message().to_vec(), confirm: ceremony.confirm() };
    client.write(|b| challenge.encode(b)).await;
    if let Ok(Some(chunk)) = client.recv.read_chunk(4096, true).await {
        client.reader.push(&chunk.bytes);
        if let Some(Ok(PairMessage::Proof { confirm })) = client.reader.next().map(PairMessage::decode) {
            let ok = ceremony.verify(&confirm).is_ok();
            client.write(|b| PairMessage::Result { ok }.encode(b)).await;
        }
    }
    client.handshaken.connection.closed().await;
}

#[tokio::test]
async fn pairing_works_with_the_right_pin_only() {
    for (typed, right) in [("0420", true), ("0421", false)] {
        let mut world = World::new();
        let host = world.host.fingerprint();
        let served = world.serve(move |client| host_pairs(client, host, "0420"));
        let link = world.dial().await;
        let outcome = pair(&link, world.dialer.identity(), "box", typed).await;
        assert_eq!(outcome.is_ok(), right, "{outcome:?}");
        assert!(right || matches!(outcome, Err(PairError::Ceremony(_))));
        served.await.unwrap();
    }
}

#[tokio::test]
async fn a_pairing_that_the_host_refuses_tells_why() {
    let mut world = World::new();
    let served = world.serve(|client| async move {
        client.close(CloseCode::PAIRING_NOT_ARMED, "not armed");
        client.handshaken.connection.closed().await;
    });
    let link = world.dial().await;
    let outcome = pair(&link, world.dialer.identity(), "box", "0000").await;
    assert!(matches!(outcome, Err(PairError::Ended(end)) if end.code == Some(CloseCode::PAIRING_NOT_ARMED)));
    served.await.unwrap();
}
