//! Arbitrary messages: every variant, every field over its whole range, in canonical form.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use punktfunk_core::control::{
    BitrateReason, ClipFetch, ClipFormat, ClipOffer, ClipPolicy, ClipReason, ClipStatus, ControlMessage as M,
    CursorShape, DeliveryProfile, LaunchKind, LinkKind,
};
use punktfunk_core::datagram::{
    HidKind, HidOutput, HidReport, HostTiming, OurTiming, PadAudioKind, PenBatch, PenSample, PenState, PenTool,
    RichInput, Rumble, RumbleTiming, StageTiming,
};
use punktfunk_core::handshake::{
    AUDIO_RATES_HZ, AudioChannels, AudioCodec, AudioLayout, BitDepth, ChromaFormat, Cipher, ClientCaps, Colour,
    CompositorKind, ExtensionBlock, FecScheme, GamepadKind, Hello, HostCaps, HostCaps2, Start, VideoCaps, VideoFit,
    Welcome,
};
use punktfunk_core::input::{
    Contact, GamepadAxis, GamepadButtons, GamepadState, InputEvent, MouseButton, Scroll, ScrollAxis, ScrollPhase,
    ScrollSource,
};
use punktfunk_core::pairing::PairMessage;
use punktfunk_core::{CloseCode, Codec, CodecSet, Grants, HdrMeta, Mode};

/// Text of at most `max` bytes, of characters with one to four of them.
fn text(max: usize) -> impl Strategy<Value = String> {
    vec(select(vec!['a', '~', 'ß', '本', '🎮']), 0..=max).prop_map(move |chars| {
        let mut s = String::new();
        for c in chars {
            if s.len() + c.len_utf8() <= max {
                s.push(c);
            }
        }
        s
    })
}

fn blob(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=max)
}

fn of<T: Clone + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    select(all)
}

fn pad() -> impl Strategy<Value = u8> {
    0u8..16
}

fn mode() -> impl Strategy<Value = Mode> {
    any::<[u32; 3]>().prop_map(|[width, height, refresh_hz]| Mode { width, height, refresh_hz })
}

pub fn hdr() -> impl Strategy<Value = HdrMeta> {
    (any::<[[u16; 2]; 4]>(), any::<[u32; 2]>(), any::<[u16; 2]>()).prop_map(|(p, [max, min], [cll, fall])| HdrMeta {
        primaries: [p[0], p[1], p[2]],
        white_point: p[3],
        max_luminance: max,
        min_luminance: min,
        max_cll: cll,
        max_fall: fall,
    })
}

pub fn extensions() -> impl Strategy<Value = ExtensionBlock> {
    btree_map(any::<u16>(), blob(40), 0..8).prop_map(|entries| {
        let mut block = ExtensionBlock::new();
        entries.iter().for_each(|(tag, value)| block.push(*tag, value).unwrap());
        block
    })
}

fn bits() -> impl Strategy<Value = u8> {
    select(vec![16u8, 24])
}

pub fn hello() -> impl Strategy<Value = Hello> {
    let head = (any::<u32>(), mode(), of(CompositorKind::ALL), of(GamepadKind::ALL), any::<u32>());
    let texts = (option::of(text(64)), option::of(text(128)));
    let video = (any::<u8>(), any::<u8>(), any::<u8>(), option::of(hdr()), any::<u8>(), any::<u16>());
    let audio = (of(AudioChannels::ALL), 1u32.., bits(), of(AudioLayout::ALL), of(VideoFit::ALL));
    // How many fields of the tail are not at their default.
    (head, texts, video, audio, 0usize..16).prop_map(|(head, texts, video, audio, upto)| {
        let (abi_version, mode, compositor, gamepad, bitrate_kbps) = head;
        let mut h = Hello { abi_version, compositor, gamepad, bitrate_kbps, ..Hello::new(mode) };
        let some = |s: Option<String>| s.filter(|s| !s.is_empty());
        let fields: [&dyn Fn(&mut Hello); 13] = [
            &|h| h.name = some(texts.0.clone()),
            &|h| h.launch = some(texts.1.clone()),
            &|h| h.video_caps = VideoCaps(video.0),
            &|h| h.audio_channels = audio.0,
            &|h| h.video_codecs = CodecSet(video.1),
            &|h| h.preferred_codec = CodecSet(video.2),
            &|h| h.display_hdr = video.3,
            &|h| h.client_caps = ClientCaps(video.4),
            &|h| h.max_shard_payload = video.5,
            &|h| h.audio_rate_hz = audio.1,
            &|h| h.audio_bits = audio.2,
            &|h| h.audio_layout = audio.3,
            &|h| h.video_fit = audio.4,
        ];
        fields.iter().take(upto).for_each(|set| set(&mut h));
        h
    })
}

pub fn welcome() -> impl Strategy<Value = Welcome> {
    let head =
        (any::<u32>(), any::<u16>(), mode(), of(&[FecScheme::Gf8, FecScheme::Gf16]), any::<u8>(), any::<[u16; 2]>());
    let keys = (any::<bool>(), any::<[u8; 16]>(), any::<[u8; 4]>(), option::of(any::<[u8; 32]>()), any::<u32>());
    let picture = (of(BitDepth::ALL), any::<[u8; 3]>(), any::<bool>(), of(ChromaFormat::ALL), of(&Codec::ALL));
    let resolved = (of(CompositorKind::ALL), of(GamepadKind::ALL), any::<u32>(), of(AudioChannels::ALL), any::<u8>());
    let access = (any::<u16>(), any::<u32>(), any::<u32>());
    let pcm = (select(AUDIO_RATES_HZ.to_vec()), bits(), prop_oneof![Just(0u16), 1000u16..]);
    let late = (option::of(pcm), any::<u8>(), of(AudioLayout::ALL), option::of(extensions()));
    (head, keys, picture, resolved, access, late, 0usize..8).prop_map(
        |(head, keys, picture, resolved, access, late, upto)| {
            let (abi_version, udp_port, mode, fec_scheme, fec_percent, [max_data_per_block, shard_payload]) = head;
            let (encrypt, aes_key, salt, chacha, frames) = keys;
            let (bit_depth, [primaries, transfer, matrix], full_range, chroma, codec) = picture;
            let (compositor, gamepad, bitrate_kbps, audio_channels, host_caps) = resolved;
            let mut w = Welcome {
                abi_version,
                fec_scheme,
                fec_percent,
                max_data_per_block,
                shard_payload,
                encrypt,
                frames,
                compositor,
                gamepad,
                bitrate_kbps,
                bit_depth,
                colour: Colour { primaries, transfer, matrix, full_range },
                chroma,
                audio_channels,
                host_caps: HostCaps(host_caps),
                cipher: chacha.map_or(Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305),
                ..Welcome::new(mode, codec, udp_port, aes_key, salt)
            };
            let fields: [&dyn Fn(&mut Welcome); 6] = [
                &|w| w.mgmt_port = access.0,
                &|w| (w.grants, w.expires_in_secs) = (Grants(access.1), access.2),
                &|w| {
                    if let Some((rate, bits, frame_us)) = late.0 {
                        w.audio_codec = AudioCodec::Pcm;
                        (w.audio_rate_hz, w.audio_bits, w.audio_frame_us) = (rate, bits, frame_us);
                    }
                },
                &|w| w.host_caps2 = HostCaps2(late.1),
                &|w| w.audio_layout = late.2,
                &|w| w.extensions = late.3.clone(),
            ];
            fields.iter().take(upto).for_each(|set| set(&mut w));
            w
        },
    )
}

pub fn start() -> impl Strategy<Value = Start> {
    (any::<u16>(), option::of(extensions()))
        .prop_map(|(client_udp_port, extensions)| Start { client_udp_port, extensions })
}

fn cursor_shape() -> impl Strategy<Value = CursorShape> {
    (any::<u32>(), 1u16..=120, 1u16..=120, any::<[u16; 2]>(), any::<u8>()).prop_map(|(serial, w, h, hot, fill)| {
        let pixels = (0..usize::from(w) * usize::from(h) * 4).map(|i| fill.wrapping_add(i as u8)).collect();
        CursorShape::new(serial, [w, h], hot, pixels).unwrap()
    })
}

fn delivery() -> impl Strategy<Value = M> {
    let profile = || of(DeliveryProfile::ALL);
    let facts = (of(LinkKind::ALL), any::<u32>(), any::<u32>(), option::of(profile()));
    prop_oneof![
        profile().prop_map(|profile| M::SetDelivery { profile }),
        (profile(), any::<bool>()).prop_map(|(profile, forced)| M::DeliveryChanged { profile, forced }),
        facts.prop_map(|(iface, link_mbps, sndbuf_kb, forced_profile)| M::HostFacts {
            iface,
            link_mbps,
            sndbuf_kb,
            forced_profile
        }),
    ]
}

fn clipboard() -> impl Strategy<Value = M> {
    let format = (text(128), any::<u64>()).prop_map(|(mime, size_hint)| ClipFormat { mime, size_hint });
    let offer = (any::<u32>(), vec(format, 0..=16)).prop_map(|(seq, formats)| ClipOffer { seq, formats });
    prop_oneof![
        any::<[bool; 2]>().prop_map(|[enabled, files]| M::ClipControl { enabled, files }),
        (any::<bool>(), any::<u8>(), of(ClipReason::ALL)).prop_map(|(enabled, policy, reason)| M::ClipState {
            enabled,
            policy: ClipPolicy(policy),
            reason
        }),
        offer.prop_map(M::ClipOffer),
        (any::<u32>(), option::of(0..u32::MAX), text(128))
            .prop_map(|(seq, file_index, mime)| M::ClipFetch(ClipFetch { seq, file_index, mime })),
        (of(ClipStatus::ALL), any::<u64>()).prop_map(|(status, total_size)| M::ClipFetchHdr { status, total_size }),
    ]
}

fn measurements() -> impl Strategy<Value = M> {
    let n = any::<u32>;
    prop_oneof![
        n().prop_map(|loss_ppm| M::LossReport { loss_ppm }),
        any::<u64>().prop_map(|packets_received| M::DeliveryReport { packets_received }),
        n().prop_map(|proven_kbps| M::LinkReport { proven_kbps }),
        (n(), n()).prop_map(|(target_kbps, duration_ms)| M::ProbeRequest { target_kbps, duration_ms }),
        (any::<u64>(), any::<[u32; 4]>()).prop_map(|(bytes_sent, [a, b, c, d])| M::ProbeResult {
            bytes_sent,
            packets_sent: a,
            duration_ms: b,
            wire_packets_sent: c,
            send_dropped: d
        }),
        (any::<[u32; 4]>(), any::<u16>()).prop_map(|([a, b, c, d], burst_hz)| M::ProbeShaped {
            target_kbps: a,
            duration_ms: b,
            burst_hz,
            group_bytes: c,
            group_rate_kbps: d
        }),
        any::<u64>().prop_map(|t1_ns| M::ClockProbe { t1_ns }),
        any::<[u64; 3]>().prop_map(|[t1_ns, t2_ns, t3_ns]| M::ClockEcho { t1_ns, t2_ns, t3_ns }),
        (any::<u64>(), any::<[u32; 3]>(), option::of(any::<u16>())).prop_map(|(latch, [a, b, c], coherence_milli)| {
            M::PhaseReport {
                next_latch_host_ns: latch,
                latch_period_ns: a,
                uncertainty_ns: b,
                arrival_lead_ns: c,
                coherence_milli,
            }
        }),
    ]
}

pub fn control() -> impl Strategy<Value = M> {
    let n = any::<u32>;
    prop_oneof![
        4 => measurements(),
        3 => clipboard(),
        1 => delivery(),
        1 => mode().prop_map(|mode| M::Reconfigure { mode }),
        1 => (any::<bool>(), mode()).prop_map(|(accepted, mode)| M::Reconfigured { accepted, mode }),
        1 => Just(M::RequestKeyframe),
        1 => n().prop_map(|kbps| M::SetBitrate { kbps }),
        1 => (n(), option::of(of(BitrateReason::ALL))).prop_map(|(kbps, reason)| M::BitrateChanged { kbps, reason }),
        1 => (n(), n()).prop_map(|(first_frame, last_frame)| M::RfiRequest { first_frame, last_frame }),
        1 => any::<u16>().prop_map(|shard_payload| M::ShardPayloadChanged { shard_payload }),
        1 => any::<u16>().prop_map(|shard_payload| M::ShardPayloadAck { shard_payload }),
        1 => n().prop_map(|gap_ms| M::PipelineGap { gap_ms }),
        1 => (n(), text(256)).prop_map(|(code, message)| M::Refused { code: CloseCode(code), message }),
        1 => cursor_shape().prop_map(M::CursorShape),
        1 => any::<bool>().prop_map(|client_draws| M::CursorRenderMode { client_draws }),
        1 => (n(), n()).prop_map(|(g, remaining_secs)| M::AccessUpdate { grants: Grants(g), remaining_secs }),
        1 => any::<bool>().prop_map(|muted| M::AudioState { muted }),
        1 => (of(LaunchKind::ALL), text(200)).prop_map(|(kind, message)| M::LaunchOutcome { kind, message }),
        1 => any::<u16>().prop_map(|slots| M::PadSlots { slots }),
        1 => input().prop_map(M::InputEdge),
    ]
}

pub fn pair() -> impl Strategy<Value = PairMessage> {
    prop_oneof![
        (text(64), blob(80), option::of(blob(80))).prop_map(|(name, spake_a, device_key)| PairMessage::Request {
            name,
            spake_a,
            device_key
        }),
        (blob(80), any::<[u8; 32]>()).prop_map(|(spake_b, confirm)| PairMessage::Challenge { spake_b, confirm }),
        any::<[u8; 32]>().prop_map(|confirm| PairMessage::Proof { confirm }),
        any::<bool>().prop_map(|ok| PairMessage::Result { ok }),
    ]
}

fn contact() -> impl Strategy<Value = Contact> {
    (any::<u32>(), any::<[i32; 2]>(), 1u16.., 1u16..).prop_map(|(id, [x, y], ref_width, ref_height)| Contact {
        id,
        x,
        y,
        ref_width,
        ref_height,
    })
}

fn scroll() -> impl Strategy<Value = Scroll> {
    (of(ScrollAxis::ALL), any::<i32>(), of(ScrollSource::ALL), of(ScrollPhase::ALL)).prop_map(
        |(axis, delta_q8, source, phase)| {
            let mut scroll = Scroll { axis, delta_q8, source, phase };
            if !scroll.is_valid() {
                scroll.delta_q8 = 0;
            }
            if !scroll.is_valid() {
                scroll.phase = ScrollPhase::None;
            }
            scroll
        },
    )
}

fn gamepad() -> impl Strategy<Value = InputEvent> {
    let state = (pad(), any::<u8>(), any::<u32>(), any::<[i16; 4]>(), any::<[u8; 2]>());
    prop_oneof![
        (pad(), 0u32..32, any::<bool>()).prop_map(|(pad, bit, down)| InputEvent::GamepadButton {
            pad,
            button: GamepadButtons(1 << bit),
            down
        }),
        (pad(), of(GamepadAxis::ALL), any::<i32>()).prop_map(|(pad, axis, v)| InputEvent::GamepadAxis {
            pad,
            axis,
            value: axis.clamp(v)
        }),
        state.prop_map(|(pad, seq, buttons, [lx, ly, rx, ry], [lt, rt])| InputEvent::GamepadState(GamepadState {
            pad,
            seq,
            buttons: GamepadButtons(buttons),
            left_x: lx,
            left_y: ly,
            right_x: rx,
            right_y: ry,
            left_trigger: lt,
            right_trigger: rt,
        })),
        (pad(), any::<u8>()).prop_map(|(pad, seq)| InputEvent::GamepadRemove { pad, seq }),
        (pad(), of(GamepadKind::ALL), any::<[bool; 2]>()).prop_map(|(pad, kind, [haptics_audio, speaker_audio])| {
            InputEvent::GamepadArrival { pad, kind, haptics_audio, speaker_audio }
        }),
    ]
}

pub fn input() -> impl Strategy<Value = InputEvent> {
    let axis = || of(ScrollAxis::ALL);
    prop_oneof![
        5 => gamepad(),
        1 => (any::<u32>(), any::<bool>()).prop_map(|(vk, down)| InputEvent::Key { vk, down }),
        1 => any::<[i32; 2]>().prop_map(|[dx, dy]| InputEvent::MouseMove { dx, dy }),
        1 => contact().prop_map(|Contact { x, y, ref_width, ref_height, .. }| InputEvent::MouseMoveAbs {
            x, y, ref_width, ref_height
        }),
        1 => (of(MouseButton::ALL), any::<bool>()).prop_map(|(button, down)| InputEvent::MouseButton { button, down }),
        1 => (axis(), any::<i32>(), any::<bool>())
            .prop_map(|(axis, delta, precise)| InputEvent::MouseScroll { axis, delta, precise }),
        1 => contact().prop_map(InputEvent::TouchDown),
        1 => contact().prop_map(InputEvent::TouchMove),
        1 => any::<u32>().prop_map(|id| InputEvent::TouchUp { id }),
        1 => any::<char>().prop_map(InputEvent::Text),
        2 => scroll().prop_map(InputEvent::Scroll),
    ]
}

fn report(min: usize, max: usize) -> impl Strategy<Value = HidReport> {
    vec(any::<u8>(), min..=max).prop_map(|bytes| HidReport::new(&bytes).unwrap())
}

fn pen() -> impl Strategy<Value = PenBatch> {
    let known = || option::of(0..u16::MAX);
    let sample = (
        (any::<u8>(), of(PenTool::ALL), 0.0f32..=1.0, 0.0f32..=1.0, any::<u16>()),
        (known(), option::of(0..u8::MAX), known(), known(), any::<u16>()),
    )
        .prop_map(|((state, tool, x, y, pressure), (distance, tilt_deg, azimuth_deg, roll_deg, dt_us))| {
            PenSample { state: PenState(state), tool, x, y, pressure, distance, tilt_deg, azimuth_deg, roll_deg, dt_us }
        });
    (any::<u16>(), vec(sample, 1..=8)).prop_map(|(seq, samples)| PenBatch::new(seq, &samples).unwrap())
}

pub fn rich() -> impl Strategy<Value = RichInput> {
    prop_oneof![
        (pad(), any::<u8>(), any::<bool>(), any::<[u16; 2]>())
            .prop_map(|(pad, finger, active, [x, y])| RichInput::Touchpad { pad, finger, active, x, y }),
        (pad(), any::<[i16; 3]>(), any::<[i16; 3]>()).prop_map(|(pad, gyro, accel)| RichInput::Motion {
            pad,
            gyro,
            accel
        }),
        (pad(), 0u8..=2, any::<u8>(), any::<[bool; 2]>(), any::<[i16; 2]>(), any::<u16>()).prop_map(
            |(pad, surface, finger, [touch, click], [x, y], pressure)| RichInput::TouchpadExt {
                pad,
                surface,
                finger,
                touch,
                click,
                x,
                y,
                pressure
            }
        ),
        (pad(), report(0, 64)).prop_map(|(pad, report)| RichInput::RawHid { pad, report }),
        pen().prop_map(RichInput::Pen),
    ]
}

pub fn rumble() -> impl Strategy<Value = Rumble> {
    let timing = (any::<u8>(), any::<[u16; 3]>()).prop_map(|(seq, [ttl_ms, left_trigger, right_trigger])| {
        RumbleTiming { seq, ttl_ms, left_trigger, right_trigger }
    });
    (pad(), any::<[u16; 2]>(), option::of(timing)).prop_map(|(pad, [low, high], timing)| Rumble {
        pad,
        low,
        high,
        timing,
    })
}

pub fn hid_output() -> impl Strategy<Value = HidOutput> {
    prop_oneof![
        (pad(), any::<[u8; 3]>()).prop_map(|(pad, rgb)| HidOutput::Led { pad, rgb }),
        (pad(), 0u8..32).prop_map(|(pad, bits)| HidOutput::PlayerLeds { pad, bits }),
        (pad(), any::<bool>(), report(1, 11)).prop_map(|(pad, right, effect)| HidOutput::TriggerEffect {
            pad,
            right,
            effect
        }),
        (pad(), any::<bool>(), any::<[u16; 3]>()).prop_map(|(pad, left, [amplitude, period_us, count])| {
            HidOutput::TrackpadHaptic { pad, left, amplitude, period_us, count }
        }),
        (pad(), of(HidKind::ALL), report(1, 64)).prop_map(|(pad, kind, report)| HidOutput::Raw { pad, kind, report }),
        (pad(), any::<u8>(), any::<[u8; 6]>()).prop_map(|(pad, flags, bytes)| HidOutput::AudioControl {
            pad,
            flags,
            bytes
        }),
        (pad(), 0u8..3).prop_map(|(pad, mode)| HidOutput::MicLed { pad, mode }),
    ]
}

pub fn host_timing() -> impl Strategy<Value = HostTiming> {
    (any::<u64>(), any::<[u32; 7]>(), any::<i32>(), 0u8..4).prop_map(|(pts_ns, [a, b, c, d, e, f, g], phase, form)| {
        HostTiming {
            pts_ns,
            host_us: a,
            stages: (form > 0).then_some(StageTiming { queue_us: b, encode_us: c, pace_us: d }),
            applied_phase_ns: (form > 1).then_some(phase),
            ours: (form > 2).then_some(OurTiming { capture_us: e, convert_us: f, packetize_us: g }),
        }
    })
}

pub fn pad_audio() -> impl Strategy<Value = (u8, PadAudioKind)> {
    (pad(), of(PadAudioKind::ALL))
}

/// What happens to bytes on their way: some are changed, the end is cut off or grows.
#[derive(Clone, Debug)]
pub struct Damage {
    changes: Vec<(Index, u8)>,
    cut: Option<Index>,
    grow: Vec<u8>,
}

pub fn damage() -> impl Strategy<Value = Damage> {
    (vec((any::<Index>(), any::<u8>()), 0..4), option::of(any::<Index>()), blob(32))
        .prop_map(|(changes, cut, grow)| Damage { changes, cut, grow })
}

impl Damage {
    pub fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for (at, value) in self.changes.iter().filter(|_| !bytes.is_empty()).cloned().collect::<Vec<_>>() {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        match &self.cut {
            Some(at) => bytes.truncate(at.index(bytes.len() + 1)),
            None => bytes.extend(&self.grow),
        }
        bytes
    }
}
