//! Pads through uinput.

use std::time::{Duration, Instant};

use evdev::{AbsoluteAxisCode, Device, EventSummary, FFEffectCode, FFEffectData, FFEffectKind, FFReplay, FFTrigger};
use punktfunk_core::input::GamepadButtons as B;
use punktfunk_media::{Pad, PadFeedback, PadKind, PadReport, RumbleLevels};

use crate::nodes::{axis, find, wait_axis, wait_key};
use crate::sdl::{Control, control, guid};
use crate::{plug, wait};

/// Buttons by the names of SDL's mappings, by position.
pub const BUTTONS: [(&str, B); 15] = [
    ("a", B::A),
    ("b", B::B),
    ("x", B::X),
    ("y", B::Y),
    ("back", B::BACK),
    ("start", B::START),
    ("guide", B::GUIDE),
    ("leftshoulder", B::LB),
    ("rightshoulder", B::RB),
    ("leftstick", B::LEFT_STICK),
    ("rightstick", B::RIGHT_STICK),
    ("dpup", B::UP),
    ("dpdown", B::DOWN),
    ("dpleft", B::LEFT),
    ("dpright", B::RIGHT),
];

pub fn xbox_360() {
    let (_pad, device) = as_mapped(
        PadKind::Xbox360,
        "Microsoft X-Box 360 pad",
        "030000005e0400008e02000014010000,Xbox 360 Controller,a:b0,b:b1,back:b6,dpdown:h0.4,dpleft:h0.8,dpright:h0.2,\
         dpup:h0.1,guide:b8,leftshoulder:b4,leftstick:b9,lefttrigger:a2,leftx:a0,lefty:a1,rightshoulder:b5,\
         rightstick:b10,righttrigger:a5,rightx:a3,righty:a4,start:b7,x:b2,y:b3",
        &[],
    );
    let axes = device.get_abs_state().expect("axes");
    let stick = axes[usize::from(AbsoluteAxisCode::ABS_X.0)];
    assert_eq!((stick.minimum, stick.maximum, stick.fuzz, stick.flat), (-32768, 32767, 16, 128));
    assert_eq!(axes[usize::from(AbsoluteAxisCode::ABS_Z.0)].maximum, 255);
}

pub fn xbox_series() {
    let (_pad, device) = as_mapped(
        PadKind::XboxOne,
        "Microsoft Xbox Series S|X Controller",
        "030000005e040000120b000007050000,Xbox Series X Controller,a:b0,b:b1,back:b6,dpdown:h0.4,dpleft:h0.8,\
         dpright:h0.2,dpup:h0.1,guide:b8,leftshoulder:b4,leftstick:b9,lefttrigger:a2,leftx:a0,lefty:a1,misc1:b11,\
         rightshoulder:b5,rightstick:b10,righttrigger:a5,rightx:a3,righty:a4,start:b7,x:b2,y:b3",
        &[("misc1", B::MISC)],
    );
    assert_eq!(device.get_abs_state().expect("axes")[usize::from(AbsoluteAxisCode::ABS_RZ.0)].maximum, 1023);
}

pub fn switch_pro() {
    let (_pad, device) = as_mapped(
        PadKind::SwitchPro,
        "Nintendo Switch Pro Controller",
        "030000007e0500000920000011810000,Nintendo Switch Pro Controller,a:b0,b:b1,back:b9,dpdown:h0.4,dpleft:h0.8,\
         dpright:h0.2,dpup:h0.1,guide:b11,leftshoulder:b5,leftstick:b12,lefttrigger:b7,leftx:a0,lefty:a1,misc1:b4,\
         rightshoulder:b6,rightstick:b13,righttrigger:b8,rightx:a2,righty:a3,start:b10,x:b3,y:b2",
        &[("misc1", B::MISC)],
    );
    let stick = device.get_abs_state().expect("axes")[usize::from(AbsoluteAxisCode::ABS_RY.0)];
    assert_eq!((stick.minimum, stick.maximum, stick.fuzz, stick.flat), (-32767, 32767, 250, 500));
}

/// Plugs a pad in and looks at everything that it has through its mapping.
fn as_mapped(kind: PadKind, name: &str, mapping: &str, more: &[(&str, B)]) -> (Box<dyn Pad>, Device) {
    let (mut pad, _) = plug(0, kind);
    let device = find(0, name);
    mapped(&mut *pad, &device, mapping, more);
    (pad, device)
}

/// Presses, pushes and pulls everything, and looks for it where the mapping says.
pub fn mapped(pad: &mut dyn Pad, device: &Device, mapping: &str, more: &[(&str, B)]) {
    assert!(mapping.starts_with(&guid(device)), "{} is not {mapping}", guid(device));
    for (name, button) in BUTTONS.iter().chain(more) {
        let report = PadReport { buttons: *button, ..PadReport::default() };
        for (report, down) in [(report, true), (PadReport::default(), false)] {
            pad.apply(&report).expect("a report");
            match control(device, mapping, name) {
                Control::Key(key) => wait_key(device, key, down),
                Control::Hat(axis, way) => wait_axis(device, axis, if down { way } else { 0 }),
                Control::Axis(_) => panic!("{name} is an axis"),
            }
        }
    }
    let pushed = PadReport {
        left_x: i16::MAX,
        left_y: i16::MAX,
        right_x: i16::MIN,
        right_y: i16::MIN,
        left_trigger: 255,
        right_trigger: 255,
        ..PadReport::default()
    };
    pad.apply(&pushed).expect("a report");
    let axes = device.get_abs_state().expect("axes");
    for (name, high) in [
        ("leftx", true),
        ("lefty", false), // up
        ("rightx", false),
        ("righty", true), // down
        ("lefttrigger", true),
        ("righttrigger", true),
    ] {
        match control(device, mapping, name) {
            Control::Key(key) => wait_key(device, key, true),
            Control::Axis(axis) => {
                let info = axes[usize::from(axis.0)];
                let end = if high { info.maximum } else { info.minimum };
                // One step short of the end is what the wire's lowest value has as its opposite.
                wait(&format!("{name} at {end}"), || (self::axis(device, axis) - end).abs().le(&1).then_some(()));
            }
            Control::Hat(..) => panic!("{name} is a hat"),
        }
    }
    pad.apply(&PadReport::default()).expect("a report");
    // All of one report comes in one frame.
    if let Control::Axis(stick) = control(device, mapping, "leftx") {
        let middle = (axes[usize::from(stick.0)].minimum + axes[usize::from(stick.0)].maximum + 1) / 2;
        wait_axis(device, stick, middle);
    }
}

pub fn force_feedback() {
    let (mut pad, wishes) = plug(0, PadKind::Xbox360);
    let mut device = find(0, "Microsoft X-Box 360 pad");
    let rumble = |low, high| PadFeedback::Rumble(RumbleLevels { low, high, ..RumbleLevels::default() });
    let effect = |kind, length| FFEffectData {
        direction: 0,
        trigger: FFTrigger::default(),
        replay: FFReplay { length, delay: 0 },
        kind,
    };
    let rumbling = |strong_magnitude, weak_magnitude, length| {
        effect(FFEffectKind::Rumble { strong_magnitude, weak_magnitude }, length)
    };
    assert_eq!(device.max_ff_effects(), 16);
    let began = Instant::now();
    let mut short = device.upload_ff_effect(rumbling(0x4000, 0x2000, 300)).expect("an effect");
    short.play(1).expect("it plays");
    wishes.wait(rumble(0x4000, 0x2000));
    wishes.wait(rumble(0, 0));
    assert!(began.elapsed() >= Duration::from_millis(300), "it ended early: {:?}", began.elapsed());

    let mut endless = device.upload_ff_effect(rumbling(0x1000, 0, 0)).expect("another");
    endless.play(1).expect("it plays");
    wishes.wait(rumble(0x1000, 0));
    short.play(1).expect("it plays again");
    wishes.wait(rumble(0x5000, 0x2000));
    wishes.wait(rumble(0x1000, 0));
    endless.update(rumbling(0x3000, 0x0100, 0)).expect("it changes");
    wishes.wait(rumble(0x3000, 0x0100));
    device.set_ff_gain(0x8000).expect("gain");
    wishes.wait(rumble(0x1800, 0x0080));
    device.set_ff_gain(0xffff).expect("gain");
    wishes.wait(rumble(0x3000, 0x0100));
    endless.stop().expect("it stops");
    wishes.wait(rumble(0, 0));
    endless.play(1).expect("it plays");
    wishes.wait(rumble(0x3000, 0x0100));
    drop(endless);
    wishes.wait(rumble(0, 0));

    let sine = evdev::FFWaveform::Sine;
    let envelope = evdev::FFEnvelope { attack_length: 0, attack_level: 0, fade_length: 0, fade_level: 0 };
    let wave = FFEffectKind::Periodic { waveform: sine, period: 10, magnitude: 0x2000, offset: 0, phase: 0, envelope };
    let mut wave = device.upload_ff_effect(effect(wave, 0)).expect("a wave");
    wave.play(1).expect("it plays");
    wishes.wait(rumble(0x4000, 0x4000));
    drop((wave, short));
    wishes.wait(rumble(0, 0));
    assert!(device.supported_ff().is_some_and(|ff| ff.contains(FFEffectCode::FF_GAIN)));

    // Reports and effects do not get in each other's way.
    pad.apply(&PadReport { buttons: B::A, ..PadReport::default() }).expect("a report");
    let mut pressed = false;
    while !pressed {
        for event in device.fetch_events().expect("events") {
            pressed |= matches!(event.destructure(), EventSummary::Key(_, evdev::KeyCode::BTN_SOUTH, 1));
        }
    }
}
