//! The two SDP bodies: what DESCRIBE offers, and what ANNOUNCE asks for (gamestream.md §5.5, §5.6, §9.2).

use std::time::Duration;

use crate::door::{Announce, RtspOffer};

/// The body of DESCRIBE. Clients search it for substrings, so each line stands there exactly when it is true.
#[must_use]
pub fn describe(offer: &RtspOffer) -> String {
    let mut body = format!(
        "a=x-ss-general.featureFlags:{}\na=x-ss-general.encryptionSupported:{}\na=x-ss-general.encryptionRequested:{}\n",
        offer.feature_flags, offer.encryption_supported, offer.encryption_requested
    );
    if offer.invalidation {
        body.push_str("a=x-nv-video[0].refPicInvalidation:1\n");
    }
    if offer.hevc {
        body.push_str("sprop-parameter-sets=AAAAAU\n");
    }
    if offer.av1 {
        body.push_str("a=rtpmap:98 AV1/90000\n");
    }
    // The first line of a channel count is its normal layout, the second its high-quality one: a client's own layout is
    // offered as both.
    let own = offer.surround_params.as_deref().filter(|layout| is_layout(layout));
    for layout in own.into_iter().flat_map(|own| [own; 2]).chain(LAYOUTS) {
        body.push_str("a=fmtp:97 surround-params=");
        body.push_str(layout);
        body.push('\n');
    }
    body
}

/// Channels, streams, coupled streams and the mapping, one digit each. For each channel count the normal layout before the
/// high-quality one; a normal surround mapping has its entry 3 moved to the end, because clients move the last one there.
const LAYOUTS: [&str; 5] = ["21101", "642012453", "660012345", "85301245673", "88001234567"];

/// Whether this is a surround layout that a client may ask for (§9.2).
#[must_use]
pub fn is_layout(text: &str) -> bool {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let digits: Vec<u8> = text.bytes().map(|b| b - b'0').collect();
    match digits[..] {
        [channels @ (6 | 8), streams, coupled, ref mapping @ ..] => {
            streams > 0
                && coupled <= streams
                && streams + coupled == channels
                && mapping.len() == usize::from(channels)
                && mapping.iter().all(|entry| *entry < channels)
        }
        _ => false,
    }
}

/// Why an ANNOUNCE is refused, with RTSP 400.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AnnounceError {
    /// The body is not text.
    #[error("not text")]
    NotText,
    /// A required attribute is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An attribute has a value that it cannot have.
    #[error("{0} has a value out of range")]
    OutOfRange(&'static str),
}

/// Reads the body of ANNOUNCE. Unknown attributes are ignored, missing ones take their default. `stereo_high` is told by
/// another header ([`super::rtsp::Request::wants_low_audio`]).
///
/// # Errors
/// [`AnnounceError`].
pub fn announce(body: &[u8], stereo_high: bool) -> Result<Announce, AnnounceError> {
    let body = Attributes(std::str::from_utf8(body).map_err(|_| AnnounceError::NotText)?);
    let encryption = body.or("x-ss-general.encryptionEnabled", 0, 0..=u32::MAX)?;
    let older = body.or("x-nv-general.featureFlags", 135, 0..=u32::MAX)?;
    let channels = body.required("x-nv-audio.surround.numChannels", 2..=8)?;
    // The mask follows from the count; what a client says of it adds nothing that could be right.
    let channel_mask = match channels {
        2 => 0x3,
        6 => 0x3f,
        8 => 0x63f,
        _ => return Err(AnnounceError::OutOfRange("x-nv-audio.surround.numChannels")),
    };
    let packet_size = body.required("x-nv-video[0].packetSize", MIN_PACKET_SIZE..=MAX_PACKET_SIZE)?;
    if !packet_size.is_multiple_of(16) {
        return Err(AnnounceError::OutOfRange("x-nv-video[0].packetSize"));
    }
    let configured_kbps = body.or("x-ml-video.configuredBitrateKbps", 0, 0..=MAX_KBPS)?;
    let maximum = "x-nv-vqos[0].bw.maximumBitrateKbps";
    Ok(Announce {
        client_flags: body.or("x-ml-general.featureFlags", 0, 0..=u32::MAX)?,
        encryption: if older & OLDER_AUDIO_ENCRYPTION != 0 { encryption | AUDIO_ENCRYPTION } else { encryption },
        width: body.required("x-nv-video[0].clientViewportWd", MIN_SIDE..=MAX_SIDE)?,
        height: body.required("x-nv-video[0].clientViewportHt", MIN_SIDE..=MAX_SIDE)?,
        fps: body.required("x-nv-video[0].maxFPS", 1..=MAX_FPS)?,
        refresh_x100: body.or("x-nv-video[0].clientRefreshRateX100", 0, 0..=u32::MAX)?,
        packet_size: packet_size as u16, // within the range above
        full_chroma: body.or("x-ss-video[0].chromaSamplingType", 0, 0..=1)? == 1,
        intra_refresh: body.or("x-ss-video[0].intraRefresh", 0, 0..=u32::MAX)? != 0,
        maximum_kbps: match configured_kbps {
            0 => body.required(maximum, 1..=MAX_KBPS)?,
            _ => body.or(maximum, 0, 0..=MAX_KBPS)?,
        },
        configured_kbps,
        min_recovery: body.or("x-nv-vqos[0].fec.minRequiredFecPackets", 0, 0..=255)? as u8,
        mark_video: body.or("x-nv-vqos[0].qosTrafficType", 5, 0..=u32::MAX)? != 0,
        mark_audio: body.or("x-nv-aqos.qosTrafficType", 4, 0..=u32::MAX)? != 0,
        slices: body.or("x-nv-video[0].videoEncoderSlicesPerFrame", 1, 0..=255)?.max(1) as u8,
        codec: body.or("x-nv-vqos[0].bitStreamFormat", 0, 0..=2)? as u8,
        ten_bit: body.or("x-nv-video[0].dynamicRangeMode", 0, 0..=u32::MAX)? != 0,
        reference_frames: body.or("x-nv-video[0].maxNumReferenceFrames", 1, 0..=u32::MAX)?,
        colour: body.or("x-nv-video[0].encoderCscMode", 0, 0..=MAX_COLOUR)?,
        channels: channels as u8,
        channel_mask,
        surround_high: body.or("x-nv-audio.surround.AudioQuality", 0, 0..=u32::MAX)? == 1,
        stereo_high,
        packet_duration: match body.or("x-nv-aqos.packetDuration", 5, 5..=10)? {
            5 => Duration::from_millis(5),
            10 => Duration::from_millis(10),
            _ => return Err(AnnounceError::OutOfRange("x-nv-aqos.packetDuration")),
        },
    })
}

/// The lines `a=NAME:VALUE `.
struct Attributes<'a>(&'a str);

impl Attributes<'_> {
    fn find(&self, wanted: &str) -> Option<&str> {
        self.0.lines().find_map(|line| {
            let (name, value) = line.trim().strip_prefix("a=")?.split_once(':')?;
            (name == wanted).then(|| value.trim())
        })
    }

    fn get(&self, name: &'static str, range: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, AnnounceError> {
        let Some(text) = self.find(name) else { return Ok(None) };
        let value = text.parse().ok().filter(|value| range.contains(value));
        value.map(Some).ok_or(AnnounceError::OutOfRange(name))
    }

    fn required(&self, name: &'static str, range: std::ops::RangeInclusive<u32>) -> Result<u32, AnnounceError> {
        self.get(name, range)?.ok_or(AnnounceError::Missing(name))
    }

    fn or(&self, name: &'static str, default: u32, range: std::ops::RangeInclusive<u32>) -> Result<u32, AnnounceError> {
        Ok(self.get(name, range)?.unwrap_or(default))
    }
}

/// `encryptionEnabled`: sound.
const AUDIO_ENCRYPTION: u32 = 0x4;
/// The same in `x-nv-general.featureFlags`, the older way.
const OLDER_AUDIO_ENCRYPTION: u32 = 0x20;
/// §10.8, and the least that any desktop or encoder takes.
const MIN_SIDE: u32 = 16;
const MAX_SIDE: u32 = 8192;
/// The fastest displays are at 540 Hz.
const MAX_FPS: u32 = 1000;
/// With fewer, the 32 header bytes of a packet leave next to nothing for the picture; more than a jumbo frame holds cannot
/// be sent in one packet.
const MIN_PACKET_SIZE: u32 = 128;
const MAX_PACKET_SIZE: u32 = 8960;
/// 10 Gbit/s: nobody's encoder or network; more would overflow sums in bit/s of 32 bits elsewhere.
const MAX_KBPS: u32 = 10_000_000;
/// Rec.2020, full range.
const MAX_COLOUR: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "a=x-nv-video[0].clientViewportWd:1280 \r\na=x-nv-video[0].clientViewportHt:720 \r\n\
        a=x-nv-video[0].maxFPS:60 \r\na=x-nv-video[0].packetSize:1024 \r\n\
        a=x-nv-vqos[0].bw.maximumBitrateKbps:10000 \r\na=x-nv-audio.surround.numChannels:6 \r\n";

    fn with(line: &str) -> Result<Announce, AnnounceError> {
        announce(format!("a={line} \r\n{LEAST}").as_bytes(), true)
    }

    #[test]
    fn what_is_not_told_takes_its_default() {
        let least = announce(LEAST.as_bytes(), false).unwrap();
        let expected = Announce {
            client_flags: 0,
            encryption: 0,
            width: 1280,
            height: 720,
            fps: 60,
            refresh_x100: 0,
            packet_size: 1024,
            full_chroma: false,
            intra_refresh: false,
            maximum_kbps: 10_000,
            configured_kbps: 0,
            min_recovery: 0,
            mark_video: true,
            mark_audio: true,
            slices: 1,
            codec: 0,
            ten_bit: false,
            reference_frames: 1,
            colour: 0,
            channels: 6,
            channel_mask: 0x3f,
            surround_high: false,
            stereo_high: false,
            packet_duration: Duration::from_millis(5),
        };
        assert_eq!(least, expected);
    }

    #[test]
    fn each_required_attribute_is_named_when_it_is_missing() {
        for line in LEAST.split_inclusive("\r\n") {
            let name = line.trim_start_matches("a=").split(':').next().unwrap();
            match announce(LEAST.replace(line, "").as_bytes(), true) {
                Err(AnnounceError::Missing(missing)) => assert_eq!(missing, name),
                other => panic!("without {name}: {other:?}"),
            }
        }
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        for line in [
            "x-nv-video[0].clientViewportWd:0",
            "x-nv-video[0].clientViewportWd:-1280",
            "x-nv-video[0].clientViewportHt:8193",
            "x-nv-video[0].maxFPS:0",
            "x-nv-video[0].maxFPS:sixty",
            "x-nv-video[0].packetSize:1025",
            "x-nv-video[0].packetSize:16",
            "x-nv-video[0].packetSize:65536",
            "x-nv-vqos[0].bitStreamFormat:3",
            "x-nv-video[0].encoderCscMode:6",
            "x-nv-audio.surround.numChannels:7",
            "x-nv-aqos.packetDuration:7",
            "x-nv-vqos[0].bw.maximumBitrateKbps:99999999999",
        ] {
            assert!(matches!(with(line), Err(AnnounceError::OutOfRange(_))), "{line}");
        }
        assert_eq!(announce(&[0xff, 0xfe], true), Err(AnnounceError::NotText));
    }

    #[test]
    fn the_older_way_to_encrypt_sound_counts_too() {
        assert_eq!(with("x-nv-general.featureFlags:167").unwrap().encryption, 4);
        assert_eq!(with("x-nv-general.featureFlags:135").unwrap().encryption, 0);
    }

    #[test]
    fn layouts_of_a_client_are_checked() {
        for good in ["642012453", "660012345", "85301245673", "88001234567", "651000000"] {
            assert!(is_layout(good), "{good}");
        }
        for bad in
            ["", "21101", "6", "64201245", "6420124533", "641012345", "642012456", "606012345", "64201245a", "６"]
        {
            assert!(!is_layout(bad), "{bad}");
        }
    }

    #[test]
    fn a_layout_of_the_client_comes_first_and_twice() {
        let offer = RtspOffer {
            feature_flags: 3,
            encryption_supported: 7,
            encryption_requested: 5,
            invalidation: false,
            hevc: false,
            av1: true,
            surround_params: Some("651012345".into()),
            video_port: 1,
            control_port: 2,
            audio_port: 3,
            ping: *b"0123456789ABCDEF",
            connect_data: 0,
            token: "t".into(),
        };
        let body = describe(&offer);
        let lines: Vec<_> = body.lines().collect();
        assert_eq!(lines[3], "a=rtpmap:98 AV1/90000");
        assert_eq!(
            lines[4..7],
            [
                "a=fmtp:97 surround-params=651012345",
                "a=fmtp:97 surround-params=651012345",
                "a=fmtp:97 surround-params=21101"
            ]
        );
        assert!(!body.contains("sprop") && !body.contains("refPic"));
        let junk = RtspOffer { surround_params: Some("6\na=x".into()), ..offer };
        assert!(describe(&junk).lines().nth(4).unwrap().ends_with("=21101"));
    }
}
