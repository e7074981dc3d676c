//! Lines of an input script about gamepads.

use punktfunk_core::datagram::RichInput;
use punktfunk_core::handshake::GamepadKind;
use punktfunk_core::input::{GamepadButtons as B, GamepadState, InputEvent, MAX_PADS};
use serde::Deserialize;

use crate::script::Step;

/// What a line says about one pad; what it leaves out is neutral.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PadLine {
    #[serde(default)]
    pad: u8,
    /// Plug it in.
    kind: Option<String>,
    /// Buttons held.
    buttons: Option<Vec<String>>,
    /// Stick: right, up.
    left: Option<[i16; 2]>,
    /// Stick: right, up.
    right: Option<[i16; 2]>,
    /// Left and right trigger.
    triggers: Option<[u8; 2]>,
    /// Pitch, yaw, roll in degrees per second.
    gyro: Option<[f32; 3]>,
    /// x, y, z in g.
    accel: Option<[f32; 3]>,
    /// A finger on the touchpad: number, and place in 0.0 … 1.0.
    touch: Option<(u8, f32, f32)>,
    /// A finger that leaves the touchpad.
    lift: Option<u8>,
    /// Unplug it.
    #[serde(default)]
    gone: bool,
}

impl PadLine {
    /// The steps of a line, in the order of its fields above.
    pub fn expand(self) -> Result<Vec<Step>, String> {
        let pad = self.pad;
        if pad >= MAX_PADS {
            return Err(format!("no pad {pad}: 0 … {}", MAX_PADS - 1));
        }
        let mut steps = Vec::new();
        if let Some(name) = &self.kind {
            let known = KINDS.iter().find(|(known, _)| known == name);
            let (_, kind) = known.ok_or_else(|| format!("no kind of pad is called `{name}`: {}", names(&KINDS)))?;
            let arrival = InputEvent::GamepadArrival { pad, kind: *kind, haptics_audio: false, speaker_audio: false };
            steps.push(Step::Input(arrival));
        }
        let shown = self.buttons.is_some() || self.left.is_some() || self.right.is_some() || self.triggers.is_some();
        if shown || self.kind.is_some() {
            let mut state = GamepadState { pad, ..GamepadState::default() };
            for name in self.buttons.iter().flatten() {
                let known = BUTTONS.iter().find(|(known, _)| known == name);
                let (_, button) = known.ok_or_else(|| format!("no button is called `{name}`: {}", names(&BUTTONS)))?;
                state.buttons = state.buttons | *button;
            }
            [state.left_x, state.left_y] = self.left.unwrap_or_default();
            [state.right_x, state.right_y] = self.right.unwrap_or_default();
            [state.left_trigger, state.right_trigger] = self.triggers.unwrap_or_default();
            steps.push(Step::Input(InputEvent::GamepadState(state)));
        }
        if self.gyro.is_some() || self.accel.is_some() {
            let gyro = self.gyro.unwrap_or_default().map(|v| (v * GYRO_PER_DEG_S) as i16);
            let accel = self.accel.unwrap_or([0.0, 1.0, 0.0]).map(|v| (v * ACCEL_PER_G) as i16);
            steps.push(Step::Rich(RichInput::Motion { pad, gyro, accel }));
        }
        let place = |v: f32| (v.clamp(0.0, 1.0) * f32::from(u16::MAX)) as u16;
        if let Some((finger, x, y)) = self.touch {
            steps.push(Step::Rich(RichInput::Touchpad { pad, finger, active: true, x: place(x), y: place(y) }));
        }
        if let Some(finger) = self.lift {
            steps.push(Step::Rich(RichInput::Touchpad { pad, finger, active: false, x: 0, y: 0 }));
        }
        if self.gone {
            steps.push(Step::Input(InputEvent::GamepadRemove { pad, seq: 0 }));
        }
        Ok(steps)
    }
}

/// Numbers snapshots and removals of each pad in the order in which they are sent.
pub fn number<'a>(steps: impl Iterator<Item = &'a mut Step>) {
    let mut seqs = [0_u8; MAX_PADS as usize];
    for step in steps {
        let Step::Input(event) = step else { continue };
        let (pad, seq) = match event {
            InputEvent::GamepadState(state) => (state.pad, &mut state.seq),
            InputEvent::GamepadRemove { pad, seq } => (*pad, seq),
            _ => continue,
        };
        if let Some(last) = seqs.get_mut(usize::from(pad)) {
            *last = last.wrapping_add(1);
            *seq = *last;
        }
    }
}

fn names<T>(all: &[(&str, T)]) -> String {
    all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

const KINDS: [(&str, GamepadKind); 7] = [
    ("auto", GamepadKind::Auto),
    ("xbox360", GamepadKind::Xbox360),
    ("xboxone", GamepadKind::XboxOne),
    ("switchpro", GamepadKind::SwitchPro),
    ("dualshock4", GamepadKind::DualShock4),
    ("dualsense", GamepadKind::DualSense),
    ("dualsense-edge", GamepadKind::DualSenseEdge),
];
const BUTTONS: [(&str, B); 21] = [
    ("a", B::A),
    ("b", B::B),
    ("x", B::X),
    ("y", B::Y),
    ("up", B::UP),
    ("down", B::DOWN),
    ("left", B::LEFT),
    ("right", B::RIGHT),
    ("start", B::START),
    ("back", B::BACK),
    ("guide", B::GUIDE),
    ("lb", B::LB),
    ("rb", B::RB),
    ("ls", B::LEFT_STICK),
    ("rs", B::RIGHT_STICK),
    ("paddle1", B::PADDLE1),
    ("paddle2", B::PADDLE2),
    ("paddle3", B::PADDLE3),
    ("paddle4", B::PADDLE4),
    ("touchpad", B::TOUCHPAD),
    ("misc", B::MISC),
];
/// §4.4.
const GYRO_PER_DEG_S: f32 = 20.0;
/// §4.4.
const ACCEL_PER_G: f32 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(lines: &[&str]) -> Vec<Step> {
        let expand = |line: &&str| serde_json::from_str::<PadLine>(line).expect("a line").expand().expect("steps");
        let mut steps: Vec<Step> = lines.iter().flat_map(expand).collect();
        number(steps.iter_mut());
        steps
    }

    #[test]
    fn a_pad_arrives_plays_and_leaves() {
        let all = steps(&[
            r#"{"pad":2,"kind":"dualsense"}"#,
            r#"{"pad":2,"buttons":["a","up"],"left":[1,-2],"triggers":[3,4]}"#,
            r#"{"pad":2,"gyro":[90,0,-1],"touch":[1,0.5,1.0],"lift":0}"#,
            r#"{"pad":2,"gone":true}"#,
        ]);
        let kind = GamepadKind::DualSense;
        let still = GamepadState { pad: 2, seq: 1, ..GamepadState::default() };
        let held = GamepadState {
            seq: 2,
            buttons: B::A | B::UP,
            left_x: 1,
            left_y: -2,
            left_trigger: 3,
            right_trigger: 4,
            ..still
        };
        let expected = [
            Step::Input(InputEvent::GamepadArrival { pad: 2, kind, haptics_audio: false, speaker_audio: false }),
            Step::Input(InputEvent::GamepadState(still)),
            Step::Input(InputEvent::GamepadState(held)),
            Step::Rich(RichInput::Motion { pad: 2, gyro: [1800, 0, -20], accel: [0, 10_000, 0] }),
            Step::Rich(RichInput::Touchpad { pad: 2, finger: 1, active: true, x: 32767, y: 65535 }),
            Step::Rich(RichInput::Touchpad { pad: 2, finger: 0, active: false, x: 0, y: 0 }),
            Step::Input(InputEvent::GamepadRemove { pad: 2, seq: 3 }),
        ];
        assert_eq!(all, expected);
    }
}
