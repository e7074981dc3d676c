//! The sound of a running desktop, for everybody who watches it.
//!
//! Its programs belong to the desktop and not to a client, so there is one sink of ours for all of them: made with the
//! first client that wants it, the default one while it lasts, gone with the last. In whatever order they leave, the
//! default is taken once and given back once.
//!
//! ```text
//! client_only      programs ─► our sink ─► clients
//! host_and_client  programs ─► our sink ─► clients
//!                                     └──► the speakers
//! follow_default   programs ─► the default sink, whichever it is ─► clients
//! ```
//!
//! Where one client wants the speakers silent and another does not, they are silent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_media::{
    AudioError, AudioPolicy, AudioPolicyCell, AudioRead, AudioRequest, AudioSource, ChannelLayout, Journal, MicSink,
    SinkState, Sound, SoundState,
};

use super::default::{DefaultKeeper, chosen};
use super::session_mic::{MicNames, SessionMic};
use super::shared_sink::{SharedSink, Speakers, Tap};
use super::sink::PipeWireSource;
use super::{Listen, lost};

/// A running desktop's sound.
#[derive(Debug)]
pub struct DesktopSound {
    socket: PathBuf,
    policy: AudioPolicyCell,
    inner: Mutex<Inner>,
    mics: MicNames,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    listeners: BTreeMap<u64, Listener>,
    own: Option<OwnSink>,
}

/// A client, from its first sound to the end of its display.
#[derive(Clone, Debug)]
struct Listener {
    name: String,
    layout: ChannelLayout,
    also_on_host: bool,
}

/// Our sink. In the order in which it goes: first the default is given back, so that programs move once.
#[derive(Debug)]
struct OwnSink {
    keeper: DefaultKeeper,
    speakers: Option<Speakers>,
    sink: SharedSink,
}

impl DesktopSound {
    /// For the desktop whose PipeWire listens at `socket`.
    #[must_use]
    pub fn new(socket: PathBuf, policy: AudioPolicyCell) -> Arc<Self> {
        Arc::new(Self { socket, policy, inner: Mutex::default(), mics: MicNames::default() })
    }

    /// What one client's display sounds like. `name` is the client's.
    #[must_use]
    pub fn stage(self: &Arc<Self>, name: &str, journal: &Arc<dyn Journal>) -> Arc<dyn Sound> {
        let (desktop, journal, name) = (Arc::clone(self), Arc::clone(journal), name.to_owned());
        Arc::new(StageSound { place: Arc::new(Place { desktop, journal, name, listener: Mutex::default() }) })
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> SoundState {
        let inner = self.inner();
        SoundState {
            sink: inner.own.as_ref().map(|own| SinkState {
                name: SINK.to_owned(),
                channels: own.sink.channels(),
                standing: own.keeper.standing(),
                speakers: own.speakers.is_some(),
            }),
            listeners: inner.listeners.values().map(|l| l.name.clone()).collect(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes of our sink what the policy and the listeners want.
    fn settle(&self, inner: &mut Inner, journal: &Arc<dyn Journal>) -> Result<(), AudioError> {
        let policy = self.policy.get();
        let Some(first) = inner.listeners.values().next().filter(|_| policy != AudioPolicy::FollowDefault) else {
            inner.own = None;
            return Ok(());
        };
        let silent = policy == AudioPolicy::ClientOnly && inner.listeners.values().any(|l| !l.also_on_host);
        let way_on = |sink: &SharedSink, to: Option<String>| {
            let speakers = sink.speakers(&self.socket, to);
            speakers.inspect_err(|e| tracing::warn!("the host's speakers stay silent: {e}")).ok()
        };
        let mut own = match inner.own.take() {
            Some(own) => own,
            None => {
                let sink = SharedSink::start(&self.socket, SINK, SINK_DESCRIPTION, first.layout).map_err(lost)?;
                // Before programs move: PipeWire 0.3.65 now and then leaves one silent that moves while the clock changes,
                // and the speakers bring theirs.
                let speakers = (!silent).then(|| way_on(&sink, chosen(&self.socket, SINK))).flatten();
                if let Some(speakers) = &speakers {
                    speakers.wait(UP_WITHIN);
                }
                let keeper = DefaultKeeper::start(&self.socket, SINK, journal).map_err(|e| AudioError {
                    reason: e.reason(),
                    detail: e.to_string(),
                    fatal: false,
                })?;
                OwnSink { keeper, speakers, sink }
            }
        };
        if silent {
            own.speakers = None;
        } else if own.speakers.is_none() {
            own.speakers = way_on(&own.sink, own.keeper.before());
        }
        inner.own = Some(own);
        Ok(())
    }
}

/// Where a client listens.
#[derive(Debug)]
struct StageSound {
    place: Arc<Place>,
}

struct Place {
    desktop: Arc<DesktopSound>,
    journal: Arc<dyn Journal>,
    name: String,
    listener: Mutex<Option<u64>>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Place {
    /// Counts this client in, with what it wants now.
    fn enter(&self, request: &AudioRequest) -> Result<(), AudioError> {
        let mut inner = self.desktop.inner();
        let id = *self.listener.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| {
            inner.next += 1;
            inner.next
        });
        let AudioRequest { layout, also_on_host, .. } = *request;
        inner.listeners.insert(id, Listener { name: self.name.clone(), layout, also_on_host });
        self.desktop.settle(&mut inner, &self.journal)
    }

    /// Listens to what there is after [`Self::enter`].
    fn hear(&self, request: &AudioRequest) -> Result<Hearing, AudioError> {
        match &self.desktop.inner().own {
            Some(own) => own.sink.tap(request).map(Hearing::Own).map_err(lost),
            None => PipeWireSource::begin(&self.desktop.socket, &Listen::DefaultSink, request).map(Hearing::Default),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(id) = self.listener.get_mut().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let mut inner = self.desktop.inner();
        inner.listeners.remove(&id);
        if let Err(e) = self.desktop.settle(&mut inner, &self.journal) {
            tracing::warn!("the sound of those who stay: {e}");
        }
    }
}

impl Sound for StageSound {
    fn source(&self, request: &AudioRequest) -> Result<Box<dyn AudioSource>, AudioError> {
        let socket = &self.place.desktop.socket;
        if !socket.exists() {
            return Err(lost(format!("no PipeWire at {}", socket.display())));
        }
        self.place.enter(request)?;
        Ok(Box::new(StageSource::open(Arc::clone(&self.place), *request)?))
    }

    fn microphone(&self) -> Result<Box<dyn MicSink>, AudioError> {
        let Place { desktop, name, .. } = &*self.place;
        Ok(Box::new(SessionMic::open(&desktop.socket, &desktop.mics, name)?))
    }
}

/// What a client hears; another source after a change of policy.
struct StageSource {
    place: Arc<Place>,
    request: AudioRequest,
    policy: AudioPolicy,
    inner: Hearing,
}

enum Hearing {
    /// Our sink.
    Own(Tap),
    /// Whichever sink is the default one.
    Default(PipeWireSource),
}

impl StageSource {
    /// Begins to listen; whether anybody is there shows in what is read.
    fn open(place: Arc<Place>, request: AudioRequest) -> Result<Self, AudioError> {
        let policy = place.desktop.policy.get();
        let inner = place.hear(&request)?;
        Ok(Self { place, request, policy, inner })
    }
}

impl AudioSource for StageSource {
    fn read(&mut self, block: &mut [f32], deadline: Instant) -> Result<AudioRead, AudioError> {
        let policy = self.place.desktop.policy.get();
        if policy != self.policy {
            tracing::info!(client = self.place.name, policy = policy.name(), "the sound goes another way");
            self.place.enter(&self.request)?;
            self.inner = self.place.hear(&self.request)?;
            self.policy = policy;
        }
        match &mut self.inner {
            Hearing::Own(tap) => tap.read(block, deadline),
            Hearing::Default(source) => source.read(block, deadline),
        }
    }
}

/// The same for ever: WirePlumber remembers which sinks were chosen, and would remember every new name.
const SINK: &str = "punktfunk";
const SINK_DESCRIPTION: &str = "punktfunk (streamed)";
/// For a way to the speakers that works; where none does, programs move all the same.
const UP_WITHIN: Duration = Duration::from_millis(300);
