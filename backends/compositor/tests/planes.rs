//! Pictures in the planes that encoders take: from the program's own memory where it is the whole picture, else composed;
//! byte for byte what converting the whole picture gives.

mod common;

use std::os::unix::fs::FileExt as _;

use common::program::{Picture, Program};
use common::{MODE, Worker, lend_new, next_frame, wait_until};
use punktfunk_compositor::WorkerCapturer;
use punktfunk_convert::{Converter, PlanesMut};
use punktfunk_media::{
    Captured, CapturedFrame, Capturer as _, Colour, Damage, FrameLayout, Injector as _, InputAction, Mode, PixelFormat,
    Slot, Thumbnail, Transform,
};
use wayland_client::protocol::wl_surface::WlSurface;

/// The planes of a whole packed picture, without their padding.
fn planes_of(layout: &FrameLayout, pixels: &[u8], colour: Colour) -> [Vec<u8>; 3] {
    let mut converter = Converter::new(layout.width, layout.height, colour);
    let (width, height) = converter.coded_size();
    let (width, height) = (width as usize, height as usize);
    let (mut y, mut u) = (vec![0; width * height], vec![0; width * height / 4]);
    let mut v = u.clone();
    let mut planes = PlanesMut { y: (&mut y, width), u: (&mut u, width / 2), v: (&mut v, width / 2) };
    converter.convert(layout, pixels, &Damage::Full, &mut planes).unwrap();
    [y, u, v]
}

/// What is in a slot of planes, without its padding.
fn planes_in(frame: &CapturedFrame) -> [Vec<u8>; 3] {
    let layout = frame.layout;
    assert!(matches!(layout.format, PixelFormat::I420(_)), "{layout:?}");
    let [luma, blue, red, end] = layout.plane_bounds();
    let (stride, width) = (layout.stride as usize, layout.width.next_multiple_of(2) as usize);
    let bytes = frame.slot.memory.bytes();
    let cut =
        |plane: &[u8], stride: usize, width: usize| plane.chunks(stride).flat_map(|r| r[..width].to_vec()).collect();
    [
        cut(&bytes[luma..blue], stride, width),
        cut(&bytes[blue..red], stride / 2, width / 2),
        cut(&bytes[red..end], stride / 2, width / 2),
    ]
}

#[track_caller]
fn assert_same(frame: &CapturedFrame, expected: &[Vec<u8>; 3], what: &str) {
    for (plane, (found, expected)) in planes_in(frame).iter().zip(expected).enumerate() {
        let wrong = found.iter().zip(expected).position(|(a, b)| a != b);
        assert_eq!((found.len(), wrong), (expected.len(), None), "plane {plane}: {what}");
    }
}

/// A program whose window is the whole picture, drawn anew a rectangle at a time.
struct Canvas {
    program: Program,
    surface: WlSurface,
    picture: Picture,
    pixels: Vec<u8>,
    layout: FrameLayout,
    random: u64,
}

impl Canvas {
    fn open(worker: &Worker, mode: Mode) -> Self {
        let mut program = Program::connect(&worker.display());
        let surface = program.window();
        let picture = program.picture(mode.width as i32, mode.height as i32, [0, 0, 0]);
        let layout = FrameLayout {
            width: mode.width,
            height: mode.height,
            stride: mode.width * 4,
            format: PixelFormat::Bgrx,
            transform: Transform::Normal,
        };
        let mut canvas = Self { program, surface, picture, pixels: vec![0; layout.len()], layout, random: 88_172_645 };
        canvas.draw([0, 0, mode.width, mode.height]);
        canvas
    }

    fn next(&mut self) -> u64 {
        // xorshift64 (Marsaglia, 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Draws noise into a rectangle: left, top, width, height.
    fn draw(&mut self, [x, y, width, height]: [u32; 4]) {
        for row in y..y + height {
            let at = (row * self.layout.stride + x * 4) as usize;
            for i in (0..width as usize * 4).step_by(4) {
                let pixel = (self.next() as u32).to_le_bytes();
                self.pixels[at + i..at + i + 4].copy_from_slice(&pixel);
            }
            self.picture.file.write_all_at(&self.pixels[at..at + width as usize * 4], at as u64).unwrap();
        }
        self.surface.attach(Some(&self.picture.buffer), 0, 0);
        let side = |v: u32| i32::try_from(v).unwrap();
        self.surface.damage_buffer(side(x), side(y), side(width), side(height));
        self.surface.commit();
        self.program.roundtrip().unwrap();
    }

    fn rectangle(&mut self) -> [u32; 4] {
        let (width, height) = (self.layout.width, self.layout.height);
        let mut below = |most: u32| (self.next() % u64::from(most)) as u32;
        let (x, y) = (below(width), below(height));
        [x, y, 1 + below((width - x).min(300)), 1 + below((height - y).min(90))]
    }

    fn planes(&self, colour: Colour) -> [Vec<u8>; 3] {
        planes_of(&self.layout, &self.pixels, colour)
    }
}

fn capturer(worker: &Worker, colour: Colour) -> WorkerCapturer {
    let mut capturer = worker.link().capturer().unwrap();
    assert!(capturer.take_planes(colour).unwrap());
    capturer
}

/// Takes pictures until nothing comes for a while; the last of them.
fn last_frame(capturer: &mut WorkerCapturer, slots: &mut Vec<Slot>) -> CapturedFrame {
    capturer.lend(slots.remove(0)).unwrap();
    let mut frame = next_frame(capturer);
    loop {
        capturer.lend(slots.remove(0)).unwrap();
        match capturer.wait(std::time::Instant::now() + std::time::Duration::from_millis(200)).unwrap() {
            Captured::Frame(newer) => slots.push(std::mem::replace(&mut frame, newer).slot),
            Captured::Unchanged => return frame,
            Captured::LayoutChanged(layout) => panic!("{layout:?}"),
        }
    }
}

#[test]
fn a_program_that_is_the_whole_picture_is_converted_as_it_lies() {
    // Odd sizes have a column and a row more than the program has pixels.
    for (mode, colour) in
        [(MODE, Colour::default()), (Mode { width: 1365, height: 767, refresh_hz: 60 }, Colour::ALL[1])]
    {
        let worker = Worker::start(mode);
        let mut canvas = Canvas::open(&worker, mode);
        let mut capturer = capturer(&worker, colour);
        assert_eq!(capturer.layout().format, PixelFormat::I420(colour));
        lend_new(&mut capturer);
        lend_new(&mut capturer);
        for round in 0..12 {
            let frame = next_frame(&mut capturer);
            assert_same(&frame, &canvas.planes(colour), &format!("{mode}, picture {round}"));
            assert!(frame.convert_time > std::time::Duration::ZERO);
            capturer.lend(frame.slot).unwrap();
            let rectangle = canvas.rectangle();
            canvas.draw(rectangle);
        }
    }
}

#[test]
fn composed_pictures_and_direct_ones_follow_each_other_without_a_trace() {
    let colour = Colour::default();
    let worker = Worker::start(MODE);
    let mut canvas = Canvas::open(&worker, MODE);
    let mut capturer = capturer(&worker, colour);
    let mut slots: Vec<_> = (0..3).map(|_| capturer.make_slot().unwrap()).collect();
    let mut injector = worker.link().injector().unwrap();
    for round in 0..6 {
        // A pointer lies above: composed.
        injector.inject(&InputAction::MotionAbs { x: 0.3 + f64::from(round) / 10.0, y: 0.5 }).unwrap();
        let rectangle = canvas.rectangle();
        canvas.draw(rectangle);
        let frame = last_frame(&mut capturer, &mut slots);
        assert_ne!(planes_in(&frame), canvas.planes(colour), "the pointer is seen");
        slots.push(frame.slot);
        // A finger hides the pointer: direct.
        injector.inject(&InputAction::TouchDown { id: 0, x: 0.1, y: 0.1 }).unwrap();
        injector.inject(&InputAction::TouchUp { id: 0 }).unwrap();
        let frame = next_frame(&mut capturer);
        slots.push(frame.slot);
        let rectangle = canvas.rectangle();
        canvas.draw(rectangle);
        let frame = last_frame(&mut capturer, &mut slots);
        assert_same(&frame, &canvas.planes(colour), &format!("round {round}"));
        slots.push(frame.slot);
        let rectangle = canvas.rectangle();
        canvas.draw(rectangle);
        let frame = next_frame(&mut capturer);
        assert_same(&frame, &canvas.planes(colour), &format!("round {round}, once more"));
        slots.push(frame.slot);
    }
}

/// Memory of the worker's own, in KiB.
fn anonymous(worker: &Worker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_direct_picture_needs_no_picture_of_packed_pixels() {
    let mode = Mode { width: 1920, height: 1080, refresh_hz: 60 };
    let worker = Worker::start(mode);
    let mut canvas = Canvas::open(&worker, mode);
    let mut capturer = capturer(&worker, Colour::default());
    lend_new(&mut capturer);
    let frame = next_frame(&mut capturer);
    let before = anonymous(&worker);
    capturer.lend(frame.slot).unwrap();
    let rectangle = canvas.rectangle();
    canvas.draw(rectangle);
    let frame = next_frame(&mut capturer);
    let direct = anonymous(&worker);
    capturer.lend(frame.slot).unwrap();
    worker.link().injector().unwrap().inject(&InputAction::MotionAbs { x: 0.5, y: 0.5 }).unwrap();
    next_frame(&mut capturer);
    let composed = anonymous(&worker);
    // A packed picture of this size is 8100 KiB.
    assert!(direct < before + 2000 && composed > direct + 6000, "{before}, {direct}, {composed} KiB");
}

#[test]
fn a_composed_picture_is_what_converting_the_packed_one_gives() {
    let colour = Colour::ALL[0];
    let worker = Worker::start(MODE);
    let _canvas = Canvas::open(&worker, MODE);
    let mut above = Program::connect(&worker.display());
    let surface = above.window();
    // Smaller than the output: it lies in the middle, above the other.
    let picture = above.picture(333, 111, [200, 30, 90]);
    above.show(&surface, &picture);
    above.roundtrip().unwrap();
    wait_until("both are there", || worker.link().windows().unwrap().len() == 2);
    let mut planes = capturer(&worker, colour);
    lend_new(&mut planes);
    let composed = next_frame(&mut planes);
    let mut packed = worker.link().capturer().unwrap();
    lend_new(&mut packed);
    let frame = next_frame(&mut packed);
    assert_eq!(frame.layout.format, PixelFormat::Bgrx, "the next consumer has not asked for planes");
    assert_same(&composed, &planes_of(&frame.layout, frame.slot.memory.bytes(), colour), "composed");
    // And people who look from outside see the same colours.
    let small = |frame: &CapturedFrame| Thumbnail::of(&frame.layout, frame.slot.memory.bytes(), 64).unwrap();
    let (a, b) = (small(&composed), small(&frame));
    let far = a.rgb.iter().zip(&b.rgb).map(|(a, b)| a.abs_diff(*b)).max();
    assert_eq!((a.width, a.height), (b.width, b.height));
    let middle = ((a.height / 2 * a.width + a.width / 2) * 3) as usize;
    for (a, b) in a.rgb[middle..middle + 3].iter().zip(&b.rgb[middle..middle + 3]) {
        assert!(a.abs_diff(*b) <= 4, "{a} {b} {far:?}");
    }
}

#[test]
fn a_program_that_takes_its_memory_back_costs_a_picture_and_nothing_else() {
    let colour = Colour::default();
    let mut worker = Worker::start(MODE);
    let mut canvas = Canvas::open(&worker, MODE);
    let mut capturer = capturer(&worker, colour);
    lend_new(&mut capturer);
    let frame = next_frame(&mut capturer);
    canvas.picture.file.set_len(4096).unwrap();
    canvas.surface.attach(Some(&canvas.picture.buffer), 0, 0);
    canvas.surface.damage_buffer(0, 0, i32::MAX, i32::MAX);
    canvas.surface.commit();
    // smithay may cut the program off for it.
    let _ = canvas.program.roundtrip();
    capturer.lend(frame.slot).unwrap();
    let frame = next_frame(&mut capturer);
    worker.assert_alive();
    capturer.lend(frame.slot).unwrap();
    let mut other = Canvas::open(&worker, MODE);
    loop {
        let frame = next_frame(&mut capturer);
        if planes_in(&frame) == other.planes(colour) {
            break;
        }
        capturer.lend(frame.slot).unwrap();
        let rectangle = other.rectangle();
        other.draw(rectangle);
    }
}

#[test]
fn the_mode_changes_while_planes_are_taken() {
    let colour = Colour::default();
    let worker = Worker::start(MODE);
    let mut capturer = capturer(&worker, colour);
    lend_new(&mut capturer);
    let frame = next_frame(&mut capturer);
    let new = Mode { width: 801, height: 601, refresh_hz: 60 };
    worker.link().set_mode(new, None).unwrap();
    drop(frame);
    let canvas = Canvas::open(&worker, new);
    loop {
        match capturer.wait(std::time::Instant::now() + common::PATIENCE).unwrap() {
            Captured::LayoutChanged(layout) => {
                assert_eq!((layout.width, layout.height, layout.format), (801, 601, PixelFormat::I420(colour)));
                lend_new(&mut capturer);
            }
            Captured::Frame(frame) if planes_in(&frame) == canvas.planes(colour) => break,
            Captured::Frame(frame) => capturer.lend(frame.slot).unwrap(),
            Captured::Unchanged => panic!("no picture"),
        }
    }
}
