//! What an Opus packet says about itself in its first bytes (RFC 6716 §3.1, §3.2).

/// Samples at 48 kHz in a packet, 120 to 5760; `None` where the packet cannot be one: it is empty, has no frame, or lasts
/// longer than 120 ms.
#[must_use]
pub fn opus_samples(packet: &[u8]) -> Option<u32> {
    let toc = packet.first()?;
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    let samples = frame_samples(toc >> 3) * frames;
    (1..=LONGEST).contains(&samples).then_some(samples)
}

/// Samples of one frame of a configuration (RFC 6716, table 2).
const fn frame_samples(config: u8) -> u32 {
    match (config, config & 3) {
        // SILK: 10, 20, 40, 60 ms.
        (0..=11, 0) => 480,
        (0..=11, 1) => 960,
        (0..=11, 2) => 1920,
        (0..=11, _) => 2880,
        // Hybrid: 10, 20 ms.
        (12..=15, 0 | 2) => 480,
        (12..=15, _) => 960,
        // CELT: 2.5, 5, 10, 20 ms.
        (_, shift) => 120 << shift,
    }
}

/// 120 ms.
const LONGEST: u32 = 5760;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_follow_the_table_of_the_rfc() {
        for (config, samples) in [(0, 480), (3, 2880), (9, 960), (12, 480), (15, 960), (16, 120), (31, 960), (26, 480)]
        {
            assert_eq!(opus_samples(&[config << 3]), Some(samples), "configuration {config}");
            assert_eq!(opus_samples(&[config << 3 | 1]), Some(2 * samples).filter(|s| *s <= LONGEST));
        }
        assert_eq!(opus_samples(&[0x83, 48]), Some(5760));
        assert_eq!(opus_samples(&[0x83, 49]), None);
        assert_eq!(opus_samples(&[0x83, 0]), None);
        assert_eq!(opus_samples(&[0x83]), None);
        assert_eq!(opus_samples(&[3 << 3 | 3, 3]), None, "180 ms");
        assert_eq!(opus_samples(&[]), None);
    }
}
