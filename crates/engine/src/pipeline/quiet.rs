//! Spares the coder silence: once its packets are all the same, the last one stands for those that follow.
//!
//! A coder that made the same packet of several silent blocks in a row is in the state in which silence leaves it, and the
//! client's decoder with it. So what comes after is coded as if the silence between had been coded as well.

use punktfunk_media::{AudioEncoder, AudioError};

/// The way of blocks through a coder.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    before: Vec<u8>,
    /// Silent blocks in a row whose packets were the same.
    same: u32,
}

impl Quiet {
    /// Replaces `packet` by the coded block. `quiet`: there is nothing in it to be heard, nor was in the last few.
    pub fn encode(
        &mut self,
        encoder: &mut dyn AudioEncoder,
        block: &mut [f32],
        quiet: bool,
        packet: &mut Vec<u8>,
    ) -> Result<(), AudioError> {
        if !quiet {
            self.same = 0;
            return encoder.encode(block, packet);
        }
        if self.same >= SETTLED {
            return Ok(());
        }
        // What nobody hears must not keep the packets apart.
        block.fill(0.0);
        std::mem::swap(&mut self.before, packet);
        encoder.encode(block, packet)?;
        self.same = if *packet == self.before { self.same + 1 } else { 0 };
        Ok(())
    }
}

/// A tenth of a second in blocks of 5 ms: longer than a coder looks back.
const SETTLED: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Its packets differ for a while after sound.
    #[derive(Default)]
    struct Coder {
        coded: usize,
        memory: u8,
    }

    impl AudioEncoder for Coder {
        fn encode(&mut self, block: &[f32], packet: &mut Vec<u8>) -> Result<(), AudioError> {
            self.coded += 1;
            self.memory = if block.iter().any(|s| *s != 0.0) { 10 } else { self.memory.saturating_sub(1) };
            packet.clear();
            packet.push(self.memory);
            Ok(())
        }
    }

    #[test]
    fn settled_silence_is_not_coded_again_and_sound_always_is() {
        let (mut quiet, mut coder, mut packet) = (Quiet::default(), Coder::default(), Vec::new());
        for round in 1..=3 {
            quiet.encode(&mut coder, &mut [0.5; 4], false, &mut packet).unwrap();
            assert_eq!(packet, [10]);
            for _ in 0..1000 {
                quiet.encode(&mut coder, &mut [1e-7; 4], true, &mut packet).unwrap();
            }
            assert_eq!(packet, [0], "the packet of silence stands");
            assert_eq!(coder.coded, round * (1 + 10 + SETTLED as usize));
        }
    }
}
