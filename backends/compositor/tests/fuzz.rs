//! Random requests of every protocol, to objects in every state, while somebody types, clicks and draws: whatever a program
//! says, the desktop goes on.
//!
//! From a fixed seed; `PUNKTFUNK_FUZZ_CASES` and `PUNKTFUNK_FUZZ_SEED` look longer and elsewhere.

mod common;

use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::program::Program;
use common::{MODE, PATIENCE, Worker, frame_until, lend_new, shows};
use punktfunk_media::{Captured, Capturer as _, InputAction};
use punktfunk_testkit::window::Window;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process};
use wayland_client::Proxy as _;
use wayland_client::backend::protocol::{ANONYMOUS_INTERFACE, AllowNull, Argument, ArgumentType, Interface, Message};
use wayland_client::backend::{Backend, ObjectData, ObjectId};

/// Every protocol that the desktop offers; a global that is not among them fails the test.
fn interfaces() -> Vec<&'static Interface> {
    use wayland_client::protocol as core;
    use wayland_protocols::ext::{data_control::v1 as ext_data, foreign_toplevel_list::v1 as foreign_list};
    use wayland_protocols::wp;
    use wayland_protocols::xdg;
    use wayland_protocols_misc as misc;
    use wayland_protocols_wlr as wlr;
    vec![
        core::wl_compositor::WlCompositor::interface(),
        core::wl_subcompositor::WlSubcompositor::interface(),
        core::wl_shm::WlShm::interface(),
        core::wl_seat::WlSeat::interface(),
        core::wl_output::WlOutput::interface(),
        core::wl_data_device_manager::WlDataDeviceManager::interface(),
        ext_data::client::ext_data_control_manager_v1::ExtDataControlManagerV1::interface(),
        foreign_list::client::ext_foreign_toplevel_list_v1::ExtForeignToplevelListV1::interface(),
        wp::alpha_modifier::v1::client::wp_alpha_modifier_v1::WpAlphaModifierV1::interface(),
        wp::commit_timing::v1::client::wp_commit_timing_manager_v1::WpCommitTimingManagerV1::interface(),
        wp::content_type::v1::client::wp_content_type_manager_v1::WpContentTypeManagerV1::interface(),
        wp::fifo::v1::client::wp_fifo_manager_v1::WpFifoManagerV1::interface(),
        wp::keyboard_shortcuts_inhibit::zv1::client::zwp_keyboard_shortcuts_inhibit_manager_v1::ZwpKeyboardShortcutsInhibitManagerV1::interface(),
        xdg::dialog::v1::client::xdg_wm_dialog_v1::XdgWmDialogV1::interface(),
        xdg::toplevel_tag::v1::client::xdg_toplevel_tag_manager_v1::XdgToplevelTagManagerV1::interface(),
        wp::cursor_shape::v1::client::wp_cursor_shape_manager_v1::WpCursorShapeManagerV1::interface(),
        wp::fractional_scale::v1::client::wp_fractional_scale_manager_v1::WpFractionalScaleManagerV1::interface(),
        wp::idle_inhibit::zv1::client::zwp_idle_inhibit_manager_v1::ZwpIdleInhibitManagerV1::interface(),
        wp::pointer_constraints::zv1::client::zwp_pointer_constraints_v1::ZwpPointerConstraintsV1::interface(),
        wp::pointer_gestures::zv1::client::zwp_pointer_gestures_v1::ZwpPointerGesturesV1::interface(),
        wp::presentation_time::client::wp_presentation::WpPresentation::interface(),
        wp::primary_selection::zv1::client::zwp_primary_selection_device_manager_v1::ZwpPrimarySelectionDeviceManagerV1::interface(),
        wp::relative_pointer::zv1::client::zwp_relative_pointer_manager_v1::ZwpRelativePointerManagerV1::interface(),
        wp::single_pixel_buffer::v1::client::wp_single_pixel_buffer_manager_v1::WpSinglePixelBufferManagerV1::interface(),
        wp::tablet::zv2::client::zwp_tablet_manager_v2::ZwpTabletManagerV2::interface(),
        wp::text_input::zv3::client::zwp_text_input_manager_v3::ZwpTextInputManagerV3::interface(),
        wp::viewporter::client::wp_viewporter::WpViewporter::interface(),
        xdg::activation::v1::client::xdg_activation_v1::XdgActivationV1::interface(),
        xdg::decoration::zv1::client::zxdg_decoration_manager_v1::ZxdgDecorationManagerV1::interface(),
        xdg::foreign::zv2::client::zxdg_exporter_v2::ZxdgExporterV2::interface(),
        xdg::foreign::zv2::client::zxdg_importer_v2::ZxdgImporterV2::interface(),
        xdg::shell::client::xdg_wm_base::XdgWmBase::interface(),
        xdg::xdg_output::zv1::client::zxdg_output_manager_v1::ZxdgOutputManagerV1::interface(),
        misc::zwp_input_method_v2::client::zwp_input_method_manager_v2::ZwpInputMethodManagerV2::interface(),
        misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1::interface(),
        wlr::data_control::v1::client::zwlr_data_control_manager_v1::ZwlrDataControlManagerV1::interface(),
        wlr::layer_shell::v1::client::zwlr_layer_shell_v1::ZwlrLayerShellV1::interface(),
    ]
}

/// xorshift64*, so that a seed gives the same requests everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n.max(1)
    }

    fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// What a program knows: its objects, and what the desktop told it.
#[derive(Default)]
struct Known {
    objects: Mutex<Vec<ObjectId>>,
    /// The last numbers heard, serials among them.
    numbers: Mutex<VecDeque<u32>>,
    strings: Mutex<VecDeque<CString>>,
}

impl Known {
    fn remember<T>(list: &Mutex<VecDeque<T>>, new: T) {
        let mut list = list.lock().unwrap();
        list.push_back(new);
        if list.len() > 12 {
            list.pop_front();
        }
    }
}

/// Of one object.
struct Ears(Arc<Known>);

impl ObjectData for Ears {
    fn event(self: Arc<Self>, backend: &Backend, message: Message<ObjectId, OwnedFd>) -> Option<Arc<dyn ObjectData>> {
        let mut child = None;
        for argument in &message.args {
            match argument {
                Argument::Uint(number) => Known::remember(&self.0.numbers, *number),
                Argument::Str(Some(text)) => Known::remember(&self.0.strings, (**text).clone()),
                Argument::NewId(id) => {
                    self.0.objects.lock().unwrap().push(id.clone());
                    child = Some(Arc::new(Ears(Arc::clone(&self.0))) as Arc<dyn ObjectData>);
                }
                _ => {}
            }
        }
        // A window that does not answer stays unseen, and most that can be asked of one needs it seen.
        if message.sender_id.interface().name == "xdg_surface"
            && let Some(Argument::Uint(serial)) = message.args.first()
        {
            let args = [Argument::Uint(*serial)].into_iter().collect();
            let opcode = opcode(message.sender_id.interface(), "ack_configure");
            let _ = backend.send_request(Message { sender_id: message.sender_id, opcode, args }, None, None);
        }
        child
    }

    fn destroyed(&self, gone: ObjectId) {
        self.0.objects.lock().unwrap().retain(|id| *id != gone);
    }
}

fn opcode(interface: &Interface, request: &str) -> u16 {
    interface.requests.iter().position(|r| r.name == request).expect("the protocol has it") as u16
}

/// A program that says anything.
struct Babbler {
    program: Program,
    backend: Backend,
    known: Arc<Known>,
    random: Random,
    /// What it said, for whoever looks into a failure.
    said: VecDeque<String>,
}

impl Babbler {
    fn connect(worker: &Worker, seed: u64) -> Self {
        let mut program = Program::connect(&worker.display());
        let known = Arc::new(Known::default());
        let backend = program.list.registry().backend().upgrade().expect("connected");
        let mut random = Random(seed | 1);
        let all = interfaces();
        for global in program.list.contents().clone_list() {
            let interface = all.iter().find(|i| i.name == global.interface);
            let interface = interface.unwrap_or_else(|| panic!("{} is not tried", global.interface));
            let version = global.version.min(interface.version);
            let args = [
                Argument::Uint(global.name),
                Argument::Str(Some(Box::new(CString::new(global.interface).unwrap()))),
                Argument::Uint(version),
                Argument::NewId(ObjectId::null()),
            ];
            let message =
                Message { sender_id: program.list.registry().id(), opcode: 0, args: args.into_iter().collect() };
            let ears = Arc::new(Ears(Arc::clone(&known)));
            let id = backend.send_request(message, Some(ears), Some((interface, version))).unwrap();
            known.objects.lock().unwrap().push(id);
        }
        // Two windows that are seen, one on the other, and pictures for more.
        for rgb in [[80, 0, 0], [0, 80, 0]] {
            let surface = program.window();
            let picture = program.picture(64 + random.below(400) as i32, 300, rgb);
            program.show(&surface, &picture);
            known.objects.lock().unwrap().extend([surface.id(), picture.buffer.id()]);
        }
        known.objects.lock().unwrap().push(program.seat.id());
        program.roundtrip().unwrap();
        Self { program, backend, known, random, said: VecDeque::new() }
    }

    fn number(&mut self) -> i32 {
        match self.random.below(10) {
            0 => self.random.one_of(&[i32::MAX, i32::MIN, -1, -1000, 65_536, 1 << 24, -256]),
            1..=3 => self.random.one_of(&[0, 1, 2, 3]),
            _ => self.random.below(600) as i32,
        }
    }

    fn of_interface(&mut self, interface: &Interface) -> Option<ObjectId> {
        let objects = self.known.objects.lock().unwrap().clone();
        // One that was destroyed meanwhile cannot be named.
        let fits = |o: &ObjectId| o.interface().name == interface.name && self.backend.info(o.clone()).is_ok();
        let fits: Vec<_> = objects.into_iter().filter(fits).collect();
        // The newest ones know each other.
        let newest = fits.len().saturating_sub(4);
        match self.random.below(3) {
            _ if fits.is_empty() => None,
            0 => Some(self.random.one_of(&fits)),
            _ => Some(self.random.one_of(&fits[newest..])),
        }
    }

    /// Says something.
    fn speak(&mut self) {
        let objects = self.known.objects.lock().unwrap().clone();
        // Kinds first: there are many surfaces and one of most other things.
        let mut kinds: Vec<_> = objects.iter().map(|o| o.interface().name).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let kind = self.random.one_of(&kinds);
        let of_kind: Vec<_> = objects.into_iter().filter(|o| o.interface().name == kind).collect();
        let object = self.random.one_of(&of_kind);
        let Ok(info) = self.backend.info(object.clone()) else { return };
        let possible: Vec<_> =
            (0..info.interface.requests.len()).filter(|r| info.interface.requests[*r].since <= info.version).collect();
        if possible.is_empty() {
            return;
        }
        let opcode = self.random.one_of(&possible);
        let request = &info.interface.requests[opcode];
        if (request.is_destructor || RASH.contains(&request.name)) && self.random.below(8) > 0 {
            return;
        }
        let mut files: Vec<File> = Vec::new();
        let mut args = Vec::new();
        let mut wanted = request.arg_interfaces.iter();
        let child = request.child_interface;
        for kind in request.signature {
            let argument = match kind {
                ArgumentType::Int if request.name == "attach" && self.random.below(8) > 0 => Argument::Int(0),
                ArgumentType::Int => Argument::Int(self.number()),
                ArgumentType::Uint => {
                    let heard: Vec<u32> = self.known.numbers.lock().unwrap().iter().copied().collect();
                    Argument::Uint(match self.random.below(3) {
                        1 | 2 if request.name.contains("layer") => self.random.below(4) as u32,
                        0 if !heard.is_empty() => self.random.one_of(&heard),
                        1 => self.random.below(16) as u32,
                        _ => self.number() as u32,
                    })
                }
                ArgumentType::Fixed => Argument::Fixed(match self.random.below(3) {
                    0 => self.number(),
                    _ => self.number().wrapping_mul(256),
                }),
                ArgumentType::Str(null) => {
                    let heard: Vec<CString> = self.known.strings.lock().unwrap().iter().cloned().collect();
                    Argument::Str(match self.random.below(6) {
                        0 if *null == AllowNull::Yes => None,
                        1 => Some(Box::new(CString::new("x".repeat(3000)).unwrap())),
                        2 => Some(Box::default()),
                        3 => Some(Box::new(CString::new("text/plain;charset=utf-8").unwrap())),
                        _ if !heard.is_empty() => Some(Box::new(self.random.one_of(&heard))),
                        _ => Some(Box::new(CString::new("Ä").unwrap())),
                    })
                }
                ArgumentType::Object(null) => {
                    let interface = wanted.next().copied().unwrap_or(&ANONYMOUS_INTERFACE);
                    let may_be_null = *null == AllowNull::Yes;
                    // Who gives a surface a role takes a new one, as a rule.
                    if interface.name == "wl_surface" && child.is_some() && self.random.below(4) > 0 {
                        args.push(Argument::Object(
                            self.program.compositor.create_surface(&self.program.handle(), ()).id(),
                        ));
                        let Some(Argument::Object(id)) = args.last() else { unreachable!() };
                        self.known.objects.lock().unwrap().push(id.clone());
                        continue;
                    }
                    match self.of_interface(interface) {
                        Some(id) if !(may_be_null && self.random.below(5) == 0) => Argument::Object(id),
                        _ if may_be_null => Argument::Object(ObjectId::null()),
                        _ => return,
                    }
                }
                ArgumentType::NewId => Argument::NewId(ObjectId::null()),
                ArgumentType::Array => Argument::Array(Box::new(vec![7; self.random.below(64)])),
                ArgumentType::Fd => {
                    let file = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC).unwrap());
                    file.set_len(self.random.one_of(&[0, 100, 4096, 1 << 20])).unwrap();
                    files.push(file);
                    Argument::Fd(files.last().unwrap().as_raw_fd())
                }
            };
            args.push(argument);
        }
        self.said.push_back(format!("{object}.{} {args:?}", request.name));
        if self.said.len() > 40 {
            self.said.pop_front();
        }
        let message =
            Message::<ObjectId, RawFd> { sender_id: object, opcode: opcode as u16, args: args.into_iter().collect() };
        let ears = child.map(|_| Arc::new(Ears(Arc::clone(&self.known))) as Arc<dyn ObjectData>);
        if let Ok(id) = self.backend.send_request(message, ears, None)
            && child.is_some()
        {
            self.known.objects.lock().unwrap().push(id);
        }
    }
}

/// Said too often, these only end the conversation: most of what they ask for is against the protocol.
const RASH: [&str; 8] = [
    "key",
    "modifiers",
    "get_fractional_scale",
    "get_viewport",
    "create_pool",
    "create_buffer",
    "set_buffer_scale",
    "set_source",
];

/// Somebody's hands.
fn touch(random: &mut Random, injector: &mut dyn punktfunk_media::Injector) {
    let down = random.below(2) == 0;
    let action = match random.below(5) {
        0 => InputAction::Key { code: random.one_of(&[30, 42, 1, 28]), down },
        1 => InputAction::Button { code: 0x110, down },
        _ => InputAction::MotionAbs { x: random.below(1000) as f64 / 1000.0, y: random.below(1000) as f64 / 1000.0 },
    };
    injector.inject(&action).unwrap();
}

#[test]
fn programs_that_say_anything_end_nothing_but_themselves() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |v| v.parse().expect("a number"));
    let (cases, first) = (number("PUNKTFUNK_FUZZ_CASES", 60), number("PUNKTFUNK_FUZZ_SEED", 1));
    let mut worker = Worker::start(MODE);
    let mut injector = worker.link().injector().unwrap();
    let mut capturer = worker.link().capturer().unwrap();
    lend_new(&mut capturer);

    // A desktop that hangs would keep every roundtrip waiting: it is ended, and that is the failure.
    let (beat, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let watchdog = {
        let (beat, over, pid) = (Arc::clone(&beat), Arc::clone(&over), Pid::from_child(&worker.child));
        std::thread::spawn(move || {
            let (mut seen, mut since) = (0, Instant::now());
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
                let now = beat.load(Ordering::Relaxed);
                if now != seen {
                    (seen, since) = (now, Instant::now());
                } else if since.elapsed() > PATIENCE {
                    eprintln!("the desktop hangs");
                    return kill_process(pid, Signal::KILL).unwrap();
                }
            }
        })
    };

    let (mut requests, mut cut_off) = (0u32, 0u32);
    for case in 0..cases {
        let seed = (first + case).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut babbler = Babbler::connect(&worker, seed);
        for _ in 0..200 {
            babbler.speak();
            requests += 1;
            if babbler.random.below(3) == 0 {
                touch(&mut babbler.random, &mut injector);
            }
            if babbler.random.below(4) == 0 {
                beat.fetch_add(1, Ordering::Relaxed);
                if babbler.program.roundtrip().is_err() {
                    cut_off += 1;
                    break;
                }
            }
            if let Ok(Captured::Frame(frame)) = capturer.wait(Instant::now()) {
                capturer.lend(frame.slot).unwrap();
            }
        }
        let said = babbler.said.iter().map(|s| format!("  {s}\n")).collect::<String>();
        drop(babbler);
        let alive = worker.child.try_wait().unwrap().is_none()
            && catch_unwind(AssertUnwindSafe(|| Program::connect(&worker.display()).roundtrip().unwrap())).is_ok();
        assert!(alive, "PUNKTFUNK_FUZZ_SEED={} ended the desktop; the last words were\n{said}", first + case);
    }
    over.store(true, Ordering::Relaxed);
    watchdog.join().unwrap();
    println!("{requests} requests of {cases} programs, of which {cut_off} were cut off");

    let window = Window::open_tiled(&worker.display(), [3, 200, 3]);
    frame_until(&mut capturer, "a decent program", |f| shows(f, [3, 200, 3]));
    drop(window);
    worker.assert_alive();
}
