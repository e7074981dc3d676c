//! Programs that misbehave: the desktop goes on, and the others with it.

mod common;

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use std::os::fd::AsFd as _;

use common::program::Program;
use common::{MODE, Worker, frame_until, lend_new, next_frame, shows, wait_until};
use punktfunk_compositor::WorkerCapturer;
use punktfunk_media::{Captured, Capturer as _, Colour, Injector as _, InputAction};
use punktfunk_testkit::window::Window;
use rustix::fs::{MemfdFlags, memfd_create};
use wayland_client::{Proxy as _, WEnum};
use wayland_protocols::wp::commit_timing::v1::client::wp_commit_timing_manager_v1::WpCommitTimingManagerV1;
use wayland_protocols::wp::fifo::v1::client::wp_fifo_manager_v1::WpFifoManagerV1;
use wayland_protocols::wp::text_input::zv3::client::zwp_text_input_manager_v3::ZwpTextInputManagerV3;
use wayland_protocols::wp::text_input::zv3::client::zwp_text_input_v3;
use wayland_protocols::xdg::foreign::zv2::client::{
    zxdg_exporter_v2::ZxdgExporterV2, zxdg_importer_v2::ZxdgImporterV2,
};
use wayland_protocols_misc::zwp_input_method_v2::client::zwp_input_method_manager_v2::ZwpInputMethodManagerV2;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1;

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

#[test]
fn one_whose_pool_is_to_have_no_size_is_cut_off() {
    let mut worker = Worker::start(MODE);
    let mut capturer = capturing(&worker, None);
    for size in [0, -1, i32::MIN] {
        let mut program = Program::connect(&worker.display());
        let file = std::fs::File::from(memfd_create("pool", MemfdFlags::CLOEXEC).unwrap());
        file.set_len(4096).unwrap();
        let pool = program.shm.create_pool(file.as_fd(), 4096, &program.handle(), ());
        pool.resize(size);
        assert!(program.roundtrip().is_err(), "{size}");
    }
    assert_goes_on(&mut worker, &mut capturer);
}

#[test]
fn one_whose_keymap_is_shorter_than_it_says() {
    let mut worker = Worker::start(MODE);
    let mut capturer = capturing(&worker, None);
    let mut program = Program::connect(&worker.display());
    let handle = program.handle();
    let manager: ZwpVirtualKeyboardManagerV1 = program.list.bind(&handle, 1..=1, ()).unwrap();
    for (length, size) in [(0, 4096), (4096, 1 << 19), (4096, u32::MAX), (0, 0)] {
        let keyboard = manager.create_virtual_keyboard(&program.seat, &handle, ());
        let file = std::fs::File::from(memfd_create("keymap", MemfdFlags::CLOEXEC).unwrap());
        file.set_len(length).unwrap();
        keyboard.keymap(1, file.as_fd(), size);
        // smithay cuts it off for typing without a keymap; or it goes on.
        let _ = program.roundtrip();
    }
    assert_goes_on(&mut worker, &mut capturer);
}

#[test]
fn one_whose_pictures_wait_for_ever_is_cut_off_or_let_go() {
    let mut worker = Worker::start(MODE);
    let mut capturer = capturing(&worker, None);
    // A few far ahead: they are let go.
    let mut program = Program::connect(&worker.display());
    let handle = program.handle();
    let timing: WpCommitTimingManagerV1 = program.list.bind(&handle, 1..=1, ()).unwrap();
    let surface = program.window();
    let timer = timing.get_timer(&surface, &handle, ());
    let picture = program.picture(1280, 720, [7, 7, 7]);
    for _ in 0..3 {
        timer.set_timestamp(u32::MAX, u32::MAX, u32::MAX);
        program.show(&surface, &picture);
        program.roundtrip().unwrap();
    }
    let frame = frame_until(&mut capturer, "a picture from the end of time", |f| shows(f, [7, 7, 7]));
    capturer.lend(frame.slot).unwrap();
    // Without end: it is cut off.
    let fifos: WpFifoManagerV1 = program.list.bind(&handle, 1..=1, ()).unwrap();
    let fifo = fifos.get_fifo(&surface, &handle, ());
    timer.set_timestamp(u32::MAX, u32::MAX, u32::MAX);
    surface.commit();
    let cut_off = (0..1000).any(|_| {
        for _ in 0..1000 {
            fifo.wait_barrier();
            fifo.set_barrier();
            surface.commit();
        }
        program.roundtrip().is_err()
    });
    assert!(cut_off, "a million pictures wait");
    assert_goes_on(&mut worker, &mut capturer);
}

#[test]
fn one_that_says_what_no_text_input_means() {
    let mut worker = Worker::start(MODE);
    let mut capturer = capturing(&worker, None);
    let mut program = Program::connect(&worker.display());
    let handle = program.handle();
    // Only with an input method, and the keyboard, does anybody listen.
    let methods: ZwpInputMethodManagerV2 = program.list.bind(&handle, 1..=1, ()).unwrap();
    let _method = methods.get_input_method(&program.seat, &handle, ());
    let inputs: ZwpTextInputManagerV3 = program.list.bind(&handle, 1..=1, ()).unwrap();
    let input = inputs.get_text_input(&program.seat, &handle, ());
    let surface = program.window();
    let picture = program.picture(1280, 720, [7, 7, 7]);
    program.show(&surface, &picture);
    program.roundtrip().unwrap();
    wait_until("it has the keyboard", || worker.link().windows().unwrap().iter().any(|w| w.focused));
    input.enable();
    use zwp_text_input_v3::Request;
    for request in [
        Request::SetTextChangeCause { cause: WEnum::Unknown(99) },
        Request::SetContentType { hint: WEnum::Unknown(u32::MAX), purpose: WEnum::Unknown(u32::MAX) },
    ] {
        input.send_request(request).unwrap();
    }
    input.commit();
    let _ = program.roundtrip();
    assert_goes_on(&mut worker, &mut capturer);
}

/// A surface with this many ancestors would need more of a stack than any program is worth.
const DEEP: usize = 20_000;

#[test]
fn one_that_nests_surfaces_without_end_is_cut_off() {
    let mut worker = Worker::start(MODE);
    let mut capturer = capturing(&worker, None);
    // From the root down, and from the bottom up.
    for down in [true, false] {
        let mut program = Program::connect(&worker.display());
        let handle = program.handle();
        let root = program.window();
        let mut surfaces = Vec::new();
        while surfaces.len() < DEEP {
            surfaces.extend((0..2000).map(|_| program.compositor.create_surface(&handle, ())));
            // Each is told its scale, and what nobody fetches has an end, too.
            program.roundtrip().unwrap();
        }
        let mut pairs: Vec<_> = surfaces.windows(2).collect();
        if !down {
            pairs.reverse();
        }
        let mut outcome = Ok(());
        for (n, pair) in pairs.into_iter().enumerate() {
            let _ = program.subcompositor.get_subsurface(&pair[1], &pair[0], &handle, ());
            if n % 500 == 0 {
                outcome = outcome.and_then(|()| program.roundtrip());
            }
        }
        let _ = program.subcompositor.get_subsurface(&surfaces[0], &root, &handle, ());
        for surface in surfaces.iter().rev().chain([&root]) {
            surface.commit();
        }
        let cut_off = outcome.and_then(|()| program.roundtrip()).is_err();
        assert!(cut_off, "{DEEP} nested surfaces were let be");
        assert_goes_on(&mut worker, &mut capturer);
    }
}

#[test]
fn a_few_nested_surfaces_are_let_be() {
    let worker = Worker::start(MODE);
    let mut program = Program::connect(&worker.display());
    let handle = program.handle();
    let mut parent = program.window();
    for _ in 0..32 {
        let child = program.compositor.create_surface(&handle, ());
        let _ = program.subcompositor.get_subsurface(&child, &parent, &handle, ());
        parent = child;
    }
    program.roundtrip().unwrap();
}

#[test]
fn one_that_puts_a_surface_above_itself_is_cut_off() {
    let mut worker = Worker::start(MODE);
    let mut capturer = capturing(&worker, None);
    for above in [true, false] {
        let mut program = Program::connect(&worker.display());
        let handle = program.handle();
        let (parent, child) = (program.window(), program.compositor.create_surface(&handle, ()));
        let subsurface = program.subcompositor.get_subsurface(&child, &parent, &handle, ());
        match above {
            true => subsurface.place_above(&child),
            false => subsurface.place_below(&child),
        }
        assert!(program.roundtrip().is_err());
        assert_goes_on(&mut worker, &mut capturer);
    }
}

#[test]
fn ones_whose_popups_go_in_circles_or_hang_too_deep_are_cut_off() {
    let mut worker = Worker::start(MODE);
    let mut capturer = capturing(&worker, None);
    let circle = |program: &mut Program, length: usize| {
        let handle = program.handle();
        let place = program.wm.create_positioner(&handle, ());
        place.set_size(10, 10);
        place.set_anchor_rect(0, 0, 10, 10);
        let surfaces: Vec<_> = (0..length).map(|_| program.compositor.create_surface(&handle, ())).collect();
        let shells: Vec<_> = surfaces.iter().map(|s| program.wm.get_xdg_surface(s, &handle, ())).collect();
        for (n, shell) in shells.iter().enumerate() {
            shell.get_popup(Some(&shells[(n + 1) % length]), &place, &handle, ());
        }
    };
    for length in [1, 2, 3] {
        let mut program = Program::connect(&worker.display());
        circle(&mut program, length);
        assert!(program.roundtrip().is_err(), "a circle of {length} was let be");
        assert_goes_on(&mut worker, &mut capturer);
    }
    let mut program = Program::connect(&worker.display());
    let handle = program.handle();
    let place = program.wm.create_positioner(&handle, ());
    place.set_size(10, 10);
    place.set_anchor_rect(0, 0, 10, 10);
    let root = program.compositor.create_surface(&handle, ());
    let mut parent = program.wm.get_xdg_surface(&root, &handle, ());
    parent.get_toplevel(&handle, ());
    let mut outcome = Ok(());
    for n in 0..DEEP {
        let shell = program.wm.get_xdg_surface(&program.compositor.create_surface(&handle, ()), &handle, ());
        shell.get_popup(Some(&parent), &place, &handle, ());
        parent = shell;
        if n % 500 == 0 {
            outcome = outcome.and_then(|()| program.roundtrip());
        }
    }
    let cut_off = outcome.and_then(|()| program.roundtrip()).is_err();
    assert!(cut_off, "{DEEP} popups on each other were let be");
    assert_goes_on(&mut worker, &mut capturer);
}

#[test]
fn one_whose_window_is_to_be_its_own_parent_stays_without() {
    let mut worker = Worker::start(MODE);
    let mut capturer = capturing(&worker, None);
    let mut program = Program::connect(&worker.display());
    let handle = program.handle();
    let exporter: ZxdgExporterV2 = program.list.bind(&handle, 1..=1, ()).unwrap();
    let importer: ZxdgImporterV2 = program.list.bind(&handle, 1..=1, ()).unwrap();
    let (window, other) = (program.window(), program.window());
    let _exported = exporter.export_toplevel(&window, &handle, ());
    program.roundtrip().unwrap();
    let imported = importer.import_toplevel(program.seen.exported.clone().expect("a handle"), &handle, ());
    imported.set_parent_of(&other);
    program.roundtrip().unwrap();
    imported.set_parent_of(&window);
    program.roundtrip().unwrap();
    assert_goes_on(&mut worker, &mut capturer);
}

#[test]
fn a_menus_grab_and_an_input_methods_grab_get_along() {
    let mut worker = Worker::start(MODE);
    let mut capturer = capturing(&worker, None);
    let mut injector = worker.link().injector().unwrap();
    let mut press = |code| {
        for down in [true, false] {
            injector.inject(&InputAction::Key { code, down }).unwrap();
        }
    };
    for method_first in [true, false] {
        let mut program = Program::connect(&worker.display());
        let handle = program.handle();
        let methods: ZwpInputMethodManagerV2 = program.list.bind(&handle, 1..=1, ()).unwrap();
        let inputs: ZwpTextInputManagerV3 = program.list.bind(&handle, 1..=1, ()).unwrap();
        let method = methods.get_input_method(&program.seat, &handle, ());
        let input = inputs.get_text_input(&program.seat, &handle, ());
        let keyboard = program.seat.get_keyboard(&handle, ());
        let surface = program.compositor.create_surface(&handle, ());
        let shell = program.wm.get_xdg_surface(&surface, &handle, ());
        let _toplevel = shell.get_toplevel(&handle, ());
        surface.commit();
        program.roundtrip().unwrap();
        let picture = program.picture(1280, 720, [9, 9, 9]);
        program.show(&surface, &picture);
        program.roundtrip().unwrap();
        wait_until("it has the keyboard", || worker.link().windows().unwrap().iter().any(|w| w.focused));
        input.enable();
        input.commit();
        program.roundtrip().unwrap();
        // Whoever has the keyboard heard the number of the grab before: anybody may say it again.
        let (popup_surface, mut grabs) = (program.compositor.create_surface(&handle, ()), Vec::new());
        let place = program.wm.create_positioner(&handle, ());
        place.set_size(50, 50);
        place.set_anchor_rect(0, 0, 10, 10);
        let popup_shell = program.wm.get_xdg_surface(&popup_surface, &handle, ());
        let popup = popup_shell.get_popup(Some(&shell), &place, &handle, ());
        for turn in [method_first, !method_first] {
            match turn {
                true => grabs.push(method.grab_keyboard(&handle, ())),
                false => popup.grab(&program.seat, program.seen.serial),
            }
            program.roundtrip().unwrap();
            press(30);
            program.roundtrip().unwrap();
        }
        popup_surface.commit();
        program.roundtrip().unwrap();
        press(48);
        grabs.push(method.grab_keyboard(&handle, ()));
        program.roundtrip().unwrap();
        press(30);
        grabs.drain(..).for_each(|grab| grab.release());
        program.roundtrip().unwrap();
        popup.destroy();
        press(48);
        program.roundtrip().unwrap();
        keyboard.release();
        drop(program);
        assert_goes_on(&mut worker, &mut capturer);
    }
}
