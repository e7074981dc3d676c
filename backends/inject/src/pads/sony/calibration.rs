//! Calibration of the motion sensors.
//!
//! A pad tells at which raw values a known turn and a known weight were measured; whoever reads it scales by that. So the
//! wire's units pass through unchanged: 20 steps per degree per second, 10 000 per g, no bias.

use punktfunk_media::PadMotion;

/// The 34 bytes behind the report's id, the same in every pad on USB: biases, gyroscope at plus and minus
/// [`SPEED_DEG_S`], that speed twice, accelerometer at plus and minus 1 g.
pub(super) fn calibration() -> [u8; 34] {
    let turn = SPEED_DEG_S * PadMotion::GYRO_PER_DEG_S;
    let g = PadMotion::ACCEL_PER_G;
    let numbers = [0, 0, 0, turn, -turn, turn, -turn, turn, -turn, SPEED_DEG_S, SPEED_DEG_S, g, -g, g, -g, g, -g];
    let mut bytes = [0; 34];
    for (place, number) in bytes.chunks_exact_mut(2).zip(numbers) {
        place.copy_from_slice(&i16::to_le_bytes(number));
    }
    bytes
}

/// What real pads were turned at in the factory.
const SPEED_DEG_S: i16 = 540;

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel computes it: 1024 steps per degree per second, 8192 per g.
    #[test]
    fn a_reader_gets_the_wires_units() {
        let bytes = calibration();
        let at = |i: usize| i32::from(i16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]));
        let gyro = |raw: i32| raw * ((at(9) + at(10)) * 1024) / ((at(3) - at(0)).abs() + (at(4) - at(0)).abs());
        assert_eq!(gyro(20 * 90), 90 * 1024);
        let range = at(11) - at(12);
        assert_eq!(at(11) - range / 2, 0, "no bias");
        assert_eq!(10_000 * 2 * 8192 / range, 8192);
    }
}
