//! Displays on a desktop that counts what it has open and fails when told to.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use proptest::prelude::*;
use punktfunk_media::fake::MemoryJournal;
use punktfunk_media::{
    Adopted, CaptureError, Capturer, InjectError, Injector, Mode, StageError, UndoGuard, UndoRecord,
};

use super::*;
use crate::journal::UndoMap;

#[derive(Default)]
struct Shared {
    open: AtomicUsize,
    opened: AtomicUsize,
    warmed: AtomicUsize,
    left: AtomicUsize,
    generation: AtomicUsize,
    refuse_open: AtomicBool,
    refuse_modes: AtomicBool,
    panic_on_drop: AtomicBool,
}

#[derive(Clone, Default)]
struct TestDesktop(Arc<Shared>);

struct TestStage {
    shared: Arc<Shared>,
    born: usize,
    mode: Mode,
    scale: u32,
    layout: Option<String>,
    identity: String,
    guard: Option<UndoGuard>,
}

fn undo_record(identity: &str, keep: Keep) -> UndoRecord {
    let Keep { keep_for, lease_until_ms } = keep;
    UndoRecord { backend: "test".into(), change: identity.into(), keep_for, lease_until_ms }
}

const IN_USE: Keep = Keep { keep_for: Duration::ZERO, lease_until_ms: None };

impl TestDesktop {
    fn stage(&self, identity: &str, mode: Mode, guard: UndoGuard) -> Box<dyn Stage> {
        self.0.open.fetch_add(1, Ordering::SeqCst);
        self.0.opened.fetch_add(1, Ordering::SeqCst);
        let born = self.0.generation.load(Ordering::SeqCst);
        Box::new(TestStage {
            shared: Arc::clone(&self.0),
            born,
            mode,
            scale: 100,
            layout: None,
            identity: identity.into(),
            guard: Some(guard),
        })
    }

    /// Everything open now dies.
    fn kill(&self) {
        self.0.generation.fetch_add(1, Ordering::SeqCst);
    }

    fn open_stages(&self) -> usize {
        self.0.open.load(Ordering::SeqCst)
    }
}

impl Desktop for TestDesktop {
    fn info(&self) -> DesktopInfo {
        DesktopInfo { name: "test".into(), version: "1".into(), protocols: Vec::new(), wire_id: 0, private: true }
    }

    fn open(&self, request: &StageRequest, journal: &Arc<dyn Journal>) -> Result<Box<dyn Stage>, OpenError> {
        let refuse = |detail: String| OpenError { reason: &reason::DESKTOP_OPEN_FAILED, detail };
        if self.0.refuse_open.load(Ordering::SeqCst) {
            return Err(refuse("told to".into()));
        }
        let guard =
            Arc::clone(journal).record(undo_record(&request.identity, IN_USE)).map_err(|e| refuse(e.to_string()))?;
        Ok(self.stage(&request.identity, request.mode, guard))
    }

    fn warm(&self, _journal: &Arc<dyn Journal>) {
        self.0.warmed.fetch_add(1, Ordering::SeqCst);
    }

    fn adopt(&self, record: &UndoRecord, guard: UndoGuard) -> Option<Adopted> {
        Some(Adopted { identity: record.change.clone(), stage: self.stage(&record.change, MODE, guard) })
    }
}

impl Stage for TestStage {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn set_mode(&mut self, mode: Mode) -> Result<Mode, StageError> {
        if self.shared.refuse_modes.load(Ordering::SeqCst) {
            let detail = "told to".into();
            return Err(StageError { reason: &reason::DESKTOP_MODE_REFUSED, detail, fatal: false });
        }
        self.mode = mode;
        Ok(mode)
    }

    fn scale_percent(&self) -> u32 {
        self.scale
    }

    fn set_scale_percent(&mut self, percent: u32) -> Result<(), StageError> {
        if self.shared.refuse_modes.load(Ordering::SeqCst) {
            let detail = "told to".into();
            return Err(StageError { reason: &reason::DESKTOP_SCALE_REFUSED, detail, fatal: false });
        }
        self.scale = percent;
        Ok(())
    }

    fn set_keyboard_layout(&mut self, layout: Option<&str>) -> Result<(), StageError> {
        if layout != self.layout.as_deref() && self.shared.refuse_modes.load(Ordering::SeqCst) {
            let detail = "told to".into();
            return Err(StageError { reason: &reason::DESKTOP_LAYOUT_REFUSED, detail, fatal: false });
        }
        self.layout = layout.map(str::to_owned);
        Ok(())
    }

    fn capturer(&mut self) -> Result<Box<dyn Capturer>, CaptureError> {
        Err(CaptureError { reason: &reason::CAPTURE_UNSUPPORTED, detail: String::new(), fatal: true })
    }

    fn injector(&mut self) -> Result<Box<dyn Injector>, InjectError> {
        Err(InjectError { reason: &reason::INJECT_UNSUPPORTED, detail: String::new(), fatal: true })
    }

    fn is_alive(&mut self) -> bool {
        self.shared.generation.load(Ordering::SeqCst) == self.born
    }

    fn keyboard_layout(&self) -> String {
        self.layout.clone().unwrap_or_else(|| "us".into())
    }

    fn keep(&mut self, keep: Keep) -> bool {
        let guard = self.guard.as_ref().expect("until it is dropped");
        guard.update(undo_record(&self.identity, keep)).is_ok()
    }

    fn leave(mut self: Box<Self>) {
        self.shared.left.fetch_add(1, Ordering::SeqCst);
        self.guard.take().expect("until it is dropped").leave();
    }
}

impl Drop for TestStage {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::SeqCst);
        assert!(!self.shared.panic_on_drop.load(Ordering::SeqCst), "a bug in a desktop");
    }
}

const MODE: Mode = Mode { width: 1280, height: 720, refresh_hz: 60 };
const OTHER: Mode = Mode { width: 1920, height: 1080, refresh_hz: 60 };

fn request(identity: &str, mode: Mode) -> StageRequest {
    StageRequest { identity: identity.into(), name: identity.into(), mode }
}

fn displays(desktop: &TestDesktop, linger: Linger, journal: &Arc<MemoryJournal>) -> Arc<Displays> {
    let config = DisplayConfig { linger, max_kept: 2, warm: false, ..DisplayConfig::default() };
    let journal = Arc::clone(journal) as Arc<dyn Journal>;
    Displays::new(Arc::new(desktop.clone()), journal, config, Arc::default())
}

/// The thread drops what must go: give it the time it needs on a busy machine.
fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if check() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("never: {what}");
}

#[test]
fn a_kept_display_is_handed_out_again_at_the_new_mode() {
    let (desktop, journal) = (TestDesktop::default(), MemoryJournal::new());
    let displays = displays(&desktop, Linger::Forever, &journal);
    let stage = displays.acquire(&request("a", MODE)).expect("opens");
    assert_eq!(journal.records()[0].lease_until_ms, None, "in use");
    displays.release("a", Some(stage), Release::Linger);
    assert_eq!(journal.records()[0].lease_until_ms, Some(u64::MAX), "a lease for ever");
    assert_eq!(displays.kept(), [("a".to_owned(), None)]);
    let stage = displays.acquire(&request("a", OTHER)).expect("reuses");
    assert_eq!((stage.mode(), desktop.0.opened.load(Ordering::SeqCst)), (OTHER, 1));
    assert_eq!(journal.records()[0].lease_until_ms, None, "in use again");
    displays.release("a", Some(stage), Release::Now);
    eventually("it ends", || desktop.open_stages() == 0 && journal.records().is_empty());
}

#[test]
fn a_kept_display_that_died_or_refuses_the_mode_is_replaced_at_once() {
    let (desktop, journal) = (TestDesktop::default(), MemoryJournal::new());
    let displays = displays(&desktop, Linger::Forever, &journal);
    let stage = displays.acquire(&request("a", MODE)).expect("opens");
    displays.release("a", Some(stage), Release::Linger);
    desktop.kill();
    let mut stage = displays.acquire(&request("a", MODE)).expect("opens a new one");
    assert!(stage.is_alive());
    displays.release("a", Some(stage), Release::Linger);
    desktop.0.refuse_modes.store(true, Ordering::SeqCst);
    let stage = displays.acquire(&request("a", OTHER)).expect("opens a new one");
    assert_eq!(stage.mode(), OTHER);
    eventually("the old ones end", || desktop.open_stages() == 1);
    displays.release("a", Some(stage), Release::Now);
}

#[test]
fn a_kept_display_whose_desktop_died_does_not_wait_for_its_client() {
    let (desktop, journal) = (TestDesktop::default(), MemoryJournal::new());
    let displays = displays(&desktop, Linger::Forever, &journal);
    let stage = displays.acquire(&request("a", MODE)).expect("opens");
    displays.release("a", Some(stage), Release::Linger);
    desktop.kill();
    eventually("it is noticed", || displays.kept().is_empty() && desktop.open_stages() == 0);
}

#[test]
fn a_lease_ends_by_itself() {
    let (desktop, journal) = (TestDesktop::default(), MemoryJournal::new());
    let displays = displays(&desktop, Linger::For(Duration::from_millis(30)), &journal);
    let stage = displays.acquire(&request("a", MODE)).expect("opens");
    displays.release("a", Some(stage), Release::Linger);
    eventually("it ends", || displays.kept().is_empty() && desktop.open_stages() == 0);
    assert!(journal.records().is_empty());
}

#[test]
fn the_end_of_the_host_ends_displays_or_leaves_them_as_leases() {
    for (at_end, left) in [(AtEnd::EndLeases, 0), (AtEnd::LeaveLeases, 1)] {
        let (desktop, journal) = (TestDesktop::default(), MemoryJournal::new());
        let displays = displays(&desktop, Linger::For(Duration::from_secs(3600)), &journal);
        let stage = displays.acquire(&request("a", MODE)).expect("opens");
        displays.release("a", Some(stage), Release::Linger);
        displays.shutdown(at_end);
        assert_eq!(desktop.0.left.load(Ordering::SeqCst), left, "{at_end:?}");
        assert_eq!(journal.records().len(), left, "{at_end:?}");
        assert!(journal.records().iter().all(|r| r.lease_until_ms.is_some()));
        let refused = displays.acquire(&request("a", MODE)).map(drop).expect_err("the host ends");
        assert_eq!(refused.reason, &reason::HOST_SHUTTING_DOWN);
    }
}

#[test]
fn the_next_host_adopts_what_the_last_one_left() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("journal");
    let desktop = TestDesktop::default();
    let config = DisplayConfig {
        linger: Linger::For(Duration::from_secs(3600)),
        max_kept: 2,
        warm: false,
        ..DisplayConfig::default()
    };
    {
        let (journal, _) = FileJournal::open(&path).expect("free");
        let displays = Displays::start(Arc::new(desktop.clone()), &journal, config, Arc::default(), Box::new(()));
        let stage = displays.acquire(&request("a", MODE)).expect("opens");
        displays.release("a", Some(stage), Release::Linger);
        displays.shutdown(AtEnd::LeaveLeases);
    }
    // The first host's journal is dropped with its lock, except for the one that the left guard holds on to: the lock
    // would go with the process. Here a copy of the file stands for it.
    let copy = dir.path().join("copy");
    std::fs::copy(&path, &copy).expect("a copy");
    let (journal, _) = FileJournal::open(&copy).expect("free");
    let replayed = journal.replay(UndoMap::new().with("test", |_| Err("must not be undone".into())));
    assert_eq!(replayed.leases, 1);
    let displays = Displays::start(Arc::new(desktop.clone()), &journal, config, Arc::default(), Box::new(()));
    assert_eq!(displays.kept().len(), 1);
    assert!(displays.kept()[0].1.is_some_and(|left| left <= Duration::from_secs(3600)));
    let stage = displays.acquire(&request("a", OTHER)).expect("reuses");
    assert_eq!(desktop.0.opened.load(Ordering::SeqCst), 2, "opened once, adopted once");
    displays.release("a", Some(stage), Release::Now);
    eventually("it ends", || journal.is_empty());
}

#[test]
fn what_is_kept_for_a_client_ends_with_its_access() {
    let dir = tempfile::tempdir().expect("a folder");
    let desktop = TestDesktop::default();
    let (journal, _) = FileJournal::open(&dir.path().join("journal")).expect("free");
    let config = DisplayConfig { linger: Linger::Forever, max_kept: 2, warm: false, ..DisplayConfig::default() };
    let paired = Arc::new(AtomicBool::new(true));
    struct WhilePaired(Arc<AtomicBool>);
    impl ClientFacts for WhilePaired {
        fn may_keep(&self, _: &str) -> bool {
            self.0.load(Ordering::SeqCst)
        }

        fn own(&self, _: &str) -> OwnFit {
            OwnFit::default()
        }
    }
    let clients = WhilePaired(Arc::clone(&paired));
    let displays = Displays::start(Arc::new(desktop.clone()), &journal, config, Arc::default(), Box::new(clients));
    let stage = displays.acquire(&request("a", MODE)).expect("opens");
    displays.release("a", Some(stage), Release::Linger);
    paired.store(false, Ordering::SeqCst);
    eventually("it ends", || desktop.open_stages() == 0 && displays.kept().is_empty());
    let stage = displays.acquire(&request("a", MODE)).expect("opens");
    displays.release("a", Some(stage), Release::Linger);
    assert!(displays.kept().is_empty());
}

#[test]
fn a_display_has_its_clients_scale_and_layout_else_the_hosts_and_changes_with_both() {
    struct Own(Arc<AtomicU32>);
    impl ClientFacts for Own {
        fn may_keep(&self, _: &str) -> bool {
            true
        }

        fn own(&self, identity: &str) -> OwnFit {
            let scale_percent = (identity == "a").then(|| self.0.load(Ordering::SeqCst));
            OwnFit { scale_percent, keyboard_layout: scale_percent.map(|percent| format!("l{percent}")) }
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    let desktop = TestDesktop::default();
    let (journal, _) = FileJournal::open(&dir.path().join("journal")).expect("free");
    let config = DisplayConfig { linger: Linger::Forever, warm: false, scale_percent: 125, ..DisplayConfig::default() };
    let own = Arc::new(AtomicU32::new(200));
    let clients = Box::new(Own(Arc::clone(&own)));
    let displays = Displays::start(Arc::new(desktop.clone()), &journal, config, Arc::default(), clients);
    let a = displays.acquire(&request("a", MODE)).expect("opens");
    let b = displays.acquire(&request("b", MODE)).expect("opens");
    assert_eq!((a.scale_percent(), b.scale_percent()), (200, 125));
    assert_eq!((a.keyboard_layout(), b.keyboard_layout()), ("l200".into(), "us".into()));
    // Live, each by what is its own.
    displays.set_scale_percent(150);
    assert_eq!((a.scale_percent(), b.scale_percent()), (200, 150));
    own.store(175, Ordering::SeqCst);
    displays.refit("a").expect("takes it");
    assert_eq!((a.scale_percent(), b.scale_percent()), (175, 150));
    assert_eq!((a.keyboard_layout(), b.keyboard_layout()), ("l175".into(), "us".into()));
    // Nobody streams: there is nothing to scale, and the next session has it.
    displays.release("a", Some(a), Release::Linger);
    own.store(100, Ordering::SeqCst);
    displays.refit("a").expect("nothing to do");
    let a = displays.acquire(&request("a", MODE)).expect("reuses");
    assert_eq!((a.scale_percent(), a.keyboard_layout()), (100, "l100".into()));
    // A desktop that refuses is streamed as it is.
    desktop.0.refuse_modes.store(true, Ordering::SeqCst);
    assert_eq!(displays.refit("b").map_err(|e| e.reason.code), Ok(()), "it has that scale");
    own.store(300, Ordering::SeqCst);
    assert_eq!(displays.refit("a").map_err(|e| e.reason.code), Err("desktop.scale_refused"));
    assert!(displays.acquire(&request("c", MODE)).is_ok());
}

#[test]
fn a_stage_that_is_dropped_instead_of_released_is_not_counted_any_more() {
    let (desktop, journal) = (TestDesktop::default(), MemoryJournal::new());
    let displays = displays(&desktop, Linger::Forever, &journal);
    drop(displays.acquire(&request("a", MODE)).expect("opens"));
    displays.release("a", None, Release::Linger);
    displays.release("a", None, Release::Linger);
    let stage = displays.acquire(&request("a", MODE)).expect("opens");
    displays.release("a", Some(stage), Release::Linger);
    assert_eq!(displays.kept().len(), 1, "the identity is not thought to have another one");
}

#[test]
fn many_sessions_of_few_identities_at_once_leave_nothing() {
    let (desktop, journal) = (TestDesktop::default(), MemoryJournal::new());
    let displays = displays(&desktop, Linger::For(Duration::from_millis(2)), &journal);
    std::thread::scope(|scope| {
        for thread in 0..6_u64 {
            let displays = &displays;
            scope.spawn(move || {
                for round in 0..60_u64 {
                    let identity = format!("id{}", (thread + round * 7) % 3);
                    let mode = if round % 2 == 0 { MODE } else { OTHER };
                    let stage = displays.acquire(&request(&identity, mode)).expect("opens");
                    assert_eq!(stage.mode(), mode);
                    match (thread + round) % 4 {
                        0 => drop(stage),
                        1 => displays.release(&identity, Some(stage), Release::Now),
                        _ => displays.release(&identity, Some(stage), Release::Linger),
                    }
                }
            });
        }
    });
    eventually("all leases end", || desktop.open_stages() == 0 && displays.kept().is_empty());
    assert!(journal.records().is_empty());
    displays.shutdown(AtEnd::EndLeases);
}

#[test]
fn the_end_by_hand_ends_an_earlier_hosts_leases_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("journal");
    let copy = dir.path().join("copy");
    let undone = Arc::new(AtomicUsize::new(0));
    {
        let (journal, _) = FileJournal::open(&path).expect("free");
        let keep = Keep { keep_for: Duration::MAX, lease_until_ms: Some(u64::MAX) };
        let record = UndoRecord { backend: "another".into(), ..undo_record("x", keep) };
        let _guard = Arc::clone(&journal).record(record).expect("room");
        std::fs::copy(&path, &copy).expect("a copy of what a killed host leaves");
    }
    let (journal, _) = FileJournal::open(&copy).expect("free");
    let count = Arc::clone(&undone);
    let replayed = journal.replay(UndoMap::new().with("another", move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }));
    assert_eq!((replayed.leases, undone.load(Ordering::SeqCst)), (1, 0));
    let config = DisplayConfig { warm: false, ..DisplayConfig::default() };
    let desktop = Arc::new(TestDesktop::default());
    let displays = Displays::start(desktop, &journal, config, Arc::default(), Box::new(()));
    displays.shutdown(AtEnd::EndLeases);
    assert_eq!(undone.load(Ordering::SeqCst), 1);
    assert!(journal.is_empty());
}

#[test]
fn a_spare_is_prepared_while_nothing_happens() {
    let desktop = TestDesktop::default();
    let config = DisplayConfig { warm: true, ..DisplayConfig::default() };
    let journal = MemoryJournal::new() as Arc<dyn Journal>;
    let _displays = Displays::new(Arc::new(desktop.clone()), journal, config, Arc::default());
    eventually("a spare", || desktop.0.warmed.load(Ordering::SeqCst) == 1);
}

#[test]
fn a_panic_in_a_desktop_does_not_end_the_thread() {
    let (desktop, journal) = (TestDesktop::default(), MemoryJournal::new());
    let displays = displays(&desktop, Linger::Off, &journal);
    desktop.0.panic_on_drop.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let stage = displays.acquire(&request("a", MODE)).expect("opens");
        displays.release("a", Some(stage), Release::Linger);
        eventually("it is dropped", || desktop.open_stages() == 0);
    }
    desktop.0.panic_on_drop.store(false, Ordering::SeqCst);
}

#[derive(Clone, Debug)]
enum Op {
    Acquire { identity: u8, other: bool },
    Release { nth: usize, how: u8 },
    Kill,
    RefuseOpen(bool),
    RefuseModes(bool),
    JournalFull(bool),
    Forget { identity: u8 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..4_u8, any::<bool>()).prop_map(|(identity, other)| Op::Acquire { identity, other }),
        6 => (0..6_usize, 0..4_u8).prop_map(|(nth, how)| Op::Release { nth, how }),
        1 => Just(Op::Kill),
        1 => any::<bool>().prop_map(Op::RefuseOpen),
        1 => any::<bool>().prop_map(Op::RefuseModes),
        1 => any::<bool>().prop_map(Op::JournalFull),
        1 => (0..4_u8).prop_map(|identity| Op::Forget { identity }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_happens_nothing_is_lost_or_left(
        linger in prop_oneof![Just(Linger::Off), Just(Linger::Forever), Just(Linger::For(Duration::from_secs(3600)))],
        ops in proptest::collection::vec(op(), 1..40),
    ) {
        let (desktop, journal) = (TestDesktop::default(), MemoryJournal::new());
        let displays = displays(&desktop, linger, &journal);
        let mut in_use: Vec<(String, Box<dyn Stage>)> = Vec::new();
        for op in ops {
            match op {
                Op::Acquire { identity, other } => {
                    let (identity, mode) = (format!("id{identity}"), if other { OTHER } else { MODE });
                    match displays.acquire(&request(&identity, mode)) {
                        Ok(mut stage) => {
                            prop_assert!(stage.is_alive() && stage.mode() == mode);
                            prop_assert!(displays.kept().iter().all(|(i, _)| *i != identity), "handed out, not kept");
                            in_use.push((identity, stage));
                        }
                        Err(_) => {
                            let told = desktop.0.refuse_open.load(Ordering::SeqCst);
                            prop_assert!(told || journal_is_full(&journal), "it fails only when it was told to");
                        }
                    }
                }
                Op::Release { nth, how } if nth < in_use.len() => {
                    let (identity, stage) = in_use.remove(nth);
                    match how {
                        0 => displays.release(&identity, None, Release::Linger),
                        1 => displays.release(&identity, Some(stage), Release::Now),
                        _ => displays.release(&identity, Some(stage), Release::Linger),
                    }
                }
                Op::Release { .. } => {}
                Op::Kill => desktop.kill(),
                Op::RefuseOpen(on) => desktop.0.refuse_open.store(on, Ordering::SeqCst),
                Op::RefuseModes(on) => desktop.0.refuse_modes.store(on, Ordering::SeqCst),
                Op::JournalFull(on) => journal.set_full(on),
                Op::Forget { identity } => displays.forget(&format!("id{identity}")),
            }
            let kept = displays.kept();
            prop_assert!(kept.len() <= 2, "no more than max_kept");
            prop_assert!(linger != Linger::Off || kept.is_empty());
            prop_assert!(kept.iter().all(|(i, _)| in_use.iter().all(|(u, _)| u != i)), "one display per identity");
            eventually("open is in use plus kept", || desktop.open_stages() == in_use.len() + displays.kept().len());
            prop_assert_eq!(journal.records().len(), desktop.open_stages(), "a record for each that is open");
        }
        for (identity, stage) in in_use {
            displays.release(&identity, Some(stage), Release::Linger);
        }
        displays.shutdown(AtEnd::EndLeases);
        prop_assert_eq!(desktop.open_stages(), 0);
        prop_assert!(journal.records().is_empty());
    }
}

fn journal_is_full(journal: &Arc<MemoryJournal>) -> bool {
    let probe = Arc::<MemoryJournal>::clone(journal).record(undo_record("probe", IN_USE));
    probe.is_err()
}
