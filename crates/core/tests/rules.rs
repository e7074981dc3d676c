//! The decoding rules of punktfunk1.md §3 and §4 that a round trip cannot show: what is missing, too long, unknown or
//! contradictory.

use punktfunk_core::control::{BitrateReason, ControlMessage, CursorShape, LaunchKind};
use punktfunk_core::datagram::{
    ClientDatagram, HidOutput, HostDatagram, HostTiming, PenBatch, PenSample, RichInput, Rumble, StageTiming,
};
use punktfunk_core::handshake::{
    AudioChannels, Cipher, CompositorKind, EXT_TAG_STAGE_TIMING, ExtensionBlock, ExtensionError, FecScheme,
    GamepadKind, Hello, MAX_EXTENSION_BLOCK, Start, VideoCaps, VideoFit, Welcome,
};
use punktfunk_core::input::{InputEvent, InputKind, required_grant, seq_is_newer};
use punktfunk_core::pairing::PairMessage;
use punktfunk_core::{CloseCode, Codec, CodecSet, DecodeError, Fingerprint, Grants, HdrMeta, Mode};

const HD: Mode = Mode { width: 1920, height: 1080, refresh_hz: 60 };

/// The bytes of hexadecimal digits.
fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).expect("hex digits")).collect()
}

fn bytes(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

fn full_hello() -> Hello {
    Hello {
        name: Some("living room".into()),
        launch: Some("steam:570".into()),
        video_caps: VideoCaps::HOST_TIMING,
        preferred_codec: CodecSet::only(Codec::Av1),
        max_shard_payload: 9152,
        video_fit: VideoFit::Crop,
        ..Hello::new(HD)
    }
}

#[test]
fn a_hello_may_stop_anywhere_behind_its_mode() {
    let whole = bytes(|out| full_hello().encode(out));
    for len in 0..20 {
        assert!(matches!(Hello::decode(&whole[..len]), Err(DecodeError::Truncated { .. })), "{len}");
    }
    for len in 20..whole.len() {
        let hello = Hello::decode(&whole[..len]).unwrap();
        assert_eq!(hello.mode, HD);
        assert_eq!(hello.video_fit, VideoFit::Fit, "{len}");
        assert_eq!(hello.name.is_some(), len >= 26 + 1 + 11, "{len}");
    }
    assert_eq!(Hello::decode(&whole), Ok(full_hello()));
    assert_eq!(Hello::decode(&[whole.as_slice(), &[0xff; 5]].concat()), Ok(full_hello()), "unknown trailing bytes");
    assert_eq!(Hello::decode(b"PKFc0123456789abcdef"), Err(DecodeError::BadMagic));
}

#[test]
fn display_hdr_is_recognised_by_its_size_alone() {
    let hdr = HdrMeta { max_luminance: 10_000_000, max_cll: 1000, ..HdrMeta::default() };
    let with = Hello { display_hdr: Some(hdr), ..full_hello() };
    let coded = bytes(|out| with.encode(out));
    assert_eq!(coded.len(), bytes(|out| full_hello().encode(out)).len() + HdrMeta::BYTES);
    assert_eq!(Hello::decode(&coded), Ok(with));
    // Only the HDR body, nothing behind it.
    let last = Hello { display_hdr: Some(hdr), ..Hello::new(HD) };
    assert_eq!(Hello::decode(&bytes(|out| last.encode(out))), Ok(last));
}

#[test]
fn bad_texts_read_as_absent_and_still_locate_the_tail() {
    let head = bytes(|out| Hello::new(HD).encode(out));
    for name in [vec![65; 65], vec![0xff; 3], vec![b'x'; 255]] {
        let coded = [head.as_slice(), &[name.len() as u8], &name, &[3], b"abc", &[0x08, 6]].concat();
        let hello = Hello::decode(&coded).unwrap();
        assert_eq!((hello.name, hello.launch.as_deref()), (None, Some("abc")));
        assert_eq!((hello.video_caps, hello.audio_channels), (VideoCaps::HOST_TIMING, AudioChannels::Surround51));
    }
    // Encoding: a name is cut between two characters, a launch id is never shortened.
    let long = Hello { name: Some("ß".repeat(40)), launch: Some("x".repeat(129)), ..Hello::new(HD) };
    let hello = Hello::decode(&bytes(|out| long.encode(out))).unwrap();
    assert_eq!((hello.name, hello.launch), (Some("ß".repeat(32)), None));
}

#[test]
fn unassigned_numbers_read_as_their_defaults() {
    let coded =
        [b"PKF1".as_slice(), &[2, 0, 0, 0], &[0; 12], &[99, 99], &[0; 4], &[0, 0, 0, 7, 0, 0, 0, 0, 0]].concat();
    let tail = [0, 0, 0, 0, 33, 77, 9];
    let hello = Hello::decode(&[coded.as_slice(), &tail].concat()).unwrap();
    assert_eq!((hello.compositor, hello.gamepad), (CompositorKind::Auto, GamepadKind::Auto));
    assert_eq!((hello.audio_channels, hello.audio_rate_hz, hello.audio_bits), (AudioChannels::Stereo, 48_000, 16));
    assert_eq!(hello.video_fit, VideoFit::Fit);

    let mut welcome = bytes(|out| Welcome::new(HD, Codec::H264, 1, [1; 16], [0; 4]).encode(out));
    welcome[22] = 7; // FEC scheme
    welcome[59] = 12; // bit depth
    welcome[64] = 2; // chroma
    welcome[66] = 0x40; // codec
    let welcome = Welcome::decode(&welcome).unwrap();
    assert_eq!((welcome.fec_scheme, welcome.codec), (FecScheme::Gf8, Codec::Hevc));
    assert_eq!((welcome.bit_depth as u8, welcome.chroma as u8), (8, 1));
}

#[test]
fn a_welcome_may_stop_but_not_at_its_cipher() {
    let mut welcome = Welcome { mgmt_port: 47_990, ..Welcome::new(HD, Codec::H264, 9, [1; 16], [2; 4]) };
    welcome.cipher = Cipher::ChaCha20Poly1305([3; 32]);
    let whole = bytes(|out| welcome.encode(out));
    assert_eq!(whole.len(), 103);
    for len in 0..53 {
        assert!(Welcome::decode(&whole[..len]).is_err(), "{len}");
    }
    for len in 53..=68 {
        assert_eq!(Welcome::decode(&whole[..len]).unwrap().cipher, Cipher::Aes128Gcm, "{len}");
    }
    for len in 69..101 {
        assert!(matches!(Welcome::decode(&whole[..len]), Err(DecodeError::Truncated { .. })), "{len}: part of the key");
    }
    assert_eq!(Welcome::decode(&whole[..102]).unwrap().mgmt_port, 0);
    assert_eq!(Welcome::decode(&whole), Ok(welcome.clone()));
    let mut unknown = whole.clone();
    unknown[68] = 2;
    assert_eq!(Welcome::decode(&unknown), Err(DecodeError::Invalid("cipher")));
    assert!(!format!("{welcome:?}").contains("3, 3, 3"), "keys are never shown");
}

#[test]
fn late_fields_of_a_welcome_force_the_earlier_ones() {
    let base = Welcome::new(HD, Codec::H264, 9, [1; 16], [2; 4]);
    let len = |w: &Welcome| bytes(|out| w.encode(out)).len();
    assert_eq!(len(&base), 68);
    assert_eq!(len(&Welcome { expires_in_secs: 1, ..base.clone() }), 79);
    assert_eq!(len(&Welcome { audio_rate_hz: 96_000, ..base.clone() }), 68, "rate alone forces nothing");
    let extended = Welcome { extensions: Some(ExtensionBlock::new()), ..base.clone() };
    assert_eq!(len(&extended), 91, "89 positional bytes and an empty block");
    assert_eq!(Welcome::decode(&bytes(|out| extended.encode(out))), Ok(extended));
}

#[test]
fn clients_refuse_welcomes_they_cannot_use() {
    let good = Welcome::new(HD, Codec::H264, 9, [1; 16], [2; 4]);
    assert_eq!(good.validate(), Ok(()));
    let bad = [
        Welcome { abi_version: 1, ..good.clone() },
        Welcome { encrypt: false, ..good.clone() },
        Welcome { aes_key: [0; 16], ..good.clone() },
        Welcome { max_data_per_block: 0, ..good.clone() },
        Welcome { shard_payload: 510, ..good.clone() },
        Welcome { shard_payload: 1409, ..good.clone() },
        Welcome { shard_payload: 9154, ..good },
    ];
    for welcome in bad {
        assert!(welcome.validate().is_err(), "{welcome:?}");
    }
}

#[test]
fn extension_blocks_keep_their_limits() {
    let start = |block: &[u8]| Start::decode(&[b"PKF1\0\0", block].concat());
    for (block, why) in [
        ("00", "half a length"),
        ("0400020000", "an entry without its length"),
        ("0500020002007800", "a value beyond the block"),
        ("0100", "a block beyond the message"),
        ("08000200000002000000", "a tag twice"),
    ] {
        assert!(start(&hex(block)).is_err(), "{why}");
    }
    let unknown = start(&hex("0900ff77010055")).unwrap_err();
    assert!(matches!(unknown, DecodeError::Truncated { .. }));
    let kept = start(&hex("0500ff77010055")).unwrap().extensions.unwrap();
    assert_eq!(kept.get(0x77ff), Some(&[0x55][..]), "unknown tags are skipped, not refused");

    let mut block = ExtensionBlock::new();
    (0..64).for_each(|tag| block.push(tag, &[]).unwrap());
    assert_eq!(block.push(64, &[]), Err(ExtensionError::Full), "65 entries");
    assert_eq!(block.push(3, &[]), Err(ExtensionError::Duplicate(3)));
    let mut block = ExtensionBlock::new();
    assert_eq!(block.push(9, &[0; MAX_EXTENSION_BLOCK - 5]), Err(ExtensionError::Full));
    block.push(9, &[0; MAX_EXTENSION_BLOCK - 6]).unwrap();
    assert_eq!(block.len(), MAX_EXTENSION_BLOCK);
    let sent = Start { client_udp_port: 7, extensions: Some(block) };
    assert_eq!(Start::decode(&bytes(|out| sent.encode(out))), Ok(sent));
}

#[test]
fn known_extensions_are_read_with_care() {
    let block = |tag: u16, value: &[u8]| {
        let mut block = ExtensionBlock::new();
        block.push(tag, value).unwrap();
        block
    };
    assert!(block(EXT_TAG_STAGE_TIMING, &[1]).stage_timing());
    for value in [&[][..], &[0], &[2], &[1, 0]] {
        assert!(!block(EXT_TAG_STAGE_TIMING, value).stage_timing());
    }
    assert_eq!(block(2, b"phone").client_label(), Some("phone"));
    assert_eq!(block(2, &[0xff]).client_label(), None);
    assert_eq!(block(2, &[b'x'; 97]).client_label(), None);
    assert!(block(3, &[0x81]).reads_bitrate_reason());
    assert!(!block(3, &[0x80]).reads_bitrate_reason());
    let preset = block(4, b"\x02id\x04name").settings_preset().unwrap();
    assert_eq!((preset.id.as_str(), preset.name.as_str()), ("id", "name"));
    for bad in [&b""[..], b"\x02i", b"\x02id\x04nam", b"\x02id\x01nx", b"\x01\x07\x00"] {
        assert_eq!(block(4, bad).settings_preset(), None, "{bad:02x?}");
    }
}

#[test]
fn control_lengths_are_exact() {
    let messages = [
        ControlMessage::RequestKeyframe,
        ControlMessage::LossReport { loss_ppm: 1 },
        ControlMessage::BitrateChanged { kbps: 1, reason: Some(BitrateReason::Pinned) },
        ControlMessage::Reconfigured { accepted: true, mode: HD },
        ControlMessage::CursorShape(CursorShape::new(1, [2, 3], [0, 0], vec![0; 24]).unwrap()),
        ControlMessage::LaunchOutcome { kind: LaunchKind::Failed, message: "no".into() },
        ControlMessage::InputEdge(InputEvent::Key { vk: 0x41, down: false }),
    ];
    for message in messages {
        let mut coded = bytes(|out| message.encode(out));
        assert!(ControlMessage::decode(&coded[..coded.len() - 1]) != Ok(message.clone()));
        coded.push(0);
        let expected = coded.len() - 1;
        let got = coded.len();
        assert_eq!(ControlMessage::decode(&coded), Err(DecodeError::WrongLength { expected, got }), "{message:?}");
    }
    let body = |digits: &str| ControlMessage::decode(&[b"PKFc".as_slice(), &hex(digits)].concat());
    let phase = "320000000000000000000000000000000000000000";
    assert!(body(phase).is_ok(), "25 bytes");
    assert!(body(&format!("{phase}00")).is_err(), "26 bytes");
    assert!(body(&format!("{phase}0000")).is_ok(), "27 bytes");
    assert!(body("0650c3000009").is_ok_and(|m| m == ControlMessage::BitrateChanged { kbps: 50_000, reason: None }));
    // A probe result may be short (21 bytes) and may grow.
    let result = "2101000000000000000200000003000000";
    for more in ["", "04", "0400000005000000", "0400000005000000ff"] {
        let Ok(ControlMessage::ProbeResult {
            bytes_sent: 1, packets_sent: 2, duration_ms: 3, wire_packets_sent, ..
        }) = body(&format!("{result}{more}"))
        else {
            panic!("{more}")
        };
        assert_eq!(wire_packets_sent, if more.len() >= 16 { 4 } else { 0 });
    }
}

#[test]
fn control_values_outside_their_tables_are_dropped() {
    let body = |digits: &str| ControlMessage::decode(&[b"PKFc".as_slice(), &hex(digits)].concat());
    assert_eq!(body(""), Err(DecodeError::Truncated { needed: 1, got: 0 }));
    assert_eq!(body("99"), Err(DecodeError::UnknownType(0x99)));
    assert_eq!(body("10"), Err(DecodeError::UnknownType(0x10)), "pairing has its own decoder");
    assert_eq!(ControlMessage::decode(b"PKF1\x03"), Err(DecodeError::BadMagic));
    assert!(matches!(body("0d07"), Err(DecodeError::Invalid(_))), "delivery profile");
    assert!(matches!(body("420000000011"), Err(DecodeError::Invalid(_))), "17 clipboard formats");
    assert!(matches!(body("43000000000000000081"), Err(DecodeError::Invalid(_))), "MIME of 129 bytes");
    assert!(matches!(body("50000000000000010000000000"), Err(DecodeError::Invalid(_))), "cursor without width");
    let wide = format!("50000000007900010000000000{}", "00".repeat(121 * 4));
    assert!(matches!(body(&wide), Err(DecodeError::Invalid(_))), "cursor of 121 pixels");
    assert!(matches!(body("5cc900000000000000000000000000000000"), Err(DecodeError::Invalid(_))), "edge tag");
    let refused = format!("16670000000101{}", "61".repeat(257));
    assert!(matches!(body(&refused), Err(DecodeError::Invalid(_))), "refusal of 257 bytes");
    assert_eq!(
        body("16670000000200686f"),
        Ok(ControlMessage::Refused { code: CloseCode::VERSION_MISMATCH, message: "ho".into() })
    );
    assert_eq!(
        body("5a090161"),
        Ok(ControlMessage::LaunchOutcome { kind: LaunchKind::Spawned, message: "a".into() }),
        "an unknown outcome reads as 0"
    );
    // Bytes that are no text grow when they are replaced; the message still fits its own limit.
    let Ok(ControlMessage::LaunchOutcome { message, .. }) = body(&format!("5a04c8{}", "ff".repeat(200))) else {
        panic!("invalid UTF-8 is replaced")
    };
    assert_eq!(message, "\u{fffd}".repeat(66));
}

#[test]
fn pairing_lengths_are_exact() {
    for bad in ["10", "1002 7476", "1002747602 00 aa", "12", "1300 00", "13"] {
        let digits = bad.replace(' ', "");
        assert!(PairMessage::decode(&[b"PKFc".as_slice(), &hex(&digits)].concat()).is_err(), "{bad}");
    }
    let device = [b"PKFc\x10\x00\x01\x00\xaa\x01\x00\xbb".as_slice()].concat();
    let Ok(PairMessage::Request { device_key: Some(key), .. }) = PairMessage::decode(&device) else {
        panic!("browser clients add a key")
    };
    assert_eq!(key, [0xbb]);
    assert_eq!(PairMessage::decode(b"PKFc\x14"), Err(DecodeError::UnknownType(0x14)));
    let name = [b"PKFc\x10\x41".as_slice(), &[b'x'; 65], &[0, 0]].concat();
    assert!(matches!(PairMessage::decode(&name), Err(DecodeError::Invalid(_))), "65 bytes of name");
}

fn event(kind: u8, code: u32, x: i32, y: i32, flags: u32) -> Result<InputEvent, DecodeError> {
    let mut coded = vec![0xc8, kind];
    coded.extend(code.to_le_bytes());
    coded.extend(x.to_le_bytes());
    coded.extend(y.to_le_bytes());
    coded.extend(flags.to_le_bytes());
    InputEvent::decode(&coded)
}

#[test]
fn input_that_means_nothing_is_dropped() {
    let ok = [
        event(0, 0x41, 5, 5, 0xff), // semantic bits from the network are masked
        event(6, 1, -3, 0, 1),
        event(7, 0x1000, 1, 0, 15),
        event(9, 3, 10, 10, 1 << 16 | 1),
        event(14, 99, 0, 0, 0x303),
        event(15, 0x1f3ae, 0, 0, 0),
    ];
    assert!(ok.iter().all(Result::is_ok), "{ok:?}");
    assert_eq!(ok[0], Ok(InputEvent::Key { vk: 0x41, down: true }));
    assert_eq!(
        ok[4],
        Ok(InputEvent::GamepadArrival { pad: 3, kind: GamepadKind::Auto, haptics_audio: true, speaker_audio: true })
    );
    let dropped = [
        event(3, 0, 1, 1, 0),
        event(3, 0, 1, 1, 1080),
        event(9, 0, 1, 1, 1920 << 16),
        event(4, 0, 0, 0, 0),
        event(5, 6, 0, 0, 0),
        event(6, 2, 120, 0, 0),
        event(7, 0x3000, 1, 0, 0),
        event(7, 0, 1, 0, 0),
        event(7, 1, 1, 0, 16),
        event(8, 6, 0, 0, 0),
        event(12, 0, 0, 0, 16),
        event(15, 0xd800, 0, 0, 0),
        event(15, 0x11_0000, 0, 0, 0),
    ];
    assert!(dropped.iter().all(|e| matches!(e, Err(DecodeError::Invalid(_)))), "{dropped:?}");
    assert_eq!(event(17, 0, 0, 0, 0), Err(DecodeError::UnknownType(17)));
    assert!(matches!(InputEvent::decode(&[0xc8; 17]), Err(DecodeError::Truncated { .. })));
    assert_eq!(event(8, 4, 900, 0, 1), event(8, 4, 255, 0, 1), "triggers saturate");
    assert_eq!(event(8, 1, i32::MIN, 0, 1), event(8, 1, -32_768, 0, 1), "sticks saturate");
    let longer = [hex("c80041000000000000000000000000000000"), vec![1, 2, 3]].concat();
    assert!(InputEvent::decode(&longer).is_ok(), "the event may grow");
}

#[test]
fn scroll_rules() {
    let scroll = |source: u32, phase: u32, delta: i32| event(16, 0, delta, 0, source | phase << 8).is_ok();
    for source in 0..=8 {
        for phase in 0..=9 {
            for delta in [0, 256] {
                let known = source <= 5 && phase <= 7;
                let still = !matches!(phase, 3 | 4 | 7) || delta == 0;
                let phased = match source {
                    0 | 1 => phase == 0,
                    2..=4 => true,
                    _ => phase < 5,
                };
                assert_eq!(scroll(source, phase, delta), known && still && phased, "{source} {phase} {delta}");
            }
        }
    }
    assert!(event(16, 2, 1, 0, 1).is_err(), "axis");
    assert!(event(16, 0, 1, 1, 1).is_err(), "y");
    assert!(event(16, 0, 1, 0, 0x1_0001).is_err(), "more than 16 bits of flags");
}

#[test]
fn grants_gate_every_kind() {
    let grant = |kind| match kind {
        0 | 1 | 15 => Grants::KEYBOARD,
        7 | 8 | 12 | 13 | 14 => Grants::GAMEPAD,
        _ => Grants::POINTER,
    };
    for kind in InputKind::ALL {
        let code = if *kind == InputKind::TouchUp { 0 } else { 1 };
        let decoded = event(
            kind.wire(),
            code,
            0,
            0,
            if kind.wire() == 3 || kind.wire() == 9 || kind.wire() == 10 { 1 << 16 | 1 } else { 0 },
        );
        let decoded = decoded.unwrap_or_else(|e| panic!("{kind:?}: {e}"));
        assert_eq!(decoded.kind(), *kind);
        assert_eq!(required_grant(&decoded), grant(kind.wire()), "{kind:?}");
    }
    let rich = |d: &str| ClientDatagram::decode(&hex(d)).unwrap().required_grant();
    assert_eq!(rich("cc0200140000000000000010270000"), Grants::GAMEPAD);
    assert_eq!(ClientDatagram::Mic { seq: 0, pts_ns: 0, opus: &[] }.required_grant(), Grants::MIC);
    let pen = RichInput::Pen(PenBatch::new(0, &[PenSample::default()]).unwrap());
    assert_eq!(ClientDatagram::Rich(pen).required_grant(), Grants::POINTER);
}

#[test]
fn pad_sequences_wrap() {
    assert!(seq_is_newer(0, None) && seq_is_newer(200, None));
    assert!(seq_is_newer(1, Some(0)) && seq_is_newer(127, Some(0)) && seq_is_newer(3, Some(250)));
    assert!(!seq_is_newer(0, Some(0)) && !seq_is_newer(128, Some(0)) && !seq_is_newer(250, Some(3)));
}

#[test]
fn pens_are_clamped_and_nonsense_drops_the_batch() {
    let sample = |x: f32, y: f32| PenSample { x, y, ..PenSample::default() };
    let batch = PenBatch::new(1, &[sample(-0.5, 7.0), sample(-0.0, 0.25)]).unwrap();
    assert_eq!(batch.samples()[0], sample(0.0, 1.0));
    assert!(batch.samples()[1].x.is_sign_positive());
    let wire = |x: f32, count: u8| {
        let one = [[1, 0].as_slice(), &x.to_le_bytes(), &0f32.to_le_bytes(), &[0xff; 11]].concat();
        let all = [[0xcc, 5, 0, count, 9, 0].as_slice(), &one.repeat(count.into())].concat();
        ClientDatagram::decode(&all).map(|_| ())
    };
    assert_eq!(wire(0.5, 8), Ok(()));
    for (x, count) in [(f32::NAN, 1), (f32::INFINITY, 1), (f32::NEG_INFINITY, 2), (0.5, 0), (0.5, 9)] {
        assert!(matches!(wire(x, count), Err(DecodeError::Invalid(_))), "{x} × {count}");
    }
}

#[test]
fn growing_datagrams_fall_back_to_the_longest_whole_form() {
    let whole = hex("cfe803000000000000e1100000640000002c0100000a000000f0ffffff070000000800000009000000");
    for len in 0..=whole.len() + 3 {
        let coded = [whole.as_slice(), &[0xaa; 3]].concat();
        let decoded = HostDatagram::decode(&coded[..len]);
        let Ok(HostDatagram::HostTiming(timing)) = decoded else {
            assert!(len < 13 && decoded.is_err(), "{len}");
            continue;
        };
        let HostTiming { stages, applied_phase_ns, ours, .. } = timing;
        assert_eq!((stages.is_some(), applied_phase_ns.is_some(), ours.is_some()), (len >= 25, len >= 29, len >= 41));
    }
    // A later part brings the earlier ones along.
    let sparse = HostTiming { applied_phase_ns: Some(5), ..HostTiming::default() };
    let coded = bytes(|out| HostDatagram::HostTiming(sparse).encode(out));
    assert_eq!(coded.len(), 29);
    let filled = HostTiming { stages: Some(StageTiming::default()), ..sparse };
    assert_eq!(HostDatagram::decode(&coded), Ok(HostDatagram::HostTiming(filled)));

    let rumble = hex("ca00000040008000900100200060");
    for len in 7..=16 {
        let coded = [rumble.as_slice(), &[0; 2]].concat();
        let Ok(HostDatagram::Rumble(Rumble { pad: 0, low: 0x4000, high: 0x8000, timing })) =
            HostDatagram::decode(&coded[..len])
        else {
            panic!("{len}")
        };
        assert_eq!(timing.is_some(), len >= 10);
        assert_eq!(timing.is_some_and(|t| t.right_trigger == 0x6000), len >= 14);
    }
}

#[test]
fn sound_that_contradicts_itself_is_dropped() {
    let red = |len: u16| {
        HostDatagram::decode(&[vec![0xd2; 1], vec![0; 12], len.to_le_bytes().to_vec(), vec![7; 4]].concat()).is_ok()
    };
    assert!(red(0) && red(4));
    assert!(!red(5));
    let pad = |pad: u8, kind: u8| HostDatagram::decode(&[vec![0xd1, pad, kind], vec![0; 12]].concat()).is_ok();
    assert!(pad(15, 1));
    assert!(!pad(16, 0) && !pad(0, 2));
    assert_eq!(HostDatagram::decode(&[0xc8, 0]), Err(DecodeError::UnknownType(0xc8)), "that is the client's");
    assert_eq!(ClientDatagram::decode(&[0xc9, 0]), Err(DecodeError::UnknownType(0xc9)), "that is the host's");
    assert!(HostDatagram::decode(&[]).is_err() && ClientDatagram::decode(&[]).is_err());
}

#[test]
fn hid_output_has_exact_lengths() {
    for (coded, ok) in [
        ("cd0100aabbcc", true),
        ("cd0100aabb", false),
        ("cd0100aabbccdd", false),
        ("cd030001", false), // no effect byte
        ("cd0300012a", true),
        ("cd0300022a", false),                       // neither L2 nor R2
        ("cd0300010102030405060708090a0b0c", false), // 12 effect bytes
        ("cd05000001", true),
        ("cd050002aa", false),
        ("cd060f0000010203040506", true),
        ("cd06100000010203040506", false),
        ("cd070002", true),
        ("cd070003", false),
        ("cd0800", false),
    ] {
        assert_eq!(HostDatagram::decode(&hex(coded)).is_ok(), ok, "{coded}");
    }
    let led = hex("cd0200ff");
    assert_eq!(
        HostDatagram::decode(&led),
        Ok(HostDatagram::HidOutput(HidOutput::PlayerLeds { pad: 0, bits: 0x1f })),
        "low five bits"
    );
}

#[test]
fn close_codes_explain_themselves() {
    for code in CloseCode::ALL {
        assert!(code.meaning().is_some());
    }
    assert_eq!(CloseCode::from(0x67).to_string(), "0x67 (wire version mismatch)");
    assert_eq!(CloseCode(0x999).to_string(), "0x999");
    assert_eq!(CloseCode::reason_text(&"ß".repeat(200)).len(), CloseCode::MAX_REASON);
    assert_eq!(Fingerprint([0xab; 32]).to_string().len(), 64);
}
