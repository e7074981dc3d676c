//! Which desktop is streamed: finds the candidates, logs each refusal, takes the first that can be used.

use std::ffi::OsString;
use std::sync::Arc;

use punktfunk_desktop::{
    Candidate, DesktopChoice as BackendChoice, DetectConfig, Environment, KeyboardLayout, PrivateConfig,
    PrivateContent, detect,
};
use punktfunk_media::{AudioPolicyCell, Desktop};

use crate::cli::DesktopChoice;
use crate::config::Config;
use crate::exit::Failure;
use crate::paths::Paths;

/// Every desktop that the configuration allows, best first. `audio` says who hears a running session.
#[must_use]
pub fn candidates(config: &Config, paths: &Paths, audio: &AudioPolicyCell) -> Vec<Candidate> {
    let mut private = PrivateConfig::below(paths.runtime.join("desktops"));
    private.content = match &config.private_desktop_shell {
        Some(command) => PrivateContent::Shell(command.clone()),
        None => PrivateContent::BuiltIn { scene: Some(scene_command()) },
    };
    detect(&DetectConfig {
        choice: match config.desktop {
            DesktopChoice::Auto => BackendChoice::Auto,
            DesktopChoice::Wlroots => BackendChoice::Wlroots,
            DesktopChoice::Private => BackendChoice::Private,
        },
        environment: Environment::current(),
        keyboard: config.keyboard_layout.as_deref().map(KeyboardLayout::parse),
        private,
        audio: audio.clone(),
    })
}

/// The first usable candidate.
///
/// # Errors
/// The last candidate's reason when none can be used.
pub fn choose(config: &Config, paths: &Paths, audio: &AudioPolicyCell) -> Result<Arc<dyn Desktop>, Failure> {
    let mut refused = None;
    for candidate in candidates(config, paths, audio) {
        match candidate.desktop {
            Ok(desktop) => {
                tracing::info!(
                    desktop = candidate.name,
                    version = desktop.info().version,
                    why = candidate.why,
                    "desktop"
                );
                return Ok(desktop);
            }
            Err(e) => {
                tracing::info!(desktop = candidate.name, why = candidate.why, "passed over: {e}");
                refused = Some(Failure::new(e.reason, e.detail));
            }
        }
    }
    // `detect` promises at least one candidate.
    Err(refused.unwrap_or_else(|| Failure::new(&punktfunk_media::reason::DESKTOP_MISSING, "")))
}

/// Our own binary in scene mode. Through `/proc`, because the path it was started by may be closed to the user it has
/// become; the link stays good for as long as this host lives, and the scene is started once, at the desktop's start.
fn scene_command() -> Vec<OsString> {
    vec![format!("/proc/{}/exe", std::process::id()).into(), "scene".into()]
}
