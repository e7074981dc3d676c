//! What the tests of the doors share: vectors as recorded from the stock client, and fake sessions.
#![allow(dead_code)] // each test uses its part

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use punktfunk_gamestream::door::{
    Announce, Boxed, ControlBinding, ControlSessions, Refusal, RtspCandidate, RtspOffer, RtspSessions, SessionKey,
};
use punktfunk_gamestream::wire::control::ClientMessage;
use serde_json::Value;

/// The session secret of every vector.
pub const RIKEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// A file of `tests/vectors`.
pub fn vectors(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).expect("vectors")).expect("JSON")
}

pub fn hex(value: &Value) -> Vec<u8> {
    unhex(value.as_str().expect("a hex string"))
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex")).collect()
}

pub fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

/// Sessions behind the RTSP door.
pub struct FakeRtsp {
    pub candidates: Mutex<Vec<RtspCandidate>>,
    pub offer: RtspOffer,
    pub announced: Mutex<Vec<(SessionKey, Announce)>>,
    pub played: Mutex<Vec<SessionKey>>,
    /// What ANNOUNCE and PLAY are answered with.
    pub refusal: Mutex<Option<Refusal>>,
}

/// The offer that the vectors' host made; `ports` as it had them.
pub fn offer(hevc: bool, ports: [u16; 3]) -> RtspOffer {
    let [audio_port, video_port, control_port] = ports;
    RtspOffer {
        feature_flags: 3,
        encryption_supported: 7,
        encryption_requested: 1,
        invalidation: true,
        hevc,
        av1: false,
        surround_params: None,
        video_port,
        control_port,
        audio_port,
        ping: *b"A1B2C3D4E5F60718",
        connect_data: 0x89ab_cdef,
        token: "DEADBEEFCAFE".into(),
    }
}

impl FakeRtsp {
    pub fn new(offer: RtspOffer, sealed: &[bool]) -> Arc<Self> {
        let candidate = |(n, sealed): (usize, &bool)| RtspCandidate {
            session: SessionKey(n as u64 + 1),
            rikey: [n as u8 + 100; 16],
            sealed: *sealed,
        };
        let mut candidates: Vec<_> = sealed.iter().enumerate().map(candidate).collect();
        // The newest one has the vectors' secret.
        if let Some(last) = candidates.last_mut() {
            last.rikey = RIKEY;
        }
        Arc::new(Self {
            candidates: Mutex::new(candidates),
            offer,
            announced: Mutex::default(),
            played: Mutex::default(),
            refusal: Mutex::default(),
        })
    }
}

impl RtspSessions for FakeRtsp {
    fn candidates(&self, _peer: IpAddr) -> Vec<RtspCandidate> {
        self.candidates.lock().unwrap().clone()
    }

    fn describe(&self, _session: SessionKey) -> Result<RtspOffer, Refusal> {
        Ok(self.offer.clone())
    }

    fn announce(&self, session: SessionKey, announce: Announce) -> Boxed<'_, Result<(), Refusal>> {
        Box::pin(async move {
            self.announced.lock().unwrap().push((session, announce));
            self.refusal.lock().unwrap().clone().map_or(Ok(()), Err)
        })
    }

    fn play(&self, session: SessionKey) -> Boxed<'_, Result<(), Refusal>> {
        Box::pin(async move {
            self.played.lock().unwrap().push(session);
            self.refusal.lock().unwrap().clone().map_or(Ok(()), Err)
        })
    }
}

/// What the sessions behind the control stream were told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    Connected {
        data: u32,
        peer: SocketAddr,
        local: Option<IpAddr>,
    },
    /// The message, as `Debug` shows it.
    Message(SessionKey, String),
    Disconnected(SessionKey),
}

/// Sessions behind the control stream, found by connect data.
pub struct FakeControl {
    pub bindings: Mutex<Vec<(u32, ControlBinding)>>,
    told: Mutex<Sender<Told>>,
}

impl FakeControl {
    pub fn new(bindings: Vec<(u32, ControlBinding)>) -> (Arc<Self>, Receiver<Told>) {
        let (told, receiver) = channel();
        (Arc::new(Self { bindings: Mutex::new(bindings), told: Mutex::new(told) }), receiver)
    }

    fn tell(&self, told: Told) {
        // The test may have ended.
        let _ = self.told.lock().unwrap().send(told);
    }

    fn binding(&self, data: u32) -> Option<ControlBinding> {
        self.bindings.lock().unwrap().iter().find(|(d, _)| *d == data).map(|(_, binding)| binding.clone())
    }
}

impl ControlSessions for FakeControl {
    fn expects(&self, data: u32, _peer: IpAddr) -> bool {
        self.binding(data).is_some()
    }

    fn connected(&self, data: u32, peer: SocketAddr, local: Option<IpAddr>) -> Option<ControlBinding> {
        let binding = self.binding(data)?;
        self.tell(Told::Connected { data, peer, local });
        Some(binding)
    }

    fn message(&self, session: SessionKey, message: ClientMessage<'_>) {
        assert!(!matches!(message, ClientMessage::Unknown(0xdead)), "the test asks for a panic");
        self.tell(Told::Message(session, format!("{message:?}")));
    }

    fn disconnected(&self, session: SessionKey) {
        self.tell(Told::Disconnected(session));
    }
}

pub fn binding(session: u64, v2: bool) -> ControlBinding {
    ControlBinding { session: SessionKey(session), rikey: RIKEY, v2 }
}

/// Longer than anything takes here: it only ends a test that failed.
pub const PATIENCE: Duration = Duration::from_secs(30);
