//! One gamepad as the client tells it: sequence rules, older events and rich input merged into one report.

use std::time::{Duration, Instant};

use punktfunk_core::datagram::RichInput;
use punktfunk_core::handshake::GamepadKind;
use punktfunk_core::input::{GamepadAxis, GamepadButtons, InputEvent, seq_is_newer};
use punktfunk_media::{PadBattery, PadMotion, PadReport, PadTouch};

/// Something about one pad.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum PadInput {
    /// A gamepad event (any other event is nothing to a pad).
    Event(InputEvent),
    /// Its motion sensors.
    Motion(u8, PadMotion),
    /// A finger on one of its touchpads.
    Touch(PadFinger),
    /// Its battery.
    Battery(u8, PadBattery),
}

/// A finger, and the touchpad under it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PadFinger {
    pub pad: u8,
    pub surface: u8,
    pub finger: u8,
    /// Where it is; `None` = lifted.
    pub touch: Option<PadTouch>,
    /// The touchpad is pressed down; `None` = the pad's buttons say so.
    pub click: Option<bool>,
}

impl PadInput {
    /// What rich input says of a pad; `None` for a pen, and for raw reports, which no pad here takes.
    pub fn from_rich(rich: &RichInput) -> Option<Self> {
        Some(match *rich {
            RichInput::Motion { pad, gyro, accel } => Self::Motion(pad, PadMotion { gyro, accel }),
            RichInput::Touchpad { pad, finger, active, x, y } => {
                let touch = active.then_some(PadTouch { x, y });
                Self::Touch(PadFinger { pad, surface: SINGLE, finger, touch, click: None })
            }
            RichInput::TouchpadExt { pad, surface, finger, touch, click, x, y, .. } => {
                let at = |v: i16| (i32::from(v) + 0x8000) as u16;
                // Two touchpads share the one of the pads that we make: each has its half.
                let x = match surface {
                    SINGLE => at(x),
                    LEFT => at(x) / 2,
                    _ => at(x) / 2 + 0x8000,
                };
                let touch = touch.then_some(PadTouch { x, y: at(y) });
                Self::Touch(PadFinger { pad, surface, finger, touch, click: Some(click) })
            }
            RichInput::RawHid { .. } | RichInput::Pen(_) => return None,
        })
    }

    /// Which pad it is about; `None` if it is not about a pad.
    pub fn slot(&self) -> Option<u8> {
        match self {
            Self::Battery(pad, _) | Self::Motion(pad, _) | Self::Touch(PadFinger { pad, .. }) => Some(*pad),
            Self::Event(event) => match event {
                InputEvent::GamepadButton { pad, .. }
                | InputEvent::GamepadAxis { pad, .. }
                | InputEvent::GamepadRemove { pad, .. }
                | InputEvent::GamepadArrival { pad, .. } => Some(*pad),
                InputEvent::GamepadState(state) => Some(state.pad),
                _ => None,
            },
        }
    }
}

/// What an input means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The pad is there and in another state than before, or it arrived.
    Changed,
    /// Nothing new.
    Redundant,
    /// The pad went away.
    Gone,
    /// This kind of input has no effect on any pad here.
    Unsupported,
}

/// A client's pad.
#[derive(Debug, Default)]
pub(super) struct PadState {
    /// Survives unplugging, as the client's counter does.
    seq: Option<u8>,
    /// As its last arrival said.
    pub kind: GamepadKind,
    /// The client has a pad here.
    pub present: bool,
    /// When the client removed it.
    removed_at: Option<Instant>,
    pub report: PadReport,
    /// Which finger has which place of the report.
    fingers: [Option<Finger>; 2],
    /// A touchpad of the client is pressed down (its buttons do not say so).
    pad_click: bool,
}

/// Surface and finger.
type Finger = (u8, u8);

impl PadState {
    pub fn note(&mut self, input: &PadInput, now: Instant) -> Step {
        let (was, before) = (self.present, self.report);
        let step = match input {
            PadInput::Event(event) => self.event(event, now),
            PadInput::Motion(_, motion) if self.present => {
                self.report.motion = *motion;
                Step::Changed
            }
            PadInput::Touch(finger) if self.present => self.touch(finger),
            PadInput::Battery(_, battery) if self.present => {
                self.report.battery = *battery;
                Step::Changed
            }
            // Never a reason to plug a pad in: it may be late news of one that just left.
            PadInput::Motion(..) | PadInput::Touch(_) | PadInput::Battery(..) => Step::Redundant,
        };
        match step {
            Step::Changed if was && self.present && self.report == before => Step::Redundant,
            step => step,
        }
    }

    /// Back to a pad that nobody touches; what was removed or seen stays known.
    pub fn neutral(&mut self) {
        self.report = PadReport { battery: self.report.battery, ..PadReport::default() };
        (self.fingers, self.pad_click) = ([None; 2], false);
    }

    fn event(&mut self, event: &InputEvent, now: Instant) -> Step {
        match *event {
            InputEvent::GamepadState(state) => {
                if !seq_is_newer(state.seq, self.seq) {
                    return Step::Redundant;
                }
                self.seq = Some(state.seq);
                let report = &mut self.report;
                report.buttons = state.buttons;
                if self.pad_click {
                    report.buttons = report.buttons | GamepadButtons::TOUCHPAD;
                }
                (report.left_x, report.left_y) = (state.left_x, state.left_y);
                (report.right_x, report.right_y) = (state.right_x, state.right_y);
                (report.left_trigger, report.right_trigger) = (state.left_trigger, state.right_trigger);
                self.arrived()
            }
            InputEvent::GamepadRemove { seq, .. } => {
                if !seq_is_newer(seq, self.seq) {
                    return Step::Redundant;
                }
                self.seq = Some(seq);
                if !std::mem::take(&mut self.present) {
                    return Step::Redundant;
                }
                self.removed_at = Some(now);
                self.report = PadReport::default();
                (self.fingers, self.pad_click) = ([None; 2], false);
                Step::Gone
            }
            InputEvent::GamepadArrival { kind, .. } => {
                let renewed = self.present && self.kind == kind;
                self.kind = kind;
                // Arrivals carry no number and are repeated: one that comes just after a removal is more likely a late
                // repetition than a new pad. A new one says so with its first state, 100 ms later at most.
                let late = self.removed_at.is_some_and(|at| now.duration_since(at) < LATE_ARRIVAL);
                if renewed || (late && !self.present) { Step::Redundant } else { self.arrived() }
            }
            InputEvent::GamepadButton { button, down, .. } => {
                let buttons = self.report.buttons;
                self.report.buttons = if down { buttons.union(button) } else { buttons.without(button) };
                self.arrived()
            }
            InputEvent::GamepadAxis { axis, value, .. } => {
                let report = &mut self.report;
                let stick = value.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
                let trigger = value.clamp(0, u8::MAX.into()) as u8;
                match axis {
                    GamepadAxis::LeftX => report.left_x = stick,
                    GamepadAxis::LeftY => report.left_y = stick,
                    GamepadAxis::RightX => report.right_x = stick,
                    GamepadAxis::RightY => report.right_y = stick,
                    GamepadAxis::LeftTrigger => report.left_trigger = trigger,
                    GamepadAxis::RightTrigger => report.right_trigger = trigger,
                }
                self.arrived()
            }
            _ => Step::Unsupported,
        }
    }

    fn arrived(&mut self) -> Step {
        self.present = true;
        self.removed_at = None;
        Step::Changed
    }

    fn touch(&mut self, input: &PadFinger) -> Step {
        if let Some(click) = input.click {
            self.pad_click = click;
            let (buttons, mask) = (self.report.buttons, GamepadButtons::TOUCHPAD);
            self.report.buttons = if click { buttons.union(mask) } else { buttons.without(mask) };
        }
        let finger = (input.surface, input.finger);
        let own = self.fingers.iter().position(|f| *f == Some(finger));
        let place = own.or_else(|| input.touch.and_then(|_| self.fingers.iter().position(Option::is_none)));
        // A third finger has no place, and one that was never down cannot be lifted.
        if let Some(place) = place {
            self.fingers[place] = input.touch.map(|_| finger);
            self.report.touches[place] = input.touch;
        }
        Step::Changed
    }
}

/// An arrival that comes so soon after a removal does not plug the pad in. Clients repeat arrivals for 200 ms.
const LATE_ARRIVAL: Duration = Duration::from_secs(1);
const SINGLE: u8 = 0;
const LEFT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use punktfunk_core::input::GamepadState;

    fn state(seq: u8, buttons: GamepadButtons) -> PadInput {
        PadInput::Event(InputEvent::GamepadState(GamepadState { seq, buttons, ..GamepadState::default() }))
    }

    fn removed(seq: u8) -> PadInput {
        PadInput::Event(InputEvent::GamepadRemove { pad: 0, seq })
    }

    fn arrival(kind: GamepadKind) -> PadInput {
        PadInput::Event(InputEvent::GamepadArrival { pad: 0, kind, haptics_audio: false, speaker_audio: false })
    }

    fn rich(rich: RichInput) -> PadInput {
        PadInput::from_rich(&rich).expect("of a pad")
    }

    fn finger(finger: u8, active: bool, x: u16) -> PadInput {
        rich(RichInput::Touchpad { pad: 0, finger, active, x, y: 9 })
    }

    #[test]
    fn snapshots_apply_only_forward_also_across_the_wrap_and_a_removal() {
        let (mut pad, now) = (PadState::default(), Instant::now());
        let a = GamepadButtons::A;
        let none = GamepadButtons::NONE;
        let inputs = [state(250, a), state(250, none), state(249, none), state(3, none), removed(2), removed(4)];
        let steps = inputs.map(|i| pad.note(&i, now));
        use Step::{Changed, Gone, Redundant};
        assert_eq!(steps, [Changed, Redundant, Redundant, Changed, Redundant, Gone]);
        assert_eq!(pad.note(&state(4, a), now), Redundant, "older than the removal");
        assert_eq!(pad.note(&removed(5), now), Redundant, "gone already");
        assert_eq!(pad.note(&state(6, a), now), Changed);
        assert!(pad.present && pad.report.buttons == a);
    }

    #[test]
    fn refreshes_change_nothing() {
        let (mut pad, now) = (PadState::default(), Instant::now());
        assert_eq!(pad.note(&arrival(GamepadKind::DualSense), now), Step::Changed);
        assert_eq!(pad.note(&arrival(GamepadKind::DualSense), now), Step::Redundant);
        assert_eq!(pad.note(&state(1, GamepadButtons::NONE), now), Step::Redundant);
        assert_eq!(pad.note(&state(2, GamepadButtons::B), now), Step::Changed);
        assert_eq!(pad.note(&state(3, GamepadButtons::B), now), Step::Redundant);
    }

    #[test]
    fn a_late_arrival_does_not_bring_a_removed_pad_back_but_its_state_does() {
        let (mut pad, now) = (PadState::default(), Instant::now());
        pad.note(&state(1, GamepadButtons::A), now);
        assert_eq!(pad.note(&removed(2), now), Step::Gone);
        let soon = now + Duration::from_millis(200);
        assert_eq!(pad.note(&arrival(GamepadKind::XboxOne), soon), Step::Redundant);
        assert!(!pad.present);
        assert_eq!(pad.note(&finger(0, true, 1), soon), Step::Redundant);
        assert_eq!(pad.note(&state(3, GamepadButtons::NONE), soon), Step::Changed);
        assert_eq!((pad.present, pad.kind, pad.report), (true, GamepadKind::XboxOne, PadReport::default()));
        pad.note(&removed(4), soon);
        assert_eq!(pad.note(&arrival(GamepadKind::XboxOne), soon + LATE_ARRIVAL), Step::Changed);
    }

    #[test]
    fn older_events_change_one_thing_each() {
        let (mut pad, now) = (PadState::default(), Instant::now());
        let button = |button, down| PadInput::Event(InputEvent::GamepadButton { pad: 0, button, down });
        let axis = |axis, value| PadInput::Event(InputEvent::GamepadAxis { pad: 0, axis, value });
        assert_eq!(pad.note(&button(GamepadButtons::A, true), now), Step::Changed);
        assert_eq!(pad.note(&button(GamepadButtons::LB, true), now), Step::Changed);
        assert_eq!(pad.note(&button(GamepadButtons::A, false), now), Step::Changed);
        assert_eq!(pad.note(&axis(GamepadAxis::LeftY, i32::MAX), now), Step::Changed);
        assert_eq!(pad.note(&axis(GamepadAxis::RightTrigger, -5), now), Step::Redundant);
        let expected = PadReport { buttons: GamepadButtons::LB, left_y: i16::MAX, ..PadReport::default() };
        assert_eq!(pad.report, expected);
    }

    #[test]
    fn fingers_keep_their_places_and_a_third_has_none() {
        let (mut pad, now) = (PadState::default(), Instant::now());
        pad.note(&arrival(GamepadKind::DualSense), now);
        for input in [finger(7, true, 1), finger(9, true, 2), finger(7, false, 0), finger(9, true, 3)] {
            assert_eq!(pad.note(&input, now), Step::Changed);
        }
        assert_eq!(pad.report.touches, [None, Some(PadTouch { x: 3, y: 9 })]);
        assert_eq!(pad.note(&finger(1, true, 4), now), Step::Changed);
        assert_eq!(pad.note(&finger(2, true, 5), now), Step::Redundant);
        assert_eq!(pad.note(&finger(2, false, 5), now), Step::Redundant);
        pad.neutral();
        assert_eq!(pad.report, PadReport::default());
    }

    #[test]
    fn two_touchpads_share_one_and_their_click_survives_a_snapshot() {
        let (mut pad, now) = (PadState::default(), Instant::now());
        pad.note(&arrival(GamepadKind::SteamDeck), now);
        let ext = |surface, click, x| {
            rich(RichInput::TouchpadExt { pad: 0, surface, finger: 0, touch: true, click, x, y: 0, pressure: 0 })
        };
        pad.note(&ext(1, false, i16::MIN), now);
        pad.note(&ext(2, true, i16::MAX), now);
        let expected = [Some(PadTouch { x: 0, y: 0x8000 }), Some(PadTouch { x: 0xffff, y: 0x8000 })];
        assert_eq!(pad.report.touches, expected);
        pad.note(&state(1, GamepadButtons::A), now);
        assert_eq!(pad.report.buttons, GamepadButtons::A | GamepadButtons::TOUCHPAD);
        pad.note(&ext(2, false, 0), now);
        assert_eq!(pad.report.buttons, GamepadButtons::A);
    }
}
