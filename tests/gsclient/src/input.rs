//! Input packets (§7), each with the channel and the delivery that the stock client uses.

use crate::control::Delivery;

/// One packet, ready to go into message 0x0206.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// ENet channel.
    pub channel: u8,
    /// How it is delivered.
    pub delivery: Delivery,
    /// Size, magic and body.
    pub bytes: Vec<u8>,
}

/// A pad's whole state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PadState {
    /// 32 bits, see §7.6.
    pub buttons: u32,
    /// 0–255.
    pub left_trigger: u8,
    /// 0–255.
    pub right_trigger: u8,
    /// x to the right, y up.
    pub left_stick: (i16, i16),
    /// x to the right, y up.
    pub right_stick: (i16, i16),
}

/// A finger.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Touch {
    /// Which finger.
    pub pointer: u32,
    /// 0..1 from the left.
    pub x: f32,
    /// 0..1 from the top.
    pub y: f32,
    /// 0..1, 0 unknown.
    pub pressure: f32,
    /// Contact area, (major, minor).
    pub contact: (f32, f32),
    /// Degrees; `None` unknown.
    pub rotation: Option<u16>,
}

/// A pen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pen {
    /// 0 unknown, 1 pen, 2 eraser.
    pub tool: u8,
    /// 1 primary, 2 secondary, 4 tertiary.
    pub buttons: u8,
    /// 0..1 from the left.
    pub x: f32,
    /// 0..1 from the top.
    pub y: f32,
    /// 0..1.
    pub pressure: f32,
    /// Degrees; `None` unknown.
    pub rotation: Option<u16>,
    /// Degrees from upright; `None` unknown.
    pub tilt: Option<u8>,
    /// Contact area, (major, minor).
    pub contact: (f32, f32),
}

/// Events of touch, pen and touchpads (§7.8).
pub mod event {
    /// Hovering.
    pub const HOVER: u8 = 0;
    /// Begins to touch.
    pub const DOWN: u8 = 1;
    /// No longer touches.
    pub const UP: u8 = 2;
    /// Moves.
    pub const MOVE: u8 = 3;
    /// Never happened.
    pub const CANCEL: u8 = 4;
    /// Only the pen's buttons changed.
    pub const BUTTON_ONLY: u8 = 5;
    /// No longer hovers.
    pub const HOVER_LEAVE: u8 = 6;
    /// None of them ever happened.
    pub const CANCEL_ALL: u8 = 7;
}

/// The library says this once when it starts.
#[must_use]
pub fn enable_haptics() -> Packet {
    packet(GENERIC, 0x0D, &[&1_u16.to_le_bytes()])
}

/// Relative motion in pixels.
#[must_use]
pub fn mouse_move(dx: i16, dy: i16) -> Packet {
    packet(MOUSE, 0x07, &[&dx.to_be_bytes(), &dy.to_be_bytes()])
}

/// A position in an area of `width` × `height`.
#[must_use]
pub fn mouse_position(x: i16, y: i16, width: i16, height: i16) -> Packet {
    let (w, h) = (width.wrapping_sub(1), height.wrapping_sub(1));
    packet(MOUSE, 0x05, &[&x.to_be_bytes(), &y.to_be_bytes(), &[0, 0], &w.to_be_bytes(), &h.to_be_bytes()])
}

/// 1 left, 2 middle, 3 right, 4 back, 5 forward.
#[must_use]
pub fn mouse_button(button: u8, down: bool) -> Packet {
    packet(MOUSE, if down { 0x08 } else { 0x09 }, &[&[button]])
}

/// 120 is a notch away from the user.
#[must_use]
pub fn scroll(amount: i16) -> Packet {
    packet(MOUSE, 0x0A, &[&amount.to_be_bytes(), &amount.to_be_bytes(), &[0, 0]])
}

/// 120 is a notch to the right.
#[must_use]
pub fn scroll_horizontal(amount: i16) -> Packet {
    packet(MOUSE, 0x5500_0001, &[&amount.to_be_bytes()])
}

/// A key by Windows virtual-key code. `modifiers`: 1 Shift, 2 Ctrl, 4 Alt, 8 Meta. `flags`: 1 = not normalised.
#[must_use]
pub fn key(code: u8, down: bool, modifiers: u8, flags: u8) -> Packet {
    let code = (0x8000 | u16::from(code)).to_le_bytes();
    packet(KEYBOARD, if down { 0x03 } else { 0x04 }, &[&[flags], &code, &[modifiers, 0, 0]])
}

/// Text, one packet a character as clients send it.
#[must_use]
pub fn text(text: &str) -> Vec<Packet> {
    text.chars().map(|c| packet(TEXT, 0x17, &[c.encode_utf8(&mut [0; 4]).as_bytes()])).collect()
}

/// A pad's state. `mask` has a bit for each pad that is there.
#[must_use]
pub fn pad(number: u8, mask: u16, state: &PadState) -> Packet {
    let (low, high) = (state.buttons as u16, (state.buttons >> 16) as u16);
    let axes = [state.left_stick.0, state.left_stick.1, state.right_stick.0, state.right_stick.1].map(i16::to_le_bytes);
    let parts: [&[u8]; 8] = [
        &[0x1A, 0x00, number, 0x00],
        &mask.to_le_bytes(),
        &[0x14, 0x00],
        &low.to_le_bytes(),
        &[state.left_trigger, state.right_trigger],
        axes.as_flattened(),
        &[[0x9C, 0x00], high.to_le_bytes()].concat(),
        &[0x55, 0x00],
    ];
    packet(PAD + (number & 0xF), 0x0C, &parts)
}

/// A pad is there. `kind`: 1 Xbox, 2 PlayStation, 3 Nintendo, 4 Steam. The client sends an empty state right after.
#[must_use]
pub fn pad_arrival(number: u8, kind: u8, capabilities: u16, buttons: u32) -> Packet {
    let parts: [&[u8]; 3] = [&[number, kind], &capabilities.to_le_bytes(), &buttons.to_le_bytes()];
    packet(PAD + (number & 0xF), 0x5500_0004, &parts)
}

/// A finger on a pad's touchpad.
#[must_use]
pub fn pad_touch(number: u8, kind: u8, touchpad: u8, touch: &Touch) -> Packet {
    let floats = [touch.x, touch.y, touch.pressure].map(f32::to_le_bytes);
    let parts: [&[u8]; 3] = [&[number, kind, 0, touchpad], &touch.pointer.to_le_bytes(), floats.as_flattened()];
    moving(kind, packet(PAD + (number & 0xF), 0x5500_0005, &parts))
}

/// A pad's sensor. `kind`: 1 accelerometer (m/s²), 2 gyroscope (°/s).
#[must_use]
pub fn pad_motion(number: u8, kind: u8, axes: [f32; 3]) -> Packet {
    let still = kind == 2 && axes == [0.0; 3];
    let floats = axes.map(f32::to_le_bytes);
    let mut out = packet(PAD_MOTION + (number & 0xF), 0x5500_0006, &[&[number, kind, 0, 0], floats.as_flattened()]);
    if !still {
        out.delivery = Delivery::Unreliable;
    }
    out
}

/// A pad's battery. `percent` 0xFF unknown.
#[must_use]
pub fn pad_battery(number: u8, state: u8, percent: u8) -> Packet {
    packet(PAD + (number & 0xF), 0x5500_0007, &[&[number, state, percent, 0]])
}

/// A finger on the screen; `kind` is one of [`event`].
#[must_use]
pub fn touch(kind: u8, touch: &Touch) -> Packet {
    let floats = [touch.x, touch.y, touch.pressure, touch.contact.0, touch.contact.1].map(f32::to_le_bytes);
    let rotation = touch.rotation.unwrap_or(0xFFFF).to_le_bytes();
    let parts: [&[u8]; 4] = [&[kind, 0], &rotation, &touch.pointer.to_le_bytes(), floats.as_flattened()];
    moving(kind, packet(TOUCH, 0x5500_0002, &parts))
}

/// A pen on the screen; `kind` is one of [`event`]. Movements may get lost, except where `buttons_changed`.
#[must_use]
pub fn pen(kind: u8, pen: &Pen, buttons_changed: bool) -> Packet {
    let floats = [pen.x, pen.y, pen.pressure].map(f32::to_le_bytes);
    let contact = [pen.contact.0, pen.contact.1].map(f32::to_le_bytes);
    let rotation = pen.rotation.unwrap_or(0xFFFF).to_le_bytes();
    let parts: [&[u8]; 5] = [
        &[kind, pen.tool, pen.buttons, 0],
        floats.as_flattened(),
        &rotation,
        &[pen.tilt.unwrap_or(0xFF), 0],
        contact.as_flattened(),
    ];
    let out = packet(PEN, 0x5500_0003, &parts);
    if buttons_changed { out } else { moving(kind, out) }
}

/// Movements may get lost, events must not.
fn moving(kind: u8, mut packet: Packet) -> Packet {
    if matches!(kind, event::MOVE | event::HOVER) {
        packet.delivery = Delivery::Unreliable;
    }
    packet
}

fn packet(channel: u8, magic: u32, parts: &[&[u8]]) -> Packet {
    let body = parts.concat();
    let size = 4 + body.len() as u32;
    let bytes = [&size.to_be_bytes()[..], &magic.to_le_bytes(), &body].concat();
    Packet { channel, delivery: Delivery::Reliable, bytes }
}

// Channels, §6.2.
const GENERIC: u8 = 0x00;
const KEYBOARD: u8 = 0x02;
const MOUSE: u8 = 0x03;
const PEN: u8 = 0x04;
const TOUCH: u8 = 0x05;
const TEXT: u8 = 0x06;
const PAD: u8 = 0x10;
const PAD_MOTION: u8 = 0x20;
