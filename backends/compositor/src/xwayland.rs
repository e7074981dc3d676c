//! The door between smithay's way of starting Xwayland and ours.
//!
//! smithay runs the program `Xwayland` from `PATH` and makes its sockets at that moment. On-demand starting needs a socket
//! that was there before: the one that the first X11 program has connected to already. So `PATH` leads to a link to this
//! very binary, which adds that socket to the arguments and becomes the real Xwayland.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Becomes Xwayland if this process was started as its door; returns at once otherwise. To be called first of all in the
/// `main` of every binary that is started as a compositor's worker.
pub fn become_xwayland() {
    let (Some(program), Some(socket)) = (std::env::var_os(PROGRAM), std::env::var_os(SOCKET)) else { return };
    // It is of no use without its compositor, however that ends.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let mut command = Command::new(&program);
    command.args(std::env::args_os().skip(1)).args([OsString::from("-listenfd"), socket]);
    command.env_remove(PROGRAM).env_remove(SOCKET);
    let failed = command.exec();
    eprintln!("{}: {failed}", program.to_string_lossy());
    std::process::exit(127);
}

/// Path of the real Xwayland.
pub const PROGRAM: &str = "PUNKTFUNK_XWAYLAND";
/// Number of the inherited descriptor that it listens on as well.
pub const SOCKET: &str = "PUNKTFUNK_XWAYLAND_SOCKET";
