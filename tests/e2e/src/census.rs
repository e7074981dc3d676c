//! Counting what a program holds: processes of a user, files and threads of a process.

use std::path::Path;

/// Processes of `uid` whose environment or command line mentions `mark` (a test's own folder), as `(pid, command)`.
#[must_use]
pub fn processes(uid: u32, mark: &Path) -> Vec<(i32, String)> {
    use std::os::unix::fs::MetadataExt;
    let mark = mark.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        if entry.metadata().map(|m| m.uid()).ok() != Some(uid) && !is_owned_by(pid, uid) {
            continue;
        }
        let read = |what: &str| std::fs::read(entry.path().join(what)).unwrap_or_default();
        let (environ, cmdline) = (read("environ"), read("cmdline"));
        let mentions = |haystack: &[u8]| haystack.windows(mark.len()).any(|w| w == mark);
        if mentions(&environ) || mentions(&cmdline) {
            found.push((pid, String::from_utf8_lossy(&cmdline).replace('\0', " ")));
        }
    }
    found
}

/// `/proc/PID` belongs to root for processes that are not dumpable; the status file tells the real user.
fn is_owned_by(pid: i32, uid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().find_map(|l| l.strip_prefix("Uid:")).and_then(|l| l.split_whitespace().next()?.parse().ok())
        == Some(uid)
}

/// Open files of a process.
#[must_use]
pub fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Threads of a process.
#[must_use]
pub fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// Resident memory of a process in KiB.
#[must_use]
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// A thread of a process and the CPU time it has used.
#[derive(Clone, PartialEq, Debug)]
pub struct ThreadTime {
    /// Thread id.
    pub tid: u32,
    /// Its name; threads that a library starts have the name of the thread that started them.
    pub name: String,
    /// User and system time so far, in seconds, in steps of the kernel's clock tick.
    pub seconds: f64,
}

/// Every thread of a process, by thread id: the order in which they were started.
#[must_use]
pub fn thread_times(pid: u32) -> Vec<ThreadTime> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut times: Vec<ThreadTime> = tasks
        .filter_map(|entry| {
            let tid = entry.file_name().to_str()?.parse().ok()?;
            let (name, seconds) = parse_stat(&std::fs::read_to_string(entry.path().join("stat")).ok()?)?;
            Some(ThreadTime { tid, name, seconds })
        })
        .collect();
    times.sort_unstable_by_key(|t| t.tid);
    times
}

/// CPU seconds that a process has used so far, threads that ended included; 0 for one that is gone.
#[must_use]
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    parse_stat(&stat).map_or(0.0, |(_, seconds)| seconds)
}

/// Name and CPU seconds of a `stat` file: after the parenthesised name the state is the first field, utime and stime are
/// the 12th and 13th (proc(5)).
fn parse_stat(stat: &str) -> Option<(String, f64)> {
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let mut fields = after.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    // The kernel reports in USER_HZ, which is 100 on every Linux that Rust runs on.
    Some((name, (ticks()? + ticks()?) / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_charged_for_what_it_did() {
        let (found, wanted) = std::sync::mpsc::channel();
        let worker = std::thread::Builder::new().name("a (busy) one".to_owned());
        let worker = worker.spawn(move || {
            let me = std::process::id();
            let own = |t: &ThreadTime| t.name == "a (busy) one";
            // Until the clock has ticked for it twice: work, not time, ends this.
            while thread_times(me).into_iter().find(own).is_none_or(|t| t.seconds < 0.02) {
                std::hint::black_box((0..10_000u64).sum::<u64>());
            }
            let _ = found.send(thread_times(me).into_iter().find(own));
        });
        let time = wanted.recv().expect("the worker answers").expect("it finds itself");
        worker.expect("a thread").join().expect("no panic");
        assert!(time.seconds <= cpu_seconds(std::process::id()) + 0.02, "{time:?}");
        assert!(parse_stat("1 (x").is_none() && parse_stat("").is_none());
    }
}
