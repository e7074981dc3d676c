//! QUIC datagrams: input and microphone up, audio and feedback down (punktfunk1.md §4).
//!
//! Payloads are borrowed, so decoding never allocates; what goes into a queue ([`InputEvent`], [`RichInput`],
//! [`HidOutput`]) is `Copy`. Datagrams that may grow at their end (0xC8, 0xCA, 0xCE, 0xCF, 0xD0) ignore bytes behind
//! what they know; the others carry a payload to their end or have exactly one length.

mod feedback;
mod rich;

use alloc::vec::Vec;

pub use feedback::{HidKind, HidOutput, HostTiming, OurTiming, Rumble, RumbleTiming, StageTiming};
pub use rich::{HidReport, MAX_HID_REPORT, MAX_PEN_SAMPLES, PenBatch, PenSample, PenState, PenTool, RichInput};

use crate::input::{INPUT_TAG, InputEvent, MAX_PADS, required_grant};
use crate::wire::{Put, Reader, wire_enum};
use crate::{DecodeError, Grants, HdrMeta};

/// A datagram from the client.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ClientDatagram<'a> {
    /// 0xC8.
    Input(InputEvent),
    /// 0xCC.
    Rich(RichInput),
    /// 0xCB: one Opus packet of the microphone.
    Mic {
        /// +1 per packet; does not advance while muted.
        seq: u32,
        /// The client's clock.
        pts_ns: u64,
        /// Any Opus packet up to 120 ms.
        opus: &'a [u8],
    },
}

/// A datagram from the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostDatagram<'a> {
    /// 0xC9: one Opus packet of 5 ms; empty is silence.
    Audio {
        /// +1 per packet, wraps.
        seq: u32,
        /// Host wall clock of the capture.
        pts_ns: u64,
        /// One packet.
        opus: &'a [u8],
    },
    /// 0xD2: the same with the packet before it.
    AudioRed {
        /// +1 per packet, wraps.
        seq: u32,
        /// Host wall clock of the capture.
        pts_ns: u64,
        /// The packet of `seq`, at most 65 535 bytes.
        primary: &'a [u8],
        /// The packet of `seq - 1`; empty = none.
        previous: &'a [u8],
    },
    /// 0xD3: one frame of interleaved little-endian samples.
    Pcm {
        /// +1 per frame, wraps.
        seq: u32,
        /// Host wall clock of the capture.
        pts_ns: u64,
        /// 2 or 3 bytes per sample, as `Welcome.audio_bits` says.
        samples: &'a [u8],
    },
    /// 0xCA.
    Rumble(Rumble),
    /// 0xCD.
    HidOutput(HidOutput),
    /// 0xCE.
    HdrMeta(HdrMeta),
    /// 0xCF.
    HostTiming(HostTiming),
    /// 0xD0: where the pointer is, every captured frame of a cursor session.
    CursorPosition {
        /// Names a `CursorShape`.
        serial: u32,
        /// The pointer is shown.
        visible: bool,
        /// An application on the host grabbed the pointer.
        grabbed: bool,
        /// Hotspot in host output pixels.
        x: i32,
        /// Hotspot in host output pixels.
        y: i32,
    },
    /// 0xD1: one Opus packet for a gamepad.
    PadAudio {
        /// 0..16, the client's own index.
        pad: u8,
        /// Which device in the pad.
        kind: PadAudioKind,
        /// Does not advance while gated.
        seq: u32,
        /// Host wall clock of the capture.
        pts_ns: u64,
        /// Stereo 48 kHz.
        opus: &'a [u8],
    },
}

wire_enum! {
    /// Which device in a gamepad plays.
    PadAudioKind: u8 {
        /// Voice coils, 5 ms frames.
        Haptics = 0,
        /// Speaker, 10 ms frames.
        Speaker = 1,
    }
}

impl<'a> ClientDatagram<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// [`DecodeError`]; the receiver drops and counts it.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        match r.u8()? {
            INPUT_TAG => InputEvent::read(&mut r).map(Self::Input),
            TAG_MIC => Ok(Self::Mic { seq: r.u32()?, pts_ns: r.u64()?, opus: r.take_rest() }),
            TAG_RICH => RichInput::read(&mut r).map(Self::Rich),
            tag => Err(DecodeError::UnknownType(tag)),
        }
    }

    /// Appends the datagram.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Input(event) => event.encode(out),
            Self::Rich(rich) => {
                out.put_u8(TAG_RICH);
                rich.write(out);
            }
            Self::Mic { seq, pts_ns, opus } => {
                out.put_u8(TAG_MIC).put_u32(*seq).put_u64(*pts_ns).put(opus);
            }
        }
    }

    /// What a client must have been granted for the datagram to act.
    #[must_use]
    pub const fn required_grant(&self) -> Grants {
        match self {
            Self::Input(event) => required_grant(event),
            Self::Rich(RichInput::Pen(_)) => Grants::POINTER,
            Self::Rich(_) => Grants::GAMEPAD,
            Self::Mic { .. } => Grants::MIC,
        }
    }
}

impl<'a> HostDatagram<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// [`DecodeError`]; the receiver drops and counts it.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        match r.u8()? {
            TAG_AUDIO => Ok(Self::Audio { seq: r.u32()?, pts_ns: r.u64()?, opus: r.take_rest() }),
            TAG_AUDIO_RED => {
                let (seq, pts_ns, len) = (r.u32()?, r.u64()?, r.u16()?);
                Ok(Self::AudioRed { seq, pts_ns, primary: r.take(len.into())?, previous: r.take_rest() })
            }
            TAG_PCM => Ok(Self::Pcm { seq: r.u32()?, pts_ns: r.u64()?, samples: r.take_rest() }),
            TAG_RUMBLE => Rumble::read(&mut r).map(Self::Rumble),
            TAG_HID => HidOutput::read(&mut r).map(Self::HidOutput),
            TAG_HDR => HdrMeta::read(&mut r).map(Self::HdrMeta),
            TAG_TIMING => HostTiming::read(&mut r).map(Self::HostTiming),
            TAG_CURSOR => {
                let (serial, flags) = (r.u32()?, r.u8()?);
                let (visible, grabbed) = (flags & 1 != 0, flags & 2 != 0);
                Ok(Self::CursorPosition { serial, visible, grabbed, x: r.i32()?, y: r.i32()? })
            }
            TAG_PAD_AUDIO => {
                let pad = pad(r.u8()?)?;
                let kind = PadAudioKind::from_wire(r.u8()?).ok_or(DecodeError::Invalid("pad audio kind"))?;
                Ok(Self::PadAudio { pad, kind, seq: r.u32()?, pts_ns: r.u64()?, opus: r.take_rest() })
            }
            tag => Err(DecodeError::UnknownType(tag)),
        }
    }

    /// Appends the datagram.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Audio { seq, pts_ns, opus } => {
                out.put_u8(TAG_AUDIO).put_u32(*seq).put_u64(*pts_ns).put(opus);
            }
            Self::AudioRed { seq, pts_ns, primary, previous } => {
                let primary = &primary[..primary.len().min(u16::MAX.into())];
                out.put_u8(TAG_AUDIO_RED).put_u32(*seq).put_u64(*pts_ns);
                out.put_u16(primary.len() as u16).put(primary).put(previous);
            }
            Self::Pcm { seq, pts_ns, samples } => {
                out.put_u8(TAG_PCM).put_u32(*seq).put_u64(*pts_ns).put(samples);
            }
            Self::Rumble(rumble) => {
                out.put_u8(TAG_RUMBLE);
                rumble.write(out);
            }
            Self::HidOutput(output) => {
                out.put_u8(TAG_HID);
                output.write(out);
            }
            Self::HdrMeta(meta) => {
                out.put_u8(TAG_HDR);
                meta.write(out);
            }
            Self::HostTiming(timing) => {
                out.put_u8(TAG_TIMING);
                timing.write(out);
            }
            Self::CursorPosition { serial, visible, grabbed, x, y } => {
                out.put_u8(TAG_CURSOR).put_u32(*serial).put_u8(u8::from(*visible) | u8::from(*grabbed) << 1);
                out.put_i32(*x).put_i32(*y);
            }
            Self::PadAudio { pad, kind, seq, pts_ns, opus } => {
                out.put_u8(TAG_PAD_AUDIO).put_u8(*pad).put_u8(kind.wire());
                out.put_u32(*seq).put_u64(*pts_ns).put(opus);
            }
        }
    }
}

/// A pad index in one byte.
fn pad(index: u8) -> Result<u8, DecodeError> {
    if index < MAX_PADS { Ok(index) } else { Err(DecodeError::Invalid("pad index")) }
}

const TAG_AUDIO: u8 = 0xc9;
const TAG_RUMBLE: u8 = 0xca;
const TAG_MIC: u8 = 0xcb;
const TAG_RICH: u8 = 0xcc;
const TAG_HID: u8 = 0xcd;
const TAG_HDR: u8 = 0xce;
const TAG_TIMING: u8 = 0xcf;
const TAG_CURSOR: u8 = 0xd0;
const TAG_PAD_AUDIO: u8 = 0xd1;
const TAG_AUDIO_RED: u8 = 0xd2;
const TAG_PCM: u8 = 0xd3;
