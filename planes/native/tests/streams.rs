//! Sessions that go well: video arrives byte for byte, and the control stream does what it says.

mod common;

use std::time::Duration;

use common::{HD, Options, RawClient, TestHost, client_identity, hello, receive};
use punktfunk_core::control::ControlMessage;
use punktfunk_core::datagram::{HostDatagram, PenBatch, PenSample, PenState, RichInput};
use punktfunk_core::handshake::{Cipher, HostCaps, HostCaps2, VideoCaps};
use punktfunk_core::input::{Contact, InputEvent, MouseButton};
use punktfunk_core::{CloseCode, Grants, Mode};
use punktfunk_media::InputAction;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn video_arrives_byte_for_byte_over_both_families_and_ciphers() {
    for (bind, chacha) in [("127.0.0.1:0", false), ("[::1]:0", false), ("[::]:0", false), ("127.0.0.1:0", true)] {
        let host = TestHost::start(Options { bind, ..Options::open() });
        let mut address = host.address;
        if address.ip().is_unspecified() {
            // Both families on one port: an IPv4 client is served as one.
            address.set_ip([127, 0, 0, 1].into());
        }
        let mut client = RawClient::connect(address, None).await;
        let mut wish = hello();
        if chacha {
            wish.video_caps = wish.video_caps | VideoCaps::CHACHA20;
        }
        let video = client.start_session(&wish).await;
        assert_eq!(video.welcome.mode, HD);
        assert_eq!(video.welcome.shard_payload, if address.is_ipv6() { 1388 } else { 1408 });
        assert_eq!(video.welcome.cipher != Cipher::Aes128Gcm, chacha);
        let (_video, units) = receive(video, 30).await;
        assert_eq!(units.len(), 30);
        assert!(units[0].keyframe, "the first frame is an IDR");
        assert!(units.windows(2).all(|w| w[0].pts_ns < w[1].pts_ns), "stamps rise");
        assert!(units.iter().all(|u| u.index == u.content), "every access unit has the number it was made with");
        client.connection.close(CloseCode::QUIT.0.into(), b"");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_probes_are_answered_before_the_data_plane_is_up() {
    let host = TestHost::start(Options::open());
    let mut client = RawClient::connect(host.address, None).await;
    let welcome = client.hello(&hello()).await.expect("welcome");
    let video = common::Video::open(host.address, &welcome);
    let start = punktfunk_core::handshake::Start { client_udp_port: video.port(), extensions: None };
    client.say(|out| start.encode(out)).await;
    // No punch yet: the host must not wait for it with its answers.
    let mut stamps = Vec::new();
    for t1_ns in 1..=8 {
        client.control(ControlMessage::ClockProbe { t1_ns }).await;
        let payload = client.hear().await.expect("alive");
        match ControlMessage::decode(&payload) {
            Ok(ControlMessage::ClockEcho { t1_ns: echoed, t2_ns, t3_ns }) => {
                assert_eq!(echoed, t1_ns);
                stamps.extend([t2_ns, t3_ns]);
            }
            other => panic!("nothing else may come before the clock rounds are over: {other:?}"),
        }
    }
    assert!(stamps.is_sorted(), "the session clock only rises");
    // And without any punch, video comes to the port that Start named, stamped by the same clock.
    let (_video, units) = receive(video, 1).await;
    assert!(units[0].pts_ns > stamps[0]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mode_changes_in_mid_stream_with_an_idr_and_unbroken_numbering() {
    let host = TestHost::start(Options::open());
    let mut client = RawClient::connect(host.address, None).await;
    let video = client.start_session(&hello()).await;
    let (video, before) = receive(video, 5).await;
    let full = Mode { width: 1920, height: 1080, refresh_hz: 30 };
    client.control(ControlMessage::Reconfigure { mode: full }).await;
    let reply = client
        .hear_control(|m| match m {
            ControlMessage::Reconfigured { accepted, mode } => Some((accepted, mode)),
            _ => None,
        })
        .await;
    assert_eq!(reply, (true, full));
    // Units of the new mode are twice as large: half the rate at the same bitrate.
    let (mut video, mut after) = receive(video, 40).await;
    let switch = after.iter().position(|u| u.keyframe).expect("an IDR begins the new mode");
    assert!(after[switch].bytes > before[1].bytes * 3 / 2, "{} after {}", after[switch].bytes, before[1].bytes);
    after.splice(0..0, before);
    assert!(after.windows(2).all(|w| w[1].index == w[0].index + 1), "numbering goes on");
    // Absurd ones are refused and change nothing.
    for absurd in [Mode { width: 0, ..full }, Mode { width: 20_000, height: 20_000, refresh_hz: 60 }] {
        client.control(ControlMessage::Reconfigure { mode: absurd }).await;
        let reply = client
            .hear_control(|m| match m {
                ControlMessage::Reconfigured { accepted, mode } => Some((accepted, mode)),
                _ => None,
            })
            .await;
        assert_eq!(reply, (false, full));
    }
    assert_eq!(tokio::task::spawn_blocking(move || video.receive(3).len()).await.unwrap(), 3);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bitrate_keyframes_and_speed_tests_are_answered() {
    let host = TestHost::start(Options::open());
    let mut client = RawClient::connect(host.address, None).await;
    let video = client.start_session(&hello()).await;
    let (video, units) = receive(video, 3).await;

    client.control(ControlMessage::SetBitrate { kbps: 20_000 }).await;
    let kbps = client
        .hear_control(|m| match m {
            ControlMessage::BitrateChanged { kbps, .. } => Some(kbps),
            _ => None,
        })
        .await;
    assert_eq!(kbps, 20_000);
    let (video, after) = receive(video, 20).await;
    assert!(after.last().unwrap().bytes > units[1].bytes * 3 / 2, "the encoder follows");

    client.control(ControlMessage::RequestKeyframe).await;
    let (video, after) = receive(video, 60).await;
    assert!(after.iter().any(|u| u.keyframe), "a keyframe was asked for");

    client.control(ControlMessage::ProbeRequest { target_kbps: 20_000, duration_ms: 300 }).await;
    let receiving = tokio::spawn(receive(video, 30));
    let (bytes, packets) = client
        .hear_control(|m| match m {
            ControlMessage::ProbeResult { bytes_sent, wire_packets_sent, .. } => Some((bytes_sent, wire_packets_sent)),
            _ => None,
        })
        .await;
    assert!(bytes > 0 && packets > 0, "the speed test was served");
    let (mut video, units) = receiving.await.unwrap();
    assert_eq!(units.len(), 30, "video goes on meanwhile");
    assert!(video.reassembler().stats().probe_packets > 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_timing_comes_with_our_stages_to_those_who_ask() {
    let host = TestHost::start(Options::open());
    let mut client = RawClient::connect(host.address, None).await;
    let video = client.start_session(&hello()).await;
    let (_video, units) = receive(video, 5).await;
    let timing = loop {
        let datagram = client.connection.read_datagram().await.expect("alive");
        if let Ok(HostDatagram::HostTiming(timing)) = HostDatagram::decode(&datagram) {
            break timing;
        }
    };
    assert!(timing.stages.is_some() && timing.ours.is_some());
    assert!(timing.pts_ns >= units[0].pts_ns && timing.host_us > 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bounded_stream_ends_with_code_zero_after_its_last_frame() {
    let host = TestHost::start(Options { config: |c| c.frames = 20, ..Options::open() });
    let mut client = RawClient::connect(host.address, None).await;
    let video = client.start_session(&hello()).await;
    assert_eq!(video.welcome.frames, 20);
    let (_video, units) = receive(video, 20).await;
    assert_eq!(units.last().map(|u| u.index), Some(19));
    let closed = client.closed().await;
    assert_eq!((closed.code, closed.text.as_str()), (0, "done"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_sessions_run_at_once_each_on_its_own_display() {
    let host = TestHost::start(Options::default());
    let mut sessions = Vec::new();
    for width in [640, 1280, 1920] {
        let identity = client_identity();
        host.trust(&identity, Grants::ALL);
        let mut client = RawClient::connect(host.address, Some(&identity)).await;
        let mut wish = hello();
        wish.mode.width = width;
        let video = client.start_session(&wish).await;
        assert_eq!(video.welcome.mode.width, width);
        sessions.push((client, receive(video, 20)));
    }
    assert_eq!(host.desktop.open_stages(), 3);
    assert_eq!(host.hub.admission().sessions().len(), 3);
    for (client, receiving) in sessions {
        assert_eq!(receiving.await.1.len(), 20);
        client.connection.close(CloseCode::QUIT.0.into(), b"");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_acts_as_far_as_it_is_granted_and_is_released_at_the_end() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    host.trust(&identity, Grants::KEYBOARD);
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    let video = client.start_session(&hello()).await;
    assert_eq!(video.welcome.grants, Grants::KEYBOARD);
    let (_video, _) = receive(video, 1).await;
    // Pointer over a datagram: not granted. Then a key over the reliable edge message: granted.
    let mut datagram = Vec::new();
    InputEvent::MouseMove { dx: 5, dy: 7 }.encode(&mut datagram);
    client.connection.send_datagram(datagram.into()).unwrap();
    client.control(ControlMessage::InputEdge(InputEvent::Key { vk: 0x41, down: true })).await;
    let recording = host.desktop.recording();
    common::until(|| !recording.actions().is_empty()).await;
    assert_eq!(recording.actions(), [InputAction::Key { code: 30, down: true }]);
    client.connection.close(CloseCode::QUIT.0.into(), b"");
    common::until(|| recording.actions().len() == 2).await;
    assert_eq!(recording.actions()[1], InputAction::Key { code: 30, down: false }, "held keys are released");
    host.stop().await;
}

/// Whatever ends the way of a client's input, nothing that it holds stays down: a key, a button, a finger, a pen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_held_is_released_however_the_client_goes() {
    type Going = fn(&TestHost, &RawClient, &str);
    let goings: [(&str, Going); 4] = [
        ("it quits", |_, client, _| client.connection.close(CloseCode::QUIT.0.into(), b"")),
        ("its access is revoked", |host, _, id| drop(host.hub.trust().revoke(id).expect("it was trusted"))),
        ("its grants go", |host, _, id| drop(host.hub.trust().set_grants(id, Grants::VIEW).expect("it is trusted"))),
        ("another session of its own takes over", |_, _, _| {}),
    ];
    for (at, (how, go)) in goings.into_iter().enumerate() {
        let host = TestHost::start(Options::default());
        let identity = client_identity();
        host.trust(&identity, Grants::ALL);
        let mut client = RawClient::connect(host.address, Some(&identity)).await;
        let video = client.start_session(&hello()).await;
        assert!(video.welcome.host_caps.contains(HostCaps::PEN) && video.welcome.host_caps2.contains(HostCaps2::TOUCH));
        let (_video, _) = receive(video, 1).await;
        let send = |encode: &dyn Fn(&mut Vec<u8>)| {
            let mut datagram = Vec::new();
            encode(&mut datagram);
            client.connection.send_datagram(datagram.into()).unwrap();
        };
        let state = PenState::IN_RANGE | PenState::TOUCHING;
        let sample = PenSample { state, x: 0.25, y: 0.5, pressure: 9, ..PenSample::default() };
        let contact = Contact { id: 4, x: 1, y: 1, ref_width: 2, ref_height: 4 };
        send(&|out| InputEvent::Key { vk: 0x41, down: true }.encode(out));
        send(&|out| InputEvent::MouseButton { button: MouseButton::X2, down: true }.encode(out));
        send(&|out| InputEvent::TouchDown(contact).encode(out));
        let recording = host.desktop.recording();
        common::until(|| recording.actions().len() == 3).await;
        let pen = RichInput::Pen(PenBatch::new(1, &[sample]).expect("a batch"));
        send(&|out| punktfunk_core::datagram::ClientDatagram::Rich(pen).encode(out));
        common::until(|| recording.actions().len() >= 4).await;
        let held = [
            InputAction::Key { code: 30, down: true },
            InputAction::Button { code: 0x114, down: true },
            InputAction::TouchDown { id: 4, x: 0.5, y: 0.25 },
            InputAction::Pen(sample),
        ];
        // The pen may be gone already: its client says nothing more of it.
        assert_eq!(recording.actions()[..4], held, "{how}");
        go(&host, &client, &identity.fingerprint().to_string());
        let second = if at == 3 { Some(RawClient::connect(host.address, Some(&identity)).await) } else { None };
        let starting = async {
            if let Some(mut second) = second {
                drop(second.start_session(&hello()).await);
            }
        };
        let released = common::until(|| recording.actions().len() == 8);
        tokio::join!(starting, released);
        let actions = recording.actions();
        for release in [
            InputAction::Key { code: 30, down: false },
            InputAction::Button { code: 0x114, down: false },
            InputAction::TouchUp { id: 4 },
            InputAction::Pen(PenSample { state: PenState::NONE, pressure: 0, ..sample }),
        ] {
            assert!(actions[4..].contains(&release), "{how}: {actions:?}");
        }
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quit_ends_the_display_and_any_other_end_keeps_it_for_a_while() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    host.trust(&identity, Grants::ALL);
    for (code, kept) in [(CloseCode::DONE, 1), (CloseCode::QUIT, 0)] {
        let mut client = RawClient::connect(host.address, Some(&identity)).await;
        let video = client.start_session(&hello()).await;
        receive(video, 1).await;
        client.connection.close(code.0.into(), b"");
        common::until(|| host.hub.admission().sessions().is_empty()).await;
        common::until(|| host.desktop.open_stages() == kept).await;
    }
    assert_eq!(host.desktop.opened_stages(), 1, "the kept display was used again");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_says_goodbye() {
    let host = TestHost::start(Options::open());
    let mut client = RawClient::connect(host.address, None).await;
    let video = client.start_session(&hello()).await;
    receive(video, 1).await;
    let connection = client.connection.clone();
    let (closed, ()) = tokio::join!(common::closed(&connection), host.stop());
    assert_eq!(closed.code, 0);
    assert!(closed.text.starts_with("host.shutting_down"), "{}", closed.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_ports_keep_to_their_range() {
    // Below the range that the system hands out, so that no other test's socket gets it meanwhile.
    let free = |port: &u16| std::net::UdpSocket::bind(("127.0.0.1", *port)).is_ok();
    let port = (20_000..32_000).find(free).expect("a free port");
    static RANGE: std::sync::OnceLock<u16> = std::sync::OnceLock::new();
    RANGE.set(port).unwrap();
    let pin = |c: &mut punktfunk_native::NativeConfig| c.data_ports = RANGE.get().unwrap().to_string().parse().unwrap();
    let host = TestHost::start(Options { config: pin, ..Options::open() });
    let mut first = RawClient::connect(host.address, None).await;
    let video = first.start_session(&hello()).await;
    assert_eq!(video.welcome.udp_port, port);
    receive(video, 1).await;
    // A second session finds the range exhausted, and is told.
    let mut second = RawClient::connect(host.address, None).await;
    let closed = second.refused(&hello()).await;
    assert_eq!(closed.code, 0x68);
    assert!(closed.text.starts_with("native.data_socket"), "{}", closed.text);
    first.connection.close(CloseCode::QUIT.0.into(), b"");
    common::until(|| host.hub.admission().sessions().is_empty()).await;
    let mut third = RawClient::connect(host.address, None).await;
    assert!(third.hello(&hello()).await.is_some(), "the port is free again");
    drop(third);
    tokio::time::sleep(Duration::from_millis(1)).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn video_goes_where_the_punch_came_from_and_not_where_start_says() {
    let host = TestHost::start(Options::open());
    let mut client = RawClient::connect(host.address, None).await;
    let welcome = client.hello(&hello()).await.expect("welcome");
    let video = common::Video::open(host.address, &welcome);
    // As behind a NAT: the port that the client knows is not the one that the host sees.
    let named = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let start =
        punktfunk_core::handshake::Start { client_udp_port: named.local_addr().unwrap().port(), extensions: None };
    client.say(|out| start.encode(out)).await;
    video.socket.send_one(punktfunk_net::udp::PUNCH).unwrap();
    let (_video, units) = receive(video, 3).await;
    assert_eq!(units[0].index, 0);
    named.set_nonblocking(true).unwrap();
    assert!(named.recv(&mut [0; 16]).is_err(), "nothing went to the other port");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_press_on_a_pad_comes_back_as_rumble() {
    use punktfunk_core::handshake::{GamepadKind, HostCaps};
    use punktfunk_core::input::{GamepadButtons, GamepadState};
    use punktfunk_engine::pads::PadPolicy;
    use punktfunk_media::fake::FakePads;
    use punktfunk_native::NativePads;

    let config = |config: &mut punktfunk_native::NativeConfig| {
        let factory = std::sync::Arc::new(FakePads::echoing());
        config.pads = Some(NativePads { factory, policy: PadPolicy::Auto });
    };
    let host = TestHost::start(Options { config, ..Options::open() });
    let mut client = RawClient::connect(host.address, None).await;
    let mut wish = hello();
    wish.gamepad = GamepadKind::DualSense;
    let video = client.start_session(&wish).await;
    assert_eq!(video.welcome.gamepad, GamepadKind::DualSense);
    assert!(video.welcome.host_caps.contains(HostCaps::GAMEPAD_STATE));
    let (_video, _) = receive(video, 1).await;
    let press = |seq, buttons| {
        let state = GamepadState { pad: 5, seq, buttons, ..GamepadState::default() };
        let mut bytes = Vec::new();
        InputEvent::GamepadState(state).encode(&mut bytes);
        client.connection.send_datagram(bytes.into()).expect("sent");
    };
    let rumbles = async || loop {
        let datagram = client.connection.read_datagram().await.expect("alive");
        if let Ok(HostDatagram::Rumble(rumble)) = HostDatagram::decode(&datagram) {
            break rumble;
        }
    };
    press(1, GamepadButtons::A);
    let first = tokio::time::timeout(common::PATIENCE, rumbles()).await.expect("rumble");
    assert_eq!((first.pad, first.low, first.timing.map(|t| t.ttl_ms)), (5, 0x1000, Some(400)));
    // Told again while it lasts, with rising numbers.
    let again = tokio::time::timeout(common::PATIENCE, rumbles()).await.expect("a renewal");
    assert_eq!((again.low, again.timing.map(|t| t.seq)), (0x1000, first.timing.map(|t| t.seq + 1)));
    press(2, GamepadButtons::NONE);
    let stop = async || loop {
        if rumbles().await.low == 0 {
            break;
        }
    };
    tokio::time::timeout(common::PATIENCE, stop()).await.expect("the motors stop");
    host.stop().await;
}
