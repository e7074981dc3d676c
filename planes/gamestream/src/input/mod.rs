//! From a client's packets to what the engine understands: one decoder per session.
//!
//! What is held down when a session ends is the engine's to release; this side only knows enough to fill in what clients
//! leave out.

mod keyboard;
mod pads;
mod pen;
mod touch;

use punktfunk_core::DecodeError;
use punktfunk_core::datagram::RichInput;
use punktfunk_core::input::InputEvent;

use crate::wire::input::{Battery, ClientInput, PadArrival};
use keyboard::Keyboard;
use pads::Pads;
use pen::PenTracker;
use touch::Fingers;

/// What came out of a packet.
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(clippy::large_enum_variant)] // handed on at once and never kept; a box would allocate per event
pub enum Decoded {
    /// An event that the engine's input queue takes.
    Event(InputEvent),
    /// Touchpads, motion and pens.
    Rich(RichInput),
    /// A gamepad's abilities, just before its `InputEvent::GamepadArrival`. Ask for motion data now if it is wanted.
    PadArrival(PadArrival),
    /// A gamepad's battery.
    Battery(Battery),
    /// The client takes feedback for gamepads, or does not.
    Haptics {
        /// It does.
        enabled: bool,
    },
}

/// Turns the packets of one session into engine events, in order.
#[derive(Debug, Default)]
pub struct InputDecoder {
    keyboard: Keyboard,
    pads: Pads,
    fingers: Fingers,
    pen: PenTracker,
}

impl InputDecoder {
    /// For a session in which nothing is held and no pad is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one packet, the payload of `ClientMessage::Input`. Allocates nothing.
    ///
    /// # Errors
    /// [`DecodeError`]: the packet makes no sense and was dropped; nothing came out of it.
    pub fn packet(&mut self, packet: &[u8], mut out: impl FnMut(Decoded)) -> Result<(), DecodeError> {
        self.input(&ClientInput::decode(packet)?, &mut out);
        Ok(())
    }

    fn input(&mut self, input: &ClientInput<'_>, out: &mut dyn FnMut(Decoded)) {
        let mut event = |event| out(Decoded::Event(event));
        match *input {
            ClientInput::Key(key) => self.keyboard.key(key, &mut event),
            ClientInput::MouseMove { dx: 0, dy: 0 } => {}
            ClientInput::MouseMove { dx, dy } => event(InputEvent::MouseMove { dx: dx.into(), dy: dy.into() }),
            ClientInput::MouseMoveAbs { x, y, width, height } => {
                event(InputEvent::MouseMoveAbs { x: x.into(), y: y.into(), ref_width: width, ref_height: height })
            }
            ClientInput::MouseButton { button, down } => event(InputEvent::MouseButton { button, down }),
            ClientInput::Scroll { amount: 0, .. } => {}
            ClientInput::Scroll { axis, amount } => {
                event(InputEvent::MouseScroll { axis, delta: amount.into(), precise: false });
            }
            ClientInput::Text(text) => text.chars().filter(|c| *c != '\0').for_each(|c| event(InputEvent::Text(c))),
            ClientInput::Touch(touch) => self.fingers.touch(&touch, &mut event),
            ClientInput::Pad(state) => self.pads.state(&state, &mut event),
            ClientInput::PadArrival(arrival) => self.pads.arrival(&arrival, out),
            ClientInput::PadTouch(touch) => self.pads.touch(&touch, out),
            ClientInput::Motion(motion) => self.pads.motion(&motion, out),
            ClientInput::Pen(pen) => self.pen.pen(&pen, out),
            ClientInput::Battery(battery) => out(Decoded::Battery(battery)),
            ClientInput::Haptics { enabled } => out(Decoded::Haptics { enabled }),
            ClientInput::Unknown(_) => {}
        }
    }
}

/// A fraction 0.0..=1.0 in 1/65 535.
fn u16_of(fraction: f32) -> u16 {
    (fraction * 65_535.0).round() as u16 // `as` saturates
}
