//! What moves on a private desktop: the wallpaper with a clock, drawn by the host's own binary in its scene mode.

/// Runs the wallpaper until the compositor ends. Connects by `WAYLAND_DISPLAY`.
///
/// # Errors
/// A sentence for the log when the compositor lacks what it needs.
pub fn run() -> Result<(), String> {
    Err("not there yet".to_owned())
}
