//! The private desktop's wallpaper and bar alone: `WAYLAND_DISPLAY=… scene`. Used by the tests; the host has a mode for
//! it.

fn main() -> std::process::ExitCode {
    match punktfunk_desktop::scene::run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            std::process::ExitCode::FAILURE
        }
    }
}
