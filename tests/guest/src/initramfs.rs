//! What the guest is made of: no disk, no network, one program.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cpio::Archive;
use crate::{END_MARK, World};

/// Packs busybox, `modules` (loaded in this order), and `program` with the libraries it needs here.
pub(crate) fn pack(busybox: &Path, modules: &[PathBuf], program: &Path, world: World) -> Result<Vec<u8>, String> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "modules", "proc", "sys", "tmp", "tree"] {
        archive.folder(folder);
    }
    archive.file("bin/busybox", &read(busybox)?);
    let mut loads = String::new();
    for (number, module) in modules.iter().enumerate() {
        let path = format!("modules/{number}.ko");
        archive.file(&path, &unpacked(module)?);
        loads += &format!("insmod /{path} || echo 'guest: {} does not load'\n", module.display());
    }
    archive.file("program", &read(program)?);
    let mut folders = Vec::new();
    for library in libraries(program)? {
        for folder in library.ancestors().skip(1).filter(|f| f.parent().is_some()).collect::<Vec<_>>().into_iter().rev()
        {
            let folder = folder.to_string_lossy().trim_start_matches('/').to_owned();
            if !folders.contains(&folder) {
                archive.folder(&folder);
                folders.push(folder);
            }
        }
        archive.file(library.to_string_lossy().trim_start_matches('/'), &read(&library)?);
    }
    archive.file("init", init(&loads, world).as_bytes());
    Ok(archive.finish())
}

fn init(loads: &str, world: World) -> String {
    let tree = if world == World::Tree { TREE } else { "" };
    format!(
        "#!/bin/busybox sh\n\
         /bin/busybox --install -s /bin\n\
         export PATH=/bin\n\
         mount -t proc none /proc\n\
         mount -t sysfs none /sys\n\
         mount -t devtmpfs none /dev\n\
         {loads}\
         {tree}\
         /program </dev/null\n\
         echo \"{END_MARK}$?\"\n\
         poweroff -f\n"
    )
}

/// Folders that something writes to lie in memory; the rest is the tree's. XKB's data are the tree's for the program, too.
const TREE: &str = "\
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=524288,cache=loose tree /tree || echo 'guest: no tree'
mkdir -m 1777 /dev/shm
for folder in dev proc sys; do mount -o bind /$folder /tree/$folder; done
for folder in run tmp; do mount -t tmpfs -o mode=1777 none /tree/$folder; done
mkdir -p /tree/run/udev/rules.d
echo 'SUBSYSTEM==\"input\", MODE=\"0666\"' >/tree/run/udev/rules.d/99-input.rules
chroot /tree /usr/lib/systemd/systemd-udevd --daemon
export SYSTEMD_IGNORE_CHROOT=1
chroot /tree udevadm trigger --action=add --subsystem-match=input
chroot /tree udevadm settle
export XKB_CONFIG_ROOT=/tree/usr/share/X11/xkb
";

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// A module as the kernel's loader takes it from busybox.
fn unpacked(module: &Path) -> Result<Vec<u8>, String> {
    if module.extension().is_none_or(|e| e != "xz") {
        return read(module);
    }
    let done = Command::new("xz").arg("--decompress").arg("--stdout").arg(module).output();
    let done = done.map_err(|e| format!("xz: {e}"))?;
    if done.status.success() { Ok(done.stdout) } else { Err(format!("xz fails on {}", module.display())) }
}

/// The shared libraries of a program, its loader included, where this system has them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>, String> {
    let done = Command::new("ldd").arg(program).output().map_err(|e| format!("ldd: {e}"))?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}
