//! A session on fakes, with the real wire on one side: packets are sealed and packetized by the core, and a receiver in
//! the sink opens and reassembles them, so that a test sees what a client would see.
#![allow(dead_code, reason = "each test file uses its share")]

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_core::fec::{FecScheme, Gf16Leopard};
use punktfunk_core::packet::{MAX_FRAME_BYTES, PacketBatch, UserFlags};
use punktfunk_core::packetize::{FrameMeta, Packetizer, PacketizerConfig};
use punktfunk_core::probe::ProbeOutcome;
use punktfunk_core::reassemble::{Event as ReassembleEvent, Reassembler, ReassemblerConfig};
use punktfunk_core::seal::scalar::Aes128Gcm;
use punktfunk_core::seal::{Direction, Opener, Sealer};
use punktfunk_core::{Grants, Timestamp};
use punktfunk_engine::clock::SessionClock;
use punktfunk_engine::link::{
    AccessUnitOut, AudioLink, AudioSink, ClientEvents, ClientLink, DatagramSink, EncoderChange, LinkError, Packetize,
    REPEAT_EVERY, SentFrame, SoundEnd,
};
use punktfunk_engine::pads::PadsSetup;
use punktfunk_engine::plan::{ClientWish, HostOffer, SessionPlan, plan};
use punktfunk_engine::session::{Ending, Session, SessionControl, SessionEnd, SessionHandle, SessionParams};
use punktfunk_media::fake::{EncoderScript, FakeEncoderFactory, PcmCodec, SyntheticDesktop, SyntheticOptions};
use punktfunk_media::{
    AudioCodec, AudioCodecConfig, AudioRequest, ChannelLayout, Codec, CodecSet, Colour, CursorUpdate, EncoderFactory,
    Mode, PadFeedback, Reason, reason,
};

pub const MODE: Mode = Mode { width: 320, height: 240, refresh_hz: 240 };

/// How long a test waits for something that must happen before it calls it a hang.
pub const HANG: Duration = Duration::from_secs(60);

/// One access unit as a client got it.
#[derive(Clone, Debug)]
pub struct Received {
    pub index: u32,
    pub pts_ns: u64,
    pub flags: UserFlags,
    pub data: Vec<u8>,
}

impl Received {
    pub fn is_keyframe(&self) -> bool {
        self.flags.contains(UserFlags::KEYFRAME)
    }

    pub fn is_repeat(&self) -> bool {
        self.flags.contains(UserFlags::REPEAT)
    }
}

/// Everything a test can look at, behind one lock, so that it can wait for any of it.
#[derive(Debug, Default)]
pub struct Seen {
    pub units: Vec<Received>,
    pub lost: u64,
    pub sent: Vec<SentFrame>,
    pub modes: Vec<Mode>,
    pub gaps: Vec<Duration>,
    pub bitrates: Vec<u32>,
    pub probes: Vec<ProbeOutcome>,
    pub encoder_changes: Vec<EncoderChange>,
    pub heard: Vec<Heard>,
    pub sound_ends: Vec<SoundEnd>,
    pub microphone_ends: Vec<SoundEnd>,
    pub endings: Vec<Ending>,
    pub cursor: Vec<CursorUpdate>,
    pub pads: Vec<(u8, PadFeedback)>,
    pub pads_again: Vec<(u8, PadFeedback)>,
}

/// The client's side and the plane's ear.
#[derive(Debug, Default)]
pub struct Client {
    seen: Mutex<Seen>,
    changed: Condvar,
    /// While true, the sink takes nothing.
    pub stalled: Mutex<bool>,
}

impl Client {
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen());
        self.changed.notify_all();
    }

    /// Waits until `found` gives something. Panics with `what` if that does not come about.
    pub fn wait_for<T>(&self, what: &str, mut found: impl FnMut(&Seen) -> Option<T>) -> T {
        let deadline = Instant::now() + HANG;
        let mut seen = self.seen();
        loop {
            if let Some(value) = found(&seen) {
                return value;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}; endings: {:?}", seen.endings);
            seen = self.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn wait_units(&self, n: usize) {
        self.wait_for(&format!("{n} access units"), |s| (s.units.len() >= n).then_some(()));
    }

    pub fn wait_ending(&self) -> Ending {
        self.wait_for("the end", |s| s.endings.first().cloned())
    }

    /// Waits for `n` more access units than there are now.
    pub fn wait_more(&self, n: usize) {
        let now = self.seen().units.len();
        self.wait_units(now + n);
    }
}

impl ClientEvents for Client {
    fn frame_sent(&self, frame: &SentFrame) {
        self.note(|s| s.sent.push(*frame));
    }

    fn mode_changed(&self, mode: Mode) {
        self.note(|s| s.modes.push(mode));
    }

    fn pipeline_gap(&self, gap: Duration) {
        self.note(|s| s.gaps.push(gap));
    }

    fn cursor(&self, update: &CursorUpdate) {
        self.note(|s| s.cursor.push(update.clone()));
    }

    fn bitrate_changed(&self, kbps: u32) {
        self.note(|s| s.bitrates.push(kbps));
    }

    fn probe_done(&self, outcome: &ProbeOutcome) {
        self.note(|s| s.probes.push(*outcome));
    }

    fn encoder_changed(&self, change: &EncoderChange) {
        self.note(|s| s.encoder_changes.push(change.clone()));
    }

    fn sound_ended(&self, end: &SoundEnd) {
        self.note(|s| s.sound_ends.push(end.clone()));
    }

    fn pad_feedback(&self, pad: u8, feedback: &PadFeedback) {
        self.note(|s| s.pads.push((pad, *feedback)));
    }

    fn pad_feedback_again(&self, pad: u8, feedback: &PadFeedback) {
        self.note(|s| s.pads_again.push((pad, *feedback)));
    }

    fn microphone_ended(&self, end: &SoundEnd) {
        self.note(|s| s.microphone_ends.push(end.clone()));
    }

    fn ended(&self, ending: &Ending) {
        self.note(|s| s.endings.push(ending.clone()));
    }
}

/// One block of sound as a client got it.
#[derive(Clone, Debug)]
pub struct Heard {
    pub packet: Vec<u8>,
    pub captured_ns: u64,
    pub silent: bool,
}

/// The sound that a test client wants, and where its link goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct SoundSetup {
    pub layout: ChannelLayout,
    pub block: Duration,
    pub bitrate_bps: u32,
    /// The sink breaks for good at this packet.
    pub breaks_at: Option<u64>,
    /// The sink loses the packet with this number.
    pub drops_at: Option<u64>,
}

impl Default for SoundSetup {
    fn default() -> Self {
        let (layout, block) = (ChannelLayout::Stereo, Duration::from_millis(5));
        Self { layout, block, bitrate_bps: 96_000, breaks_at: None, drops_at: None }
    }
}

impl SoundSetup {
    fn link(self, client: &Arc<Client>) -> AudioLink {
        AudioLink {
            request: AudioRequest { layout: self.layout, block: self.block, also_on_host: false },
            codec: Arc::new(PcmCodec),
            config: AudioCodecConfig::coupled(self.layout, self.block, self.bitrate_bps),
            sink: Box::new(TestAudioSink { client: Arc::clone(client), setup: self, packets: 0 }),
        }
    }
}

struct TestAudioSink {
    client: Arc<Client>,
    setup: SoundSetup,
    packets: u64,
}

impl AudioSink for TestAudioSink {
    fn send(&mut self, packet: &[u8], captured_ns: u64, silent: bool) -> Result<(), LinkError> {
        let number = self.packets;
        self.packets += 1;
        let fatal = self.setup.breaks_at.is_some_and(|at| number >= at);
        if fatal || self.setup.drops_at == Some(number) {
            let detail = format!("told to fail at packet {number}");
            return Err(LinkError { reason: &reason::NATIVE_DATA_SOCKET, detail, fatal });
        }
        self.client.note(|s| s.heard.push(Heard { packet: packet.to_vec(), captured_ns, silent }));
        Ok(())
    }
}

/// Where the fake link goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkFaults {
    /// The packetizer refuses this access unit.
    pub refuse_unit: Option<u64>,
    /// The packetizer panics at this access unit.
    pub packetize_panics_at: Option<u64>,
    /// The socket breaks for good at this packet run.
    pub sink_breaks_at: Option<u64>,
    /// The socket drops the run with this number.
    pub sink_drops_at: Option<u64>,
}

/// The core's packetizer as the planes use it.
pub struct CorePacketizer(pub Packetizer);

impl Packetize for CorePacketizer {
    fn packetize(&mut self, unit: &AccessUnitOut<'_>, batch: &mut PacketBatch) -> Result<u32, LinkError> {
        let marks = [
            (unit.keyframe, UserFlags::KEYFRAME),
            (unit.recovery_anchor, UserFlags::RECOVERY_ANCHOR),
            (unit.repeat, UserFlags::REPEAT),
        ];
        let set = marks.into_iter().filter(|(set, _)| *set);
        let user_flags = set.fold(UserFlags::PICTURE, |flags, (_, mark)| flags | mark);
        let meta = FrameMeta { pts_ns: unit.pts_ns, user_flags, strength: unit.strength, probe: unit.probe };
        let refused = |detail: String| LinkError { reason: &reason::NATIVE_FRAME_TOO_LARGE, detail, fatal: false };
        self.0.packetize(unit.data, &meta, batch).map_err(|error| refused(error.to_string()))
    }
}

struct TestPacketizer {
    inner: CorePacketizer,
    faults: LinkFaults,
    units: u64,
}

impl Packetize for TestPacketizer {
    fn packetize(&mut self, unit: &AccessUnitOut<'_>, batch: &mut PacketBatch) -> Result<u32, LinkError> {
        let number = self.units;
        self.units += 1;
        assert_ne!(self.faults.packetize_panics_at, Some(number), "told to panic at unit {number}");
        if self.faults.refuse_unit == Some(number) {
            let detail = format!("told to refuse unit {number}");
            return Err(LinkError { reason: &reason::NATIVE_FRAME_TOO_LARGE, detail, fatal: false });
        }
        self.inner.packetize(unit, batch)
    }
}

struct TestSink {
    client: Arc<Client>,
    opener: Opener,
    reassembler: Reassembler,
    clock: SessionClock,
    faults: LinkFaults,
    runs: u64,
}

impl DatagramSink for TestSink {
    fn send(&mut self, batch: &PacketBatch, range: Range<usize>) -> Result<usize, LinkError> {
        let run = self.runs;
        self.runs += 1;
        if self.faults.sink_breaks_at.is_some_and(|at| run >= at) {
            let detail = "told to break".to_string();
            return Err(LinkError { reason: &reason::NATIVE_DATA_SOCKET, detail, fatal: true });
        }
        if self.faults.sink_drops_at == Some(run) || *self.client.stalled.lock().unwrap_or_else(PoisonError::into_inner)
        {
            return Ok(0);
        }
        let now = Timestamp(self.clock.now_ns());
        for packet in range.clone() {
            let mut packet = batch.packet(packet).to_vec();
            let plain = self.opener.open(&mut packet).expect("sealed for us");
            self.reassembler.push(plain, now);
        }
        while let Some(unit) = self.reassembler.next(now) {
            let received =
                Received { index: unit.index, pts_ns: unit.pts_ns, flags: unit.user_flags, data: unit.data.to_vec() };
            self.reassembler.recycle(unit);
            self.client.note(|s| s.units.push(received));
        }
        while let Some(event) = self.reassembler.poll_event() {
            let ReassembleEvent::Lost { first, last, .. } = event;
            self.client.note(|s| s.lost += u64::from(last.wrapping_sub(first)) + 1);
        }
        Ok(range.len())
    }
}

pub const SHARD: u16 = 1408;

pub fn packetizer() -> CorePacketizer {
    let config = PacketizerConfig {
        shard_payload: SHARD,
        max_data_per_block: 200,
        scheme: FecScheme::Gf16,
        welcome_fec_percent: 50,
        max_frame_bytes: MAX_FRAME_BYTES,
    };
    let sealer = Sealer::new(Box::new(Aes128Gcm::new(&[7; 16])), [1, 2, 3, 4], Direction::HostToClient);
    CorePacketizer(Packetizer::new(config, sealer, Box::new(Gf16Leopard::new())).expect("a sound configuration"))
}

fn link(client: &Arc<Client>, clock: SessionClock, faults: LinkFaults) -> ClientLink {
    let config = ReassemblerConfig {
        max_data_per_block: 200,
        shard_payload: SHARD,
        max_shard_payload: 0,
        scheme: FecScheme::Gf16,
        fec_percent: 50,
        bitrate_kbps: 0,
        refresh_hz: 60,
    };
    ClientLink {
        packetizer: Box::new(TestPacketizer { inner: packetizer(), faults, units: 0 }),
        sink: Box::new(TestSink {
            client: Arc::clone(client),
            opener: Opener::new(Box::new(Aes128Gcm::new(&[7; 16])), [1, 2, 3, 4], Direction::HostToClient),
            reassembler: Reassembler::new(config, Box::new(Gf16Leopard::new())),
            clock,
            faults,
            runs: 0,
        }),
        events: Arc::clone(client) as Arc<dyn ClientEvents>,
        shard_payload: SHARD,
        audio_bps: 0,
        repeat_every: REPEAT_EVERY,
    }
}

/// What a test session is made of.
pub struct Setup {
    pub desktop: SyntheticDesktop,
    pub encoders: Vec<Arc<dyn EncoderFactory>>,
    pub mode: Mode,
    pub kbps: u32,
    pub colour: Colour,
    pub frames: u32,
    pub grants: Grants,
    pub cursor_apart: bool,
    pub faults: LinkFaults,
    pub sound: Option<SoundSetup>,
    pub microphone: Option<Arc<dyn AudioCodec>>,
    pub pads: Option<PadsSetup>,
    pub hook: Option<punktfunk_engine::session::ThreadHook>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            desktop: SyntheticDesktop::new(SyntheticOptions { background: false, ..Default::default() }),
            encoders: vec![encoder("one", EncoderScript::default())],
            mode: MODE,
            kbps: 20_000,
            colour: Colour::default(),
            frames: 0,
            grants: Grants::ALL,
            cursor_apart: false,
            faults: LinkFaults::default(),
            sound: None,
            microphone: None,
            pads: None,
            hook: None,
        }
    }
}

pub fn encoder(name: &'static str, script: EncoderScript) -> Arc<dyn EncoderFactory> {
    Arc::new(FakeEncoderFactory::new(name, Codec::H264, script))
}

pub fn plan_for(encoders: &[Arc<dyn EncoderFactory>], mode: Mode, kbps: u32) -> SessionPlan {
    let wish = ClientWish {
        mode,
        codecs: CodecSet::only(Codec::H264),
        preferred: None,
        bitrate_kbps: kbps,
        multi_slice: false,
        slices: 0,
        max_frame_bytes: None,
        colour: Colour::default(),
    };
    plan(&HostOffer::of(encoders), &wish).expect("a plan")
}

/// A running session with its client.
pub struct Running {
    pub client: Arc<Client>,
    pub desktop: SyntheticDesktop,
    pub handle: Option<SessionHandle>,
    pub control: SessionControl,
}

impl Setup {
    pub fn start(self) -> Running {
        let client = Arc::new(Client::default());
        let clock = SessionClock::start();
        let params = SessionParams {
            id: 0,
            plan: SessionPlan { colour: self.colour, ..plan_for(&self.encoders, self.mode, self.kbps) },
            stage: self.desktop.stage(self.mode),
            encoders: self.encoders,
            link: link(&client, clock, self.faults),
            audio: self.sound.map(|sound| sound.link(&client)),
            microphone: self.microphone,
            clock,
            frames: self.frames,
            grants: self.grants,
            cursor_apart: self.cursor_apart,
            pads: self.pads,
            on_thread_start: self.hook,
        };
        let handle = Session::start(params).expect("threads");
        let control = handle.control();
        Running { client, desktop: self.desktop, handle: Some(handle), control }
    }
}

impl Running {
    pub fn join(mut self) -> SessionEnd {
        self.handle.take().expect("not joined yet").join()
    }

    /// Stops and joins.
    pub fn finish(self) -> SessionEnd {
        self.control.stop(punktfunk_engine::session::StopReason::ClientLeft);
        self.join()
    }
}

/// The reason code of an ending.
pub fn code(reason: Option<&'static Reason>) -> &'static str {
    reason.map_or("-", |r| r.code)
}
