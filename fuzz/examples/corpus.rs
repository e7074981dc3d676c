//! Writes the seeds of `corpus/`: one file per message of the protocol and a few video streams.
//!
//! `cargo run -p punktfunk-fuzz --example corpus` after a new message; commit what it writes. Files that fuzzing found
//! stay: nothing is deleted.

use std::fs;
use std::path::Path;

use punktfunk_audio::VoiceEncoder;
use punktfunk_core::control::{
    BitrateReason, ClipFetch, ClipFormat, ClipOffer, ClipPolicy, ClipReason, ClipStatus, ControlMessage as M,
    CursorShape, DeliveryProfile, LaunchKind, LinkKind,
};
use punktfunk_core::datagram::{
    ClientDatagram as C, HidKind, HidOutput, HidReport, HostDatagram as H, HostTiming, OurTiming, PadAudioKind,
    PenBatch, PenSample, RichInput, Rumble, RumbleTiming, StageTiming,
};
use punktfunk_core::fec::{FecScheme, Gf16Leopard, Strength};
use punktfunk_core::framing::frame_with;
use punktfunk_core::handshake::{Cipher, ExtensionBlock, GamepadKind, Hello, HostCaps2, Start, VideoCaps, Welcome};
use punktfunk_core::input::{
    Contact, GamepadAxis, GamepadButtons, GamepadState, InputEvent as I, MouseButton, Scroll, ScrollAxis, ScrollPhase,
    ScrollSource,
};
use punktfunk_core::packet::{PacketBatch, PacketHeader, UserFlags};
use punktfunk_core::packetize::{FrameMeta, Packetizer, PacketizerConfig};
use punktfunk_core::pairing::{ClientCeremony, HostCeremony, PairMessage};
use punktfunk_core::seal::{Direction, Opener, Sealer, scalar};
use punktfunk_core::{CloseCode, Codec, CodecSet, Fingerprint, Grants, HdrMeta, Mode};
use punktfunk_media::AudioEncoder;

const HD: Mode = Mode { width: 1920, height: 1080, refresh_hz: 60 };

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let control: Vec<_> = control().iter().map(|m| bytes(|out| m.encode(out))).collect();
    let pairing: Vec<_> = pairing().iter().map(|m| bytes(|out| m.encode(out))).collect();
    let stream = bytes(|out| {
        for payload in control.iter().chain(&pairing).take(12) {
            frame_with(out, |b| b.extend_from_slice(payload)).expect("small messages");
        }
    });
    let framing = [1u8, 3, 255].map(|cut| [&[cut], stream.as_slice()].concat()).to_vec();
    for (name, seeds) in [
        ("control", control),
        ("pairing", pairing),
        ("framing", framing),
        ("handshake", handshake()),
        ("datagrams", datagrams()),
        ("microphone", microphone()),
        ("video_packets", video()),
    ] {
        fs::create_dir_all(root.join(name))?;
        for (i, seed) in seeds.iter().enumerate() {
            fs::write(root.join(name).join(format!("seed-{i:02}")), seed)?;
        }
    }
    Ok(())
}

/// A word, one with losses and a pause, one in packets of another length.
fn microphone() -> Vec<Vec<u8>> {
    let word = |block_ms: u64, lost: fn(u32) -> bool, pause: u8| {
        let block = std::time::Duration::from_millis(block_ms);
        let mut encoder = VoiceEncoder::new(block, 48_000, 10).expect("libopus gives an encoder");
        let mut packet = Vec::new();
        bytes(|out| {
            for seq in 0..12u32 {
                let hum: Vec<f32> = (0..encoder.block_frames()).map(|i| (i as f32 * 0.06).sin() * 0.5).collect();
                encoder.encode(&hum, &mut packet).expect("a block of the right length");
                if lost(seq) {
                    continue;
                }
                let pts_ns = u64::from(seq) * block_ms * 1_000_000;
                let datagram = bytes(|out| C::Mic { seq, pts_ns, opus: &packet }.encode(out));
                out.extend((datagram.len() as u16).to_le_bytes());
                out.push(if seq == 6 { pause } else { block_ms as u8 });
                out.extend(datagram);
            }
        })
    };
    vec![
        word(10, |_| false, 10),
        word(10, |seq| seq % 4 == 1, 200),
        word(20, |_| false, 20),
        word(5, |seq| seq == 3, 5),
    ]
}

fn bytes(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

fn control() -> Vec<M> {
    let mime = || "text/plain;charset=utf-8".to_owned();
    vec![
        M::Reconfigure { mode: HD },
        M::Reconfigured { accepted: true, mode: HD },
        M::RequestKeyframe,
        M::LossReport { loss_ppm: 1000 },
        M::SetBitrate { kbps: 0 },
        M::BitrateChanged { kbps: 20_000, reason: None },
        M::BitrateChanged { kbps: 20_000, reason: Some(BitrateReason::Cadence) },
        M::RfiRequest { first_frame: u32::MAX, last_frame: 3 },
        M::ShardPayloadChanged { shard_payload: 1200 },
        M::ShardPayloadAck { shard_payload: 1200 },
        M::PipelineGap { gap_ms: 250 },
        M::DeliveryReport { packets_received: 7 },
        M::LinkReport { proven_kbps: 90_000 },
        M::SetDelivery { profile: DeliveryProfile::Smooth },
        M::DeliveryChanged { profile: DeliveryProfile::Burst, forced: true },
        M::HostFacts { iface: LinkKind::Wifi, link_mbps: 866, sndbuf_kb: 4096, forced_profile: None },
        M::Refused { code: CloseCode::VERSION_MISMATCH, message: "wire version 3".into() },
        M::ProbeRequest { target_kbps: 2_000_000, duration_ms: 800 },
        M::ProbeResult { bytes_sent: 1, packets_sent: 2, duration_ms: 3, wire_packets_sent: 4, send_dropped: 5 },
        M::ProbeShaped { target_kbps: 1, duration_ms: 2, burst_hz: 3, group_bytes: 4, group_rate_kbps: 5 },
        M::ClockProbe { t1_ns: 1 },
        M::ClockEcho { t1_ns: 1, t2_ns: 2, t3_ns: 3 },
        M::PhaseReport {
            next_latch_host_ns: 1,
            latch_period_ns: 2,
            uncertainty_ns: 3,
            arrival_lead_ns: 4,
            coherence_milli: Some(5),
        },
        M::ClipControl { enabled: true, files: false },
        M::ClipState { enabled: true, policy: ClipPolicy::TEXT, reason: ClipReason::NoFiles },
        M::ClipOffer(ClipOffer { seq: 7, formats: vec![ClipFormat { mime: mime(), size_hint: 5 }; 3] }),
        M::ClipFetch(ClipFetch { seq: 7, file_index: Some(1), mime: mime() }),
        M::ClipFetchHdr { status: ClipStatus::Stale, total_size: 9 },
        M::CursorShape(CursorShape::new(9, [3, 2], [1, 1], vec![0x80; 24]).expect("a small cursor")),
        M::CursorRenderMode { client_draws: true },
        M::AccessUpdate { grants: Grants::VIEW, remaining_secs: 60 },
        M::AudioState { muted: true },
        M::LaunchOutcome { kind: LaunchKind::Failed, message: "gone".into() },
        M::PadSlots { slots: 5 },
        M::InputEdge(I::Key { vk: 0x41, down: true }),
    ]
}

fn pairing() -> Vec<PairMessage> {
    let (client, host) = (Fingerprint([0x11; 32]), Fingerprint([0x22; 32]));
    let a = ClientCeremony::start("1234", &client, &host, [1; 64]).message().to_vec();
    let b = HostCeremony::respond("1234", &client, &host, &a, [2; 64]).expect("a good message");
    vec![
        PairMessage::Request { name: "tv".into(), spake_a: a.clone(), device_key: None },
        PairMessage::Request { name: "browser".into(), spake_a: a, device_key: Some(vec![4; 65]) },
        PairMessage::Challenge { spake_b: b.message().to_vec(), confirm: b.confirm() },
        PairMessage::Proof { confirm: [3; 32] },
        PairMessage::Result { ok: true },
    ]
}

fn handshake() -> Vec<Vec<u8>> {
    let mut extensions = ExtensionBlock::new();
    extensions.push_client_label("phone").expect("room");
    extensions.push_reads_bitrate_reason().expect("room");
    extensions.push_stage_timing().expect("room");
    extensions.push(4, b"\x02id\x04name").expect("room");
    let extensions = Some(extensions);
    let hello = Hello {
        name: Some("living room".into()),
        launch: Some("steam:570".into()),
        video_caps: VideoCaps(0x38),
        video_codecs: CodecSet(0x07),
        display_hdr: Some(HdrMeta { max_luminance: 10_000_000, ..HdrMeta::default() }),
        max_shard_payload: 9152,
        ..Hello::new(HD)
    };
    let welcome = Welcome::new(HD, Codec::H264, 50_000, [1; 16], [2; 4]);
    let full = Welcome {
        cipher: Cipher::ChaCha20Poly1305([3; 32]),
        mgmt_port: 47_990,
        host_caps2: HostCaps2::EXT,
        extensions: extensions.clone(),
        ..welcome.clone()
    };
    vec![
        bytes(|out| Hello::new(HD).encode(out)),
        bytes(|out| hello.encode(out)),
        bytes(|out| welcome.encode(out)),
        bytes(|out| full.encode(out)),
        bytes(|out| Start { client_udp_port: 50_001, extensions: None }.encode(out)),
        bytes(|out| Start { client_udp_port: 50_001, extensions }.encode(out)),
    ]
}

fn datagrams() -> Vec<Vec<u8>> {
    let contact = Contact { id: 1, x: 10, y: 20, ref_width: 1920, ref_height: 1080 };
    let state = GamepadState { seq: 5, buttons: GamepadButtons::A, left_x: 32_767, ..GamepadState::default() };
    let scroll = Scroll {
        axis: ScrollAxis::Horizontal,
        delta_q8: -512,
        source: ScrollSource::Finger,
        phase: ScrollPhase::Momentum,
    };
    let report = |n: usize| HidReport::new(&vec![0x31; n]).expect("a short report");
    let input = [
        I::Key { vk: 0x41, down: true },
        I::MouseMove { dx: -12, dy: 34 },
        I::MouseMoveAbs { x: 960, y: 540, ref_width: 1920, ref_height: 1080 },
        I::MouseButton { button: MouseButton::X2, down: false },
        I::MouseScroll { axis: ScrollAxis::Vertical, delta: 120, precise: true },
        I::GamepadButton { pad: 1, button: GamepadButtons::GUIDE, down: true },
        I::GamepadAxis { pad: 1, axis: GamepadAxis::LeftTrigger, value: 200 },
        I::TouchDown(contact),
        I::TouchMove(contact),
        I::TouchUp { id: 1 },
        I::GamepadState(state),
        I::GamepadRemove { pad: 0, seq: 6 },
        I::GamepadArrival { pad: 0, kind: GamepadKind::DualSense, haptics_audio: true, speaker_audio: false },
        I::Text('本'),
        I::Scroll(scroll),
    ];
    let pen = PenBatch::new(3, &[PenSample { x: 0.5, y: 0.25, ..PenSample::default() }; 3]).expect("three samples");
    let rich = [
        RichInput::Touchpad { pad: 0, finger: 1, active: true, x: 1, y: 2 },
        RichInput::Motion { pad: 0, gyro: [20, 0, 0], accel: [0, 10_000, 0] },
        RichInput::TouchpadExt { pad: 0, surface: 2, finger: 0, touch: true, click: false, x: -5, y: 5, pressure: 9 },
        RichInput::RawHid { pad: 0, report: report(48) },
        RichInput::Pen(pen),
    ];
    let hid = [
        HidOutput::Led { pad: 0, rgb: [1, 2, 3] },
        HidOutput::PlayerLeds { pad: 0, bits: 0x1f },
        HidOutput::TriggerEffect { pad: 0, right: true, effect: report(11) },
        HidOutput::TrackpadHaptic { pad: 0, left: true, amplitude: 1, period_us: 2, count: 3 },
        HidOutput::Raw { pad: 0, kind: HidKind::Feature, report: report(64) },
        HidOutput::AudioControl { pad: 0, flags: 1, bytes: [1, 2, 3, 4, 5, 6] },
        HidOutput::MicLed { pad: 0, mode: 2 },
    ];
    let rumble = |timing| Rumble { pad: 0, low: 0x4000, high: 0x8000, timing };
    let short = RumbleTiming { seq: 1, ttl_ms: 400, ..RumbleTiming::default() };
    let timing = HostTiming {
        pts_ns: 1000,
        host_us: 4321,
        stages: Some(StageTiming { queue_us: 1, encode_us: 2, pace_us: 3 }),
        applied_phase_ns: Some(-4),
        ours: Some(OurTiming { capture_us: 5, convert_us: 6, packetize_us: 7 }),
    };
    let (seq, pts_ns, opus) = (9, 5_000_000, &[0x5c; 60][..]);
    let host = [
        H::Audio { seq, pts_ns, opus },
        H::AudioRed { seq, pts_ns, primary: opus, previous: &opus[..40] },
        H::Pcm { seq, pts_ns, samples: opus },
        H::Rumble(rumble(None)),
        H::Rumble(rumble(Some(short))),
        H::Rumble(rumble(Some(RumbleTiming { left_trigger: 7, ..short }))),
        H::HdrMeta(HdrMeta { max_luminance: 10_000_000, ..HdrMeta::default() }),
        H::HostTiming(timing),
        H::CursorPosition { serial: 9, visible: true, grabbed: false, x: 100, y: 200 },
        H::PadAudio { pad: 1, kind: PadAudioKind::Speaker, seq, pts_ns, opus },
    ];
    let client = input.map(C::Input).into_iter().chain(rich.map(C::Rich)).chain([C::Mic { seq, pts_ns, opus }]);
    let client = client.map(|datagram| bytes(|out| datagram.encode(out)));
    let host = host.into_iter().chain(hid.map(H::HidOutput)).map(|datagram| bytes(|out| datagram.encode(out)));
    client.chain(host).collect()
}

/// Records for the hostile host (plaintexts of a real packetizer), and op lists for the bad path.
fn video() -> Vec<Vec<u8>> {
    let config = PacketizerConfig {
        shard_payload: 512,
        max_data_per_block: 5,
        scheme: FecScheme::Gf16,
        welcome_fec_percent: 50,
        max_frame_bytes: 8 << 20,
    };
    let key = || Box::new(scalar::Aes128Gcm::new(&[1; 16]));
    let sealer = Sealer::new(key(), [0; 4], Direction::HostToClient);
    let mut opener = Opener::new(key(), [0; 4], Direction::HostToClient);
    let mut packetizer = Packetizer::new(config, sealer, Box::new(Gf16Leopard::new())).expect("a good configuration");
    let mut seeds = Vec::new();
    for sizes in [&[300usize, 700][..], &[3000]] {
        let mut records = vec![0b0000_0100];
        for (pts, size) in sizes.iter().enumerate() {
            let meta = FrameMeta {
                pts_ns: pts as u64 * 16_666_667,
                user_flags: UserFlags::PICTURE,
                strength: Strength::Percent(20),
                probe: false,
            };
            let mut batch = PacketBatch::new();
            packetizer.packetize(&vec![0x55; *size], &meta, &mut batch).expect("a small frame");
            for sealed in batch.iter() {
                let mut packet = sealed.to_vec();
                let plaintext = opener.open(&mut packet).expect("our own packet");
                records.extend([1, plaintext.len() as u8, (plaintext.len() >> 8) as u8]);
                records.extend_from_slice(plaintext);
            }
        }
        seeds.push(records);
    }
    // A streamed access unit (§5.6): a sentinel block of K shards, then the final block.
    let mut streamed = vec![0b0000_0100];
    for shard in 0..6u16 {
        let last = shard == 5;
        let header = PacketHeader {
            frame_bytes: if last { 5 * 512 + 100 } else { 0 },
            user_flags: UserFlags::PICTURE,
            block_index: u16::from(last),
            block_count: if last { 2 } else { 0 },
            data_shards: if last { 1 } else { 5 },
            recovery_shards: 0,
            shard_index: if last { 0 } else { shard },
            shard_bytes: 512,
            fec_scheme: 1,
            ..Default::default()
        };
        let mut coded = [0; 40];
        header.encode(&mut coded);
        streamed.extend([1, 0x28, 0x02]);
        streamed.extend(coded);
        streamed.extend([0x66; 512]);
    }
    seeds.push(streamed);
    for config in [0x80u8, 0x81, 0x84, 0x89, 0x8e] {
        let ops = (0..240u32).map(|i| (i * i * 7 + u32::from(config)) as u8);
        seeds.push([config].into_iter().chain(ops).collect());
    }
    seeds
}
