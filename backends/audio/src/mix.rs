//! From one set of speakers to another, for listeners who have others than the sink.

use punktfunk_media::ChannelLayout;

/// How loud each channel of the source is in each of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    from: usize,
    /// One row per channel of the target.
    rows: Vec<[f32; 8]>,
}

impl Mix {
    /// `None`: they have the same speakers.
    pub fn new(from: ChannelLayout, to: ChannelLayout) -> Option<Self> {
        use ChannelLayout::{Stereo, Surround51, Surround71};
        let mut rows = vec![[0.0; 8]; to.channels()];
        // Those that both have.
        for (channel, row) in rows.iter_mut().enumerate().take(from.channels()) {
            row[channel] = 1.0;
        }
        match (from, to) {
            (Stereo, Stereo) | (Surround51, Surround51) | (Surround71, Surround71) => return None,
            (Surround51 | Surround71, Stereo) => {
                for (side, row) in rows.iter_mut().enumerate() {
                    row[FC] = HALF;
                    row[BL + side] = HALF;
                    row[SL + side] = if from == Surround71 { HALF } else { 0.0 };
                    // Never louder than full scale.
                    let all: f32 = row.iter().sum();
                    row.iter_mut().for_each(|level| *level /= all);
                }
            }
            (Surround71, Surround51) => {
                for side in 0..2 {
                    let row = &mut rows[BL + side];
                    (row[BL + side], row[SL + side]) = (HALF, HALF);
                }
            }
            // Nobody makes speakers up.
            (Stereo, _) | (Surround51, Surround71) => {}
        }
        Some(Self { from: from.channels(), rows })
    }

    /// The samples of `frames`, which are interleaved in the source's order, in ours.
    pub fn samples<'a>(&'a self, frames: &'a [[u8; 4]]) -> impl Iterator<Item = f32> + 'a {
        frames.chunks_exact(self.from).flat_map(move |frame| {
            self.rows.iter().map(move |row| {
                frame.iter().zip(row).map(|(sample, level)| f32::from_le_bytes(*sample) * level).sum::<f32>()
            })
        })
    }
}

/// The centre, and the left ones of the pairs that a layout may lack.
const FC: usize = 2;
const BL: usize = 4;
const SL: usize = 6;
/// Half the power.
const HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;

#[cfg(test)]
mod tests {
    use super::*;
    use ChannelLayout::{Stereo, Surround51, Surround71};

    fn mixed(from: ChannelLayout, to: ChannelLayout, frame: &[f32]) -> Vec<f32> {
        let bytes: Vec<[u8; 4]> = frame.iter().map(|s| s.to_le_bytes()).collect();
        Mix::new(from, to).expect("they differ").samples(&bytes).collect()
    }

    #[test]
    fn every_channel_is_heard_on_its_side_and_nothing_exceeds_full_scale() {
        for from in [Surround51, Surround71] {
            let n = from.channels();
            for channel in (0..n).filter(|c| *c != 3) {
                let mut frame = vec![0.0; n];
                frame[channel] = 1.0;
                let [left, right] = mixed(from, Stereo, &frame)[..] else { panic!("stereo") };
                let (on_left, on_right) = (channel == FC || channel % 2 == 0, channel == FC || channel % 2 == 1);
                assert_eq!((left > 0.1, right > 0.1), (on_left, on_right), "{from:?} {channel}");
            }
            let loud = mixed(from, Stereo, &vec![1.0; n]);
            assert!(loud.iter().all(|s| *s <= 1.0001), "{loud:?}");
        }
        assert_eq!(mixed(Stereo, Surround71, &[0.25, 0.5]), [0.25, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let six = mixed(Surround71, Surround51, &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        assert!(six[BL] > 0.7 && six[BL + 1] == 0.0);
        assert_eq!(Mix::new(Surround51, Surround51), None);
    }
}
