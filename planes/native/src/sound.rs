//! Sound to the client (punktfunk1.md §4.7): what is promised in `Welcome`, and the datagrams.
//!
//! ```text
//! Hello (channels, layout, AUDIO_RED) + wire budget ─► SoundTerms ─► Welcome, AudioLink, what it costs
//! audio-N ─► packet ─► 0xC9, or 0xD2 with the packet before while the client reports loss ─► QUIC datagram
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use punktfunk_core::datagram::HostDatagram;
use punktfunk_core::handshake::{AudioChannels, AudioLayout, ClientCaps, Hello, HostCaps, Welcome};
use punktfunk_engine::link::{AudioLink, AudioSink, LinkError};
use punktfunk_media::{AudioCodec, AudioCodecConfig, AudioRequest, reason};
use quinn::SendDatagramError;

/// What a session's sound will be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SoundTerms {
    channels: AudioChannels,
    layout: AudioLayout,
    redundancy: bool,
    bitrate_bps: u32,
    also_on_host: bool,
}

impl SoundTerms {
    /// What the client asked for, as dear as the wire budget allows.
    pub fn new(hello: &Hello, wire_kbps: u32) -> Self {
        let channels = hello.audio_channels;
        let afford = u64::from(wire_kbps) * 1000 * SHARE_PERCENT / 100;
        let tiers = tiers(channels);
        let bitrate_bps = tiers.into_iter().find(|bps| wire_bps(*bps) <= afford).unwrap_or(tiers[tiers.len() - 1]);
        Self {
            channels,
            layout: if channels == AudioChannels::Stereo { AudioLayout::Legacy } else { hello.audio_layout },
            redundancy: hello.client_caps.contains(ClientCaps::AUDIO_RED),
            bitrate_bps,
            also_on_host: hello.client_caps.contains(ClientCaps::KEEP_HOST_AUDIO),
        }
    }

    /// Writes the promise into `welcome`.
    pub fn promise(&self, welcome: &mut Welcome) {
        welcome.audio_channels = self.channels;
        welcome.audio_layout = self.layout;
        if self.redundancy {
            welcome.host_caps = welcome.host_caps | HostCaps::AUDIO_RED;
        }
    }

    /// What it takes from the wire budget, in bit/s.
    pub fn wire_bps(&self) -> u64 {
        wire_bps(self.bitrate_bps)
    }

    /// The engine's side of it.
    pub fn link(&self, codec: Arc<dyn AudioCodec>, connection: quinn::Connection, loss: Arc<LossMeter>) -> AudioLink {
        let config = AudioCodecConfig::native(self.channels, self.layout, self.bitrate_bps);
        AudioLink {
            request: AudioRequest { layout: config.layout, block: config.block, also_on_host: self.also_on_host },
            codec,
            config,
            sink: Box::new(DatagramSound::new(connection, self.redundancy.then_some(loss))),
        }
    }
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

/// Sends blocks as QUIC datagrams.
struct DatagramSound {
    connection: quinn::Connection,
    /// `None`: the client does not know 0xD2.
    loss: Option<Arc<LossMeter>>,
    seq: u32,
    /// The packet before; empty for silence.
    previous: Vec<u8>,
    encoded: Vec<u8>,
    /// Used again once QUIC has let go of it.
    pool: BytesMut,
}

impl DatagramSound {
    fn new(connection: quinn::Connection, loss: Option<Arc<LossMeter>>) -> Self {
        let (previous, encoded) = (Vec::with_capacity(DATAGRAM_BYTES), Vec::with_capacity(DATAGRAM_BYTES));
        Self { connection, loss, seq: 0, previous, encoded, pool: BytesMut::with_capacity(POOL_BYTES) }
    }
}

impl AudioSink for DatagramSound {
    fn send(&mut self, packet: &[u8], captured_ns: u64, silent: bool) -> Result<(), LinkError> {
        let opus = if silent { &[] } else { packet };
        let fits = self.connection.max_datagram_size().unwrap_or(0);
        let redundant = self.loss.as_ref().is_some_and(|loss| loss.next());
        write_block(&mut self.encoded, self.seq, captured_ns, opus, redundant.then_some(&self.previous), fits);
        self.seq = self.seq.wrapping_add(1);
        self.previous.clear();
        self.previous.extend_from_slice(opus);
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
/// Tag, number, stamp, length.
const RED_HEADER: usize = 15;
/// One lost packet in a thousand is heard.
const REDUNDANT_FROM_PPM: u32 = 1_000;
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
            let terms = SoundTerms::new(&hello(channels, AudioLayout::Legacy), kbps);
            assert_eq!(terms.bitrate_bps, bitrate, "{channels:?} at {kbps} kbit/s");
            assert!(terms.wire_bps() > bitrate.into());
        }
    }

    #[test]
    fn the_promise_repeats_the_wish_and_redundancy_only_where_the_client_knows_it() {
        let mut wish = hello(AudioChannels::Surround51, AudioLayout::Standard);
        let mut welcome = Welcome::new(wish.mode, punktfunk_core::Codec::H264, 1, [1; 16], [0; 4]);
        SoundTerms::new(&wish, 20_000).promise(&mut welcome);
        assert_eq!((welcome.audio_channels, welcome.audio_layout), (wish.audio_channels, wish.audio_layout));
        assert!(!welcome.host_caps.contains(HostCaps::AUDIO_RED));
        wish.client_caps = ClientCaps::AUDIO_RED;
        SoundTerms::new(&wish, 20_000).promise(&mut welcome);
        assert!(welcome.host_caps.contains(HostCaps::AUDIO_RED));
        // Stereo has one layout: a canonical Welcome leaves the field out.
        let stereo = SoundTerms::new(&hello(AudioChannels::Stereo, AudioLayout::Uncoupled), 20_000);
        assert_eq!(stereo.layout, AudioLayout::Legacy);
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
    fn redundancy_lasts_for_a_while_after_loss() {
        let meter = LossMeter::default();
        assert!(!meter.next());
        meter.report(REDUNDANT_FROM_PPM - 1);
        assert!(!meter.next());
        meter.report(REDUNDANT_FROM_PPM);
        assert!((0..REDUNDANT_FOR_BLOCKS).all(|_| meter.next()) && !meter.next());
    }
}
