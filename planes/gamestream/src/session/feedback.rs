//! What the engine tells: the session's task, the hub's records, and the client's pads.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use punktfunk_core::Mode;
use punktfunk_core::input::MAX_PADS;
use punktfunk_core::probe::ProbeOutcome;
use punktfunk_engine::link::{ClientEvents, EncoderChange, SentFrame, SoundEnd};
use punktfunk_engine::session::Ending;
use punktfunk_hub::live::Recorder;
use punktfunk_media::PadFeedback;

use super::live::{Ask, Live};
use crate::control::ControlHandle;
use crate::lock;
use crate::wire::feedback::{HostMessage, MotionSensor, TriggerEffect};
use crate::wire::video::frame_index;

/// Hears one session.
pub(super) struct Feedback {
    live: Weak<Live>,
    recorder: Arc<Recorder>,
    control: ControlHandle,
    /// Trigger motors of each pad as told last: they travel apart from the other two.
    triggers: Mutex<[(u16, u16); MAX_PADS as usize]>,
}

impl Feedback {
    pub fn new(live: &Arc<Live>, recorder: Arc<Recorder>, control: ControlHandle) -> Self {
        Self { live: Arc::downgrade(live), recorder, control, triggers: Mutex::default() }
    }

    fn say(&self, message: HostMessage) {
        if let Some(live) = self.live.upgrade() {
            self.control.send(live.key, message);
        }
    }

    fn motors(&self, pad: u8, levels: punktfunk_media::RumbleLevels) {
        self.say(HostMessage::Rumble { pad, low: levels.low, high: levels.high });
        let now = (levels.left_trigger, levels.right_trigger);
        let before = lock(&self.triggers).get_mut(usize::from(pad)).map(|known| std::mem::replace(known, now));
        // Few pads have them, and clients log every message about a motor that is not there.
        if before.is_some_and(|before| before != now) {
            self.say(HostMessage::TriggerRumble { pad, left: now.0, right: now.1 });
        }
    }
}

impl ClientEvents for Feedback {
    fn frame_sent(&self, frame: &SentFrame) {
        self.recorder.frame_sent(frame);
        if let Some(live) = self.live.upgrade() {
            live.frame_sent(frame_index(frame.index), frame.packets);
        }
    }

    fn mode_changed(&self, mode: Mode) {
        self.recorder.mode_changed(mode);
    }

    fn pipeline_gap(&self, gap: Duration) {
        tracing::info!(?gap, "the pipeline was rebuilt");
    }

    fn bitrate_changed(&self, kbps: u32) {
        tracing::debug!(kbps, "bitrate changed");
    }

    fn probe_done(&self, _outcome: &ProbeOutcome) {}

    fn encoder_changed(&self, change: &EncoderChange) {
        tracing::warn!(from = change.from, to = change.to, detail = %change.detail, "the encoder failed");
        self.recorder.encoder_changed(change);
    }

    fn sound_ended(&self, end: &SoundEnd) {
        tracing::warn!(code = end.reason.code, detail = %end.detail, "no sound from here on");
    }

    fn pad_feedback(&self, pad: u8, feedback: &PadFeedback) {
        match *feedback {
            PadFeedback::Rumble(levels) => self.motors(pad, levels),
            PadFeedback::Led(rgb) => self.say(HostMessage::Led { pad, rgb }),
            PadFeedback::TriggerEffect { right, effect } => {
                let [mode, parameters @ ..] = effect;
                let effect = Some(TriggerEffect { mode, parameters });
                let (left, right) = if right { (None, effect) } else { (effect, None) };
                self.say(HostMessage::AdaptiveTriggers { pad, left, right });
            }
            PadFeedback::MotionRate(rate_hz) => {
                for sensor in [MotionSensor::Accelerometer, MotionSensor::Gyroscope] {
                    self.say(HostMessage::MotionRate { pad, rate_hz, sensor });
                }
            }
            // This wire has no message for them.
            PadFeedback::PlayerLeds(_) | PadFeedback::MicLed(_) => {}
        }
    }

    fn ended(&self, ending: &Ending) {
        if let Some(live) = self.live.upgrade() {
            live.ask(Ask::Ended(ending.clone()));
        }
    }
}
