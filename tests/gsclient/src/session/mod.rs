//! A whole stream: launch, handshake, threads, report.
//!
//! ```text
//! start: serverinfo ─► launch | resume ─► RTSP ─► control ─► video ─► running ─► stop ─► Report
//!                                           └► audio (pings begin after its SETUP)
//! ```

mod media;
mod options;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use options::{AudioTap, FrameTap, StreamOptions, Taps};

use crate::bytes::random;
use crate::control::{Control, ControlEvent, ControlOptions, HostMessage, Message, Version};
use crate::decode::{self, DecodeOptions, Seen};
use crate::report::cpu_seconds;
use crate::video::{VideoOptions, VideoStats};
use crate::{
    Announce, Error, Formats, Http, Identity, Launch, Negotiated, Percentiles, Picture, Report, Rtsp, Started, Style,
    Violations, audio, input, pairing, rtsp,
};
use media::{AudioEnd, MediaShared, VideoEnd};

/// A client and the host it talks to.
pub struct Client {
    /// Its HTTP side; everything that is not streaming goes through it directly.
    pub http: Http,
}

/// A running stream. Dropping it falls silent like a client whose network is gone.
pub struct Session {
    negotiated: Negotiated,
    started: Started,
    options: StreamOptions,
    control: Option<Control>,
    shared: Arc<MediaShared>,
    video: Option<JoinHandle<VideoEnd>>,
    audio: Option<JoinHandle<AudioEnd>>,
    decoder: Option<JoinHandle<Result<Seen, Error>>>,
    violations: Violations,
    launched: Instant,
    launch_ms: f64,
    play_ms: f64,
    messages: Vec<HostMessage>,
    disconnected: bool,
    picture: Option<Picture>,
}

impl Client {
    /// For the host whose HTTP port is at `address`.
    #[must_use]
    pub fn new(address: SocketAddr, identity: Arc<Identity>) -> Self {
        Self { http: Http::new(address, identity) }
    }

    /// Pairs; returns once the PIN was typed at the host.
    ///
    /// # Errors
    /// As [`pairing::pair`].
    pub fn pair(&mut self, pin: &str, style: Style) -> Result<(), Error> {
        self.http.server_info(false)?;
        pairing::pair(&mut self.http, pin, style)
    }

    /// Streams for `length` from the first frame and reports. Ends early if the host ends.
    ///
    /// # Errors
    /// Whatever keeps the stream from starting. A stream that started and showed nothing is a report.
    pub fn stream(&mut self, options: StreamOptions, length: Duration) -> Result<Report, Error> {
        let mut session = self.start(options, Taps::default())?;
        session.wait_first_frame(FIRST_FRAME);
        session.run(length);
        session.stop()
    }

    /// Starts a stream and leaves it running.
    ///
    /// # Errors
    /// Whatever keeps it from starting.
    pub fn start(&mut self, options: StreamOptions, taps: Taps) -> Result<Session, Error> {
        let info = self.http.server_info(true)?;
        if !info.paired {
            return Err(Error::Refused { code: 401, message: "not paired".to_owned() });
        }
        let app_id = match options.app {
            Some(id) => id,
            None => self.http.app_list()?.first().map(|app| app.id).ok_or_else(|| Error::answer("no apps"))?,
        };
        let (rikey, id) = (random::<16>()?, i32::from_be_bytes(random()?));
        let mask: u32 = match options.channels {
            6 => 0x3F,
            8 => 0x63F,
            _ => 0x3,
        };
        let launch = Launch {
            app_id,
            width: options.width,
            height: options.height,
            fps: options.fps,
            rikey,
            rikey_id: id,
            sops: false,
            local_audio: options.local_audio,
            surround_audio_info: mask << 16 | u32::from(options.channels),
            hdr: options.formats.ten_bit(),
            gamepads: options.gamepads,
            corever: options.corever,
            extra: options.launch_extra.clone(),
            omit: options.launch_omit.clone(),
        };
        let launched = Instant::now();
        let started = if info.current_game == 0 { self.http.launch(&launch) } else { self.http.resume(&launch) }?;
        let launch_ms = millis(launched);
        self.run_rtsp(options, taps, &launch, started, Formats(info.codecs), launched, launch_ms)
    }

    #[expect(clippy::too_many_arguments, reason = "the second half of start, which would be too long in one piece")]
    fn run_rtsp(
        &mut self,
        options: StreamOptions,
        taps: Taps,
        launch: &Launch,
        started: Started,
        theirs: Formats,
        launched: Instant,
        launch_ms: f64,
    ) -> Result<Session, Error> {
        let mut rtsp = Rtsp::new(self.http.address(), &started, &launch.rikey, options.low_audio())?;
        if options.legacy {
            rtsp.without_session_ids();
        }
        let shared = Arc::new(MediaShared::default());
        let audio_socket = media::socket(self.http.address())?;
        let video_socket = media::socket(self.http.address())?;
        let pinger = media::Pinger::start(audio_socket.try_clone().map_err(Error::io("cloning a socket"))?, &shared)?;
        let negotiated = rtsp.handshake(
            |describe| {
                let wishes = options.wishes(describe, theirs);
                let mut announce = Announce::stock(&wishes);
                for (name, value) in &options.announce {
                    match value {
                        Some(value) => announce.set(name, value),
                        None => announce.remove(name),
                    }
                }
                (wishes, announce)
            },
            |audio| {
                pinger.aim(audio);
                Ok(())
            },
        )?;
        let play_ms = millis(launched);
        let wishes = &negotiated.wishes;
        let control = Control::connect(&ControlOptions {
            address: negotiated.control.address,
            connect_data: negotiated.control.connect_data,
            key: launch.rikey,
            version: if wishes.encryption & 1 != 0 { Version::V2 } else { Version::V1 },
            channels: options.control_channels,
            pings: options.control_pings,
        })?;
        let (decoder, frames) = if options.decode {
            let (to_decode, frames) = std::sync::mpsc::sync_channel(DECODE_QUEUE);
            let decoding = DecodeOptions { png: options.png.clone() };
            let codec = wishes.format.codec();
            (Some(decode::start(codec, frames, decoding)?), Some(to_decode))
        } else {
            (None, None)
        };
        let video = media::start_video(
            video_socket,
            media::VideoSetup {
                endpoint: negotiated.video.clone(),
                options: VideoOptions {
                    packet_size: wishes.announced_packet_size(),
                    codec: (!options.synthetic_payloads).then(|| wishes.format.codec()),
                    key: (wishes.encryption & 2 != 0).then_some(launch.rikey),
                    invalidation: wishes.invalidation && negotiated.describe.invalidation,
                    min_recovery: wishes.min_recovery,
                    verify_recovery: options.verify_recovery,
                },
                loss: options.video_loss.clone(),
                frames,
                tap: taps.frame,
                control: control.sender(),
                launched,
            },
            &shared,
        )?;
        let audio = media::start_audio(
            audio_socket,
            media::AudioSetup {
                endpoint: negotiated.audio.clone(),
                options: audio::AudioOptions {
                    duration_ms: wishes.packet_duration_ms,
                    key: wishes.audio_encrypted().then_some((launch.rikey, launch.rikey_id as u32)),
                },
                loss: options.audio_loss.clone(),
                tap: taps.audio,
                pinger,
                launched,
            },
            &shared,
        )?;
        let mut violations = self.http.violations();
        violations.extend(rtsp.violations().clone());
        let session = Session {
            negotiated,
            started,
            options,
            control: Some(control),
            shared,
            video: Some(video),
            audio: Some(audio),
            decoder,
            violations,
            launched,
            launch_ms,
            play_ms,
            messages: Vec::new(),
            disconnected: false,
            picture: None,
        };
        // What the library sends by itself.
        for packet in [input::enable_haptics(), input::mouse_move(1, 1), input::mouse_move(-1, -1)] {
            session.input(packet);
        }
        Ok(session)
    }
}

impl Session {
    /// What the handshake settled.
    #[must_use]
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// What launch gave.
    #[must_use]
    pub fn started(&self) -> &Started {
        &self.started
    }

    /// The Opus layout of the audio, as the client understood DESCRIBE.
    #[must_use]
    pub fn layout(&self) -> Option<rtsp::SurroundLayout> {
        let wishes = &self.negotiated.wishes;
        self.negotiated.describe.layout(wishes.channels, wishes.high_audio && wishes.channels > 2)
    }

    /// Sends a control message; false if the connection is gone.
    pub fn send(&self, message: Message) -> bool {
        self.control.as_ref().is_some_and(|control| control.send(message))
    }

    /// Sends an input packet; false if the connection is gone.
    pub fn input(&self, packet: input::Packet) -> bool {
        self.send(Message::Input(packet))
    }

    /// The control stream itself.
    #[must_use]
    pub fn control(&self) -> Option<&Control> {
        self.control.as_ref()
    }

    /// The next thing on the control stream, waiting at most `timeout`.
    pub fn event(&mut self, timeout: Duration) -> Option<ControlEvent> {
        let event = self.control.as_ref()?.event(timeout)?;
        match &event {
            ControlEvent::Message(message) => {
                if self.messages.len() < MAX_MESSAGES {
                    self.messages.push(message.clone());
                }
            }
            ControlEvent::Disconnected => self.disconnected = true,
        }
        Some(event)
    }

    /// Waits for a message that `wanted` accepts; `None` if it does not come in time.
    pub fn wait_message(&mut self, timeout: Duration, wanted: impl Fn(&HostMessage) -> bool) -> Option<HostMessage> {
        let until = Instant::now() + timeout;
        if let Some(message) = self.messages.iter().find(|m| wanted(m)) {
            return Some(message.clone());
        }
        loop {
            match self.event(until.saturating_duration_since(Instant::now()))? {
                ControlEvent::Message(message) if wanted(&message) => return Some(message),
                ControlEvent::Message(_) => {}
                ControlEvent::Disconnected => return None,
            }
        }
    }

    /// Whole frames handed on so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.shared.frames()
    }

    /// Audio packets handed on so far.
    #[must_use]
    pub fn audio_packets(&self) -> u64 {
        self.shared.audio_packets()
    }

    /// Waits for the first frame; false if it does not come in time or the host ends.
    pub fn wait_first_frame(&mut self, timeout: Duration) -> bool {
        self.wait_until(timeout, |session| session.frames() > 0)
    }

    /// Waits for something to become true; false if it does not in time, or the host ends.
    pub fn wait_until(&mut self, timeout: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let until = Instant::now() + timeout;
        while !done(self) {
            if self.disconnected || Instant::now() >= until {
                return done(self);
            }
            self.event(POLL);
        }
        true
    }

    /// Lets it run; ends early if the host ends.
    pub fn run(&mut self, length: Duration) {
        self.wait_until(length, |_| false);
    }

    /// Stops as a client does and reports.
    ///
    /// # Errors
    /// Files that could not be written, threads that panicked.
    pub fn stop(mut self) -> Result<Report, Error> {
        self.end(true)
    }

    /// Falls silent without a word and reports.
    ///
    /// # Errors
    /// As [`Session::stop`].
    pub fn vanish(mut self) -> Result<Report, Error> {
        self.end(false)
    }

    /// As [`Session::stop`], with the last picture that was decoded.
    ///
    /// # Errors
    /// As [`Session::stop`].
    pub fn stop_with_picture(mut self) -> Result<(Report, Option<Picture>), Error> {
        let report = self.end(true)?;
        Ok((report, self.picture.take()))
    }

    fn end(&mut self, cleanly: bool) -> Result<Report, Error> {
        while self.event(Duration::ZERO).is_some() {}
        self.shared.stop();
        let panicked = || Error::Usage("a thread of the client panicked".to_owned());
        let video = self.video.take().map(JoinHandle::join).transpose().map_err(|_| panicked())?.unwrap_or_default();
        let audio = self.audio.take().map(JoinHandle::join).transpose().map_err(|_| panicked())?.unwrap_or_default();
        // Its channel went with the video thread.
        let seen = match self.decoder.take() {
            Some(thread) => thread.join().map_err(|_| panicked())??,
            None => Seen::default(),
        };
        if let Some(control) = self.control.take() {
            self.violations.extend(if cleanly { control.stop() } else { control.vanish() });
        }
        Ok(self.report(video, audio, seen))
    }

    fn report(&mut self, video: VideoEnd, audio: AudioEnd, seen: Seen) -> Report {
        let wishes = &self.negotiated.wishes;
        let seconds = video.first.zip(video.last).map_or(0.0, |(first, last)| (last - first).as_secs_f64());
        let mut report = Report {
            schema: 1,
            codec: wishes.format.codec().name().to_lowercase(),
            mode: format!("{}x{}@{}", wishes.width, wishes.height, wishes.fps),
            resumed: self.started.resumed,
            encryption: wishes.encryption,
            launch_ms: self.launch_ms,
            play_ms: self.play_ms,
            first_frame_ms: video.first.map(|at| (at - self.launched).as_secs_f64() * 1e3),
            seconds,
            cpu_s: cpu_seconds(),
            ..Report::default()
        };
        let VideoStats { bytes, .. } = video.stats;
        report.video.goodput_bps = if seconds > 0.0 { (bytes as f64 * 8.0 / seconds) as u64 } else { 0 };
        report.video.stats = video.stats;
        report.video.dropped_on_purpose = video.dropped;
        report.video.overflowed = video.overflowed;
        report.video.host_latency_us = Percentiles::of(&video.host_latency_us);
        report.video.receive_us = Percentiles::of(&video.receive_us);
        report.video.interval_us = Percentiles::of(&video.interval_us);
        report.video.decoder = seen.decoder;
        report.video.pictures = seen.pictures;
        report.video.decode_errors = seen.errors;
        report.video.picture_size = seen.size;
        report.video.stamped = seen.stamped;
        report.video.stamps_backwards = seen.stamps_backwards;
        report.video.capture_to_decoded_us = Percentiles::of(&seen.latency_us);
        report.video.decode_us = Percentiles::of(&seen.decode_us);
        report.audio.layout =
            self.layout().map_or(String::new(), |l| format!("{}/{}/{}", l.channels, l.streams, l.coupled));
        report.audio.stats = audio.stats;
        report.audio.dropped_on_purpose = audio.dropped;
        report.audio.first_packet_ms = audio.first.map(|at| (at - self.launched).as_secs_f64() * 1e3);
        report.audio.interval_us = Percentiles::of(&audio.interval_us);
        for message in &self.messages {
            match message {
                HostMessage::Termination(reason) => report.termination = Some(format!("0x{reason:08x}")),
                other => report.host_messages.push(format!("{other:?}")),
            }
        }
        report.dropped = self.disconnected && report.termination.is_none();
        let mut violations = std::mem::take(&mut self.violations);
        violations.extend(video.violations);
        violations.extend(audio.violations);
        if self.options.decode {
            violations.check(report.video.decode_errors == 0, "§8.8", || {
                format!("{} access units cannot be decoded", report.video.decode_errors)
            });
        }
        report.judge(&violations);
        self.picture = seen.last;
        report
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// As clients wait (§8.1).
const FIRST_FRAME: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);
/// As deep as the stock client's queue.
const DECODE_QUEUE: usize = 15;
const MAX_MESSAGES: usize = 4096;
