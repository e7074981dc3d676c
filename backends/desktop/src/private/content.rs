//! The files of a private desktop, and the programs on it.

use std::path::Path;

use punktfunk_compositor::X11_DISPLAYS_FILE;
use punktfunk_media::Mode;

use super::config::PrivateContent;
use crate::detect::Environment;
use crate::shell::{quote, quote_all};

/// The script that becomes sway.
pub const START_SCRIPT: &str = "start.sh";

/// The workspace of programs that clients start. It has neither gaps nor borders around a window that is alone on it, so
/// that a program fills the output; the terminal and what moves stay behind on their own.
pub const PROGRAMS: &str = "punktfunk";

/// Every file that must be in the runtime folder before sway starts: name and text.
/// `x11`: whether X11 programs run, too.
pub fn files(content: &PrivateContent, mode: Mode, x11: bool) -> [(&'static str, String); 3] {
    let config = sway_config(content, mode, x11);
    [(START_SCRIPT, START_SWAY.to_owned()), ("sway.conf", config), ("foot.ini", FOOT.to_owned())]
}

/// The same for a built-in desktop.
pub fn builtin_files() -> [(&'static str, String); 2] {
    [(START_SCRIPT, START_BUILTIN.to_owned()), ("foot.ini", FOOT.to_owned())]
}

/// Whom a desktop is for.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The client's name, for people.
    pub name: &'a str,
    /// Its identity, where the desktop can show what can be started.
    pub launches_as: Option<&'a str>,
}

/// A shell script that brings a program up: a script, since sway's own quoting of commands differs between versions.
#[derive(Debug)]
pub struct Script {
    /// Its file.
    pub name: &'static str,
    /// What it says.
    pub text: String,
    /// Whether it runs from the start; others are there for whoever wants them.
    pub at_once: bool,
}

/// The programs of a desktop.
pub fn programs(content: &PrivateContent, environment: &Environment, owner: Owner<'_>) -> Vec<Script> {
    let script = |name, text| Script { name, text, at_once: true };
    match content {
        PrivateContent::Empty => Vec::new(),
        PrivateContent::Shell(command) => vec![script("shell.sh", format!("{command}\n"))],
        PrivateContent::BuiltIn { scene, launcher } => {
            let launcher = launcher.as_ref().zip(owner.launches_as);
            let scene = scene.iter().map(|words| script("scene.sh", format!("exec {}\n", quote_all(words))));
            // It ends well with its desktop alone.
            let again = |(words, identity): (&Vec<_>, _)| {
                format!("until {} {}; do sleep 1; done\n", quote_all(words), quote(identity))
            };
            let terminal =
                Script { name: "terminal.sh", text: terminal(environment, owner.name), at_once: launcher.is_none() };
            scene.chain(launcher.map(|l| script("launcher.sh", again(l)))).chain([terminal]).collect()
        }
    }
}

fn sway_config(content: &PrivateContent, mode: Mode, x11: bool) -> String {
    let Mode { width, height, refresh_hz } = mode;
    // The built-in scene draws its own background.
    let background = match content {
        PrivateContent::BuiltIn { scene: Some(_), .. } => "",
        _ => "output * bg #16222e solid_color\n",
    };
    // The X server starts with the first of its programs. Whoever clears up after a killed sway must know its number.
    let x11 = match x11 {
        true => format!(
            "xwayland enable\nexec test -z \"$DISPLAY\" || echo \"${{DISPLAY#:}}\" >\"$XDG_RUNTIME_DIR/{X11_DISPLAYS_FILE}\"\n"
        ),
        false => "xwayland disable\n".to_owned(),
    };
    format!(
        "# Made by punktfunk for one private desktop; gone with it.\n\
         {x11}\
         output * mode --custom {width}x{height}@{refresh_hz}Hz scale 1\n\
         {background}\
         exec sh $XDG_RUNTIME_DIR/sound.sh\n\
         default_border pixel 1\n\
         client.focused #4fb3bf #4fb3bf #ffffff #4fb3bf #4fb3bf\n\
         client.unfocused #2a3a4a #2a3a4a #8899aa #2a3a4a #2a3a4a\n\
         gaps inner 20\n\
         workspace {PROGRAMS} gaps inner 0\n\
         smart_borders no_gaps\n\
         focus_on_window_activation focus\n\
         bindsym Mod4+Return exec foot --config=$XDG_RUNTIME_DIR/foot.ini\n\
         bindsym Mod4+Shift+q kill\n\
         bindsym Mod4+f fullscreen\n\
         bindsym Mod4+Left focus left\n\
         bindsym Mod4+Right focus right\n\
         bindsym Mod4+Up focus up\n\
         bindsym Mod4+Down focus down\n\
         floating_modifier Mod4 normal\n"
    )
}

/// A terminal that greets and then runs the person's shell.
fn terminal(environment: &Environment, name: &str) -> String {
    let shell = environment
        .get("SHELL")
        .filter(|s| !s.ends_with("nologin") && !s.ends_with("false") && Path::new(s).exists())
        .unwrap_or("/bin/bash");
    let greeting = format!(
        "printf '\\033[1;36mpunktfunk\\033[0m  private desktop of %s\\n\\n\
         Type here; Super+Return opens another terminal, Super+Shift+Q closes one.\\n\\n' {}; cd; exec {} -i",
        quote(name),
        quote(shell)
    );
    format!("exec foot --log-level=error --config=\"$XDG_RUNTIME_DIR/foot.ini\" sh -c {}\n", quote(&greeting))
}

/// Starts a line of [`START_SWAY`] or [`START_BUILTIN`]: the bus comes up in the background, as programs start later than
/// the compositor and wait for its socket; one that dies is started again.
macro_rules! start_script {
    ($compositor:literal) => {
        concat!(
            "# Made by punktfunk for one private desktop; gone with it.\n",
            "if command -v dbus-daemon >/dev/null 2>&1; then\n",
            "    while :; do\n",
            "        rm -f \"$XDG_RUNTIME_DIR/bus\"\n",
            "        dbus-daemon --session --nofork --nopidfile --address=\"$DBUS_SESSION_BUS_ADDRESS\"\n",
            "        sleep 0.3\n",
            "    done &\n",
            "fi\n",
            $compositor,
            "\n"
        )
    };
}

/// A sway that finds NVIDIA's own driver loaded ends at once, whatever it draws with, unless it is told not to.
const START_SWAY: &str = start_script!(
    "if grep -qs '^nvidia ' /proc/modules; then set -- --unsupported-gpu; fi\nexec sway \"$@\" --config \"$XDG_RUNTIME_DIR/sway.conf\""
);
/// The worker's command comes as arguments.
const START_BUILTIN: &str = start_script!("exec \"$@\"");

const FOOT: &str = "# Made by punktfunk for one private desktop; gone with it.
font=monospace:size=12
pad=14x10
[cursor]
blink=no
[colors]
background=101a24
foreground=d8e2ea
alpha=0.94
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_has_the_exact_mode() {
        let mode = Mode { width: 1365, height: 767, refresh_hz: 59 };
        assert!(sway_config(&PrivateContent::Empty, mode, false).contains("mode --custom 1365x767@59Hz"));
    }
}
