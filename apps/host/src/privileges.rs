//! Root is dropped before anything else happens: the whole process runs again as an unprivileged system user.
//!
//! No part of the host needs root, compositors refuse it, and a host with root would hand it to every program on a
//! private desktop. So `serve` as root makes the system user's runtime folder, changes to that user and executes itself.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use punktfunk_media::reason;
use rustix::process::{Gid, Uid};

use crate::exit::Failure;
use crate::paths::SYSTEM_RUNTIME_DIR;

/// The user a host started as root becomes, unless `--user` says otherwise. Made by the package and by `make run`.
pub const DEFAULT_USER: &str = "punktfunk";

/// Returns at once for an ordinary user; as root it does not return: the process becomes the same command under `user`.
///
/// # Errors
/// `host.root` when the user does not exist, is root itself, or the change failed.
pub fn leave_root(user: &str) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let refuse = |detail: String| Failure::new(&reason::HOST_ROOT, detail);
    let account = find_account(user).ok_or_else(|| refuse(format!("there is no user named {user}")))?;
    if account.uid.is_root() {
        return Err(refuse(format!("{user} is root itself")));
    }
    let io = |what: &str, e: std::io::Error| refuse(format!("{what}: {e}"));

    own_dir(Path::new(SYSTEM_RUNTIME_DIR), &account).map_err(|e| io(SYSTEM_RUNTIME_DIR, e))?;
    if !account.home.exists() {
        own_dir(&account.home, &account).map_err(|e| io("the user's home folder", e))?;
    }
    // Folders named explicitly stay in force; the new user must be able to write to them.
    for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
        if let Some(dir) = std::env::var_os(name).map(PathBuf::from).filter(|d| d.is_absolute() && !d.exists()) {
            own_dir(&dir, &account).map_err(|e| io(name, e))?;
        }
    }

    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("punktfunk-host")
        .args(std::env::args_os().skip(1))
        .env("HOME", &account.home)
        .env("USER", user)
        .env("LOGNAME", user)
        .env("XDG_RUNTIME_DIR", SYSTEM_RUNTIME_DIR)
        // A root shell's session is not this user's session.
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("SWAYSOCK")
        .env_remove("DISPLAY")
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .current_dir("/");
    let errno = |what: &str, e: rustix::io::Errno| io(what, e.into());
    rustix::thread::set_thread_groups(&account.groups).map_err(|e| errno("setgroups", e))?;
    rustix::thread::set_thread_res_gid(account.gid, account.gid, account.gid).map_err(|e| errno("setgid", e))?;
    rustix::thread::set_thread_res_uid(account.uid, account.uid, account.uid).map_err(|e| errno("setuid", e))?;
    Err(io("exec", command.exec()))
}

/// An entry of the user database.
struct Account {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    home: PathBuf,
}

fn find_account(user: &str) -> Option<Account> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let group = std::fs::read_to_string("/etc/group").unwrap_or_default();
    parse_account(&passwd, &group, user)
}

/// System users live in these two files by definition; network user databases are for people.
fn parse_account(passwd: &str, group: &str, user: &str) -> Option<Account> {
    let fields: Vec<&str> = passwd.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f[0] == user)?;
    let [_, _, uid, gid, _, home, ..] = fields[..] else { return None };
    let gid = Gid::from_raw(gid.parse().ok()?);
    let mut groups = vec![gid];
    for line in group.lines() {
        let f: Vec<&str> = line.split(':').collect();
        if let [_, _, id, members] = f[..]
            && members.split(',').any(|m| m == user)
            && let Ok(id) = id.parse()
        {
            groups.push(Gid::from_raw(id));
        }
    }
    Some(Account { uid: Uid::from_raw(uid.parse().ok()?), gid, groups, home: PathBuf::from(home) })
}

fn own_dir(dir: &Path, account: &Account) -> std::io::Result<()> {
    debug_assert!(!dir.as_os_str().as_bytes().is_empty());
    std::fs::create_dir_all(dir)?;
    std::os::unix::fs::chown(dir, Some(account.uid.as_raw()), Some(account.gid.as_raw()))?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::parse_account;

    #[test]
    fn accounts_come_with_their_groups() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npunktfunk:x:998:997::/var/lib/punktfunk:/usr/sbin/nologin\n";
        let group = "root:x:0:\ninput:x:104:someone,punktfunk\nvideo:x:44:other\n";
        let a = parse_account(passwd, group, "punktfunk").unwrap();
        assert_eq!((a.uid.as_raw(), a.gid.as_raw()), (998, 997));
        assert_eq!(a.groups.iter().map(|g| g.as_raw()).collect::<Vec<_>>(), [997, 104]);
        assert!(parse_account(passwd, group, "nobody-here").is_none());
    }
}
