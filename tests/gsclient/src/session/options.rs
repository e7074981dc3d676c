//! What a stream is asked for.

use std::path::PathBuf;

use crate::Loss;
use crate::audio;
use crate::rtsp::{Describe, Formats, Wishes};
use crate::video::Frame;

/// What to ask for, and how to misbehave. The default is a stock client in the host's network: 1280x720 at 60 frames per
/// second, 20 Mbit/s, H.264, stereo, everything encrypted.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// The host's speakers go on playing.
    pub local_audio: bool,
    /// App, `None` for the first of the list.
    pub app: Option<u32>,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// The user's total bitrate.
    pub bitrate_kbps: u32,
    /// As the user set it; 32 less is announced with video encryption.
    pub packet_size: u16,
    /// What the decoder can do.
    pub formats: Formats,
    /// What we opt in to: 0x2 video, 0x4 audio. Control V2 needs no opting in.
    pub encryption: u32,
    /// 2, 6 or 8.
    pub channels: u8,
    /// Milliseconds of an audio packet: 5 or 10.
    pub packet_duration_ms: u32,
    /// The decoder can do reference frame invalidation.
    pub invalidation: bool,
    /// Slices per frame.
    pub slices: u32,
    /// Display refresh × 100; 0 = `fps`.
    pub refresh_x100: u32,
    /// (colour space << 1) | full range.
    pub csc: u32,
    /// The client believes that it is far away.
    pub remote: bool,
    /// Minimum recovery shards of a block.
    pub min_recovery: u8,
    /// A client from before the extensions: legacy pings, no connect data, control V1.
    pub legacy: bool,
    /// Client core level; `None` leaves it out.
    pub corever: Option<i32>,
    /// Pads attached at launch.
    pub gamepads: u32,
    /// Video datagrams lost on purpose.
    pub video_loss: Loss,
    /// Audio datagrams lost on purpose.
    pub audio_loss: Loss,
    /// Decode the access units.
    pub decode: bool,
    /// Write the n-th picture (from 1) to a PNG; needs `decode`.
    pub png: Option<(u64, PathBuf)>,
    /// Access units are no bitstream: leave §8.8 unchecked.
    pub synthetic_payloads: bool,
    /// Recompute recovery shards and compare; costs as much as making them.
    pub verify_recovery: bool,
    /// ENet channels.
    pub control_channels: usize,
    /// The 100 ms pings on the control stream.
    pub control_pings: bool,
    /// More launch parameters.
    pub launch_extra: Vec<(String, String)>,
    /// Launch parameters left out.
    pub launch_omit: Vec<String>,
    /// ANNOUNCE attributes changed (`Some`) or left out (`None`).
    pub announce: Vec<(String, Option<String>)>,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            local_audio: false,
            app: None,
            width: 1280,
            height: 720,
            fps: 60,
            bitrate_kbps: 20_000,
            packet_size: 1392,
            formats: Formats::H264,
            encryption: 7,
            channels: 2,
            packet_duration_ms: 5,
            invalidation: false,
            slices: 1,
            refresh_x100: 0,
            csc: 2,
            remote: false,
            min_recovery: 2,
            legacy: false,
            corever: Some(1),
            gamepads: 0,
            video_loss: Loss::none(),
            audio_loss: Loss::none(),
            decode: false,
            png: None,
            synthetic_payloads: false,
            verify_recovery: true,
            control_channels: 48,
            control_pings: true,
            launch_extra: Vec::new(),
            launch_omit: Vec::new(),
            announce: Vec::new(),
        }
    }
}

/// Sees access units.
pub type FrameTap = Box<dyn FnMut(&Frame) + Send>;
/// Sees audio packets and gaps.
pub type AudioTap = Box<dyn FnMut(&audio::Output) + Send>;

/// Who else wants to see what arrives. Called on the receiving threads: quick, or datagrams are lost.
#[derive(Default)]
pub struct Taps {
    /// Every access unit.
    pub frame: Option<FrameTap>,
    /// Every audio packet or gap, for an Opus decoder.
    pub audio: Option<AudioTap>,
}

impl StreamOptions {
    /// Whether the client calls the host `0.0.0.0`, which asks for the lower audio bitrate (§9.3).
    #[must_use]
    pub fn low_audio(&self) -> bool {
        self.bitrate_kbps < HIGH_AUDIO_KBPS || (self.remote && self.channels > 2)
    }

    /// What the client settles on with this host (§5.5).
    #[must_use]
    pub fn wishes(&self, host: &Describe, theirs: Formats) -> Wishes {
        let mut encryption = host.encryption_supported & 1;
        for bit in [2, 4] {
            let wanted = self.encryption & bit != 0 && host.encryption_supported & bit != 0;
            if wanted || host.encryption_requested & bit != 0 {
                encryption |= bit;
            }
        }
        if self.legacy {
            // Audio alone could be encrypted in those days.
            encryption &= 4;
        }
        let high = !self.low_audio() && host.layout(self.channels, true).is_some();
        Wishes {
            width: self.width,
            height: self.height,
            fps: self.fps,
            bitrate_kbps: self.bitrate_kbps,
            packet_size: self.packet_size,
            format: host.choose(self.formats, theirs),
            encryption,
            remote: self.remote,
            invalidation: self.invalidation,
            slices: self.slices,
            refresh_x100: if self.refresh_x100 == 0 { self.fps * 100 } else { self.refresh_x100 },
            csc: self.csc,
            channels: self.channels,
            high_audio: high,
            packet_duration_ms: if high && self.channels > 2 { 5 } else { self.packet_duration_ms },
            min_recovery: self.min_recovery,
            legacy: self.legacy,
        }
    }
}

/// From here on surround goes out in high quality.
const HIGH_AUDIO_KBPS: u32 = 15_000;
