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
