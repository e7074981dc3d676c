//! A host with something in it: devices, a knock, a live session on fakes, settings.
#![allow(dead_code, reason = "each test file uses its share")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use punktfunk_core::packet::PacketBatch;
use punktfunk_core::probe::ProbeOutcome;
use punktfunk_core::{Codec, CodecSet, Fingerprint, Grants, Mode};
use punktfunk_engine::clock::SessionClock;
use punktfunk_engine::link::{
    AccessUnitOut, ClientEvents, ClientLink, DatagramSink, LinkError, Packetize, REPEAT_EVERY, SentFrame,
};
use punktfunk_engine::plan::{ClientWish, HostOffer, plan};
use punktfunk_engine::session::{Ending, Session, SessionHandle, SessionParams};
use punktfunk_hub::Hub;
use punktfunk_hub::admission::{AdmitRequest, Eviction, Holder, Ticket};
use punktfunk_hub::live::{Recorder, Registration, SessionFacts};
use punktfunk_media::fake::{SyntheticDesktop, SyntheticOptions, TransportEncoderFactory};
use punktfunk_media::{Colour, EncoderFactory, reason};
use punktfunk_mgmt::Problem;
use punktfunk_mgmt::settings::{Applies, SettingKind, SettingView, Settings, SettingsView};
use serde_json::{Map, Value};

/// Somebody at home.
pub const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub const MODE: Mode = Mode { width: 320, height: 240, refresh_hz: 60 };

/// A session that streams to nowhere.
pub struct LiveSession {
    handle: Option<SessionHandle>,
    registration: Option<Registration>,
    ticket: Option<Ticket>,
    id: u64,
}

impl LiveSession {
    /// Starts one for this identity, and waits for its first picture.
    pub async fn start(hub: &Arc<Hub>, who: Fingerprint, name: &str) -> Self {
        let request = AdmitRequest {
            identity: who.to_string(),
            fingerprint: Some(who),
            name: name.to_owned(),
            holder: Arc::new(Deaf),
        };
        let ticket = hub.admission().admit(request).await.expect("a free slot");
        let id = ticket.session_id();
        let desktop = SyntheticDesktop::new(SyntheticOptions { background: true, ..SyntheticOptions::default() });
        let encoders: Vec<Arc<dyn EncoderFactory>> = vec![Arc::new(TransportEncoderFactory)];
        let wish = ClientWish {
            mode: MODE,
            codecs: CodecSet::only(Codec::H264),
            preferred: None,
            bitrate_kbps: 5000,
            multi_slice: false,
            slices: 0,
            max_frame_bytes: None,
            colour: Colour::default(),
        };
        let recorder = hub.live().recorder(id);
        let link = ClientLink {
            packetizer: Box::new(Swallow(0)),
            sink: Box::new(Swallow(0)),
            events: Arc::new(Ear(Arc::clone(&recorder))),
            shard_payload: 1408,
            audio_bps: 0,
            repeat_every: REPEAT_EVERY,
        };
        let params = SessionParams {
            id,
            plan: plan(&HostOffer::of(&encoders), &wish).expect("a plan"),
            stage: desktop.stage(MODE),
            encoders,
            link,
            audio: None,
            microphone: None,
            clock: SessionClock::start(),
            frames: 0,
            grants: Grants::ALL,
            cursor_apart: false,
            pads: None,
            on_thread_start: None,
        };
        let handle = Session::start(params).expect("threads");
        let facts = SessionFacts {
            plane: "native",
            mode: MODE,
            codec: Codec::H264,
            peer: SocketAddr::new(HOME, 9),
            shard_payload: 1408,
        };
        let registration = hub.live().register(id, facts, handle.control(), recorder);
        let control = handle.control();
        tokio::task::spawn_blocking(move || {
            assert!((0..60).any(|_| control.thumbnail(Duration::from_secs(1)).is_some()), "no picture in a minute");
        })
        .await
        .expect("no panic");
        Self { handle: Some(handle), registration: Some(registration), ticket: Some(ticket), id }
    }

    /// Its number.
    pub const fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        drop(self.handle.take());
        drop(self.registration.take());
        drop(self.ticket.take());
    }
}

/// Leaves when the test does.
struct Deaf;

impl Holder for Deaf {
    fn silent_for(&self) -> Duration {
        Duration::ZERO
    }

    fn evict(&self, _: Eviction) {}
}

struct Swallow(u32);

impl Packetize for Swallow {
    fn packetize(&mut self, _: &AccessUnitOut<'_>, batch: &mut PacketBatch) -> Result<u32, LinkError> {
        batch.clear();
        self.0 += 1;
        Ok(self.0)
    }
}

impl DatagramSink for Swallow {
    fn send(&mut self, _: &PacketBatch, range: Range<usize>) -> Result<usize, LinkError> {
        Ok(range.len())
    }
}

struct Ear(Arc<Recorder>);

impl ClientEvents for Ear {
    fn frame_sent(&self, frame: &SentFrame) {
        self.0.frame_sent(frame);
    }

    fn mode_changed(&self, _: Mode) {}

    fn pipeline_gap(&self, _: Duration) {}

    fn bitrate_changed(&self, _: u32) {}

    fn probe_done(&self, _: &ProbeOutcome) {}

    fn ended(&self, _: &Ending) {}
}

/// Some settings in memory.
#[derive(Default)]
pub struct MemorySettings(Mutex<(u64, Map<String, Value>)>);

impl Settings for MemorySettings {
    fn view(&self) -> SettingsView {
        let (revision, values) = self.0.lock().expect("no panic").clone();
        let one = |key: &str, kind, running: Value| SettingView {
            key: key.to_owned(),
            description: "d".into(),
            kind,
            choices: Vec::new(),
            minimum: Some(1),
            maximum: Some(9),
            value: values.get(key).cloned(),
            running,
            default: String::new(),
            applies: Applies::Now,
            risky: false,
            pinned_by: None,
        };
        let settings = vec![
            one("a.number", SettingKind::Integer, 4.into()),
            one("a.switch", SettingKind::Bool, true.into()),
            one("desktop.linger", SettingKind::Text, values.get("desktop.linger").cloned().unwrap_or("10".into())),
            one("video.encoder", SettingKind::Choice, values.get("video.encoder").cloned().unwrap_or("auto".into())),
            SettingView {
                applies: Applies::Restart,
                default: "auto".into(),
                ..one("video.gpu", SettingKind::Text, "auto".into())
            },
        ];
        SettingsView { revision, restart_needed: false, trial: None, settings }
    }

    fn patch(&self, revision: Option<u64>, changes: &Map<String, Value>) -> Result<SettingsView, Problem> {
        {
            let mut state = self.0.lock().expect("no panic");
            if revision.is_some_and(|seen| seen != state.0) {
                return Err(Problem::new(&reason::SETTINGS_CONFLICT));
            }
            for (key, value) in changes {
                let fits = match key.as_str() {
                    "a.number" => value.is_null() || value.is_u64(),
                    "a.switch" => value.is_null() || value.is_boolean(),
                    "desktop.linger" => value.is_string(),
                    "video.encoder" => value == "auto" || value == "x264",
                    "video.gpu" if value == "0000:09:00.0" => return Err(Problem::new(&reason::GPU_MISSING)),
                    "video.gpu" => value.is_string(),
                    _ => return Err(Problem::new(&reason::SETTINGS_UNKNOWN_KEY)),
                };
                if !fits {
                    return Err(Problem::new(&reason::SETTINGS_INVALID));
                }
            }
            state.0 += 1;
            state.1.extend(changes.clone());
        }
        Ok(self.view())
    }

    fn confirm(&self, _: Option<u64>) -> Result<SettingsView, Problem> {
        Err(Problem::new(&reason::SETTINGS_NOTHING_TO_CONFIRM))
    }

    fn revert(&self, _: Option<u64>) -> Result<SettingsView, Problem> {
        Err(Problem::new(&reason::SETTINGS_NOTHING_TO_CONFIRM))
    }
}
