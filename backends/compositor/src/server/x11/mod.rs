//! X11 programs: a display that is there from the start, and an Xwayland behind it once the first of them connects.
//!
//! ```text
//! DisplayName (socket) ── first program connects ──► Xwayland starts ──► X11Wm: windows, focus, selections
//!        ▲                                                  │
//!        └───────────── waits again ◄──── it ends, hangs or breaks
//! ```

mod display;
mod link;
mod manager;
mod stuck;

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use smithay::reexports::calloop::LoopHandle;
use smithay::reexports::wayland_server::{Client, DisplayHandle};
use smithay::wayland::xwayland_shell::XWaylandShellState;
use smithay::xwayland::xwm::settings::Value;
use smithay::xwayland::{X11Surface, X11Wm, XWayland, XWaylandClientData};

use super::state::State;
use super::window::AppWindow;
use crate::xwayland;
pub use display::{DisplayName, remove_stale};
pub use stuck::Beat;
use stuck::StuckWatch;

/// Everything about X11.
pub struct X11 {
    /// `None`: there is no X11 here.
    display: Option<DisplayName>,
    /// Where the link to this binary lies.
    folder: PathBuf,
    /// The real Xwayland.
    program: PathBuf,
    server: Server,
    /// The window manager; one whose server is gone stays until the next comes, as smithay may still ask for it.
    manager: Option<X11Wm>,
    pub(super) shell: XWaylandShellState,
    handle: LoopHandle<'static, State>,
    beat: Arc<Beat>,
    /// Starts that failed one after another.
    failures: u32,
    /// No start before this time.
    again: Option<Instant>,
}

enum Server {
    Off,
    Starting { server: XWayland, client: Client, watch: Option<StuckWatch>, until: Instant },
    Running { _server: XWayland, client: Client, _watch: Option<StuckWatch>, since: Instant },
}

impl X11 {
    /// Takes a display if an Xwayland is installed. Starts nothing.
    pub fn new(display: &DisplayHandle, runtime_dir: &Path, handle: LoopHandle<'static, State>) -> Self {
        let mut this = Self {
            display: None,
            folder: runtime_dir.join(FOLDER),
            program: PathBuf::new(),
            server: Server::Off,
            manager: None,
            shell: XWaylandShellState::new::<State>(display),
            handle,
            beat: Arc::default(),
            failures: 0,
            again: None,
        };
        match this.prepare(runtime_dir) {
            Ok(name) => this.display = Some(name),
            Err(why) => tracing::info!("no X11 programs on this desktop: {why}"),
        }
        this
    }

    fn prepare(&mut self, runtime_dir: &Path) -> Result<DisplayName, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        self.program = find_xwayland(&path).ok_or_else(|| format!("{PROGRAM} is not installed"))?;
        let told = |what: &str, e: std::io::Error| format!("{what}: {e}");
        std::fs::create_dir(&self.folder).map_err(|e| told("its folder", e))?;
        // Not by its path, which may be closed to the user that this process runs as.
        let me = format!("/proc/{}/exe", std::process::id());
        std::os::unix::fs::symlink(me, self.folder.join(PROGRAM)).map_err(|e| told("its link", e))?;
        let name = DisplayName::claim().map_err(|e| told("its display", e))?;
        let numbers = format!("{}\n{}\n", name.number(), name.number() + OWN_NUMBERS);
        std::fs::write(runtime_dir.join(NUMBERS_FILE), numbers).map_err(|e| told("its number", e))?;
        Ok(name)
    }

    /// What goes into `DISPLAY`.
    pub fn number(&self) -> Option<u32> {
        self.display.as_ref().map(DisplayName::number)
    }

    /// The loop tells it when it works and when it sleeps.
    pub fn beat(&self) -> &Beat {
        &self.beat
    }

    /// What to wait for, and until when.
    pub fn awaits(&self) -> (Option<BorrowedFd<'_>>, Option<Instant>) {
        match (&self.server, &self.display) {
            (Server::Off, Some(display)) => match self.again {
                Some(again) if again > Instant::now() => (None, Some(again)),
                _ => (Some(display.as_fd()), None),
            },
            (Server::Starting { server, until, .. }, _) => (Some(server.poll_fd()), Some(*until)),
            _ => (None, None),
        }
    }

    /// What waited in the loop before is void.
    pub fn restart_with(&mut self, handle: LoopHandle<'static, State>) {
        self.handle = handle;
    }

    /// Lets the X server know which window is on top.
    pub fn raise(&mut self, window: &X11Surface) {
        if let (Server::Running { .. }, Some(manager)) = (&self.server, &mut self.manager)
            && let Err(e) = manager.raise_window(window)
        {
            tracing::debug!("an X11 window was not raised: {e}");
        }
    }

    /// The connection of the server that runs.
    fn client(&self) -> Option<&Client> {
        match &self.server {
            Server::Running { client, .. } | Server::Starting { client, .. } => Some(client),
            Server::Off => None,
        }
    }

    /// X11 programs know no scale: they see the output's own pixels, and are told how large letters are to be.
    pub fn set_scale(&mut self, scale: f64) {
        // smithay divides by it, rounded down.
        let scale = scale.max(1.0);
        if let Some(data) = self.client().and_then(|client| client.get_data::<XWaylandClientData>()) {
            data.compositor_state.set_client_scale(scale);
        }
        if let (Server::Running { .. }, Some(manager)) = (&self.server, &mut self.manager) {
            // At most single digits times a hundred thousand.
            let dpi = (scale * DPI * XSETTINGS_DPI_UNIT).round() as i32;
            let settings = [("Xft/DPI".to_owned(), Value::Integer(dpi))];
            if let Err(e) = manager.set_xsettings(settings.into_iter()) {
                tracing::debug!("X11 programs were not told of the scale: {e}");
            }
        }
    }

    fn start(&mut self, display: &DisplayHandle) -> std::io::Result<()> {
        let Some(name) = &self.display else { return Ok(()) };
        let mut path = OsString::from(&self.folder);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let own = [
            (OsString::from("PATH"), path),
            (xwayland::PROGRAM.into(), self.program.clone().into()),
            (xwayland::SOCKET.into(), name.as_fd().as_raw_fd().to_string().into()),
        ];
        let passed_on = std::env::vars_os().filter(|(name, _)| name != "WAYLAND_DISPLAY" && name != "PATH");
        let errors = if tracing::enabled!(tracing::Level::DEBUG) { Stdio::inherit() } else { Stdio::null() };
        // It inherits its socket; this process starts nothing else meanwhile.
        fcntl_setfd(name, FdFlags::empty())?;
        let number = name.number() + OWN_NUMBERS;
        let started = XWayland::spawn(display, number, passed_on.chain(own), false, Stdio::null(), errors, |_| {});
        fcntl_setfd(name, FdFlags::CLOEXEC)?;
        let (server, client) = started?;
        let watch = StuckWatch::start(Arc::clone(&self.beat));
        let watch = watch.inspect_err(|e| tracing::warn!("nobody watches Xwayland: {e}")).ok();
        self.server = Server::Starting { server, client, watch, until: Instant::now() + READY_WITHIN };
        Ok(())
    }

    /// It did not start, or ended. A server that breaks again and again is left alone for longer and longer, and in the
    /// end for good: programs are then refused at once instead of waiting.
    fn ended(&mut self) {
        let before = std::mem::replace(&mut self.server, Server::Off);
        let short = !matches!(&before, Server::Running { since, .. } if since.elapsed() > GOOD_AFTER);
        self.failures = if short { self.failures + 1 } else { 0 };
        if self.failures >= MOST_FAILURES {
            tracing::warn!("Xwayland ended {} times; this desktop goes on without X11", self.failures);
            self.display = None;
        } else if short {
            self.again = Some(Instant::now() + AGAIN_AFTER * self.failures);
        }
    }
}

impl State {
    /// Something that [`X11::awaits`] is there, or its time has passed, or whoever was to send it is gone.
    pub(super) fn advance_x11(&mut self, ready: bool, hung_up: bool) {
        match &mut self.x11.server {
            Server::Off if ready => {
                tracing::info!("an X11 program connects; Xwayland starts");
                if let Err(e) = self.x11.start(&self.display) {
                    tracing::warn!("Xwayland does not start: {e}");
                    self.x11.ended();
                }
                self.x11.set_scale(self.scale);
            }
            Server::Starting { server, until, .. } if ready || *until <= Instant::now() => {
                let late = *until <= Instant::now();
                match server.take_socket() {
                    Ok(Some(socket)) => self.manage_x11(socket),
                    // It tells its number in two writes.
                    Ok(None) if !hung_up && !late => {}
                    _ => self.x11_ended("it ended before it was ready"),
                }
            }
            _ => {}
        }
    }

    fn manage_x11(&mut self, socket: std::os::unix::net::UnixStream) {
        let Server::Starting { server, client, watch, .. } = std::mem::replace(&mut self.x11.server, Server::Off)
        else {
            return;
        };
        match X11Wm::start_wm(self.x11.handle.clone(), socket, client.clone()) {
            Ok(manager) => {
                self.x11.manager = Some(manager);
                let since = Instant::now();
                self.x11.server = Server::Running { _server: server, client, _watch: watch, since };
                self.x11.set_scale(self.scale);
            }
            Err(e) => self.x11_ended(&format!("its windows cannot be managed: {e}")),
        }
    }

    /// Xwayland is gone, and with it everything that X11 programs showed.
    pub(super) fn x11_ended(&mut self, why: &str) {
        if matches!(self.x11.server, Server::Off) && self.x11.manager.is_none() {
            return self.x11.ended();
        }
        tracing::warn!("Xwayland ended: {why}");
        self.x11.ended();
        // smithay keeps surfaces by serials for ever, and the next server counts from 1 again: its windows would be linked to
        // surfaces that are gone.
        let shell = XWaylandShellState::new::<Self>(&self.display);
        let before = std::mem::replace(&mut self.x11.shell, shell);
        self.display.remove_global::<Self>(before.global());
        let all = self.space.elements().chain(&self.unmapped);
        let gone: Vec<_> = all.filter(|w| matches!(w, AppWindow::X11(_))).cloned().collect();
        for window in &gone {
            self.remove_window(window);
        }
    }
}

/// The Xwayland that desktops whose `PATH` is this would start.
#[must_use]
pub fn find_xwayland(path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(PROGRAM)).find(|program| program.is_file())
}

/// In the runtime folder: the display numbers that this desktop uses, a line each. Whoever clears up after a killed desktop
/// removes what they left in `/tmp`.
pub const NUMBERS_FILE: &str = "x11-displays";
/// In the runtime folder: holds the link.
const FOLDER: &str = "x11";
const PROGRAM: &str = "Xwayland";
/// smithay makes sockets of its own, which nobody uses: at our number and this.
const OWN_NUMBERS: u32 = 1000;
/// It takes a tenth of a second; a loaded machine may need many.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// A server that ran for so long was no failure.
const GOOD_AFTER: Duration = Duration::from_secs(10);
const MOST_FAILURES: u32 = 5;
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Of X11 programs at a scale of 1.
const DPI: f64 = 96.0;
/// The XSETTINGS registry has `Xft/DPI` in 1/1024.
const XSETTINGS_DPI_UNIT: f64 = 1024.0;
