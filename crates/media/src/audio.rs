//! Sound: where it comes from, how it is coded, where a client's voice goes.
//!
//! ```text
//! Stage::sound() ─┬─ source(request) ─► AudioSource ── blocks of f32 ──► AudioEncoder ──► the plane's packets
//!                 └─ microphone() ────► MicSink ◄───── blocks ◄───────── AudioDecoder ◄── the client's packets
//! ```
//!
//! All samples are interleaved `f32` at [`SAMPLE_RATE`], channels in the order of [`ChannelLayout`].

use std::time::{Duration, Instant};

use punktfunk_core::handshake::{AudioChannels, AudioLayout};

use crate::Reason;

/// Samples per second and channel, of everything on both wires.
pub const SAMPLE_RATE: u32 = 48_000;

/// Which speakers, in the order of their samples: FL FR FC LFE BL BR SL SR, cut after the last one there is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ChannelLayout {
    /// FL FR.
    #[default]
    Stereo,
    /// FL FR FC LFE BL BR.
    Surround51,
    /// FL FR FC LFE BL BR SL SR.
    Surround71,
}

impl ChannelLayout {
    /// Number of channels: 2, 6 or 8.
    #[must_use]
    pub const fn channels(self) -> usize {
        match self {
            Self::Stereo => 2,
            Self::Surround51 => 6,
            Self::Surround71 => 8,
        }
    }

    /// The layout with this many channels.
    #[must_use]
    pub const fn from_channels(channels: usize) -> Option<Self> {
        match channels {
            2 => Some(Self::Stereo),
            6 => Some(Self::Surround51),
            8 => Some(Self::Surround71),
            _ => None,
        }
    }
}

/// What a session wants to hear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AudioRequest {
    /// Speakers of the session's own sink.
    pub layout: ChannelLayout,
    /// Length of a block: 5 or 10 ms.
    pub block: Duration,
    /// The sound is also heard on the host's own speakers, where there are any.
    pub also_on_host: bool,
}

impl AudioRequest {
    /// Samples of one block, all channels together.
    #[must_use]
    pub fn block_samples(&self) -> usize {
        self.block_frames() * self.layout.channels()
    }

    /// Samples of one block per channel: 240 or 480.
    #[must_use]
    pub const fn block_frames(&self) -> usize {
        frames_in(self.block)
    }
}

/// The sound of a stage: what its programs play, and what they record. Shared by the audio threads of a session; what it
/// hands out is gone before the [`crate::Stage`] is used again.
pub trait Sound: Send + Sync {
    /// What the programs on the stage play. One at a time; the previous one must be gone. Blocking (a sound server may have
    /// to start); called from the audio thread.
    ///
    /// # Errors
    /// [`AudioError`]; `fatal` tells whether there will never be any.
    fn source(&self, request: &AudioRequest) -> Result<Box<dyn AudioSource>, AudioError>;

    /// A microphone that the programs on the stage can record from. One at a time. Blocking; called from the microphone's
    /// thread.
    ///
    /// # Errors
    /// [`AudioError`]; `fatal` tells whether there will never be any.
    fn microphone(&self) -> Result<Box<dyn MicSink>, AudioError>;
}

/// A source of sound. Lives on the audio thread; dropped before its [`crate::Stage`].
pub trait AudioSource: Send {
    /// Waits for one block, at most until `deadline`, and writes it to `block`, which has
    /// [`AudioRequest::block_samples`] places. A source whose sound server restarted comes back by itself and is
    /// [`AudioRead::Nothing`] meanwhile.
    ///
    /// # Errors
    /// [`AudioError`]; `fatal` tells whether it makes sense to go on asking.
    fn read(&mut self, block: &mut [f32], deadline: Instant) -> Result<AudioRead, AudioError>;
}

/// What [`AudioSource::read`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AudioRead {
    /// One block.
    Block {
        /// When its last sample was heard by the source.
        captured_at: Instant,
        /// Every sample is zero (no program plays anything).
        silent: bool,
    },
    /// The deadline passed.
    Nothing,
}

/// Plays a client's microphone to the programs of a desktop, as a source of its own that they can record from, one channel.
/// The source exists while this does. A source whose sound server restarted comes back by itself.
pub trait MicSink: Send {
    /// Looks what programs want, and while that is nothing waits for it, at most until `deadline`.
    ///
    /// # Errors
    /// [`AudioError`]; `fatal` tells whether it makes sense to go on.
    fn wanted(&mut self, deadline: Instant) -> Result<MicWanted, AudioError>;

    /// Plays samples, as many as there are; more than were wanted is fine where a packet has more. Does not block.
    ///
    /// # Errors
    /// As [`Self::wanted`].
    fn write(&mut self, samples: &[f32]) -> Result<(), AudioError>;
}

/// What [`MicSink::wanted`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MicWanted {
    /// Nobody records. Told at once: whoever begins to is heard of when there is something to say.
    Nobody,
    /// Somebody records, and has enough for now.
    Enough,
    /// Somebody records and wants samples.
    Samples {
        /// How many.
        missing: usize,
        /// When they will be missed; `None`: nothing is playing, so that nothing would break off.
        by: Option<Instant>,
    },
}

/// Opens encoders and decoders; shared by all sessions.
pub trait AudioCodec: Send + Sync {
    /// Opens an encoder.
    ///
    /// # Errors
    /// [`AudioError`] if the layout or the bitrate is not possible.
    fn encoder(&self, config: &AudioCodecConfig) -> Result<Box<dyn AudioEncoder>, AudioError>;

    /// Opens a decoder.
    ///
    /// # Errors
    /// [`AudioError`] if the layout is not possible.
    fn decoder(&self, config: &AudioCodecConfig) -> Result<Box<dyn AudioDecoder>, AudioError>;

    /// Opens a decoder for a client's microphone: one Opus stream, decoded to one channel whatever it carries.
    ///
    /// # Errors
    /// [`AudioError`] if the library refuses.
    fn voice_decoder(&self) -> Result<Box<dyn AudioDecoder>, AudioError>;
}

/// How sound is coded: Opus multistream (RFC 7845 §5.1.1), restricted low delay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AudioCodecConfig {
    /// Channels of the blocks.
    pub layout: ChannelLayout,
    /// Opus streams in a packet.
    pub streams: u8,
    /// How many of them are stereo pairs; they come first.
    pub coupled: u8,
    /// Which decoded channel each channel of the block is; the first [`ChannelLayout::channels`] entries count.
    pub mapping: [u8; 8],
    /// Length of a block.
    pub block: Duration,
    /// Bits per second of all streams together.
    pub bitrate_bps: u32,
    /// Every packet has the same length (GameStream's audio FEC needs that).
    pub constant: bool,
}

impl AudioCodecConfig {
    /// As many stereo pairs as the layout has, and the decoded channels in its order: what clients of either protocol
    /// expect unless they say otherwise. Constrained variable bitrate.
    #[must_use]
    pub const fn coupled(layout: ChannelLayout, block: Duration, bitrate_bps: u32) -> Self {
        let (streams, coupled) = match layout {
            ChannelLayout::Stereo => (1, 1),
            ChannelLayout::Surround51 => (4, 2),
            ChannelLayout::Surround71 => (5, 3),
        };
        Self { layout, streams, coupled, mapping: IDENTITY, block, bitrate_bps, constant: false }
    }

    /// A stream of its own for every channel: more bits, nothing shared between speakers. Constrained variable bitrate.
    #[must_use]
    pub const fn uncoupled(layout: ChannelLayout, block: Duration, bitrate_bps: u32) -> Self {
        let streams = layout.channels() as u8;
        Self { layout, streams, coupled: 0, mapping: IDENTITY, block, bitrate_bps, constant: false }
    }

    /// What `punktfunk/1` agrees on (§4.7): blocks of 5 ms, and one of three ways to lay surround out.
    #[must_use]
    pub const fn native(channels: AudioChannels, layout: AudioLayout, bitrate_bps: u32) -> Self {
        const BLOCK: Duration = Duration::from_millis(5);
        let speakers = match channels {
            AudioChannels::Stereo => ChannelLayout::Stereo,
            AudioChannels::Surround51 => ChannelLayout::Surround51,
            AudioChannels::Surround71 => ChannelLayout::Surround71,
        };
        let coupled = Self::coupled(speakers, BLOCK, bitrate_bps);
        match (layout, channels) {
            (AudioLayout::Uncoupled, AudioChannels::Surround51 | AudioChannels::Surround71) => {
                Self::uncoupled(speakers, BLOCK, bitrate_bps)
            }
            (AudioLayout::Standard, AudioChannels::Surround51) => Self { mapping: [0, 1, 4, 5, 2, 3, 0, 0], ..coupled },
            (AudioLayout::Standard, AudioChannels::Surround71) => Self { mapping: [0, 1, 6, 7, 2, 3, 4, 5], ..coupled },
            _ => coupled,
        }
    }

    /// The same with packets of one length.
    #[must_use]
    pub const fn constant(mut self) -> Self {
        self.constant = true;
        self
    }

    /// The mapping in force: one entry per channel of the layout.
    #[must_use]
    pub fn mapping(&self) -> &[u8] {
        &self.mapping[..self.layout.channels()]
    }

    /// Samples of one block per channel.
    #[must_use]
    pub const fn block_frames(&self) -> usize {
        frames_in(self.block)
    }
}

const IDENTITY: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// Samples per channel in `time`.
const fn frames_in(time: Duration) -> usize {
    (time.as_micros() * SAMPLE_RATE as u128 / 1_000_000) as usize
}

/// Codes blocks. Lives on the audio thread. Allocates nothing per block.
pub trait AudioEncoder: Send {
    /// Replaces `packet` by the coded block, which has the samples of one block in all channels together.
    ///
    /// # Errors
    /// [`AudioError`] if the block has another length.
    fn encode(&mut self, block: &[f32], packet: &mut Vec<u8>) -> Result<(), AudioError>;
}

/// Decodes packets.
pub trait AudioDecoder: Send {
    /// Decodes a packet into `block`, which must hold what is in it (120 ms at most); `None` conceals a lost one that was as
    /// long as `block`. Returns the samples per channel that were written.
    ///
    /// # Errors
    /// [`AudioError`] if the packet is no Opus, or longer than `block`.
    fn decode(&mut self, packet: Option<&[u8]>, block: &mut [f32]) -> Result<usize, AudioError>;

    /// Decodes what packet `next` carries about the lost packet before it (in-band FEC); where it carries nothing, conceals.
    /// `block` is as long as the lost packet.
    ///
    /// # Errors
    /// As [`Self::decode`].
    fn recover(&mut self, next: &[u8], block: &mut [f32]) -> Result<usize, AudioError>;
}

/// Why there is no sound.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct AudioError {
    /// Stable reason.
    pub reason: &'static Reason,
    /// What happened, for the log.
    pub detail: String,
    /// True: it is gone for good; the session goes on without sound. False: try again.
    pub fatal: bool,
}
