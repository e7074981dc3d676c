//! From ANNOUNCE to everything that the engine needs to start.

use std::sync::Arc;
use std::time::Duration;

use punktfunk_core::{Codec, CodecSet, Mode};
use punktfunk_engine::clock::SessionClock;
use punktfunk_engine::link::{AudioLink, ClientLink};
use punktfunk_engine::plan::{ClientWish, SessionPlan, plan};
use punktfunk_hub::live::{Recorder, SessionFacts};
use punktfunk_media::{Colour, Matrix, Stage, reason};

use super::feedback::Feedback;
use super::live::Live;
use crate::door::{Announce, Refusal};
use crate::media_ports::{Pings, Registration, SessionTag};
use crate::plane::{Shared, blocking};
use crate::policy;
use crate::sound::sound_of;
use crate::wire::audio::{AudioConfig, AudioKey, RtpAudioSink};
use crate::wire::bitrate::BitrateWish;
use crate::wire::video::{ShardSizes, VideoConfig, VideoPacketizer, max_frame_bytes};

/// What a session needs from its first ping on.
pub(crate) struct Announced {
    pub plan: SessionPlan,
    pub link: ClientLink,
    pub audio: Option<AudioLink>,
    pub clock: SessionClock,
    /// Hears where the client is.
    pub pings: Pings,
    /// The client reports how FEC did.
    pub reports: bool,
    pub facts: SessionFacts,
    pub recorder: Arc<Recorder>,
}

/// Settles what will be streamed and brings the display to its mode.
///
/// # Errors
/// [`Refusal`] with an RTSP status; the client shows its number.
pub(crate) async fn settle(
    shared: &Arc<Shared>,
    live: &Arc<Live>,
    session_id: u64,
    stage: &mut Option<Box<dyn Stage>>,
    announce: Announce,
) -> Result<Announced, Refusal> {
    if let Some(reason) = shared.config.encryption.refuses(announce.encryption) {
        tracing::warn!(code = reason.code, enabled = announce.encryption, "refused");
        return Err(Refusal::of(403, reason));
    }
    live.set_v2(announce.encryption & policy::CONTROL != 0);
    let sizes = ShardSizes::new(announce.packet_size).ok_or(Refusal::of(400, &reason::GAMESTREAM_PACKET_SIZE))?;
    let (request, config) = sound_of(&announce, live.request.surround_params.as_deref(), live.request.play_on_host);
    let sound_bps = audio_bps(config.bitrate_bps, config.block);
    let plan = plan_of(shared, &announce, sizes, sound_bps)?;
    bring_to_mode(stage, plan.mode).await?;

    let clock = SessionClock::start();
    let rikey = live.request.rikey;
    let video = VideoConfig {
        packet_size: announce.packet_size,
        min_recovery: announce.min_recovery,
        key: (announce.encryption & policy::VIDEO != 0).then_some(rikey),
        epoch_ns: clock.now_ns(),
    };
    let packetizer = VideoPacketizer::new(&video).map_err(|reason| Refusal::of(400, reason))?;
    let offer = live.offer.get().ok_or(Refusal::of(454, &reason::SESSION_NOT_FOUND))?;
    let tag = SessionTag {
        ping: offer.ping,
        legacy: announce.client_flags & SESSION_IDS == 0,
        peer: live.request.peer,
        mark_video: announce.mark_video,
        mark_audio: announce.mark_audio,
    };
    let Registration { video: video_sink, audio: audio_socket, pings } = shared.media.register(&tag);
    let audio = shared.config.sound.as_ref().map(|codec| {
        let key =
            (announce.encryption & policy::AUDIO != 0).then_some(AudioKey { rikey, rikey_id: live.request.rikey_id });
        let packets = AudioConfig { duration: announce.packet_duration, key };
        let sink = Box::new(RtpAudioSink::new(&packets, audio_socket));
        AudioLink { request, codec: Arc::clone(codec), config, sink }
    });
    let payload = u16::try_from(sizes.payload()).unwrap_or(u16::MAX);
    let recorder = shared.hub.live().recorder(session_id);
    let control = shared.control().ok_or(Refusal::of(500, &reason::HOST_SHUTTING_DOWN))?;
    let link = ClientLink {
        packetizer: Box::new(packetizer),
        sink: Box::new(video_sink),
        events: Arc::new(Feedback::new(live, Arc::clone(&recorder), control)),
        shard_payload: payload,
        audio_bps: if audio.is_some() { sound_bps } else { 0 },
        repeat_every: REPEAT_EVERY,
    };
    let facts = SessionFacts {
        plane: "gamestream",
        mode: plan.mode,
        codec: plan.codec,
        peer: (live.request.peer, 0).into(),
        shard_payload: payload,
    };
    tracing::info!(
        mode = %plan.mode, kbps = plan.wire_kbps, packet = announce.packet_size, encrypted = announce.encryption,
        channels = announce.channels, "announced"
    );
    let reports = announce.client_flags & FEC_STATUS != 0;
    Ok(Announced { plan, link, audio, clock, pings, reports, facts, recorder })
}

fn plan_of(shared: &Shared, announce: &Announce, sizes: ShardSizes, audio_bps: u64) -> Result<SessionPlan, Refusal> {
    let codec = match announce.codec {
        0 => Codec::H264,
        1 => Codec::Hevc,
        2 => Codec::Av1,
        _ => return Err(Refusal::of(400, &reason::GAMESTREAM_CODEC_REFUSED)),
    };
    // Only what serverinfo and DESCRIBE showed may be chosen: 8 bits, 4:2:0.
    if announce.ten_bit || announce.full_chroma {
        return Err(Refusal::of(400, &reason::GAMESTREAM_CODEC_REFUSED));
    }
    let offer = shared.offer();
    let rate = BitrateWish {
        configured_kbps: announce.configured_kbps,
        maximum_kbps: announce.maximum_kbps,
        fec_percent: offer.fec_percent,
        channels: announce.channels,
        high_quality: if announce.channels > 2 { announce.surround_high } else { announce.stereo_high },
    };
    let wish = ClientWish {
        mode: Mode { width: announce.width, height: announce.height, refresh_hz: announce.fps },
        codecs: CodecSet::only(codec),
        preferred: Some(codec),
        bitrate_kbps: rate.wire_kbps(sizes.payload(), audio_bps),
        multi_slice: announce.slices > 1,
        slices: announce.slices,
        max_frame_bytes: Some(max_frame_bytes(sizes, announce.min_recovery)),
        colour: colour_of(announce.colour),
    };
    let plan = plan(&offer, &wish).map_err(|error| {
        tracing::warn!(code = error.reason.code, "cannot be streamed: {}", error.detail);
        Refusal::of(400, error.reason)
    })?;
    for downgrade in &plan.downgrades {
        tracing::info!(%downgrade, "not granted as asked");
    }
    Ok(plan)
}

/// `encoderCscMode`: (colour space << 1) | full range. gamestream.md §8.8, of 8-bit pictures: Rec.2020 becomes Rec.709.
const fn colour_of(csc: u32) -> Colour {
    let matrix = match csc >> 1 {
        REC_601 => Matrix::Bt601,
        _ => Matrix::Bt709,
    };
    Colour { matrix, full_range: csc & 1 == 1 }
}

/// What sound takes on the wire: packets with their headers, and two of recovery for each four.
fn audio_bps(coded_bps: u32, block: Duration) -> u64 {
    let packets = 1_000_000 / u64::try_from(block.as_micros()).unwrap_or(5_000).max(1);
    (u64::from(coded_bps) + packets * AUDIO_OVERHEAD_BITS) * 3 / 2
}

async fn bring_to_mode(stage: &mut Option<Box<dyn Stage>>, mode: Mode) -> Result<(), Refusal> {
    let Some(mut own) = stage.take() else { return Err(Refusal::of(454, &reason::SESSION_NOT_FOUND)) };
    if own.mode() == mode {
        *stage = Some(own);
        return Ok(());
    }
    let outcome = blocking(move || {
        let outcome = own.set_mode(mode);
        (own, outcome)
    });
    match outcome.await {
        Ok((own, Ok(_))) => {
            *stage = Some(own);
            Ok(())
        }
        Ok((own, Err(error))) => {
            *stage = Some(own);
            tracing::warn!(code = error.reason.code, "the display does not take {mode}: {}", error.detail);
            Err(Refusal::of(500, error.reason))
        }
        Err(panic) => {
            tracing::error!(%panic, "changing the mode failed");
            Err(Refusal::of(500, &reason::INTERNAL_PANIC))
        }
    }
}

/// Bits of `x-ml-general.featureFlags`: the client reports FEC status; it knows ping payloads and connect data.
const FEC_STATUS: u32 = 0x1;
const SESSION_IDS: u32 = 0x2;
/// Colour spaces of `encoderCscMode`: 0 is Rec.601, 1 Rec.709, 2 Rec.2020.
const REC_601: u32 = 0;
/// Half the frame rate is customary (gamestream.md §8.10); twice a second is enough to keep statistics and decoders going.
const REPEAT_EVERY: Duration = Duration::from_millis(500);
/// RTP header, padding of the encryption, UDP and IPv4 headers.
const AUDIO_OVERHEAD_BITS: u64 = (12 + 16 + 8 + 20) * 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_honoured_as_the_table_says() {
        let table = [
            (0, Matrix::Bt601, false),
            (1, Matrix::Bt601, true),
            (2, Matrix::Bt709, false),
            (3, Matrix::Bt709, true),
            (4, Matrix::Bt709, false),
            (5, Matrix::Bt709, true),
        ];
        for (csc, matrix, full_range) in table {
            assert_eq!(colour_of(csc), Colour { matrix, full_range }, "encoderCscMode {csc}");
        }
    }
}
