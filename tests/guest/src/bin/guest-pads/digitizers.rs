//! A pen and a touch screen.

use evdev::{AbsoluteAxisCode, Device, EventSummary, KeyCode};
use punktfunk_core::datagram::{PenSample, PenState, PenTool};
use punktfunk_inject::digitizer::{Pen, Touchscreen};
use punktfunk_media::InputAction;

use crate::nodes::{wait_axis, wait_key};
use crate::wait;

pub fn pen() {
    let mut pen = Pen::plug(OUTPUT).expect("a pen");
    let node = named(&Pen::name(OUTPUT).name);
    assert!(node.properties().contains(evdev::PropType::DIRECT));
    let touching = PenState::IN_RANGE | PenState::TOUCHING;
    let sample = PenSample {
        state: touching | PenState::BARREL2,
        tool: PenTool::Pen,
        x: 0.25,
        y: 0.75,
        pressure: 30_000,
        tilt_deg: Some(40),
        azimuth_deg: Some(90),
        ..PenSample::default()
    };
    pen.apply(&sample).expect("a sample");
    wait_axis(&node, AbsoluteAxisCode::ABS_X, 16384);
    wait_axis(&node, AbsoluteAxisCode::ABS_Y, 49152);
    wait_axis(&node, AbsoluteAxisCode::ABS_PRESSURE, 31_776);
    wait_axis(&node, AbsoluteAxisCode::ABS_TILT_X, 40 * 64 + 1);
    for key in [KeyCode::BTN_TOOL_PEN, KeyCode::BTN_TOUCH, KeyCode::BTN_STYLUS2] {
        wait_key(&node, key, true);
    }
    pen.apply(&PenSample { state: PenState::IN_RANGE, tool: PenTool::Eraser, ..sample }).expect("a sample");
    wait_key(&node, KeyCode::BTN_TOOL_RUBBER, true);
    for key in [KeyCode::BTN_TOOL_PEN, KeyCode::BTN_TOUCH, KeyCode::BTN_STYLUS2] {
        wait_key(&node, key, false);
    }
    pen.release().expect("released");
    wait_key(&node, KeyCode::BTN_TOOL_RUBBER, false);
}

pub fn touch_screen() {
    let mut screen = Touchscreen::plug(OUTPUT).expect("a touch screen");
    let mut node = named(&Touchscreen::name(OUTPUT).name);
    for id in 0..10 {
        screen.apply(&InputAction::TouchDown { id, x: f64::from(id) / 10.0, y: 0.5 }).expect("a finger");
    }
    screen.apply(&InputAction::TouchMove { id: 0, x: 1.0, y: 1.0 }).expect("a move");
    wait_key(&node, KeyCode::BTN_TOUCH, true);
    wait_axis(&node, AbsoluteAxisCode::ABS_X, 65_535);
    for id in 0..10 {
        screen.apply(&InputAction::TouchUp { id }).expect("a finger");
    }
    wait_key(&node, KeyCode::BTN_TOUCH, false);
    let (mut down, mut up) = (0, 0);
    while up < 10 {
        for event in node.fetch_events().expect("events") {
            if let EventSummary::AbsoluteAxis(_, AbsoluteAxisCode::ABS_MT_TRACKING_ID, id) = event.destructure() {
                if id < 0 { up += 1 } else { down += 1 }
            }
        }
    }
    assert_eq!(down, 10);
}

const OUTPUT: &str = "HEADLESS-7";

fn named(name: &str) -> Device {
    wait(name, || evdev::enumerate().map(|(_, device)| device).find(|device| device.name() == Some(name)))
}
