//! Golden bytes of the stock client and of independent implementations: what we send must be these bytes, and what
//! hosts send must be read as they say.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use punktfunk_gsclient::audio::{self, Audio, AudioOptions};
use punktfunk_gsclient::control::{
    Control, ControlOptions, Delivery, FecStatus, HdrMode, HostMessage, Message, Opener, Sealer, Version,
};
use punktfunk_gsclient::crypto::Gcm;
use punktfunk_gsclient::input::{self, PadState, Pen, Touch, event};
use punktfunk_gsclient::pairing::Math;
use punktfunk_gsclient::rtsp::{self, Announce, Answer, Describe, Formats, Originator, Request, Wishes};
use punktfunk_gsclient::video::{Header, Output, Video, VideoOptions};
use punktfunk_gsclient::{Identity, Violations};
use serde_json::Value;

const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn vectors(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn hex(value: &Value, name: &str) -> Vec<u8> {
    unhex(text(value, name))
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn all<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap()
}

#[test]
fn pairing_gives_every_value_of_the_vector() {
    let v = vectors("pairing");
    let identity = Identity::load(&hex(&v, "client_key_pkcs8_der"), text(&v, "client_cert_pem")).unwrap();
    assert_eq!(identity.signature(), hex(&v, "client_cert_signature"));
    let take = |name: &str, phase: &str| <[u8; 16]>::try_from(hex(&v[phase], name)).unwrap();
    let salt = hex(&v, "salt").try_into().unwrap();
    let math =
        Math::new(text(&v, "pin"), salt, take("client_challenge_plain", "phase2"), take("client_secret", "phase3"));
    assert_eq!(math.key.to_vec(), hex(&v, "aes_key"));
    assert_eq!(Math::new("1235", salt, salt, salt).key.to_vec(), hex(&v, "aes_key_for_wrong_pin_1235"));
    assert_eq!(math.client_challenge().to_vec(), hex(&v["phase2"], "query_clientchallenge"));
    let hash = math.host_hash(&hex(&v, "server_cert_signature"), &hex(&v["phase2"], "server_secret"));
    assert_eq!(hash.to_vec(), hex(&v["phase2"], "server_hash"));
    let response = math.challenge_response(&identity, &hex(&v["phase2"], "server_challenge"));
    assert_eq!(response.to_vec(), hex(&v["phase3"], "query_serverchallengeresp"));
    assert_eq!(math.client_pairing_secret(&identity).unwrap(), hex(&v["phase4"], "query_clientpairingsecret"));
}

fn message(name: &str, plaintext: &[u8]) -> Message {
    let be = |at: usize| u16::from_be_bytes(plaintext[at..at + 2].try_into().unwrap());
    let le = |at: usize| u32::from_le_bytes(plaintext[at..at + 4].try_into().unwrap());
    match name {
        "Start A / request IDR frame" => Message::StartA,
        "Start B" => Message::StartB,
        "periodic ping" => Message::Ping,
        "invalidate reference frames" => Message::Invalidate { first: le(4), last: le(12) },
        "frame FEC status" => Message::FecStatus(FecStatus {
            frame: u32::from_be_bytes(plaintext[4..8].try_into().unwrap()),
            highest_sequence: be(8),
            next_contiguous: be(10),
            missing: be(12),
            data: be(14),
            recovery: be(16),
            data_received: be(18),
            recovery_received: be(20),
            percentage: plaintext[22],
            block: plaintext[23],
            blocks: plaintext[24],
        }),
        other => panic!("unknown message {other}"),
    }
}

#[test]
fn control_is_sealed_as_the_stock_client_does_and_opened_as_hosts_seal() {
    let v = vectors("control");
    for (name, version) in [("v1", Version::V1), ("v2", Version::V2)] {
        let mut sealer = Sealer::new(&KEY, version, Originator::Client).unwrap();
        let own = Opener::new(&KEY, version, Originator::Client).unwrap();
        let examples = v[name]["rfi_examples"].as_array().map_or(&[][..], Vec::as_slice);
        for packet in all(&v[name], "client_to_host").iter().chain(examples) {
            let plaintext = hex(packet, "plaintext");
            let (mut channel, delivery, kind, payload) = message(text(packet, "name"), &plaintext).wire();
            if packet["enet_channel"] == 1 && kind == 0x0302 {
                channel = Message::RequestIdr.wire().0;
            }
            assert_eq!(Value::from(channel), packet["enet_channel"]);
            assert_eq!(delivery_name(delivery), text(packet, "enet_flags"));
            sealer.set_sequence(packet["seq"].as_u64().unwrap() as u32);
            let wire = sealer.seal(kind, &payload).unwrap();
            assert_eq!(wire, hex(packet, "wire"), "{name}: {packet}");
            assert_eq!(own.open(&wire).unwrap().1, kind);
        }
        let opener = Opener::new(&KEY, version, Originator::Host).unwrap();
        let mut seen = Vec::new();
        for packet in all(&v[name], "host_to_client") {
            let (sequence, kind, payload) = opener.open(&hex(packet, "wire")).unwrap();
            assert_eq!(Value::from(sequence), packet["seq"]);
            seen.push(HostMessage::read(kind, &payload).unwrap());
            assert!(opener.open(&packet["plaintext"].as_str().map(unhex).unwrap()).is_err(), "in clear");
            let mut forged = hex(packet, "wire");
            *forged.last_mut().unwrap() ^= 1;
            assert!(opener.open(&forged).is_err());
        }
        let metadata = [35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450, 1000, 1, 800, 400, 600];
        let ten = |from: u8| std::array::from_fn(|i| from + i as u8);
        let expected = [
            HostMessage::Rumble { pad: 1, low: 0x1111, high: 0x2222 },
            HostMessage::RumbleTriggers { pad: 1, left: 0x3333, right: 0x4444 },
            HostMessage::Motion { pad: 1, rate_hz: 100, kind: 2 },
            HostMessage::Led { pad: 1, rgb: [0xAA, 0xBB, 0xCC] },
            HostMessage::AdaptiveTriggers { pad: 1, flags: 0x0C, left: (0x21, ten(0)), right: (0x26, ten(10)) },
            HostMessage::Hdr(HdrMode { enabled: true, metadata }),
            HostMessage::Termination(0x8003_0023),
        ];
        assert_eq!(seen, expected);
    }
}

fn delivery_name(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Reliable => "reliable",
        Delivery::Unreliable => "unreliable sequenced",
        Delivery::Unsequenced => "unsequenced",
    }
}

#[test]
fn input_is_what_the_stock_client_sends() {
    let capabilities = 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80;
    let state = PadState {
        buttons: 0x1000 | 0x1_0000 | 0x20_0000,
        left_trigger: 0x80,
        right_trigger: 0xFF,
        left_stick: (-32768, 32767),
        right_stick: (1000, -1000),
    };
    let down = Touch { pointer: 7, x: 0.5, y: 0.25, pressure: 1.0, contact: (0.01, 0.02), rotation: Some(90) };
    let moved = Touch { pointer: 7, x: 0.75, y: 0.25, pressure: 0.5, ..Touch::default() };
    let pen = Pen {
        tool: 1,
        buttons: 1,
        x: 0.5,
        y: 0.5,
        pressure: 0.75,
        rotation: Some(45),
        tilt: Some(30),
        ..Pen::default()
    };
    let pad = Touch { pointer: 3, x: 0.1, y: 0.9, pressure: 1.0, ..Touch::default() };
    let mut ours = vec![
        input::enable_haptics(),
        input::mouse_move(1, 1),
        input::mouse_move(-1, -1),
        input::mouse_move(5, -3),
        input::mouse_position(640, 360, 1280, 720),
        input::mouse_button(1, true),
        input::mouse_button(5, false),
        input::scroll(-60),
        input::scroll_horizontal(120),
        input::key(0x41, true, 3, 0),
        input::key(0x41, false, 0, 1),
    ];
    ours.extend(input::text("A\u{e9}\u{20ac}\u{1f600}"));
    ours.extend([
        input::pad_arrival(1, 2, capabilities, 0x30_FFFF),
        input::pad(1, 3, &PadState::default()),
        input::pad(1, 3, &state),
        input::touch(event::DOWN, &down),
        input::touch(event::MOVE, &moved),
        input::pen(event::MOVE, &pen, true),
        input::pad_touch(1, event::DOWN, 1, &pad),
        input::pad_motion(1, 1, [0.0, 9.80665, -1.0]),
        input::pad_motion(1, 2, [0.0; 3]),
        input::pad_motion(1, 2, [90.0, 0.0, 0.0]),
        input::pad_battery(1, 3, 55),
        input::pad(1, 1, &PadState::default()),
    ]);
    let v = vectors("input");
    let packets = all(&v, "packets");
    assert_eq!(ours.len(), packets.len());
    let mut sealer = Sealer::new(&KEY, Version::V2, Originator::Client).unwrap();
    for (ours, packet) in ours.into_iter().zip(packets) {
        assert_eq!(ours.bytes, hex(packet, "input"), "{packet}");
        assert_eq!(format!("{:#04x}", ours.channel), text(packet, "enet_channel"), "{packet}");
        assert_eq!(delivery_name(ours.delivery), text(packet, "enet_flags"), "{packet}");
        let (_, _, kind, payload) = Message::Input(ours).wire();
        sealer.set_sequence(packet["control_seq"].as_u64().unwrap() as u32);
        assert_eq!(sealer.seal(kind, &payload).unwrap(), hex(packet, "control_wire"), "{packet}");
    }
    assert_eq!(input::pen(event::MOVE, &pen, false).delivery, Delivery::Unreliable);
}

fn attributes(body: &str) -> Announce {
    let mut announce = Announce::default();
    for line in body.lines().filter_map(|l| l.strip_prefix("a=")) {
        let (name, value) = line.split_once(':').unwrap();
        announce.set(name, value.trim());
    }
    announce
}

fn wishes() -> Wishes {
    Wishes {
        width: 1280,
        height: 720,
        fps: 60,
        bitrate_kbps: 20_000,
        packet_size: 1392,
        format: Formats::H264,
        encryption: 7,
        remote: false,
        invalidation: true,
        slices: 4,
        refresh_x100: 5994,
        csc: 2,
        channels: 2,
        high_audio: false,
        packet_duration_ms: 5,
        min_recovery: 2,
        legacy: false,
    }
}

#[test]
fn rtsp_requests_are_the_stock_clients_bytes() {
    let (sealed, plain) = (vectors("rtsp_encrypted"), vectors("rtsp_plain"));
    let key = Gcm::new(&KEY).unwrap();
    for (v, sealed) in [(&sealed, true), (&plain, false)] {
        for (index, transaction) in all(v, "transactions").iter().enumerate() {
            let theirs = text(transaction, "request_text");
            // Taken apart and built again: the order of headers, and every character between them.
            let (head, body) = theirs.split_once("\r\n\r\n").unwrap();
            let mut lines = head.split("\r\n");
            let mut first = lines.next().unwrap().split(' ');
            let headers: Vec<(&str, &str)> = lines.map(|l| l.split_once(": ").unwrap()).collect();
            let find = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
            let own = ["CSeq", "X-GS-ClientVersion", "Host", "Session", "Content-length"];
            let rest: Vec<_> = headers.iter().copied().filter(|(n, _)| !own.contains(n)).collect();
            let cseq = index as u32 + 1;
            let request = Request {
                method: first.next().unwrap(),
                target: first.next().unwrap(),
                cseq,
                host: find("Host").unwrap(),
                session: find("Session"),
                headers: &rest,
                body,
            };
            assert_eq!(request.text(), theirs);
            let answer = Answer::parse(text(transaction, "response_text").as_bytes()).unwrap();
            assert_eq!((answer.status, answer.header("CSeq")), (200, Some(cseq.to_string().as_str())));
            if !sealed {
                continue;
            }
            let wire = rtsp::seal(&key, Originator::Client, cseq, theirs.as_bytes()).unwrap();
            assert_eq!(wire, hex(transaction, "request_wire"));
            let (sequence, opened) = rtsp::open(&key, Originator::Host, &hex(transaction, "response_wire")).unwrap();
            assert_eq!((sequence, opened), (cseq, text(transaction, "response_text").as_bytes().to_vec()));
            assert_eq!(rtsp::open(&key, Originator::Host, theirs.as_bytes()), None);
        }
    }
}

#[test]
fn announcements_are_the_stock_clients() {
    let plain = vectors("rtsp_plain");
    let sealed = vectors("rtsp_encrypted");
    let body = |v: &Value| {
        let announce = all(v, "transactions").iter().find(|t| text(t, "method") == "ANNOUNCE").unwrap();
        text(announce, "request_text").split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    let localhost = "127.0.0.1".parse().unwrap();
    assert_eq!(Announce::stock(&wishes()).body(localhost, 51002), body(&sealed));
    let surround = Wishes { bitrate_kbps: 8000, encryption: 1, format: Formats::HEVC, channels: 6, ..wishes() };
    assert_eq!(Announce::stock(&surround).body(localhost, 51022), body(&plain));
    let av1 = Wishes { bitrate_kbps: 8000, format: Formats::AV1, channels: 8, ..wishes() };
    for (wishes, name) in [(av1, "av1_71_announce"), (wishes(), "h264_announce")] {
        let ours = attributes(&Announce::stock(&wishes).body(localhost, 1));
        for (attribute, value) in plain[name].as_object().unwrap() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert_eq!(ours.get(attribute), Some(value.trim()), "{name}: {attribute}");
        }
    }
}

#[test]
fn describe_is_understood_and_surround_layouts_are_turned_back() {
    let plain = vectors("rtsp_plain");
    let body = text(&all(&plain, "transactions")[1], "response_text").split_once("\r\n\r\n").unwrap().1;
    let mut violations = Violations::default();
    let describe = Describe::read(body, &mut violations);
    assert!(violations.is_empty(), "{violations:?}");
    let bits = (describe.feature_flags, describe.encryption_supported, describe.encryption_requested);
    assert_eq!(bits, (3, 7, 1));
    assert!(describe.hevc && !describe.av1 && describe.invalidation);
    let layout = |channels, high| {
        let layout = describe.layout(channels, high).unwrap();
        (layout.streams, layout.coupled, layout.mapping)
    };
    assert_eq!(layout(2, false), (1, 1, vec![0, 1]));
    assert_eq!(layout(6, false), (4, 2, vec![0, 1, 2, 3, 4, 5]));
    assert_eq!(layout(6, true), (6, 0, vec![0, 1, 2, 3, 4, 5]));
    assert_eq!(layout(8, false), (5, 3, (0..8).collect()));
    assert_eq!(layout(8, true), (8, 0, (0..8).collect()));
    let everything = Formats(u32::MAX);
    assert_eq!(describe.choose(everything, Formats(0x301)), Formats::HEVC10);
    assert_eq!(describe.choose(Formats::H264, everything), Formats::H264);
    assert_eq!(describe.choose(Formats::AV1, everything), Formats::H264, "AV1 was not offered");
}

#[test]
fn video_shards_become_their_access_unit_whichever_two_of_four_come() {
    let v = vectors("video");
    for (name, key) in [("encrypted_h264", Some(KEY)), ("plain_hevc", None)] {
        let frame = &all(&v[name], "frames")[0];
        let packets: Vec<Vec<u8>> = all(frame, "packets").iter().map(|p| hex(p, "wire")).collect();
        for lost in [[4, 4], [0, 4], [1, 4], [0, 1], [0, 2], [1, 3], [2, 3]] {
            let mut video = Video::new(VideoOptions {
                packet_size: v[name]["packetSize"].as_u64().unwrap() as u16,
                codec: None,
                key,
                invalidation: false,
                min_recovery: 2,
                verify_recovery: true,
            })
            .unwrap();
            let now = Instant::now();
            for (_, packet) in packets.iter().enumerate().filter(|(i, _)| !lost.contains(i)) {
                video.datagram(now, packet);
            }
            // It is frame 2 of its session, and no keyframe: whole, but thrown away.
            assert_eq!(video.stats().discarded, 1, "{name} without {lost:?}");
            assert!(matches!(video.poll(), Some(Output::RequestIdr | Output::FecStatus(_))));
            let (stats, violations) = video.finish();
            assert_eq!(stats.shards_rebuilt, [0, 1].iter().filter(|i| lost.contains(i)).count() as u64);
            assert_eq!(stats.blocks_verified, u64::from(stats.shards_rebuilt == 0 && lost != [2, 3]));
            // The capture begins in the middle of a session; nothing else is wrong with it.
            let foreign: Vec<_> = violations.list().iter().filter(|l| !l.contains("the first ")).collect();
            assert!(foreign.is_empty(), "{name} without {lost:?}: {foreign:?}");
        }
    }
}

#[test]
fn video_headers_say_what_they_say() {
    let v = vectors("video");
    for name in ["plain_multi_packet_header_only", "av1_header_only"] {
        let mut violations = Violations::default();
        for (i, packet) in v[name].as_array().unwrap().iter().enumerate() {
            let head = Header::read(&hex(packet, "first_48_bytes"), &mut violations).unwrap();
            assert_eq!((head.index, head.data, head.recovery(), head.percentage), (i, 7, 2, 20));
            assert_eq!((head.frame, head.sequence, head.block, head.last_block), (1, i as u16, 0, 0));
            assert!(!head.is_data() || head.stream_index == i as u32);
        }
        assert!(violations.is_empty(), "{violations:?}");
    }
}

#[test]
fn audio_blocks_survive_every_loss_that_the_code_can_mend() {
    let v = vectors("audio");
    let key = Some((KEY, v["rikeyid"].as_u64().unwrap() as u32));
    for (name, key) in [("encrypted_block", key), ("plain_block", None)] {
        let block = all(&v, name);
        let plain: Vec<Vec<u8>> = block[..4].iter().map(|p| hex(p, "plain")).collect();
        for a in 0..7 {
            for b in a..7 {
                let mut audio = Audio::new(AudioOptions { duration_ms: 5, key });
                for (_, packet) in block.iter().enumerate().filter(|(i, _)| *i != a && *i != b) {
                    audio.datagram(&hex(packet, "wire"));
                }
                let mut got = Vec::new();
                while let Some(output) = audio.poll() {
                    let audio::Output::Packet { sequence, data, rebuilt } = output else { panic!("{output:?}") };
                    assert_eq!(rebuilt, [a, b].contains(&(sequence as usize)));
                    got.push(data);
                }
                assert_eq!(got, plain, "{name} without {a} and {b}");
                let (stats, violations) = audio.finish();
                assert!(violations.is_empty(), "{violations:?}");
                assert_eq!(stats.blocks_verified, u64::from(a >= 4 && (a, b) != (4, 5)));
            }
        }
        let mut audio = Audio::new(AudioOptions { duration_ms: 5, key });
        for packet in [&block[3], &block[4], &block[5]] {
            audio.datagram(&hex(packet, "wire"));
        }
        assert_eq!(audio.poll(), None, "three of six are not enough");
        let mut next = hex(&block[0], "wire");
        next[3] = 4;
        next[7] = 20;
        audio.datagram(&next);
        let lost = |sequence| Some(audio::Output::Lost { sequence });
        assert_eq!([audio.poll(), audio.poll(), audio.poll()], [lost(0), lost(1), lost(2)]);
        assert!(matches!(audio.poll(), Some(audio::Output::Packet { sequence: 3, .. })));
    }
}

#[test]
fn the_first_datagram_of_control_is_the_stock_clients() {
    let v = vectors("enet_handshake");
    let theirs = hex(&all(&v, "datagrams")[0], "hex");
    let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
    listener.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let options = ControlOptions {
        address: listener.local_addr().unwrap(),
        connect_data: 2_309_737_967,
        key: KEY,
        version: Version::V2,
        channels: 48,
        pings: true,
    };
    // Nobody answers it; the thread gives up by itself.
    std::thread::spawn(move || drop(Control::connect(&options)));
    let mut ours = [0; 256];
    let (len, _) = listener.recv_from(&mut ours).unwrap();
    let ours = &ours[..len];
    assert_eq!(ours.len(), theirs.len());
    // Sent time, the connection's random number and its session bits are the sender's own.
    for (i, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        let own = [2, 3].contains(&i) || (44..48).contains(&i);
        assert!(own || a == b, "byte {i}: {a:#04x}, not {b:#04x}\n{ours:02x?}\n{theirs:02x?}");
    }
}
