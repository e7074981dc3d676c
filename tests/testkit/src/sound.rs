//! A real PipeWire with its session manager under a harness, and programs that play to it and record from it.

use std::f32::consts::TAU;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::desktop::{Launch, end_marked, marked};

/// A PipeWire without hardware. Ends when dropped.
#[derive(Debug)]
pub struct TestPipeWire<'a> {
    launch: &'a Launch,
    children: Vec<(&'static str, Child)>,
    mark: String,
    /// Its `XDG_RUNTIME_DIR`.
    pub runtime_dir: PathBuf,
}

impl<'a> TestPipeWire<'a> {
    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(launch: &'a Launch) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self::start_in(launch, launch.make_dir(&format!("sound{count}")))
    }

    /// The same as the PipeWire of a session whose `XDG_RUNTIME_DIR` is there already.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_in(launch: &'a Launch, runtime_dir: PathBuf) -> Self {
        let mut this = Self::without_session_manager(launch, runtime_dir);
        this.start_session_manager();
        this
    }

    /// PipeWire alone: nobody links anything.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn without_session_manager(launch: &'a Launch, runtime_dir: PathBuf) -> Self {
        let mark = format!("{MARK}={}", runtime_dir.display());
        let mut this = Self { launch, children: Vec::new(), mark, runtime_dir };
        this.start_server();
        this
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime_dir.join("pipewire-0")
    }

    /// Kills it on the spot, with its session manager, as a crash would. What plays on it hears of it.
    pub fn crash(&mut self) {
        self.kill(|_| true);
    }

    /// Kills its session manager alone.
    pub fn crash_session_manager(&mut self) {
        self.kill(|program| program == SESSION_MANAGER);
    }

    fn kill(&mut self, which: impl Fn(&str) -> bool) {
        for (_, child) in self.children.iter_mut().filter(|(program, _)| which(program)) {
            // Fails only when it is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.children.retain(|(program, _)| !which(program));
    }

    /// Starts it again after [`Self::crash`].
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.start_server();
        self.start_session_manager();
    }

    /// Starts the session manager, first or again.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_session_manager(&mut self) {
        self.spawn(SESSION_MANAGER, &[]);
    }

    fn start_server(&mut self) {
        let bus = self.runtime_dir.join("bus");
        let _ = std::fs::remove_file(&bus);
        self.spawn(
            "dbus-daemon",
            &["--session", "--nofork", "--nopidfile", &format!("--address=unix:path={}", bus.display())],
        );
        self.spawn("pipewire", &[]);
        let until = Instant::now() + UP_WITHIN;
        while UnixStream::connect(self.socket()).is_err() || UnixStream::connect(&bus).is_err() {
            assert!(Instant::now() < until, "PipeWire did not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn spawn(&mut self, program: &'static str, arguments: &[&str]) {
        let mut command = self.command(program);
        command.args(arguments).process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
        self.children.push((program, command.spawn().unwrap_or_else(|e| panic!("{program}: {e}"))));
    }

    /// `program` with this PipeWire in its environment.
    #[must_use]
    pub fn command(&self, program: &str) -> std::process::Command {
        let mut command = self.launch.command(program);
        let (name, value) = self.mark.split_once('=').unwrap_or_default();
        command.env("XDG_RUNTIME_DIR", &self.runtime_dir).env(name, value);
        // What WirePlumber remembers, it remembers for this one.
        command.env("XDG_STATE_HOME", self.runtime_dir.join("state"));
        command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}/bus", self.runtime_dir.display()));
        command
    }

    /// Plays a file to a sink, or to the default one. Ends when dropped.
    ///
    /// # Panics
    /// When the player cannot be started.
    #[must_use]
    pub fn play(&self, file: &Path, channel_map: &str, target: Option<&str>) -> Program {
        let mut command = self.command("pw-cat");
        command.args(["--playback", "--channel-map", channel_map]);
        if let Some(target) = target {
            command.args(["--target", target]);
        }
        command.arg(file).process_group(0).stdout(Stdio::null());
        Program(command.spawn().expect("start pw-cat"))
    }

    /// Plays a file to the default sink, again and again, as a program does that does not end when it loses its sink.
    ///
    /// # Panics
    /// When the player cannot be started.
    #[must_use]
    pub fn keep_playing(&self, file: &Path, channel_map: &str) -> Program {
        let script = "while :; do pw-cat --playback --channel-map \"$1\" \"$0\"; sleep 0.1; done";
        let mut command = self.command("sh");
        command.args(["-c", script]).arg(file).arg(channel_map);
        command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
        Program(command.spawn().expect("start sh"))
    }

    /// Looks at the metadata without a pause, as many programs do for a moment.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn keep_looking(&self) -> Program {
        let mut command = self.command("sh");
        command.args(["-c", "while :; do pw-metadata -n default; done"]);
        command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
        Program(command.spawn().expect("start sh"))
    }

    /// Records one channel from a source into a file, until dropped.
    ///
    /// # Panics
    /// When the recorder cannot be started.
    #[must_use]
    pub fn record(&self, source: &str, file: &Path) -> Program {
        let mut command = self.command("pw-cat");
        command.args(["--record", "--rate", "48000", "--channels", "1", "--format", "f32", "--latency", "10ms"]);
        command.args(["--target", source]).arg(file).process_group(0).stdout(Stdio::null());
        Program(command.spawn().expect("start pw-cat"))
    }

    /// Records what a stereo sink plays into a file of interleaved floats, until dropped.
    ///
    /// # Panics
    /// When the recorder cannot be started.
    #[must_use]
    pub fn record_sink(&self, sink: &str, file: &Path) -> Program {
        let mut command = self.command("pw-cat");
        command.args(["--record", "--rate", "48000", "--channels", "2", "--format", "f32", "--latency", "10ms"]);
        command.args(["-P", "{ stream.capture.sink = true }"]);
        command.args(["--target", sink]).arg(file).process_group(0).stdout(Stdio::null());
        Program(command.spawn().expect("start pw-cat"))
    }

    /// Adds a stereo sink that stands for hardware; it lasts as long as the server.
    ///
    /// # Panics
    /// When the server does not make it.
    pub fn add_sink(&self, name: &str) {
        let properties = format!(
            "{{ factory.name=support.null-audio-sink node.name={name} media.class=Audio/Sink object.linger=true \
             audio.position=[FL FR] }}"
        );
        self.pw("pw-cli", &["create-node", "adapter", &properties]);
        let until = Instant::now() + UP_WITHIN;
        while !self.nodes().iter().any(|(node, _)| node == name) {
            assert!(Instant::now() < until, "no sink {name}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The sink that was chosen, as a person does in a mixer; `None`: none.
    ///
    /// # Panics
    /// As [`Self::nodes`].
    #[must_use]
    pub fn chosen_sink(&self) -> Option<String> {
        self.metadata("default.configured.audio.sink")
    }

    /// The sink that programs play to.
    ///
    /// # Panics
    /// As [`Self::nodes`].
    #[must_use]
    pub fn default_sink(&self) -> Option<String> {
        self.metadata("default.audio.sink")
    }

    fn metadata(&self, key: &str) -> Option<String> {
        let text = self.pw("pw-metadata", &["-n", "default", "0", key]);
        let (_, value) = text.split_once("value:'")?;
        let value: serde_json::Value = serde_json::from_str(value.split_once('\'')?.0).ok()?;
        Some(value["name"].as_str()?.to_owned())
    }

    /// Chooses a sink, as a person does in a mixer.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn choose_sink(&self, name: &str) {
        let value = format!("{{\"name\":\"{name}\"}}");
        self.pw("pw-metadata", &["-n", "default", "0", "default.configured.audio.sink", &value, "Spa:String:JSON"]);
    }

    /// Has the whole graph run at this rate; 0: at its own.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn force_rate(&self, hz: u32) {
        self.pw("pw-metadata", &["-n", "settings", "0", "clock.force-rate", &hz.to_string()]);
    }

    /// Destroys a node, as a person does who knows how.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn destroy(&self, node: &str) {
        self.pw("pw-cli", &["destroy", node]);
    }

    fn pw(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Every node's name and media class, as the server tells it.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn nodes(&self) -> Vec<(String, String)> {
        let output = self.command("pw-dump").output().expect("run pw-dump");
        let dump: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let text = |object: &serde_json::Value, key: &str| {
            object["info"]["props"][key].as_str().unwrap_or_default().to_owned()
        };
        let objects = dump.as_array().into_iter().flatten();
        objects
            .filter(|o| o["type"] == "PipeWire:Interface:Node")
            .map(|o| (text(o, "node.name"), text(o, "media.class")))
            .collect()
    }
}

impl Drop for TestPipeWire<'_> {
    fn drop(&mut self) {
        self.crash();
        end_marked(&self.mark);
        debug_assert!(marked(&self.mark).is_empty());
    }
}

/// A program that plays or records.
#[derive(Debug)]
pub struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // SIGINT lets a recorder write its header; it fails only when it is gone already.
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::INT);
        }
        let until = Instant::now() + Duration::from_secs(2);
        while matches!(self.0.try_wait(), Ok(None)) {
            if Instant::now() >= until {
                let _ = self.0.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A WAV file (IEEE float, 48 kHz) with a sine of half of full scale in each channel; 0 Hz is silence.
///
/// # Panics
/// When it cannot be written.
pub fn write_tones(file: &Path, frequencies: &[f32], length: Duration) {
    let frames = (length.as_millis() * 48) as usize;
    let mut samples = Vec::with_capacity(frames * frequencies.len());
    for frame in 0..frames {
        for hz in frequencies {
            let turns = f64::from(*hz) * frame as f64 / 48_000.0;
            samples.push(0.5 * (TAU * turns.fract() as f32).sin());
        }
    }
    write_wav(file, frequencies.len(), &samples);
}

/// A WAV file (IEEE float, 48 kHz) of interleaved samples.
///
/// # Panics
/// When it cannot be written.
pub fn write_wav(file: &Path, channels: usize, samples: &[f32]) {
    let (channels, bytes) = (channels as u32, samples.len() as u32 * 4);
    let mut wav = Vec::with_capacity(44 + samples.len() * 4);
    wav.extend(b"RIFF");
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16u32.to_le_bytes());
    wav.extend(3u16.to_le_bytes());
    wav.extend((channels as u16).to_le_bytes());
    wav.extend(48_000u32.to_le_bytes());
    wav.extend((48_000 * channels * 4).to_le_bytes());
    wav.extend(((channels * 4) as u16).to_le_bytes());
    wav.extend(32u16.to_le_bytes());
    wav.extend(b"data");
    wav.extend(bytes.to_le_bytes());
    samples.iter().for_each(|sample| wav.extend(sample.to_le_bytes()));
    std::fs::write(file, wav).expect("write a WAV file");
}

/// The share of a channel's energy that lies at `hz` (Goertzel), 0 to about 1; 0 for silence. Measured window by window, so
/// that a hiccup of a busy machine, which shifts the phase, costs its window only.
#[must_use]
pub fn share_at(interleaved: &[f32], channels: usize, channel: usize, hz: f32) -> f64 {
    let (mut at_hz, mut all) = (0.0, 0.0);
    for window in interleaved.chunks_exact(WINDOW * channels) {
        let step = std::f64::consts::TAU * f64::from(hz) / 48_000.0;
        let (mut re, mut im) = (0.0, 0.0);
        for (i, frame) in window.chunks_exact(channels).enumerate() {
            let (sample, angle) = (f64::from(frame[channel]), step * i as f64);
            re += sample * angle.cos();
            im += sample * angle.sin();
            all += sample * sample;
        }
        at_hz += 2.0 * (re * re + im * im) / WINDOW as f64;
    }
    if all < 1e-9 { 0.0 } else { at_hz / all }
}

/// 50 ms: frequencies 20 Hz apart are told apart.
const WINDOW: usize = 2400;
const SESSION_MANAGER: &str = "wireplumber";
const MARK: &str = "PUNKTFUNK_TEST_SOUND";
/// Started in 0.1 s on an idle machine; a loaded one may take seconds.
const UP_WITHIN: Duration = Duration::from_secs(15);
