//! Which desktop is streamed: finds the candidates, logs each refusal, takes the first that can be used.

use std::ffi::OsString;
use std::sync::Arc;

use punktfunk_desktop::{
    Candidate, DesktopChoice as BackendChoice, DetectConfig, Environment, KeyboardLayout, PrivateCompositor,
    PrivateConfig, PrivateContent, detect,
};
use punktfunk_media::{AudioPolicyCell, Desktop, Gpu, GpuChoice, GpuInUse};

use crate::cli::{DesktopChoice, PrivateDesktopChoice};
use crate::config::Config;
use crate::exit::Failure;
use crate::paths::Paths;

/// Every desktop that the configuration allows, best first. `audio` says who hears a running session, `gpu` what draws
/// private ones.
#[must_use]
pub fn candidates(config: &Config, paths: &Paths, audio: &AudioPolicyCell, gpu: &GpuInUse) -> Vec<Candidate> {
    let mut private = PrivateConfig::below(paths.runtime.join("desktops"));
    private.gpu = gpu.clone();
    private.compositor = match composited_by_sway(&config.private_desktop, gpu.choice()) {
        true => PrivateCompositor::Sway,
        false => PrivateCompositor::BuiltIn { worker: own_command("compositor") },
    };
    private.content = match (&config.private_desktop, &config.private_desktop_shell) {
        (PrivateDesktopChoice::Command(command), _) | (_, Some(command)) => PrivateContent::Shell(command.clone()),
        (_, None) => PrivateContent::BuiltIn {
            scene: Some(own_command("scene")),
            launcher: Some([own_command("launcher"), vec![paths.control_socket().into()]].concat()),
        },
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

/// Whether private desktops are a sway's. Where there is a GPU programs may draw with it, which the built-in compositor has
/// not been seen to do.
#[must_use]
pub fn composited_by_sway(choice: &PrivateDesktopChoice, gpu: &GpuChoice) -> bool {
    let installed = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|dir| dir.join("sway").is_file())
    };
    by_sway(choice, gpu, punktfunk_desktop::gpus, installed)
}

/// The same on a machine with these GPUs, where sway is `installed`.
fn by_sway(
    choice: &PrivateDesktopChoice,
    gpu: &GpuChoice,
    gpus: impl Fn() -> Vec<Gpu>,
    installed: impl Fn() -> bool,
) -> bool {
    match choice {
        PrivateDesktopChoice::Sway => true,
        PrivateDesktopChoice::Builtin | PrivateDesktopChoice::Command(_) => false,
        PrivateDesktopChoice::Auto => {
            let usable = match gpu {
                GpuChoice::None => false,
                GpuChoice::One(_) => true,
                GpuChoice::Auto => gpus().iter().any(|gpu| gpu.closed.is_none()),
            };
            usable && installed()
        }
    }
}

/// The first usable candidate.
///
/// # Errors
/// The last candidate's reason when none can be used.
pub fn choose(
    config: &Config,
    paths: &Paths,
    audio: &AudioPolicyCell,
    gpu: &GpuInUse,
) -> Result<Arc<dyn Desktop>, Failure> {
    let mut refused = None;
    for candidate in candidates(config, paths, audio, gpu) {
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

/// Our own binary with another command. Through `/proc`, because the path it was started by may be closed to the user it has
/// become; the link stays good for as long as this host lives, and desktops with all that is on them start within that time.
fn own_command(command: &str) -> Vec<OsString> {
    vec![format!("/proc/{}/exe", std::process::id()).into(), command.into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_gpu_the_host_composites_itself_and_so_it_does_when_told_that_there_is_none() {
        let root = tempfile::tempdir().expect("a folder");
        let dri = root.path().join("dev/dri");
        std::fs::create_dir_all(root.path().join("sys/class/drm/renderD128")).expect("a node for the kernel");
        std::fs::create_dir_all(&dri).expect("a folder for nodes");
        let gpus = || punktfunk_desktop::gpus_below(root.path());
        let auto = |gpu: &GpuChoice, installed| by_sway(&PrivateDesktopChoice::Auto, gpu, gpus, || installed);
        assert!(!auto(&GpuChoice::Auto, true), "its node does not open");
        std::fs::write(dri.join("renderD128"), "").expect("a node");
        let one = GpuChoice::One(gpus().remove(0));
        assert_eq!([&GpuChoice::Auto, &one, &GpuChoice::None].map(|gpu| auto(gpu, true)), [true, true, false]);
        assert_eq!([&GpuChoice::Auto, &one, &GpuChoice::None].map(|gpu| auto(gpu, false)), [false; 3]);
        // Whoever names a compositor gets it.
        assert!(by_sway(&PrivateDesktopChoice::Sway, &GpuChoice::None, gpus, || false));
        assert!(!by_sway(&PrivateDesktopChoice::Builtin, &one, gpus, || true));
    }
}
