//! What packets mean together: pads that come and go, fingers, pens, motion, modifiers. Packets are written here as
//! clients write them, field by field.

use proptest::prelude::*;
use punktfunk_core::DecodeError;
use punktfunk_core::datagram::{PenSample, PenState, PenTool, RichInput};
use punktfunk_core::handshake::GamepadKind;
use punktfunk_core::input::{InputEvent as E, MouseButton};
use punktfunk_gamestream::input::{Decoded, InputDecoder};

/// A packet of this type.
fn packet(kind: u32, body: &[&[u8]]) -> Vec<u8> {
    let body = [&kind.to_le_bytes()[..], &body.concat()].concat();
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

fn key(vk: u8, down: bool, flags: u8) -> Vec<u8> {
    packet(if down { 3 } else { 4 }, &[&[flags, vk, 0x80, 0, 0, 0]])
}

fn state(pad: u16, mask: u16, buttons: u16) -> Vec<u8> {
    let fields = [0x1a, pad, mask, 0x14, buttons, 0, 0, 0, 0, 0, 0x9c, 0, 0x55];
    packet(0x0c, &[fields.map(u16::to_le_bytes).as_flattened()])
}

fn arrival(pad: u8, family: u8, capabilities: u16) -> Vec<u8> {
    packet(0x5500_0004, &[&[pad, family], &capabilities.to_le_bytes(), &[0xff; 4]])
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn touch(event: u8, id: u32, x: f32, y: f32) -> Vec<u8> {
    packet(0x5500_0002, &[&[event, 0, 0xff, 0xff], &id.to_le_bytes(), &floats(&[x, y, 0.0, 0.0, 0.0])])
}

fn pen(event: u8, tool: u8, buttons: u8, at: [f32; 3], rotation: u16, tilt: u8) -> Vec<u8> {
    let rotation = rotation.to_le_bytes();
    packet(0x5500_0003, &[&[event, tool, buttons, 0], &floats(&at), &rotation, &[tilt, 0], &floats(&[0.0, 0.0])])
}

fn pad_touch(pad: u8, event: u8, surface: u8, id: u32, x: f32, y: f32) -> Vec<u8> {
    packet(0x5500_0005, &[&[pad, event, 0, surface], &id.to_le_bytes(), &floats(&[x, y, 1.0])])
}

fn motion(pad: u8, kind: u8, axes: [f32; 3]) -> Vec<u8> {
    packet(0x5500_0006, &[&[pad, kind, 0, 0], &floats(&axes)])
}

fn play(decoder: &mut InputDecoder, packets: &[Vec<u8>]) -> Vec<Decoded> {
    let mut out = Vec::new();
    for packet in packets {
        decoder.packet(packet, |decoded| out.push(decoded)).unwrap_or_else(|e| panic!("{packet:02x?}: {e}"));
    }
    out
}

fn events(packets: &[Vec<u8>]) -> Vec<E> {
    play(&mut InputDecoder::new(), packets)
        .into_iter()
        .filter_map(|d| if let Decoded::Event(event) = d { Some(event) } else { None })
        .collect()
}

fn rich(packets: &[Vec<u8>]) -> Vec<RichInput> {
    play(&mut InputDecoder::new(), packets)
        .into_iter()
        .filter_map(|d| if let Decoded::Rich(rich) = d { Some(rich) } else { None })
        .collect()
}

/// What a list of events says of pads.
fn plugged(packets: &[Vec<u8>]) -> Vec<(u8, &'static str, u8)> {
    events(packets)
        .into_iter()
        .map(|event| match event {
            E::GamepadArrival { pad, .. } => (pad, "in", 0),
            E::GamepadState(s) => (s.pad, "state", s.seq),
            E::GamepadRemove { pad, seq } => (pad, "out", seq),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn pads_come_by_arrival_or_by_their_bit_and_go_by_their_own_bit_only() {
    let packets = [
        arrival(0, 1, 0x03),
        state(0, 0b1, 0),
        arrival(0, 1, 0x03),
        // Pad 2's packets know nothing of pad 0 any more: a stale mask.
        state(2, 0b100, 0),
        state(0, 0b1, 0x1000),
        state(1, 0b101, 0),
        state(0, 0b100, 0),
        state(0, 0b100, 0),
        state(0, 0b101, 0),
    ];
    let told = [
        (0, "in", 0),
        (0, "state", 1),
        (2, "in", 0),
        (2, "state", 1),
        (0, "state", 2),
        (0, "out", 3),
        (0, "in", 0),
        (0, "state", 4),
    ];
    assert_eq!(plugged(&packets), told);
}

#[test]
fn the_model_follows_what_the_pad_can_do() {
    let table = [
        (0, 0, GamepadKind::Auto),
        (1, 0x03, GamepadKind::Xbox360),
        (1, 0x07, GamepadKind::XboxOne),
        (2, 0xfb, GamepadKind::DualSense),
        (3, 0x33, GamepadKind::SwitchPro),
        (4, 0x138, GamepadKind::SteamDeck),
        (4, 0x108, GamepadKind::SteamController),
        (9, 0x03, GamepadKind::Auto),
    ];
    for (family, capabilities, expected) in table {
        let E::GamepadArrival { kind, .. } = events(&[arrival(5, family, capabilities)])[0] else { panic!() };
        assert_eq!(kind, expected, "family {family}, capabilities {capabilities:#x}");
    }
}

#[test]
fn fingers_on_a_touchpad_keep_their_numbers() {
    let finger = |finger, active, x| RichInput::Touchpad { pad: 0, finger, active, x, y: 0 };
    let packets = [
        pad_touch(0, 1, 0, 7, 1.0, 0.0), // nobody plugged this pad in yet
        arrival(0, 2, 0xff),
        pad_touch(0, 1, 0, 7, 1.0, 0.0),
        pad_touch(0, 1, 0, 9, 0.5, 0.0),
        pad_touch(0, 1, 0, 11, 0.5, 0.0), // a third finger
        pad_touch(0, 2, 0, 7, 1.0, 0.0),
        pad_touch(0, 3, 0, 9, 0.0, 0.0),
        pad_touch(0, 7, 0, 0, 0.0, 0.0),
    ];
    let expected = [
        finger(0, true, 65_535),
        finger(1, true, 32_768),
        finger(0, false, 65_535),
        finger(1, true, 0),
        finger(1, false, 0),
    ];
    assert_eq!(rich(&packets), expected);
}

#[test]
fn two_touchpads_are_told_apart_and_count_from_their_centre() {
    let packets = [arrival(1, 4, 0x108), pad_touch(1, 1, 0, 1, 0.0, 1.0), pad_touch(1, 1, 1, 1, 1.0, 0.0)];
    let at = |surface, x, y| RichInput::TouchpadExt {
        pad: 1,
        surface,
        finger: 0,
        touch: true,
        click: false,
        x,
        y,
        pressure: 65_535,
    };
    assert_eq!(rich(&packets), [at(1, i16::MIN, i16::MAX), at(2, i16::MAX, i16::MIN)]);
}

#[test]
fn motion_is_scaled_saturated_and_repeats_the_other_sensor() {
    let packets = [
        motion(0, 2, [1.0, 0.0, 0.0]),
        state(0, 1, 0),
        motion(0, 1, [0.0, 9.806_65, -9.806_65]),
        motion(0, 2, [90.0, -0.05, 1e9]),
    ];
    let told = |gyro, accel| RichInput::Motion { pad: 0, gyro, accel };
    let resting = [0, 10_000, -10_000];
    assert_eq!(rich(&packets), [told([0; 3], resting), told([1800, -1, i16::MAX], resting)]);
}

#[test]
fn touch_is_by_finger_and_cancelled_together() {
    let ids = |packets: &[Vec<u8>]| -> Vec<(char, u32)> {
        let told = |event| match event {
            E::TouchDown(c) => ('d', c.id),
            E::TouchMove(c) => ('m', c.id),
            E::TouchUp { id } => ('u', id),
            other => panic!("{other:?}"),
        };
        events(packets).into_iter().map(told).collect()
    };
    let packets = [
        touch(0, 1, 0.1, 0.1),
        touch(3, 1, 0.1, 0.1),
        touch(1, 1, 0.1, 0.1),
        touch(1, 2, 0.1, 0.1),
        touch(1, 1, 0.2, 0.1),
        touch(4, 1, 0.0, 0.0),
        touch(2, 1, 0.0, 0.0),
        touch(1, 3, 0.1, 0.1),
        touch(7, 0, 0.0, 0.0),
    ];
    assert_eq!(ids(&packets), [('d', 1), ('d', 2), ('m', 1), ('u', 1), ('d', 3), ('u', 3), ('u', 2)]);
    let many: Vec<_> = (0..20).map(|id| touch(1, id, 0.0, 0.0)).collect();
    assert_eq!(ids(&many).len(), 16);
}

#[test]
fn coordinates_are_clamped_and_what_is_no_number_is_refused() {
    let E::TouchDown(contact) = events(&[touch(1, 1, -3.0, 7.5)])[0] else { panic!() };
    assert_eq!((contact.x, contact.y), (0, 65_535));
    for bad in [f32::NAN, f32::INFINITY] {
        for packet in [
            touch(1, 1, bad, 0.0),
            pen(1, 1, 0, [0.0, bad, 0.0], 0, 0),
            pad_touch(0, 1, 0, 1, bad, 0.0),
            motion(0, 2, [0.0, 0.0, bad]),
        ] {
            assert!(matches!(InputDecoder::new().packet(&packet, |d| panic!("{d:?}")), Err(DecodeError::Invalid(_))));
        }
    }
    let abs = |x: i16, width: i16| {
        let fields = [x, 5, 0, width, 10].map(i16::to_be_bytes);
        let mut out = None;
        let result = InputDecoder::new().packet(&packet(5, &[fields.as_flattened()]), |d| out = Some(d));
        (out, result.is_ok())
    };
    let at = |x, ref_width| Some(Decoded::Event(E::MouseMoveAbs { x, y: 5, ref_width, ref_height: 11 }));
    assert_eq!(abs(-5, 1279), (at(0, 1280), true));
    assert_eq!(abs(2000, 1279), (at(1279, 1280), true));
    assert_eq!(abs(9, i16::MAX), (at(9, 32_768), true));
    assert_eq!((abs(5, 0), abs(5, -1)), ((None, false), (None, false)));
}

#[test]
fn a_pen_hovers_presses_and_leaves() {
    let packets = [
        pen(0, 1, 0, [0.25, 0.5, 0.5], 45, 30),
        pen(1, 1, 1, [0.25, 0.5, 1.0], 0xffff, 0xff),
        pen(3, 1, 3, [0.5, 0.5, 0.0], 400, 91),
        pen(5, 1, 2, [0.0, 0.0, 0.0], 0, 0),
        pen(2, 1, 0, [0.75, 0.5, 0.0], 0, 0),
        pen(1, 2, 4, [0.0, 0.0, 1.0], 0, 0),
        pen(6, 2, 0, [0.0, 0.0, 0.0], 0, 0),
    ];
    let samples: Vec<PenSample> = rich(&packets)
        .into_iter()
        .enumerate()
        .map(|(index, input)| {
            let RichInput::Pen(batch) = input else { panic!("{input:?}") };
            assert_eq!((usize::from(batch.seq()), batch.samples().len()), (index + 1, 1));
            batch.samples()[0]
        })
        .collect();
    use PenState as S;
    let touching = S::IN_RANGE | S::TOUCHING;
    let states: Vec<_> = samples.iter().map(|s| s.state).collect();
    let both = touching | S::BARREL1 | S::BARREL2;
    assert_eq!(states, [S::IN_RANGE, touching | S::BARREL1, both, touching | S::BARREL2, S::NONE, touching, S::NONE]);
    assert_eq!((samples[0].distance, samples[0].azimuth_deg, samples[0].tilt_deg), (Some(32_768), Some(45), Some(30)));
    assert_eq!((samples[1].pressure, samples[1].azimuth_deg, samples[1].tilt_deg), (65_535, None, None));
    assert_eq!((samples[2].pressure, samples[2].azimuth_deg, samples[2].tilt_deg), (32_768, None, None));
    assert_eq!((samples[3].x, samples[3].pressure), (0.5, 32_768), "only the buttons changed");
    assert_eq!((samples[5].tool, samples[6].tool), (PenTool::Eraser, PenTool::Eraser));
}

#[test]
fn a_key_of_the_hosts_layout_is_taken_by_its_position() {
    let pressed = E::Key { vk: 0x59, down: true };
    assert_eq!(events(&[key(0x59, true, 1)]), [pressed]);
    assert_eq!(events(&[key(0x59, true, 0)]), [pressed]);
}

#[test]
fn text_may_hold_several_characters_but_no_rubbish() {
    let text = |bytes: &[u8]| packet(0x17, &[bytes]);
    assert_eq!(events(&[text("né".as_bytes())]), [E::Text('n'), E::Text('é')]);
    assert_eq!(events(&[text(b""), text(b"\0")]), []);
    for bad in [&[0xff][..], &[0xe2, 0x82], &[b'a'; 33]] {
        assert!(InputDecoder::new().packet(&text(bad), |d| panic!("{d:?}")).is_err());
    }
}

#[test]
fn buttons_pads_and_sensors_that_do_not_exist_are_refused() {
    let refused = |packet: &[u8]| InputDecoder::new().packet(packet, |d| panic!("{d:?}")).is_err();
    for packet in [
        packet(8, &[&[0]]),
        packet(8, &[&[6]]),
        state(16, 1, 0),
        state(0x100, 1, 0),
        arrival(16, 1, 0),
        motion(0, 3, [0.0; 3]),
        pad_touch(0, 1, 2, 0, 0.0, 0.0),
        touch(8, 1, 0.0, 0.0),
        // Its size claims more than there is.
        vec![0, 0, 0, 9, 8, 0, 0, 0, 1],
        vec![0xff; 9],
    ] {
        assert!(refused(&packet), "{packet:02x?}");
    }
    // Unknown types, and bytes behind a packet, are no error.
    assert!(events(&[packet(0x5500_00ff, &[&[1, 2, 3]])]).is_empty());
    let longer = [packet(8, &[&[1]]), vec![9; 9]].concat();
    assert_eq!(events(&[longer]), [E::MouseButton { button: MouseButton::Left, down: true }]);
}

proptest! {
    /// Whatever a client presses with whatever modifiers, what comes out are changes only, and when it has released
    /// everything, nothing is down.
    #[test]
    fn keys_balance(steps in proptest::collection::vec((any::<u8>(), any::<bool>(), any::<u8>()), 0..300)) {
        let mut decoder = InputDecoder::new();
        let mut down = std::collections::HashSet::new();
        let press = |vk: u8, is_down: bool, modifiers: u8| {
            packet(if is_down { 3 } else { 4 }, &[&[0, vk, 0x80, modifiers, 0, 0]])
        };
        let all = steps.iter().map(|(vk, is_down, modifiers)| press(*vk, *is_down, *modifiers));
        for packet in all.chain((0..=255).map(|vk| press(vk, false, 0xff))) {
            for decoded in play(&mut decoder, &[packet]) {
                let Decoded::Event(E::Key { vk, down: is_down }) = decoded else { panic!("{decoded:?}") };
                let changed = if is_down { down.insert(vk) } else { down.remove(&vk) };
                prop_assert!(changed, "{:#x} twice", vk);
            }
        }
        prop_assert!(down.is_empty(), "{:?}", down);
    }
}
