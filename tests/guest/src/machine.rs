//! The emulated machine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::modules::Modules;
use crate::{END_MARK, World, initramfs};

/// A tree with a kernel and QEMU.
#[derive(Debug)]
pub struct Guest {
    tree: PathBuf,
    version: String,
    devices: Vec<&'static str>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status of the program; `None` if the guest did not get so far.
    pub status: Option<i32>,
    /// Everything that came over the serial console.
    pub console: String,
    /// From the start of the emulator to its end.
    pub took: Duration,
}

impl Guest {
    /// The tree that the environment variable `PUNKTFUNK_GUEST` names (`scripts/debian-tree guest`); `None` if there is
    /// none, because it could not be fetched.
    ///
    /// # Errors
    /// What is wrong with a tree that is there.
    pub fn find() -> Result<Option<Self>, String> {
        let Some(tree) = std::env::var_os("PUNKTFUNK_GUEST").filter(|tree| !tree.is_empty()) else { return Ok(None) };
        let tree = PathBuf::from(tree);
        let folder = tree.join("usr/lib/modules");
        let mut versions = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let version = versions.next().ok_or("the tree has no kernel")?.map_err(|e| e.to_string())?;
        Ok(Some(Self { version: version.file_name().to_string_lossy().into_owned(), tree, devices: Vec::new() }))
    }

    /// Plugs in one more device, as QEMU calls it.
    #[must_use]
    pub fn with_device(mut self, name: &'static str) -> Self {
        self.devices.push(name);
        self
    }

    /// Boots `world`, loads `modules`, runs `program` and powers off, within `patience`. `scratch` is an empty folder.
    ///
    /// # Errors
    /// What kept the machine from starting at all.
    pub fn run(
        &self,
        world: World,
        modules: &[&str],
        program: &Path,
        scratch: &Path,
        patience: Duration,
    ) -> Result<Outcome, String> {
        let known = Modules::read(&self.tree.join("usr/lib/modules").join(&self.version))?;
        let modules: Vec<_> = world.modules().iter().chain(modules).copied().collect();
        let archive = initramfs::pack(&self.tree.join("usr/bin/busybox"), &known.in_order(&modules), program, world)?;
        let initrd = scratch.join("initrd");
        let console = scratch.join("console");
        std::fs::write(&initrd, archive).map_err(|e| e.to_string())?;
        let began = Instant::now();
        let log = File::create(&console).map_err(|e| e.to_string())?;
        let mut emulator = Emulator(self.command(world, &initrd, log).spawn().map_err(|e| format!("QEMU: {e}"))?);
        while emulator.0.try_wait().map_err(|e| e.to_string())?.is_none() && began.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(emulator);
        let console = String::from_utf8_lossy(&std::fs::read(&console).map_err(|e| e.to_string())?).into_owned();
        let status = console.lines().find_map(|line| line.trim().strip_prefix(END_MARK)?.parse().ok());
        Ok(Outcome { status, console, took: began.elapsed() })
    }

    /// QEMU out of the tree, by the tree's own loader: nothing is installed, no root is needed. TCG, never a
    /// hypervisor: the test must pass where there is none.
    fn command(&self, world: World, initrd: &Path, console: File) -> Command {
        let tree = |path: &str| self.tree.join(path);
        let mut command = Command::new(tree("usr/lib64/ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(tree("usr/lib/x86_64-linux-gnu")).arg(tree("usr/bin/qemu-system-x86_64"));
        command.arg("-L").arg(tree("usr/share/qemu")).arg("-L").arg(tree("usr/share/seabios"));
        command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "768"]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"]);
        command.arg("-kernel").arg(tree("boot").join(format!("vmlinuz-{}", self.version)));
        command.arg("-initrd").arg(initrd);
        command.args(["-append", KERNEL]);
        for device in &self.devices {
            command.args(["-device", device]);
        }
        // Some devices are files of their own.
        command.env("QEMU_MODULE_DIR", tree("usr/lib/x86_64-linux-gnu/qemu"));
        if world == World::Tree {
            let tree = self.tree.display().to_string().replace(',', ",,");
            command.arg("-virtfs");
            command.arg(format!("local,path={tree},mount_tag=tree,security_model=none,readonly=on"));
        }
        command.stdin(Stdio::null()).stderr(console.try_clone().map_or_else(|_| Stdio::null(), Stdio::from));
        command.stdout(console);
        command
    }
}

/// Ends with its owner.
struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// On a busy machine the emulated timer may come so late that the kernel's own check calls it broken and panics.
const KERNEL: &str = "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check nowatchdog";
