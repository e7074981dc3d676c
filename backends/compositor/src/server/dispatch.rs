//! The loop.

use std::io;
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use smithay::reexports::calloop::EventLoop;
use smithay::reexports::wayland_server::{Display, ListeningSocket};

use super::ServerConfig;
use super::hosts::Hosts;
use super::state::{ClientState, State};
use crate::pace::Step;
use crate::programs::{Programs, Wanted};
use crate::wire::timespec;

/// A running compositor.
pub struct Server {
    display: Display<State>,
    /// X11's own.
    x11_loop: EventLoop<'static, State>,
    state: State,
    programs_socket: ListeningSocket,
    hosts: Hosts,
    programs: Programs,
    /// The script of another terminal; there where the desktop's content has one.
    terminal: PathBuf,
    /// No program is let in before this time.
    accept_again: Option<Instant>,
}

impl Server {
    /// Makes its sockets; programs can connect when this returns.
    ///
    /// # Errors
    /// A sentence for the log.
    pub fn start(config: &ServerConfig) -> Result<Self, String> {
        let display = Display::new().map_err(|e| format!("wayland-server: {e}"))?;
        let x11_loop = EventLoop::try_new().map_err(|e| format!("calloop: {e}"))?;
        let state = State::new(display.handle(), config, x11_loop.handle())?;
        let path = config.runtime_dir.join(DISPLAY_SOCKET);
        let programs_socket =
            ListeningSocket::bind_absolute(path.clone()).map_err(|e| format!("{}: {e}", path.display()))?;
        let programs = Programs::new(&config.runtime_dir, DISPLAY_SOCKET, state.x11.number())
            .map_err(|e| format!("children: {e}"))?;
        // Last: whoever finds it finds everything else, too.
        let hosts = Hosts::listen(&config.runtime_dir)?;
        Ok(Self {
            display,
            x11_loop,
            state,
            programs_socket,
            hosts,
            programs,
            terminal: config.runtime_dir.join(TERMINAL),
            accept_again: None,
        })
    }

    /// Starts `sh SCRIPT` as a program of the desktop, as a host could.
    ///
    /// # Errors
    /// As the system says.
    pub fn spawn(&mut self, script: &Path) -> io::Result<()> {
        self.programs.start(script, &[], None)
    }

    /// Runs for ever, or until the system refuses to go on.
    ///
    /// # Errors
    /// As the system says.
    pub fn run(&mut self) -> io::Result<()> {
        loop {
            let deadline = self.advance();
            self.flush()?;
            self.state.x11.beat().turn();
            let ready = self.sleep(deadline)?;
            self.state.x11.beat().turn();
            if ready.requests {
                self.display.dispatch_clients(&mut self.state)?;
            }
            self.state.advance_x11(ready.x11, ready.x11_hung_up);
            if ready.x11_messages {
                self.hear_x11();
            }
            if ready.requests || ready.x11_messages {
                self.state.link_x11();
            }
            if ready.programs {
                self.accept_programs();
            }
            if ready.hosts {
                self.hosts.serve(&mut self.state, &mut self.programs);
            }
            if std::mem::take(&mut self.state.terminal_wanted) && self.terminal.exists() {
                // The desktop goes on without it.
                if let Err(e) = self.programs.start(&self.terminal, &[], Some(TERMINAL_WANTED)) {
                    tracing::warn!("{}: {e}", self.terminal.display());
                }
            }
            if ready.children {
                self.programs.reap();
            }
        }
    }

    /// Does what is due; says when something will be next.
    fn advance(&mut self) -> Option<Instant> {
        // First: what is released now is drawn now.
        let timed = self.state.release_timers();
        let until = self.advance_picture();
        let cursor = self.state.tell_cursor(&mut self.hosts, Instant::now());
        until.into_iter().chain(cursor).chain(timed).min()
    }

    fn advance_picture(&mut self) -> Option<Instant> {
        let mut drawn = 0;
        loop {
            match self.state.pacer.next(Instant::now()) {
                Step::Callbacks => self.state.send_callbacks(),
                Step::Draw if drawn < MOST_DRAWINGS => {
                    drawn += 1;
                    self.state.draw(&mut self.hosts);
                }
                Step::Draw => return Some(Instant::now()),
                Step::Wait(until) => return until,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.state.space.refresh();
        self.state.popups.cleanup();
        self.state.follow_text_input();
        self.display.flush_clients()
    }

    /// Sleeps until something can be done, and says what.
    fn sleep(&mut self, until: Option<Instant>) -> io::Result<Ready> {
        let accept_at = self.accept_again.filter(|at| *at > Instant::now());
        let (x11, x11_until) = self.state.x11.awaits();
        let until = [until, accept_at, x11_until].into_iter().flatten().min();
        let timeout = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
        let backend = self.display.backend();
        let fixed = [backend.poll_fd(), self.programs.as_fd(), self.x11_loop.as_fd(), self.programs_socket.as_fd()];
        // Nobody is let in while there are no descriptors to be had.
        let fixed = fixed.into_iter().take(if accept_at.is_some() { 3 } else { 4 }).chain(x11);
        let x11_at = if accept_at.is_some() { 3 } else { 4 };
        let open = x11_at + usize::from(x11.is_some());
        let mut fds: Vec<_> =
            fixed.chain(self.hosts.fds()).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {
                let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
                Ok(Ready {
                    requests: ready(&fds[0]),
                    children: ready(&fds[1]),
                    x11_messages: ready(&fds[2]),
                    programs: x11_at > 3 && ready(&fds[3]),
                    x11: open > x11_at && ready(&fds[x11_at]),
                    x11_hung_up: open > x11_at && fds[x11_at].revents().contains(PollFlags::HUP),
                    hosts: fds[open..].iter().any(ready),
                })
            }
            Err(Errno::INTR) => Ok(Ready::default()),
            Err(e) => Err(e.into()),
        }
    }

    /// Hears the X server. Whatever breaks there takes X11 programs down and nothing else.
    fn hear_x11(&mut self) {
        let (x11_loop, state) = (&mut self.x11_loop, &mut self.state);
        let heard = catch_unwind(AssertUnwindSafe(|| x11_loop.dispatch(Some(Duration::ZERO), state)));
        match heard {
            Ok(Ok(())) => {}
            Ok(Err(e)) => self.state.x11_ended(&e.to_string()),
            Err(_) => {
                self.state.x11_ended("its window manager broke");
                if let Ok(fresh) = EventLoop::try_new() {
                    self.state.x11.restart_with(fresh.handle());
                    self.x11_loop = fresh;
                }
            }
        }
    }

    fn accept_programs(&mut self) {
        loop {
            match self.programs_socket.accept() {
                Ok(None) => return,
                Ok(Some(stream)) => {
                    if let Err(e) = self.display.handle().insert_client(stream, ClientState::new()) {
                        tracing::warn!("a program was not let in: {e}");
                    }
                }
                Err(e) => {
                    // Too many are open, as a rule; those that wait stay in the queue.
                    tracing::warn!("no more programs are let in for a moment: {e}");
                    self.accept_again = Some(Instant::now() + ACCEPT_AGAIN_AFTER);
                    return;
                }
            }
        }
    }
}

/// What can be done.
#[derive(Default)]
struct Ready {
    requests: bool,
    /// What X11 awaits.
    x11: bool,
    /// Its other side is gone.
    x11_hung_up: bool,
    x11_messages: bool,
    children: bool,
    programs: bool,
    hosts: bool,
}

/// Where programs connect, in the runtime folder.
pub const DISPLAY_SOCKET: &str = "wayland-0";
/// What Super+Return starts, in the runtime folder.
const TERMINAL: &str = "terminal.sh";
const TERMINAL_WANTED: Wanted<'static> = Wanted { title: "Terminal", may_wait: Duration::ZERO };
/// In one round of the loop: programs and hosts are heard in between.
const MOST_DRAWINGS: u32 = 2;
/// After the system refused to let a program in.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
