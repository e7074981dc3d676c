//! From the wire's input events to the desktop's terms.

use punktfunk_core::input::{Contact, InputEvent, MouseButton, ScrollAxis, ScrollPhase, ScrollSource};
use punktfunk_core::keys::vk_to_evdev;
use punktfunk_media::{InputAction, ScrollPhase as Phase, ScrollSource as Source};

/// The action for an event; `None` if a desktop has none: an unknown key, or a gamepad (module `pads`).
pub(super) fn translate(event: &InputEvent) -> Option<InputAction> {
    Some(match *event {
        InputEvent::Key { vk, down } => InputAction::Key { code: vk_to_evdev(vk)?, down },
        InputEvent::Text(text) => InputAction::Text(text),
        InputEvent::MouseMove { dx, dy } => InputAction::Motion { dx: dx.into(), dy: dy.into() },
        InputEvent::MouseMoveAbs { x, y, ref_width, ref_height } => {
            InputAction::MotionAbs { x: fraction(x, ref_width), y: fraction(y, ref_height) }
        }
        InputEvent::MouseButton { button, down } => InputAction::Button { code: button_code(button), down },
        InputEvent::MouseScroll { axis, delta, precise } => {
            let (source, delta) = if precise {
                (Source::Continuous, f64::from(delta) * PRECISE_PIXELS)
            } else {
                (Source::Wheel, delta.into())
            };
            scroll(axis, source, Phase::None, delta)
        }
        InputEvent::Scroll(event) => {
            let source = match event.source {
                ScrollSource::Unknown | ScrollSource::Wheel => Source::Wheel,
                ScrollSource::Finger | ScrollSource::Touch => Source::Finger,
                ScrollSource::Continuous | ScrollSource::Controller => Source::Continuous,
            };
            let phase = match event.phase {
                ScrollPhase::None => Phase::None,
                ScrollPhase::Begin | ScrollPhase::Update | ScrollPhase::MomentumBegin | ScrollPhase::Momentum => {
                    Phase::Active
                }
                ScrollPhase::End | ScrollPhase::Cancel | ScrollPhase::MomentumEnd => Phase::End,
            };
            scroll(event.axis, source, phase, f64::from(event.delta_q8) / 256.0)
        }
        InputEvent::TouchDown(c) => {
            let (x, y) = place(&c);
            InputAction::TouchDown { id: c.id, x, y }
        }
        InputEvent::TouchMove(c) => {
            let (x, y) = place(&c);
            InputAction::TouchMove { id: c.id, x, y }
        }
        InputEvent::TouchUp { id } => InputAction::TouchUp { id },
        InputEvent::GamepadButton { .. }
        | InputEvent::GamepadAxis { .. }
        | InputEvent::GamepadState(_)
        | InputEvent::GamepadRemove { .. }
        | InputEvent::GamepadArrival { .. } => return None,
    })
}

/// The wire counts up and right as positive, Wayland down and right.
fn scroll(axis: ScrollAxis, source: Source, phase: Phase, delta: f64) -> InputAction {
    let horizontal = axis == ScrollAxis::Horizontal;
    // Not `-0.0`, which tests and logs would show.
    let delta = if horizontal || delta == 0.0 { delta } else { -delta };
    InputAction::Scroll { horizontal, source, phase, delta }
}

fn place(contact: &Contact) -> (f64, f64) {
    (fraction(contact.x, contact.ref_width), fraction(contact.y, contact.ref_height))
}

/// Where pixel `at` lies on an edge of `extent` pixels, clamped to it. The last pixel is (extent − 1) / extent, so that a
/// desktop that multiplies by its own extent and rounds down hits its own last pixel.
fn fraction(at: i32, extent: u16) -> f64 {
    (f64::from(at) / f64::from(extent.max(1))).clamp(0.0, 1.0)
}

/// `BTN_*` of `linux/input-event-codes.h`.
const fn button_code(button: MouseButton) -> u16 {
    match button {
        MouseButton::Left => 0x110,
        MouseButton::Right => 0x111,
        MouseButton::Middle => 0x112,
        MouseButton::X1 => 0x113,
        MouseButton::X2 => 0x114,
    }
}

/// 120 units of precise scrolling are 10 pixels (punktfunk1.md §4.2).
const PRECISE_PIXELS: f64 = 10.0 / 120.0;

#[cfg(test)]
mod tests {
    use super::*;
    use punktfunk_core::input::{GamepadState, Scroll};

    #[test]
    fn each_kind_has_its_action() {
        let abs = |x, y| InputEvent::MouseMoveAbs { x, y, ref_width: 1280, ref_height: 720 };
        let wheel = |axis, delta, precise| InputEvent::MouseScroll { axis, delta, precise };
        let scrolled = |source, phase, delta_q8| {
            InputEvent::Scroll(Scroll { axis: ScrollAxis::Vertical, source, phase, delta_q8 })
        };
        let action = |horizontal, source, phase, delta| InputAction::Scroll { horizontal, source, phase, delta };
        let contact = Contact { id: 3, x: 640, y: 9999, ref_width: 1280, ref_height: 720 };
        let table = [
            (InputEvent::Key { vk: 0x41, down: true }, Some(InputAction::Key { code: 30, down: true })),
            (InputEvent::Key { vk: 0x6c, down: false }, Some(InputAction::Key { code: 96, down: false })),
            (InputEvent::Key { vk: 0xffff, down: true }, None),
            (InputEvent::Text('ß'), Some(InputAction::Text('ß'))),
            (InputEvent::MouseMove { dx: -3, dy: 4 }, Some(InputAction::Motion { dx: -3.0, dy: 4.0 })),
            (abs(320, 180), Some(InputAction::MotionAbs { x: 0.25, y: 0.25 })),
            (abs(-5, 5000), Some(InputAction::MotionAbs { x: 0.0, y: 1.0 })),
            (
                InputEvent::MouseButton { button: MouseButton::Middle, down: true },
                Some(InputAction::Button { code: 0x112, down: true }),
            ),
            (wheel(ScrollAxis::Vertical, 120, false), Some(action(false, Source::Wheel, Phase::None, -120.0))),
            (wheel(ScrollAxis::Horizontal, -30, false), Some(action(true, Source::Wheel, Phase::None, -30.0))),
            (wheel(ScrollAxis::Vertical, -240, true), Some(action(false, Source::Continuous, Phase::None, 20.0))),
            (
                scrolled(ScrollSource::Finger, ScrollPhase::Update, 384),
                Some(action(false, Source::Finger, Phase::Active, -1.5)),
            ),
            (scrolled(ScrollSource::Finger, ScrollPhase::End, 0), Some(action(false, Source::Finger, Phase::End, 0.0))),
            (
                scrolled(ScrollSource::Wheel, ScrollPhase::None, -120 * 256),
                Some(action(false, Source::Wheel, Phase::None, 120.0)),
            ),
            (InputEvent::TouchDown(contact), Some(InputAction::TouchDown { id: 3, x: 0.5, y: 1.0 })),
            (InputEvent::TouchUp { id: 3 }, Some(InputAction::TouchUp { id: 3 })),
            (InputEvent::GamepadState(GamepadState::default()), None),
        ];
        for (event, expected) in table {
            assert_eq!(translate(&event), expected, "{event:?}");
        }
    }
}
