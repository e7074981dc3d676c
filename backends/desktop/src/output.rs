//! Outputs of a sway: giving one a mode, and seeing that it took it.

use std::path::Path;
use std::time::{Duration, Instant};

use punktfunk_media::{Mode, StageError, is_scale_percent, reason};

use crate::ipc::{IpcError, Output, OutputMode, SwayIpc};

/// Refuses modes that no output of this kind can have, before the compositor is asked.
///
/// # Errors
/// A sentence naming the mode.
pub fn check(mode: Mode) -> Result<(), String> {
    let pixels = u64::from(mode.width) * u64::from(mode.height);
    let sides = [mode.width, mode.height].into_iter().all(|side| (1..=LARGEST_SIDE).contains(&side));
    if sides && pixels <= MOST_PIXELS && (1..=HIGHEST_REFRESH_HZ).contains(&mode.refresh_hz) {
        Ok(())
    } else {
        Err(format!("{mode} is outside of 1x1@1 to {LARGEST_SIDE}x{LARGEST_SIDE}@{HIGHEST_REFRESH_HZ}"))
    }
}

/// Gives output `name` exactly `mode`, with `extra` output subcommands, and waits until sway says so.
///
/// # Errors
/// Sway's words, or what it did instead.
pub fn set_mode(ipc: &mut SwayIpc, name: &str, mode: Mode, extra: &str) -> Result<Output, ModeError> {
    check(mode).map_err(ModeError::Refused)?;
    let Mode { width, height, refresh_hz } = mode;
    ipc.command(&format!("output {name} {extra} mode --custom {width}x{height}@{refresh_hz}Hz"))?;
    let wanted = wanted(mode);
    let until = Instant::now() + ACTIVE_WITHIN;
    loop {
        let outputs = ipc.outputs()?;
        let output = outputs.into_iter().find(|o| o.name == name);
        let now = output.as_ref().filter(|o| o.active).and_then(|o| o.current_mode);
        match output {
            Some(output) if now == Some(wanted) => return Ok(output),
            None => return Err(ModeError::Gone(format!("output {name} is gone"))),
            _ if Instant::now() >= until => {
                return Err(ModeError::Refused(format!("asked for {mode}, got {now:?}")));
            }
            _ => std::thread::sleep(LOOK_AGAIN_AFTER),
        }
    }
}

/// Changes the mode of a live output; on failure the old mode is set again.
///
/// # Errors
/// [`StageError`], fatal when the output or sway is gone.
pub fn change_mode(ipc: &Path, name: &str, old: Mode, new: Mode) -> Result<Mode, StageError> {
    let mut connection = SwayIpc::connect(ipc).map_err(|e| ModeError::from(e).into_stage_error())?;
    match set_mode(&mut connection, name, new, "") {
        Ok(_) => Ok(new),
        Err(error) => {
            // Best effort: what went wrong is told below either way.
            let _ = set_mode(&mut connection, name, old, "");
            Err(error.into_stage_error())
        }
    }
}

/// Changes how large programs draw on a live output.
///
/// # Errors
/// [`StageError`], fatal when sway is gone.
pub fn change_scale(ipc: &Path, name: &str, percent: u32) -> Result<(), StageError> {
    check_scale(percent)?;
    let command = format!("output {name} scale {}.{:02}", percent / 100, percent % 100);
    let done = SwayIpc::connect(ipc).and_then(|mut ipc| ipc.command(&command));
    done.map_err(|error| match error {
        IpcError::Refused { .. } => {
            StageError { reason: &reason::DESKTOP_SCALE_REFUSED, detail: error.to_string(), fatal: false }
        }
        _ => ModeError::from(error).into_stage_error(),
    })
}

/// Refuses what no display can be scaled by, before a compositor is asked.
///
/// # Errors
/// [`StageError`] with `desktop.scale_refused`.
pub fn check_scale(percent: u32) -> Result<(), StageError> {
    if is_scale_percent(percent) {
        return Ok(());
    }
    let detail = format!("{percent} %");
    Err(StageError { reason: &reason::DESKTOP_SCALE_REFUSED, detail, fatal: false })
}

/// An output's mode in our words.
pub fn mode_of(output: &Output) -> Option<Mode> {
    let OutputMode { width, height, refresh } = output.current_mode.filter(|_| output.active)?;
    Some(Mode { width, height, refresh_hz: refresh.div_ceil(1000) })
}

fn wanted(mode: Mode) -> OutputMode {
    OutputMode { width: mode.width, height: mode.height, refresh: mode.refresh_hz * 1000 }
}

/// Why an output has not the wanted mode.
#[derive(Debug)]
pub enum ModeError {
    /// Sway did not take it.
    Refused(String),
    /// The output or sway itself is gone.
    Gone(String),
}

impl From<IpcError> for ModeError {
    fn from(error: IpcError) -> Self {
        match error {
            IpcError::Refused { .. } => Self::Refused(error.to_string()),
            _ => Self::Gone(error.to_string()),
        }
    }
}

impl ModeError {
    fn into_stage_error(self) -> StageError {
        match self {
            Self::Refused(detail) => StageError { reason: &reason::DESKTOP_MODE_REFUSED, detail, fatal: false },
            Self::Gone(detail) => StageError { reason: &reason::DESKTOP_DIED, detail, fatal: true },
        }
    }

    /// The same as a failure to open.
    pub fn into_open_error(self) -> punktfunk_media::OpenError {
        match self {
            Self::Refused(detail) => punktfunk_media::OpenError { reason: &reason::DESKTOP_MODE_REFUSED, detail },
            Self::Gone(detail) => punktfunk_media::OpenError { reason: &reason::DESKTOP_OPEN_FAILED, detail },
        }
    }
}

/// What wlroots accepts for a side.
const LARGEST_SIDE: u32 = 16_384;
/// 8192x8192: a picture of 256 MiB, of which a compositor keeps two or three.
const MOST_PIXELS: u64 = 8192 * 8192;
const HIGHEST_REFRESH_HZ: u32 = 1000;
/// A mode is active with the next commit; this is only exceeded by a compositor that chose another.
const ACTIVE_WITHIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_modes_are_refused_before_the_compositor_sees_them() {
        let mode = |width, height, refresh_hz| Mode { width, height, refresh_hz };
        for bad in [mode(0, 720, 60), mode(1280, 0, 60), mode(1280, 720, 0), mode(20_000, 20_000, 60)] {
            assert!(check(bad).is_err(), "{bad}");
        }
        for good in [mode(1, 1, 1), mode(1365, 767, 59), mode(7680, 4320, 240)] {
            assert_eq!(check(good), Ok(()));
        }
    }
}
