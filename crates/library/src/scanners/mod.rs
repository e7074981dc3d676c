//! One scanner per store.

mod bottles;
mod desktop;
mod heroic;
mod itch;
mod lutris;
mod retroarch;
mod steam;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::look::{Look, Problem, Stamp};
use crate::{Roots, Title};

/// Something that knows where games are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scanner {
    /// Steam: its own games, and others that people added to it.
    Steam,
    /// Heroic: Epic, GOG, Amazon, and what people added.
    Heroic,
    /// Lutris.
    Lutris,
    /// Bottles' library.
    Bottles,
    /// itch.
    Itch,
    /// RetroArch's playlists.
    RetroArch,
    /// Games of Flatpak.
    Flatpak,
    /// Games with a `.desktop` file.
    Desktop,
}

/// What a scanner found.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// The games, by title.
    pub titles: Vec<Title>,
    /// What could not be read. The rest was.
    pub problems: Vec<Problem>,
    /// How everything looked that was read: as long as it looks so, another scan finds the same.
    pub stamps: Vec<(PathBuf, Option<Stamp>)>,
    /// How long it took.
    pub took: Duration,
}

impl Scanner {
    /// Every scanner, in the order in which their titles are kept when two stores know the same game.
    pub const ALL: [Self; 8] = [
        Self::Steam,
        Self::Heroic,
        Self::Lutris,
        Self::Bottles,
        Self::Itch,
        Self::RetroArch,
        Self::Flatpak,
        Self::Desktop,
    ];

    /// As in the configuration, the API and the ids.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Steam => "steam",
            Self::Heroic => "heroic",
            Self::Lutris => "lutris",
            Self::Bottles => "bottles",
            Self::Itch => "itch",
            Self::RetroArch => "retroarch",
            Self::Flatpak => "flatpak",
            Self::Desktop => "desktop",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Looks. Blocking: as long as the disk takes. Never fails: what goes wrong is among the problems.
    #[must_use]
    pub fn scan(self, roots: &Roots) -> Scan {
        let started = Instant::now();
        let mut look = Look::default();
        let titles = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Steam => steam::scan(roots, &mut look),
            Self::Heroic => heroic::scan(roots, &mut look),
            Self::Lutris => lutris::scan(roots, &mut look),
            Self::Bottles => bottles::scan(roots, &mut look),
            Self::Itch => itch::scan(roots, &mut look),
            Self::RetroArch => retroarch::scan(roots, &mut look),
            Self::Flatpak => desktop::scan(roots, &mut look, true),
            Self::Desktop => desktop::scan(roots, &mut look, false),
        }));
        let mut titles = titles.unwrap_or_else(|_| {
            look.broken(&roots.home, format!("a bug in the {} scanner; the log has more", self.name()));
            Vec::new()
        });
        tidy(&mut titles);
        Scan { titles, problems: look.problems, stamps: look.stamps, took: started.elapsed() }
    }
}

impl Scan {
    /// Whether everything still looks as it did.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.stamps.iter().all(|(path, stamp)| Stamp::of(path) == *stamp)
    }
}

/// Sorted, each id once, each title for people.
fn tidy(titles: &mut Vec<Title>) {
    let mut seen = std::collections::HashSet::new();
    titles.retain_mut(|title| {
        title.title = crate::clean_title(&title.title);
        if title.title.is_empty() {
            title.title = title.id.clone();
        }
        seen.insert(title.id.clone())
    });
    let folded = |title: &Title| title.title.to_lowercase();
    titles.sort_by(|a, b| folded(a).cmp(&folded(b)).then_with(|| a.id.cmp(&b.id)));
}

/// How a launcher is called: a program, or a Flatpak.
#[derive(Clone, Debug)]
enum Caller {
    Program(String),
    Flatpak(&'static str),
}

impl Caller {
    /// A shell command with these arguments.
    fn command(&self, arguments: &[&str]) -> String {
        let head = match self {
            Self::Program(program) => vec![program.as_str()],
            Self::Flatpak(app) => vec!["flatpak", "run", app],
        };
        crate::join(head.into_iter().chain(arguments.iter().copied()))
    }
}

/// A file that is there.
fn existing(path: PathBuf) -> Option<PathBuf> {
    path.is_file().then_some(path)
}
