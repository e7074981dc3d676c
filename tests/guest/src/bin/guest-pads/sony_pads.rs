//! Pads through uhid, driven by hid-playstation.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use evdev::{AbsoluteAxisCode, Device, FFEffectData, FFEffectKind, FFReplay, FFTrigger, KeyCode};
use punktfunk_core::input::GamepadButtons as B;
use punktfunk_media::{
    PadBattery, PadBatteryState, PadFeedback, PadKind, PadMotion, PadReport, PadTouch, RumbleLevels,
};

use crate::evdev_pads::mapped;
use crate::nodes::{entries, find, read, wait_axis, wait_key, write};
use crate::{Wishes, plug, wait};

const DUALSENSE: &str = "Sony Interactive Entertainment DualSense Wireless Controller";
const EDGE: &str = "Sony Interactive Entertainment DualSense Edge Wireless Controller";
const DUALSHOCK_4: &str = "Sony Interactive Entertainment Wireless Controller";
/// Behind the identity, SDL's mappings of these pads are the same.
const MAPPING: &str = "a:b0,b:b1,back:b8,dpdown:h0.4,dpleft:h0.8,dpright:h0.2,dpup:h0.1,guide:b10,leftshoulder:b4,\
                       leftstick:b11,lefttrigger:a2,leftx:a0,lefty:a1,rightshoulder:b5,rightstick:b12,righttrigger:a5,\
                       rightx:a3,righty:a4,start:b9,x:b3,y:b2";

pub fn dualsense() {
    driven(PadKind::DualSense, DUALSENSE, "030000004c050000e60c000011810000", 1080);
}

pub fn dualsense_edge() {
    driven(PadKind::DualSenseEdge, EDGE, "030000004c050000f20d000011810000", 1080);
}

pub fn dualshock_4() {
    driven(PadKind::DualShock4, DUALSHOCK_4, "030000004c050000cc09000011810000", 942);
}

/// Everything that such a pad reports, through the driver's nodes.
fn driven(kind: PadKind, name: &str, guid: &str, height: i32) {
    let (mut pad, _) = plug(0, kind);
    let gamepad = find(0, name);
    let sensors = find(0, &format!("{name} Motion Sensors"));
    let touchpad = find(0, &format!("{name} Touchpad"));
    assert!(!entries("/sys/bus/hid/drivers/playstation", |n| n.starts_with("0003:054C:")).is_empty());
    mapped(&mut *pad, &gamepad, &format!("{guid},{name},{MAPPING}"), &[]);

    let motion = PadMotion { gyro: [20 * 90, -20 * 45, 20], accel: [10_000, -5_000, 0] };
    let touches = [Some(PadTouch { x: 0x8000, y: 0x8000 }), Some(PadTouch { x: u16::MAX, y: u16::MAX })];
    let battery = PadBattery { state: PadBatteryState::Discharging, percent: Some(47) };
    let report = PadReport { buttons: B::TOUCHPAD, motion, touches, battery, ..PadReport::default() };
    pad.apply(&report).expect("a report");
    wait_axis(&sensors, AbsoluteAxisCode::ABS_RX, 90 * 1024);
    wait_axis(&sensors, AbsoluteAxisCode::ABS_RY, -45 * 1024);
    wait_axis(&sensors, AbsoluteAxisCode::ABS_RZ, 1024);
    wait_axis(&sensors, AbsoluteAxisCode::ABS_X, 8192);
    wait_axis(&sensors, AbsoluteAxisCode::ABS_Y, -4096);
    wait_axis(&sensors, AbsoluteAxisCode::ABS_Z, 0);
    wait_key(&touchpad, KeyCode::BTN_LEFT, true);
    // The single-touch axes follow the oldest finger.
    wait_axis(&touchpad, AbsoluteAxisCode::ABS_X, 1920 / 2);
    wait_axis(&touchpad, AbsoluteAxisCode::ABS_Y, height / 2);
    wait_key(&touchpad, KeyCode::BTN_TOOL_DOUBLETAP, true);
    pad.apply(&PadReport { battery, ..PadReport::default() }).expect("a report");
    wait_key(&touchpad, KeyCode::BTN_TOUCH, false);
    wait_axis(&sensors, AbsoluteAxisCode::ABS_Y, 8192);

    let battery = battery_of(&gamepad);
    wait("the charge", || (read(&battery.join("capacity")) == "45").then_some(()));
    assert_eq!(read(&battery.join("status")), "Discharging");
    drop(pad);
    wait("the end of the pad's nodes", || crate::nodes::opened(0).is_empty().then_some(()));
}

pub fn dualsense_feedback() {
    let (mut pad, wishes) = plug(0, PadKind::DualSense);
    let mut gamepad = find(0, DUALSENSE);
    // What the driver itself wants: its colour and the lights of the first player.
    wishes.wait(PadFeedback::Led([0, 0, 128]));
    wishes.wait(PadFeedback::PlayerLeds(0b00100));
    rumbles(&mut gamepad, &wishes);

    let led = wait("the light bar", || leds(&gamepad, ":rgb:indicator").pop());
    write(&led.join("multi_intensity"), "10 20 30");
    write(&led.join("brightness"), "255");
    wishes.wait(PadFeedback::Led([10, 20, 30]));
    let first = wait("the player lights", || leds(&gamepad, ":white:player-1").pop());
    write(&first.join("brightness"), "1");
    wishes.wait(PadFeedback::PlayerLeds(0b00101));

    // The driver mutes the pad's microphone and lights its lamp.
    pad.apply(&PadReport { buttons: B::MISC, ..PadReport::default() }).expect("a report");
    wishes.wait(PadFeedback::MicLed(1));

    // As games do it, past the driver.
    let mut report = [0_u8; 48];
    report[..2].copy_from_slice(&[2, 0x0c]);
    report[11..22].copy_from_slice(&[0x21, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    report[22..33].copy_from_slice(&[0x26, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    hidraw().write_all(&report).expect("an output report");
    let right = [0x21, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    wishes.wait(PadFeedback::TriggerEffect { right: true, effect: right });
    wishes.wait(PadFeedback::TriggerEffect { right: false, effect: [0x26, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0] });
}

pub fn dualshock_4_feedback() {
    let (_pad, wishes) = plug(0, PadKind::DualShock4);
    let mut gamepad = find(0, DUALSHOCK_4);
    rumbles(&mut gamepad, &wishes);
    wishes.take();
    for (colour, value) in [(":red", "11"), (":green", "22"), (":blue", "33")] {
        let led = wait(colour, || leds(&gamepad, colour).pop());
        write(&led.join("brightness"), value);
    }
    wishes.wait(PadFeedback::Led([11, 22, 33]));
}

/// The driver's own rumble comes back, with its end.
fn rumbles(gamepad: &mut Device, wishes: &Wishes) {
    let kind = FFEffectKind::Rumble { strong_magnitude: 0x8000, weak_magnitude: 0x4000 };
    let replay = FFReplay { length: 100, delay: 0 };
    let data = FFEffectData { direction: 0, trigger: FFTrigger::default(), replay, kind };
    let mut effect = gamepad.upload_ff_effect(data).expect("an effect");
    effect.play(1).expect("it plays");
    let rumble = |low, high| PadFeedback::Rumble(RumbleLevels { low, high, ..RumbleLevels::default() });
    wishes.wait(rumble(0x8080, 0x4040));
    wishes.wait(rumble(0, 0));
}

/// LEDs of the pad with this gamepad node.
fn leds(gamepad: &Device, suffix: &str) -> Vec<PathBuf> {
    let Some(input) = input_name(gamepad) else { return Vec::new() };
    entries("/sys/class/leds", |name| name.strip_suffix(suffix) == Some(&input))
}

/// `inputN` of an event node.
fn input_name(gamepad: &Device) -> Option<String> {
    let event = entries("/sys/class/input", |n| n.starts_with("event")).into_iter().find(|event| {
        read(&event.join("device/name")) == gamepad.name().unwrap_or_default()
            && read(&event.join("device/uniq")) == gamepad.unique_name().unwrap_or_default()
    })?;
    let input = std::fs::canonicalize(event.join("device")).ok()?;
    Some(input.file_name()?.to_string_lossy().into_owned())
}

fn battery_of(gamepad: &Device) -> PathBuf {
    let uniq = gamepad.unique_name().unwrap_or_default().to_owned();
    let name = format!("ps-controller-battery-{uniq}");
    wait("the battery", || entries("/sys/class/power_supply", |n| n == name).pop())
}

/// The only HID device there is.
fn hidraw() -> std::fs::File {
    let node = wait("hidraw", || entries("/dev", |name| name.starts_with("hidraw")).pop());
    OpenOptions::new().read(true).write(true).open(node).expect("hidraw opens")
}
