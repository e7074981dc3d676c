//! Control messages after the handshake (punktfunk1.md §3.9): `PKFc ‖ type ‖ body`.
//!
//! Lengths are checked exactly unless the table says otherwise. A type without a layout here is
//! [`DecodeError::UnknownType`], which both ends ignore; so are the pairing types, which [`crate::pairing`] reads.

mod clipboard;
mod cursor;
mod kinds;

use alloc::string::String;
use alloc::vec::Vec;

pub use clipboard::{ClipFetch, ClipFormat, ClipOffer, ClipPolicy, ClipReason, ClipStatus, MAX_CLIP_FORMATS, MAX_MIME};
pub use cursor::{CursorShape, MAX_CURSOR_SIDE};
pub use kinds::{BitrateReason, DeliveryProfile, LaunchKind, LinkKind};

use crate::framing::MAGIC_CONTROL;
use crate::input::InputEvent;
use crate::wire::{Put, Reader, cut, lossy};
use crate::{CloseCode, DecodeError, Grants, Mode};

/// One control message. `C→H` and `H→C` tell who sends it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControlMessage {
    /// 0x01 C→H: switch to another mode.
    Reconfigure {
        /// The wished mode, unchecked.
        mode: Mode,
    },
    /// 0x02 H→C: the answer, before the work; again with the actual mode if that came out differently.
    Reconfigured {
        /// Whether the switch was accepted.
        accepted: bool,
        /// The mode that is active now.
        mode: Mode,
    },
    /// 0x03 C→H: send an IDR.
    RequestKeyframe,
    /// 0x04 C→H, every 750 ms while no probe runs, also when it is 0.
    LossReport {
        /// Lost packets per million in the window.
        loss_ppm: u32,
    },
    /// 0x05 C→H: new wire budget.
    SetBitrate {
        /// kbit/s, 0 = the host's default.
        kbps: u32,
    },
    /// 0x06 H→C: what the host will run.
    BitrateChanged {
        /// kbit/s.
        kbps: u32,
        /// Only toward clients that asked for it in `Start`; older ones drop the longer message.
        reason: Option<BitrateReason>,
    },
    /// 0x07 C→H: these frames are lost.
    RfiRequest {
        /// First missing wire frame index.
        first_frame: u32,
        /// Last missing one, inclusive, wrapping.
        last_frame: u32,
    },
    /// 0x08 H→C: packets will carry shards of this size.
    ShardPayloadChanged {
        /// Bytes.
        shard_payload: u16,
    },
    /// 0x09 C→H: agreed.
    ShardPayloadAck {
        /// Bytes.
        shard_payload: u16,
    },
    /// 0x0A H→C: the stream paused for an in-place rebuild.
    PipelineGap {
        /// Milliseconds without video.
        gap_ms: u32,
    },
    /// 0x0B C→H: what arrived on the data plane.
    DeliveryReport {
        /// Packets since the session began.
        packets_received: u64,
    },
    /// 0x0C C→H: what the path was seen to carry.
    LinkReport {
        /// kbit/s.
        proven_kbps: u32,
    },
    /// 0x0D C→H.
    SetDelivery {
        /// Wished pacing.
        profile: DeliveryProfile,
    },
    /// 0x0E H→C.
    DeliveryChanged {
        /// Pacing in force.
        profile: DeliveryProfile,
        /// Pinned by the host.
        forced: bool,
    },
    /// 0x0F H→C.
    HostFacts {
        /// The host's interface.
        iface: LinkKind,
        /// Its speed in Mbit/s.
        link_mbps: u32,
        /// Send buffer in KiB.
        sndbuf_kb: u32,
        /// Pacing that the host insists on.
        forced_profile: Option<DeliveryProfile>,
    },
    /// 0x16 H→C: refusal on the browser carrier; native peers use the close frame.
    Refused {
        /// As in the close frame.
        code: CloseCode,
        /// At most 256 bytes.
        message: String,
    },
    /// 0x20 C→H: speed test.
    ProbeRequest {
        /// kbit/s.
        target_kbps: u32,
        /// Milliseconds.
        duration_ms: u32,
    },
    /// 0x21 H→C: the speed test is over; all zero = declined.
    ProbeResult {
        /// Bytes of access units.
        bytes_sent: u64,
        /// Access units.
        packets_sent: u32,
        /// Milliseconds.
        duration_ms: u32,
        /// UDP packets. 0 also from hosts that do not tell (21-byte form).
        wire_packets_sent: u32,
        /// UDP packets that the host could not send. 0 also from hosts that do not tell.
        send_dropped: u32,
    },
    /// 0x22 C→H: speed test with a traffic shape.
    ProbeShaped {
        /// kbit/s.
        target_kbps: u32,
        /// Milliseconds.
        duration_ms: u32,
        /// Bursts per second.
        burst_hz: u16,
        /// Bytes per group.
        group_bytes: u32,
        /// kbit/s within a group.
        group_rate_kbps: u32,
    },
    /// 0x30 C→H.
    ClockProbe {
        /// Client clock when it was sent.
        t1_ns: u64,
    },
    /// 0x31 H→C.
    ClockEcho {
        /// From the probe.
        t1_ns: u64,
        /// Host clock when the probe came.
        t2_ns: u64,
        /// Host clock when the echo left.
        t3_ns: u64,
    },
    /// 0x32 C→H: when the client's display latches.
    PhaseReport {
        /// Next latch on the host's clock.
        next_latch_host_ns: u64,
        /// Latch period.
        latch_period_ns: u32,
        /// Uncertainty of the latch.
        uncertainty_ns: u32,
        /// How early frames arrive.
        arrival_lead_ns: u32,
        /// Phase coherence in thousandths; only in the 27-byte form.
        coherence_milli: Option<u16>,
    },
    /// 0x40 C→H: use the clipboard or stop.
    ClipControl {
        /// Wished state.
        enabled: bool,
        /// Files too (bit 0 of the flags).
        files: bool,
    },
    /// 0x41 H→C.
    ClipState {
        /// State in force.
        enabled: bool,
        /// What may cross.
        policy: ClipPolicy,
        /// Why.
        reason: ClipReason,
    },
    /// 0x42, both ways: what the sender's clipboard holds.
    ClipOffer(ClipOffer),
    /// 0x43, on a transfer stream: give me one format.
    ClipFetch(ClipFetch),
    /// 0x44, on a transfer stream: the head of the answer.
    ClipFetchHdr {
        /// Whether data follows.
        status: ClipStatus,
        /// Bytes that follow, 0 unknown.
        total_size: u64,
    },
    /// 0x50 H→C.
    CursorShape(CursorShape),
    /// 0x51 C→H.
    CursorRenderMode {
        /// The client draws the pointer; else the host composites it.
        client_draws: bool,
    },
    /// 0x58 H→C.
    AccessUpdate {
        /// What this device may do.
        grants: Grants,
        /// Seconds left, 0 permanent.
        remaining_secs: u32,
    },
    /// 0x59 H→C.
    AudioState {
        /// The host is muted.
        muted: bool,
    },
    /// 0x5A H→C.
    LaunchOutcome {
        /// What became of `Hello.launch`.
        kind: LaunchKind,
        /// At most 200 bytes.
        message: String,
    },
    /// 0x5B H→C.
    PadSlots {
        /// Bit mask of the pad slots of the host's system.
        slots: u16,
    },
    /// 0x5C C→H: an input event that must not be lost.
    InputEdge(InputEvent),
}

impl ControlMessage {
    /// Longest text of [`Self::Refused`].
    pub const MAX_REFUSAL: usize = 256;
    /// Longest text of [`Self::LaunchOutcome`].
    pub const MAX_LAUNCH_MESSAGE: usize = 200;

    /// The type byte.
    #[must_use]
    pub const fn message_type(&self) -> u8 {
        match self {
            Self::Reconfigure { .. } => 0x01,
            Self::Reconfigured { .. } => 0x02,
            Self::RequestKeyframe => 0x03,
            Self::LossReport { .. } => 0x04,
            Self::SetBitrate { .. } => 0x05,
            Self::BitrateChanged { .. } => 0x06,
            Self::RfiRequest { .. } => 0x07,
            Self::ShardPayloadChanged { .. } => 0x08,
            Self::ShardPayloadAck { .. } => 0x09,
            Self::PipelineGap { .. } => 0x0a,
            Self::DeliveryReport { .. } => 0x0b,
            Self::LinkReport { .. } => 0x0c,
            Self::SetDelivery { .. } => 0x0d,
            Self::DeliveryChanged { .. } => 0x0e,
            Self::HostFacts { .. } => 0x0f,
            Self::Refused { .. } => 0x16,
            Self::ProbeRequest { .. } => 0x20,
            Self::ProbeResult { .. } => 0x21,
            Self::ProbeShaped { .. } => 0x22,
            Self::ClockProbe { .. } => 0x30,
            Self::ClockEcho { .. } => 0x31,
            Self::PhaseReport { .. } => 0x32,
            Self::ClipControl { .. } => 0x40,
            Self::ClipState { .. } => 0x41,
            Self::ClipOffer(_) => 0x42,
            Self::ClipFetch(_) => 0x43,
            Self::ClipFetchHdr { .. } => 0x44,
            Self::CursorShape(_) => 0x50,
            Self::CursorRenderMode { .. } => 0x51,
            Self::AccessUpdate { .. } => 0x58,
            Self::AudioState { .. } => 0x59,
            Self::LaunchOutcome { .. } => 0x5a,
            Self::PadSlots { .. } => 0x5b,
            Self::InputEdge(_) => 0x5c,
        }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`DecodeError`]; the receiver drops the message and goes on, whatever it is.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(payload);
        r.magic(MAGIC_CONTROL)?;
        let kind = r.u8()?;
        let message = Self::read(kind, &mut r)?;
        // These two grow at the end without a new type; everything else has exactly the length of its layout.
        if !matches!(message, Self::ProbeResult { .. } | Self::Refused { .. }) {
            r.end()?;
        }
        Ok(message)
    }

    fn read(kind: u8, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            0x01 => Self::Reconfigure { mode: mode(r)? },
            0x02 => Self::Reconfigured { accepted: r.bool()?, mode: mode(r)? },
            0x03 => Self::RequestKeyframe,
            0x04 => Self::LossReport { loss_ppm: r.u32()? },
            0x05 => Self::SetBitrate { kbps: r.u32()? },
            0x06 => {
                let kbps = r.u32()?;
                let reason = if r.left() > 0 { BitrateReason::from_wire(r.u8()?) } else { None };
                Self::BitrateChanged { kbps, reason }
            }
            0x07 => Self::RfiRequest { first_frame: r.u32()?, last_frame: r.u32()? },
            0x08 => Self::ShardPayloadChanged { shard_payload: r.u16()? },
            0x09 => Self::ShardPayloadAck { shard_payload: r.u16()? },
            0x0a => Self::PipelineGap { gap_ms: r.u32()? },
            0x0b => Self::DeliveryReport { packets_received: r.u64()? },
            0x0c => Self::LinkReport { proven_kbps: r.u32()? },
            0x0d => Self::SetDelivery { profile: DeliveryProfile::read(r)? },
            0x0e => Self::DeliveryChanged { profile: DeliveryProfile::read(r)?, forced: r.bool()? },
            0x0f => Self::HostFacts {
                iface: LinkKind::from_wire(r.u8()?).unwrap_or(LinkKind::Unknown),
                link_mbps: r.u32()?,
                sndbuf_kb: r.u32()?,
                forced_profile: DeliveryProfile::from_wire(r.u8()?),
            },
            0x16 => {
                let code = CloseCode(r.u32()?);
                let len = usize::from(r.u16()?);
                if len > Self::MAX_REFUSAL {
                    return Err(DecodeError::Invalid("refusal: text too long"));
                }
                Self::Refused { code, message: lossy_within(r.take(len)?, Self::MAX_REFUSAL) }
            }
            0x20 => Self::ProbeRequest { target_kbps: r.u32()?, duration_ms: r.u32()? },
            0x21 => {
                let (bytes_sent, packets_sent, duration_ms) = (r.u64()?, r.u32()?, r.u32()?);
                let (wire_packets_sent, send_dropped) = if r.left() >= 8 { (r.u32()?, r.u32()?) } else { (0, 0) };
                Self::ProbeResult { bytes_sent, packets_sent, duration_ms, wire_packets_sent, send_dropped }
            }
            0x22 => Self::ProbeShaped {
                target_kbps: r.u32()?,
                duration_ms: r.u32()?,
                burst_hz: r.u16()?,
                group_bytes: r.u32()?,
                group_rate_kbps: r.u32()?,
            },
            0x30 => Self::ClockProbe { t1_ns: r.u64()? },
            0x31 => Self::ClockEcho { t1_ns: r.u64()?, t2_ns: r.u64()?, t3_ns: r.u64()? },
            0x32 => Self::PhaseReport {
                next_latch_host_ns: r.u64()?,
                latch_period_ns: r.u32()?,
                uncertainty_ns: r.u32()?,
                arrival_lead_ns: r.u32()?,
                coherence_milli: if r.left() > 0 { Some(r.u16()?) } else { None },
            },
            0x40 => Self::ClipControl { enabled: r.bool()?, files: r.u8()? & 1 != 0 },
            0x41 => Self::ClipState {
                enabled: r.bool()?,
                policy: ClipPolicy(r.u8()?),
                reason: ClipReason::from_wire(r.u8()?).ok_or(DecodeError::Invalid("clipboard reason"))?,
            },
            0x42 => Self::ClipOffer(ClipOffer::read(r)?),
            0x43 => Self::ClipFetch(ClipFetch::read(r)?),
            0x44 => Self::ClipFetchHdr {
                status: ClipStatus::from_wire(r.u8()?).ok_or(DecodeError::Invalid("clipboard status"))?,
                total_size: r.u64()?,
            },
            0x50 => Self::CursorShape(CursorShape::read(r)?),
            0x51 => Self::CursorRenderMode { client_draws: r.bool()? },
            0x58 => Self::AccessUpdate { grants: Grants(r.u32()?), remaining_secs: r.u32()? },
            0x59 => Self::AudioState { muted: r.bool()? },
            0x5a => {
                let kind = LaunchKind::from_wire(r.u8()?).unwrap_or(LaunchKind::Spawned);
                let len = usize::from(r.u8()?);
                if len > Self::MAX_LAUNCH_MESSAGE {
                    return Err(DecodeError::Invalid("launch outcome: text too long"));
                }
                Self::LaunchOutcome { kind, message: lossy_within(r.take(len)?, Self::MAX_LAUNCH_MESSAGE) }
            }
            0x5b => Self::PadSlots { slots: r.u16()? },
            0x5c => match r.u8()? {
                crate::input::INPUT_TAG => Self::InputEdge(InputEvent::read(r)?),
                _ => return Err(DecodeError::Invalid("input edge: tag")),
            },
            _ => return Err(DecodeError::UnknownType(kind)),
        })
    }

    /// Appends the payload. Texts and lists above their limits are cut to them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put(&MAGIC_CONTROL).put_u8(self.message_type());
        match self {
            Self::RequestKeyframe => {}
            Self::Reconfigure { mode } => put_mode(out, *mode),
            Self::Reconfigured { accepted, mode } => put_mode(out.put_u8((*accepted).into()), *mode),
            Self::BitrateChanged { kbps, reason } => {
                out.put_u32(*kbps);
                if let Some(reason) = reason {
                    out.put_u8(reason.wire());
                }
            }
            Self::LossReport { loss_ppm: v }
            | Self::SetBitrate { kbps: v }
            | Self::PipelineGap { gap_ms: v }
            | Self::LinkReport { proven_kbps: v } => {
                out.put_u32(*v);
            }
            Self::RfiRequest { first_frame: a, last_frame: b }
            | Self::ProbeRequest { target_kbps: a, duration_ms: b }
            | Self::AccessUpdate { grants: Grants(a), remaining_secs: b } => {
                out.put_u32(*a).put_u32(*b);
            }
            Self::ShardPayloadChanged { shard_payload: v }
            | Self::ShardPayloadAck { shard_payload: v }
            | Self::PadSlots { slots: v } => {
                out.put_u16(*v);
            }
            Self::DeliveryReport { packets_received: v } | Self::ClockProbe { t1_ns: v } => {
                out.put_u64(*v);
            }
            Self::CursorRenderMode { client_draws: v } | Self::AudioState { muted: v } => {
                out.put_u8((*v).into());
            }
            Self::SetDelivery { profile } => {
                out.put_u8(profile.wire());
            }
            Self::DeliveryChanged { profile, forced } => {
                out.put_u8(profile.wire()).put_u8((*forced).into());
            }
            Self::HostFacts { iface, link_mbps, sndbuf_kb, forced_profile } => {
                out.put_u8(iface.wire()).put_u32(*link_mbps).put_u32(*sndbuf_kb);
                out.put_u8(forced_profile.map_or(0xff, DeliveryProfile::wire));
            }
            Self::Refused { code, message } => {
                let message = cut(message, Self::MAX_REFUSAL);
                out.put_u32(code.0).put_u16(message.len() as u16).put(message.as_bytes());
            }
            Self::ProbeResult { bytes_sent, packets_sent, duration_ms, wire_packets_sent, send_dropped } => {
                out.put_u64(*bytes_sent).put_u32(*packets_sent).put_u32(*duration_ms);
                out.put_u32(*wire_packets_sent).put_u32(*send_dropped);
            }
            Self::ProbeShaped { target_kbps, duration_ms, burst_hz, group_bytes, group_rate_kbps } => {
                out.put_u32(*target_kbps).put_u32(*duration_ms).put_u16(*burst_hz);
                out.put_u32(*group_bytes).put_u32(*group_rate_kbps);
            }
            Self::ClockEcho { t1_ns, t2_ns, t3_ns } => {
                out.put_u64(*t1_ns).put_u64(*t2_ns).put_u64(*t3_ns);
            }
            Self::PhaseReport {
                next_latch_host_ns,
                latch_period_ns,
                uncertainty_ns,
                arrival_lead_ns,
                coherence_milli,
            } => {
                out.put_u64(*next_latch_host_ns).put_u32(*latch_period_ns);
                out.put_u32(*uncertainty_ns).put_u32(*arrival_lead_ns);
                if let Some(coherence) = coherence_milli {
                    out.put_u16(*coherence);
                }
            }
            Self::ClipControl { enabled, files } => {
                out.put_u8((*enabled).into()).put_u8((*files).into());
            }
            Self::ClipState { enabled, policy, reason } => {
                out.put_u8((*enabled).into()).put_u8(policy.0).put_u8(reason.wire());
            }
            Self::ClipOffer(offer) => offer.write(out),
            Self::ClipFetch(fetch) => fetch.write(out),
            Self::ClipFetchHdr { status, total_size } => {
                out.put_u8(status.wire()).put_u64(*total_size);
            }
            Self::CursorShape(shape) => shape.write(out),
            Self::LaunchOutcome { kind, message } => {
                let message = cut(message, Self::MAX_LAUNCH_MESSAGE);
                out.put_u8(kind.wire()).put_u8(message.len() as u8).put(message.as_bytes());
            }
            Self::InputEdge(event) => event.encode(out),
        }
    }
}

fn mode(r: &mut Reader<'_>) -> Result<Mode, DecodeError> {
    Ok(Mode { width: r.u32()?, height: r.u32()?, refresh_hz: r.u32()? })
}

fn put_mode(out: &mut Vec<u8>, mode: Mode) {
    out.put_u32(mode.width).put_u32(mode.height).put_u32(mode.refresh_hz);
}

/// Replacement characters take three bytes for one, so the text is cut again: what was decoded can be encoded.
fn lossy_within(bytes: &[u8], max: usize) -> String {
    let mut text = lossy(bytes);
    text.truncate(cut(&text, max).len());
    text
}
