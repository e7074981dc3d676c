//! A host that is killed with -9 at any moment, for real: another process makes changes (files in a folder), each written
//! into the journal first; it is killed; the watchdog's function, or the next start, must find everything it left.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use punktfunk_hub::journal::{FileJournal, UndoMap, WatchdogEnd, replay_after_death};
use punktfunk_media::{Journal, UndoRecord, reason};

/// Set for the process that plays the host.
const ROLE: &str = "PUNKTFUNK_TEST_KILLED_HOST";

/// Not a test of its own: the host of the tests below, which they start and kill.
#[test]
fn the_host_that_will_be_killed() {
    let Some(folder) = std::env::var_os(ROLE).map(PathBuf::from) else { return };
    let (journal, problem) = FileJournal::open(&folder.join("journal")).expect("free");
    assert!(problem.is_none(), "{problem:?}");
    std::fs::write(folder.join("ready"), "").expect("writable");
    let mut kept = Vec::new();
    // Ends by itself if its parent dies before it kills it.
    for n in 0_u64..20_000 {
        let change = folder.join("outside").join(n.to_string());
        let record = record(&change, if n % 5 == 4 { Duration::from_millis(60) } else { Duration::ZERO });
        let guard = Arc::clone(&journal).record(record.clone()).expect("room");
        std::fs::write(&change, "").expect("writable");
        if n % 3 == 0 {
            guard.update(record).expect("room");
        }
        if n % 7 < 2 {
            // Stays in place for a while.
            kept.push((change, guard));
        } else {
            std::fs::remove_file(&change).expect("it is there");
            drop(guard);
        }
        if kept.len() > 20 {
            for (change, guard) in kept.drain(..) {
                std::fs::remove_file(change).expect("it is there");
                drop(guard);
            }
        }
    }
}

struct Host(Child);

impl Host {
    fn start(folder: &Path) -> Self {
        let _ = std::fs::remove_file(folder.join("ready"));
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "the_host_that_will_be_killed", "--nocapture"])
            .env(ROLE, folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let host = Self(child);
        for _ in 0..30_000 {
            if folder.join("ready").exists() {
                return host;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the host never got ready");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SIGKILL.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn record(change: &Path, keep_for: Duration) -> UndoRecord {
    let change = change.to_str().expect("a plain path").to_owned();
    UndoRecord { backend: "file".into(), change, keep_for, lease_until_ms: None }
}

fn outside(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder.join("outside")).expect("it is there");
    files.map(|e| e.expect("readable").path()).collect()
}

fn undo() -> UndoMap {
    UndoMap::new().with("file", |record| match std::fs::remove_file(&record.change) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.to_string()),
        _ => Ok(()),
    })
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("outside")).expect("writable");
    dir
}

#[test]
fn killed_at_any_moment_it_leaves_nothing_once_the_watchdog_was_there() {
    let dir = folder();
    let mut left = 0;
    for round in 0..12_u64 {
        let host = Host::start(dir.path());
        std::thread::sleep(Duration::from_millis(5 + round * 11 % 60));
        drop(host);
        left += outside(dir.path()).len();
        let end = replay_after_death(&dir.path().join("journal"), SystemTime::now(), &undo()).expect("readable");
        assert_eq!(end, WatchdogEnd::Done, "round {round}");
        assert_eq!(outside(dir.path()), Vec::<PathBuf>::new(), "round {round}");
    }
    assert!(left > 0, "it was killed while it had changed something");
}

#[test]
fn the_next_start_does_the_same_when_there_is_no_watchdog() {
    let dir = folder();
    for round in 0..6_u64 {
        let host = Host::start(dir.path());
        let refused = FileJournal::open(&dir.path().join("journal")).map(drop).expect_err("it lives");
        assert_eq!(refused.reason, &reason::HOST_ALREADY_RUNNING);
        std::thread::sleep(Duration::from_millis(round * 7));
        drop(host);
        let (journal, problem) =
            FileJournal::open(&dir.path().join("journal")).expect("the dead one is not in the way");
        assert!(problem.is_none(), "{problem:?}");
        journal.replay(undo());
        journal.end_leases();
        assert!(journal.is_empty(), "round {round}");
        assert_eq!(outside(dir.path()), Vec::<PathBuf>::new(), "round {round}");
    }
}
