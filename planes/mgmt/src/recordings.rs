//! Recordings: every frame of every session, as a table (CSV) in the state folder.
//!
//! ```text
//! start ─► a thread takes the flight recorders' new rows once a second ─► stop | an hour | 256 MiB
//! save  ─► the last two minutes, at once
//! ```

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use punktfunk_hub::live::{FrameRow, Live, STAGES};
use punktfunk_hub::state::{StateError, make_folder};
use punktfunk_media::reason;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Problem;
use crate::access::{lock, not_saved};

/// The recordings of a host.
#[derive(Debug)]
pub struct Recordings {
    folder: PathBuf,
    live: Arc<Live>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    id: String,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordingView {
    /// For download and deletion.
    #[schema(example = "20261126-014500")]
    pub id: String,
    /// Size of the table in bytes.
    pub bytes: u64,
    /// Unix time of its last line.
    pub at_s: u64,
    /// Whether it goes on.
    pub running: bool,
}

impl Recordings {
    pub(crate) fn new(folder: PathBuf, live: Arc<Live>) -> Self {
        Self { folder, live, running: Mutex::default() }
    }

    /// The recordings, newest first. Asks the disk.
    pub(crate) fn list(&self) -> Vec<RecordingView> {
        self.list_beside(self.running_id().as_deref())
    }

    /// The recording that is being written, if one is.
    fn running_id(&self) -> Option<String> {
        lock(&self.running).as_ref().filter(|r| !r.thread.is_finished()).map(|r| r.id.clone())
    }

    /// For callers that know what runs, and may hold the lock.
    fn list_beside(&self, running: Option<&str>) -> Vec<RecordingView> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut list: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let id = name.strip_suffix(ENDING)?.to_owned();
                let meta = entry.metadata().ok()?;
                let at_s = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
                Some(RecordingView { running: running == Some(id.as_str()), id, bytes: meta.len(), at_s })
            })
            .collect();
        list.sort_by(|a, b| b.id.cmp(&a.id));
        list
    }

    /// Starts a recording.
    ///
    /// # Errors
    /// `recording.running`, `state.*`, `internal.threads`.
    pub(crate) fn start(&self) -> Result<RecordingView, Problem> {
        let mut running = lock(&self.running);
        if running.as_ref().is_some_and(|r| !r.thread.is_finished()) {
            return Err(Problem::new(&reason::RECORDING_RUNNING));
        }
        let (id, mut writer) = self.create(None)?;
        // What is in the flight recorders now belongs to the past.
        for session in self.live.list() {
            writer.next.insert(session.id, session.recorder.rows(u64::MAX).1);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (live, stopped) = (Arc::clone(&self.live), Arc::clone(&stop));
        let body = move || {
            let began = Instant::now();
            loop {
                let last = stopped.load(Ordering::Acquire) || began.elapsed() > LONGEST || writer.bytes > LARGEST;
                if let Err(e) = writer.take(&live) {
                    return tracing::warn!(error = %e, "a recording ends: it cannot be written");
                }
                if last {
                    return;
                }
                std::thread::park_timeout(EVERY);
            }
        };
        let thread = std::thread::Builder::new()
            .name("recording".into())
            .spawn(body)
            .map_err(|e| Problem::new(&reason::INTERNAL_THREADS).with_detail(e.to_string()))?;
        *running = Some(Running { id: id.clone(), stop, thread });
        Ok(RecordingView { id, bytes: 0, at_s: crate::access::now_s(), running: true })
    }

    /// Stops the recording, if one runs. Blocks until its last lines are written.
    pub(crate) fn stop(&self) {
        // Not held while the thread ends.
        let running = lock(&self.running).take();
        if let Some(running) = running {
            running.stop.store(true, Ordering::Release);
            running.thread.thread().unpark();
            if running.thread.join().is_err() {
                tracing::error!("the recording's thread panicked");
            }
        }
    }

    /// Saves what the flight recorders hold: the last two minutes.
    ///
    /// # Errors
    /// `state.*`.
    pub(crate) fn save(&self) -> Result<RecordingView, Problem> {
        let (id, mut writer) = self.create(self.running_id().as_deref())?;
        writer.take(&self.live).map_err(|e| self.failed(&e))?;
        Ok(RecordingView { id, bytes: writer.bytes, at_s: crate::access::now_s(), running: false })
    }

    /// The table of a recording.
    ///
    /// # Errors
    /// `recording.not_found`, `state.*`.
    pub(crate) fn read(&self, id: &str) -> Result<Vec<u8>, Problem> {
        fs::read(self.path(id)?).map_err(|e| self.missing(&e))
    }

    /// Deletes a recording.
    ///
    /// # Errors
    /// `recording.not_found`, `recording.running`, `state.*`.
    pub(crate) fn delete(&self, id: &str) -> Result<(), Problem> {
        if lock(&self.running).as_ref().is_some_and(|r| r.id == id && !r.thread.is_finished()) {
            return Err(Problem::new(&reason::RECORDING_RUNNING));
        }
        fs::remove_file(self.path(id)?).map_err(|e| self.missing(&e))
    }

    /// Only names that we give ourselves lead to a file.
    fn path(&self, id: &str) -> Result<PathBuf, Problem> {
        let ours = !id.is_empty() && id.len() <= 32 && id.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        if ours {
            Ok(self.folder.join(format!("{id}{ENDING}")))
        } else {
            Err(Problem::new(&reason::RECORDING_NOT_FOUND))
        }
    }

    /// A new file, in place of the oldest if there are too many. `running`: the one that must stay.
    fn create(&self, running: Option<&str>) -> Result<(String, Writer), Problem> {
        make_folder(&self.folder).map_err(|e| self.failed(&e))?;
        for old in self.list_beside(running).into_iter().filter(|r| !r.running).skip(KEPT - 1) {
            // One that cannot be deleted shows in the list.
            let _ = fs::remove_file(self.path(&old.id)?);
        }
        let base = stamp(SystemTime::now());
        for n in 0..100 {
            let id = if n == 0 { base.clone() } else { format!("{base}-{n:02}") };
            let path = self.path(&id)?;
            match Writer::create(&path) {
                Ok(writer) => return Ok((id, writer)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(self.failed(&e)),
            }
        }
        Err(self.failed(&io::ErrorKind::AlreadyExists.into()))
    }

    fn failed(&self, error: &io::Error) -> Problem {
        not_saved(&StateError::io(&self.folder, error))
    }

    fn missing(&self, error: &io::Error) -> Problem {
        match error.kind() {
            io::ErrorKind::NotFound => Problem::new(&reason::RECORDING_NOT_FOUND),
            _ => self.failed(error),
        }
    }
}

impl Drop for Recordings {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Writer {
    file: BufWriter<File>,
    bytes: u64,
    /// Where to go on in each session's flight recorder.
    next: HashMap<u64, u64>,
}

impl Writer {
    fn create(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut writer = Self { file: BufWriter::new(options.open(path)?), bytes: 0, next: HashMap::new() };
        writer.line(&head())?;
        Ok(writer)
    }

    /// Takes what is new.
    fn take(&mut self, live: &Live) -> io::Result<()> {
        for session in live.list() {
            let from = self.next.get(&session.id).copied().unwrap_or(0);
            let (rows, next) = session.recorder.rows(from);
            self.next.insert(session.id, next);
            for row in rows {
                self.line(&csv(session.id, &row))?;
            }
        }
        self.file.flush()
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        self.bytes += line.len() as u64 + 1;
        writeln!(self.file, "{line}")
    }
}

/// The first line.
fn head() -> String {
    let stages: String = STAGES.iter().map(|s| format!(",{s}_us")).collect();
    format!("session,sent_us,index,bytes,packets,keyframe,repeat{stages}")
}

/// What a recording looks like.
pub(crate) fn example() -> String {
    let stages_us = std::array::from_fn(|n| 200 * (n as u32 + 1));
    let row =
        FrameRow { sent_us: 16_667, index: 1, bytes: 41_200, packets: 33, stages_us, keyframe: true, repeat: false };
    format!("{}\n{}\n", head(), csv(1, &row))
}

fn csv(session: u64, row: &FrameRow) -> String {
    let FrameRow { sent_us, index, bytes, packets, stages_us, keyframe, repeat } = row;
    let stages: String = stages_us.iter().map(|us| format!(",{us}")).collect();
    format!("{session},{sent_us},{index},{bytes},{packets},{},{}{stages}", u8::from(*keyframe), u8::from(*repeat))
}

/// `YYYYMMDD-HHMMSS` in UTC.
fn stamp(time: SystemTime) -> String {
    let s = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = (s / 86_400, s % 86_400);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days, for days since 1970.
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

const ENDING: &str = ".csv";
const EVERY: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);
/// An hour of four sessions at 120 Hz is 150 MB.
const LARGEST: u64 = 256 * 1024 * 1024;
const KEPT: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_made_listed_read_and_deleted() {
        let dir = tempfile::tempdir().expect("a folder");
        let live = Live::new(Arc::default());
        let recordings = Recordings::new(dir.path().join("recordings"), live);
        assert!(recordings.list().is_empty());
        let one = recordings.start().expect("room");
        assert_eq!(recordings.start().expect_err("one at a time").code, "recording.running");
        assert_eq!(recordings.delete(&one.id).expect_err("it runs").code, "recording.running");
        recordings.stop();
        let two = recordings.save().expect("room");
        assert_ne!(one.id, two.id, "within one second");
        assert_eq!(recordings.list().len(), 2);
        let text = String::from_utf8(recordings.read(&one.id).expect("there")).expect("text");
        assert!(text.starts_with("session,sent_us,index,") && text.trim_end().ends_with("pace_us"), "{text}");
        recordings.delete(&one.id).expect("there");
        for id in [one.id.as_str(), "", "../identity", "..", "x/../../clients", "2%2f"] {
            assert_eq!(recordings.read(id).expect_err("not there").code, "recording.not_found", "{id}");
        }
        for _ in 0..KEPT + 3 {
            recordings.save().expect("room");
        }
        assert_eq!(recordings.list().len(), KEPT);
    }

    #[test]
    fn stamps_follow_the_calendar() {
        let at = |s| stamp(UNIX_EPOCH + Duration::from_secs(s));
        assert_eq!(at(0), "19700101-000000");
        assert_eq!(at(951_782_399), "20000228-235959");
        assert_eq!(at(1_709_164_800), "20240229-000000");
    }
}
