//! The specification's vectors (punktfunk1.md §9.1, 9.2, 9.3, 9.5), in both directions: the value encodes to the bytes,
//! the bytes decode to the value.

#[path = "support/vectors.rs"]
mod vectors;

use punktfunk_core::control::{BitrateReason, ControlMessage as M};
use punktfunk_core::control::{ClipFetch, ClipFormat, ClipOffer, ControlMessage, CursorShape, LaunchKind};
use punktfunk_core::datagram::{
    ClientDatagram as C, HostDatagram as H, HostTiming, OurTiming, RichInput, Rumble, RumbleTiming, StageTiming,
};
use punktfunk_core::framing::{FrameReader, write_frame};
use punktfunk_core::handshake::{ClientCaps, ExtensionBlock, GamepadKind, Hello, HostCaps, Start, VideoCaps, Welcome};
use punktfunk_core::input::{GamepadButtons, GamepadState, InputEvent, ScrollAxis};
use punktfunk_core::pairing::{CeremonyError, ClientCeremony, HostCeremony, PairMessage};
use punktfunk_core::{Codec, CodecSet, Fingerprint, Grants, Mode};
use vectors::Vectors;

const HD: Mode = Mode { width: 1920, height: 1080, refresh_hz: 60 };

fn unframe(bytes: &[u8]) -> Vec<u8> {
    let mut reader = FrameReader::new();
    reader.push(bytes);
    let payload = reader.next().expect("a whole frame").to_vec();
    assert_eq!(reader.pending(), 0);
    payload
}

fn frame(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (mut payload, mut framed) = (Vec::new(), Vec::new());
    encode(&mut payload);
    write_frame(&payload, &mut framed).unwrap();
    framed
}

#[test]
fn handshake() {
    let mut v = Vectors::parse(include_str!("vectors/handshake.txt"));

    let mut hello = |name: &str, expected: Hello| {
        let bytes = v.take(name);
        assert_eq!(Hello::decode(&unframe(&bytes)), Ok(expected.clone()), "{name}");
        assert_eq!(frame(|out| expected.encode(out)), bytes, "{name}");
    };
    hello("hello_default", Hello::new(HD));
    hello(
        "hello_named",
        Hello {
            bitrate_kbps: 20_000,
            name: Some("tv".into()),
            video_caps: VideoCaps::HOST_TIMING | VideoCaps::PROBE_SEQ | VideoCaps::STREAMED_AU,
            video_codecs: CodecSet::only(Codec::H264).with(Codec::Hevc),
            client_caps: ClientCaps::AUDIO_RED,
            ..Hello::new(Mode { width: 1280, height: 720, refresh_hz: 60 })
        },
    );

    let mut key = [0; 16];
    key.iter_mut().zip(0..).for_each(|(byte, i)| *byte = i);
    let welcome = Welcome {
        gamepad: GamepadKind::Xbox360,
        bitrate_kbps: 20_000,
        host_caps: HostCaps::GAMEPAD_STATE,
        ..Welcome::new(HD, Codec::Hevc, 50_000, key, [0xa1, 0xb2, 0xc3, 0xd4])
    };
    let mut check = |name: &str, expected: Welcome| {
        let bytes = v.take(name);
        let decoded = Welcome::decode(&unframe(&bytes)).unwrap();
        assert_eq!(decoded.validate(), Ok(()));
        assert_eq!(decoded, expected, "{name}");
        assert_eq!(frame(|out| expected.encode(out)), bytes, "{name}");
    };
    check("welcome", welcome.clone());
    check("welcome_mgmt_port", Welcome { mgmt_port: 47_990, ..welcome });

    let mut extensions = ExtensionBlock::new();
    extensions.push_client_label("x").unwrap();
    extensions.push_reads_bitrate_reason().unwrap();
    for (name, extensions) in [("start", None), ("start_extensions", Some(extensions))] {
        let bytes = v.take(name);
        let expected = Start { client_udp_port: 50_001, extensions };
        assert_eq!(Start::decode(&unframe(&bytes)), Ok(expected.clone()), "{name}");
        assert_eq!(frame(|out| expected.encode(out)), bytes, "{name}");
    }
    v.finish();
}

#[test]
fn control() {
    let mut v = Vectors::parse(include_str!("vectors/control.txt"));
    let mode = Mode { refresh_hz: 120, ..HD };
    let mime = || "text/plain".to_owned();
    let messages = [
        ("reconfigure", M::Reconfigure { mode }),
        ("reconfigured", M::Reconfigured { accepted: true, mode }),
        ("request_keyframe", M::RequestKeyframe),
        ("loss_report", M::LossReport { loss_ppm: 0x0102_0304 }),
        ("set_bitrate", M::SetBitrate { kbps: 50_000 }),
        ("bitrate_changed", M::BitrateChanged { kbps: 50_000, reason: None }),
        ("bitrate_changed_reason", M::BitrateChanged { kbps: 50_000, reason: Some(BitrateReason::Cadence) }),
        ("rfi_request", M::RfiRequest { first_frame: 10, last_frame: 12 }),
        ("shard_payload_changed", M::ShardPayloadChanged { shard_payload: 1200 }),
        ("pipeline_gap", M::PipelineGap { gap_ms: 250 }),
        ("delivery_report", M::DeliveryReport { packets_received: 0x0102_0304_0506_0708 }),
        ("probe_request", M::ProbeRequest { target_kbps: 100_000, duration_ms: 500 }),
        ("clock_echo", M::ClockEcho { t1_ns: 1, t2_ns: 2, t3_ns: 3 }),
        ("clip_control", M::ClipControl { enabled: true, files: true }),
        ("clip_offer", M::ClipOffer(ClipOffer { seq: 7, formats: vec![ClipFormat { mime: mime(), size_hint: 5 }] })),
        ("clip_fetch", M::ClipFetch(ClipFetch { seq: 7, file_index: None, mime: mime() })),
        ("cursor_shape", M::CursorShape(CursorShape::new(9, [1, 1], [0, 0], vec![1, 2, 3, 4]).unwrap())),
        ("access_update", M::AccessUpdate { grants: Grants(0x1f), remaining_secs: 3600 }),
        ("audio_state", M::AudioState { muted: true }),
        ("launch_outcome", M::LaunchOutcome { kind: LaunchKind::Failed, message: "gone".into() }),
        ("pad_slots", M::PadSlots { slots: 5 }),
    ];
    for (name, message) in messages {
        let bytes = [b"PKFc".as_slice(), &v.take(name)].concat();
        assert_eq!(ControlMessage::decode(&bytes), Ok(message.clone()), "{name}");
        let mut encoded = Vec::new();
        message.encode(&mut encoded);
        assert_eq!(encoded, bytes, "{name}");
    }
    v.finish();
}

#[test]
fn datagrams() {
    let mut v = Vectors::parse(include_str!("vectors/datagram.txt"));
    let client = [
        ("mouse_move", C::Input(InputEvent::MouseMove { dx: -12, dy: 34 })),
        ("key_down", C::Input(InputEvent::Key { vk: 0x41, down: true })),
        ("mouse_move_abs", C::Input(InputEvent::MouseMoveAbs { x: 960, y: 540, ref_width: 1920, ref_height: 1080 })),
        ("wheel_up", C::Input(InputEvent::MouseScroll { axis: ScrollAxis::Vertical, delta: 120, precise: false })),
        (
            "gamepad_state",
            C::Input(InputEvent::GamepadState(GamepadState {
                seq: 5,
                buttons: GamepadButtons::A | GamepadButtons::RB,
                left_x: 32_767,
                left_trigger: 255,
                ..GamepadState::default()
            })),
        ),
        ("motion", C::Rich(RichInput::Motion { pad: 0, gyro: [20, 0, 0], accel: [0, 10_000, 0] })),
    ];
    for (name, datagram) in client {
        let bytes = v.take(name);
        assert_eq!(C::decode(&bytes), Ok(datagram), "{name}");
        let mut encoded = Vec::new();
        datagram.encode(&mut encoded);
        assert_eq!(encoded, bytes, "{name}");
    }

    let timing = HostTiming { pts_ns: 1000, host_us: 4321, ..HostTiming::default() };
    let stages = Some(StageTiming { queue_us: 100, encode_us: 300, pace_us: 10 });
    let ours = Some(OurTiming { capture_us: 7, convert_us: 8, packetize_us: 9 });
    let rumble = RumbleTiming { seq: 0, ttl_ms: 400, left_trigger: 0x2000, right_trigger: 0x6000 };
    let host = [
        ("audio", H::Audio { seq: 1, pts_ns: 5_000_000, opus: &[0xaa, 0xbb] }),
        ("rumble", H::Rumble(Rumble { pad: 0, low: 0x4000, high: 0x8000, timing: Some(rumble) })),
        ("cursor", H::CursorPosition { serial: 9, visible: true, grabbed: false, x: 100, y: 200 }),
        ("host_timing", H::HostTiming(timing)),
        ("host_timing_stages", H::HostTiming(HostTiming { stages, ..timing })),
        ("host_timing_phase", H::HostTiming(HostTiming { stages, applied_phase_ns: Some(-16), ..timing })),
        ("host_timing_ours", H::HostTiming(HostTiming { stages, applied_phase_ns: Some(-16), ours, ..timing })),
    ];
    for (name, datagram) in host {
        let bytes = v.take(name);
        assert_eq!(H::decode(&bytes), Ok(datagram), "{name}");
        let mut encoded = Vec::new();
        datagram.encode(&mut encoded);
        assert_eq!(encoded, bytes, "{name}");
    }
    v.finish();
}

#[test]
fn pairing() {
    let mut v = Vectors::parse(include_str!("vectors/pairing.txt"));
    let (client_fp, host_fp) = (Fingerprint([0x11; 32]), Fingerprint([0x22; 32]));
    let client_random: [u8; 64] = v.take("client_random").try_into().unwrap();
    let host_random: [u8; 64] = v.take("host_random").try_into().unwrap();
    let (spake_a, spake_b) = (v.take("spake_a"), v.take("spake_b"));
    let host_confirm: [u8; 32] = v.take("host_confirm").try_into().unwrap();
    let client_confirm: [u8; 32] = v.take("client_confirm").try_into().unwrap();

    let start = || ClientCeremony::start("4321", &client_fp, &host_fp, client_random);
    assert_eq!(start().message(), spake_a);
    let host = HostCeremony::respond("4321", &client_fp, &host_fp, &spake_a, host_random).unwrap();
    assert_eq!(host.message(), spake_b);
    assert_eq!(host.confirm(), host_confirm);
    assert_eq!(start().confirm(&spake_b, &host_confirm).unwrap().proof(), client_confirm);
    assert_eq!(host.verify(&client_confirm), Ok(()));

    // The key itself stays inside; the specification's confirmations pin it: HMAC-SHA256(key, label ‖ fingerprints).
    let key = v.take("key");
    let mac = |label: &[u8]| {
        use hmac::Mac;
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
        mac.update(&[label, &client_fp.0, &host_fp.0].concat());
        <[u8; 32]>::from(mac.finalize().into_bytes())
    };
    assert_eq!(mac(b"punktfunk-pair-host"), host_confirm);
    assert_eq!(mac(b"punktfunk-pair-client"), client_confirm);
    v.finish();

    // The four messages around them.
    let messages = [
        PairMessage::Request { name: "tv".into(), spake_a: spake_a.clone(), device_key: None },
        PairMessage::Challenge { spake_b: spake_b.clone(), confirm: host_confirm },
        PairMessage::Proof { confirm: client_confirm },
        PairMessage::Result { ok: true },
    ];
    let bodies = [
        [b"PKFc\x10\x02tv\x21\x00".as_slice(), &spake_a].concat(),
        [b"PKFc\x11\x21\x00".as_slice(), &spake_b, &host_confirm].concat(),
        [b"PKFc\x12".as_slice(), &client_confirm].concat(),
        b"PKFc\x13\x01".to_vec(),
    ];
    for (message, body) in messages.into_iter().zip(bodies) {
        let mut encoded = Vec::new();
        message.encode(&mut encoded);
        assert_eq!(encoded, body);
        assert_eq!(PairMessage::decode(&body), Ok(message));
    }
}

#[test]
fn another_pin_or_another_certificate_fails_on_both_sides() {
    let (client_fp, host_fp, other) = (Fingerprint([1; 32]), Fingerprint([2; 32]), Fingerprint([3; 32]));
    // (the client's PIN, what it takes for the host, what the host takes for the client)
    let cases = [("1234", host_fp, client_fp, true), ("1235", host_fp, client_fp, false)];
    let intercepted = [("1234", other, client_fp, false), ("1234", host_fp, other, false)];
    for (pin, seen_host, seen_client, fits) in cases.into_iter().chain(intercepted) {
        let client = ClientCeremony::start(pin, &client_fp, &seen_host, [7; 64]);
        let host = HostCeremony::respond("1234", &seen_client, &host_fp, client.message(), [9; 64]).unwrap();
        // A client that ignores the host's confirmation still cannot make its own.
        let proof = client.confirm(host.message(), &host.confirm());
        match proof {
            Ok(proof) => assert!(fits && host.verify(&proof.proof()) == Ok(())),
            Err(e) => assert!(!fits && e == CeremonyError::WrongPin),
        }
        assert_eq!(host.verify(&[0; 32]), Err(CeremonyError::WrongPin));
    }
}

#[test]
fn malformed_spake_messages_are_named() {
    let (c, h) = (Fingerprint([1; 32]), Fingerprint([2; 32]));
    let good = ClientCeremony::start("0000", &c, &h, [5; 64]).message().to_vec();
    let mut own_side = good.clone();
    own_side[0] = 0x42;
    let mut no_point = good.clone();
    no_point[1..].fill(0);
    no_point[1] = 2; // (y² − 1) / (d·y² + 1) is no square for y = 2
    for bad in [&good[..32], &[good.as_slice(), &[0]].concat(), &own_side, &no_point, b""] {
        let answer = HostCeremony::respond("0000", &c, &h, bad, [6; 64]).map(|_| ());
        assert_eq!(answer, Err(CeremonyError::Malformed), "{bad:02x?}");
        let client = ClientCeremony::start("0000", &c, &h, [5; 64]);
        // Seen from the client, 0x41 is its own side.
        let answer = client.confirm(if bad == own_side { &good } else { bad }, &[0; 32]).map(|_| ());
        assert_eq!(answer, Err(CeremonyError::Malformed), "{bad:02x?}");
    }
    assert!(HostCeremony::respond("0000", &c, &h, &good, [6; 64]).is_ok());
}
