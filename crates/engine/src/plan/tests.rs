//! The decisions as one table: a wish on the left, the plan or the refusal on the right.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const X264: EncoderOffer = EncoderOffer { name: "x264", codec: Some(Codec::H264), max_size: (8192, 8192) };
const OPENH264: EncoderOffer = EncoderOffer { name: "openh264", codec: Some(Codec::H264), max_size: (3840, 2160) };
const HEVC_HW: EncoderOffer = EncoderOffer { name: "hevc_vaapi", codec: Some(Codec::Hevc), max_size: (8192, 8192) };
const AV1_SLOW: EncoderOffer = EncoderOffer { name: "svt-av1", codec: Some(Codec::Av1), max_size: (8192, 8192) };
const TRANSPORT: EncoderOffer = EncoderOffer { name: "transport", codec: None, max_size: (8192, 8192) };

const H264: u8 = 1;
const HEVC: u8 = 2;
const AV1: u8 = 4;
const PYRO: u8 = 8;

fn software() -> HostOffer {
    HostOffer { encoders: vec![X264, OPENH264], ..HostOffer::default() }
}

fn with_gpu() -> HostOffer {
    HostOffer { encoders: vec![HEVC_HW, X264, OPENH264, AV1_SLOW], ..HostOffer::default() }
}

fn wish(mode: (u32, u32, u32), codecs: u8, preferred: Option<Codec>, bitrate_kbps: u32) -> ClientWish {
    let mode = Mode { width: mode.0, height: mode.1, refresh_hz: mode.2 };
    ClientWish {
        mode,
        codecs: CodecSet(codecs),
        preferred,
        bitrate_kbps,
        multi_slice: false,
        slices: 0,
        max_frame_bytes: None,
        colour: Colour::default(),
    }
}

fn row(table: &mut String, what: &str, offer: &HostOffer, wish: &ClientWish) {
    let _ = write!(table, "{what:<34}| {:<14}| ", wish.mode.to_string());
    let _ = match plan(offer, wish) {
        Ok(p) => {
            let encoders = p.encoders.join(" ");
            let _ =
                write!(table, "{} {} [{encoders}] {} kbit/s, FEC {} %", p.mode, p.codec, p.wire_kbps, p.fec_percent);
            for downgrade in &p.downgrades {
                let _ = write!(table, "\n{:>52} {downgrade}", "·");
            }
            writeln!(table)
        }
        Err(e) => writeln!(table, "REFUSED {}: {}", e.reason.code, e.detail),
    };
}

const HD: (u32, u32, u32) = (1280, 720, 60);

#[test]
fn codecs_and_encoders() {
    let (mut t, sw, gpu) = (String::new(), software(), with_gpu());
    let pinned = |name: &str| HostOffer { choice: EncoderChoice::Pinned(name.into()), ..with_gpu() };
    row(&mut t, "software, old client", &sw, &wish(HD, H264, None, 0));
    row(&mut t, "software, everything", &sw, &wish(HD, H264 | HEVC | AV1 | PYRO, None, 0));
    row(&mut t, "software, likes hevc", &sw, &wish(HD, H264 | HEVC, Some(Codec::Hevc), 0));
    row(&mut t, "software, hevc only", &sw, &wish(HD, HEVC, None, 0));
    row(&mut t, "software, pyrowave only", &sw, &wish(HD, PYRO, Some(Codec::PyroWave), 0));
    row(&mut t, "software, no codec at all", &sw, &wish(HD, 0, None, 0));
    row(&mut t, "gpu, everything", &gpu, &wish(HD, H264 | HEVC | AV1, None, 0));
    row(&mut t, "gpu, likes h264", &gpu, &wish(HD, H264 | HEVC | AV1, Some(Codec::H264), 0));
    row(&mut t, "gpu, slow av1 loses to h264", &gpu, &wish(HD, H264 | AV1, None, 0));
    row(&mut t, "gpu, likes slow av1", &gpu, &wish(HD, H264 | AV1, Some(Codec::Av1), 0));
    row(&mut t, "pinned openh264", &pinned("openh264"), &wish(HD, H264 | HEVC, None, 0));
    row(&mut t, "pinned openh264, hevc client", &pinned("openh264"), &wish(HD, HEVC, None, 0));
    row(&mut t, "pinned to what is not there", &pinned("nvenc"), &wish(HD, H264, None, 0));
    let left_out = HostOffer { left_out: CodecSet(HEVC), ..with_gpu() };
    row(&mut t, "hevc failed before", &left_out, &wish(HD, H264 | HEVC, None, 0));
    row(&mut t, "hevc failed before, liked", &left_out, &wish(HD, H264 | HEVC, Some(Codec::Hevc), 0));
    row(&mut t, "hevc failed before, nothing else", &left_out, &wish(HD, HEVC, None, 0));
    let transport = HostOffer { encoders: vec![TRANSPORT], ..HostOffer::default() };
    row(&mut t, "transport, hevc and av1", &transport, &wish(HD, HEVC | AV1, None, 0));
    row(&mut t, "transport, likes av1", &transport, &wish(HD, HEVC | AV1, Some(Codec::Av1), 0));
    row(&mut t, "no encoder at all", &HostOffer::default(), &wish(HD, H264, None, 0));
    insta::assert_snapshot!(t);
}

#[test]
fn modes() {
    let (mut t, sw) = (String::new(), software());
    for mode in [
        (0, 0, 60),
        (1280, 0, 60),
        (1280, 720, 0),
        (15, 720, 60),
        (16, 16, 1),
        (1279, 719, 60),
        (1366, 768, 144),
        (3840, 2160, 60),
        (5120, 2160, 60),
        (8192, 4320, 60),
        (8193, 4320, 60),
        (20000, 20000, 60),
        (1280, 720, 100_000),
        (u32::MAX, u32::MAX, u32::MAX),
    ] {
        row(&mut t, "software", &sw, &wish(mode, H264, None, 0));
    }
    let floor = HostOffer { encoders: vec![OPENH264], ..HostOffer::default() };
    row(&mut t, "openh264 alone", &floor, &wish((5120, 2160, 60), H264, None, 0));
    let capped = HostOffer { max_refresh_hz: 60, ..software() };
    row(&mut t, "at most 60 Hz", &capped, &wish((1279, 720, 144), H264, None, 0));
    insta::assert_snapshot!(t);
}

#[test]
fn bitrates() {
    let mut t = String::new();
    let capped = HostOffer { max_kbps: 30_000, ..software() };
    for kbps in [0, 1, 499, 500, 20_000, 50_000, 8_000_000, u32::MAX] {
        row(&mut t, &format!("asked {kbps}"), &software(), &wish(HD, H264, None, kbps));
        row(&mut t, &format!("asked {kbps}, cap 30000"), &capped, &wish(HD, H264, None, kbps));
    }
    let low = HostOffer { max_kbps: 5_000, ..software() };
    row(&mut t, "automatic under a low cap", &low, &wish(HD, H264, None, 0));
    insta::assert_snapshot!(t);
}

#[test]
fn the_colour_is_the_one_asked_for() {
    for colour in Colour::ALL {
        let wish = ClientWish { colour, ..wish(HD, H264, None, 0) };
        assert_eq!(plan(&software(), &wish).expect("a plan").colour, colour);
    }
}

#[test]
fn pictures_that_must_stay_small_cap_the_bitrate() {
    let limited = |kbps, refresh_hz, offer: HostOffer| {
        let wish = ClientWish {
            max_frame_bytes: Some(1_000_000),
            slices: 4,
            ..wish((1280, 720, refresh_hz), H264, None, kbps)
        };
        let plan = plan(&offer, &wish).expect("a plan");
        assert_eq!((plan.max_frame_bytes, plan.slices), (Some(1_000_000), 4));
        (plan.wire_kbps, plan.max_kbps, plan.downgrades.iter().map(|d| d.reason.code).collect::<Vec<_>>())
    };
    let frame_limit = "session.bitrate_frame_limit";
    assert_eq!(limited(50_000, 60, software()), (50_000, 240_000, vec![]));
    assert_eq!(limited(400_000, 60, software()), (240_000, 240_000, vec![frame_limit]));
    assert_eq!(limited(400_000, 120, software()), (400_000, 480_000, vec![]));
    let capped = HostOffer { max_kbps: 30_000, ..software() };
    assert_eq!(limited(400_000, 60, capped), (30_000, 30_000, vec!["session.bitrate_capped"]));
    let loose = HostOffer { max_kbps: 300_000, ..software() };
    assert_eq!(limited(400_000, 60, loose), (240_000, 240_000, vec!["session.bitrate_capped", frame_limit]));
}

#[test]
fn mode_changes() {
    let offer = HostOffer { encoders: vec![OPENH264, HEVC_HW], ..HostOffer::default() };
    let mode = |width, height| Mode { width, height, refresh_hz: 60 };
    assert_eq!(plan_mode(&offer, Codec::H264, mode(1920, 1080)), Ok((mode(1920, 1080), vec![])));
    assert_eq!(plan_mode(&offer, Codec::H264, mode(1921, 1080)).map(|(m, d)| (m, d.len())), Ok((mode(1920, 1080), 1)));
    let refusal = |codec, m| plan_mode(&offer, codec, m).map_err(|e| e.reason.code);
    assert_eq!(refusal(Codec::H264, mode(5120, 2160)), Err("encode.mode_too_large"));
    assert!(refusal(Codec::Hevc, mode(5120, 2160)).is_ok());
    assert_eq!(refusal(Codec::Hevc, mode(0, 2160)), Err("session.mode_invalid"));
}

proptest! {
    #[test]
    fn a_plan_never_exceeds_what_was_offered_and_asked(
        width in 0_u32..20_000, height in 0_u32..20_000, refresh_hz in 0_u32..2000, codecs in 0_u8..=255,
        preferred in proptest::option::of(0_usize..4), kbps: u32, cap in 0_u32..100_000, gpu: bool, left_out in 0_u8..16,
    ) {
        let base = if gpu { with_gpu() } else { software() };
        let offer = HostOffer { max_kbps: cap, left_out: CodecSet(left_out), ..base };
        let wish = wish((width, height, refresh_hz), codecs, preferred.map(|i| Codec::ALL[i]), kbps);
        match plan(&offer, &wish) {
            Ok(p) => {
                prop_assert!(wish.codecs.contains(p.codec) && p.codec != Codec::PyroWave);
                prop_assert!(!p.encoders.is_empty());
                for name in &p.encoders {
                    let e = offer.encoders.iter().find(|e| e.name == *name).expect("offered");
                    prop_assert!(e.encodes(p.codec) && e.takes(p.mode));
                }
                prop_assert!(p.mode.width <= width && p.mode.height <= height && p.mode.refresh_hz <= refresh_hz);
                prop_assert!(p.mode.width % 2 == 0 && p.mode.height % 2 == 0);
                prop_assert!((MIN_KBPS..=MAX_KBPS).contains(&p.wire_kbps));
                prop_assert!(cap < MIN_KBPS || p.wire_kbps <= cap);
                prop_assert!(p.downgrades.iter().all(|d| d.asked != d.given));
                // Whatever differs from the wish is explained.
                let differs = usize::from(p.mode != wish.mode)
                    + usize::from(wish.preferred.is_some_and(|c| c != p.codec))
                    + usize::from(kbps != 0 && kbps != p.wire_kbps);
                prop_assert!(p.downgrades.len() >= differs);
            }
            Err(e) => prop_assert!(!e.detail.is_empty()),
        }
    }
}
