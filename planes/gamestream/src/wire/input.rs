//! Input packets (gamestream.md §7), each decoded by itself. What they mean together is in [`crate::input`].
//!
//! The byte order differs field by field; the tables of the specification are followed to the letter. A packet that is
//! shorter than its own size or its layout, or that holds a float that is no number, is refused; coordinates are clamped.

use punktfunk_core::DecodeError;
use punktfunk_core::input::{GamepadButtons, MAX_PADS, MouseButton, ScrollAxis};

use super::reader::Reader;

/// One packet of a client.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ClientInput<'a> {
    /// A key.
    Key(Key),
    /// Relative motion, + right and down.
    MouseMove {
        /// Right.
        dx: i16,
        /// Down.
        dy: i16,
    },
    /// A place on the video.
    MouseMoveAbs {
        /// From the left, within the width.
        x: u16,
        /// From the top, within the height.
        y: u16,
        /// Width of the video as the client shows it, > 0. On the wire one less.
        width: u16,
        /// Its height, > 0.
        height: u16,
    },
    /// A pointer button.
    MouseButton {
        /// Which.
        button: MouseButton,
        /// Pressed or released.
        down: bool,
    },
    /// The wheel.
    Scroll {
        /// Direction.
        axis: ScrollAxis,
        /// 1/120 of a notch, + up or right.
        amount: i16,
    },
    /// Typed text, independent of layouts; one code point in current clients.
    Text(&'a str),
    /// The client takes feedback for gamepads.
    Haptics {
        /// It does.
        enabled: bool,
    },
    /// A whole gamepad.
    Pad(PadState),
    /// A gamepad and what it can do.
    PadArrival(PadArrival),
    /// A finger on the client's screen.
    Touch(Touch),
    /// A pen.
    Pen(Pen),
    /// A finger on a gamepad's touchpad.
    PadTouch(PadTouch),
    /// A motion sensor.
    Motion(Motion),
    /// A gamepad's battery.
    Battery(Battery),
    /// A type that nobody knows; ignored.
    Unknown(u32),
}

/// A key goes down or up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Windows virtual-key code.
    pub vk: u8,
    /// Pressed or released.
    pub down: bool,
    /// Modifiers at the client: 1 Shift, 2 Ctrl, 4 Alt, 8 Meta.
    pub modifiers: u8,
    /// The code names a position on a US board; else a key of the host's layout.
    pub normalised: bool,
}

/// A whole gamepad at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PadState {
    /// 0..16.
    pub pad: u8,
    /// Bit n: the client has pad n.
    pub active: u16,
    /// Buttons held.
    pub buttons: GamepadButtons,
    /// Left and right trigger, 0..=255.
    pub triggers: [u8; 2],
    /// Left stick x and y, right stick x and y; + right and up.
    pub sticks: [i16; 4],
}

/// A gamepad was plugged in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PadArrival {
    /// 0..16.
    pub pad: u8,
    /// Its maker's family.
    pub family: PadFamily,
    /// The `CAP_` bits.
    pub capabilities: u16,
    /// Buttons that it has.
    pub buttons: GamepadButtons,
}

/// Whose layout a pad has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum PadFamily {
    Unknown,
    Xbox,
    PlayStation,
    Nintendo,
    Steam,
}

/// Triggers report how far they are pressed.
pub const CAP_ANALOG_TRIGGERS: u16 = 0x01;
/// It rumbles.
pub const CAP_RUMBLE: u16 = 0x02;
/// Its triggers rumble.
pub const CAP_TRIGGER_RUMBLE: u16 = 0x04;
/// It has a touchpad.
pub const CAP_TOUCHPAD: u16 = 0x08;
/// It measures acceleration.
pub const CAP_ACCELEROMETER: u16 = 0x10;
/// It measures turning.
pub const CAP_GYROSCOPE: u16 = 0x20;
/// It tells the state of its battery.
pub const CAP_BATTERY: u16 = 0x40;
/// It has a coloured light.
pub const CAP_LED: u16 = 0x80;
/// It has two touchpads.
pub const CAP_SECOND_TOUCHPAD: u16 = 0x100;

/// What a finger or pen does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contact {
    /// Near the surface.
    Hover,
    /// Touches.
    Down,
    /// Lifts.
    Up,
    /// Moves while it touches.
    Move,
    /// What it did is not meant; only the pointer id counts.
    Cancel,
    /// Only the pen's buttons changed.
    ButtonOnly,
    /// Leaves the neighbourhood of the surface.
    HoverLeave,
    /// None of the fingers meant what they did.
    CancelAll,
}

/// A finger.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Touch {
    /// What it does.
    pub contact: Contact,
    /// Which finger.
    pub pointer: u32,
    /// 0.0..=1.0 of the video, from the left.
    pub x: f32,
    /// 0.0..=1.0 of the video, from the top.
    pub y: f32,
    /// 0.0..=1.0, 0 unknown. While hovering: the distance, 1 = far.
    pub pressure: f32,
    /// Degrees; `None` unknown.
    pub rotation_deg: Option<u16>,
    /// Major and minor axis of the contact, normalised.
    pub area: [f32; 2],
}

/// A pen.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pen {
    /// What it does.
    pub contact: Contact,
    /// Which end; `None` unknown.
    pub eraser: Option<bool>,
    /// 1 primary, 2 secondary, 4 tertiary.
    pub buttons: u8,
    /// 0.0..=1.0 of the video, from the left.
    pub x: f32,
    /// 0.0..=1.0 of the video, from the top.
    pub y: f32,
    /// 0.0..=1.0, 0 unknown. While hovering: the distance, 1 = far.
    pub pressure: f32,
    /// Degrees; `None` unknown.
    pub rotation_deg: Option<u16>,
    /// Degrees from upright, 0..=90; `None` unknown.
    pub tilt_deg: Option<u8>,
}

/// A finger on a gamepad's touchpad.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PadTouch {
    /// 0..16.
    pub pad: u8,
    /// What it does.
    pub contact: Contact,
    /// Which touchpad: 0 the only one or the left, 1 the right.
    pub surface: u8,
    /// Which finger.
    pub pointer: u32,
    /// 0.0..=1.0, from the left.
    pub x: f32,
    /// 0.0..=1.0, from the top.
    pub y: f32,
    /// 0.0..=1.0.
    pub pressure: f32,
}

/// A motion sensor.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Motion {
    /// 0..16.
    pub pad: u8,
    /// Acceleration in m/s² with gravity, or turning in degrees per second.
    pub gyroscope: bool,
    /// x, y, z in SDL's axes; at rest the acceleration is (0, 9.8, 0).
    pub axes: [f32; 3],
}

/// A gamepad's battery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Battery {
    /// 0..16.
    pub pad: u8,
    /// What it does.
    pub state: BatteryState,
    /// How full; `None` unknown.
    pub percent: Option<u8>,
}

/// What a battery does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum BatteryState {
    Unknown,
    Absent,
    Discharging,
    Charging,
    PluggedNotCharging,
    Full,
}

impl<'a> ClientInput<'a> {
    /// Reads one packet, the payload of control message 0x0206.
    ///
    /// # Errors
    /// [`DecodeError`]: too short for what it says it is, or a value that its field cannot have.
    pub fn decode(packet: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(packet);
        let size = usize::try_from(r.u32_be()?).unwrap_or(usize::MAX);
        let mut r = Reader::new(r.take(size)?);
        Ok(match r.u32_le()? {
            kind @ (KEY_DOWN | KEY_UP) => {
                let (flags, code, modifiers) = (r.u8()?, r.u16_le()?, r.u8()?);
                r.skip(2)?;
                let vk = code as u8; // the high byte says nothing
                Self::Key(Key { vk, down: kind == KEY_DOWN, modifiers, normalised: flags & NOT_NORMALISED == 0 })
            }
            MOUSE_MOVE => Self::MouseMove { dx: r.i16_be()?, dy: r.i16_be()? },
            MOUSE_MOVE_ABS => {
                let (x, y) = (r.i16_be()?, r.i16_be()?);
                r.skip(2)?;
                let (x, width) = along(x, r.i16_be()?)?;
                let (y, height) = along(y, r.i16_be()?)?;
                Self::MouseMoveAbs { x, y, width, height }
            }
            kind @ (BUTTON_DOWN | BUTTON_UP) => {
                let button = MouseButton::from_wire(r.u8()?.into()).ok_or(DecodeError::Invalid("mouse button"))?;
                Self::MouseButton { button, down: kind == BUTTON_DOWN }
            }
            SCROLL => {
                let amount = r.i16_be()?;
                r.skip(4)?;
                Self::Scroll { axis: ScrollAxis::Vertical, amount }
            }
            SCROLL_HORIZONTAL => Self::Scroll { axis: ScrollAxis::Horizontal, amount: r.i16_be()? },
            TEXT => {
                let text = std::str::from_utf8(r.take_rest()).map_err(|_| DecodeError::Invalid("text: not UTF-8"))?;
                if text.len() > MAX_TEXT_BYTES {
                    return Err(DecodeError::WrongLength { expected: MAX_TEXT_BYTES, got: text.len() });
                }
                Self::Text(text)
            }
            HAPTICS => Self::Haptics { enabled: r.u16_le()? != 0 },
            PAD => Self::Pad(PadState::read(&mut r)?),
            PAD_ARRIVAL => Self::PadArrival(PadArrival {
                pad: pad(r.u8()?.into())?,
                family: PadFamily::of(r.u8()?),
                capabilities: r.u16_le()?,
                buttons: GamepadButtons(r.u32_le()? & KNOWN_BUTTONS),
            }),
            TOUCH => Self::Touch(Touch::read(&mut r)?),
            PEN => Self::Pen(Pen::read(&mut r)?),
            PAD_TOUCH => {
                let (pad, contact) = (pad(r.u8()?.into())?, Contact::of(r.u8()?)?);
                r.skip(1)?;
                let (surface, pointer) = (r.u8()?, r.u32_le()?);
                let (x, y, pressure) = (unit(r.f32_le()?), unit(r.f32_le()?), unit(r.f32_le()?));
                if surface > 1 {
                    return Err(DecodeError::Invalid("touchpad"));
                }
                Self::PadTouch(PadTouch { pad, contact, surface, pointer, x, y, pressure })
            }
            MOTION => {
                let pad = pad(r.u8()?.into())?;
                let gyroscope = match r.u8()? {
                    1 => false,
                    2 => true,
                    _ => return Err(DecodeError::Invalid("motion sensor")),
                };
                r.skip(2)?;
                Self::Motion(Motion { pad, gyroscope, axes: [r.f32_le()?, r.f32_le()?, r.f32_le()?] })
            }
            BATTERY => {
                let (pad, state, percent) = (pad(r.u8()?.into())?, BatteryState::of(r.u8()?), r.u8()?);
                r.skip(1)?;
                Self::Battery(Battery { pad, state, percent: (percent <= 100).then_some(percent) })
            }
            unknown => Self::Unknown(unknown),
        })
    }
}

impl PadState {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.skip(2)?;
        let (pad, active) = (pad(r.u16_le()?)?, r.u16_le()?);
        r.skip(2)?;
        let (low, triggers) = (r.u16_le()?, r.array()?);
        let sticks = [r.i16_le()?, r.i16_le()?, r.i16_le()?, r.i16_le()?];
        r.skip(2)?;
        let buttons = GamepadButtons((u32::from(low) | u32::from(r.u16_le()?) << 16) & KNOWN_BUTTONS);
        r.skip(2)?;
        Ok(Self { pad, active, buttons, triggers, sticks })
    }

    /// Whether the client still has this pad. The other bits of the mask speak of other pads and may be stale.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        self.active >> self.pad & 1 == 1
    }
}

impl Touch {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let contact = Contact::of(r.u8()?)?;
        r.skip(1)?;
        Ok(Self {
            contact,
            rotation_deg: degrees(r.u16_le()?),
            pointer: r.u32_le()?,
            x: unit(r.f32_le()?),
            y: unit(r.f32_le()?),
            pressure: unit(r.f32_le()?),
            area: [unit(r.f32_le()?), unit(r.f32_le()?)],
        })
    }
}

impl Pen {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let contact = Contact::of(r.u8()?)?;
        let eraser = match r.u8()? {
            1 => Some(false),
            2 => Some(true),
            _ => None,
        };
        let buttons = r.u8()?;
        r.skip(1)?;
        let (x, y, pressure) = (unit(r.f32_le()?), unit(r.f32_le()?), unit(r.f32_le()?));
        let (rotation_deg, tilt) = (degrees(r.u16_le()?), r.u8()?);
        r.skip(1)?;
        let _area = [r.f32_le()?, r.f32_le()?];
        let tilt_deg = (tilt <= 90).then_some(tilt);
        Ok(Self { contact, eraser, buttons, x, y, pressure, rotation_deg, tilt_deg })
    }
}

impl Contact {
    fn of(number: u8) -> Result<Self, DecodeError> {
        Ok(match number {
            0 => Self::Hover,
            1 => Self::Down,
            2 => Self::Up,
            3 => Self::Move,
            4 => Self::Cancel,
            5 => Self::ButtonOnly,
            6 => Self::HoverLeave,
            7 => Self::CancelAll,
            _ => return Err(DecodeError::Invalid("touch event")),
        })
    }
}

impl PadFamily {
    const fn of(number: u8) -> Self {
        match number {
            1 => Self::Xbox,
            2 => Self::PlayStation,
            3 => Self::Nintendo,
            4 => Self::Steam,
            _ => Self::Unknown,
        }
    }
}

impl BatteryState {
    const fn of(number: u8) -> Self {
        match number {
            1 => Self::Absent,
            2 => Self::Discharging,
            3 => Self::Charging,
            4 => Self::PluggedNotCharging,
            5 => Self::Full,
            _ => Self::Unknown,
        }
    }
}

/// A coordinate within an extent, of which the wire has one less.
fn along(at: i16, last: i16) -> Result<(u16, u16), DecodeError> {
    let last = u16::try_from(last).ok().filter(|last| *last > 0).ok_or(DecodeError::Invalid("coordinate space"))?;
    Ok((u16::try_from(at).unwrap_or(0).min(last), last + 1))
}

fn pad(number: u16) -> Result<u8, DecodeError> {
    u8::try_from(number).ok().filter(|pad| *pad < MAX_PADS).ok_or(DecodeError::Invalid("pad index"))
}

fn degrees(number: u16) -> Option<u16> {
    (number < 360).then_some(number)
}

/// Clamped to 0.0..=1.0, without a negative zero.
fn unit(v: f32) -> f32 {
    if v > 0.0 { v.min(1.0) } else { 0.0 }
}

const KEY_DOWN: u32 = 0x03;
const KEY_UP: u32 = 0x04;
const MOUSE_MOVE_ABS: u32 = 0x05;
const MOUSE_MOVE: u32 = 0x07;
const BUTTON_DOWN: u32 = 0x08;
const BUTTON_UP: u32 = 0x09;
const SCROLL: u32 = 0x0a;
const PAD: u32 = 0x0c;
const HAPTICS: u32 = 0x0d;
const TEXT: u32 = 0x17;
const SCROLL_HORIZONTAL: u32 = 0x5500_0001;
const TOUCH: u32 = 0x5500_0002;
const PEN: u32 = 0x5500_0003;
const PAD_ARRIVAL: u32 = 0x5500_0004;
const PAD_TOUCH: u32 = 0x5500_0005;
const MOTION: u32 = 0x5500_0006;
const BATTERY: u32 = 0x5500_0007;

const NOT_NORMALISED: u8 = 0x01;
/// §7.4.
const MAX_TEXT_BYTES: usize = 32;
/// Every button of §7.6; the core numbers them alike.
const KNOWN_BUTTONS: u32 = 0x3f_f7ff;
