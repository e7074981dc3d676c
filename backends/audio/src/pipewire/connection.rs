//! A thread that stays connected to a PipeWire server.
//!
//! ```text
//! away ─ socket answers ─► connected: the loop runs ─ server gone, resident gives up ─► away … until stopped
//!   └─ looks again when something appears beside the socket, and every 200 ms
//! ```

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pipewire::context::ContextRc;
use pipewire::core::CoreRc;
use pipewire::main_loop::MainLoopRc;
use pipewire::spa::support::system::IoFlags;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

/// What lives on a connection, and moves in again after every reconnection.
pub trait Resident: Send + 'static {
    /// A connection is there. What is returned lives until it ends.
    ///
    /// # Errors
    /// Why this connection is of no use; another one is made later.
    fn move_in(&mut self, place: &Place) -> Result<Box<dyn Stay>, String>;

    /// The connection ended, or there was none.
    fn moved_out(&mut self) {}
}

/// A resident at home.
pub trait Stay {
    /// In how long to be asked to [look](Stay::look), whatever comes; `None`: never. Asked anew after every
    /// [`Place::think_again`].
    fn looks_after(&self) -> Option<Duration> {
        None
    }

    /// The time that was asked for has passed.
    ///
    /// # Errors
    /// Why this connection is of no more use; another one is made.
    fn look(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// The thread is told to stop while the connection is good: the last things to say.
    fn farewell(&mut self, _place: &Place) {}
}

/// Where a resident lives.
pub struct Place {
    /// The connection.
    pub core: CoreRc,
    main_loop: MainLoopRc,
    trouble: Rc<RefCell<Result<(), String>>>,
}

impl Place {
    /// What ends this connection, with a sentence for the log.
    pub fn fail(&self) -> Rc<dyn Fn(String)> {
        let (trouble, main_loop) = (Rc::clone(&self.trouble), self.main_loop.clone());
        Rc::new(move |why| {
            *trouble.borrow_mut() = Err(why);
            main_loop.quit();
        })
    }

    /// What has a resident asked anew when it wants to look.
    pub fn think_again(&self) -> Rc<dyn Fn()> {
        let main_loop = self.main_loop.clone();
        Rc::new(move || main_loop.quit())
    }

    /// Waits until the server has answered everything that was asked before. False: not within this time.
    pub fn round_trip(&self, within: Duration) -> bool {
        let answered = Rc::new(Cell::new(false));
        let _done = self
            .core
            .add_listener_local()
            .done({
                let (answered, main_loop) = (Rc::clone(&answered), self.main_loop.clone());
                move |_, _| {
                    answered.set(true);
                    main_loop.quit();
                }
            })
            .register();
        if self.core.sync(0).is_err() {
            return false;
        }
        let timer = self.main_loop.loop_().add_timer({
            let main_loop = self.main_loop.clone();
            move |_| main_loop.quit()
        });
        if timer.update_timer(Some(within), None).into_result().is_err() {
            return false;
        }
        self.main_loop.run();
        answered.get()
    }
}

/// The thread. Dropping it disconnects and waits for the thread, which takes milliseconds.
#[derive(Debug)]
pub struct Connection {
    /// Closing our end stops the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Connection {
    /// Starts a thread that keeps `resident` at the server behind `socket`.
    pub fn start(thread_name: &str, socket: &Path, resident: impl Resident) -> std::io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let socket = socket.to_owned();
        let folder = socket.parent().and_then(watch);
        let worker = Worker { socket, stopped, folder };
        let thread = thread::Builder::new().name(thread_name.to_owned()).spawn(move || worker.run(resident))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported by the panic hook; there is nothing more to save.
            let _ = thread.join();
        }
    }
}

/// Connects once, has `visit` done, and disconnects. For what needs no thread.
///
/// # Errors
/// Whatever is in the way.
pub fn visit<T>(socket: &Path, visit: impl FnOnce(&Place) -> Result<T, String>) -> Result<T, VisitError> {
    let server = UnixStream::connect(socket).map_err(VisitError::Nobody)?;
    let place = place(server).map_err(VisitError::Failed)?;
    let result = visit(&place).map_err(VisitError::Failed)?;
    match place.trouble.replace(Ok(())) {
        Ok(()) => Ok(result),
        Err(why) => Err(VisitError::Failed(why)),
    }
}

/// Why a [`visit`] came to nothing.
#[derive(Debug)]
pub enum VisitError {
    /// Nobody listens.
    Nobody(std::io::Error),
    /// Anything else.
    Failed(String),
}

impl std::fmt::Display for VisitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nobody(e) => write!(f, "nobody listens: {e}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

fn place(server: UnixStream) -> Result<Place, String> {
    let text = |e: pipewire::Error| e.to_string();
    pipewire::init();
    let main_loop = MainLoopRc::new(None).map_err(text)?;
    let context = ContextRc::new(&main_loop, None).map_err(text)?;
    let core = context.connect_fd_rc(server.into(), None).map_err(text)?;
    Ok(Place { core, main_loop, trouble: Rc::new(RefCell::new(Ok(()))) })
}

struct Worker {
    socket: PathBuf,
    stopped: UnixStream,
    /// Tells of what appears in the socket's folder. `None`: the folder is not there, or not to be watched.
    folder: Option<OwnedFd>,
}

impl Worker {
    fn run(self, mut resident: impl Resident) {
        let mut said = false;
        while !self.is_stopped() {
            match self.live(&mut resident) {
                Ok(()) => said = false,
                Err(why) if !std::mem::replace(&mut said, true) => {
                    tracing::debug!(socket = %self.socket.display(), "PipeWire: {why}");
                }
                Err(_) => {}
            }
            resident.moved_out();
            self.wait();
        }
    }

    fn is_stopped(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut [PollFd::new(&self.stopped, PollFlags::IN)], Some(&now)), Ok(n) if n > 0)
    }

    /// Waits until it makes sense to try again, or until stopped.
    fn wait(&self) {
        let time = |time: Duration| Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        let mut doors = vec![PollFd::new(&self.stopped, PollFlags::IN)];
        doors.extend(self.folder.as_ref().map(|folder| PollFd::new(folder, PollFlags::IN)));
        let news = poll(&mut doors, Some(&time(AGAIN_AFTER)));
        if let Some(folder) = self.folder.as_ref().filter(|_| news.is_ok_and(|n| n > 0)) {
            // Whatever came, it may be our socket; one that was just made is not yet listened to.
            let _ = rustix::io::read(folder, &mut [0u8; 4096]);
            let _ = poll(&mut [PollFd::new(&self.stopped, PollFlags::IN)], Some(&time(BREATH)));
        }
    }

    /// One connection, from its start to its end.
    fn live(&self, resident: &mut impl Resident) -> Result<(), String> {
        let server = UnixStream::connect(&self.socket).map_err(|e| e.to_string())?;
        let place = place(server)?;
        let fail = place.fail();
        let _core_errors = place
            .core
            .add_listener_local()
            .error(move |id, _, result, message| {
                if id == CORE_ID {
                    fail(format!("{message} ({result})"));
                }
            })
            .register();
        let stopping = Rc::new(Cell::new(false));
        let stopped = self.stopped.try_clone().map_err(|e| e.to_string())?;
        let stop = place.main_loop.loop_().add_io(stopped, IoFlags::IN | IoFlags::HUP, {
            let (main_loop, stopping) = (place.main_loop.clone(), Rc::clone(&stopping));
            move |_| {
                stopping.set(true);
                main_loop.quit();
            }
        });
        let mut stay = resident.move_in(&place)?;
        let due = Rc::new(Cell::new(false));
        let alarm = place.main_loop.loop_().add_timer({
            let (main_loop, due) = (place.main_loop.clone(), Rc::clone(&due));
            move |_| {
                due.set(true);
                main_loop.quit();
            }
        });
        while !stopping.get() && place.trouble.borrow().is_ok() {
            alarm.update_timer(stay.looks_after(), None).into_result().map_err(|e| e.to_string())?;
            place.main_loop.run();
            if due.take() {
                stay.look()?;
            }
        }
        drop((stop, alarm));
        if stopping.get() && place.trouble.borrow().is_ok() {
            stay.farewell(&place);
        }
        drop(stay);
        place.trouble.replace(Ok(()))
    }
}

fn watch(folder: &Path) -> Option<OwnedFd> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok()?;
    inotify::add_watch(&watch, folder, inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO).ok()?;
    Some(watch)
}

/// The core's own id in error events (`PW_ID_CORE`).
const CORE_ID: u32 = 0;
/// Between tries to connect where nothing tells that somebody listens.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// From a socket's name to somebody who listens at it, and the least between two tries.
const BREATH: Duration = Duration::from_millis(10);
