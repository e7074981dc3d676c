//! Gamepads: hot plug, counters, fingers on touchpads, and motion.

use punktfunk_core::datagram::RichInput;
use punktfunk_core::handshake::GamepadKind;
use punktfunk_core::input::{GamepadState, InputEvent, MAX_PADS};

use super::{Decoded, u16_of};
use crate::wire::input::{
    CAP_ACCELEROMETER, CAP_GYROSCOPE, CAP_SECOND_TOUCHPAD, CAP_TRIGGER_RUMBLE, Contact, Motion, PadArrival, PadFamily,
    PadState, PadTouch,
};

/// All pads of a client.
#[derive(Debug, Default)]
pub(super) struct Pads([Pad; MAX_PADS as usize]);

#[derive(Debug, Default)]
struct Pad {
    plugged: bool,
    /// Of the last snapshot or removal; goes on over replugging.
    seq: u8,
    two_touchpads: bool,
    /// Who touches, by surface and finger.
    fingers: [[Option<u32>; 2]; 2],
    gyro: [i16; 3],
    accel: [i16; 3],
}

impl Pads {
    /// A second arrival of a pad that is there says nothing new.
    pub fn arrival(&mut self, arrival: &PadArrival, out: &mut dyn FnMut(Decoded)) {
        let Some(pad) = self.0.get_mut(usize::from(arrival.pad)).filter(|pad| !pad.plugged) else { return };
        pad.plug(arrival.capabilities & CAP_SECOND_TOUCHPAD != 0);
        out(Decoded::PadArrival(*arrival));
        out(Decoded::Event(arrived(arrival.pad, kind(arrival))));
    }

    /// A pad whose bit is set and that nobody announced arrives now; one whose bit is clear goes.
    pub fn state(&mut self, state: &PadState, out: &mut impl FnMut(InputEvent)) {
        let Some(pad) = self.0.get_mut(usize::from(state.pad)) else { return };
        if !state.is_present() {
            if std::mem::take(&mut pad.plugged) {
                out(InputEvent::GamepadRemove { pad: state.pad, seq: pad.next_seq() });
            }
            return;
        }
        if !pad.plugged {
            pad.plug(false);
            out(arrived(state.pad, GamepadKind::Auto));
        }
        let ([left_trigger, right_trigger], [left_x, left_y, right_x, right_y]) = (state.triggers, state.sticks);
        out(InputEvent::GamepadState(GamepadState {
            pad: state.pad,
            seq: pad.next_seq(),
            buttons: state.buttons,
            left_x,
            left_y,
            right_x,
            right_y,
            left_trigger,
            right_trigger,
        }));
    }

    pub fn touch(&mut self, touch: &PadTouch, out: &mut dyn FnMut(Decoded)) {
        let Some(pad) = self.plugged(touch.pad) else { return };
        let two = pad.two_touchpads;
        let Some(fingers) = pad.fingers.get_mut(usize::from(touch.surface)) else { return };
        let mut tell = |finger: usize, active: bool| out(Decoded::Rich(finger_at(touch, two, finger, active)));
        let known = fingers.iter().position(|f| *f == Some(touch.pointer));
        match touch.contact {
            Contact::Down | Contact::Move => {
                // A third finger has no place on these pads.
                let Some(finger) = known.or_else(|| fingers.iter().position(Option::is_none)) else { return };
                fingers[finger] = Some(touch.pointer);
                tell(finger, true);
            }
            Contact::Up | Contact::Cancel => {
                if let Some(finger) = known {
                    fingers[finger] = None;
                    tell(finger, false);
                }
            }
            Contact::CancelAll => {
                for (finger, held) in fingers.iter_mut().enumerate() {
                    if held.take().is_some() {
                        tell(finger, false);
                    }
                }
            }
            Contact::Hover | Contact::HoverLeave | Contact::ButtonOnly => {}
        }
    }

    /// The two sensors report apart; a pad has both, so each report repeats the other's last one.
    pub fn motion(&mut self, motion: &Motion, out: &mut dyn FnMut(Decoded)) {
        let Some(pad) = self.plugged(motion.pad) else { return };
        if motion.gyroscope {
            pad.gyro = motion.axes.map(|degrees_per_s| (degrees_per_s * GYRO_UNITS).round() as i16);
        } else {
            pad.accel = motion.axes.map(|m_per_s2| (m_per_s2 / GRAVITY * ACCEL_UNITS).round() as i16);
        }
        out(Decoded::Rich(RichInput::Motion { pad: motion.pad, gyro: pad.gyro, accel: pad.accel }));
    }

    fn plugged(&mut self, pad: u8) -> Option<&mut Pad> {
        self.0.get_mut(usize::from(pad)).filter(|pad| pad.plugged)
    }
}

impl Pad {
    fn plug(&mut self, two_touchpads: bool) {
        *self = Self { plugged: true, seq: self.seq, two_touchpads, ..Self::default() };
    }

    fn next_seq(&mut self) -> u8 {
        self.seq = self.seq.wrapping_add(1);
        self.seq
    }
}

const fn arrived(pad: u8, kind: GamepadKind) -> InputEvent {
    InputEvent::GamepadArrival { pad, kind, haptics_audio: false, speaker_audio: false }
}

/// The model that can do what the client's pad can.
fn kind(arrival: &PadArrival) -> GamepadKind {
    let can = |capability| arrival.capabilities & capability != 0;
    match arrival.family {
        PadFamily::Xbox if can(CAP_TRIGGER_RUMBLE) => GamepadKind::XboxOne,
        PadFamily::Xbox => GamepadKind::Xbox360,
        PadFamily::PlayStation => GamepadKind::DualSense,
        PadFamily::Nintendo => GamepadKind::SwitchPro,
        PadFamily::Steam if can(CAP_GYROSCOPE | CAP_ACCELEROMETER) => GamepadKind::SteamDeck,
        PadFamily::Steam => GamepadKind::SteamController,
        PadFamily::Unknown => GamepadKind::Auto,
    }
}

fn finger_at(touch: &PadTouch, two: bool, finger: usize, active: bool) -> RichInput {
    let (pad, finger, x, y) = (touch.pad, finger as u8, u16_of(touch.x), u16_of(touch.y));
    if !two {
        return RichInput::Touchpad { pad, finger, active, x, y };
    }
    let centred = |v: u16| (i32::from(v) - 32_768) as i16; // 0..=65535 → the whole i16
    RichInput::TouchpadExt {
        pad,
        surface: 1 + touch.surface,
        finger,
        touch: active,
        click: false,
        x: centred(x),
        y: centred(y),
        pressure: u16_of(touch.pressure),
    }
}

/// Units of `RichInput::Motion`.
const GYRO_UNITS: f32 = 20.0;
const ACCEL_UNITS: f32 = 10_000.0;
/// Standard gravity in m/s² (CGPM 1901).
const GRAVITY: f32 = 9.806_65;
