//! Every layout of both wires keeps its channels apart and in order; packets have one length where that is promised;
//! nothing that comes from the network hurts.

mod common;

use std::time::Duration;

use common::{share_at, tones};
use proptest::prelude::*;
use punktfunk_audio::{OpusCodec, VoiceEncoder};
use punktfunk_media::{AudioCodec, AudioCodecConfig, AudioDecoder, AudioEncoder, ChannelLayout};

const MS5: Duration = Duration::from_millis(5);
const MS10: Duration = Duration::from_millis(10);
/// Apart by more than the coder blurs, none a multiple of another's neighbour.
const TONES: [f32; 8] = [400.0, 700.0, 1100.0, 100.0, 1700.0, 2300.0, 3100.0, 4300.0];

/// The layouts of GameStream (§9.2), and those of the native protocol that it does not have.
fn layouts() -> Vec<AudioCodecConfig> {
    use ChannelLayout::{Stereo, Surround51, Surround71};
    let mut all = vec![
        AudioCodecConfig::coupled(Stereo, MS5, 96_000),
        AudioCodecConfig::coupled(Stereo, MS10, 96_000),
        AudioCodecConfig::coupled(Stereo, MS5, 512_000),
        AudioCodecConfig::coupled(Surround51, MS5, 256_000),
        AudioCodecConfig::coupled(Surround51, MS10, 256_000),
        AudioCodecConfig::uncoupled(Surround51, MS5, 1_536_000),
        AudioCodecConfig::coupled(Surround71, MS5, 450_000),
        AudioCodecConfig::coupled(Surround71, MS10, 450_000),
        AudioCodecConfig::uncoupled(Surround71, MS5, 2_048_000),
    ];
    all.push(AudioCodecConfig { mapping: [0, 1, 4, 5, 2, 3, 0, 0], ..all[3] });
    all.push(AudioCodecConfig { mapping: [0, 1, 6, 7, 2, 3, 4, 5], ..all[6] });
    all.iter().flat_map(|config| [*config, config.constant()]).collect()
}

fn encoder(config: &AudioCodecConfig) -> Box<dyn AudioEncoder> {
    OpusCodec.encoder(config).unwrap_or_else(|e| panic!("{config:?}: {e}"))
}

fn decoder(config: &AudioCodecConfig) -> Box<dyn AudioDecoder> {
    OpusCodec.decoder(config).unwrap_or_else(|e| panic!("{config:?}: {e}"))
}

#[test]
fn every_channel_comes_out_where_it_went_in() {
    for config in layouts() {
        let channels = config.layout.channels();
        let (mut encoder, mut decoder) = (encoder(&config), decoder(&config));
        let mut block = vec![0.0; config.block_frames() * channels];
        let (mut packet, mut heard) = (Vec::new(), Vec::new());
        for n in 0..100 {
            tones(&mut block, &TONES[..channels], n * config.block_frames());
            encoder.encode(&block, &mut packet).unwrap();
            let written = decoder.decode(Some(&packet), &mut block).unwrap();
            assert_eq!(written, config.block_frames());
            heard.extend_from_slice(&block);
        }
        let settled = &heard[heard.len() / 4..];
        for (channel, hz) in TONES[..channels].iter().enumerate() {
            let share = share_at(settled, channels, channel, *hz);
            assert!(share > 0.8, "channel {channel} has {share} of its energy at {hz} Hz: {config:?}");
        }
    }
}

#[test]
fn constant_packets_are_equally_long_and_exactly_of_the_bitrate() {
    for config in layouts().into_iter().filter(|c| c.constant) {
        let mut encoder = encoder(&config);
        let mut block = vec![0.0; config.block_frames() * config.layout.channels()];
        let mut packet = Vec::new();
        let mut lengths = Vec::new();
        for n in 0..60 {
            // Silence, a tone, noise, silence: what makes variable packets vary.
            match n / 15 {
                1 => tones(&mut block, &TONES[..config.layout.channels()], n * config.block_frames()),
                2 => block
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, s)| *s = ((i * 7919 + n * 104_729) % 1000) as f32 / 1000.0 - 0.5),
                _ => block.fill(0.0),
            }
            encoder.encode(&block, &mut packet).unwrap();
            lengths.push(packet.len());
        }
        let expected = config.bitrate_bps as usize * config.block.as_millis() as usize / 8000;
        assert!(lengths.iter().all(|l| l.abs_diff(expected) <= 2 && *l == lengths[0]), "{config:?}: {lengths:?}");
    }
}

#[test]
fn impossible_configurations_are_refused_with_their_reason() {
    let good = AudioCodecConfig::coupled(ChannelLayout::Stereo, MS5, 96_000);
    let wrong = [
        AudioCodecConfig { streams: 0, ..good },
        AudioCodecConfig { coupled: 2, ..good },
        AudioCodecConfig { mapping: [0, 2, 0, 0, 0, 0, 0, 0], ..good },
        AudioCodecConfig { mapping: [255; 8], ..good },
        AudioCodecConfig { block: Duration::from_millis(7), ..good },
        AudioCodecConfig { block: Duration::ZERO, ..good },
        AudioCodecConfig { bitrate_bps: 0, ..good },
        AudioCodecConfig { bitrate_bps: u32::MAX, ..good },
    ];
    for config in wrong {
        let refused = [OpusCodec.encoder(&config).err(), OpusCodec.decoder(&config).err()];
        for error in refused {
            let error = error.unwrap_or_else(|| panic!("{config:?} was taken"));
            assert!(error.fatal && error.reason.code == "audio.codec");
        }
    }
    let mut packet = Vec::new();
    assert!(encoder(&good).encode(&[0.0; 479], &mut packet).is_err_and(|e| e.fatal));
    assert!(packet.is_empty());
}

#[test]
fn a_lost_voice_packet_is_recovered_from_the_next_one() {
    let mut encoder = VoiceEncoder::new(MS10, 48_000, 10).unwrap();
    let frames = encoder.block_frames();
    let (mut block, mut packets) = (vec![0.0; frames], Vec::new());
    for n in 0..300 {
        // Somebody speaks for 100 ms, pauses for 200 ms.
        tones(&mut block, &[if n % 30 < 10 { 300.0 } else { 0.0 }], n * frames);
        let mut packet = Vec::new();
        encoder.encode(&block, &mut packet).unwrap();
        packets.push(packet);
    }
    // The second block of every word is lost: concealment can only guess from its very beginning.
    let energy_of_lost = |recover: bool| {
        let mut decoder = OpusCodec.voice_decoder().unwrap();
        let (mut out, mut energy) = (vec![0.0; frames], 0.0);
        for n in 0..packets.len() - 1 {
            let lost = n % 30 == 1 && n > 60;
            match (lost, recover) {
                (false, _) => decoder.decode(Some(&packets[n]), &mut out).unwrap(),
                (true, true) => decoder.recover(&packets[n + 1], &mut out).unwrap(),
                (true, false) => decoder.decode(None, &mut out).unwrap(),
            };
            if lost {
                energy += share_at(&out, 1, 0, 300.0) * out.iter().map(|s| s * s).sum::<f32>();
            }
        }
        energy
    };
    let (recovered, concealed) = (energy_of_lost(true), energy_of_lost(false));
    assert!(recovered > 2.0 * concealed, "recovered {recovered}, concealed {concealed}");
}

#[test]
fn a_voice_may_have_any_length_and_two_channels() {
    let mut decoder = OpusCodec.voice_decoder().unwrap();
    for ms in [5u64, 10, 20] {
        let mut encoder = VoiceEncoder::new(Duration::from_millis(ms), 48_000, 10).unwrap();
        let (mut packet, mut out) = (Vec::new(), vec![0.0; 5760]);
        encoder.encode(&vec![0.1; encoder.block_frames()], &mut packet).unwrap();
        assert_eq!(decoder.decode(Some(&packet), &mut out).unwrap(), ms as usize * 48);
    }
    let stereo = AudioCodecConfig::coupled(ChannelLayout::Stereo, MS10, 64_000);
    let (mut packet, mut out) = (Vec::new(), vec![0.0; 5760]);
    encoder(&stereo).encode(&[0.1; 960], &mut packet).unwrap();
    assert_eq!(decoder.decode(Some(&packet), &mut out).unwrap(), 480);
    assert!(decoder.decode(Some(&packet), &mut out[..100]).is_err_and(|e| !e.fatal), "longer than the block");
    assert!(decoder.decode(Some(&[]), &mut out).is_err_and(|e| !e.fatal));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn garbage_is_refused_or_played_but_never_hurts(
        packets in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..1500), any::<bool>()), 1..8),
        which in 0usize..22,
    ) {
        let config = layouts()[which];
        let mut decoders = [decoder(&config), OpusCodec.voice_decoder().unwrap()];
        let mut block = vec![0.0; 5760 * 8];
        for (packet, recover) in &packets {
            for decoder in &mut decoders {
                let read = if *recover {
                    // As long as the lost packet was.
                    decoder.recover(packet, &mut block[..480 * config.layout.channels()])
                } else {
                    decoder.decode(Some(packet), &mut block)
                };
                if let Ok(frames) = read {
                    prop_assert!(frames <= 5760);
                }
            }
        }
    }
}
