//! Which kernel modules a program needs, and in which order they load.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The modules below a folder `lib/modules/VERSION`.
#[derive(Debug)]
pub(crate) struct Modules {
    /// Name → file and the files it needs, as `depmod` found.
    known: BTreeMap<String, (String, Vec<String>)>,
    root: PathBuf,
}

impl Modules {
    pub fn read(root: &Path) -> Result<Self, String> {
        let list = root.join("modules.dep");
        let text = std::fs::read_to_string(&list).map_err(|e| format!("{}: {e}", list.display()))?;
        Ok(Self { known: parse(&text), root: root.to_owned() })
    }

    /// The files to load for `names`, what others need first. A module that is built into the kernel is left out.
    pub fn in_order(&self, names: &[&str]) -> Vec<PathBuf> {
        let mut files: Vec<&String> = Vec::new();
        for name in names {
            let Some((file, needs)) = self.known.get(&plain(name)) else { continue };
            // depmod lists what is needed last first.
            for file in needs.iter().rev().chain([file]) {
                if !files.contains(&file) {
                    files.push(file);
                }
            }
        }
        files.into_iter().map(|file| self.root.join(file)).collect()
    }
}

fn parse(text: &str) -> BTreeMap<String, (String, Vec<String>)> {
    let entry = |line: &str| {
        let (file, needs) = line.split_once(':')?;
        let name = Path::new(file).file_name()?.to_str()?.split('.').next()?;
        Some((plain(name), (file.to_owned(), needs.split_whitespace().map(str::to_owned).collect())))
    };
    text.lines().filter_map(entry).collect()
}

/// Names of modules mix dashes and underscores.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_comes_first_and_once() {
        let text = "kernel/a-b.ko.xz: kernel/c.ko.xz kernel/d.ko.xz\nkernel/c.ko.xz: kernel/d.ko.xz\nkernel/d.ko.xz:\n";
        let modules = Modules { known: parse(text), root: PathBuf::from("/m") };
        let order = modules.in_order(&["a_b", "c", "builtin"]);
        assert_eq!(order, ["/m/kernel/d.ko.xz", "/m/kernel/c.ko.xz", "/m/kernel/a-b.ko.xz"].map(PathBuf::from));
    }
}
