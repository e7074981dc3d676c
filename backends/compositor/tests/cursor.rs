//! The pointer beside the picture: told as programs set it, never drawn, and back in the picture when it is wanted there.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::program::{Program, Seen};
use common::{MODE, PATIENCE, Worker, frame_until, lend_new, settle};
use punktfunk_compositor::{WorkerCapturer, WorkerInjector};
use punktfunk_media::{Captured, CapturedFrame, Capturer as _, CursorImage, CursorPlace, Injector as _, InputAction};
use wayland_client::protocol::{wl_pointer::WlPointer, wl_surface::WlSurface};
use wayland_protocols::wp::cursor_shape::v1::client::{
    wp_cursor_shape_device_v1::Shape, wp_cursor_shape_manager_v1::WpCursorShapeManagerV1,
};
use wayland_protocols::wp::pointer_constraints::zv1::client::zwp_pointer_constraints_v1::Lifetime;

const WINDOW: [u8; 3] = [10, 20, 90];

/// A desktop with one window, its consumer, and what that knows of the pointer.
struct Bench {
    worker: Worker,
    program: Program,
    surface: WlSurface,
    pointer: WlPointer,
    capturer: WorkerCapturer,
    injector: WorkerInjector,
    place: CursorPlace,
    shape: Option<Arc<CursorImage>>,
    shapes: usize,
    tellings: usize,
    /// Pictures that came while the pointer was waited for.
    frames: usize,
}

impl Bench {
    /// At rest, the pointer in the picture.
    fn start() -> Self {
        let worker = Worker::start(MODE);
        let mut program = Program::connect(&worker.display());
        let surface = program.window();
        let picture = program.picture(1280, 720, WINDOW);
        program.show(&surface, &picture);
        let pointer = program.seat.get_pointer(&program.handle(), ());
        program.roundtrip().unwrap();
        let mut capturer = worker.link().capturer().unwrap();
        lend_new(&mut capturer);
        let frame = frame_until(&mut capturer, "the window", |f| at(f, 640, 360) == WINDOW);
        settle(&mut capturer, frame.slot);
        let injector = worker.link().injector().unwrap();
        Self {
            worker,
            program,
            surface,
            pointer,
            capturer,
            injector,
            place: CursorPlace::default(),
            shape: None,
            shapes: 0,
            tellings: 0,
            frames: 0,
        }
    }

    /// The same with the pointer apart, at 640, 360.
    fn apart() -> Self {
        let mut bench = Self::start();
        assert!(bench.capturer.set_cursor_apart(true).unwrap());
        bench.point(640, 360);
        bench.program.wait("the pointer", |seen| seen.motion.last() == Some(&(640.0, 360.0)));
        bench.until("the pointer's place and shape", |b| b.shape.is_some() && b.is_at(640, 360));
        bench.rest();
        (bench.shapes, bench.tellings, bench.frames) = (0, 0, 0);
        bench
    }

    fn point(&mut self, x: u32, y: u32) {
        let (x, y) = (f64::from(x) / 1280.0, f64::from(y) / 720.0);
        self.injector.inject(&InputAction::MotionAbs { x, y }).unwrap();
    }

    fn is_at(&self, x: i32, y: i32) -> bool {
        (self.place.x, self.place.y) == (x, y)
    }

    /// Waits for one event; whether anything came.
    fn hear(&mut self, within: Duration) -> bool {
        let captured = self.capturer.wait(Instant::now() + within).unwrap_or_else(|e| panic!("{e}"));
        match captured {
            Captured::Frame(frame) => {
                self.frames += 1;
                self.capturer.lend(frame.slot).unwrap();
                return true;
            }
            Captured::LayoutChanged(_) => {
                lend_new(&mut self.capturer);
                return true;
            }
            Captured::Unchanged => {}
        }
        let Some(update) = self.capturer.take_cursor() else { return false };
        self.place = update.place;
        self.tellings += 1;
        self.shapes += usize::from(update.shape.is_some());
        self.shape = update.shape.or(self.shape.take());
        true
    }

    fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !wanted(self) {
            assert!(Instant::now() < until, "waited in vain for {what}: {:?}", self.place);
            self.hear(Duration::from_millis(100));
        }
    }

    /// Until nothing has come for a while.
    fn rest(&mut self) {
        while self.hear(Duration::from_millis(300)) {}
    }

    fn shape(&self) -> &CursorImage {
        self.shape.as_deref().expect("a shape")
    }

    /// Makes a surface the cursor.
    fn set_cursor(&mut self, picture: &common::program::Picture, hot: (i32, i32)) -> WlSurface {
        let cursor = self.program.compositor.create_surface(&self.program.handle(), ());
        self.pointer.set_cursor(self.program.seen.entered, Some(&cursor), hot.0, hot.1);
        self.program.show(&cursor, picture);
        self.program.roundtrip().unwrap();
        cursor
    }

    /// A picture that satisfies `wanted`.
    fn picture(&mut self, what: &str, wanted: impl Fn(&CapturedFrame) -> bool) {
        let frame = frame_until(&mut self.capturer, what, wanted);
        settle(&mut self.capturer, frame.slot);
    }

    /// What is in the picture now: something else in the window's corner makes it come.
    fn look(&mut self, wanted: impl Fn(&CapturedFrame) -> bool) -> bool {
        let picture = self.program.picture(1280, 720, WINDOW);
        self.program.show(&self.surface, &picture);
        self.program.roundtrip().unwrap();
        let frame = common::next_frame(&mut self.capturer);
        let is = wanted(&frame);
        settle(&mut self.capturer, frame.slot);
        is
    }
}

fn at(frame: &CapturedFrame, x: u32, y: u32) -> [u8; 3] {
    // The middle of the pixel.
    common::pixel(frame, (f64::from(x) + 0.5) / 1280.0, (f64::from(y) + 0.5) / 720.0)
}

const BLACK: [u8; 3] = [0; 3];

#[test]
fn our_arrow_is_told_and_not_drawn_and_its_moves_cost_no_picture() {
    let mut bench = Bench::apart();
    assert!(bench.place.visible && !bench.place.grabbed);
    let shape = bench.shape();
    assert_eq!((shape.size(), shape.hot()), ([12, 18], [0, 0]));
    // A black rim, white inside, nothing beside it.
    let pixel = |x: usize, y: usize| shape.rgba()[(y * 12 + x) * 4..][..4].to_vec();
    assert_eq!([pixel(0, 0), pixel(1, 5), pixel(11, 0)], [[0, 0, 0, 255], [255; 4], [0; 4]]);
    for i in 1..=40 {
        bench.point(640 + i * 5, 360 + i);
        bench.until("its new place", |b| b.is_at(640 + i as i32 * 5, 360 + i as i32));
    }
    assert_eq!((bench.frames, bench.shapes), (0, 0), "drawn or told again");
    assert!(bench.look(|frame| [(840, 400), (841, 405), (640, 360)].map(|(x, y)| at(frame, x, y)) == [WINDOW; 3]));
}

#[test]
fn it_goes_back_into_the_picture_and_out_again_while_pictures_are_taken() {
    let mut bench = Bench::start();
    bench.point(640, 360);
    bench.picture("the arrow", |f| at(f, 640, 360) == BLACK);
    bench.capturer.set_cursor_apart(true).unwrap();
    bench.picture("no arrow", |f| at(f, 640, 360) == WINDOW);
    assert!(bench.capturer.take_cursor().is_some_and(|update| update.shape.is_some()), "told as soon as it is apart");
    bench.capturer.set_cursor_apart(false).unwrap();
    bench.picture("the arrow again", |f| at(f, 640, 360) == BLACK);
    bench.point(100, 100);
    bench.picture("the arrow elsewhere", |f| (at(f, 640, 360), at(f, 100, 100)) == (WINDOW, BLACK));
    assert_eq!(bench.capturer.take_cursor(), None, "told although it is drawn");
    bench.capturer.set_cursor_apart(true).unwrap();
    bench.until("all of it once more", |b| b.shapes == 1 && b.is_at(100, 100));
    // Whoever takes pictures next finds it in them.
    bench.capturer = bench.worker.link().capturer().unwrap();
    lend_new(&mut bench.capturer);
    bench.picture("the arrow for the next one", |f| at(f, 100, 100) == BLACK);
}

#[test]
fn a_programs_cursor_comes_as_it_is_drawn_with_its_own_alpha() {
    let mut bench = Bench::apart();
    // Red that lets half through, solid blue, nothing: multiplied by their alphas.
    let stripes = |x: i32| [[128, 0, 0, 128], [0, 0, 255, 255], [0; 4]][x as usize / 8];
    let picture = bench.program.translucent(24, 20, |x, _| stripes(x));
    let cursor = bench.set_cursor(&picture, (5, 7));
    bench.until("the program's cursor", |b| b.shape().size() == [24, 20]);
    let straight = |x: usize| [[255, 0, 0, 128], [0, 0, 255, 255], [0; 4]][x / 8];
    let expected: Vec<u8> = (0..20).flat_map(|_| (0..24).flat_map(straight)).collect();
    assert!(bench.shape().rgba() == expected, "{:?}", &bench.shape().rgba()[..96]);
    assert_eq!((bench.shape().hot(), bench.shapes), ([5, 7], 1));
    assert!(bench.is_at(640, 360), "the place is that of its hotspot");
    // The same again is nothing new.
    let same = bench.program.translucent(24, 20, |x, _| stripes(x));
    bench.program.show(&cursor, &same);
    bench.program.roundtrip().unwrap();
    bench.rest();
    assert_eq!((bench.shapes, bench.frames), (1, 0));
    // Without its surface it is ours, with none it is not seen.
    bench.pointer.set_cursor(bench.program.seen.entered, None, 0, 0);
    bench.program.roundtrip().unwrap();
    bench.until("no cursor", |b| !b.place.visible);
    assert_eq!((bench.shapes, bench.frames), (1, 0));
    bench.pointer.set_cursor(bench.program.seen.entered, Some(&cursor), 5, 7);
    bench.program.show(&cursor, &picture);
    bench.program.roundtrip().unwrap();
    bench.until("it again", |b| b.place.visible);
    // What it draws while a finger is used is there when the pointer is.
    bench.injector.inject(&InputAction::TouchDown { id: 0, x: 0.1, y: 0.1 }).unwrap();
    bench.injector.inject(&InputAction::TouchUp { id: 0 }).unwrap();
    bench.until("a finger", |b| !b.place.visible);
    let other = bench.program.translucent(20, 20, |_, _| [0, 0, 0, 255]);
    bench.program.show(&cursor, &other);
    bench.program.roundtrip().unwrap();
    bench.rest();
    bench.point(641, 360);
    bench.until("what it drew meanwhile", |b| b.place.visible && b.shape().size() == [20, 20]);
    cursor.destroy();
    bench.program.roundtrip().unwrap();
    bench.until("ours", |b| b.shape().size() == [12, 18]);
}

#[test]
fn a_cursor_that_moves_is_told_picture_by_picture_and_called_back_for_each() {
    let mut bench = Bench::apart();
    let shade = |bench: &Bench, i: u8| bench.program.translucent(16, 16, move |_, _| [i * 10, 0, 0, 255]);
    let first = shade(&bench, 1);
    let cursor = bench.set_cursor(&first, (0, 0));
    let started = Instant::now();
    for i in 2..12 {
        let before = bench.program.seen.callbacks;
        cursor.frame(&bench.program.handle(), ());
        let picture = shade(&bench, i);
        bench.program.show(&cursor, &picture);
        bench.program.roundtrip().unwrap();
        bench.until("its next picture", |b| b.shape().rgba()[0] == i * 10);
        bench.program.wait("a callback", |seen: &Seen| seen.callbacks > before);
    }
    // What is not seen is called back once a second.
    assert!(started.elapsed() < Duration::from_secs(8), "called back as if it were not seen");
    assert_eq!(bench.frames, 0, "a picture was drawn for it");
}

#[test]
fn named_cursors_and_scales_have_their_own_shapes() {
    let mut bench = Bench::apart();
    let handle = bench.program.handle();
    let manager: WpCursorShapeManagerV1 = bench.program.list.bind(&handle, 1..=1, ()).unwrap();
    let device = manager.get_pointer(&bench.pointer, &handle, ());
    device.set_shape(bench.program.seen.entered, Shape::Text);
    bench.program.roundtrip().unwrap();
    bench.until("the beam", |b| b.shape().size() == [7, 16]);
    assert_eq!(bench.shape().hot(), [3, 8]);
    let mut link = bench.worker.link();
    link.set_mode(MODE, Some(2.0)).unwrap();
    bench.until("a beam of twice the size", |b| b.shape().size() == [14, 32]);
    assert_eq!(bench.shape().hot(), [6, 16]);
    // Places are pixels of the output at every scale.
    bench.point(1000, 700);
    bench.until("its place", |b| b.is_at(1000, 700));
    // A beam of seven pixels is drawn on eight and three quarters.
    link.set_mode(MODE, Some(1.25)).unwrap();
    bench.until("a beam in between", |b| b.shape().size() == [9, 20]);
    bench.point(1001, 333);
    bench.until("its place", |b| b.is_at(1001, 333));
}

#[test]
fn a_cursor_that_is_larger_than_clients_take_is_drawn_smaller() {
    let mut bench = Bench::apart();
    let picture = bench.program.translucent(256, 128, |x, _| if x < 128 { [255, 0, 0, 255] } else { [0, 0, 255, 255] });
    let _cursor = bench.set_cursor(&picture, (200, 100));
    bench.until("its cursor", |b| b.shape().size() == [120, 60]);
    let [x, y] = bench.shape().hot();
    assert!(x.abs_diff(94) <= 1 && y.abs_diff(47) <= 1, "{x} {y}");
    let row = &bench.shape().rgba()[30 * 480..][..480];
    assert_eq!((&row[40..44], &row[400..404]), (&[255, 0, 0, 255][..], &[0, 0, 255, 255][..]));
    // Hotspots that lie beside it, and far away.
    for hot in [(-20, -20), (i32::MAX, i32::MIN)] {
        let picture = bench.program.translucent(16, 16, |_, _| [9, 9, 9, 255]);
        let _cursor = bench.set_cursor(&picture, hot);
        bench.rest();
        let ([w, h], [x, y]) = (bench.shape().size(), bench.shape().hot());
        assert!(x < w && y < h, "{w}x{h} {x} {y}");
        assert!(hot != (-20, -20) || ([w, h], [x, y]) == ([36, 36], [0, 0]), "{w}x{h} {x} {y}");
    }
    bench.worker.assert_alive();
}

#[test]
fn while_a_game_holds_the_pointer_it_is_not_seen() {
    let mut bench = Bench::apart();
    let handle = bench.program.handle();
    let locked =
        bench.program.constraints.lock_pointer(&bench.surface, &bench.pointer, None, Lifetime::Persistent, &handle, ());
    bench.program.wait("the lock", |seen| seen.holds == ["locked"]);
    bench.until("nothing to see", |b| !b.place.visible && b.place.grabbed);
    bench.rest();
    let tellings = bench.tellings;
    for _ in 0..20 {
        bench.injector.inject(&InputAction::Motion { dx: 3.0, dy: 1.0 }).unwrap();
    }
    bench.rest();
    assert_eq!((bench.tellings, bench.frames), (tellings, 0), "it does not move");
    locked.destroy();
    bench.program.roundtrip().unwrap();
    bench.until("the pointer again", |b| b.place.visible && !b.place.grabbed && b.is_at(640, 360));
    // A finger hides it, the pointer's next motion shows it.
    bench.injector.inject(&InputAction::TouchDown { id: 0, x: 0.1, y: 0.1 }).unwrap();
    bench.until("a finger", |b| !b.place.visible);
    bench.injector.inject(&InputAction::TouchUp { id: 0 }).unwrap();
    bench.point(641, 360);
    bench.until("the pointer", |b| b.place.visible);
    assert_eq!(bench.frames, 0);
}

#[test]
fn a_consumer_that_is_busy_finds_the_newest_place_and_pictures_go_on() {
    let mut bench = Bench::apart();
    for i in 0..3000 {
        bench.point(100 + i % 1000, 100);
    }
    bench.point(77, 88);
    bench.program.wait("the last of them", |seen| seen.motion.last() == Some(&(77.0, 88.0)));
    // Its picture finds room in the socket.
    let picture = bench.program.picture(1280, 720, [1, 2, 3]);
    bench.program.show(&bench.surface, &picture);
    bench.program.roundtrip().unwrap();
    bench.until("the newest place and the picture", |b| b.is_at(77, 88) && b.frames > 0);
    assert!(bench.tellings <= 3, "{} tellings waited", bench.tellings);
}

#[test]
fn moves_are_told_once_a_period_and_a_pointer_that_rests_wakes_nobody() {
    let mut bench = Bench::apart();
    let started = Instant::now();
    for i in 0..400 {
        bench.point(i, i % 700);
        bench.hear(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(1));
    }
    bench.until("the last place", |b| b.is_at(399, 399));
    let periods = started.elapsed().as_millis() / 16 + 2;
    assert!(bench.tellings as u128 <= periods, "{} tellings in {periods} periods", bench.tellings);
    assert!(bench.tellings > 5 && bench.frames == 0);
    bench.rest();
    let before = bench.worker.sleeps();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(bench.worker.sleeps() - before, 0, "wake-ups in three seconds");
}

#[test]
fn a_program_that_takes_its_cursors_memory_back_harms_nobody() {
    let mut bench = Bench::apart();
    let picture = bench.program.translucent(100, 100, |_, _| [0, 90, 0, 255]);
    let cursor = bench.set_cursor(&picture, (0, 0));
    bench.until("its cursor", |b| b.shape().size() == [100, 100]);
    // Shown again, and gone before the compositor hears of it; whether it is cut off for it is all the same.
    picture.file.set_len(0).unwrap();
    for _ in 0..3 {
        bench.program.show(&cursor, &picture);
        if bench.program.roundtrip().is_err() {
            break;
        }
        bench.rest();
    }
    bench.point(50, 60);
    bench.until("the pointer", |b| b.is_at(50, 60) && b.place.visible);
    bench.worker.assert_alive();
    // The next program's cursor is told as ever.
    let mut other = Program::connect(&bench.worker.display());
    bench.pointer = other.seat.get_pointer(&other.handle(), ());
    let surface = other.window();
    let window = other.picture(1280, 720, WINDOW);
    other.show(&surface, &window);
    other.roundtrip().unwrap();
    bench.program = other;
    bench.point(70, 60);
    bench.program.wait("the pointer", |seen| seen.motion.last() == Some(&(70.0, 60.0)));
    let picture = bench.program.translucent(9, 9, |_, _| [0, 0, 90, 255]);
    let _cursor = bench.set_cursor(&picture, (0, 0));
    bench.until("its cursor", |b| b.shape().size() == [9, 9]);
}

#[test]
fn a_program_that_changes_its_cursor_without_end_costs_one_telling_per_period_and_no_picture() {
    let mut bench = Bench::apart();
    let pictures = [10, 200].map(|red| bench.program.translucent(120, 120, move |_, _| [red, 0, 0, 255]));
    let cursor = bench.set_cursor(&pictures[0], (0, 0));
    let started = Instant::now();
    let mut commits = 0;
    while started.elapsed() < Duration::from_secs(2) {
        for picture in &pictures {
            bench.program.show(&cursor, picture);
            bench.program.roundtrip().unwrap();
            commits += 1;
        }
        bench.hear(Duration::ZERO);
    }
    let periods = started.elapsed().as_millis() as usize / 16 + 2;
    assert!(bench.tellings <= periods && bench.tellings > 10, "{} tellings in {periods} periods", bench.tellings);
    assert!(commits > periods, "{commits} commits are no flood");
    assert_eq!(bench.frames, 0);
}
