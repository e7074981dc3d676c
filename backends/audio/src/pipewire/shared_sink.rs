//! A sink that several listen to, and its way on to the speakers.
//!
//! ```text
//! programs ─► SharedSink (a stream that is a sink) ─► a ring for every listener ─► Tap::read        audio-N
//!                        └─ a ring, while wanted ─► Speakers (a stream that plays) ─► the host's own sink
//! ```
//!
//! Listeners do not record its monitor: that would be one more node in the graph for each, and PipeWire 0.3.65 now and then
//! hands out silence there after programs moved.
//!
//! The two streams are of one group: one clock drives both, so that the ring between them never drifts.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pipewire::spa::utils::Direction;
use pipewire::stream::Stream;
use punktfunk_media::{AudioError, AudioRead, AudioRequest, AudioSource, ChannelLayout, SAMPLE_RATE};
use rtrb::{Consumer, Producer, RingBuffer};

use super::client::{Blueprint, Client, Described, Link, Standing};
use super::sink::{RING_FRAMES as LISTENER_FRAMES, each_buffer, positions};
use crate::cut::{Cut, Cutter};
use crate::feed::{FeedReader, FeedWriter, feed};
use crate::mix::Mix;

/// The sink; it exists while this does.
#[derive(Debug)]
pub struct SharedSink {
    outlet: Outlet,
    taps: Taps,
    link: Link,
    layout: ChannelLayout,
    _client: Client,
}

/// Who listens. Locked by the sink's data thread for every buffer, by others only to come or go: a buffer that finds it
/// locked then is lost, once in a blue moon.
type Taps = Arc<Mutex<Vec<Outflow>>>;

/// The sink's end of a listener.
#[derive(Debug)]
struct Outflow {
    id: u64,
    writer: FeedWriter,
    /// `None`: the listener has the sink's speakers.
    mix: Option<Mix>,
    frame_bytes: usize,
}

impl Outflow {
    fn push(&mut self, bytes: &[u8], at: Instant) {
        match &self.mix {
            None => self.writer.push(bytes, at),
            Some(mix) => {
                let frames = bytes.len() / self.frame_bytes;
                let (samples, _) = bytes[..frames * self.frame_bytes].as_chunks::<4>();
                self.writer.push_samples(frames, mix.samples(samples), at);
            }
        }
    }
}

/// A listener's end.
#[derive(Debug)]
pub struct Tap {
    id: u64,
    taps: Taps,
    link: Link,
    feed: FeedReader,
    cutter: Cutter,
    away: bool,
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.taps.lock().unwrap_or_else(PoisonError::into_inner).retain(|outflow| outflow.id != self.id);
    }
}

impl AudioSource for Tap {
    fn read(&mut self, block: &mut [f32], deadline: Instant) -> Result<AudioRead, AudioError> {
        loop {
            let now = Instant::now();
            let standing = self.link.standing();
            let until = if standing == Standing::Away {
                self.away = true;
                deadline
            } else {
                if std::mem::take(&mut self.away) {
                    self.cutter.restart();
                }
                match self.cutter.cut(&mut self.feed, block, now, standing == Standing::Playing) {
                    Cut::Block { captured_at, silent } => return Ok(AudioRead::Block { captured_at, silent }),
                    Cut::Wait(until) => until.min(deadline),
                }
            };
            if now >= deadline {
                return Ok(AudioRead::Nothing);
            }
            self.link.bell.wait(until);
        }
    }
}

/// The way of the sink's sound to the speakers.
#[derive(Clone, Debug, Default)]
struct Outlet {
    open: Arc<AtomicBool>,
    /// Of the sink's newest stream. Locked by the speakers' data thread while they play, by the sink's client thread for
    /// a moment while a stream is made.
    samples: Arc<Mutex<Option<Consumer<f32>>>>,
}

impl SharedSink {
    /// Makes it, under this node name and description.
    pub fn start(socket: &Path, name: &str, description: &str, layout: ChannelLayout) -> std::io::Result<Self> {
        let (outlet, link, taps) = (Outlet::default(), Link::new()?, Taps::default());
        taps.lock().unwrap_or_else(PoisonError::into_inner).reserve(ROOM);
        let blueprint = SinkBlueprint {
            name: name.to_owned(),
            description: description.to_owned(),
            layout,
            outlet: outlet.clone(),
            taps: Arc::clone(&taps),
        };
        let client = Client::start("pw-shared", socket, link.clone(), blueprint)?;
        Ok(Self { outlet, taps, link, layout, _client: client })
    }

    /// A listener with these speakers and blocks. Whether anything is heard shows in what is read.
    pub fn tap(&self, request: &AudioRequest) -> std::io::Result<Tap> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let link = self.link.beside()?;
        let channels = request.layout.channels();
        let (writer, feed) = feed(channels, LISTENER_FRAMES, link.bell.clone());
        let mix = Mix::new(self.layout, request.layout);
        let outflow = Outflow { id, writer, mix, frame_bytes: 4 * self.layout.channels() };
        self.taps.lock().unwrap_or_else(PoisonError::into_inner).push(outflow);
        let cutter = Cutter::new(channels, request.block_frames());
        Ok(Tap { id, taps: Arc::clone(&self.taps), link, feed, cutter, away: false })
    }

    /// How many speakers it has.
    pub const fn channels(&self) -> usize {
        self.layout.channels()
    }

    /// Plays on to another sink as well: to `target`, or to the best there is.
    pub fn speakers(&self, socket: &Path, target: Option<String>) -> std::io::Result<Speakers> {
        let outlet = self.outlet.clone();
        let blueprint = SpeakersBlueprint { target, layout: self.layout, outlet: outlet.clone() };
        let link = Link::new()?;
        let client = Client::start("pw-speakers", socket, link.clone(), blueprint)?;
        outlet.open.store(true, Ordering::Relaxed);
        Ok(Speakers { outlet, link, _client: client })
    }
}

/// The way on; it exists while this does.
#[derive(Debug)]
pub struct Speakers {
    outlet: Outlet,
    link: Link,
    _client: Client,
}

impl Speakers {
    /// Waits until they play.
    pub fn wait(&self, within: Duration) {
        self.link.wait_for(within, |standing| standing == Standing::Playing);
    }
}

impl Drop for Speakers {
    fn drop(&mut self) {
        self.outlet.open.store(false, Ordering::Relaxed);
    }
}

struct SinkBlueprint {
    name: String,
    description: String,
    layout: ChannelLayout,
    outlet: Outlet,
    taps: Taps,
}

impl Blueprint for SinkBlueprint {
    fn describe(&self) -> Described {
        let text = str::to_owned;
        let (names, positions): (Vec<_>, Vec<_>) = positions(self.layout).iter().copied().unzip();
        let properties = vec![
            ("media.class", text("Audio/Sink")),
            ("node.name", self.name.clone()),
            ("node.description", self.description.clone()),
            ("node.virtual", text("true")),
            ("node.group", text(GROUP)),
            ("node.link-group", text(GROUP)),
            // Never suspended: coming back from that would cost the first 100 ms of every sound.
            ("session.suspend-timeout-seconds", text("0")),
            ("node.latency", format!("{LATENCY_FRAMES}/{SAMPLE_RATE}")),
            ("audio.channels", positions.len().to_string()),
            ("audio.position", format!("[ {} ]", names.join(" "))),
        ];
        Described { name: self.name.clone(), direction: Direction::Input, autoconnect: false, positions, properties }
    }

    fn process(&mut self) -> Box<dyn FnMut(&Stream) + Send> {
        let (mut producer, consumer) = RingBuffer::new(RING_FRAMES * self.layout.channels());
        *self.outlet.samples.lock().unwrap_or_else(PoisonError::into_inner) = Some(consumer);
        let (open, taps) = (Arc::clone(&self.outlet.open), Arc::clone(&self.taps));
        Box::new(move |stream| {
            let mut taps = taps.try_lock().ok();
            each_buffer(stream, |bytes| {
                let now = Instant::now();
                taps.iter_mut().flat_map(|taps| taps.iter_mut()).for_each(|tap| tap.push(bytes, now));
                if open.load(Ordering::Relaxed) {
                    pass_on(&mut producer, bytes);
                }
            });
        })
    }
}

/// What does not fit whole is lost: the speakers stand still.
fn pass_on(producer: &mut Producer<f32>, bytes: &[u8]) {
    let (samples, _) = bytes.as_chunks::<4>();
    if let Ok(chunk) = producer.write_chunk_uninit(samples.len()) {
        chunk.fill_from_iter(samples.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
}

struct SpeakersBlueprint {
    target: Option<String>,
    layout: ChannelLayout,
    outlet: Outlet,
}

impl Blueprint for SpeakersBlueprint {
    fn describe(&self) -> Described {
        let text = str::to_owned;
        let (names, positions): (Vec<_>, Vec<_>) = positions(self.layout).iter().copied().unzip();
        let mut properties = vec![
            ("media.type", text("Audio")),
            ("media.category", text("Playback")),
            ("node.name", text("punktfunk-speakers")),
            ("node.description", text("punktfunk: on to the speakers")),
            ("node.group", text(GROUP)),
            // The session manager never links it to our own sink, whatever the default is.
            ("node.link-group", text(GROUP)),
            ("state.restore-target", text("false")),
            ("state.restore-props", text("false")),
            ("audio.channels", positions.len().to_string()),
            ("audio.position", format!("[ {} ]", names.join(" "))),
        ];
        properties.extend(self.target.clone().map(|name| ("target.object", name)));
        Described {
            name: text("punktfunk-speakers"),
            direction: Direction::Output,
            autoconnect: true,
            positions,
            properties,
        }
    }

    fn process(&mut self) -> Box<dyn FnMut(&Stream) + Send> {
        let (samples, channels) = (Arc::clone(&self.outlet.samples), self.layout.channels());
        Box::new(move |stream| {
            // Held by others only while the sink is made anew: then there is nothing to play.
            let mut samples = samples.try_lock().ok();
            fill(stream, samples.as_mut().and_then(|s| s.as_mut()), channels);
        })
    }
}

/// Fills the next buffer with what waits, and silence.
fn fill(stream: &Stream, samples: Option<&mut Consumer<f32>>, channels: usize) {
    let Some(mut buffer) = stream.dequeue_buffer() else { return };
    let requested = usize::try_from(buffer.requested()).unwrap_or(0);
    let Some(data) = buffer.datas_mut().first_mut() else { return };
    let Some(bytes) = data.data() else { return };
    let stride = 4 * channels;
    let wanted = if requested == 0 { QUANTUM } else { requested };
    let frames = wanted.min(bytes.len() / stride);
    play(samples, &mut bytes[..frames * stride]);
    let chunk = data.chunk_mut();
    *chunk.offset_mut() = 0;
    *chunk.stride_mut() = i32::try_from(stride).unwrap_or(0);
    *chunk.size_mut() = u32::try_from(frames * stride).unwrap_or(0);
}

/// What waits longer than a few quanta waits for ever: both run at one pace. So the oldest is left out.
fn play(samples: Option<&mut Consumer<f32>>, out: &mut [u8]) {
    let (places, _) = out.as_chunks_mut::<4>();
    let mut played = 0;
    if let Some(samples) = samples {
        let waiting = samples.slots();
        if waiting > MOST_WAITING * places.len()
            && let Ok(old) = samples.read_chunk(waiting - places.len())
        {
            old.commit_all();
        }
        let got = samples.slots().min(places.len());
        if let Ok(chunk) = samples.read_chunk(got) {
            for (place, sample) in places.iter_mut().zip(chunk) {
                *place = sample.to_le_bytes();
            }
            played = got;
        }
    }
    places[played..].fill([0; 4]);
}

/// The shortest block is 5 ms, and a graph's pace is a power of two.
const LATENCY_FRAMES: usize = 256;
/// For more listeners than a host serves, so that nothing is allocated under the lock.
const ROOM: usize = 32;
/// What our sink and its way on have in common.
const GROUP: &str = "punktfunk";
/// 200 ms: more than the largest quantum.
const RING_FRAMES: usize = SAMPLE_RATE as usize / 5;
/// PipeWire's default, for a server that does not say how much it wants.
const QUANTUM: usize = 1024;
/// Quanta: one is there by nature, since the two streams take turns, one more where their resamplers disagree.
const MOST_WAITING: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn played(consumer: Option<&mut Consumer<f32>>, frames: usize) -> Vec<f32> {
        let mut out = vec![0xff; frames * 4];
        play(consumer, &mut out);
        out.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    #[test]
    fn what_waits_is_played_in_order_then_silence_and_what_is_stale_is_left_out() {
        let (mut producer, mut consumer) = RingBuffer::new(64);
        let bytes = |from: u8, n: u8| (from..from + n).flat_map(|v| f32::from(v).to_le_bytes()).collect::<Vec<_>>();
        assert_eq!(played(None, 2), [0.0; 2]);
        pass_on(&mut producer, &bytes(1, 6));
        assert_eq!(played(Some(&mut consumer), 4), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(played(Some(&mut consumer), 4), [5.0, 6.0, 0.0, 0.0]);
        pass_on(&mut producer, &bytes(1, 20));
        assert_eq!(played(Some(&mut consumer), 4), [17.0, 18.0, 19.0, 20.0]);
        // Full: lost whole, and no wrong order.
        pass_on(&mut producer, &bytes(1, 60));
        pass_on(&mut producer, &bytes(70, 20));
        assert_eq!(consumer.slots(), 60);
    }
}
