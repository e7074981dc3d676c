//! Tones, and how to hear them.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::f32::consts::TAU;

use punktfunk_media::SAMPLE_RATE;

/// Writes interleaved sines, one frequency per channel, from sample `start` on.
pub fn tones(block: &mut [f32], frequencies: &[f32], start: usize) {
    for (i, frame) in block.chunks_mut(frequencies.len()).enumerate() {
        for (sample, hz) in frame.iter_mut().zip(frequencies) {
            let turns = hz * (start + i) as f32 / SAMPLE_RATE as f32;
            *sample = 0.5 * (TAU * turns.fract()).sin();
        }
    }
}

/// The share of a channel's energy that lies at `hz` (Goertzel), 0 to about 1.
pub fn share_at(samples: &[f32], channels: usize, channel: usize, hz: f32) -> f32 {
    let step = TAU * hz / SAMPLE_RATE as f32;
    let (mut re, mut im, mut energy, mut n) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
    for (i, frame) in samples.chunks_exact(channels).enumerate() {
        let (sample, angle) = (f64::from(frame[channel]), f64::from(step) * i as f64);
        re += sample * angle.cos();
        im += sample * angle.sin();
        energy += sample * sample;
        n += 1.0;
    }
    if energy == 0.0 { 0.0 } else { (2.0 * (re * re + im * im) / (n * energy)) as f32 }
}
