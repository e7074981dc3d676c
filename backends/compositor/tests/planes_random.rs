//! Planes of windows that come, go and change at random, of odd sizes and from buffers of odd shapes: always what the host
//! would make of the pixels.

mod common;

use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use common::program::{Picture, Program};
use common::{MODE, PATIENCE, Worker, frame_until, lend_new, shows};
use punktfunk_compositor::WorkerCapturer;
use punktfunk_convert::{Converter, PlanesMut};
use punktfunk_media::{
    Captured, CapturedFrame, Capturer as _, Colour, Damage, FrameLayout, Matrix, Mode, PixelFormat, Transform,
};
use wayland_client::protocol::wl_shm;

/// Both sides are odd, and no row of pixels ends where a vector does.
const ODD: Mode = Mode { width: 1365, height: 767, refresh_hz: 60 };

fn capturing(worker: &Worker, colour: Colour) -> WorkerCapturer {
    let mut capturer = worker.link().capturer().unwrap();
    assert!(capturer.take_planes(colour).unwrap());
    assert_eq!(capturer.layout().format, PixelFormat::I420(colour));
    capturer
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// A picture as the test knows it: blue, green, red and padding.
#[derive(Clone)]
struct Model {
    width: usize,
    height: usize,
    stride: usize,
    pixels: Vec<u8>,
}

impl Model {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, stride: width * 4, pixels: vec![0x40; width * height * 4] }
    }

    fn noise(&mut self, random: &mut Random, (x, y, width, height): (usize, usize, usize, usize)) {
        for row in y..y + height {
            for byte in &mut self.pixels[row * self.stride + x * 4..][..width * 4] {
                *byte = random.next() as u8;
            }
        }
    }

    fn over(&mut self, other: &Self, (x, y): (usize, usize)) {
        for row in 0..other.height {
            let line = &other.pixels[row * other.stride..][..other.width * 4];
            self.pixels[(y + row) * self.stride + x * 4..][..line.len()].copy_from_slice(line);
        }
    }

    /// What the host makes of it.
    fn planes(&self, layout: &FrameLayout) -> Vec<u8> {
        let PixelFormat::I420(colour) = layout.format else { panic!("{layout:?}") };
        let (width, height, stride) = (self.width as u32, self.height as u32, self.stride as u32);
        let source = FrameLayout { width, height, stride, format: PixelFormat::Bgrx, transform: Transform::Normal };
        let mut planes = vec![0; layout.len()];
        let [_, blue, red, _] = layout.plane_bounds();
        let (y, rest) = planes.split_at_mut(blue);
        let (u, v) = rest.split_at_mut(red - blue);
        let across = layout.stride as usize;
        let mut target = PlanesMut { y: (y, across), u: (u, across / 2), v: (v, across / 2) };
        Converter::new(width, height, colour).convert(&source, &self.pixels, &Damage::Full, &mut target).unwrap();
        planes
    }
}

/// The first sample that differs, padding left out.
fn difference(layout: &FrameLayout, seen: &[u8], wanted: &[u8]) -> Option<String> {
    let (width, height) = (layout.width.next_multiple_of(2) as usize, layout.height.next_multiple_of(2) as usize);
    let bounds = layout.plane_bounds();
    for (plane, name) in ["luma", "blue", "red"].into_iter().enumerate() {
        let part = if plane == 0 { 1 } else { 2 };
        for row in 0..height / part {
            let at = bounds[plane] + row * (layout.stride as usize / part);
            let (seen, wanted) = (&seen[at..at + width / part], &wanted[at..at + width / part]);
            if let Some(column) = seen.iter().zip(wanted).position(|(a, b)| a != b) {
                return Some(format!("{name} {column},{row}: {} for {}", seen[column], wanted[column]));
            }
        }
    }
    None
}

/// Takes pictures until one is what the host would make of `model`.
fn expect(capturer: &mut WorkerCapturer, model: &Model, what: &str) -> CapturedFrame {
    let until = Instant::now() + PATIENCE;
    let mut last = "no picture".to_owned();
    loop {
        match capturer.wait(Instant::now() + Duration::from_secs(2)).unwrap() {
            Captured::Frame(frame) => {
                let wanted = model.planes(&frame.layout);
                match difference(&frame.layout, frame.slot.memory.bytes(), &wanted) {
                    None => return frame,
                    Some(found) => last = found,
                }
                capturer.lend(frame.slot).unwrap();
            }
            Captured::Unchanged => panic!("{what}: the desktop rests, and {last}"),
            Captured::LayoutChanged(_) => lend_new(capturer),
        }
        assert!(Instant::now() < until, "{what}: {last}");
    }
}

fn buffer(program: &Program, model: &Model, stride: usize, offset: usize, format: wl_shm::Format) -> Picture {
    let (width, height) = (model.width as i32, model.height as i32);
    let file = std::fs::File::from(rustix::fs::memfd_create("odd", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    let len = offset + stride * model.height;
    file.set_len(len as u64).unwrap();
    let pool = program.shm.create_pool(file.as_fd(), len as i32, &program.handle(), ());
    let buffer = pool.create_buffer(offset as i32, width, height, stride as i32, format, &program.handle(), ());
    pool.destroy();
    for row in 0..model.height {
        let line = &model.pixels[row * model.stride..][..model.width * 4];
        file.write_all_at(line, (offset + row * stride) as u64).unwrap();
    }
    Picture { buffer, file }
}

#[test]
fn random_changes_give_what_the_whole_picture_would() {
    for (mode, colour) in [
        (ODD, Colour::default()),
        (Mode { width: 322, height: 241, refresh_hz: 60 }, Colour { matrix: Matrix::Bt601, full_range: true }),
    ] {
        let worker = Worker::start(mode);
        let mut capturer = capturing(&worker, colour);
        let mut slots: Vec<_> = (0..3).map(|_| capturer.make_slot().unwrap()).collect();
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let mut program = Program::connect(&worker.display());
        let surface = program.window();
        let (width, height) = (mode.width as usize, mode.height as usize);
        let mut window = Model::new(width, height);
        window.noise(&mut random, (0, 0, width, height));
        let shown = buffer(&program, &window, window.stride, 0, wl_shm::Format::Xrgb8888);
        program.show(&surface, &shown);
        // Something above it, now here, now there, now nowhere.
        let above = program.compositor.create_surface(&program.handle(), ());
        let place = program.subcompositor.get_subsurface(&above, &surface, &program.handle(), ());
        let mut over: Option<(Model, (usize, usize))> = None;
        let mut buffers = Vec::new();
        for step in 0..60 {
            match random.below(4) {
                0 => {
                    let mut model = Model::new(1 + random.below(width / 2), 1 + random.below(height / 2));
                    model.noise(&mut random, (0, 0, model.width, model.height));
                    let at = (random.below(width - model.width), random.below(height - model.height));
                    buffers.push(buffer(&program, &model, model.stride, 0, wl_shm::Format::Xrgb8888));
                    place.set_position(at.0 as i32, at.1 as i32);
                    program.show(&above, buffers.last().unwrap());
                    over = Some((model, at));
                }
                1 => {
                    above.attach(None, 0, 0);
                    above.commit();
                    over = None;
                }
                _ => {}
            }
            let (x, y) = (random.below(width), random.below(height));
            let part = (x, y, 1 + random.below(width - x), 1 + random.below((height - y).min(40)));
            window.noise(&mut random, part);
            shown.file.write_all_at(&window.pixels, 0).unwrap();
            surface.attach(Some(&shown.buffer), 0, 0);
            surface.damage_buffer(part.0 as i32, part.1 as i32, part.2 as i32, part.3 as i32);
            surface.commit();
            program.roundtrip().unwrap();
            let mut whole = window.clone();
            if let Some((model, at)) = &over {
                whole.over(model, *at);
            }
            // Whichever slot comes lacks what happened since it was here last.
            let slot = slots.swap_remove(random.below(slots.len()));
            capturer.lend(slot).unwrap();
            let frame =
                expect(&mut capturer, &whole, &format!("step {step} of {mode}, {over:?}", over = over.is_some()));
            slots.push(frame.slot);
        }
    }
}

#[test]
fn buffers_of_other_shapes_are_shown_one_way_or_the_other() {
    let worker = Worker::start(ODD);
    let mut capturer = capturing(&worker, Colour::default());
    lend_new(&mut capturer);
    let mut random = Random(77);
    let mut program = Program::connect(&worker.display());
    let surface = program.window();
    let (width, height) = (ODD.width as usize, ODD.height as usize);
    let row = width * 4;
    for (what, stride, offset, format) in [
        ("padded rows", row + 52, 0, wl_shm::Format::Xrgb8888),
        ("an offset", row, 4 * 1021, wl_shm::Format::Xrgb8888),
        ("both", row + 4, 12, wl_shm::Format::Xrgb8888),
    ] {
        let mut model = Model::new(width, height);
        model.noise(&mut random, (0, 0, width, height));
        let shown = buffer(&program, &model, stride, offset, format);
        program.show(&surface, &shown);
        program.roundtrip().unwrap();
        let frame = expect(&mut capturer, &model, what);
        capturer.lend(frame.slot).unwrap();
    }
    // Half of it is seen through, so what is behind it counts.
    let mut model = Model::new(width, height);
    model.pixels.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| *pixel = [0, 0, 100, 128]);
    let shown = buffer(&program, &model, row, 0, wl_shm::Format::Argb8888);
    program.show(&surface, &shown);
    program.roundtrip().unwrap();
    let frame = frame_until(&mut capturer, "red over the background", |f| shows(f, [111, 17, 23]));
    capturer.lend(frame.slot).unwrap();
    // The same pixels said to be opaque are only red.
    let region = program.compositor.create_region(&program.handle(), ());
    region.add(0, 0, i32::MAX, i32::MAX);
    surface.set_opaque_region(Some(&region));
    program.show(&surface, &shown);
    program.roundtrip().unwrap();
    let frame = expect(&mut capturer, &model, "opaque by word");
    assert!(frame.convert_time > Duration::ZERO);
}

#[test]
fn rows_and_places_that_no_vector_likes_harm_nobody() {
    for (stride, offset) in [(1280 * 4 + 1, 0), (1280 * 4 + 2, 0), (1280 * 4, 1), (1280 * 4 + 3, 3)] {
        let mut worker = Worker::start(MODE);
        let mut capturer = capturing(&worker, Colour::default());
        lend_new(&mut capturer);
        let mut program = Program::connect(&worker.display());
        let surface = program.window();
        let model = Model::new(1280, 720);
        let shown = buffer(&program, &model, stride, offset, wl_shm::Format::Xrgb8888);
        program.show(&surface, &shown);
        // It may be cut off, or not drawn.
        drop(program.roundtrip());
        let mut decent = Program::connect(&worker.display());
        let surface = decent.window();
        let shown = decent.picture(1280, 720, [10, 200, 30]);
        decent.show(&surface, &shown);
        decent.roundtrip().unwrap();
        frame_until(&mut capturer, "a decent program", |f| shows(f, [10, 200, 30]));
        worker.assert_alive();
    }
}
