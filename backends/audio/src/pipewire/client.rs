//! The client thread: connected, or trying to be.
//!
//! ```text
//! away ─ socket answers ─► connected: loop runs ─ server gone, stream destroyed ─► away (again in 200 ms) … until stopped
//! ```

use std::cell::RefCell;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pipewire::context::ContextRc;
use pipewire::core::CoreRc;
use pipewire::main_loop::MainLoopRc;
use pipewire::properties::PropertiesBox;
use pipewire::spa::param::ParamType;
use pipewire::spa::param::audio::{AudioFormat, AudioInfoRaw};
use pipewire::spa::pod::serialize::PodSerializer;
use pipewire::spa::pod::{Object, Pod, Value};
use pipewire::spa::support::system::IoFlags;
use pipewire::spa::utils::{Direction, SpaTypes};
use pipewire::stream::{Stream, StreamFlags, StreamListener, StreamRc, StreamState};
use punktfunk_media::SAMPLE_RATE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::feed::Bell;

/// How things stand with the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Standing {
    /// Not connected, or not set up yet.
    Away,
    /// Our stream is there, and nothing flows.
    Idle,
    /// Something flows.
    Playing,
}

/// [`Standing`], shared with the thread that uses the stream. Changes ring the bell.
#[derive(Clone, Debug)]
pub struct Link {
    standing: Arc<AtomicU8>,
    pub bell: Bell,
}

impl Link {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { standing: Arc::new(AtomicU8::new(Standing::Away as u8)), bell: Bell::new()? })
    }

    pub fn standing(&self) -> Standing {
        match self.standing.load(Ordering::Acquire) {
            0 => Standing::Away,
            1 => Standing::Idle,
            _ => Standing::Playing,
        }
    }

    fn set(&self, standing: Standing) {
        self.standing.store(standing as u8, Ordering::Release);
        self.bell.ring();
    }

    /// Waits until the stream is there. Returns whether it is.
    pub fn wait_ready(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        while self.standing() == Standing::Away {
            if Instant::now() >= until {
                return false;
            }
            self.bell.wait(until);
        }
        true
    }
}

/// A stream to be made, again after every reconnection.
pub trait Blueprint: Send + 'static {
    /// Name, way, and properties.
    fn describe(&self) -> Described;

    /// What runs for every buffer, on PipeWire's data thread: made anew for every stream.
    fn process(&mut self) -> Box<dyn FnMut(&Stream) + Send>;
}

/// What a stream looks like to the server.
pub struct Described {
    pub name: String,
    /// [`Direction::Input`]: we are fed.
    pub direction: Direction,
    /// Whether the session manager shall link it to a device by itself.
    pub autoconnect: bool,
    /// Positions of the channels, as libspa numbers them.
    pub positions: Vec<u32>,
    pub properties: Vec<(&'static str, String)>,
}

/// The thread. Dropping it disconnects and waits for the thread, which takes milliseconds.
#[derive(Debug)]
pub struct Client {
    /// Closing our end stops the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Starts a thread that keeps the stream of `blueprint` alive on the server at `socket`.
    pub fn start(thread_name: &str, socket: &Path, link: Link, blueprint: impl Blueprint) -> std::io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let socket = socket.to_owned();
        let worker = Worker { socket, link, stopped };
        let thread = thread::Builder::new().name(thread_name.to_owned()).spawn(move || worker.run(blueprint))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported by the panic hook; there is nothing more to save.
            let _ = thread.join();
        }
    }
}

struct Worker {
    socket: PathBuf,
    link: Link,
    stopped: UnixStream,
}

impl Worker {
    fn run(self, mut blueprint: impl Blueprint) {
        let mut said = false;
        while !self.is_stopped(Duration::ZERO) {
            if let Err(why) = self.live(&mut blueprint)
                && !std::mem::replace(&mut said, true)
            {
                tracing::debug!(socket = %self.socket.display(), "PipeWire: {why}");
            }
            let was = self.link.standing();
            self.link.set(Standing::Away);
            if was != Standing::Away {
                said = false;
            }
            if self.is_stopped(AGAIN_AFTER) {
                return;
            }
        }
    }

    /// Waits so long, or until stopped. Returns whether stopped.
    fn is_stopped(&self, wait: Duration) -> bool {
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        matches!(poll(&mut [PollFd::new(&self.stopped, PollFlags::IN)], Some(&timeout)), Ok(n) if n > 0)
    }

    /// One connection, from its start to its end.
    fn live(&self, blueprint: &mut impl Blueprint) -> Result<(), String> {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let server = UnixStream::connect(&self.socket).map_err(|e| text(&e))?;
        pipewire::init();
        let main_loop = MainLoopRc::new(None).map_err(|e| text(&e))?;
        let context = ContextRc::new(&main_loop, None).map_err(|e| text(&e))?;
        let core = context.connect_fd_rc(server.into(), None).map_err(|e| text(&e))?;
        let trouble: Rc<RefCell<Result<(), String>>> = Rc::new(RefCell::new(Ok(())));
        let fail = {
            let (trouble, main_loop) = (Rc::clone(&trouble), main_loop.clone());
            Rc::new(move |why: String| {
                *trouble.borrow_mut() = Err(why);
                main_loop.quit();
            })
        };
        let _core_errors = core
            .add_listener_local()
            .error({
                let fail = Rc::clone(&fail);
                move |id, _, result, message| {
                    if id == CORE_ID {
                        fail(format!("{message} ({result})"));
                    }
                }
            })
            .register();
        let stopped = self.stopped.try_clone().map_err(|e| text(&e))?;
        let _stop = main_loop.loop_().add_io(stopped, IoFlags::IN | IoFlags::HUP, {
            let main_loop = main_loop.clone();
            move |_| main_loop.quit()
        });
        let stream = LiveStream::new(core, blueprint, self.link.clone(), fail)?;
        main_loop.run();
        drop(stream);
        trouble.replace(Ok(()))
    }
}

/// A connected stream with its two listeners: one whose callback runs on the data thread, one for the loop's thread.
/// Apart, since each has a mutable state of its own.
struct LiveStream {
    stream: StreamRc,
    _process: StreamListener<()>,
    _states: StreamListener<()>,
}

impl LiveStream {
    fn new(
        core: CoreRc,
        blueprint: &mut impl Blueprint,
        link: Link,
        fail: Rc<impl Fn(String) + 'static>,
    ) -> Result<Self, String> {
        let text = |e: pipewire::Error| e.to_string();
        let described = blueprint.describe();
        let mut properties = PropertiesBox::new();
        for (key, value) in &described.properties {
            properties.insert(*key, value.as_str());
        }
        let stream = StreamRc::new(core, &described.name, properties).map_err(text)?;
        let mut process = blueprint.process();
        let _process =
            stream.add_local_listener::<()>().process(move |stream, ()| process(stream)).register().map_err(text)?;
        let _states = stream
            .add_local_listener::<()>()
            .state_changed(move |_, (), old, new| match new {
                StreamState::Connecting => {}
                StreamState::Paused => link.set(Standing::Idle),
                StreamState::Streaming => link.set(Standing::Playing),
                StreamState::Error(why) => fail(why),
                // Also the state before the first: only a way back there is the end.
                StreamState::Unconnected if old == StreamState::Unconnected => {}
                StreamState::Unconnected => fail("the stream was destroyed".to_owned()),
            })
            .register()
            .map_err(text)?;
        let format = format_pod(&described.positions)?;
        let pod = Pod::from_bytes(&format).ok_or("the format is no POD")?;
        let autoconnect = if described.autoconnect { StreamFlags::AUTOCONNECT } else { StreamFlags::empty() };
        let flags = autoconnect | StreamFlags::MAP_BUFFERS | StreamFlags::RT_PROCESS;
        stream.connect(described.direction, None, flags, &mut [pod]).map_err(text)?;
        Ok(Self { stream, _process, _states })
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        // Before the listeners go: afterwards the data thread does not call them any more.
        let _ = self.stream.disconnect();
    }
}

/// Interleaved floats at our rate, in our order: the server converts to and from whatever it has.
fn format_pod(positions: &[u32]) -> Result<Vec<u8>, String> {
    let mut info = AudioInfoRaw::new();
    info.set_format(AudioFormat::F32LE);
    info.set_rate(SAMPLE_RATE);
    info.set_channels(positions.len() as u32);
    let mut all = [0; 64];
    all[..positions.len()].copy_from_slice(positions);
    info.set_position(all);
    let object = Object {
        type_: SpaTypes::ObjectParamFormat.as_raw(),
        id: ParamType::EnumFormat.as_raw(),
        properties: info.into(),
    };
    let written = PodSerializer::serialize(std::io::Cursor::new(Vec::new()), &Value::Object(object));
    written.map(|(cursor, _)| cursor.into_inner()).map_err(|e| format!("{e:?}"))
}

/// The core's own id in error events (`PW_ID_CORE`).
const CORE_ID: u32 = 0;
/// Between tries to connect: a sound server that was restarted is heard again within this.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
