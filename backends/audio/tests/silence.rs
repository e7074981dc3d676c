//! Silence settles: its packets become all the same, and a client that gets one of them again and again hears what it would
//! have heard. (The engine relies on it, and codes settled silence no more.)

mod common;

use std::time::Duration;

use common::{share_at, tones};
use punktfunk_audio::OpusCodec;
use punktfunk_media::{AudioCodec, AudioCodecConfig, ChannelLayout};

const TONES: [f32; 8] = [400.0, 700.0, 1100.0, 100.0, 1700.0, 2300.0, 3100.0, 4300.0];
/// What the engine waits for.
const SETTLED: usize = 20;

fn configs() -> Vec<AudioCodecConfig> {
    use ChannelLayout::{Stereo, Surround51, Surround71};
    let (ms5, ms10) = (Duration::from_millis(5), Duration::from_millis(10));
    let all = [
        AudioCodecConfig::coupled(Stereo, ms5, 96_000),
        AudioCodecConfig::coupled(Stereo, ms5, 512_000),
        AudioCodecConfig::coupled(Stereo, ms10, 96_000),
        AudioCodecConfig::coupled(Surround51, ms5, 256_000),
        AudioCodecConfig::uncoupled(Surround71, ms5, 2_048_000),
    ];
    all.iter().flat_map(|config| [*config, config.constant()]).collect()
}

#[test]
fn settled_silence_need_not_be_coded() {
    for config in configs() {
        let channels = config.layout.channels();
        let samples = config.block_frames() * channels;
        let open = || OpusCodec.encoder(&config).unwrap();
        // One codes everything, the other leaves settled silence out.
        let (mut always, mut sparing) = (open(), open());
        let hear = || OpusCodec.decoder(&config).unwrap();
        let (mut hears_always, mut hears_sparing) = (hear(), hear());
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let (mut heard_a, mut heard_b) = (vec![0.0; samples], vec![0.0; samples]);
        let (mut same, mut spared, mut after, mut reference) = (0, 0, Vec::new(), Vec::new());
        for block in 0..1600 {
            let sounds = !(200..1400).contains(&block);
            let mut pcm = vec![0.0; samples];
            if sounds {
                tones(&mut pcm, &TONES[..channels], block * config.block_frames());
            }
            always.encode(&pcm, &mut a).unwrap();
            if sounds || same < SETTLED {
                let before = b.clone();
                sparing.encode(&pcm, &mut b).unwrap();
                same = if !sounds && before == b { same + 1 } else { 0 };
            } else {
                spared += 1;
            }
            hears_always.decode(Some(&a), &mut heard_a).unwrap();
            hears_sparing.decode(Some(&b), &mut heard_b).unwrap();
            let apart = heard_a.iter().zip(&heard_b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            // Once sound comes back a variable bitrate has other bits to spend: then the tones below judge.
            assert!(block >= 1400 || apart < 1e-4, "{config:?}: {apart} apart in block {block}");
            if (400..1400).contains(&block) {
                assert!(heard_b.iter().all(|s| s.abs() < 1e-4), "{config:?}: silence is heard in block {block}");
            }
            if block >= 1420 {
                after.extend_from_slice(&heard_b);
                reference.extend_from_slice(&heard_a);
            }
        }
        assert!(spared > 1000, "{config:?}: only {spared} of 1200 blocks settled");
        for (channel, hz) in TONES.iter().enumerate().take(channels) {
            let share = |heard: &[f32]| share_at(heard, channels, channel, *hz);
            let (spared, coded) = (share(&after), share(&reference));
            assert!(
                spared > coded - 0.03,
                "{config:?}: channel {channel} has {spared} at its tone, {coded} the other way"
            );
        }
    }
}
