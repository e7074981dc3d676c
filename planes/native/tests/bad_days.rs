//! Clients that misbehave, vanish, come back at once or fight: each ends with its reason, and nobody else suffers.

mod common;

use std::sync::LazyLock;
use std::time::Duration;

use common::{HD, Options, RawClient, TestHost, client_identity, connect_from, hello, receive, until};
use punktfunk_core::control::ControlMessage;
use punktfunk_core::{CloseCode, Codec, Grants};
use punktfunk_engine::pads::PadPolicy;
use punktfunk_media::fake::{EncoderScript, FakeEncoderFactory, FakePads, PadCall};

/// Bytes that look random and are the same in every run.
fn garbage(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(len)
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_every_port_disturbs_no_session() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    host.trust(&identity, Grants::ALL);
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    let video = client.start_session(&hello()).await;
    let (video, before) = receive(video, 5).await;

    // The QUIC port and the video port, from the same address and from another, in every size.
    let data = std::net::SocketAddr::new(host.address.ip(), video.welcome.udp_port);
    for from in ["127.0.0.1:0", "127.0.0.2:0"] {
        let stranger = std::net::UdpSocket::bind(from).unwrap();
        for (seed, len) in [0, 1, 7, 8, 20, 24, 64, 1200, 1472, 1473, 9000, 65_507].into_iter().enumerate() {
            for port in [host.address, data] {
                stranger.send_to(&garbage(seed as u64, len), port).unwrap();
                // A long header of a version that nobody speaks, too.
                let mut initial = garbage(seed as u64 + 99, len);
                if let Some(first) = initial.first_mut() {
                    *first = 0xc3;
                }
                stranger.send_to(&initial, port).unwrap();
            }
        }
    }
    // The client's own control stream and datagrams: unknown types, truncated and oversized ones.
    for message in [&b""[..], b"P", b"PKFc", b"PKFc\xff", b"PKFc\x01", b"PKF1aaaaaaaaaaaaaaaaaaaaaaaaaa", &[0; 65_535]]
    {
        client.say_bytes(message).await;
    }
    for (seed, len) in [0, 1, 17, 18, 19, 100, 1100].into_iter().enumerate() {
        let mut datagram = garbage(seed as u64, len);
        for tag in [0xc8, 0xcb, 0xcc, 0xff] {
            if let Some(first) = datagram.first_mut() {
                *first = tag;
            }
            let _ = client.connection.send_datagram(datagram.clone().into());
        }
    }
    client.control(ControlMessage::ClockProbe { t1_ns: 42 }).await;
    client.hear_control(|m| matches!(m, ControlMessage::ClockEcho { t1_ns: 42, .. }).then_some(())).await;
    let (_video, after) = receive(video, 20).await;
    assert!(after[0].index > before[4].index && after.windows(2).all(|w| w[1].index == w[0].index + 1));
    host.stop().await;
}

/// Input of every kind with every content, as fast as it goes: keys, buttons, fingers, a pen, pads that come and go. The
/// session lives, others keep their devices, and when the client has gone nothing is held and nothing is plugged in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_senseless_input_leaves_nothing_held() {
    static PADS: LazyLock<FakePads> = LazyLock::new(FakePads::new);
    let config = |config: &mut punktfunk_native::NativeConfig| {
        let factory = std::sync::Arc::new(PADS.clone());
        config.pads = Some(punktfunk_native::NativePads { factory, policy: PadPolicy::Auto });
    };
    let host = TestHost::start(Options { config, ..Options::default() });
    let identity = client_identity();
    host.trust(&identity, Grants::ALL);
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    let video = client.start_session(&hello()).await;
    let (video, _) = receive(video, 1).await;
    let mut random = garbage(11, 64 * FLOOD).into_iter();
    let mut next = || random.next().expect("enough");
    for round in 0..FLOOD {
        // Numbers are small, so that they mean something more often than not.
        let small: Vec<u8> = (0..16).map(|at| next() & if at % 4 == 0 { 15 } else { 1 }).collect();
        let datagram = if next() % 4 > 0 {
            [&[0xc8, next() % 20][..], &small].concat()
        } else {
            let rest: Vec<u8> = (0..next() % 30).map(|_| next()).collect();
            [&[0xcc, next() % 7, next() % 17][..], &rest].concat()
        };
        // QUIC drops what it has no room for: that is a kind of loss, too.
        let _ = client.connection.send_datagram(datagram.into());
        if round % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    client.control(ControlMessage::ClockProbe { t1_ns: 43 }).await;
    client.hear_control(|m| matches!(m, ControlMessage::ClockEcho { t1_ns: 43, .. }).then_some(())).await;
    let (_video, units) = receive(video, 10).await;
    assert_eq!(units.len(), 10);
    let recording = host.desktop.recording();
    until(|| recording.actions().len() >= 100).await;
    client.connection.close(CloseCode::QUIT.0.into(), b"");
    until(|| host.hub.admission().sessions().is_empty()).await;
    let mut last: std::collections::HashMap<(u8, u32), bool> = std::collections::HashMap::new();
    for action in recording.actions() {
        use punktfunk_media::InputAction as Do;
        let (what, down) = match action {
            Do::Key { code, down } => ((0, code.into()), down),
            Do::Button { code, down } => ((1, code.into()), down),
            Do::TouchDown { id, .. } => ((2, id), true),
            Do::TouchUp { id } => ((2, id), false),
            Do::Pen(sample) => ((3, 0), sample.state.0 & 3 != 0),
            _ => continue,
        };
        last.insert(what, down);
    }
    assert!(last.values().all(|down| !down), "held: {last:?}");
    let calls = PADS.calls();
    let mut there = [None; 16];
    for call in &calls {
        match call {
            PadCall::Plug(slot, _) => there[usize::from(*slot)] = Some(true),
            PadCall::Unplug(slot) => there[usize::from(*slot)] = Some(false),
            PadCall::Apply(..) => {}
        }
    }
    assert!(there.contains(&Some(false)), "some were understood");
    assert!(!there.contains(&Some(true)), "plugged in: {there:?}");
    host.stop().await;
}

/// Inputs of [`a_flood_of_senseless_input_leaves_nothing_held`].
const FLOOD: usize = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_and_reflected_packets_are_worth_nothing() {
    let host = TestHost::start(Options::open());
    let mut client = RawClient::connect(host.address, None).await;
    let video = client.start_session(&hello()).await;
    let (video, _) = receive(video, 3).await;
    // What the host sent, sent back to it: it discards everything, and goes on.
    let mut batch = punktfunk_net::udp::RecvBatch::new(4);
    assert!(video.socket.recv(&mut batch, Duration::from_secs(10)).unwrap() > 0);
    let captured: Vec<Vec<u8>> = batch.packets().map(|p| p.bytes.to_vec()).collect();
    for packet in &captured {
        video.socket.send_one(packet).unwrap();
    }
    let (_video, after) = receive(video, 10).await;
    assert_eq!(after.len(), 10);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_messages_that_make_no_sense_are_refused() {
    let host = TestHost::start(Options::open());
    for first in [&b""[..], b"x", b"PKF1", b"PKF1\x02\0\0\0", b"PKFc\x03", b"PKFc\x10", b"PKFc\x12", &[0xff; 65_535]] {
        let mut client = RawClient::connect(host.address, Some(&client_identity())).await;
        client.say_bytes(first).await;
        let closed = client.closed().await;
        assert_eq!(closed.code, u64::from(CloseCode::SETUP_FAILED.0), "{closed:?}");
        assert!(closed.text.starts_with("native.handshake_invalid"), "{closed:?}");
    }
    // And a Start that is none.
    let mut client = RawClient::connect(host.address, None).await;
    assert!(client.hello(&hello()).await.is_some());
    client.say_bytes(b"PKF1").await;
    assert!(client.closed().await.text.starts_with("native.handshake_invalid"));
    until(|| host.hub.admission().sessions().is_empty()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_comes_again_replaces_itself_at_once() {
    let host = TestHost::start(Options { max_sessions: 1, ..Options::default() });
    let identity = client_identity();
    host.trust(&identity, Grants::ALL);
    let mut older = RawClient::connect(host.address, Some(&identity)).await;
    let video = older.start_session(&hello()).await;
    receive(video, 1).await;
    // It vanished without a word and is back before anybody noticed; the only slot is its own.
    let mut newer = RawClient::connect(host.address, Some(&identity)).await;
    let video = newer.start_session(&hello()).await;
    assert_eq!(receive(video, 3).await.1.len(), 3);
    let closed = older.closed().await;
    assert_eq!(closed.code, u64::from(CloseCode::SUPERSEDED.0));
    assert!(closed.text.starts_with("native.replaced"), "{closed:?}");
    assert_eq!(host.desktop.opened_stages(), 1, "it gets its own display back");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_of_one_name_stay_two_devices() {
    let host = TestHost::start(Options::default());
    let (first, second) = (client_identity(), client_identity());
    host.trust(&first, Grants::ALL);
    host.trust(&second, Grants::ALL);
    assert_eq!(host.hub.trust().list().len(), 2, "the name is the same, the identities are not");
    let mut one = RawClient::connect(host.address, Some(&first)).await;
    let mut other = RawClient::connect(host.address, Some(&second)).await;
    let (video, of_other) = (one.start_session(&hello()).await, other.start_session(&hello()).await);
    let (video, _) = receive(video, 2).await;
    receive(of_other, 2).await;
    assert_eq!(host.desktop.opened_stages(), 2, "each has its own display");
    // A third takes the name while it is in use; the operator's answer to one is no answer to the others.
    let mut third = RawClient::connect(host.address, Some(&client_identity())).await;
    third.say(|out| hello().encode(out)).await;
    until(|| host.hub.pairing().pending().len() == 1).await;
    host.hub.trust().revoke(&punktfunk_hub::trust::short_id(&second.fingerprint())).unwrap();
    assert_eq!(other.closed().await.code, u64::from(CloseCode::ACCESS_ENDED.0));
    receive(video, 5).await;
    assert!(one.connection.close_reason().is_none() && third.connection.close_reason().is_none());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_house_says_who_is_in_it_and_a_silent_guest_loses_its_place() {
    let host = TestHost::start(Options { max_sessions: 1, ..Options::default() });
    let (first, second) = (client_identity(), client_identity());
    host.trust(&first, Grants::ALL);
    host.trust(&second, Grants::ALL);
    let mut guest = RawClient::connect(host.address, Some(&first)).await;
    let video = guest.start_session(&hello()).await;
    receive(video, 1).await;
    let closed = RawClient::connect(host.address, Some(&second)).await.refused(&hello()).await;
    assert_eq!(closed.code, u64::from(CloseCode::BUSY.0));
    assert!(closed.text.starts_with("hub.busy") && closed.text.contains("test client"), "{closed:?}");
    host.stop().await;
}

#[test]
fn a_guest_that_fell_silent_loses_its_place_to_a_newcomer() {
    // The silent guest lives on a runtime of its own, which then stops running: its QUIC acknowledges nothing any more.
    let hosts = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let guests = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (client_identity(), client_identity());
    let host = hosts.block_on(async { TestHost::start(Options { max_sessions: 1, ..Options::default() }) });
    host.trust(&first, Grants::ALL);
    host.trust(&second, Grants::ALL);
    let address = host.address;
    let guest = guests.block_on(async {
        let mut guest = RawClient::connect(address, Some(&first)).await;
        let video = guest.start_session(&hello()).await;
        (guest, receive(video, 1).await)
    });
    hosts.block_on(async {
        // Within its 2 s of patience admission sees the silence, whatever the guest's state was when we knock.
        let mut newcomer = RawClient::connect(address, Some(&second)).await;
        let video = loop {
            match newcomer.hello(&hello()).await {
                Some(welcome) => break welcome,
                None => newcomer = RawClient::connect(address, Some(&second)).await,
            }
        };
        assert_eq!(video.mode, HD);
        let holders = host.hub.admission().sessions();
        assert_eq!(holders.len(), 1);
        assert_eq!(holders[0].fingerprint, Some(second.fingerprint()));
        drop(newcomer);
        host.stop().await;
    });
    drop(guest);
}

#[test]
fn a_client_that_vanishes_is_noticed_and_its_display_kept_for_it() {
    let hosts = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let guests = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let identity = client_identity();
    // The protocol's 8 s of silence, shortened: the lower value of both ends applies.
    let options = Options { config: |c| c.idle = Duration::from_secs(3), ..Options::default() };
    let host = hosts.block_on(async { TestHost::start(options) });
    host.trust(&identity, Grants::ALL);
    let address = host.address;
    let guest = guests.block_on(async {
        let mut guest = RawClient::connect(address, Some(&identity)).await;
        let video = guest.start_session(&hello()).await;
        (guest, receive(video, 1).await)
    });
    // From here on the guest's runtime does not run: no packet, no close, nothing.
    hosts.block_on(async {
        until(|| host.hub.admission().sessions().is_empty()).await;
        until(|| host.displays.kept().len() == 1).await;
        host.stop().await;
    });
    drop(guest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named() {
    let host = TestHost::start(Options::open());
    let config = punktfunk_native::NativeConfig::new(host.address);
    let (hub, displays) = (host.hub.clone(), host.displays.clone());
    let again = punktfunk_native::NativePlane::start(config, host.identity.clone(), hub, Vec::new(), displays);
    assert_eq!(again.err().and_then(|e| e.reason()).map(|r| r.code), Some("host.port_taken"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_its_control_stream_is_let_go_and_video_goes_on_until_then() {
    let host = TestHost::start(Options::open());
    let mut client = RawClient::connect(host.address, None).await;
    let video = client.start_session(&hello()).await;
    let (_video, _) = receive(video, 1).await;
    // Clock probes by the ten thousand, and not one echo is read: the host's side of the stream fills up.
    let mut frames = Vec::new();
    for t1_ns in 0..1000 {
        let probe = ControlMessage::ClockProbe { t1_ns };
        punktfunk_core::framing::frame_with(&mut frames, |out| probe.encode(out)).unwrap();
    }
    let (connection, mut send) = (client.connection.clone(), client.send);
    let flood = tokio::spawn(async move { while send.write_all(&frames).await.is_ok() {} });
    let closed = common::closed(&connection).await;
    assert_eq!(closed.code, 0);
    assert!(closed.text.starts_with("native.not_reading"), "{closed:?}");
    flood.await.unwrap();
    until(|| host.hub.admission().sessions().is_empty()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_during_the_handshake_leaves_nothing() {
    let host = TestHost::start(Options::open());
    for step in 0..3 {
        let mut client = RawClient::connect(host.address, None).await;
        match step {
            0 => {}
            1 => drop(client.hello(&hello()).await.expect("welcome")),
            _ => drop(client.start_session(&hello()).await),
        }
        client.connection.close(0u32.into(), b"");
        until(|| host.hub.admission().sessions().is_empty() && host.desktop.open_stages() == 0).await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encoder_that_fails_and_one_that_panics_end_the_session_with_their_reasons() {
    for (script, reason) in [
        (EncoderScript { fail_after: Some(5), ..EncoderScript::default() }, "encode.no_encoder_left"),
        (EncoderScript { panic_after: Some(5), ..EncoderScript::default() }, "internal.panic"),
    ] {
        let encoder = FakeEncoderFactory::new("fake", Codec::H264, script);
        let host = TestHost::start(Options { encoders: vec![std::sync::Arc::new(encoder)], ..Options::open() });
        let mut client = RawClient::connect(host.address, None).await;
        let _video = client.start_session(&hello()).await;
        let closed = client.closed().await;
        assert_eq!(closed.code, u64::from(CloseCode::SETUP_FAILED.0), "{closed:?}");
        assert!(closed.text.starts_with(reason), "{closed:?} is not {reason}");
        // The host lives, and has room.
        until(|| host.hub.admission().sessions().is_empty()).await;
        assert!(RawClient::connect(host.address, None).await.hello(&hello()).await.is_some());
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_codec_whose_encoders_all_failed_is_left_out_the_next_time() {
    let broken = EncoderScript { fail_after: Some(3), ..EncoderScript::default() };
    let host = TestHost::start(Options {
        encoders: vec![
            std::sync::Arc::new(FakeEncoderFactory::new("breaks", Codec::Hevc, broken)),
            std::sync::Arc::new(FakeEncoderFactory::new("works", Codec::H264, EncoderScript::default())),
        ],
        ..Options::default()
    });
    let identity = client_identity();
    host.trust(&identity, Grants::ALL);
    let mut wish = hello();
    wish.video_codecs = wish.video_codecs.with(Codec::Hevc);
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    let video = client.start_session(&wish).await;
    assert_eq!(video.welcome.codec, Codec::Hevc, "the better encoder comes first");
    assert!(client.closed().await.text.starts_with("encode.no_encoder_left"));
    let welcome = RawClient::connect(host.address, Some(&identity)).await.hello(&wish).await.expect("welcome");
    assert_eq!(welcome.codec, Codec::H264);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desktop_that_does_not_open_is_a_reason_and_not_a_hang() {
    let mut options = Options::open();
    options.desktop.faults.open_fails = true;
    let host = TestHost::start(options);
    let closed = RawClient::connect(host.address, None).await.refused(&hello()).await;
    assert_eq!(closed.code, u64::from(CloseCode::SETUP_FAILED.0));
    assert!(closed.text.starts_with("desktop."), "{closed:?}");
    assert!(host.hub.admission().sessions().is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_say_nothing_do_not_keep_others_out() {
    let host = TestHost::start(Options::open());
    // More than one source may have pending: those beyond it are refused at the door.
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..20 {
        match connect_from("127.0.0.2", host.address, None).await {
            Ok(connection) => held.push(connection),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "20 pending connections of one source");
    assert!(RawClient::connect(host.address, None).await.hello(&hello()).await.is_some());
    drop(held);
    host.stop().await;
}
