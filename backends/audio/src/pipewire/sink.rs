//! What programs play: a sink of our own, or the monitor of the default one.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use pipewire::spa::sys;
use pipewire::spa::utils::Direction;
use pipewire::stream::Stream;
use punktfunk_media::{AudioError, AudioRead, AudioRequest, AudioSource, ChannelLayout, SAMPLE_RATE};

use super::client::{Blueprint, Client, Described, Link, Standing};
use super::{Listen, READY_WITHIN, lost};
use crate::cut::{Cut, Cutter};
use crate::feed::{FeedReader, FeedWriter, feed};

/// A sink's sound, block by block.
#[derive(Debug)]
pub struct PipeWireSource {
    link: Link,
    handover: Arc<Handover>,
    /// The stream that `feed` belongs to.
    generation: u32,
    feed: Option<FeedReader>,
    cutter: Cutter,
    // Last: it is waited for, and rings the bell until then.
    _client: Client,
}

/// The way of a new stream's ring to the reader. Only used when a stream is made.
#[derive(Debug, Default)]
struct Handover {
    generation: AtomicU32,
    feed: Mutex<Option<FeedReader>>,
}

impl PipeWireSource {
    pub(super) fn open(socket: &Path, listen: &Listen, request: &AudioRequest) -> Result<Self, AudioError> {
        let this = Self::begin(socket, listen, request)?;
        if !this.link.wait_ready(READY_WITHIN) {
            return Err(lost(format!("{} did not answer within {READY_WITHIN:?}", socket.display())));
        }
        Ok(this)
    }

    /// The same without waiting for the server.
    pub(super) fn begin(socket: &Path, listen: &Listen, request: &AudioRequest) -> Result<Self, AudioError> {
        let link = Link::new().map_err(lost)?;
        let handover = Arc::new(Handover::default());
        let blueprint = SinkBlueprint {
            listen: listen.clone(),
            request: *request,
            link: link.clone(),
            handover: Arc::clone(&handover),
        };
        let client = Client::start("pw-sink", socket, link.clone(), blueprint).map_err(lost)?;
        let cutter = Cutter::new(request.layout.channels(), request.block_frames());
        Ok(Self { link, handover, generation: 0, feed: None, cutter, _client: client })
    }

    /// Takes the ring of the newest stream.
    fn follow(&mut self) {
        let generation = self.handover.generation.load(Ordering::Acquire);
        if generation != self.generation {
            let new = self.handover.feed.lock().unwrap_or_else(PoisonError::into_inner).take();
            if new.is_some() {
                (self.generation, self.feed) = (generation, new);
                self.cutter.restart();
            }
        }
    }
}

impl AudioSource for PipeWireSource {
    fn read(&mut self, block: &mut [f32], deadline: Instant) -> Result<AudioRead, AudioError> {
        loop {
            self.follow();
            let now = Instant::now();
            let standing = self.link.standing();
            let until = match &mut self.feed {
                Some(feed) if standing != Standing::Away => {
                    match self.cutter.cut(feed, block, now, standing == Standing::Playing) {
                        Cut::Block { captured_at, silent } => return Ok(AudioRead::Block { captured_at, silent }),
                        Cut::Wait(until) => until.min(deadline),
                    }
                }
                _ => deadline,
            };
            if now >= deadline {
                return Ok(AudioRead::Nothing);
            }
            self.link.bell.wait(until);
        }
    }
}

struct SinkBlueprint {
    listen: Listen,
    request: AudioRequest,
    link: Link,
    handover: Arc<Handover>,
}

impl Blueprint for SinkBlueprint {
    fn describe(&self) -> Described {
        let layout = self.request.layout;
        let (names, positions): (Vec<_>, Vec<_>) = positions(layout).iter().copied().unzip();
        let text = str::to_owned;
        let block = self.request.block_frames();
        // How often the graph runs while somebody plays. Where we may, exactly once per block: that wakes the programs
        // least, and a block is whole when it comes. Elsewhere it is a wish, and a power of two.
        let pace = match &self.listen {
            Listen::OwnSink { alone: true, .. } => ("node.force-quantum", block.to_string()),
            _ => ("node.latency", format!("{}/{SAMPLE_RATE}", block.next_power_of_two())),
        };
        let (name, autoconnect, mut properties) = match &self.listen {
            Listen::OwnSink { name, description, .. } => (
                name.clone(),
                false,
                vec![
                    ("media.class", text("Audio/Sink")),
                    ("node.name", name.clone()),
                    ("node.description", description.clone()),
                    ("node.virtual", text("true")),
                    // Never suspended: coming back from that would cost the first 100 ms of every sound.
                    ("session.suspend-timeout-seconds", text("0")),
                ],
            ),
            Listen::DefaultSink => (
                text("punktfunk-listen"),
                true,
                vec![
                    ("media.type", text("Audio")),
                    ("media.category", text("Capture")),
                    ("media.role", text("Production")),
                    ("stream.capture.sink", text("true")),
                    // A listener alone keeps no device awake.
                    ("node.passive", text("true")),
                    // Where a person moved an earlier listener to means nothing for this one.
                    ("state.restore-target", text("false")),
                    ("state.restore-props", text("false")),
                ],
            ),
        };
        properties.extend([
            ("audio.channels", positions.len().to_string()),
            ("audio.position", format!("[ {} ]", names.join(" "))),
            pace,
        ]);
        Described { name, direction: Direction::Input, autoconnect, positions, properties }
    }

    fn process(&mut self) -> Box<dyn FnMut(&Stream) + Send> {
        let channels = self.request.layout.channels();
        let (mut writer, reader) = feed(channels, RING_FRAMES, self.link.bell.clone());
        *self.handover.feed.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
        self.handover.generation.fetch_add(1, Ordering::Release);
        Box::new(move |stream| drain(stream, &mut writer))
    }
}

/// Pushes every buffer that waits.
fn drain(stream: &Stream, writer: &mut FeedWriter) {
    each_buffer(stream, |bytes| writer.push(bytes, Instant::now()));
}

/// Shows the samples of every buffer that waits, as bytes.
pub(super) fn each_buffer(stream: &Stream, mut show: impl FnMut(&[u8])) {
    while let Some(mut buffer) = stream.dequeue_buffer() {
        let Some(data) = buffer.datas_mut().first_mut() else { continue };
        let (offset, size) = (data.chunk().offset() as usize, data.chunk().size() as usize);
        let Some(bytes) = data.data() else { continue };
        let offset = offset.min(bytes.len());
        let end = (offset + size).min(bytes.len());
        show(&bytes[offset..end]);
    }
}

/// Names and numbers of the channels, in our order. PipeWire's "rear" is our "back".
pub(super) fn positions(layout: ChannelLayout) -> &'static [(&'static str, u32)] {
    const ALL: [(&str, u32); 8] = [
        ("FL", sys::SPA_AUDIO_CHANNEL_FL),
        ("FR", sys::SPA_AUDIO_CHANNEL_FR),
        ("FC", sys::SPA_AUDIO_CHANNEL_FC),
        ("LFE", sys::SPA_AUDIO_CHANNEL_LFE),
        ("RL", sys::SPA_AUDIO_CHANNEL_RL),
        ("RR", sys::SPA_AUDIO_CHANNEL_RR),
        ("SL", sys::SPA_AUDIO_CHANNEL_SL),
        ("SR", sys::SPA_AUDIO_CHANNEL_SR),
    ];
    &ALL[..layout.channels()]
}

/// Half a second: a reader that is away for longer has lost the thread anyway.
pub(super) const RING_FRAMES: usize = SAMPLE_RATE as usize / 2;
