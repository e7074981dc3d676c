//! The sessions that stream now, for those who look at them and steer them: API, console, metrics.
//!
//! ```text
//! plane: live().recorder() ─► its ClientEvents call Recorder::frame_sent … ─► Session::start ─► live().register(…) ─► Registration
//! mgmt:  live().list() · get(id) ─► facts, control, recorder      dropping the Registration adds the session to the totals
//! ```

mod histogram;
mod recorder;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use punktfunk_core::{Codec, Mode};
use punktfunk_engine::session::SessionControl;
use punktfunk_engine::stats::{Counters, SessionStats};

pub use self::histogram::{BOUNDS_US, Histogram, STAGES, StageHistograms};
pub use self::recorder::{FrameRow, Recorder};
use crate::events::{EventKind, Events};
use crate::lock;

/// The sessions that stream now, and what all sessions of this run of the host counted.
#[derive(Debug)]
pub struct Live {
    sessions: Mutex<BTreeMap<u64, Arc<LiveSession>>>,
    /// What ended sessions counted.
    ended: Mutex<Totals>,
    stages: Arc<StageHistograms>,
    spare: Arc<recorder::SpareRings>,
    events: Arc<Events>,
}

/// What a plane knows of a session and the engine does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// The protocol: `native` or `gamestream`.
    pub plane: &'static str,
    /// The mode it starts with.
    pub mode: Mode,
    /// The codec on the wire.
    pub codec: Codec,
    /// Where the client is.
    pub peer: SocketAddr,
    /// Payload bytes of a video packet.
    pub shard_payload: u16,
}

/// One session that streams.
#[derive(Debug)]
pub struct LiveSession {
    /// Its number, as in admission.
    pub id: u64,
    /// What it streams.
    pub facts: SessionFacts,
    /// Steers it.
    pub control: SessionControl,
    /// Its last frames.
    pub recorder: Arc<Recorder>,
}

impl LiveSession {
    /// Its figures so far.
    #[must_use]
    pub fn stats(&self) -> SessionStats {
        self.control.stats()
    }

    /// The mode in force.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.recorder.mode().unwrap_or(self.facts.mode)
    }
}

/// What sessions counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sessions that streamed.
    pub sessions: u64,
    /// Everything counted.
    pub counters: Counters,
    /// Payload bytes of all video packets, recovery and padding included.
    pub wire_bytes: u64,
}

impl Totals {
    fn add(&mut self, session: &LiveSession) {
        let counters = session.stats().counters;
        self.sessions += 1;
        self.wire_bytes += counters.packets_sent.saturating_mul(u64::from(session.facts.shard_payload));
        self.counters = self.counters.plus(&counters);
    }
}

/// A session's place in the list. Dropping it takes the session out.
#[derive(Debug)]
pub struct Registration {
    live: Arc<Live>,
    id: u64,
}

impl Live {
    /// Nobody streams yet.
    #[must_use]
    pub fn new(events: Arc<Events>) -> Arc<Self> {
        Arc::new(Self {
            sessions: Mutex::default(),
            ended: Mutex::default(),
            stages: Arc::default(),
            spare: Arc::default(),
            events,
        })
    }

    /// What the frames of session `id` are told to. Made before the session starts.
    #[must_use]
    pub fn recorder(&self, id: u64) -> Arc<Recorder> {
        Arc::new(Recorder::new(id, Arc::clone(&self.stages), Arc::clone(&self.events), Arc::clone(&self.spare)))
    }

    /// The session streams now.
    #[must_use]
    pub fn register(
        self: &Arc<Self>,
        id: u64,
        facts: SessionFacts,
        control: SessionControl,
        recorder: Arc<Recorder>,
    ) -> Registration {
        lock(&self.sessions).insert(id, Arc::new(LiveSession { id, facts, control, recorder }));
        self.events.send(EventKind::SessionStarted { session: id });
        Registration { live: Arc::clone(self), id }
    }

    /// The sessions that stream now, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<LiveSession>> {
        lock(&self.sessions).values().map(Arc::clone).collect()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Arc<LiveSession>> {
        lock(&self.sessions).get(&id).map(Arc::clone)
    }

    /// What all sessions of this run counted, the live ones included.
    #[must_use]
    pub fn totals(&self) -> Totals {
        // Held together, so that a session that ends meanwhile is counted once.
        let sessions = lock(&self.sessions);
        let mut totals = *lock(&self.ended);
        sessions.values().for_each(|session| totals.add(session));
        totals
    }

    /// How long the stages of all frames of this run took.
    #[must_use]
    pub fn stages(&self) -> &StageHistograms {
        &self.stages
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut sessions = lock(&self.live.sessions);
        if let Some(session) = sessions.remove(&self.id) {
            lock(&self.live.ended).add(&session);
        }
    }
}
