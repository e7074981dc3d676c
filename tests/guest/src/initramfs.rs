//! What the guest is made of: no disk, no network, one program.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::END_MARK;
use crate::cpio::Archive;

/// Packs busybox, `modules` (loaded in this order), and `program` with the libraries it needs here.
pub(crate) fn pack(busybox: &Path, modules: &[PathBuf], program: &Path) -> Result<Vec<u8>, String> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "modules", "proc", "sys", "tmp"] {
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
    archive.file("init", init(&loads).as_bytes());
    Ok(archive.finish())
}

fn init(loads: &str) -> String {
    format!(
        "#!/bin/busybox sh\n\
         /bin/busybox --install -s /bin\n\
         export PATH=/bin\n\
         mount -t proc none /proc\n\
         mount -t sysfs none /sys\n\
         mount -t devtmpfs none /dev\n\
         {loads}\
         /program </dev/null\n\
         echo \"{END_MARK}$?\"\n\
         poweroff -f\n"
    )
}

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
