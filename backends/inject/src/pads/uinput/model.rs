//! How pads that the kernel's own drivers serve look as evdev devices. Numbers: Linux `drivers/input/joystick/xpad.c` and
//! `drivers/hid/hid-nintendo.c` as of 6.12, read for what their devices report; SDL's mappings are keyed on them.

use punktfunk_core::input::GamepadButtons as B;
use punktfunk_media::{PadKind, PadReport};

/// One kind of evdev gamepad.
#[derive(Debug)]
pub(super) struct Model {
    pub name: &'static str,
    pub vendor: u16,
    pub product: u16,
    pub version: u16,
    /// Which key a button is.
    pub keys: &'static [(B, u16)],
    pub stick: Axis,
    pub triggers: Triggers,
}

/// Range and noise of an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub min: i32,
    pub max: i32,
    pub fuzz: i32,
    pub flat: i32,
}

/// What the triggers are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Triggers {
    /// Axes from 0 to this.
    Axes(i32),
    /// Buttons.
    Keys,
}

impl Model {
    /// The model of a kind; `None` for kinds that are HID devices.
    pub const fn of(kind: PadKind) -> Option<&'static Self> {
        match kind {
            PadKind::Xbox360 => Some(&XBOX_360),
            PadKind::XboxOne => Some(&XBOX_SERIES),
            PadKind::SwitchPro => Some(&SWITCH_PRO),
            PadKind::DualShock4 | PadKind::DualSense | PadKind::DualSenseEdge => None,
        }
    }

    /// Every key that it has.
    pub fn all_keys(&self) -> impl Iterator<Item = u16> {
        let triggers: &[u16] = if matches!(self.triggers, Triggers::Keys) { &[BTN_TL2, BTN_TR2] } else { &[] };
        self.keys.iter().map(|(_, code)| *code).chain(triggers.iter().copied())
    }

    /// Every axis that it has.
    pub fn axes(&self) -> Vec<(u16, Axis)> {
        let hat = Axis { min: -1, max: 1, fuzz: 0, flat: 0 };
        let mut axes: Vec<_> = [ABS_X, ABS_Y, ABS_RX, ABS_RY].map(|code| (code, self.stick)).into();
        if let Triggers::Axes(max) = self.triggers {
            axes.extend([ABS_Z, ABS_RZ].map(|code| (code, Axis { min: 0, max, fuzz: 0, flat: 0 })));
        }
        axes.extend([ABS_HAT0X, ABS_HAT0Y].map(|code| (code, hat)));
        axes
    }

    /// What brings a pad from `from` to `to`, as (type, code, value).
    pub fn changes(&self, from: &PadReport, to: &PadReport, mut change: impl FnMut(u16, u16, i32)) {
        for (button, code) in self.keys {
            let (was, is) = (from.buttons.contains(*button), to.buttons.contains(*button));
            if was != is {
                change(EV_KEY, *code, is.into());
            }
        }
        let (old, new) = (self.positions(from), self.positions(to));
        for ((kind, code, was), (_, _, is)) in old.into_iter().zip(new) {
            if was != is {
                change(kind, code, is);
            }
        }
    }

    /// Where everything is that moves.
    fn positions(&self, report: &PadReport) -> [(u16, u16, i32); 8] {
        let stick = |v: i16| i32::from(v).clamp(self.stick.min, self.stick.max);
        // Up is negative here; the lowest value has no opposite.
        let upright = |v: i16| (-i32::from(v)).clamp(self.stick.min, self.stick.max);
        let trigger = |axis, key, v: u8| match self.triggers {
            Triggers::Axes(max) => (EV_ABS, axis, i32::from(v) * max / i32::from(u8::MAX)),
            Triggers::Keys => (EV_KEY, key, (v >= PRESSED).into()),
        };
        let direction =
            |less, more| i32::from(report.buttons.contains(more)) - i32::from(report.buttons.contains(less));
        [
            (EV_ABS, ABS_X, stick(report.left_x)),
            (EV_ABS, ABS_Y, upright(report.left_y)),
            (EV_ABS, ABS_RX, stick(report.right_x)),
            (EV_ABS, ABS_RY, upright(report.right_y)),
            trigger(ABS_Z, BTN_TL2, report.left_trigger),
            trigger(ABS_RZ, BTN_TR2, report.right_trigger),
            (EV_ABS, ABS_HAT0X, direction(B::LEFT, B::RIGHT)),
            (EV_ABS, ABS_HAT0Y, direction(B::UP, B::DOWN)),
        ]
    }
}

static XBOX_360: Model = Model {
    name: "Microsoft X-Box 360 pad",
    vendor: 0x045e,
    product: 0x028e,
    version: 0x0114,
    keys: &XBOX_KEYS,
    stick: Axis { min: -32768, max: 32767, fuzz: 16, flat: 128 },
    triggers: Triggers::Axes(255),
};

/// The Series pad is what Xbox One pads became; it has the button for sharing, too.
static XBOX_SERIES: Model = Model {
    name: "Microsoft Xbox Series S|X Controller",
    vendor: 0x045e,
    product: 0x0b12,
    version: 0x0507,
    keys: &[
        (B::A, BTN_SOUTH),
        (B::B, BTN_EAST),
        (B::X, BTN_NORTH),
        (B::Y, BTN_WEST),
        (B::LB, BTN_TL),
        (B::RB, BTN_TR),
        (B::BACK, BTN_SELECT),
        (B::START, BTN_START),
        (B::GUIDE, BTN_MODE),
        (B::LEFT_STICK, BTN_THUMBL),
        (B::RIGHT_STICK, BTN_THUMBR),
        (B::MISC, KEY_RECORD),
    ],
    stick: Axis { min: -32768, max: 32767, fuzz: 16, flat: 128 },
    triggers: Triggers::Axes(1023),
};

/// Xbox pads have X at the left and Y on top, and their driver calls them by letter: `BTN_X` is the code of `BTN_NORTH`.
static XBOX_KEYS: [(B, u16); 11] = [
    (B::A, BTN_SOUTH),
    (B::B, BTN_EAST),
    (B::X, BTN_NORTH),
    (B::Y, BTN_WEST),
    (B::LB, BTN_TL),
    (B::RB, BTN_TR),
    (B::BACK, BTN_SELECT),
    (B::START, BTN_START),
    (B::GUIDE, BTN_MODE),
    (B::LEFT_STICK, BTN_THUMBL),
    (B::RIGHT_STICK, BTN_THUMBR),
];

/// By position: the wire's A is the button below, which a Switch pad calls B.
static SWITCH_PRO: Model = Model {
    name: "Nintendo Switch Pro Controller",
    vendor: 0x057e,
    product: 0x2009,
    version: 0x8111,
    keys: &[
        (B::A, BTN_SOUTH),
        (B::B, BTN_EAST),
        (B::X, BTN_WEST),
        (B::Y, BTN_NORTH),
        (B::MISC, BTN_Z),
        (B::LB, BTN_TL),
        (B::RB, BTN_TR),
        (B::BACK, BTN_SELECT),
        (B::START, BTN_START),
        (B::GUIDE, BTN_MODE),
        (B::LEFT_STICK, BTN_THUMBL),
        (B::RIGHT_STICK, BTN_THUMBR),
    ],
    stick: Axis { min: -32767, max: 32767, fuzz: 250, flat: 500 },
    triggers: Triggers::Keys,
};

/// A trigger that is a button counts as pressed from a quarter of its way on.
const PRESSED: u8 = 64;

// linux/input-event-codes.h
pub(super) const EV_KEY: u16 = 0x01;
pub(super) const EV_ABS: u16 = 0x03;
const ABS_X: u16 = 0x00;
const ABS_Y: u16 = 0x01;
const ABS_Z: u16 = 0x02;
const ABS_RX: u16 = 0x03;
const ABS_RY: u16 = 0x04;
const ABS_RZ: u16 = 0x05;
const ABS_HAT0X: u16 = 0x10;
const ABS_HAT0Y: u16 = 0x11;
const KEY_RECORD: u16 = 167;
const BTN_SOUTH: u16 = 0x130;
const BTN_EAST: u16 = 0x131;
const BTN_NORTH: u16 = 0x133;
const BTN_WEST: u16 = 0x134;
const BTN_Z: u16 = 0x135;
const BTN_TL: u16 = 0x136;
const BTN_TR: u16 = 0x137;
const BTN_TL2: u16 = 0x138;
const BTN_TR2: u16 = 0x139;
const BTN_SELECT: u16 = 0x13a;
const BTN_START: u16 = 0x13b;
const BTN_MODE: u16 = 0x13c;
const BTN_THUMBL: u16 = 0x13d;
const BTN_THUMBR: u16 = 0x13e;

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(kind: PadKind, from: &PadReport, to: &PadReport) -> Vec<(u16, u16, i32)> {
        let mut all = Vec::new();
        Model::of(kind).expect("an evdev kind").changes(from, to, |t, c, v| all.push((t, c, v)));
        all
    }

    #[test]
    fn every_position_has_its_code() {
        let still = PadReport::default();
        let one = |buttons| PadReport { buttons, ..still };
        for (kind, button, expected) in [
            (PadKind::Xbox360, B::X, (EV_KEY, 0x133, 1)),
            (PadKind::Xbox360, B::Y, (EV_KEY, 0x134, 1)),
            (PadKind::XboxOne, B::MISC, (EV_KEY, 167, 1)),
            (PadKind::SwitchPro, B::X, (EV_KEY, 0x134, 1)),
            (PadKind::SwitchPro, B::Y, (EV_KEY, 0x133, 1)),
            (PadKind::SwitchPro, B::MISC, (EV_KEY, 0x135, 1)),
            (PadKind::Xbox360, B::UP, (EV_ABS, 0x11, -1)),
            (PadKind::SwitchPro, B::RIGHT, (EV_ABS, 0x10, 1)),
        ] {
            assert_eq!(changes(kind, &still, &one(button)), [expected], "{kind:?} {button:?}");
            let (t, code, _) = expected;
            assert_eq!(changes(kind, &one(button), &still), [(t, code, 0)], "{kind:?} {button:?}");
        }
        assert_eq!(changes(PadKind::Xbox360, &still, &one(B::MISC)), [], "a 360 pad has no such button");
        assert_eq!(changes(PadKind::Xbox360, &still, &one(B::LEFT | B::RIGHT)), [], "both is neither");
    }

    #[test]
    fn sticks_point_up_and_triggers_reach_their_ends() {
        let pushed = PadReport {
            left_x: i16::MIN,
            left_y: i16::MAX,
            right_y: i16::MIN,
            left_trigger: 255,
            right_trigger: 63,
            ..PadReport::default()
        };
        let still = PadReport::default();
        let x360 = [(EV_ABS, 0, -32768), (EV_ABS, 1, -32767), (EV_ABS, 4, 32767), (EV_ABS, 2, 255), (EV_ABS, 5, 63)];
        assert_eq!(changes(PadKind::Xbox360, &still, &pushed), x360);
        assert_eq!(changes(PadKind::XboxOne, &still, &pushed)[3..], [(EV_ABS, 2, 1023), (EV_ABS, 5, 252)]);
        let switch = [(EV_ABS, 0, -32767), (EV_ABS, 1, -32767), (EV_ABS, 4, 32767), (EV_KEY, BTN_TL2, 1)];
        assert_eq!(changes(PadKind::SwitchPro, &still, &pushed), switch);
        assert_eq!(changes(PadKind::SwitchPro, &pushed, &pushed), []);
    }

    #[test]
    fn no_model_has_a_code_twice() {
        for kind in [PadKind::Xbox360, PadKind::XboxOne, PadKind::SwitchPro] {
            let model = Model::of(kind).expect("an evdev kind");
            let mut keys: Vec<_> = model.all_keys().collect();
            let count = keys.len();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), count, "{}", model.name);
        }
    }
}
