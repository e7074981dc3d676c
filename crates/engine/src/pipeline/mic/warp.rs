//! Plays a little faster or slower, without a step: how the clocks of a client and of a sound server are kept together, and
//! how a delay that is longer than it need be is worn down.

/// Interpolates between samples (Catmull–Rom), so that a second may last a little more or less.
#[derive(Clone, Debug, Default)]
pub(super) struct Warp {
    /// The last samples of the block before.
    before: [f32; BEFORE],
    /// Where the next sample out lies, from the second sample of `before` on.
    at: f64,
}

impl Warp {
    /// Appends `block` to `out`, played `speed` times as fast.
    pub fn play(&mut self, block: &[f32], speed: f64, out: &mut Vec<f32>) {
        let sample = |i: usize| if i < BEFORE { self.before[i] } else { block[i - BEFORE] };
        let count = BEFORE + block.len();
        let mut at = self.at;
        loop {
            let whole = at as usize;
            if whole + 3 >= count {
                break;
            }
            let (a, b, c, d) = (sample(whole), sample(whole + 1), sample(whole + 2), sample(whole + 3));
            out.push(between(a, b, c, d, (at - whole as f64) as f32));
            at += speed;
        }
        self.at = at - block.len() as f64;
        let mut before = [0.0; BEFORE];
        for (i, to) in before.iter_mut().enumerate() {
            *to = sample(count - BEFORE + i);
        }
        self.before = before;
    }
}

/// How fast to play where packets are held back so many ns longer than they need be.
pub(super) fn speed_for(excess_ns: i64) -> f64 {
    let seconds = excess_ns as f64 / 1e9;
    if seconds.abs() < DEAD_ZONE { 1.0 } else { 1.0 + (seconds * GAIN).clamp(-MOST_SLOWER, MOST_FASTER) }
}

/// Between `b` and `c`, `t` of the way.
fn between(a: f32, b: f32, c: f32, d: f32, t: f32) -> f32 {
    let linear = c - a;
    let square = 2.0 * a - 5.0 * b + 4.0 * c - d;
    let cube = 3.0 * (b - c) + d - a;
    b + 0.5 * t * (linear + t * (square + t * cube))
}

/// What an interpolation looks back on.
const BEFORE: usize = 3;
/// 2 ms too many or too few are nobody's concern.
const DEAD_ZONE: f64 = 0.002;
/// A surplus is worn down with a time constant of four seconds.
const GAIN: f64 = 0.25;
/// A sixth of a semitone: not heard in speech.
const MOST_SLOWER: f64 = 0.01;
/// A third of one, where the delay is far too long.
const MOST_FASTER: f64 = 0.02;

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(n: usize) -> f32 {
        (n as f32 * 0.05).sin()
    }

    #[test]
    fn at_the_same_speed_samples_are_the_same() {
        let (mut warp, mut out) = (Warp::default(), Vec::new());
        let all: Vec<f32> = (0..1000).map(tone).collect();
        all.chunks(77).for_each(|block| warp.play(block, 1.0, &mut out));
        assert_eq!(out.len(), 1000);
        assert_eq!(out[2..], all[..998]);
    }

    #[test]
    fn a_changing_speed_changes_the_length_and_leaves_no_step() {
        for (speed, length) in [(1.02, 94_118), (0.99, 96_970)] {
            let (mut warp, mut out) = (Warp::default(), Vec::new());
            let all: Vec<f32> = (0..96_000).map(tone).collect();
            for (n, block) in all.chunks(480).enumerate() {
                warp.play(block, if n % 3 == 0 { speed } else { 1.0 + (speed - 1.0) }, &mut out);
            }
            assert!(out.len().abs_diff(length) <= 2, "{} at {speed}", out.len());
            // A sine of this pitch bends by 0.0025 per sample; a click would be a bend of another kind.
            let bend = |w: &[f32]| (w[2] - 2.0 * w[1] + w[0]).abs();
            let worst = out[4..].windows(3).map(bend).fold(0.0, f32::max);
            assert!(worst < 0.004, "{worst}");
        }
    }

    #[test]
    fn the_speed_follows_the_excess_within_bounds() {
        assert_eq!(speed_for(1_000_000), 1.0);
        assert_eq!(speed_for(40_000_000), 1.01);
        assert_eq!(speed_for(i64::MAX), 1.02);
        assert_eq!(speed_for(-20_000_000), 0.995);
        assert_eq!(speed_for(i64::MIN), 0.99);
    }
}
