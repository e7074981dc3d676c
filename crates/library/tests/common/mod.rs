//! Stores as they are on a disk, made by these tests.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use punktfunk_library::{Roots, Scan, Scanner};

/// A home folder.
pub struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("not the root")).expect("made");
        fs::write(&path, content).expect("written");
        path
    }

    pub fn program(&self, name: &str) {
        let path = self.write(&format!("usr/bin/{name}"), "#!/bin/sh\n");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("allowed");
    }

    pub fn roots(&self) -> Roots {
        Roots::below(self.dir.path())
    }

    pub fn scan(&self, scanner: Scanner) -> Scan {
        scanner.scan(&self.roots())
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }
}

/// A Steam app's manifest.
pub fn manifest(app: u32, name: &str, flags: u32) -> String {
    format!(
        "\"AppState\"\n{{\n\t\"appid\"\t\t\"{app}\"\n\t\"universe\"\t\t\"1\"\n\t\"name\"\t\t\"{name}\"\n\t\"StateFlags\"\t\t\"{flags}\"\n\
         \t\"installdir\"\t\t\"dir{app}\"\n\t\"UserConfig\"\n\t{{\n\t\t\"language\"\t\t\"english\"\n\t}}\n}}\n"
    )
}

/// A binary `shortcuts.vdf`: app, name, hidden.
pub fn shortcuts(games: &[(u32, &str, bool)]) -> Vec<u8> {
    let mut out = b"\0shortcuts\0".to_vec();
    for (index, (app, name, hidden)) in games.iter().enumerate() {
        out.extend(format!("\0{index}\0").bytes());
        out.extend(b"\x02appid\0");
        out.extend(app.to_le_bytes());
        out.extend(format!("\x01AppName\0{name}\0\x01Exe\0\"/opt/x\"\0").bytes());
        out.extend(b"\x02IsHidden\0");
        out.extend(u32::from(*hidden).to_le_bytes());
        out.extend(b"\0tags\0\x08\x08");
    }
    out.extend(b"\x08\x08");
    out
}

/// What a scan found, as `id title`.
pub fn found(scan: &Scan) -> Vec<String> {
    scan.titles.iter().map(|t| format!("{} {}", t.id, t.title)).collect()
}

/// The codes of a scan's problems.
pub fn codes(scan: &Scan) -> Vec<&'static str> {
    scan.problems.iter().map(|p| p.reason.code).collect()
}

pub fn title<'a>(scan: &'a Scan, id: &str) -> &'a punktfunk_library::Title {
    scan.titles.iter().find(|t| t.id == id).unwrap_or_else(|| panic!("no {id} in {:?}", found(scan)))
}
