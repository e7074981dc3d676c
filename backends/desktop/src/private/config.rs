//! How private desktops are made.

use std::ffi::OsString;
use std::path::PathBuf;

use punktfunk_media::GpuInUse;

/// Who composites private desktops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PrivateCompositor {
    /// A headless sway.
    #[default]
    Sway,
    /// The built-in one.
    BuiltIn {
        /// The command that runs [`punktfunk_compositor::run_worker`], without its mode: the host's own binary.
        worker: Vec<OsString>,
    },
}

/// Settings of the private desktop.
#[derive(Clone, Debug)]
pub struct PrivateConfig {
    /// Folder for the desktops' own runtime folders, e.g. `$XDG_RUNTIME_DIR/punktfunk/desktops`; made when missing.
    pub runtime_dir: PathBuf,
    /// Who composites them.
    pub compositor: PrivateCompositor,
    /// What they, and programs on them, may draw with.
    pub gpu: GpuInUse,
    /// What is to be seen on them.
    pub content: PrivateContent,
    /// Command put in front of the compositor's own (`chroot …`, `setpriv …`); empty as a rule. It must end in an
    /// `exec` of what follows.
    pub launcher: Vec<OsString>,
    /// User and group that the launcher changes to, so that the runtime folders can be given to them; `None` as a rule.
    pub owner: Option<(u32, u32)>,
}

impl PrivateConfig {
    /// The usual settings below `runtime_dir`.
    #[must_use]
    pub fn below(runtime_dir: PathBuf) -> Self {
        Self {
            runtime_dir,
            compositor: PrivateCompositor::Sway,
            gpu: GpuInUse::default(),
            content: PrivateContent::default(),
            launcher: Vec::new(),
            owner: None,
        }
    }
}

/// What a private desktop shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrivateContent {
    /// A wallpaper with a moving clock behind what can be started, or behind a terminal.
    BuiltIn {
        /// The command that runs [`crate::scene::run`] (the host's own binary in its scene mode); `None`: only the
        /// terminal on a plain colour.
        scene: Option<Vec<OsString>>,
        /// The command that shows what can be started, on the built-in desktop; the client's identity is added as its last
        /// word. `None`: a terminal is there from the start, as on a sway.
        launcher: Option<Vec<OsString>>,
    },
    /// This command alone (`--private-desktop-shell`), run by `sh -c` on a plain background.
    Shell(String),
    /// Nothing but the background colour.
    Empty,
}

impl Default for PrivateContent {
    fn default() -> Self {
        Self::BuiltIn { scene: None, launcher: None }
    }
}
