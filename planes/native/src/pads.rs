//! What programs want of the client's pads, as datagrams 0xCA and 0xCD.

use std::sync::Arc;

use punktfunk_core::datagram::{HidOutput, HidReport, HostDatagram, Rumble, RumbleTiming};
use punktfunk_core::handshake::GamepadKind;
use punktfunk_core::input::MAX_PADS;
use punktfunk_engine::pads::{PadPolicy, PadsSetup, RUMBLE_TTL};
use punktfunk_media::{PadFactory, PadFeedback};

/// The gamepads of this host.
#[derive(Clone)]
pub struct NativePads {
    /// Makes them.
    pub factory: Arc<dyn PadFactory>,
    /// Which kind a client's pad becomes.
    pub policy: PadPolicy,
}

impl NativePads {
    /// The kind that a pad becomes whose arrival says nothing, for `Welcome`; `None` while no pad can be made.
    pub(crate) fn default_kind(&self, asked: GamepadKind) -> Option<GamepadKind> {
        Some(self.policy.choose(GamepadKind::Auto, asked, self.factory.kinds())?.on_wire())
    }

    pub(crate) fn setup(&self, asked: GamepadKind) -> PadsSetup {
        PadsSetup { factory: Arc::clone(&self.factory), policy: self.policy, default_kind: asked }
    }
}

/// Numbers the rumble of each pad.
#[derive(Debug, Default)]
pub(crate) struct PadVoice {
    seqs: [u8; MAX_PADS as usize],
}

impl PadVoice {
    /// The datagram that says it; `None` if this wire has none for it.
    pub fn say(&mut self, pad: u8, feedback: &PadFeedback) -> Option<HostDatagram<'static>> {
        let output = match *feedback {
            PadFeedback::Rumble(levels) => {
                let seq = self.seqs.get_mut(usize::from(pad))?;
                *seq = seq.wrapping_add(1);
                let timing = RumbleTiming {
                    seq: *seq,
                    ttl_ms: RUMBLE_TTL.as_millis() as u16, // a constant of three digits
                    left_trigger: levels.left_trigger,
                    right_trigger: levels.right_trigger,
                };
                return Some(HostDatagram::Rumble(Rumble {
                    pad,
                    low: levels.low,
                    high: levels.high,
                    timing: Some(timing),
                }));
            }
            PadFeedback::Led(rgb) => HidOutput::Led { pad, rgb },
            PadFeedback::PlayerLeds(bits) => HidOutput::PlayerLeds { pad, bits },
            PadFeedback::TriggerEffect { right, effect } => {
                HidOutput::TriggerEffect { pad, right, effect: HidReport::new(&effect)? }
            }
            PadFeedback::MicLed(mode) => HidOutput::MicLed { pad, mode },
            // Clients report motion at their pads' own pace.
            PadFeedback::MotionRate(_) => return None,
        };
        Some(HostDatagram::HidOutput(output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use punktfunk_media::RumbleLevels;

    fn bytes(voice: &mut PadVoice, pad: u8, feedback: &PadFeedback) -> Vec<u8> {
        let mut bytes = Vec::new();
        voice.say(pad, feedback).expect("a datagram").encode(&mut bytes);
        bytes
    }

    #[test]
    fn every_rumble_has_its_own_number_per_pad() {
        let mut voice = PadVoice::default();
        let mut levels = RumbleLevels { low: 0x0201, high: 0x0403, ..RumbleLevels::default() };
        let rumble = PadFeedback::Rumble(levels);
        assert_eq!(bytes(&mut voice, 3, &rumble), [0xca, 3, 0, 1, 2, 3, 4, 1, 0x90, 1]);
        assert_eq!(bytes(&mut voice, 3, &rumble)[7], 2);
        assert_eq!(bytes(&mut voice, 4, &rumble)[7], 1);
        levels.right_trigger = 9;
        assert_eq!(bytes(&mut voice, 4, &PadFeedback::Rumble(levels))[7..], [2, 0x90, 1, 0, 0, 9, 0]);
        for _ in 0..300 {
            voice.say(3, &rumble);
        }
    }

    #[test]
    fn lights_and_triggers_have_theirs() {
        let mut voice = PadVoice::default();
        assert_eq!(bytes(&mut voice, 1, &PadFeedback::Led([7, 8, 9])), [0xcd, 1, 1, 7, 8, 9]);
        assert_eq!(bytes(&mut voice, 1, &PadFeedback::PlayerLeds(4)), [0xcd, 2, 1, 4]);
        assert_eq!(bytes(&mut voice, 1, &PadFeedback::MicLed(2)), [0xcd, 7, 1, 2]);
        let effect = PadFeedback::TriggerEffect { right: true, effect: [0x21, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] };
        assert_eq!(bytes(&mut voice, 2, &effect), [0xcd, 3, 2, 1, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(voice.say(1, &PadFeedback::MotionRate(250)), None);
    }
}
