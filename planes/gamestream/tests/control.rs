//! The control stream over real sockets, with ENet as the client: messages both ways, ends of every kind, and bad days.

mod recorded;

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use punktfunk_gamestream::control::ControlServer;
use punktfunk_gamestream::door::{ControlBinding, SessionKey};
use punktfunk_gamestream::wire::Side;
use punktfunk_gamestream::wire::control::{ClientMessage, ControlCipher};
use punktfunk_gamestream::wire::feedback::{HostMessage, REASON_ENDED};
use recorded::{FakeControl, PATIENCE, RIKEY, Told, binding, list, unhex, vectors};
use rusty_enet::{EventNoRef, Host, HostSettings, Packet, PeerID};

const DATA: u32 = 0x89ab_cdef;

fn start(bindings: Vec<(u32, ControlBinding)>) -> (ControlServer, Receiver<Told>) {
    let (sessions, told) = FakeControl::new(bindings);
    (ControlServer::start("127.0.0.1:0".parse().unwrap(), sessions).unwrap(), told)
}

/// A client as the stock one behaves.
struct Client {
    host: Host<UdpSocket>,
    peer: PeerID,
    cipher: ControlCipher,
    sequence: u32,
}

impl Client {
    fn dial(server: SocketAddr, data: u32, v2: bool) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut host = Host::new(socket, HostSettings { peer_limit: 1, ..HostSettings::default() }).unwrap();
        let peer = host.connect(server, 48, data).unwrap().id();
        Self { host, peer, cipher: ControlCipher::new(&RIKEY, v2), sequence: 0 }
    }

    fn connect(server: SocketAddr, data: u32, v2: bool) -> Self {
        let mut client = Self::dial(server, data, v2);
        assert!(matches!(client.event(), EventNoRef::Connect { .. }));
        assert_eq!(client.host.peer(client.peer).channel_count(), 48);
        // Its acknowledgement, without which the host does not take it for connected.
        client.host.flush();
        client
    }

    /// The next thing that happens.
    fn event(&mut self) -> EventNoRef {
        self.event_within(PATIENCE).expect("something happens")
    }

    fn event_within(&mut self, patience: Duration) -> Option<EventNoRef> {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Some(event) = self.host.service().unwrap() {
                return Some(event.no_ref());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }

    fn seal(&mut self, message: &ClientMessage<'_>) -> Vec<u8> {
        let (mut text, mut packet) = (Vec::new(), Vec::new());
        message.encode(&mut text);
        self.cipher.seal(Side::Client, self.sequence, &text, &mut packet);
        self.sequence += 1;
        packet
    }

    fn say(&mut self, channel: u8, message: &ClientMessage<'_>) {
        let packet = self.seal(message);
        self.raw(channel, &packet);
    }

    fn raw(&mut self, channel: u8, packet: &[u8]) {
        let peer = self.peer;
        self.host.peer_mut(peer).send(channel, &Packet::reliable(packet)).unwrap();
        self.host.flush();
    }

    /// The next message of the host, and its sequence.
    fn hear(&mut self) -> (u32, HostMessage) {
        let EventNoRef::Receive { packet, channel_id: 0, .. } = self.event() else { panic!("a message") };
        let mut scratch = Vec::new();
        let (sequence, text) = self.cipher.open(Side::Host, packet.data(), &mut scratch).unwrap();
        (sequence, HostMessage::decode(text).unwrap().expect("a message of the host"))
    }
}

fn next(told: &Receiver<Told>) -> Told {
    told.recv_timeout(PATIENCE).expect("the sessions hear something")
}

/// Waits for one thing among others, while `client` sends again what was lost.
fn wait_for(told: &Receiver<Told>, client: &mut Client, wanted: &Told) {
    let until = Instant::now() + PATIENCE;
    loop {
        let event = client.event_within(Duration::from_millis(5));
        assert!(!matches!(event, Some(EventNoRef::Disconnect { .. })), "disconnected");
        if told.try_iter().any(|t| t == *wanted) {
            return;
        }
        assert!(Instant::now() < until, "{wanted:?} never came");
    }
}

fn message(session: u64, text: &str) -> Told {
    Told::Message(SessionKey(session), text.into())
}

#[test]
fn messages_go_both_ways_in_both_variants() {
    for v2 in [true, false] {
        let (server, told) = start(vec![(DATA, binding(7, v2))]);
        let mut client = Client::connect(server.local_addr(), DATA, v2);
        let Told::Connected { data: DATA, peer, local } = next(&told) else { panic!("connected") };
        assert_eq!(peer.port(), client.host.socket().local_addr().unwrap().port());
        assert_eq!(local, Some(server.local_addr().ip()));
        client.say(0, &ClientMessage::Keyframe);
        client.say(0, &ClientMessage::Started);
        assert_eq!([next(&told), next(&told)], [message(7, "Keyframe"), message(7, "Started")]);
        // Channels up to a sixteenth pad's motion, delivered in any order of their sequences.
        for channel in [0x2f, 0x1f, 0x06] {
            client.say(channel, &ClientMessage::Input(&[channel]));
            assert_eq!(next(&told), message(7, &format!("Input([{channel}])")));
        }
        let handle = server.handle();
        for (sequence, low) in [(0, 5), (1, 6)] {
            let rumble = HostMessage::Rumble { pad: 1, low, high: 2 };
            handle.send(SessionKey(7), rumble);
            assert_eq!(client.hear(), (sequence, rumble));
        }
        handle.send(SessionKey(8), HostMessage::Rumble { pad: 0, low: 1, high: 1 });
        handle.terminate(SessionKey(7), REASON_ENDED);
        assert_eq!(client.hear(), (2, HostMessage::Termination { reason: REASON_ENDED }));
        assert!(matches!(client.event(), EventNoRef::Disconnect { .. }), "a moment later it is disconnected");
        drop(server);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [], "the sessions know of what they ended themselves");
    }
}

#[test]
fn the_recorded_datagrams_connect() {
    let (server, told) = start(vec![(DATA, binding(1, true))]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(server.local_addr()).unwrap();
    let all = vectors("enet_handshake.json");
    let mut datagrams: Vec<_> = list(&all["datagrams"])
        .iter()
        .filter(|d| d["direction"] == "c2h")
        .map(|d| unhex(d["hex"].as_str().unwrap()))
        .collect();
    let mut answer = [0; 256];
    socket.send(&datagrams[0]).unwrap();
    let len = socket.recv(&mut answer).unwrap();
    let recorded = unhex(list(&all["datagrams"])[1]["hex"].as_str().unwrap());
    assert_eq!(len, recorded.len());
    // The two bytes of the time when it was sent are its own.
    assert_eq!((&answer[..2], &answer[4..len]), (&recorded[..2], &recorded[4..]));
    // The client echoes that time.
    datagrams[1][10..12].copy_from_slice(&answer[2..4]);
    for datagram in &datagrams[1..] {
        socket.send(datagram).unwrap();
    }
    assert!(matches!(next(&told), Told::Connected { data: DATA, .. }));
    let inputs = [&b"\x00\x00\x00\x06\x0d\0\0\0\x01\0"[..], b"\x00\x00\x00\x08\x07\0\0\0\0\x01\0\x01"];
    let expected = ["Keyframe".into(), "Started".into(), "Ping".into()];
    for text in expected.into_iter().chain(inputs.map(|input| format!("Input({input:?})"))) {
        assert_eq!(next(&told), message(1, &text));
    }
}

#[test]
fn who_nobody_waits_for_is_disconnected_at_once() {
    let (server, told) = start(vec![(DATA, binding(1, true))]);
    let mut stranger = Client::dial(server.local_addr(), 1, true);
    let mut events = vec![];
    while !matches!(events.last(), Some(EventNoRef::Disconnect { .. })) {
        events.push(stranger.event());
    }
    assert!(told.try_recv().is_err());
}

#[test]
fn a_client_that_leaves_is_told_of_once_and_its_secret_has_served() {
    let (server, told) = start(vec![(DATA, binding(1, true))]);
    let mut client = Client::connect(server.local_addr(), DATA, true);
    assert!(matches!(next(&told), Told::Connected { .. }));
    let recorded = client.seal(&ClientMessage::Input(&[1]));
    client.raw(3, &recorded);
    assert_eq!(next(&told), message(1, "Input([1])"));
    let peer = client.peer;
    client.host.peer_mut(peer).disconnect_later(0);
    assert!(matches!(client.event(), EventNoRef::Disconnect { .. }), "acknowledged");
    assert_eq!(next(&told), Told::Disconnected(SessionKey(1)));
    // Somebody who recorded all of it.
    let mut thief = Client::dial(server.local_addr(), DATA, true);
    assert!(matches!(thief.event(), EventNoRef::Connect { .. }));
    thief.raw(3, &recorded);
    assert!(matches!(thief.event(), EventNoRef::Disconnect { .. }));
    drop(server);
    let rest: Vec<_> = told.try_iter().filter(|t| !matches!(t, Told::Connected { .. })).collect();
    assert_eq!(rest, []);
}

#[test]
fn a_resumed_session_takes_its_new_secret() {
    let resumed = ControlBinding { rikey: [9; 16], ..binding(1, true) };
    let (server, told) = start(vec![(1, binding(1, true)), (2, resumed)]);
    let mut old = Client::connect(server.local_addr(), 1, true);
    assert!(matches!(next(&told), Told::Connected { data: 1, .. }));
    let mut new = Client::connect(server.local_addr(), 2, true);
    new.cipher = ControlCipher::new(&[9; 16], true);
    assert!(matches!(next(&told), Told::Connected { data: 2, .. }));
    assert!(matches!(old.event(), EventNoRef::Disconnect { .. }));
    new.say(0, &ClientMessage::Started);
    assert_eq!(next(&told), message(1, "Started"));
    server.handle().send(SessionKey(1), HostMessage::Hdr(None));
    assert_eq!(new.hear(), (0, HostMessage::Hdr(None)), "a new secret counts from 0");
}

#[test]
fn packets_that_came_before_or_from_others_are_dropped() {
    let (server, told) = start(vec![(DATA, binding(1, true))]);
    let mut client = Client::connect(server.local_addr(), DATA, true);
    assert!(matches!(next(&told), Told::Connected { .. }));
    let once = client.seal(&ClientMessage::Input(&[1]));
    let mut forged = client.seal(&ClientMessage::Input(&[2]));
    forged[10] ^= 1;
    let plain = [2, 3, 2, 0, 0, 0];
    for packet in [&once[..], &once, &forged, &plain, &[], &[1, 0, 255, 255], &[0; 2000]] {
        client.raw(3, packet);
    }
    client.say(3, &ClientMessage::Ping);
    assert_eq!([next(&told), next(&told)], [message(1, "Input([1])"), message(1, "Ping")]);
}

#[test]
fn a_session_that_panics_loses_its_client_and_nobody_else_does() {
    let other = ControlBinding { session: SessionKey(2), ..binding(2, true) };
    let (server, told) = start(vec![(1, binding(1, true)), (2, other)]);
    let mut first = Client::connect(server.local_addr(), 1, true);
    let mut second = Client::connect(server.local_addr(), 2, true);
    assert!(matches!((next(&told), next(&told)), (Told::Connected { .. }, Told::Connected { .. })));
    first.say(0, &ClientMessage::Unknown(0xdead));
    assert!(matches!(first.event(), EventNoRef::Disconnect { .. }));
    assert_eq!(next(&told), Told::Disconnected(SessionKey(1)));
    second.say(0, &ClientMessage::Ping);
    assert_eq!(next(&told), message(2, "Ping"));
}

#[test]
fn stopping_says_goodbye() {
    let (server, told) = start(vec![(DATA, binding(1, true))]);
    let mut client = Client::connect(server.local_addr(), DATA, true);
    assert!(matches!(next(&told), Told::Connected { .. }));
    // ENet forgets what was not read when a disconnect comes, so the client listens meanwhile.
    let stopping = std::thread::spawn(move || drop(server));
    assert_eq!(client.hear().1, HostMessage::Termination { reason: REASON_ENDED });
    assert!(matches!(client.event(), EventNoRef::Disconnect { .. }));
    stopping.join().unwrap();
}

#[test]
fn a_silent_client_is_given_up_after_ten_seconds() {
    let (server, told) = start(vec![(DATA, binding(1, true))]);
    let mut client = Client::connect(server.local_addr(), DATA, true);
    assert!(matches!(next(&told), Told::Connected { .. }));
    // Its ENet lives and acknowledges, but nothing authentic comes: that is not enough.
    assert!(matches!(client.event(), EventNoRef::Disconnect { .. }));
    assert_eq!(next(&told), Told::Disconnected(SessionKey(1)));
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[test]
fn junk_and_floods_of_strangers_lock_nobody_out() {
    let other = ControlBinding { session: SessionKey(2), ..binding(2, true) };
    let (server, told) = start(vec![(1, binding(1, true)), (2, other)]);
    let mut client = Client::connect(server.local_addr(), 1, true);
    assert!(matches!(next(&told), Told::Connected { .. }));
    let all = vectors("enet_handshake.json");
    let seeds: Vec<_> = list(&all["datagrams"]).iter().map(|d| unhex(d["hex"].as_str().unwrap())).collect();
    let mut state = 1;
    // Everybody on loopback is one source, so these strangers come from addresses of their own.
    let strangers: Vec<_> = (1..=200)
        .map(|n| {
            let socket = UdpSocket::bind((std::net::Ipv4Addr::new(127, 0, 1, n), 0)).unwrap();
            socket.connect(server.local_addr()).unwrap();
            socket
        })
        .collect();
    for round in 0..20_000_usize {
        let mut datagram = seeds[random(&mut state) as usize % seeds.len()].clone();
        if round % 4 == 0 {
            // A connection that is never finished.
            datagram = seeds[0].clone();
            datagram[44..48].copy_from_slice(&(random(&mut state) as u32).to_be_bytes());
        } else {
            for _ in 0..1 + random(&mut state) % 4 {
                let at = random(&mut state) as usize % datagram.len();
                datagram[at] = random(&mut state) as u8;
            }
            datagram.truncate(1 + random(&mut state) as usize % datagram.len());
        }
        // A full buffer or a refused datagram is what floods are like.
        let _ = strangers[round % strangers.len()].send(&datagram);
        if round % 2000 == 1999 {
            client.say(3, &ClientMessage::Ping);
            wait_for(&told, &mut client, &message(1, "Ping"));
        }
    }
    // Strangers who know what a client will say take every place, but answer nothing.
    for stranger in &strangers {
        for _ in 0..20 {
            let mut datagram = seeds[0].clone();
            datagram[44..48].copy_from_slice(&(random(&mut state) as u32).to_be_bytes());
            datagram[48..52].copy_from_slice(&2_u32.to_be_bytes());
            let _ = stranger.send(&datagram);
        }
    }
    let mut late = Client::connect(server.local_addr(), 2, true);
    late.say(0, &ClientMessage::Started);
    wait_for(&told, &mut late, &message(2, "Started"));
}

#[test]
fn a_connected_peer_that_sends_junk_harms_only_itself() {
    let other = ControlBinding { session: SessionKey(2), ..binding(2, true) };
    let (server, told) = start(vec![(1, binding(1, true)), (2, other)]);
    let mut good = Client::connect(server.local_addr(), 1, true);
    let bad = Client::connect(server.local_addr(), 2, true);
    assert!(matches!((next(&told), next(&told)), (Told::Connected { .. }, Told::Connected { .. })));
    // From the peer's own address, so that ENet takes it for the peer: every command, mutated.
    let socket = bad.host.socket().try_clone().unwrap();
    let mut state = 7;
    for _ in 0..30_000_usize {
        let mut datagram = vec![0x80, 0x01, 0, 0];
        datagram[0] |= (random(&mut state) as u8 & 3) << 4;
        for _ in 0..1 + random(&mut state) % 4 {
            let command = (random(&mut state) % 13) as u8 | [0, 0x40, 0x80][random(&mut state) as usize % 3];
            // Never a disconnect: then there would be nothing left to break.
            let command = if command & 15 == 4 { 6 } else { command };
            datagram.extend([command, random(&mut state) as u8 % 50]);
            for _ in 0..2 + random(&mut state) % 24 {
                datagram.push([0, 1, 0xff, random(&mut state) as u8][random(&mut state) as usize % 4]);
            }
        }
        let _ = socket.send_to(&datagram, server.local_addr());
    }
    good.say(3, &ClientMessage::Ping);
    wait_for(&told, &mut good, &message(1, "Ping"));
}
