//! Processes by identity, not by number: a process id is only believed together with the time it started, and the
//! family of a private desktop is found by a mark in its environment (sway puts what it starts into sessions of their
//! own, so a process group does not hold it together), and by a number that goes with the mark, since some programs
//! overwrite their environment.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, kill_process_group, setrlimit};
use serde::{Deserialize, Serialize};

/// A process that cannot be confused with a later one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot (proc(5), field 22 of `stat`).
    pub started_ticks: u64,
}

impl ProcessId {
    /// The process that has this id now; `None` if there is none. A zombie counts as none, and so does one on its way there:
    /// its environment, by which families are found, goes first.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything, also `) `: fields count from the last parenthesis.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?;
        // `state` is field 3, the flags are field 9, the start time is field 22.
        let flags: u32 = fields.nth(5)?.parse().ok()?;
        let started_ticks = fields.nth(12)?.parse().ok()?;
        (!matches!(state, "Z" | "X") && flags & PF_EXITING == 0).then_some(Self { pid, started_ticks })
    }

    /// Whether exactly this process still runs.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// `PF_EXITING` of the kernel's `include/linux/sched.h`.
const PF_EXITING: u32 = 4;

/// How long processes have to end.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// After they were asked to.
    polite: Duration,
    /// After they were killed.
    killed: Duration,
}

impl Patience {
    /// Sway and terminals end within tens of milliseconds; the watchdog must be through within 2 s.
    pub const DESKTOP: Self = Self { polite: Duration::from_millis(600), killed: Duration::from_millis(800) };
    /// Games save first. Together with killing the 3 s of [`punktfunk_media::RunningApp::end`].
    pub const PROGRAM: Self = Self { polite: Duration::from_millis(2200), killed: Duration::from_millis(800) };
}

/// Ends every process that carries `mark` (`NAME=value`) or its number, and the group of `leader`: first politely, then for
/// good. Returns when none is left, or `Err` with those that remain.
pub fn end_family(leader: Option<ProcessId>, mark: &str, patience: Patience) -> Result<(), Vec<i32>> {
    let number = number_of(mark);
    end_all(leader, &|| [family(mark), numbered(number)].concat(), patience)
}

/// The same for whatever `find` finds, and all that those started.
pub fn end_all(leader: Option<ProcessId>, find: &dyn Fn() -> Vec<i32>, patience: Patience) -> Result<(), Vec<i32>> {
    let mut clan = Clan { find, known: Vec::new() };
    signal_all(leader, &mut clan, Signal::TERM);
    if wait_gone(&mut clan, patience.polite) {
        return Ok(());
    }
    let give_up = Instant::now() + patience.killed;
    loop {
        // Repeated, since a process may have forked between the look and the signal.
        signal_all(leader, &mut clan, Signal::KILL);
        if wait_gone(&mut clan, Duration::from_millis(20)) {
            return Ok(());
        }
        if Instant::now() >= give_up {
            return Err(clan.look());
        }
    }
}

/// What `find` finds, with everything that descends from it. Browsers overwrite the environment of their children, so those
/// are known by their parents; and who was seen once stays known when its parent has ended.
struct Clan<'a> {
    find: &'a dyn Fn() -> Vec<i32>,
    known: Vec<ProcessId>,
}

impl Clan<'_> {
    /// Those that live.
    fn look(&mut self) -> Vec<i32> {
        self.known.retain(|p| p.is_alive());
        let mut all: Vec<i32> = self.known.iter().map(|p| p.pid).chain((self.find)()).collect();
        let parents = parents();
        // As deep as it goes: whoever was added may have children, too.
        let mut at = 0;
        while at < all.len() {
            let parent = all[at];
            all.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
            at += 1;
            // One may be found several ways.
            let mut seen = std::collections::HashSet::new();
            all.retain(|pid| seen.insert(*pid));
        }
        self.known = all.into_iter().filter_map(ProcessId::of).collect();
        self.known.iter().map(|p| p.pid).collect()
    }
}

/// Every process with its parent.
fn parents() -> Vec<(i32, i32)> {
    let parent = |pid: i32| -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Field 4; see `ProcessId::of`.
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    pids().filter_map(|pid| Some((pid, parent(pid)?))).collect()
}

/// Every living process that carries `mark` in its environment.
pub fn family(mark: &str) -> Vec<i32> {
    processes(&|environment| environment.has(mark))
}

/// The number that goes with a mark. A family has it as the soft limit of `RLIMIT_LOCKS`: children inherit that, everybody may
/// read it (proc(5), `limits`), it outlives any change of the environment, and nothing obeys or sets it (getrlimit(2): only
/// Linux 2.4 before 2.4.25 had it).
pub fn number_of(mark: &str) -> u64 {
    // FNV-1a with 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>), into a range that no administrator sets by hand.
    let hash = mark
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    hash >> 16 | 1 << 48
}

/// Gives this process, and all that it starts from now on, a number. Two system calls, no memory: fit for a forked child.
pub fn take_number(number: u64) -> std::io::Result<()> {
    let maximum = getrlimit(Resource::Locks).maximum;
    // A lower hard limit than the number cannot be raised: then the mark alone has to do.
    if maximum.is_none_or(|maximum| maximum >= number) {
        setrlimit(Resource::Locks, Rlimit { current: Some(number), maximum })?;
    }
    Ok(())
}

/// Every living process with this number.
fn numbered(number: u64) -> Vec<i32> {
    let has_it = |pid: i32| {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        let soft =
            limits.lines().find_map(|line| line.strip_prefix("Max file locks"))?.split_ascii_whitespace().next()?;
        (soft.parse() == Ok(number)).then(|| ProcessId::of(pid)).flatten()
    };
    pids().filter(|pid| has_it(*pid).is_some()).collect()
}

/// Every process id.
fn pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// Every living process whose environment is as `wanted` says.
pub fn processes(wanted: &dyn Fn(&Environ) -> bool) -> Vec<i32> {
    pids().filter(|pid| Environ::of(*pid).is_some_and(|e| wanted(&e)) && ProcessId::of(*pid).is_some()).collect()
}

/// What a process was started with.
pub struct Environ(Vec<u8>);

impl Environ {
    fn of(pid: i32) -> Option<Self> {
        fs::read(Path::new("/proc").join(pid.to_string()).join("environ")).ok().map(Self)
    }

    /// Whether it has this `NAME=value`.
    pub fn has(&self, variable: &str) -> bool {
        self.0.split(|b| *b == 0).any(|other| other == variable.as_bytes())
    }
}

fn signal_all(leader: Option<ProcessId>, clan: &mut Clan<'_>, signal: Signal) {
    // Before the first of them ends, and its children are nobody's.
    let members = clan.look();
    if let Some(leader) = leader.filter(|l| l.is_alive())
        && let Some(group) = Pid::from_raw(leader.pid)
    {
        // Fails only when it is gone already, which is what we want.
        let _ = kill_process_group(group, signal);
    }
    for pid in members.into_iter().filter_map(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

fn wait_gone(clan: &mut Clan<'_>, within: Duration) -> bool {
    let until = Instant::now() + within;
    loop {
        if clan.look().is_empty() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    #[test]
    fn a_family_is_found_by_its_mark_and_ended_even_if_it_ignores_sigterm() {
        let mark = format!("PUNKTFUNK_TEST_FAMILY={}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        let mut stubborn =
            Command::new("sh").args(["-c", "trap '' TERM; sleep 60 & wait"]).env(name, value).spawn().unwrap();
        let id = ProcessId::of(stubborn.id() as i32).unwrap();
        while family(&mark).len() < 2 {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(end_family(Some(id), &mark, Patience::DESKTOP), Ok(()));
        stubborn.wait().unwrap();
        assert!(!id.is_alive());
        assert!(family(&mark).is_empty());
    }

    #[test]
    fn who_hides_its_mark_goes_with_its_parent_also_when_that_ended_first() {
        let mark = format!("PUNKTFUNK_TEST_CLAN={}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        // The parent ends politely, its child not at all; the child's environment says nothing.
        let script = "env -i sh -c 'trap \"\" TERM; while :; do sleep 1; done' & exec sleep 60";
        let mut parent = Command::new("sh").args(["-c", script]).env(name, value).spawn().unwrap();
        let pid = parent.id() as i32;
        let child = || parents().into_iter().find(|(_, p)| *p == pid).and_then(|(pid, _)| ProcessId::of(pid));
        // Once it is deaf.
        while child().is_none_or(|c| !fs::read_to_string(format!("/proc/{}/cmdline", c.pid)).unwrap().contains("trap"))
        {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(50));
        let child = child().unwrap();
        assert!(!family(&mark).contains(&child.pid));
        assert_eq!(end_family(None, &mark, Patience::DESKTOP), Ok(()));
        parent.wait().unwrap();
        assert!(!child.is_alive());
    }

    #[test]
    fn who_hides_its_mark_and_has_lost_its_parent_is_known_by_its_number() {
        let mark = format!("PUNKTFUNK_TEST_NUMBER={}", std::process::id());
        let number = number_of(&mark);
        let mut parent = Command::new("sh");
        parent.args(["-c", "env -i sleep 60 & exit"]);
        // SAFETY: two system calls, which touch no memory of this process.
        unsafe { parent.pre_exec(move || take_number(number)) };
        parent.spawn().unwrap().wait().unwrap();
        let orphans: Vec<_> = numbered(number).into_iter().filter_map(ProcessId::of).collect();
        assert_eq!((orphans.len(), family(&mark).len()), (1, 0));
        assert_eq!(end_family(None, &mark, Patience::DESKTOP), Ok(()));
        assert!(!orphans[0].is_alive());
        assert_ne!(number, number_of("PUNKTFUNK_TEST_NUMBER="));
        assert_eq!(number >> 48, 1, "apart from what limits are");
    }

    #[test]
    fn a_process_with_another_start_time_is_not_ours() {
        let me = ProcessId::of(std::process::id() as i32).unwrap();
        assert!(me.is_alive());
        assert!(!ProcessId { started_ticks: me.started_ticks + 1, ..me }.is_alive());
    }
}
