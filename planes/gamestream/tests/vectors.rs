//! Every byte that was recorded between the stock client library and a host, both ways.

mod recorded;

use punktfunk_core::datagram::{PenState, PenTool, RichInput};
use punktfunk_core::handshake::GamepadKind;
use punktfunk_core::input::{Contact, GamepadButtons, GamepadState, InputEvent as E, MouseButton, ScrollAxis};
use punktfunk_gamestream::input::{Decoded, InputDecoder};
use punktfunk_gamestream::wire::Side;
use punktfunk_gamestream::wire::control::{ClientMessage, ControlCipher};
use punktfunk_gamestream::wire::feedback::{HdrDisplay, HostMessage, MotionSensor, REASON_ENDED, TriggerEffect};
use punktfunk_gamestream::wire::rtsp::{Arrived, Inbox, Method, Request, RtspCipher};
use punktfunk_gamestream::wire::{input::BatteryState, sdp};
use recorded::{RIKEY, hex, list, vectors};
use serde_json::Value;

#[test]
fn control_packets_open_and_seal_to_the_byte() {
    let all = vectors("control.json");
    let mut seen = 0;
    for (variant, v2) in [("v2", true), ("v1", false)] {
        let cipher = ControlCipher::new(&RIKEY, v2);
        let groups = [("client_to_host", Side::Client), ("rfi_examples", Side::Client), ("host_to_client", Side::Host)];
        for (group, side) in groups {
            for packet in all[variant][group].as_array().into_iter().flatten() {
                let (wire, text) = (hex(&packet["wire"]), hex(&packet["plaintext"]));
                let sequence = packet["seq"].as_u64().unwrap() as u32;
                let mut scratch = Vec::new();
                assert_eq!(cipher.open(side, &wire, &mut scratch), Ok((sequence, &text[..])), "{packet}");
                let mut sealed = Vec::new();
                cipher.seal(side, sequence, &text, &mut sealed);
                assert_eq!(sealed, wire, "{packet}");
                if v2 {
                    let other = if side == Side::Client { Side::Host } else { Side::Client };
                    assert!(cipher.open(other, &wire, &mut scratch).is_err(), "the other direction's nonce");
                }
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 29);
}

#[test]
fn client_messages_mean_what_the_recording_says() {
    let all = vectors("control.json");
    let mut groups = list(&all["v2"]["client_to_host"]).clone();
    groups.extend(list(&all["v2"]["rfi_examples"]).clone());
    let texts: Vec<_> = groups.iter().map(|packet| hex(&packet["plaintext"])).collect();
    let messages: Vec<_> = texts.iter().map(|text| ClientMessage::decode(text).unwrap()).collect();
    use ClientMessage as M;
    assert!(matches!(messages[..3], [M::Keyframe, M::Started, M::Ping]));
    let M::FecStatus(status) = messages[3] else { panic!("{:?}", messages[3]) };
    assert_eq!((status.frame, status.highest, status.next, status.missing), (2, 12, 9, 1));
    assert_eq!((status.data, status.recovery, status.received_data, status.received_recovery), (2, 2, 1, 2));
    assert_eq!((status.percent, status.block, status.blocks), (100, 0, 1));
    assert_eq!(messages[6..], [10, 11, 12].map(|last| M::Invalidate { first: 10, last }));
    for (text, message) in texts.iter().zip(&messages) {
        let mut again = Vec::new();
        message.encode(&mut again);
        // Two bytes of the ping are whatever was in the client's memory.
        let meant = if *message == M::Ping { &text[..10] } else { &text[..] };
        assert_eq!(&again[..meant.len()], meant);
    }
}

#[test]
fn host_messages_are_written_as_the_client_understood_them() {
    let effect = |mode, first: u8| TriggerEffect { mode, parameters: std::array::from_fn(|i| first + i as u8) };
    let display = HdrDisplay {
        chromaticities: [[35_400, 14_600], [8500, 39_850], [6550, 2300], [15_635, 16_450]],
        max_luminance: 1000,
        min_luminance: 1,
        max_cll: 800,
        max_fall: 400,
        max_full_frame: 600,
    };
    let expected = [
        HostMessage::Rumble { pad: 1, low: 0x1111, high: 0x2222 },
        HostMessage::TriggerRumble { pad: 1, left: 0x3333, right: 0x4444 },
        HostMessage::MotionRate { pad: 1, rate_hz: 100, sensor: MotionSensor::Gyroscope },
        HostMessage::Led { pad: 1, rgb: [0xaa, 0xbb, 0xcc] },
        HostMessage::AdaptiveTriggers { pad: 1, left: Some(effect(0x21, 0)), right: Some(effect(0x26, 10)) },
        HostMessage::Hdr(Some(display)),
        HostMessage::Termination { reason: REASON_ENDED },
    ];
    for variant in ["v2", "v1"] {
        let packets = vectors("control.json")[variant]["host_to_client"].clone();
        assert_eq!(list(&packets).len(), expected.len());
        for (packet, message) in list(&packets).iter().zip(expected) {
            let text = hex(&packet["plaintext"]);
            let mut written = Vec::new();
            message.encode(&mut written);
            assert_eq!(written, text, "{}", packet["name"]);
            assert_eq!(HostMessage::decode(&text), Ok(Some(message)));
        }
    }
}

#[test]
fn every_input_packet_becomes_its_event() {
    let all = vectors("input.json");
    let mut decoder = InputDecoder::new();
    let cipher = ControlCipher::new(&RIKEY, true);
    let mut out = Vec::new();
    for packet in list(&all["packets"]) {
        let (wire, input) = (hex(&packet["control_wire"]), hex(&packet["input"]));
        let mut scratch = Vec::new();
        let (sequence, text) = cipher.open(Side::Client, &wire, &mut scratch).unwrap();
        assert_eq!(u64::from(sequence), packet["control_seq"].as_u64().unwrap());
        assert_eq!(ClientMessage::decode(text), Ok(ClientMessage::Input(&input)));
        let mut again = Vec::new();
        ClientMessage::Input(&input).encode(&mut again);
        assert_eq!(again, text);
        let before = out.len();
        decoder.packet(&input, |decoded| out.push(decoded)).unwrap_or_else(|e| panic!("{packet}: {e}"));
        // The release of a key that was released by its own modifiers' packet is the only one that says nothing new.
        assert!(out.len() > before, "{packet}");
        for short in 0..input.len() {
            assert!(InputDecoder::new().packet(&input[..short], |d| panic!("{d:?}")).is_err(), "{packet} at {short}");
        }
    }
    let mut events = out.iter().filter_map(|d| match d {
        Decoded::Event(event) => Some(*event),
        _ => None,
    });
    let key = |vk, down| E::Key { vk, down };
    let expected = [
        E::MouseMove { dx: 1, dy: 1 },
        E::MouseMove { dx: -1, dy: -1 },
        E::MouseMove { dx: 5, dy: -3 },
        E::MouseMoveAbs { x: 640, y: 360, ref_width: 1280, ref_height: 720 },
        E::MouseButton { button: MouseButton::Left, down: true },
        E::MouseButton { button: MouseButton::X2, down: false },
        E::MouseScroll { axis: ScrollAxis::Vertical, delta: -60, precise: false },
        E::MouseScroll { axis: ScrollAxis::Horizontal, delta: 120, precise: false },
        key(0xa0, true),
        key(0xa2, true),
        key(0x41, true),
        key(0xa2, false),
        key(0xa0, false),
        key(0x41, false),
        E::Text('A'),
        E::Text('é'),
        E::Text('€'),
        E::Text('😀'),
        E::GamepadArrival { pad: 1, kind: GamepadKind::DualSense, haptics_audio: false, speaker_audio: false },
        E::GamepadState(GamepadState { pad: 1, seq: 1, ..GamepadState::default() }),
        E::GamepadState(GamepadState {
            pad: 1,
            seq: 2,
            buttons: GamepadButtons::A | GamepadButtons::PADDLE1 | GamepadButtons::MISC,
            left_x: -32_768,
            left_y: 32_767,
            right_x: 1000,
            right_y: -1000,
            left_trigger: 0x80,
            right_trigger: 0xff,
        }),
        E::TouchDown(Contact { id: 7, x: 32_768, y: 16_384, ref_width: 65_535, ref_height: 65_535 }),
        E::TouchMove(Contact { id: 7, x: 49_151, y: 16_384, ref_width: 65_535, ref_height: 65_535 }),
        E::GamepadRemove { pad: 1, seq: 3 },
    ];
    for (index, event) in expected.into_iter().enumerate() {
        assert_eq!(events.next(), Some(event), "event {index}");
    }
    assert_eq!(events.next(), None);
    assert_eq!(out[0], Decoded::Haptics { enabled: true });
    let arrival = out.iter().find_map(|d| if let Decoded::PadArrival(a) = d { Some(a) } else { None }).unwrap();
    assert_eq!((arrival.pad, arrival.capabilities, arrival.buttons), (1, 0xfb, GamepadButtons(0x30_f7ff)));
    let battery = out.iter().find_map(|d| if let Decoded::Battery(b) = d { Some(b) } else { None }).unwrap();
    assert_eq!((battery.pad, battery.state, battery.percent), (1, BatteryState::Charging, Some(55)));
    let rich: Vec<_> = out.iter().filter_map(|d| if let Decoded::Rich(r) = d { Some(*r) } else { None }).collect();
    let [RichInput::Pen(pen), touchpad, accel, still, turning] = rich[..] else { panic!("{rich:?}") };
    let sample = pen.samples()[0];
    let state = PenState::IN_RANGE | PenState::TOUCHING | PenState::BARREL1;
    assert_eq!((sample.state, sample.tool, sample.x, sample.y), (state, PenTool::Pen, 0.5, 0.5));
    assert_eq!((sample.pressure, sample.tilt_deg, sample.azimuth_deg), (49_151, Some(30), Some(45)));
    assert_eq!(touchpad, RichInput::Touchpad { pad: 1, finger: 0, active: true, x: 6554, y: 58_982 });
    let motion = |gyro| RichInput::Motion { pad: 1, gyro: [gyro, 0, 0], accel: [0, 10_000, -1020] };
    assert_eq!([accel, still, turning], [motion(0), motion(0), motion(1800)]);
}

#[test]
fn sealed_rtsp_opens_and_seals_to_the_byte() {
    let all = vectors("rtsp_encrypted.json");
    let cipher = RtspCipher::new(&RIKEY);
    let transactions = list(&all["transactions"]);
    assert_eq!(transactions.len(), 7);
    for (index, transaction) in transactions.iter().enumerate() {
        let sequence = index as u32 + 1;
        for (side, what) in [(Side::Client, "request"), (Side::Host, "response")] {
            let (wire, text) = (hex(&transaction[format!("{what}_wire")]), bytes(&transaction[format!("{what}_text")]));
            assert_eq!(cipher.open(side, &wire), Ok((sequence, text.clone())), "{what} {sequence}");
            assert_eq!(cipher.seal(side, sequence, &text), wire, "{what} {sequence}");
            let mut inbox = Inbox::default();
            inbox.push(&wire).unwrap();
            assert_eq!(inbox.arrived(), Ok(Some(Arrived::Sealed(&wire))));
        }
    }
}

#[test]
fn requests_are_understood() {
    use Method as M;
    let methods = [M::Options, M::Describe, M::Setup, M::Setup, M::Setup, M::Announce, M::Play];
    for (file, low_audio) in [("rtsp_plain.json", true), ("rtsp_encrypted.json", false)] {
        let all = vectors(file);
        for (index, transaction) in list(&all["transactions"]).iter().enumerate() {
            let text = bytes(&transaction["request_text"]);
            let mut inbox = Inbox::default();
            inbox.push(&text).unwrap();
            assert_eq!(inbox.arrived(), Ok(Some(Arrived::Plain(&text))));
            let request = Request::parse(&text).unwrap();
            assert_eq!((request.method, request.cseq), (methods[index], &(index + 1).to_string()[..]));
            assert_eq!(request.wants_low_audio(), low_audio);
        }
    }
}

#[test]
fn announcements_are_understood() {
    let plain = vectors("rtsp_plain.json");
    let text = bytes(&list(&plain["transactions"])[5]["request_text"]);
    let request = Request::parse(&text).unwrap();
    let hevc = sdp::announce(request.body, !request.wants_low_audio()).unwrap();
    assert_eq!((hevc.width, hevc.height, hevc.fps, hevc.packet_size), (1280, 720, 60, 1392));
    assert_eq!((hevc.codec, hevc.channels, hevc.channel_mask, hevc.surround_high), (1, 6, 0x3f, false));
    assert_eq!((hevc.client_flags, hevc.encryption, hevc.stereo_high), (3, 1, false));
    let body = |name: &str| -> String {
        let attributes = plain[name].as_object().unwrap();
        attributes.iter().map(|(name, value)| format!("a={name}:{} \r\n", value.as_str().unwrap())).collect()
    };
    let av1 = sdp::announce(body("av1_71_announce").as_bytes(), true).unwrap();
    assert_eq!((av1.codec, av1.channels, av1.channel_mask, av1.encryption), (2, 8, 0x63f, 7));
    assert_eq!((av1.refresh_x100, av1.slices, av1.reference_frames, av1.colour), (5994, 4, 0, 2));
    let h264 = sdp::announce(body("h264_announce").as_bytes(), true).unwrap();
    assert_eq!((h264.codec, h264.channels, h264.maximum_kbps, h264.configured_kbps), (0, 2, 16_000, 20_000));
    assert_eq!((h264.min_recovery, h264.mark_video, h264.mark_audio, h264.stereo_high), (2, true, true, true));
}

fn bytes(text: &Value) -> Vec<u8> {
    text.as_str().expect("text").as_bytes().to_vec()
}
