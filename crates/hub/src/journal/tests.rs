//! The journal as its three users see it: the owner, the next start and the watchdog; and after crashes at any byte.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use punktfunk_media::{Journal, UndoGuard, UndoRecord, reason};

use super::*;

/// Which changes are in place in the outside world of a test.
#[derive(Clone, Default)]
struct Outside(Arc<Mutex<BTreeSet<String>>>);

impl Outside {
    fn change(&self, what: &str) {
        lock(&self.0).insert(what.into());
    }

    fn all(&self) -> Vec<String> {
        lock(&self.0).iter().cloned().collect()
    }

    /// Undoes for real, any number of times.
    fn undo(&self) -> UndoMap {
        let outside = self.clone();
        UndoMap::new().with("test", move |record| {
            lock(&outside.0).remove(&record.change);
            Ok(())
        })
    }
}

fn record(change: &str, keep_for: Duration) -> UndoRecord {
    UndoRecord { backend: "test".into(), change: change.into(), keep_for, lease_until_ms: None }
}

fn write(journal: &Arc<FileJournal>, record: UndoRecord) -> UndoGuard {
    Arc::clone(journal).record(record).expect("there is room")
}

fn open(path: &Path) -> Arc<FileJournal> {
    let (journal, problem) = FileJournal::open(path).expect("free and writable");
    assert!(problem.is_none(), "{problem:?}");
    journal
}

/// The host is killed: its lock goes, its guards' drops never run.
fn kill(journal: Arc<FileJournal>, guards: Vec<UndoGuard>) {
    // The guards hold the journal, and with it the lock: break both by hand, as the system does.
    lock(&journal.inner)._lock = None;
    guards.into_iter().for_each(UndoGuard::leave);
}

#[test]
fn an_owner_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = open(&dir.path().join("journal"));
    let guard = write(&journal, record("one", Duration::ZERO));
    guard.update(record("one, changed", Duration::ZERO)).expect("room");
    assert_eq!(Log::parse(&fs::read(journal.path()).expect("it is there")).entries[&0].record.change, "one, changed");
    drop(guard);
    assert!(journal.is_empty());
    assert!(Log::parse(&fs::read(journal.path()).expect("it is there")).entries.is_empty());
}

#[test]
fn a_second_host_is_refused_and_a_dead_one_is_not_in_the_way() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("journal");
    let first = open(&path);
    let refused = FileJournal::open(&path).expect_err("the first one lives");
    assert_eq!(refused.reason, &reason::HOST_ALREADY_RUNNING);
    kill(first, Vec::new());
    open(&path);
}

#[test]
fn the_next_start_undoes_what_is_not_kept_and_hands_over_what_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, outside) = (dir.path().join("journal"), Outside::default());
    let journal = open(&path);
    let hour = Duration::from_secs(3600);
    let guards: Vec<_> = [("gone", Duration::ZERO), ("kept", hour), ("other", hour)]
        .map(|(change, keep)| {
            let guard = write(&journal, record(change, keep));
            outside.change(change);
            guard
        })
        .into();
    kill(journal, guards);

    let journal = open(&path);
    let replayed = journal.replay(outside.undo());
    assert_eq!(replayed, Replayed { undone: 1, failed: 0, dropped: 0, leases: 2 });
    assert_eq!(outside.all(), ["kept", "other"]);
    let handed = journal.hand_over("test");
    assert_eq!(handed.iter().map(|(r, _)| r.change.as_str()).collect::<Vec<_>>(), ["kept", "other"]);
    assert!(handed.iter().all(|(r, _)| r.lease_until_ms.is_some()), "each has its end");
    assert!(journal.hand_over("test").is_empty(), "they have an owner now");
    drop(handed);
    assert!(journal.is_empty());
}

#[test]
fn a_lease_that_nobody_adopts_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, outside) = (dir.path().join("journal"), Outside::default());
    let journal = open(&path);
    let guard = write(&journal, record("kept", Duration::from_secs(60)));
    outside.change("kept");
    kill(journal, vec![guard]);
    let (journal, undo) = (open(&path), outside.undo());
    let now = unix_ms(SystemTime::now());
    assert_eq!(journal.undo_due(now, &undo, true).leases, 1);
    assert_eq!(journal.undo_due(now + 59_999, &undo, false).leases, 1);
    assert_eq!(outside.all(), ["kept"]);
    assert_eq!(journal.undo_due(now + 60_000, &undo, false), Replayed { undone: 1, ..Replayed::default() });
    assert!(outside.all().is_empty() && journal.is_empty());
}

#[test]
fn the_watchdog_undoes_at_once_what_is_not_kept_and_the_rest_when_its_lease_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, outside) = (dir.path().join("journal"), Outside::default());
    let journal = open(&path);
    let guards: Vec<_> = [("gone", Duration::ZERO), ("kept", Duration::from_millis(400))]
        .map(|(change, keep)| {
            outside.change(change);
            write(&journal, record(change, keep))
        })
        .into();
    kill(journal, guards);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let undo = {
        let (outside, seen) = (outside.clone(), Arc::clone(&seen));
        UndoMap::new().with("test", move |record| {
            lock(&outside.0).remove(&record.change);
            lock(&seen).push((record.change.clone(), SystemTime::now()));
            Ok(())
        })
    };
    let died = SystemTime::now();
    let end = replay_after_death(&path, died, &undo).expect("readable");
    assert_eq!(end, WatchdogEnd::Done);
    let seen = lock(&seen).clone();
    assert_eq!(seen.iter().map(|(c, _)| c.as_str()).collect::<Vec<_>>(), ["gone", "kept"]);
    assert!(
        seen[1].1.duration_since(died).is_ok_and(|d| d >= Duration::from_millis(400)),
        "not before its lease ended"
    );
    assert!(outside.all().is_empty());
    assert!(open(&path).is_empty());
}

#[test]
fn the_watchdog_yields_to_a_new_host() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, outside) = (dir.path().join("journal"), Outside::default());
    let journal = open(&path);
    outside.change("kept");
    let guard = write(&journal, record("kept", Duration::from_secs(3600)));
    kill(journal, vec![guard]);
    let next = open(&path);
    let end = replay_after_death(&path, SystemTime::now(), &outside.undo()).expect("readable");
    assert_eq!(end, WatchdogEnd::TakenOver);
    assert_eq!(outside.all(), ["kept"]);
    drop(next);
}

#[test]
fn what_is_kept_for_ever_is_left_to_the_next_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, outside) = (dir.path().join("journal"), Outside::default());
    let journal = open(&path);
    outside.change("kept");
    let guard = write(&journal, record("kept", Duration::MAX));
    kill(journal, vec![guard]);
    let end = replay_after_death(&path, SystemTime::now(), &outside.undo()).expect("readable");
    assert_eq!(end, WatchdogEnd::LeftForever);
    let journal = open(&path);
    assert_eq!(journal.replay(outside.undo()).leases, 1);
    assert_eq!(journal.hand_over("test").len(), 1);
}

#[test]
fn an_undo_that_fails_is_repeated_more_and_more_slowly_and_then_given_up() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("journal");
    let journal = open(&path);
    let guards = vec![write(&journal, record("stuck", Duration::ZERO)), {
        let other = UndoRecord { backend: "unknown".into(), ..record("x", Duration::ZERO) };
        write(&journal, other)
    }];
    kill(journal, guards);
    let journal = open(&path);
    let undo = UndoMap::new().with("test", |_| panic!("a bug in a backend"));
    let mut now = unix_ms(SystemTime::now());
    let mut pauses = Vec::new();
    let first = journal.undo_due(now, &undo, true);
    assert_eq!(first, Replayed { undone: 0, failed: 2, dropped: 0, leases: 2 });
    let (mut waited, mut dropped) = (0, 0);
    while dropped < 2 {
        now += 100;
        waited += 100;
        let replayed = journal.undo_due(now, &undo, false);
        dropped += replayed.dropped;
        if replayed.failed + replayed.dropped > 0 {
            pauses.push(waited);
            waited = 0;
        }
        assert!(waited < 60_000, "it goes on");
    }
    assert!(pauses.windows(2).all(|w| w[1] > w[0]), "{pauses:?}");
    assert!(journal.is_empty());
}

#[test]
fn a_lease_never_outlasts_its_policy_when_the_clock_was_set_back() {
    let mut record = record("kept", Duration::from_secs(10));
    record.lease_until_ms = Some(5_000_000);
    assert!(replay::begin_lease(&mut record, 1_000_000, true));
    assert_eq!(record.lease_until_ms, Some(1_010_000));
}

#[test]
fn a_journal_that_cannot_be_written_says_why() {
    let path = Path::new("/nonexistent/journal");
    let why = FileJournal::open(path).expect_err("no folder");
    assert_eq!(why.reason, &reason::STATE_UNWRITABLE);
    let journal = FileJournal::unwritable(path, &why);
    let error = Arc::clone(&journal).record(record("x", Duration::ZERO)).expect_err("it cannot");
    assert_eq!(error.reason(), &reason::STATE_UNWRITABLE);
    assert!(journal.is_empty());
}

#[test]
fn a_long_history_is_compacted_while_records_are_in_force() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("journal");
    let journal = open(&path);
    let kept = write(&journal, record("kept", Duration::ZERO));
    for n in 0..600 {
        drop(write(&journal, record(&format!("{n} {}", "x".repeat(100)), Duration::ZERO)));
    }
    let size = fs::metadata(&path).expect("it is there").len();
    assert!(size < 100_000, "{size} bytes for one record");
    let log = Log::parse(&fs::read(&path).expect("it is there"));
    assert!(!log.damaged && log.entries.len() == 1 && log.next_id <= 601);
    drop(kept);
    assert!(Log::parse(&fs::read(&path).expect("it is there")).entries.is_empty());
}

/// A journal with a few records, some replaced and removed, and after how many bytes each step was acknowledged.
fn sample() -> (Vec<u8>, Vec<(usize, BTreeSet<String>)>) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("journal");
    let journal = open(&path);
    let mut steps = Vec::new();
    let mut note = |journal: &FileJournal| {
        let inner = lock(&journal.inner);
        let changes = inner.entries.values().map(|e| e.record.change.clone()).collect();
        steps.push((usize::try_from(inner.file.used()).expect("small"), changes));
    };
    note(&journal);
    let first = write(&journal, record("first", Duration::ZERO));
    note(&journal);
    let second = write(&journal, record("second \n \u{202E} \"quoted\"", Duration::from_secs(9)));
    note(&journal);
    first.update(record("first, changed", Duration::ZERO)).expect("room");
    note(&journal);
    drop(second);
    note(&journal);
    let third = write(&journal, record("third", Duration::ZERO));
    note(&journal);
    drop(third);
    drop(first);
    note(&journal);
    (fs::read(&path).expect("it is there"), steps)
}

#[test]
fn cut_at_any_byte_the_journal_tells_what_was_acknowledged_until_then() {
    let (bytes, steps) = sample();
    let header = steps[0].0;
    let end = steps.last().expect("several").0;
    assert!(bytes.len() > end && bytes[end..].iter().all(|b| *b == b'\n'), "room ahead");
    for cut in 0..=end {
        // A crash may cut the file, or leave the room after the part that was written.
        let with_room = [&bytes[..cut], &[b'\n'; 9][..]].concat();
        for log in [Log::parse(&bytes[..cut]), Log::parse(&with_room)] {
            if cut < header - 1 {
                // Cannot happen: the file gets its name with its first line. Then it is kept aside, or empty.
                assert!(log.entries.is_empty() && (log.damaged || cut == 0), "cut at {cut}");
                continue;
            }
            let changes: BTreeSet<String> = log.entries.values().map(|e| e.record.change.clone()).collect();
            // A line without its line feed is whole, but not acknowledged: either answer is right.
            let allowed: Vec<_> = [cut, cut + 1]
                .iter()
                .filter_map(|cut| steps.iter().rev().find(|(len, _)| len <= cut).map(|(_, changes)| changes))
                .collect();
            // The last step of the sample is two lines: between them only one of the two is gone.
            let between = changes.len() == 1 && cut + 1 > steps[5].0;
            assert!(!log.damaged, "cut at {cut}");
            assert!(allowed.contains(&&changes) || between, "cut at {cut}: {changes:?}");
        }
    }
}

#[test]
fn on_a_full_disk_records_find_the_room_that_was_kept_for_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("journal");
    let journal = open(&path);
    let size = fs::metadata(&path).expect("it is there").len();
    // A folder in which nothing can be created: rewriting the file fails, as on a full disk.
    let temporary = dir.path().join(".journal.tmp");
    fs::create_dir(&temporary).expect("ours");
    fs::write(temporary.join("x"), "").expect("ours");
    let mut rounds = 0;
    while lock(&journal.inner).file.used() < size - 400 {
        drop(write(&journal, record(&"x".repeat(60), Duration::ZERO)));
        rounds += 1;
    }
    assert!(rounds > 50, "{rounds} sessions on a full disk");
    assert_eq!(fs::metadata(&path).expect("it is there").len(), size, "all within the room");
    let log = Log::parse(&fs::read(&path).expect("it is there"));
    assert!(!log.damaged && log.entries.is_empty());
    fs::remove_dir_all(&temporary).expect("ours");
    drop(write(&journal, record("y", Duration::ZERO)));
    assert!(lock(&journal.inner).file.used() < 100, "compacted as soon as that is possible again");
}

#[test]
fn a_damaged_journal_is_kept_aside_and_what_can_be_read_is_undone() {
    let (dir, outside) = (tempfile::tempdir().expect("a folder"), Outside::default());
    let path = dir.path().join("journal");
    let journal = open(&path);
    outside.change("first");
    outside.change("second");
    let guards =
        vec![write(&journal, record("first", Duration::ZERO)), write(&journal, record("second", Duration::ZERO))];
    kill(journal, guards);
    let mut bytes = fs::read(&path).expect("it is there");
    let second_line = bytes.iter().position(|b| *b == b'\n').expect("lines") + 20;
    bytes[second_line] ^= 1;
    fs::write(&path, &bytes).expect("writable");
    let (journal, problem) = FileJournal::open(&path).expect("it opens all the same");
    assert_eq!(problem.expect("told").reason, &reason::STATE_UNPARSABLE);
    assert_eq!(fs::read(dir.path().join("journal.unparsable-1")).expect("kept aside"), bytes);
    journal.replay(outside.undo());
    assert_eq!(outside.all(), ["first"], "the record that was damaged is lost, the other one is undone");
}

#[derive(Clone, Debug)]
enum Op {
    Record,
    Update { nth: usize },
    Undo { nth: usize },
    Kill,
    KillTorn { bytes: usize },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Record),
        2 => (0..6_usize).prop_map(|nth| Op::Update { nth }),
        3 => (0..6_usize).prop_map(|nth| Op::Undo { nth }),
        1 => Just(Op::Kill),
        1 => (1..40_usize).prop_map(|bytes| Op::KillTorn { bytes }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn after_any_history_and_any_kill_the_world_is_as_it_was(ops in proptest::collection::vec(op(), 1..30)) {
        let (dir, outside) = (tempfile::tempdir().expect("a folder"), Outside::default());
        let path = dir.path().join("journal");
        let mut journal = open(&path);
        let mut owned: Vec<(String, UndoGuard)> = Vec::new();
        for (n, op) in ops.into_iter().enumerate() {
            match op {
                Op::Record => {
                    let change = format!("change {n}");
                    // The record before the change, always.
                    let guard = write(&journal, record(&change, Duration::ZERO));
                    outside.change(&change);
                    owned.push((change, guard));
                }
                Op::Update { nth } => {
                    if let Some((change, guard)) = owned.get(nth) {
                        guard.update(record(change, Duration::ZERO)).expect("room");
                    }
                }
                Op::Undo { nth } => {
                    if nth < owned.len() {
                        let (change, guard) = owned.remove(nth);
                        lock(&outside.0).remove(&change);
                        drop(guard);
                    }
                }
                Op::Kill | Op::KillTorn { .. } => {
                    kill(journal, owned.drain(..).map(|(_, guard)| guard).collect());
                    if let Op::KillTorn { bytes } = op {
                        // The host died while it was writing the record of a change that it never made.
                        let torn = log::put(999, &Entry { record: record("torn", Duration::ZERO), tries: 0 });
                        let torn = &torn[..bytes.min(torn.len() - 2)];
                        let mut file = fs::read(&path).expect("it is there");
                        let used = file.iter().rposition(|b| *b != b'\n').map_or(0, |last| last + 2);
                        file[used..used + torn.len()].copy_from_slice(torn);
                        fs::write(&path, file).expect("writable");
                    }
                    journal = open(&path);
                    journal.replay(outside.undo());
                    prop_assert!(outside.all().is_empty(), "left behind: {:?}", outside.all());
                    prop_assert!(journal.is_empty());
                }
            }
            let listed: BTreeSet<String> =
                lock(&journal.inner).entries.values().map(|e| e.record.change.clone()).collect();
            prop_assert!(outside.all().iter().all(|c| listed.contains(c)), "every change in place is written down");
        }
    }

    #[test]
    fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let log = Log::parse(&bytes);
        prop_assert!(log.entries.is_empty(), "a checksum that fits by chance");
        prop_assert!(bytes.iter().all(|b| *b == b'\n') || log.damaged);
    }
}
