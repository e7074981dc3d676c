//! Sound to the client (punktfunk1.md §4.7): what is promised in `Welcome`, and the datagrams.
//!
//! ```text
//! Hello (channels, layout, AUDIO_RED, AUDIO_HIRES) + wire budget, path ─► SoundTerms ─► Welcome, AudioLink, what it costs
//! audio-N ─► packet ─► 0xC9, or 0xD2 with the packet before while the client reports loss ─► QUIC datagram
//!             samples ─► 0xD3, where the client asked for it, and path and budget allow it
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use punktfunk_core::datagram::HostDatagram;
use punktfunk_core::handshake::{AudioChannels, AudioLayout, ClientCaps, Hello, HostCaps, Welcome};
use punktfunk_engine::link::{AudioLink, AudioSink, LinkError};
use punktfunk_engine::plan::Downgrade;
use punktfunk_media::{AudioCodec, AudioCodecConfig, AudioRequest, Lossless, Reason, SAMPLE_RATE, reason};
use quinn::SendDatagramError;

/// What a session's sound will be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SoundTerms {
    channels: AudioChannels,
    layout: AudioLayout,
    coding: Coding,
    also_on_host: bool,
}

/// How its blocks are coded, for the whole session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Coding {
    /// 0xC9, and 0xD2 where the client knows it.
    Opus { bitrate_bps: u32, redundancy: bool },
    /// 0xD3.
    Lossless { format: Lossless, frame_us: u16 },
}

impl SoundTerms {
    /// What the client asked for, as dear as the wire budget allows. `fits`: the largest datagram of the path, in bytes.
    /// Beside it, what was not granted.
    pub fn new(hello: &Hello, wire_kbps: u32, fits: usize) -> (Self, Option<Downgrade>) {
        let channels = hello.audio_channels;
        let afford = u64::from(wire_kbps) * 1000 * SHARE_PERCENT / 100;
        let tiers = tiers(channels);
        let bitrate_bps = tiers.into_iter().find(|bps| wire_bps(*bps) <= afford).unwrap_or(tiers[tiers.len() - 1]);
        let opus = Coding::Opus { bitrate_bps, redundancy: hello.client_caps.contains(ClientCaps::AUDIO_RED) };
        let (coding, downgrade) = match lossless(hello, wire_kbps, fits) {
            None => (opus, None),
            Some(Ok(coding)) => (coding, None),
            Some(Err(reason)) => {
                let asked = format!("{} channels of {} bits without loss", channels.wire(), hello.audio_bits);
                (opus, Some(Downgrade { asked, given: format!("Opus at {bitrate_bps} bit/s"), reason }))
            }
        };
        let opus = matches!(coding, Coding::Opus { .. });
        let surround = channels != AudioChannels::Stereo;
        let terms = Self {
            channels,
            layout: if opus && surround { hello.audio_layout } else { AudioLayout::Legacy },
            coding,
            also_on_host: hello.client_caps.contains(ClientCaps::KEEP_HOST_AUDIO),
        };
        (terms, downgrade)
    }

    /// Writes the promise into `welcome`.
    pub fn promise(&self, welcome: &mut Welcome) {
        welcome.audio_channels = self.channels;
        welcome.audio_layout = self.layout;
        match self.coding {
            Coding::Opus { redundancy: true, .. } => welcome.host_caps = welcome.host_caps | HostCaps::AUDIO_RED,
            Coding::Opus { .. } => {}
            Coding::Lossless { format, frame_us } => {
                welcome.host_caps = welcome.host_caps | HostCaps::AUDIO_HIRES;
                welcome.audio_codec = punktfunk_core::handshake::AudioCodec::Pcm;
                (welcome.audio_rate_hz, welcome.audio_bits) = (SAMPLE_RATE, format.bits());
                welcome.audio_frame_us = frame_us;
            }
        }
    }

    /// What it takes from the wire budget, in bit/s.
    pub fn wire_bps(&self) -> u64 {
        match self.coding {
            Coding::Opus { bitrate_bps, .. } => wire_bps(bitrate_bps),
            Coding::Lossless { format, frame_us } => lossless_bps(self.channels, format, frame_us),
        }
    }

    /// The engine's side of it.
    pub fn link(&self, opus: Arc<dyn AudioCodec>, connection: quinn::Connection, loss: Arc<LossMeter>) -> AudioLink {
        let (config, codec, plane): (_, Arc<dyn AudioCodec>, _) = match self.coding {
            Coding::Opus { bitrate_bps, redundancy } => {
                let config = AudioCodecConfig::native(self.channels, self.layout, bitrate_bps);
                (config, opus, Plane::Opus(redundancy.then_some(loss)))
            }
            Coding::Lossless { format, frame_us } => {
                let block = Duration::from_micros(frame_us.into());
                let config = AudioCodecConfig { block, ..AudioCodecConfig::native(self.channels, self.layout, 0) };
                (config, Arc::new(format), Plane::Lossless(SampleClock::new(block)))
            }
        };
        AudioLink {
            request: AudioRequest { layout: config.layout, block: config.block, also_on_host: self.also_on_host },
            codec,
            config,
            sink: Box::new(DatagramSound::new(connection, plane)),
        }
    }
}

/// Sound without loss, if the client asks for it: with the longest blocks that fit, of the bits that it asked for, or else of
/// 16. Or why not.
fn lossless(hello: &Hello, wire_kbps: u32, fits: usize) -> Option<Result<Coding, &'static Reason>> {
    if !hello.client_caps.contains(ClientCaps::AUDIO_HIRES) {
        return None;
    }
    let channels = hello.audio_channels;
    let formats = [Lossless::from_bits(hello.audio_bits), Lossless::Bits16];
    let bytes = |format: Lossless, frame_us: u16| {
        PCM_HEADER + frame_samples(frame_us) * usize::from(channels.wire()) * format.bytes()
    };
    let fitting: Vec<_> = formats
        .into_iter()
        .filter_map(|format| {
            let frame_us = FRAMES_US.into_iter().find(|frame_us| bytes(format, *frame_us) <= fits)?;
            Some((format, frame_us))
        })
        .collect();
    if fitting.is_empty() {
        return Some(Err(&reason::AUDIO_LOSSLESS_PATH));
    }
    let most = u64::from(wire_kbps) * 1000 * LOSSLESS_SHARE_PERCENT / 100;
    let affordable = fitting.into_iter().find(|(format, frame_us)| lossless_bps(channels, *format, *frame_us) <= most);
    Some(match affordable {
        Some((format, frame_us)) => Ok(Coding::Lossless { format, frame_us }),
        None => Err(&reason::AUDIO_LOSSLESS_DEAR),
    })
}

/// What sound without loss takes on the wire, in bit/s.
fn lossless_bps(channels: AudioChannels, format: Lossless, frame_us: u16) -> u64 {
    let samples = u64::from(SAMPLE_RATE) * u64::from(channels.wire()) * u64::from(format.bits());
    samples + DATAGRAM_OVERHEAD as u64 * 8 * 1_000_000 / u64::from(frame_us)
}

/// Samples per channel in a block.
const fn frame_samples(frame_us: u16) -> usize {
    SAMPLE_RATE as usize * frame_us as usize / 1_000_000
}

/// The loss that the client reports, for the audio thread.
#[derive(Debug, Default)]
pub(crate) struct LossMeter {
    /// Blocks that are still to be sent with the one before.
    redundant_blocks: AtomicU32,
}

impl LossMeter {
    /// The client's report of its last window.
    pub fn report(&self, ppm: u32) {
        if ppm >= REDUNDANT_FROM_PPM {
            self.redundant_blocks.store(REDUNDANT_FOR_BLOCKS, Ordering::Relaxed);
        }
    }

    /// Whether the next block carries the one before.
    fn next(&self) -> bool {
        self.redundant_blocks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
    }
}

/// What QUIC itself finds missing. Clients report the loss of pictures, and on a still desktop there are hardly any.
#[derive(Debug, Default)]
struct PathLoss {
    sent: u64,
    lost: u64,
    blocks: u32,
}

impl PathLoss {
    /// Counts a block; now and then whether `totals` (sent and lost packets) say that the path lost any since the last look, in
    /// millionths.
    fn look(&mut self, totals: impl FnOnce() -> (u64, u64)) -> Option<u32> {
        self.blocks += 1;
        if self.blocks < LOOK_BLOCKS {
            return None;
        }
        let (sent, lost) = totals();
        let (new, missing) = (sent.saturating_sub(self.sent), lost.saturating_sub(self.lost));
        *self = Self { sent, lost, blocks: 0 };
        u32::try_from(missing.saturating_mul(1_000_000).checked_div(new)?).ok()
    }
}

/// Which datagrams carry the blocks.
enum Plane {
    /// Opus; with the meter where the client knows 0xD2.
    Opus(Option<Arc<LossMeter>>),
    Lossless(SampleClock),
}

/// Stamps of blocks without loss go on by exactly what each block lasts (§4.7), until the capture's own times are too far
/// off.
struct SampleClock {
    block_ns: u64,
    last_ns: Option<u64>,
}

impl SampleClock {
    fn new(block: Duration) -> Self {
        Self { block_ns: block.as_nanos() as u64, last_ns: None }
    }

    fn stamp(&mut self, captured_ns: u64) -> u64 {
        let expected = self.last_ns.map(|last| last + self.block_ns);
        let stamp = expected.filter(|e| e.abs_diff(captured_ns) < REANCHOR_NS).unwrap_or(captured_ns);
        self.last_ns = Some(stamp);
        stamp
    }
}

/// Sends blocks as QUIC datagrams.
struct DatagramSound {
    connection: quinn::Connection,
    plane: Plane,
    seq: u32,
    path: PathLoss,
    /// The packet before; empty for silence.
    previous: Vec<u8>,
    encoded: Vec<u8>,
    /// Used again once QUIC has let go of it.
    pool: BytesMut,
}

impl DatagramSound {
    fn new(connection: quinn::Connection, plane: Plane) -> Self {
        let (previous, encoded) = (Vec::with_capacity(DATAGRAM_BYTES), Vec::with_capacity(DATAGRAM_BYTES));
        Self {
            connection,
            plane,
            seq: 0,
            path: PathLoss::default(),
            previous,
            encoded,
            pool: BytesMut::with_capacity(POOL_BYTES),
        }
    }
}

impl AudioSink for DatagramSound {
    fn send(&mut self, packet: &[u8], captured_ns: u64, silent: bool) -> Result<(), LinkError> {
        match &mut self.plane {
            Plane::Lossless(clock) => {
                self.encoded.clear();
                let pts_ns = clock.stamp(captured_ns);
                HostDatagram::Pcm { seq: self.seq, pts_ns, samples: packet }.encode(&mut self.encoded);
            }
            Plane::Opus(loss) => {
                let opus = if silent { &[] } else { packet };
                let fits = self.connection.max_datagram_size().unwrap_or(0);
                let redundant = loss.as_ref().is_some_and(|loss| {
                    let totals = || {
                        let path = self.connection.stats().path;
                        (path.sent_packets, path.lost_packets)
                    };
                    if let Some(ppm) = self.path.look(totals) {
                        loss.report(ppm);
                    }
                    loss.next()
                });
                let previous = redundant.then_some(&self.previous);
                write_block(&mut self.encoded, self.seq, captured_ns, opus, previous, fits);
                self.previous.clear();
                self.previous.extend_from_slice(opus);
            }
        }
        self.seq = self.seq.wrapping_add(1);
        if self.pool.capacity() < self.encoded.len() {
            self.pool.reserve(POOL_BYTES);
        }
        self.pool.extend_from_slice(&self.encoded);
        self.connection.send_datagram(self.pool.split().freeze()).map_err(|error| LinkError {
            reason: &reason::AUDIO_LINK,
            // One block that is too large for the path is lost; a connection that is gone stays gone.
            fatal: !matches!(error, SendDatagramError::TooLarge),
            detail: error.to_string(),
        })
    }
}

/// Replaces `out` by the datagram of a block: with the packet before it where that is wanted and fits.
fn write_block(out: &mut Vec<u8>, seq: u32, pts_ns: u64, opus: &[u8], previous: Option<&Vec<u8>>, fits: usize) {
    out.clear();
    match previous {
        Some(previous) if RED_HEADER + opus.len() + previous.len() <= fits => {
            HostDatagram::AudioRed { seq, pts_ns, primary: opus, previous }.encode(out);
        }
        _ => HostDatagram::Audio { seq, pts_ns, opus }.encode(out),
    }
}

/// Bitrates to choose from, dearest first (§4.7).
const fn tiers(channels: AudioChannels) -> [u32; 3] {
    match channels {
        AudioChannels::Stereo => [256_000, 128_000, 96_000],
        AudioChannels::Surround51 => [448_000, 256_000, 192_000],
        AudioChannels::Surround71 => [768_000, 450_000, 320_000],
    }
}

/// What a bitrate costs on the wire.
const fn wire_bps(bitrate_bps: u32) -> u64 {
    bitrate_bps as u64 + (DATAGRAM_OVERHEAD * 8) as u64 * (1_000 / BLOCK.as_millis() as u64)
}

/// The protocol's only one.
const BLOCK: Duration = Duration::from_millis(5);
/// What sound may take of the wire budget; the cheapest tier is always had (§4.7).
const SHARE_PERCENT: u64 = 5;
/// Tag, number, stamp (13), QUIC's frame, packet number, tag and header (33), UDP and IP (28).
const DATAGRAM_OVERHEAD: usize = 74;
/// §4.7: of the wire budget.
const LOSSLESS_SHARE_PERCENT: u64 = 25;
/// Lengths of blocks without loss, in µs, the best first (§4.7).
const FRAMES_US: [u16; 7] = [5000, 4000, 3000, 2500, 2000, 1500, 1000];
/// Tag, number, stamp.
const PCM_HEADER: usize = 13;
/// A block of ours is never captured earlier or later than this without something being missing.
const REANCHOR_NS: u64 = 5_000_000;
/// Tag, number, stamp, length.
const RED_HEADER: usize = 15;
/// One lost packet in a thousand is heard.
const REDUNDANT_FROM_PPM: u32 = 1_000;
/// Half a second: a hundred packets at least.
const LOOK_BLOCKS: u32 = 100;
/// Ten seconds after the last report of loss: it comes in bursts.
const REDUNDANT_FOR_BLOCKS: u32 = 2_000;
/// No path takes more.
const DATAGRAM_BYTES: usize = 1_500;
/// Some tens of datagrams: what QUIC may still hold while it waits for its turn.
const POOL_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use punktfunk_core::Mode;

    fn hello(channels: AudioChannels, layout: AudioLayout) -> Hello {
        let mut hello = Hello::new(Mode { width: 1280, height: 720, refresh_hz: 60 });
        (hello.audio_channels, hello.audio_layout) = (channels, layout);
        hello
    }

    #[test]
    fn the_dearest_bitrate_that_the_budget_allows_and_never_less_than_the_cheapest() {
        use AudioChannels::{Stereo, Surround51, Surround71};
        for (channels, kbps, bitrate) in [
            (Stereo, 500, 96_000),
            (Stereo, 5_000, 128_000),
            (Stereo, 8_000, 256_000),
            (Surround51, 5_000, 192_000),
            (Surround51, 8_000, 256_000),
            (Surround51, 20_000, 448_000),
            (Surround71, 5_000, 320_000),
            (Surround71, 12_000, 450_000),
            (Surround71, 20_000, 768_000),
        ] {
            let (terms, none) = SoundTerms::new(&hello(channels, AudioLayout::Legacy), kbps, 1200);
            assert_eq!(none, None);
            let expected = Coding::Opus { bitrate_bps: bitrate, redundancy: false };
            assert_eq!(terms.coding, expected, "{channels:?} at {kbps} kbit/s");
            assert!(terms.wire_bps() > bitrate.into());
        }
    }

    #[test]
    fn the_promise_repeats_the_wish_and_redundancy_only_where_the_client_knows_it() {
        let mut wish = hello(AudioChannels::Surround51, AudioLayout::Standard);
        let mut welcome = Welcome::new(wish.mode, punktfunk_core::Codec::H264, 1, [1; 16], [0; 4]);
        SoundTerms::new(&wish, 20_000, 1200).0.promise(&mut welcome);
        assert_eq!((welcome.audio_channels, welcome.audio_layout), (wish.audio_channels, wish.audio_layout));
        assert!(!welcome.host_caps.contains(HostCaps::AUDIO_RED));
        wish.client_caps = ClientCaps::AUDIO_RED;
        SoundTerms::new(&wish, 20_000, 1200).0.promise(&mut welcome);
        assert!(welcome.host_caps.contains(HostCaps::AUDIO_RED));
        // Stereo has one layout: a canonical Welcome leaves the field out.
        let (stereo, _) = SoundTerms::new(&hello(AudioChannels::Stereo, AudioLayout::Uncoupled), 20_000, 1200);
        assert_eq!(stereo.layout, AudioLayout::Legacy);
    }

    #[test]
    fn sound_without_loss_is_granted_where_it_fits_the_path_and_the_budget_or_the_reason_is_told() {
        use AudioChannels::{Stereo, Surround51, Surround71};
        let path = "audio.lossless_path";
        let dear = "audio.lossless_dear";
        for (channels, bits, kbps, fits, granted) in [
            (Stereo, 16, 20_000, 1200, Ok((16, 5000))),
            (Stereo, 24, 20_000, 1200, Ok((24, 4000))),
            (Stereo, 24, 20_000, 1453, Ok((24, 5000))),
            (Stereo, 24, 9_000, 1200, Ok((16, 5000))),
            (Stereo, 16, 6_000, 1200, Err(dear)),
            (Surround51, 16, 40_000, 1200, Ok((16, 2000))),
            (Surround51, 24, 80_000, 1200, Ok((24, 1000))),
            (Surround71, 16, 80_000, 1200, Ok((16, 1500))),
            (Surround71, 24, 80_000, 1165, Ok((24, 1000))),
            (Surround71, 24, 80_000, 1164, Ok((16, 1000))),
            (Surround71, 16, 80_000, 780, Err(path)),
            (Stereo, 16, 20_000, 0, Err(path)),
        ] {
            let mut wish = hello(channels, AudioLayout::Uncoupled);
            (wish.client_caps, wish.audio_bits) = (ClientCaps::AUDIO_HIRES, bits);
            let (terms, downgrade) = SoundTerms::new(&wish, kbps, fits);
            let case = format!("{channels:?}, {bits} bits, {kbps} kbit/s, {fits} bytes");
            let mut welcome = Welcome::new(wish.mode, punktfunk_core::Codec::H264, 1, [1; 16], [0; 4]);
            terms.promise(&mut welcome);
            match granted {
                Ok((bits, frame_us)) => {
                    assert_eq!((downgrade, terms.layout), (None, AudioLayout::Legacy), "{case}");
                    assert_eq!((welcome.audio_bits, welcome.audio_frame_us), (bits, frame_us), "{case}");
                    assert!(welcome.host_caps.contains(HostCaps::AUDIO_HIRES));
                    assert!(terms.wire_bps() * 4 <= u64::from(kbps) * 1000, "{case}");
                }
                Err(code) => {
                    assert_eq!(downgrade.expect(&case).reason.code, code, "{case}");
                    assert!(!welcome.host_caps.contains(HostCaps::AUDIO_HIRES) && welcome.audio_frame_us == 0);
                }
            }
        }
        let (never, none) = SoundTerms::new(&hello(Stereo, AudioLayout::Legacy), 80_000, 1200);
        assert!(matches!(never.coding, Coding::Opus { .. }) && none.is_none(), "nobody asked");
    }

    #[test]
    fn stamps_without_loss_advance_by_what_a_block_lasts() {
        let mut clock = SampleClock::new(Duration::from_micros(2500));
        let stamps: Vec<u64> = [1_000_000, 3_600_000, 5_700_000, 90_000_000].map(|ns| clock.stamp(ns)).to_vec();
        assert_eq!(stamps, [1_000_000, 3_500_000, 6_000_000, 90_000_000]);
    }

    #[test]
    fn a_block_carries_the_one_before_where_that_fits() {
        let (mut out, before) = (Vec::new(), vec![7; 100]);
        write_block(&mut out, 5, 9, &[1, 2], Some(&before), 200);
        let expected = HostDatagram::AudioRed { seq: 5, pts_ns: 9, primary: &[1, 2], previous: &before };
        assert_eq!(HostDatagram::decode(&out).unwrap(), expected);
        assert_eq!(out.len(), 117);
        for (previous, fits) in [(Some(&before), 116), (None, 200)] {
            write_block(&mut out, 5, 9, &[1, 2], previous, fits);
            assert_eq!(HostDatagram::decode(&out).unwrap(), HostDatagram::Audio { seq: 5, pts_ns: 9, opus: &[1, 2] });
        }
        // Silence (§4.7).
        write_block(&mut out, 5, 9, &[], None, 200);
        assert_eq!(out.len(), 13);
    }

    #[test]
    fn what_the_path_loses_is_looked_for_twice_a_second() {
        let mut path = PathLoss::default();
        let mut after = |sent, lost| {
            let looks: Vec<_> = (0..LOOK_BLOCKS).map(|_| path.look(|| (sent, lost))).collect();
            assert!(looks[..looks.len() - 1].iter().all(Option::is_none));
            looks[looks.len() - 1]
        };
        assert_eq!(after(100, 0), Some(0));
        assert_eq!(after(300, 1), Some(5_000));
        assert_eq!(after(500, 1), Some(0));
        // Nothing went out, and a path that was exchanged begins at nought.
        assert_eq!(after(500, 1), None);
        assert_eq!(after(10, 0), None);
        assert_eq!(after(110, 5), Some(50_000));
    }

    #[test]
    fn redundancy_lasts_for_a_while_after_loss() {
        let meter = LossMeter::default();
        assert!(!meter.next());
        meter.report(REDUNDANT_FROM_PPM - 1);
        assert!(!meter.next());
        meter.report(REDUNDANT_FROM_PPM);
        assert!((0..REDUNDANT_FOR_BLOCKS).all(|_| meter.next()) && !meter.next());
    }
}
