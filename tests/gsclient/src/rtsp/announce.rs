//! What ANNOUNCE says (§5.6): the stock client's attributes in its order, every one of them settable.

use std::fmt::{Display, Write as _};
use std::net::IpAddr;

use punktfunk_core::Codec;

use super::Formats;

/// What the client settled on, from which the stock attributes follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// Pixels across.
    pub width: u32,
    /// Pixels down; rounded down to even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// The user's total bitrate.
    pub bitrate_kbps: u32,
    /// As the user set it; [`Wishes::announced_packet_size`] is what goes out.
    pub packet_size: u16,
    /// The profile.
    pub format: Formats,
    /// 0x1 control V2, 0x2 video, 0x4 audio.
    pub encryption: u32,
    /// Whether the client believes that it is not in the host's network.
    pub remote: bool,
    /// The decoder can do reference frame invalidation.
    pub invalidation: bool,
    /// Slices per frame.
    pub slices: u32,
    /// Display refresh × 100, 0 unknown.
    pub refresh_x100: u32,
    /// (colour space << 1) | full range.
    pub csc: u32,
    /// 2, 6 or 8.
    pub channels: u8,
    /// Surround in high quality.
    pub high_audio: bool,
    /// ms per audio packet: 5 or 10.
    pub packet_duration_ms: u32,
    /// Minimum recovery shards of a block.
    pub min_recovery: u8,
    /// A client that knows no session ids and no control V2 (before the extensions).
    pub legacy: bool,
}

impl Wishes {
    /// Payload of a datagram as announced: less the room for encryption, a multiple of 16.
    #[must_use]
    pub fn announced_packet_size(&self) -> u16 {
        let size = self.packet_size.saturating_sub(if self.encryption & 2 != 0 { 32 } else { 0 });
        size - size % 16
    }

    /// `audio` sealed, either way of saying so.
    #[must_use]
    pub fn audio_encrypted(&self) -> bool {
        self.encryption & 4 != 0
    }
}

/// Attributes of the client's SDP, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announce(Vec<(String, String)>);

impl Announce {
    /// What the stock client sends.
    #[must_use]
    pub fn stock(w: &Wishes) -> Self {
        let mut a = Self::default();
        let bitrate = w.bitrate_kbps * 4 / 5;
        let bitrate = if w.remote { bitrate.saturating_sub(500) } else { bitrate }.min(100_000);
        let codec = w.format.codec();
        if !w.legacy {
            a.set("x-ml-general.featureFlags", 3);
            a.set("x-ss-general.encryptionEnabled", w.encryption);
            a.set("x-ss-video[0].chromaSamplingType", u8::from(w.format.full_chroma()));
        }
        a.set("x-nv-video[0].clientViewportWd", w.width);
        a.set("x-nv-video[0].clientViewportHt", w.height & !1);
        a.set("x-nv-video[0].maxFPS", w.fps);
        a.set("x-nv-video[0].packetSize", w.announced_packet_size());
        a.set("x-nv-video[0].rateControlMode", 4);
        a.set("x-nv-video[0].timeoutLengthMs", 7000);
        a.set("x-nv-video[0].framesWithInvalidRefThreshold", 0);
        a.set("x-nv-video[0].initialBitrateKbps", bitrate);
        a.set("x-nv-video[0].initialPeakBitrateKbps", bitrate);
        a.set("x-nv-vqos[0].bw.minimumBitrateKbps", bitrate);
        a.set("x-nv-vqos[0].bw.maximumBitrateKbps", bitrate);
        if !w.legacy {
            a.set("x-ml-video.configuredBitrateKbps", w.bitrate_kbps);
        }
        a.set("x-nv-vqos[0].fec.enable", 1);
        a.set("x-nv-vqos[0].videoQualityScoreUpdateTime", 5000);
        a.set("x-nv-vqos[0].qosTrafficType", if w.remote { 0 } else { 5 });
        a.set("x-nv-aqos.qosTrafficType", if w.remote { 0 } else { 4 });
        a.set("x-nv-general.featureFlags", if w.audio_encrypted() { 167 } else { 135 });
        a.set("x-nv-general.useReliableUdp", 13);
        a.set("x-nv-vqos[0].fec.minRequiredFecPackets", w.min_recovery);
        a.set("x-nv-vqos[0].bllFec.enable", 0);
        a.set("x-nv-vqos[0].drc.enable", 0);
        a.set("x-nv-general.enableRecoveryMode", 0);
        a.set("x-nv-video[0].videoEncoderSlicesPerFrame", w.slices);
        if codec != Codec::Av1 {
            a.set("x-nv-clientSupportHevc", u8::from(codec == Codec::Hevc));
        }
        let bit_stream = [Codec::H264, Codec::Hevc, Codec::Av1].iter().position(|c| *c == codec);
        a.set("x-nv-vqos[0].bitStreamFormat", bit_stream.unwrap_or(0));
        a.set("x-nv-video[0].dynamicRangeMode", u8::from(w.format.ten_bit()));
        a.set("x-nv-video[0].maxNumReferenceFrames", u8::from(!w.invalidation));
        a.set("x-nv-video[0].clientRefreshRateX100", w.refresh_x100);
        let mask = match w.channels {
            6 => 0x3F,
            8 => 0x63F,
            _ => 0x3,
        };
        a.set("x-nv-audio.surround.numChannels", w.channels);
        a.set("x-nv-audio.surround.channelMask", mask);
        a.set("x-nv-audio.surround.enable", u8::from(w.channels > 2));
        a.set("x-nv-audio.surround.AudioQuality", u8::from(w.channels > 2 && w.high_audio));
        a.set("x-nv-aqos.packetDuration", w.packet_duration_ms);
        a.set("x-nv-video[0].encoderCscMode", w.csc);
        a
    }

    /// Sets an attribute, at its place if it is there, else at the end.
    pub fn set(&mut self, name: &str, value: impl Display) {
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value.to_string(),
            None => self.0.push((name.to_owned(), value.to_string())),
        }
    }

    /// Leaves an attribute out.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| n != name);
    }

    /// An attribute's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body; every attribute ends in a space, as the stock client's do.
    #[must_use]
    pub fn body(&self, host: IpAddr, video_port: u16) -> String {
        let version = if host.is_ipv4() { "IPv4" } else { "IPv6" };
        let mut out = format!("v=0\r\no=android 0 14 IN {version} {host}\r\ns=NVIDIA Streaming Client\r\n");
        for (name, value) in &self.0 {
            // Writing to a String cannot fail.
            let _ = write!(out, "a={name}:{value} \r\n");
        }
        out + &format!("t=0 0\r\nm=video {video_port}  \r\n")
    }
}
