//! The tree's sway as a session of a seat: it reads the kernel's devices, and draws into memory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use punktfunk_desktop::SessionSockets;

use crate::wait;

/// Ends when dropped.
pub struct Sway {
    process: Child,
    pub sockets: SessionSockets,
}

impl Sway {
    /// Starts it, and waits until it listens.
    pub fn start() -> Self {
        std::fs::write(tree("tmp/sway.conf"), CONFIG).expect("the configuration");
        std::fs::create_dir_all(tree("run/user")).expect("a runtime folder");
        rustix::fs::chown(tree("run/user"), Some(rustix::fs::Uid::from_raw(USER)), None).expect("its owner");
        let mut command = Command::new("chroot");
        command.args(["/tree", "/usr/bin/setpriv"]).args([format!("--reuid={USER}"), format!("--regid={USER}")]);
        command.args([
            "--clear-groups",
            "/usr/bin/env",
            "-i",
            "PATH=/usr/bin",
            "HOME=/tmp",
            "XDG_RUNTIME_DIR=/run/user",
        ]);
        command.args(["LIBSEAT_BACKEND=noop", "WLR_BACKENDS=headless,libinput", "WLR_HEADLESS_OUTPUTS=1"]);
        command.args(["WLR_RENDERER=pixman", "WLR_LIBINPUT_NO_DEVICES=1", "SWAYSOCK=/run/user/sway.sock"]);
        command.args(["sway", "-c", "/tmp/sway.conf"]).stdin(Stdio::null());
        let process = command.spawn().expect("sway");
        let ipc = tree("run/user/sway.sock");
        let display = tree("run/user/wayland-1");
        wait("sway's sockets", || (ipc.exists() && display.exists()).then_some(()));
        Self { process, sockets: SessionSockets { ipc, display } }
    }

    fn ask(&self, what: &str) -> serde_json::Value {
        let ipc = "/run/user/sway.sock";
        let asked = Command::new("chroot").args(["/tree", "swaymsg", "-s", ipc, "-r", "-t", what]).output();
        serde_json::from_slice(&asked.expect("swaymsg").stdout).unwrap_or_default()
    }

    /// Names of its input devices.
    pub fn inputs(&self) -> Vec<String> {
        self.names("get_inputs", "identifier")
    }

    /// Names of its outputs.
    pub fn outputs(&self) -> Vec<String> {
        self.names("get_outputs", "name")
    }

    fn names(&self, what: &str, key: &str) -> Vec<String> {
        let all = self.ask(what);
        all.as_array().into_iter().flatten().filter_map(|one| one[key].as_str().map(str::to_owned)).collect()
    }
}

impl Drop for Sway {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn tree(path: &str) -> PathBuf {
    Path::new("/tree").join(path)
}

/// Small: every picture is drawn by an emulated processor.
const CONFIG: &str = "xwayland disable\ndefault_border none\noutput * bg #000000 solid_color\n\
                      output HEADLESS-1 mode --custom 400x300@10Hz position 0 0\n";
/// Sway refuses root.
const USER: u32 = 1000;
