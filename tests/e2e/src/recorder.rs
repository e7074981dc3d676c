//! A program on a host's private desktop that records from the client's microphone.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Host;

/// The node name of the microphone.
pub const MICROPHONE: &str = "punktfunk-microphone";

/// `program` with the sound server in this folder.
fn on_server(host: &Host, runtime_dir: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    host.identity().apply(&mut command);
    command.env("XDG_RUNTIME_DIR", runtime_dir);
    command
}

/// The folders that have a sound server's socket in them: private desktops, the spare one included.
fn servers(dir: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.ends_with("pipewire-0") {
            found.push(dir.to_owned());
        } else if depth > 0 && path.is_dir() {
            servers(&path, depth - 1, found);
        }
    }
}

/// The sound server on which programs see the microphone.
fn server_with_microphone(host: &Host) -> Option<PathBuf> {
    let mut found = Vec::new();
    servers(&host.root().join("run"), 3, &mut found);
    found.into_iter().find(|dir| {
        let output = on_server(host, dir, "pw-dump").stderr(Stdio::null()).output().expect("run pw-dump");
        let dump: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        dump.as_array().into_iter().flatten().any(|object| {
            let properties = &object["info"]["props"];
            properties["node.name"] == MICROPHONE && properties["media.class"] == "Audio/Source"
        })
    })
}

/// Whether programs on a private desktop see the microphone.
///
/// # Panics
/// When `pw-dump` cannot be run.
#[must_use]
pub fn has_microphone(host: &Host) -> bool {
    server_with_microphone(host).is_some()
}

/// Waits until it does, or does not.
///
/// # Panics
/// When that takes longer than `limit`; the host's log is in the message.
pub fn wait_microphone(host: &Host, there: bool, limit: Duration) {
    let until = Instant::now() + limit;
    while has_microphone(host) != there {
        assert!(Instant::now() < until, "there is a microphone: {}, wanted: {there}\n{}", !there, host.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Records from the microphone for so long into `file`. Returns the samples.
///
/// # Panics
/// When there is no microphone, or no recorder installed.
#[must_use]
pub fn record(host: &Host, file: &Path, time: Duration) -> Vec<f32> {
    // A sound server that was started again may lose its nodes once more while its session manager comes up.
    let until = Instant::now() + COMES_BACK_WITHIN;
    let server = loop {
        match server_with_microphone(host) {
            Some(server) => break server,
            None => assert!(Instant::now() < until, "no microphone\n{}", host.log()),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let mut command = on_server(host, &server, "pw-cat");
    command.args(["--record", "--rate", "48000", "--channels", "1", "--format", "f32", "--latency", "10ms"]);
    command.args(["--target", MICROPHONE]).arg(file).stdout(Stdio::null()).stderr(Stdio::null());
    let mut recorder = command.spawn().expect("start pw-cat");
    std::thread::sleep(time);
    finish(&mut recorder);
    let bytes = std::fs::read(file).unwrap_or_default();
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn finish(recorder: &mut Child) {
    // Fails only when it is gone already.
    if let Some(pid) = Pid::from_raw(recorder.id().cast_signed()) {
        let _ = kill_process(pid, Signal::INT);
    }
    let until = Instant::now() + Duration::from_secs(2);
    while matches!(recorder.try_wait(), Ok(None)) {
        if Instant::now() > until {
            let _ = recorder.kill();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What was recorded of a steady tone, by windows of 10 ms from the first sound to the last.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Heard {
    /// Windows with the tone.
    pub voiced: usize,
    /// Windows without, in between.
    pub silent: usize,
    /// Runs of those.
    pub gaps: usize,
    /// The loudest sample.
    pub peak: f32,
    /// From the first sound to the last.
    pub said: Vec<f32>,
}

impl Heard {
    /// Looks at a recording.
    #[must_use]
    pub fn of(samples: &[f32]) -> Self {
        let loud = |window: &[f32]| window.iter().map(|s| s * s).sum::<f32>() / window.len() as f32 > LOUD;
        let windows: Vec<bool> = samples.chunks_exact(WINDOW).map(loud).collect();
        let Some((first, last)) = windows.iter().position(|l| *l).zip(windows.iter().rposition(|l| *l)) else {
            return Self::default();
        };
        let between = &windows[first..=last];
        let voiced = between.iter().filter(|loud| **loud).count();
        let said = samples[first * WINDOW..(last + 1) * WINDOW].to_vec();
        Self {
            voiced,
            silent: between.len() - voiced,
            gaps: between.windows(2).filter(|w| w[0] && !w[1]).count(),
            peak: said.iter().fold(0.0, |peak, s| peak.max(s.abs())),
            said,
        }
    }
}

/// 10 ms.
const WINDOW: usize = 480;
/// -20 dB of full scale; a tone of half of it has -9.
const LOUD: f32 = 0.01;

const COMES_BACK_WITHIN: Duration = Duration::from_secs(10);
