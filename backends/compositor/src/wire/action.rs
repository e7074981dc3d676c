//! Input actions as messages.

use punktfunk_core::datagram::{PenSample, PenState, PenTool};
use punktfunk_media::{InputAction, ScrollPhase, ScrollSource};

use super::{Fields, Message};

/// In bytes.
pub fn encode_action(action: &InputAction) -> Message {
    match *action {
        InputAction::Key { code, down } => *Message::new(KEY).put(&code.to_le_bytes()).put(&[u8::from(down)]),
        InputAction::Motion { dx, dy } => *Message::new(MOTION).f64(dx).f64(dy),
        InputAction::MotionAbs { x, y } => *Message::new(MOTION_ABS).f64(x).f64(y),
        InputAction::Button { code, down } => *Message::new(BUTTON).put(&code.to_le_bytes()).put(&[u8::from(down)]),
        InputAction::Scroll { horizontal, source, phase, delta } => {
            let source = match source {
                ScrollSource::Wheel => 0,
                ScrollSource::Finger => 1,
                ScrollSource::Continuous => 2,
            };
            let phase = match phase {
                ScrollPhase::None => 0,
                ScrollPhase::Active => 1,
                ScrollPhase::End => 2,
            };
            *Message::new(SCROLL).put(&[u8::from(horizontal), source, phase]).f64(delta)
        }
        InputAction::Text(character) => *Message::new(TEXT).u32(u32::from(character)),
        InputAction::TouchDown { id, x, y } => *Message::new(TOUCH_DOWN).u32(id).f64(x).f64(y),
        InputAction::TouchMove { id, x, y } => *Message::new(TOUCH_MOVE).u32(id).f64(x).f64(y),
        InputAction::TouchUp { id } => *Message::new(TOUCH_UP).u32(id),
        InputAction::Pen(sample) => encode_pen(&sample),
    }
}

fn encode_pen(sample: &PenSample) -> Message {
    let unknown16 = |value: Option<u16>| value.unwrap_or(u16::MAX).to_le_bytes();
    let mut message = Message::new(PEN);
    message.put(&[sample.state.0, sample.tool.wire()]).f64(sample.x.into()).f64(sample.y.into());
    message.put(&sample.pressure.to_le_bytes()).put(&unknown16(sample.distance));
    message.put(&[sample.tilt_deg.unwrap_or(u8::MAX)]);
    *message.put(&unknown16(sample.azimuth_deg)).put(&unknown16(sample.roll_deg))
}

fn decode_pen(fields: &mut Fields<'_>) -> Option<PenSample> {
    let known = |value: u16| (value != u16::MAX).then_some(value);
    Some(PenSample {
        state: PenState(fields.u8()?),
        tool: PenTool::from_wire(fields.u8()?)?,
        // From the same type: nothing is lost.
        x: fields.f64()? as f32,
        y: fields.f64()? as f32,
        pressure: fields.u16()?,
        distance: known(fields.u16()?),
        tilt_deg: Some(fields.u8()?).filter(|value| *value != u8::MAX),
        azimuth_deg: known(fields.u16()?),
        roll_deg: known(fields.u16()?),
        dt_us: 0,
    })
}

/// Reads one; `None` for anything else.
pub fn decode_action(bytes: &[u8]) -> Option<InputAction> {
    let mut fields = Fields(bytes);
    let action = match fields.u8()? {
        KEY => InputAction::Key { code: fields.u16()?, down: fields.bool()? },
        MOTION => InputAction::Motion { dx: fields.f64()?, dy: fields.f64()? },
        MOTION_ABS => InputAction::MotionAbs { x: fields.f64()?, y: fields.f64()? },
        BUTTON => InputAction::Button { code: fields.u16()?, down: fields.bool()? },
        SCROLL => InputAction::Scroll {
            horizontal: fields.bool()?,
            source: match fields.u8()? {
                0 => ScrollSource::Wheel,
                1 => ScrollSource::Finger,
                2 => ScrollSource::Continuous,
                _ => return None,
            },
            phase: match fields.u8()? {
                0 => ScrollPhase::None,
                1 => ScrollPhase::Active,
                2 => ScrollPhase::End,
                _ => return None,
            },
            delta: fields.f64()?,
        },
        TEXT => InputAction::Text(char::from_u32(fields.u32()?)?),
        TOUCH_DOWN => InputAction::TouchDown { id: fields.u32()?, x: fields.f64()?, y: fields.f64()? },
        TOUCH_MOVE => InputAction::TouchMove { id: fields.u32()?, x: fields.f64()?, y: fields.f64()? },
        TOUCH_UP => InputAction::TouchUp { id: fields.u32()? },
        PEN => InputAction::Pen(decode_pen(&mut fields)?),
        _ => return None,
    };
    fields.end(action)
}

const KEY: u8 = 1;
const MOTION: u8 = 2;
const MOTION_ABS: u8 = 3;
const BUTTON: u8 = 4;
const SCROLL: u8 = 5;
const TEXT: u8 = 6;
const TOUCH_DOWN: u8 = 7;
const TOUCH_MOVE: u8 = 8;
const TOUCH_UP: u8 = 9;
const PEN: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_comes_back_as_it_was() {
        let scroll = |source, phase| InputAction::Scroll { horizontal: true, source, phase, delta: -120.5 };
        let actions = [
            InputAction::Key { code: 30, down: true },
            InputAction::Motion { dx: -1.25, dy: 1e9 },
            InputAction::MotionAbs { x: 0.5, y: 1.0 },
            InputAction::Button { code: 0x110, down: false },
            scroll(ScrollSource::Wheel, ScrollPhase::None),
            scroll(ScrollSource::Finger, ScrollPhase::End),
            scroll(ScrollSource::Continuous, ScrollPhase::Active),
            InputAction::Text('\u{10FFFD}'),
            InputAction::TouchDown { id: 3, x: 0.1, y: 0.2 },
            InputAction::TouchMove { id: 3, x: 0.1, y: 0.2 },
            InputAction::TouchUp { id: u32::MAX },
            InputAction::Pen(PenSample {
                state: PenState::IN_RANGE | PenState::BARREL2,
                tool: PenTool::Eraser,
                x: 0.1,
                y: 0.9,
                pressure: 65_535,
                distance: None,
                tilt_deg: Some(89),
                azimuth_deg: Some(359),
                roll_deg: None,
                dt_us: 0,
            }),
        ];
        for action in actions {
            let bytes = encode_action(&action);
            assert_eq!(decode_action(bytes.as_ref()), Some(action));
            assert_eq!(decode_action(&bytes.as_ref()[1..]).filter(|a| *a == action), None);
        }
    }

    #[test]
    fn nonsense_is_no_action() {
        let surrogate = [&[TEXT][..], &0xD800u32.to_le_bytes()].concat();
        let not_a_number = [&[MOTION][..], &f64::NAN.to_le_bytes(), &0f64.to_le_bytes()].concat();
        for bytes in [&[][..], &[0], &[KEY, 1], &surrogate, &not_a_number] {
            assert_eq!(decode_action(bytes), None, "{bytes:?}");
        }
    }
}
