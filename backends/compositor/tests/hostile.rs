//! Programs that misbehave: the desktop goes on, and the others with it.

mod common;

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::program::Program;
use common::{MODE, Worker, frame_until, lend_new, next_frame, shows, wait_until};
use punktfunk_compositor::WorkerCapturer;
use punktfunk_media::{Captured, Capturer as _, Colour};
use punktfunk_testkit::window::Window;

/// The desktop still shows what a decent program draws, and runs.
fn assert_goes_on(worker: &mut Worker, capturer: &mut WorkerCapturer) {
    worker.assert_alive();
    let window = Window::open_tiled(&worker.display(), [3, 200, 3]);
    let frame = frame_until(capturer, "a decent program", |f| shows(f, [3, 200, 3]));
    capturer.lend(frame.slot).unwrap();
    window.paint([200, 3, 3]);
    let frame = frame_until(capturer, "its next picture", |f| shows(f, [200, 3, 3]));
    capturer.lend(frame.slot).unwrap();
    worker.assert_alive();
}

fn capturing(worker: &Worker, planes: Option<Colour>) -> WorkerCapturer {
    let mut capturer = worker.link().capturer().unwrap();
    if let Some(colour) = planes {
        assert!(capturer.take_planes(colour).unwrap());
    }
    lend_new(&mut capturer);
    let frame = next_frame(&mut capturer);
    capturer.lend(frame.slot).unwrap();
    capturer
}

/// With pictures of either kind.
fn both(test: impl Fn(Option<Colour>)) {
    for planes in [None, Some(Colour::default())] {
        test(planes);
    }
}

#[test]
fn one_that_takes_its_memory_back_after_it_showed_it() {
    both(|planes| {
        let mut worker = Worker::start(MODE);
        let mut capturer = capturing(&worker, planes);
        let mut program = Program::connect(&worker.display());
        let surface = program.window();
        let picture = program.picture(1280, 720, [200, 100, 0]);
        program.show(&surface, &picture);
        program.roundtrip().unwrap();
        let frame = frame_until(&mut capturer, "it", |f| shows(f, [200, 100, 0]));
        picture.file.set_len(4096).unwrap();
        capturer.lend(frame.slot).unwrap();
        // It shows the same memory again, of which most is gone; whether it is cut off or only not drawn is all the same.
        for _ in 0..10 {
            program.show(&surface, &picture);
            if program.roundtrip().is_err() {
                break;
            }
        }
        assert_goes_on(&mut worker, &mut capturer);
    });
}

#[test]
fn one_that_commits_without_end_costs_one_picture_per_period() {
    both(|planes| {
        let mut worker = Worker::start(MODE);
        let mut capturer = capturing(&worker, planes);
        let display = worker.display();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = std::sync::Arc::clone(&stop);
        let flood = std::thread::spawn(move || {
            let mut program = Program::connect(&display);
            let surface = program.window();
            let pictures = [[50, 0, 0], [0, 50, 0]].map(|rgb| program.picture(1280, 720, rgb));
            let mut commits = 0u64;
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                program.show(&surface, &pictures[commits as usize % 2]);
                program.roundtrip().unwrap();
                commits += 1;
            }
            commits
        });
        let (started, mut pictures) = (Instant::now(), 0u32);
        while started.elapsed() < Duration::from_secs(2) {
            match capturer.wait(Instant::now() + Duration::from_millis(100)).unwrap() {
                Captured::Frame(frame) => {
                    pictures += 1;
                    capturer.lend(frame.slot).unwrap();
                }
                Captured::Unchanged => {}
                Captured::LayoutChanged(l) => panic!("{l:?}"),
            }
        }
        let most = started.elapsed().as_secs_f64() * 60.0 * 1.1 + 4.0;
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let commits = flood.join().unwrap();
        assert!(f64::from(pictures) <= most, "{pictures} pictures of {commits} commits");
        assert!(commits > u64::from(pictures), "{commits} commits were no flood");
        assert_goes_on(&mut worker, &mut capturer);
    });
}

#[test]
fn one_with_ten_thousand_surfaces() {
    both(|planes| {
        let mut worker = Worker::start(MODE);
        let mut capturer = capturing(&worker, planes);
        let mut program = Program::connect(&worker.display());
        let handle = program.handle();
        let surfaces: Vec<_> = (0..10_000).map(|_| program.compositor.create_surface(&handle, ())).collect();
        program.roundtrip().unwrap();
        surfaces.iter().for_each(|surface| surface.commit());
        program.roundtrip().unwrap();
        assert_goes_on(&mut worker, &mut capturer);
        // Windows are another matter: each of them is drawn and listed.
        let mut cut_off = false;
        for surface in &surfaces {
            let xdg = program.wm.get_xdg_surface(surface, &handle, ());
            let _toplevel = xdg.get_toplevel(&handle, ());
        }
        for _ in 0..20 {
            cut_off |= program.roundtrip().is_err();
        }
        assert!(cut_off, "ten thousand windows were let be");
        assert_goes_on(&mut worker, &mut capturer);
    });
}

#[test]
fn ones_that_send_garbage() {
    both(|planes| {
        let mut worker = Worker::start(MODE);
        let mut capturer = capturing(&worker, planes);
        let mut seed = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for round in 0..300 {
            let mut stream = UnixStream::connect(worker.display()).unwrap();
            let bytes: Vec<u8> = (0..random() % 4096).map(|_| random() as u8).collect();
            // Some begin like a message: wl_display.get_registry with a new id, then nonsense.
            let sent = match round % 3 {
                0 => stream.write_all(&bytes),
                1 => stream.write_all(&[&[1, 0, 0, 0, 1, 0, 12, 0, 2, 0, 0, 0][..], &bytes].concat()),
                // Half a message.
                _ => stream.write_all(&[1, 0, 0, 0, 1, 0]),
            };
            // It may have been cut off before it was through.
            drop(sent);
        }
        assert_goes_on(&mut worker, &mut capturer);
    });
}

#[test]
fn ones_that_die_with_their_picture_under_way() {
    both(|planes| {
        let mut worker = Worker::start(MODE);
        let mut capturer = capturing(&worker, planes);
        let open_files =
            |worker: &Worker| std::fs::read_dir(format!("/proc/{}/fd", worker.child.id())).map_or(0, Iterator::count);
        let before = open_files(&worker);
        for round in 0..100u8 {
            let mut program = Program::connect(&worker.display());
            let surface = program.window();
            let picture = program.picture(1280, 720, [round, 0, 100]);
            program.show(&surface, &picture);
            surface.frame(&program.handle(), ());
            program.queue.flush().unwrap();
            drop(program);
        }
        assert_goes_on(&mut worker, &mut capturer);
        wait_until("their descriptors are closed", || open_files(&worker) <= before);
    });
}

#[test]
fn one_that_never_draws_keeps_nobody_waiting() {
    both(|planes| {
        let mut worker = Worker::start(MODE);
        let mut capturer = capturing(&worker, planes);
        let mut silent = Program::connect(&worker.display());
        let _surface = silent.window();
        // Its window is not there, and takes nobody's keyboard.
        assert!(worker.link().windows().unwrap().is_empty());
        let mut still = Program::connect(&worker.display());
        let surface = still.window();
        let picture = still.picture(1280, 720, [1, 2, 3]);
        surface.frame(&still.handle(), ());
        still.show(&surface, &picture);
        still.roundtrip().unwrap();
        let frame = frame_until(&mut capturer, "the still one", |f| shows(f, [1, 2, 3]));
        capturer.lend(frame.slot).unwrap();
        assert_goes_on(&mut worker, &mut capturer);
    });
}
