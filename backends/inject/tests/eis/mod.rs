//! A small EIS server that writes down what it is asked to do.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reis::PendingRequestResult;
use reis::eis::{self, connection::DisconnectReason, device::DeviceType, keyboard::KeymapType};
use reis::enumflags2::BitFlags;
use reis::event::DeviceCapability as Can;
use reis::handshake::EisHandshaker;
use reis::request::{Connection, Device, EisRequest, EisRequestConverter, Seat};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use xkbcommon::xkb;

/// What the server has and does.
#[derive(Clone)]
pub struct Offer {
    /// XKB layout of its keyboard; `None`: no keymap is sent.
    pub layout: Option<&'static str>,
    /// It has `ei_text`.
    pub text: bool,
    /// It resumes its devices by itself.
    pub resume: bool,
    /// It has any devices.
    pub devices: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self { layout: Some("de"), text: false, resume: true, devices: true }
    }
}

/// What a test can have it do.
pub enum Order {
    /// Pause every device.
    Pause,
    /// Resume every device.
    Resume,
    /// Tell locked modifiers and a group.
    Modifiers { locked: u32, group: u32 },
    /// Break off with a reason.
    Disconnect,
    /// Close the socket.
    Die,
    /// Send bytes that mean nothing.
    Babble,
    /// Read nothing any more, until the test is over.
    Sleep,
}

/// The server on a thread of its own.
pub struct Server {
    orders: Sender<Order>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

/// What the server was asked.
#[derive(Clone, Default)]
pub struct Seen {
    /// One text per request, in order.
    pub played: Vec<String>,
    /// Time stamps of the frames, in µs of the monotonic clock.
    pub times: Vec<u64>,
    /// Orders carried out.
    pub obeyed: usize,
    /// The client said goodbye.
    pub bye: bool,
}

impl Server {
    /// Starts it; the stream is the client's end.
    pub fn start(offer: Offer) -> (Self, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (orders, list) = channel();
        let seen = Arc::<(Mutex<Seen>, Condvar)>::default();
        let shared = Arc::clone(&seen);
        let thread = std::thread::spawn(move || serve(ours, &offer, &list, &shared));
        (Self { orders, seen, thread: Some(thread) }, theirs)
    }

    /// Has it do something, and waits until it is done.
    pub fn order(&self, order: Order) {
        let before = self.seen().obeyed;
        self.orders.send(order).unwrap();
        self.wait("an order to be carried out", |seen| seen.obeyed > before);
    }

    /// What it was asked so far.
    pub fn seen(&self) -> Seen {
        self.seen.0.lock().unwrap().clone()
    }

    /// Forgets what it was asked.
    pub fn forget(&self) {
        self.seen.0.lock().unwrap().played.clear();
    }

    /// Waits until `enough`.
    pub fn wait(&self, what: &str, enough: impl Fn(&Seen) -> bool) -> Seen {
        let until = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        while !enough(&seen) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}; asked: {:?}", seen.played);
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
        seen.clone()
    }

    /// Waits for as many requests as `expected` has, which must be those.
    pub fn expect(&self, expected: &[&str]) {
        let seen = self.wait("requests", |seen| seen.played.len() >= expected.len());
        assert_eq!(seen.played, expected);
        self.forget();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails when it has ended by itself.
        let _ = self.orders.send(Order::Die);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the server failed");
        }
    }
}

fn serve(stream: UnixStream, offer: &Offer, orders: &Receiver<Order>, shared: &(Mutex<Seen>, Condvar)) {
    let mut raw = stream.try_clone().unwrap();
    let context = eis::Context::new(stream).unwrap();
    let mut handshake = EisHandshaker::new(&context, 1);
    let mut converter: Option<EisRequestConverter> = None;
    let mut devices: Vec<Device> = Vec::new();
    let tell = |change: &mut dyn FnMut(&mut Seen)| {
        change(&mut shared.0.lock().unwrap());
        shared.1.notify_all();
    };
    loop {
        match orders.try_recv() {
            Ok(Order::Die) => return tell(&mut |seen| seen.obeyed += 1),
            Ok(Order::Sleep) => {
                tell(&mut |seen| seen.obeyed += 1);
                // Fails when the test is over.
                let _ = orders.recv();
                return;
            }
            Ok(order) => {
                obey(&order, converter.as_ref().map(EisRequestConverter::handle), &devices, &mut raw);
                tell(&mut |seen| seen.obeyed += 1);
            }
            Err(_) => {}
        }
        let tick = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
        poll(&mut [PollFd::new(&context.as_fd(), PollFlags::IN)], Some(&tick)).unwrap();
        if context.read().is_err() {
            return tell(&mut |seen| seen.bye = true);
        }
        while let Some(result) = context.pending_request() {
            let PendingRequestResult::Request(request) = result else { panic!("{result:?}") };
            let Some(converter) = &mut converter else {
                if let Some(done) = handshake.handle_request(request).unwrap() {
                    assert_eq!(done.context_type, eis::handshake::ContextType::Sender);
                    let made = EisRequestConverter::new(&context, done, 1);
                    let all = BitFlags::all() & !if offer.text { BitFlags::empty() } else { Can::Text.into() };
                    let _ = made.handle().add_seat(Some("seat0"), all);
                    converter = Some(made);
                    context.flush().unwrap();
                }
                continue;
            };
            converter.handle_request(request).unwrap();
            while let Some(request) = converter.next_request() {
                if let EisRequest::Bind(bind) = &request
                    && offer.devices
                {
                    devices = make_devices(&bind.seat, offer);
                }
                let text = describe(&request);
                tell(&mut |seen| match &request {
                    EisRequest::Frame(frame) => seen.times.push(frame.time),
                    EisRequest::Disconnect => seen.bye = true,
                    _ => seen.played.extend(text.clone()),
                });
                if matches!(request, EisRequest::Disconnect) {
                    return;
                }
            }
            context.flush().unwrap();
        }
    }
}

fn obey(order: &Order, connection: Option<&Connection>, devices: &[Device], raw: &mut UnixStream) {
    let connection = connection.expect("an order after the handshake");
    match order {
        Order::Pause => devices.iter().for_each(Device::paused),
        Order::Resume => devices.iter().for_each(Device::resumed),
        Order::Modifiers { locked, group } => {
            let keyboard = devices.iter().find_map(Device::interface::<eis::Keyboard>).unwrap();
            connection.with_next_serial(|serial| keyboard.modifiers(serial, 0, *locked, 0, *group));
        }
        Order::Disconnect => connection.disconnected(DisconnectReason::Disconnected, None),
        Order::Babble => raw.write_all(&[0xff; 64]).unwrap(),
        Order::Die | Order::Sleep => {}
    }
    // Fails when the client has gone.
    let _ = connection.flush();
}

/// A relative pointer, an absolute one and a touchscreen on two outputs, a keyboard.
fn make_devices(seat: &Seat, offer: &Offer) -> Vec<Device> {
    let mouse = Can::Pointer | Can::Button | Can::Scroll;
    let outputs = |device: &Device| {
        device.device().region_mapping_id("left");
        device.device().region(0, 0, 1920, 1080, 1.0);
        device.device().region_mapping_id("right");
        device.device().region(1920, 100, 1365, 767, 1.5);
    };
    let keymap = |device: &Device| {
        let (Some(keyboard), Some(layout)) = (device.interface::<eis::Keyboard>(), offer.layout) else { return };
        let text = keymap(layout);
        let mut file = tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.write_all(&[0]).unwrap();
        keyboard.keymap(KeymapType::Xkb, text.len() as u32 + 1, file.as_fd());
    };
    let devices = vec![
        seat.add_device(Some("mouse"), DeviceType::Virtual, mouse, |_| {}),
        seat.add_device(Some("tablet"), DeviceType::Virtual, Can::PointerAbsolute | Can::Button, outputs),
        seat.add_device(Some("screen"), DeviceType::Virtual, Can::Touch.into(), outputs),
        seat.add_device(Some("keys"), DeviceType::Virtual, Can::Keyboard | Can::Text, keymap),
    ];
    if offer.resume {
        devices.iter().for_each(Device::resumed);
    }
    devices
}

fn tempfile() -> std::io::Result<std::fs::File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    Ok(std::fs::File::from(rustix::fs::memfd_create("keymap", flags)?))
}

fn keymap(layout: &str) -> String {
    let context = xkb::Context::new(xkb::CONTEXT_NO_FLAGS);
    let flags = xkb::KEYMAP_COMPILE_NO_FLAGS;
    let keymap = xkb::Keymap::new_from_names(&context, "evdev", "", layout, "", None, flags).unwrap();
    keymap.get_as_string(xkb::KEYMAP_FORMAT_TEXT_V1)
}

/// `DEVICE WHAT …`; `None` for what is not played back.
fn describe(request: &EisRequest) -> Option<String> {
    use EisRequest as R;
    let down = |pressed: bool| if pressed { "down" } else { "up" };
    let what = match request {
        R::PointerMotion(e) => format!("moved {} {}", e.dx, e.dy),
        R::PointerMotionAbsolute(e) => format!("at {} {}", e.dx_absolute, e.dy_absolute),
        R::Button(e) => format!("button {:#x} {}", e.button, down(e.state == eis::button::ButtonState::Press)),
        R::ScrollDelta(e) => format!("scrolled {} {}", e.dx, e.dy),
        R::ScrollDiscrete(e) => format!("wheel {} {}", e.discrete_dx, e.discrete_dy),
        R::ScrollStop(e) => format!("stopped {} {}", e.x, e.y),
        R::KeyboardKey(e) => format!("key {} {}", e.key, down(e.state == eis::keyboard::KeyState::Press)),
        R::TouchDown(e) => format!("touch {} down {} {}", e.touch_id, e.x, e.y),
        R::TouchMotion(e) => format!("touch {} at {} {}", e.touch_id, e.x, e.y),
        R::TouchUp(e) => format!("touch {} up", e.touch_id),
        R::TextUtf8(e) => format!("text {}", e.text),
        R::DeviceStartEmulating(e) => format!("starts {}", e.sequence),
        R::DeviceStopEmulating(_) => "stops".to_owned(),
        R::Bind(_) | R::Frame(_) | R::Ready(_) | R::Disconnect => return None,
        other => format!("{other:?}"),
    };
    let device = request.device().and_then(Device::name).unwrap_or("?");
    Some(format!("{device} {what}"))
}

const PATIENCE: Duration = Duration::from_secs(20);
