//! The threads that receive video and audio, and their pings.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{AudioTap, FrameTap};
use crate::audio::{self, Audio, AudioOptions, AudioStats};
use crate::control::Message;
use crate::control::Sender;
use crate::rtsp::Endpoint;
use crate::video::{Frame, Output, Video, VideoOptions, VideoStats};
use crate::{Error, Loss, Violations};

/// What the threads and the session share.
#[derive(Default)]
pub(super) struct MediaShared {
    stop: AtomicBool,
    frames: AtomicU64,
    audio_packets: AtomicU64,
}

impl MediaShared {
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    pub(super) fn audio_packets(&self) -> u64 {
        self.audio_packets.load(Ordering::Relaxed)
    }
}

/// What the video thread leaves behind.
#[derive(Default)]
pub(super) struct VideoEnd {
    pub(super) stats: VideoStats,
    pub(super) violations: Violations,
    pub(super) dropped: u64,
    pub(super) overflowed: u64,
    pub(super) first: Option<Instant>,
    pub(super) last: Option<Instant>,
    pub(super) host_latency_us: Vec<u64>,
    pub(super) receive_us: Vec<u64>,
    pub(super) interval_us: Vec<u64>,
}

/// What the audio thread leaves behind.
#[derive(Default)]
pub(super) struct AudioEnd {
    pub(super) stats: AudioStats,
    pub(super) violations: Violations,
    pub(super) dropped: u64,
    pub(super) first: Option<Instant>,
    pub(super) interval_us: Vec<u64>,
}

pub(super) struct VideoSetup {
    pub(super) endpoint: Endpoint,
    pub(super) options: VideoOptions,
    pub(super) loss: Loss,
    pub(super) frames: Option<SyncSender<Frame>>,
    pub(super) tap: Option<FrameTap>,
    pub(super) control: Sender,
    pub(super) launched: Instant,
}

pub(super) struct AudioSetup {
    pub(super) endpoint: Endpoint,
    pub(super) options: AudioOptions,
    pub(super) loss: Loss,
    pub(super) tap: Option<AudioTap>,
    pub(super) pinger: Pinger,
    pub(super) launched: Instant,
}

/// A socket with room for a keyframe.
pub(super) fn socket(host: SocketAddr) -> Result<UdpSocket, Error> {
    let socket = UdpSocket::bind(if host.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" });
    let socket = socket.map_err(Error::io("binding a media socket"))?;
    socket.set_read_timeout(Some(READ_TIMEOUT)).map_err(Error::io("socket options"))?;
    // The kernel gives what its limit allows.
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER);
    Ok(socket)
}

/// Pings of a stream (§8.1): every 500 ms, the host's sixteen characters and a counter, or `PING`.
struct Pings {
    endpoint: Endpoint,
    counter: u32,
    next: Instant,
}

impl Pings {
    fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, counter: 0, next: Instant::now() }
    }

    fn send_if_due(&mut self, socket: &UdpSocket) {
        if Instant::now() < self.next {
            return;
        }
        self.next += PING;
        self.counter = self.counter.wrapping_add(1);
        let datagram = match self.endpoint.ping {
            Some(payload) => [&payload[..], &self.counter.to_be_bytes()].concat(),
            None => b"PING".to_vec(),
        };
        // A host that is not there yet is found by the next one.
        let _ = socket.send_to(&datagram, self.endpoint.address);
    }
}

/// Audio's pings begin in the middle of the handshake, before anybody receives.
pub(super) struct Pinger {
    target: Arc<Mutex<Option<Pings>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pinger {
    pub(super) fn start(socket: UdpSocket, shared: &Arc<MediaShared>) -> Result<Self, Error> {
        let (target, stop) = (Arc::new(Mutex::new(None::<Pings>)), Arc::new(AtomicBool::new(false)));
        let (aimed, stopped, shared) = (Arc::clone(&target), Arc::clone(&stop), Arc::clone(shared));
        let thread = std::thread::Builder::new()
            .name("audio-ping".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) && !shared.stopped() {
                    if let Some(pings) = &mut *aimed.lock().unwrap_or_else(PoisonError::into_inner) {
                        pings.send_if_due(&socket);
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            })
            .map_err(Error::io("starting the ping thread"))?;
        Ok(Self { target, stop, thread: Some(thread) })
    }

    pub(super) fn aim(&self, endpoint: &Endpoint) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(Pings::new(endpoint.clone()));
    }

    /// Ends the thread; whoever receives goes on with the count.
    fn take(mut self) -> Option<Pings> {
        self.end();
        self.target.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and nothing depends on it.
            let _ = thread.join();
        }
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        self.end();
    }
}

pub(super) fn start_video(
    socket: UdpSocket,
    setup: VideoSetup,
    shared: &Arc<MediaShared>,
) -> Result<JoinHandle<VideoEnd>, Error> {
    let video = Video::new(setup.options.clone())?;
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name("video".to_owned())
        .spawn(move || receive_video(&socket, setup, video, &shared))
        .map_err(Error::io("starting the video thread"))
}

fn receive_video(socket: &UdpSocket, setup: VideoSetup, mut video: Video, shared: &MediaShared) -> VideoEnd {
    let VideoSetup { endpoint, mut loss, frames, mut tap, control, launched, .. } = setup;
    let mut end = VideoEnd::default();
    let mut pings = Pings::new(endpoint.clone());
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut foreign = Violations::default();
    while !shared.stopped() {
        pings.send_if_due(socket);
        let Some((len, from)) = receive(socket, &mut buffer) else { continue };
        foreign.check(from == endpoint.address, "§6.1", || format!("video from {from}, not {}", endpoint.address));
        if loss.drop_next() {
            end.dropped += 1;
            continue;
        }
        video.datagram(Instant::now(), &buffer[..len]);
        while let Some(output) = video.poll() {
            match output {
                Output::Frame(frame) => {
                    shared.frames.fetch_add(1, Ordering::Relaxed);
                    note_times(&mut end, &frame, launched);
                    if let Some(tap) = &mut tap {
                        tap(&frame);
                    }
                    if let Some(frames) = &frames
                        && frames.try_send(frame).is_err()
                    {
                        end.overflowed += 1;
                        control.send(Message::RequestIdr);
                    }
                }
                Output::RequestIdr => drop(control.send(Message::RequestIdr)),
                Output::Invalidate { first, last } => drop(control.send(Message::Invalidate { first, last })),
                Output::FecStatus(status) => drop(control.send(Message::FecStatus(status))),
                Output::LtrAck(frame) => drop(control.send(Message::LtrAck(frame))),
            }
        }
    }
    (end.stats, end.violations) = video.finish();
    end.violations.extend(foreign);
    end
}

fn note_times(end: &mut VideoEnd, frame: &Frame, launched: Instant) {
    end.first.get_or_insert(frame.whole_at.max(launched));
    if end.receive_us.len() < MAX_SAMPLES {
        if let Some(last) = end.last {
            end.interval_us.push(micros(frame.whole_at - last));
        }
        end.receive_us.push(micros(frame.whole_at - frame.first_at));
        if frame.latency != 0 {
            end.host_latency_us.push(100 * u64::from(frame.latency));
        }
    }
    end.last = Some(frame.whole_at);
}

pub(super) fn start_audio(
    socket: UdpSocket,
    setup: AudioSetup,
    shared: &Arc<MediaShared>,
) -> Result<JoinHandle<AudioEnd>, Error> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name("audio".to_owned())
        .spawn(move || receive_audio(&socket, setup, &shared))
        .map_err(Error::io("starting the audio thread"))
}

fn receive_audio(socket: &UdpSocket, setup: AudioSetup, shared: &MediaShared) -> AudioEnd {
    let AudioSetup { endpoint, options, mut loss, mut tap, pinger, launched } = setup;
    let mut end = AudioEnd::default();
    let mut pings = pinger.take().unwrap_or_else(|| Pings::new(endpoint.clone()));
    let mut audio = Audio::new(options);
    let mut buffer = vec![0; MAX_DATAGRAM];
    let (mut foreign, mut last) = (Violations::default(), None::<Instant>);
    while !shared.stopped() {
        pings.send_if_due(socket);
        let Some((len, from)) = receive(socket, &mut buffer) else { continue };
        foreign.check(from == endpoint.address, "§6.1", || format!("audio from {from}, not {}", endpoint.address));
        if loss.drop_next() {
            end.dropped += 1;
            continue;
        }
        let now = Instant::now();
        end.first.get_or_insert(now.max(launched));
        if let Some(last) = last.replace(now)
            && end.interval_us.len() < MAX_SAMPLES
        {
            end.interval_us.push(micros(now - last));
        }
        audio.datagram(&buffer[..len]);
        while let Some(output) = audio.poll() {
            if matches!(output, audio::Output::Packet { .. }) {
                shared.audio_packets.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(tap) = &mut tap {
                tap(&output);
            }
        }
    }
    (end.stats, end.violations) = audio.finish();
    end.violations.extend(foreign);
    end
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    match socket.recv_from(buffer) {
        Ok(received) => Some(received),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => None,
        // An ICMP answer to a ping: the host is not there yet, or no longer.
        Err(_) => {
            std::thread::sleep(Duration::from_millis(1));
            None
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

const PING: Duration = Duration::from_millis(500);
const READ_TIMEOUT: Duration = Duration::from_millis(20);
/// A keyframe of 4K and what follows it while this process is not scheduled.
const RECEIVE_BUFFER: usize = 8 << 20;
const MAX_DATAGRAM: usize = 65_536;
/// An hour at 120 frames per second.
const MAX_SAMPLES: usize = 432_000;
