//! A stream on a connection, made again after every reconnection.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use pipewire::core::CoreRc;
use pipewire::properties::PropertiesBox;
use pipewire::registry::{self, RegistryRc};
use pipewire::spa::param::ParamType;
use pipewire::spa::param::audio::{AudioFormat, AudioInfoRaw};
use pipewire::spa::pod::serialize::PodSerializer;
use pipewire::spa::pod::{Object, Pod, Value};
use pipewire::spa::utils::{Direction, SpaTypes};
use pipewire::stream::{Stream, StreamFlags, StreamListener, StreamRc, StreamState};
use pipewire::types::ObjectType;
use punktfunk_media::SAMPLE_RATE;

use super::connection::{Connection, Place, Resident, Stay};
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

    /// The same for another reader: a bell of its own, which the link does not ring.
    pub fn beside(&self) -> std::io::Result<Self> {
        Ok(Self { standing: Arc::clone(&self.standing), bell: Bell::new()? })
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
        self.wait_for(within, |standing| standing != Standing::Away)
    }

    /// Waits until it stands as wanted. Returns whether it does.
    pub fn wait_for(&self, within: Duration, wanted: impl Fn(Standing) -> bool) -> bool {
        let until = Instant::now() + within;
        while !wanted(self.standing()) {
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
    _connection: Connection,
}

impl Client {
    /// Starts a thread that keeps the stream of `blueprint` alive on the server at `socket`.
    pub fn start(thread_name: &str, socket: &Path, link: Link, blueprint: impl Blueprint) -> std::io::Result<Self> {
        Ok(Self { _connection: Connection::start(thread_name, socket, Streaming { link, blueprint })? })
    }
}

/// Keeps a stream on a connection.
struct Streaming<B> {
    link: Link,
    blueprint: B,
}

impl<B: Blueprint> Resident for Streaming<B> {
    fn move_in(&mut self, place: &Place) -> Result<Box<dyn Stay>, String> {
        let stream = LiveStream::new(place.core.clone(), &mut self.blueprint, self.link.clone(), place.fail())?;
        Ok(Box::new(Watched { _stream: stream, _watch: Successor::watch(place)? }))
    }

    fn moved_out(&mut self) {
        self.link.set(Standing::Away);
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
    fn new(core: CoreRc, blueprint: &mut impl Blueprint, link: Link, fail: Rc<dyn Fn(String)>) -> Result<Self, String> {
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

/// A stream that is made again for a new session manager: WirePlumber 0.4 links nothing that was there before it.
struct Watched {
    _stream: LiveStream,
    _watch: Successor,
}

impl Stay for Watched {}

/// Ends the connection when a second session manager comes on it.
struct Successor {
    // Before the registry, which it listens to.
    _globals: registry::Listener,
    _registry: RegistryRc,
}

impl Successor {
    fn watch(place: &Place) -> Result<Self, String> {
        let registry = place.core.get_registry_rc().map_err(|e| e.to_string())?;
        let (fail, had) = (place.fail(), Cell::new(false));
        let globals = registry
            .add_listener_local()
            .global(move |global| {
                let is_its = global.type_ == ObjectType::Metadata
                    && global.props.is_some_and(|p| p.get("metadata.name") == Some("default"));
                if is_its && had.replace(true) {
                    fail("there is a new session manager".to_owned());
                }
            })
            .register();
        Ok(Self { _globals: globals, _registry: registry })
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
