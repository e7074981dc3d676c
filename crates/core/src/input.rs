//! Input events, the 18 bytes of datagram 0xC8 and control message 0x5C (punktfunk1.md §4.2, §4.3).
//!
//! Decoding validates: an [`InputEvent`] that came from bytes has a button, axis, pad, source and phase that exist and a
//! reference size that can be divided by. Everything else is [`DecodeError::Invalid`] and dropped by the caller.

use alloc::vec::Vec;

use crate::handshake::GamepadKind;
use crate::wire::{Put, Reader, bit_set, wire_enum};
use crate::{DecodeError, Grants};

/// Size of an event on the wire, tag included.
pub const INPUT_EVENT_BYTES: usize = 18;

/// The tag byte in front of every event.
pub const INPUT_TAG: u8 = 0xc8;

/// Pads are numbered 0..16.
pub const MAX_PADS: u8 = 16;

wire_enum! {
    /// The kind byte of an event.
    InputKind: u8 {
        /// A key goes down.
        KeyDown = 0,
        /// A key comes up.
        KeyUp = 1,
        /// Relative pointer motion.
        MouseMove = 2,
        /// Absolute pointer position.
        MouseMoveAbs = 3,
        /// A pointer button goes down.
        MouseButtonDown = 4,
        /// A pointer button comes up.
        MouseButtonUp = 5,
        /// Wheel or precise scrolling, older form.
        MouseScroll = 6,
        /// One gamepad button, older form.
        GamepadButton = 7,
        /// One gamepad axis, older form.
        GamepadAxis = 8,
        /// A contact goes down.
        TouchDown = 9,
        /// A contact moves.
        TouchMove = 10,
        /// A contact is lifted.
        TouchUp = 11,
        /// A whole gamepad.
        GamepadState = 12,
        /// A gamepad was unplugged.
        GamepadRemove = 13,
        /// A gamepad was plugged in.
        GamepadArrival = 14,
        /// One typed character.
        TextInput = 15,
        /// Scrolling with source and phase.
        Scroll = 16,
    }
}

wire_enum! {
    /// A pointer button.
    MouseButton: u32 {
        /// Left.
        Left = 1,
        /// Middle.
        Middle = 2,
        /// Right.
        Right = 3,
        /// Back.
        X1 = 4,
        /// Forward.
        X2 = 5,
    }
}

wire_enum! {
    /// Direction of a scroll.
    ScrollAxis: u32 {
        /// Up and down.
        Vertical = 0,
        /// Left and right.
        Horizontal = 1,
    }
}

wire_enum! {
    /// What produced a [`InputEvent::Scroll`]; it sets the unit of the distance.
    ScrollSource: u8 {
        /// Not known; unit 1/120 detent.
        Unknown = 0,
        /// A wheel with detents; unit 1/120 detent.
        Wheel = 1,
        /// A finger on a touchpad; device-independent pixels, 60 per detent.
        Finger = 2,
        /// Anything continuous; device-independent pixels.
        Continuous = 3,
        /// A finger on the client's screen; device-independent pixels.
        Touch = 4,
        /// A gamepad used as a mouse; device-independent pixels.
        Controller = 5,
    }
}

wire_enum! {
    /// Where in a gesture a [`InputEvent::Scroll`] stands.
    ScrollPhase: u8 {
        /// No gesture.
        None = 0,
        /// Fingers down.
        Begin = 1,
        /// Fingers move.
        Update = 2,
        /// Fingers lifted.
        End = 3,
        /// Gesture cancelled.
        Cancel = 4,
        /// Inertia begins.
        MomentumBegin = 5,
        /// Inertia.
        Momentum = 6,
        /// Inertia ends.
        MomentumEnd = 7,
    }
}

wire_enum! {
    /// A gamepad axis of the older form.
    GamepadAxis: u32 {
        /// Left stick, + right.
        LeftX = 0,
        /// Left stick, + up.
        LeftY = 1,
        /// Right stick, + right.
        RightX = 2,
        /// Right stick, + up.
        RightY = 3,
        /// Left trigger.
        LeftTrigger = 4,
        /// Right trigger.
        RightTrigger = 5,
    }
}

bit_set! {
    /// Gamepad buttons.
    GamepadButtons: u32 {
        /// D-pad up.
        UP = 0x0001,
        /// D-pad down.
        DOWN = 0x0002,
        /// D-pad left.
        LEFT = 0x0004,
        /// D-pad right.
        RIGHT = 0x0008,
        /// Start, menu.
        START = 0x0010,
        /// Back, view.
        BACK = 0x0020,
        /// Left stick pressed.
        LEFT_STICK = 0x0040,
        /// Right stick pressed.
        RIGHT_STICK = 0x0080,
        /// Left shoulder.
        LB = 0x0100,
        /// Right shoulder.
        RB = 0x0200,
        /// Guide.
        GUIDE = 0x0400,
        /// South.
        A = 0x1000,
        /// East.
        B = 0x2000,
        /// West.
        X = 0x4000,
        /// North.
        Y = 0x8000,
        /// Right upper paddle.
        PADDLE1 = 0x1_0000,
        /// Left upper paddle.
        PADDLE2 = 0x2_0000,
        /// Right lower paddle.
        PADDLE3 = 0x4_0000,
        /// Left lower paddle.
        PADDLE4 = 0x8_0000,
        /// Touchpad click.
        TOUCHPAD = 0x10_0000,
        /// Share, capture, mute.
        MISC = 0x20_0000,
    }
}

/// A whole gamepad at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct GamepadState {
    /// 0..[`MAX_PADS`].
    pub pad: u8,
    /// Per-pad wrapping counter, shared with [`InputEvent::GamepadRemove`]; see [`seq_is_newer`].
    pub seq: u8,
    /// Buttons held.
    pub buttons: GamepadButtons,
    /// Left stick, + right.
    pub left_x: i16,
    /// Left stick, + up.
    pub left_y: i16,
    /// Right stick, + right.
    pub right_x: i16,
    /// Right stick, + up.
    pub right_y: i16,
    /// Left trigger.
    pub left_trigger: u8,
    /// Right trigger.
    pub right_trigger: u8,
}

/// One input event from the client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum InputEvent {
    /// A key by its position on a US layout, as a Windows virtual-key code (module `keys`).
    Key {
        /// Virtual-key code.
        vk: u32,
        /// Pressed or released.
        down: bool,
    },
    /// Relative pointer motion in pixels.
    MouseMove {
        /// Right.
        dx: i32,
        /// Down.
        dy: i32,
    },
    /// Absolute pointer position.
    MouseMoveAbs {
        /// From the left edge, in units of `ref_width`.
        x: i32,
        /// From the top edge, in units of `ref_height`.
        y: i32,
        /// Width of the coordinate space, > 0.
        ref_width: u16,
        /// Height of the coordinate space, > 0.
        ref_height: u16,
    },
    /// A pointer button.
    MouseButton {
        /// Which.
        button: MouseButton,
        /// Pressed or released.
        down: bool,
    },
    /// Scrolling, older form.
    MouseScroll {
        /// Direction.
        axis: ScrollAxis,
        /// 1/120 of a detent, + up or right.
        delta: i32,
        /// A distance instead of detents: 120 units are 10 pixels.
        precise: bool,
    },
    /// One gamepad button, older form.
    GamepadButton {
        /// 0..[`MAX_PADS`].
        pad: u8,
        /// Exactly one bit.
        button: GamepadButtons,
        /// Pressed or released.
        down: bool,
    },
    /// One gamepad axis, older form.
    GamepadAxis {
        /// 0..[`MAX_PADS`].
        pad: u8,
        /// Which.
        axis: GamepadAxis,
        /// Sticks -32768..=32767, triggers 0..=255.
        value: i32,
    },
    /// A contact goes down.
    TouchDown(Contact),
    /// A contact moves.
    TouchMove(Contact),
    /// A contact is lifted.
    TouchUp {
        /// Contact id.
        id: u32,
    },
    /// A whole gamepad.
    GamepadState(GamepadState),
    /// A gamepad was unplugged.
    GamepadRemove {
        /// 0..[`MAX_PADS`].
        pad: u8,
        /// See [`GamepadState::seq`].
        seq: u8,
    },
    /// A gamepad was plugged in.
    GamepadArrival {
        /// 0..[`MAX_PADS`].
        pad: u8,
        /// Model.
        kind: GamepadKind,
        /// The client renders the pad's haptics audio.
        haptics_audio: bool,
        /// The client renders the pad's speaker.
        speaker_audio: bool,
    },
    /// One typed Unicode scalar, whatever the layout.
    Text(char),
    /// Scrolling with source and phase.
    Scroll(Scroll),
}

/// A touch contact in its coordinate space.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Contact {
    /// Contact id.
    pub id: u32,
    /// From the left edge, in units of `ref_width`.
    pub x: i32,
    /// From the top edge, in units of `ref_height`.
    pub y: i32,
    /// Width of the coordinate space, > 0.
    pub ref_width: u16,
    /// Height of the coordinate space, > 0.
    pub ref_height: u16,
}

/// Scrolling with source and phase (kind 16). Only combinations that [`Scroll::is_valid`] accepts cross the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scroll {
    /// Direction.
    pub axis: ScrollAxis,
    /// Distance in 1/256 of the source's unit, + up or right.
    pub delta_q8: i32,
    /// What produced it.
    pub source: ScrollSource,
    /// Where in a gesture.
    pub phase: ScrollPhase,
}

impl Scroll {
    /// The rules of kind 16: ends carry no distance, wheels know no phases, and only fingers have inertia.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        use {ScrollPhase as P, ScrollSource as S};
        let still = !matches!(self.phase, P::End | P::Cancel | P::MomentumEnd) || self.delta_q8 == 0;
        let phased = match self.source {
            S::Unknown | S::Wheel => matches!(self.phase, P::None),
            S::Controller => !matches!(self.phase, P::MomentumBegin | P::Momentum | P::MomentumEnd),
            S::Finger | S::Continuous | S::Touch => true,
        };
        still && phased
    }
}

impl InputEvent {
    /// The kind byte.
    #[must_use]
    pub const fn kind(&self) -> InputKind {
        match self {
            Self::Key { down: true, .. } => InputKind::KeyDown,
            Self::Key { down: false, .. } => InputKind::KeyUp,
            Self::MouseMove { .. } => InputKind::MouseMove,
            Self::MouseMoveAbs { .. } => InputKind::MouseMoveAbs,
            Self::MouseButton { down: true, .. } => InputKind::MouseButtonDown,
            Self::MouseButton { down: false, .. } => InputKind::MouseButtonUp,
            Self::MouseScroll { .. } => InputKind::MouseScroll,
            Self::GamepadButton { .. } => InputKind::GamepadButton,
            Self::GamepadAxis { .. } => InputKind::GamepadAxis,
            Self::TouchDown(_) => InputKind::TouchDown,
            Self::TouchMove(_) => InputKind::TouchMove,
            Self::TouchUp { .. } => InputKind::TouchUp,
            Self::GamepadState(_) => InputKind::GamepadState,
            Self::GamepadRemove { .. } => InputKind::GamepadRemove,
            Self::GamepadArrival { .. } => InputKind::GamepadArrival,
            Self::Text(_) => InputKind::TextInput,
            Self::Scroll(_) => InputKind::Scroll,
        }
    }

    /// Reads an event with its tag byte; bytes behind the 18 are ignored.
    ///
    /// # Errors
    /// [`DecodeError`]: another tag, too short, an unknown kind, or a value that the kind does not allow.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        match r.u8()? {
            INPUT_TAG => Self::read(&mut r),
            tag => Err(DecodeError::UnknownType(tag)),
        }
    }

    /// Reads the 17 bytes behind the tag.
    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = r.u8()?;
        let raw = Raw { code: r.u32()?, x: r.i32()?, y: r.i32()?, flags: r.u32()? };
        raw.event(InputKind::from_wire(kind).ok_or(DecodeError::UnknownType(kind))?)
    }

    /// Appends the 18 bytes. The event must keep the ranges written at its fields; a receiver drops it otherwise.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let raw = Raw::of(self);
        out.put_u8(INPUT_TAG).put_u8(self.kind().wire());
        out.put_u32(raw.code).put_i32(raw.x).put_i32(raw.y).put_u32(raw.flags);
    }
}

/// What a client must have been granted for `event` to act (punktfunk1.md §2.6).
#[must_use]
pub const fn required_grant(event: &InputEvent) -> Grants {
    match event.kind() {
        InputKind::KeyDown | InputKind::KeyUp | InputKind::TextInput => Grants::KEYBOARD,
        InputKind::GamepadButton
        | InputKind::GamepadAxis
        | InputKind::GamepadState
        | InputKind::GamepadRemove
        | InputKind::GamepadArrival => Grants::GAMEPAD,
        InputKind::MouseMove
        | InputKind::MouseMoveAbs
        | InputKind::MouseButtonDown
        | InputKind::MouseButtonUp
        | InputKind::MouseScroll
        | InputKind::TouchDown
        | InputKind::TouchMove
        | InputKind::TouchUp
        | InputKind::Scroll => Grants::POINTER,
    }
}

/// Whether a wrapping counter of pad snapshots, removals and rumble moved forward. The first one is always accepted.
#[must_use]
pub const fn seq_is_newer(seq: u8, last: Option<u8>) -> bool {
    match last {
        None => true,
        Some(last) => seq.wrapping_sub(last) as i8 > 0,
    }
}

/// The four numbers behind the kind byte.
#[derive(Default)]
struct Raw {
    code: u32,
    x: i32,
    y: i32,
    flags: u32,
}

impl Raw {
    fn event(self, kind: InputKind) -> Result<InputEvent, DecodeError> {
        let Self { code, x, y, flags } = self;
        Ok(match kind {
            InputKind::KeyDown => InputEvent::Key { vk: code, down: true },
            InputKind::KeyUp => InputEvent::Key { vk: code, down: false },
            InputKind::MouseMove => InputEvent::MouseMove { dx: x, dy: y },
            InputKind::MouseMoveAbs => {
                let Contact { ref_width, ref_height, .. } = self.contact()?;
                InputEvent::MouseMoveAbs { x, y, ref_width, ref_height }
            }
            InputKind::MouseButtonDown => InputEvent::MouseButton { button: self.button()?, down: true },
            InputKind::MouseButtonUp => InputEvent::MouseButton { button: self.button()?, down: false },
            InputKind::MouseScroll => {
                InputEvent::MouseScroll { axis: self.scroll_axis()?, delta: x, precise: flags & 1 != 0 }
            }
            InputKind::GamepadButton if code.count_ones() != 1 => {
                return Err(DecodeError::Invalid("gamepad button: not one bit"));
            }
            InputKind::GamepadButton => {
                InputEvent::GamepadButton { pad: pad(flags)?, button: GamepadButtons(code), down: x != 0 }
            }
            InputKind::GamepadAxis => {
                let axis = GamepadAxis::from_wire(code).ok_or(DecodeError::Invalid("gamepad axis"))?;
                InputEvent::GamepadAxis { pad: pad(flags)?, axis, value: axis.clamp(x) }
            }
            InputKind::TouchDown => InputEvent::TouchDown(self.contact()?),
            InputKind::TouchMove => InputEvent::TouchMove(self.contact()?),
            InputKind::TouchUp => InputEvent::TouchUp { id: code },
            InputKind::GamepadState => InputEvent::GamepadState(GamepadState {
                pad: pad(flags & 0xff)?,
                seq: (flags >> 24) as u8,
                buttons: GamepadButtons(code),
                left_x: (x >> 16) as i16,
                left_y: x as i16,
                right_x: (y >> 16) as i16,
                right_y: y as i16,
                left_trigger: (flags >> 16) as u8,
                right_trigger: (flags >> 8) as u8,
            }),
            InputKind::GamepadRemove => InputEvent::GamepadRemove { pad: pad(flags & 0xff)?, seq: (flags >> 24) as u8 },
            InputKind::GamepadArrival => InputEvent::GamepadArrival {
                pad: pad(flags & 0xff)?,
                kind: u8::try_from(code).ok().and_then(GamepadKind::from_wire).unwrap_or_default(),
                haptics_audio: flags & 0x100 != 0,
                speaker_audio: flags & 0x200 != 0,
            },
            InputKind::TextInput => {
                InputEvent::Text(char::from_u32(code).ok_or(DecodeError::Invalid("text: not a Unicode scalar"))?)
            }
            InputKind::Scroll => InputEvent::Scroll(self.scroll()?),
        })
    }

    fn of(event: &InputEvent) -> Self {
        let none = Self::default();
        match *event {
            InputEvent::Key { vk, .. } => Self { code: vk, ..none },
            InputEvent::MouseMove { dx, dy } => Self { x: dx, y: dy, ..none },
            InputEvent::MouseMoveAbs { x, y, ref_width, ref_height } => {
                Self { x, y, flags: size(ref_width, ref_height), ..none }
            }
            InputEvent::MouseButton { button, .. } => Self { code: button.wire(), ..none },
            InputEvent::MouseScroll { axis, delta, precise } => {
                Self { code: axis.wire(), x: delta, flags: precise.into(), ..none }
            }
            InputEvent::GamepadButton { pad, button, down } => {
                Self { code: button.0, x: down.into(), flags: pad.into(), ..none }
            }
            InputEvent::GamepadAxis { pad, axis, value } => {
                Self { code: axis.wire(), x: axis.clamp(value), flags: pad.into(), ..none }
            }
            InputEvent::TouchDown(c) | InputEvent::TouchMove(c) => {
                Self { code: c.id, x: c.x, y: c.y, flags: size(c.ref_width, c.ref_height) }
            }
            InputEvent::TouchUp { id } => Self { code: id, ..none },
            InputEvent::GamepadState(s) => Self {
                code: s.buttons.0,
                x: halves(s.left_x, s.left_y),
                y: halves(s.right_x, s.right_y),
                flags: u32::from_be_bytes([s.seq, s.left_trigger, s.right_trigger, s.pad]),
            },
            InputEvent::GamepadRemove { pad, seq } => Self { flags: u32::from_be_bytes([seq, 0, 0, pad]), ..none },
            InputEvent::GamepadArrival { pad, kind, haptics_audio, speaker_audio } => Self {
                code: kind.wire().into(),
                flags: u32::from(pad) | u32::from(haptics_audio) << 8 | u32::from(speaker_audio) << 9,
                ..none
            },
            InputEvent::Text(c) => Self { code: c.into(), ..none },
            InputEvent::Scroll(s) => Self {
                code: s.axis.wire(),
                x: s.delta_q8,
                flags: u32::from(s.source.wire()) | u32::from(s.phase.wire()) << 8,
                ..none
            },
        }
    }

    fn contact(&self) -> Result<Contact, DecodeError> {
        let (ref_width, ref_height) = ((self.flags >> 16) as u16, self.flags as u16);
        if ref_width == 0 || ref_height == 0 {
            return Err(DecodeError::Invalid("coordinate space: empty"));
        }
        Ok(Contact { id: self.code, x: self.x, y: self.y, ref_width, ref_height })
    }

    fn button(&self) -> Result<MouseButton, DecodeError> {
        MouseButton::from_wire(self.code).ok_or(DecodeError::Invalid("mouse button"))
    }

    fn scroll_axis(&self) -> Result<ScrollAxis, DecodeError> {
        ScrollAxis::from_wire(self.code).ok_or(DecodeError::Invalid("scroll axis"))
    }

    fn scroll(&self) -> Result<Scroll, DecodeError> {
        let [source, phase, 0, 0] = self.flags.to_le_bytes() else {
            return Err(DecodeError::Invalid("scroll flags"));
        };
        let scroll = Scroll {
            axis: self.scroll_axis()?,
            delta_q8: self.x,
            source: ScrollSource::from_wire(source).ok_or(DecodeError::Invalid("scroll source"))?,
            phase: ScrollPhase::from_wire(phase).ok_or(DecodeError::Invalid("scroll phase"))?,
        };
        if self.y == 0 && scroll.is_valid() { Ok(scroll) } else { Err(DecodeError::Invalid("scroll")) }
    }
}

impl GamepadAxis {
    /// `value` within what the axis can express.
    #[must_use]
    pub fn clamp(self, value: i32) -> i32 {
        match self {
            Self::LeftTrigger | Self::RightTrigger => value.clamp(0, 255),
            _ => value.clamp(i16::MIN.into(), i16::MAX.into()),
        }
    }
}

fn pad(index: u32) -> Result<u8, DecodeError> {
    u8::try_from(index).ok().filter(|p| *p < MAX_PADS).ok_or(DecodeError::Invalid("pad index"))
}

const fn size(width: u16, height: u16) -> u32 {
    (width as u32) << 16 | height as u32
}

const fn halves(high: i16, low: i16) -> i32 {
    (high as i32) << 16 | low as u16 as i32
}
