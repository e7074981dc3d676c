//! Hears what a real PipeWire plays.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::time::{Duration, Instant};

use punktfunk_audio::{Listen, PipeWire};
use punktfunk_media::{AudioRead, AudioRequest, AudioSource, ChannelLayout};
use punktfunk_testkit::sound::{TestPipeWire, share_at};

pub const PATIENCE: Duration = Duration::from_secs(20);
pub const TONES: [f32; 8] = [400.0, 700.0, 1100.0, 100.0, 1700.0, 2300.0, 3100.0, 4300.0];
pub const MAP: [&str; 8] = ["FL", "FR", "FC", "LFE", "RL", "RR", "SL", "SR"];

pub fn request(layout: ChannelLayout) -> AudioRequest {
    AudioRequest { layout, block: Duration::from_millis(5), also_on_host: false }
}

/// Listens to a source.
pub struct Ear {
    source: Box<dyn AudioSource>,
    pub block: Vec<f32>,
    pub last: Option<Instant>,
}

impl Ear {
    pub fn to(server: &TestPipeWire<'_>, listen: &Listen, request: &AudioRequest) -> Self {
        let pipewire = PipeWire { socket: server.socket() };
        Self::of(pipewire.source(listen, request).unwrap_or_else(|e| panic!("{e}")), request)
    }

    pub fn of(source: Box<dyn AudioSource>, request: &AudioRequest) -> Self {
        Self { source, block: vec![0.0; request.block_samples()], last: None }
    }

    /// One block; `None` when there is nothing for a while.
    pub fn block(&mut self) -> Option<bool> {
        let before = Instant::now();
        let read = self.source.read(&mut self.block, before + Duration::from_millis(100)).expect("no fatal error");
        match read {
            AudioRead::Block { captured_at, silent } => {
                assert!(self.last.is_none_or(|last| last <= captured_at), "stamps never fall");
                self.last = Some(captured_at);
                Some(silent)
            }
            AudioRead::Nothing => None,
        }
    }

    #[track_caller]
    pub fn wait(&mut self, what: &str, wanted: impl Fn(Option<bool>) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let seen = self.block();
            if wanted(seen) {
                return;
            }
            assert!(Instant::now() < until, "waited in vain for {what}");
        }
    }

    /// So many blocks that are heard, in a row.
    #[track_caller]
    pub fn listen(&mut self, blocks: usize) -> Vec<f32> {
        let (mut heard, mut count) = (Vec::new(), 0);
        let until = Instant::now() + PATIENCE;
        while count < blocks {
            assert!(Instant::now() < until, "{count} blocks in a row only");
            if self.block() == Some(false) {
                heard.extend_from_slice(&self.block);
                count += 1;
            } else {
                (heard, count) = (Vec::new(), 0);
            }
        }
        heard
    }
}

/// Every channel has its own tone, and nobody else's. (A busy machine's hiccups smear a tone, but do not move it.)
#[track_caller]
pub fn assert_tones(heard: &[f32], channels: usize) {
    for channel in 0..channels {
        let share = |tone: usize| share_at(heard, channels, channel, TONES[tone]);
        let own = share(channel);
        assert!(own > 0.25, "of {channels} channels, {channel} has {own} of its energy at its own tone");
        for other in (0..channels).filter(|other| *other != channel) {
            let foreign = share(other);
            assert!(
                foreign < own / 4.0,
                "of {channels} channels, {channel} has {foreign} at the tone of {other}, {own} at its own"
            );
        }
    }
}
