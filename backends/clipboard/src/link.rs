//! One followed clipboard: a connection, the thread that hears it, and the requests that any thread makes.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use punktfunk_media::{ClipboardError, ClipboardLink, ClipboardWatcher, Paste, reason};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use wayland_client::backend::WaylandError;
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::protocol::wl_seat::WlSeat;
use wayland_client::{Connection, Dispatch, EventQueue, QueueHandle, delegate_noop};

use crate::kinds::{meant_by, offered_as, on_the_wire};
use crate::protocol::{Device, Manager, Offer, Source};
use crate::{lost, pipe};

/// A connection to a compositor that has a clipboard for us. Nothing of it is looked at yet.
pub(crate) struct Bound {
    connection: Connection,
    queue: EventQueue<State>,
    manager: Manager,
    seat: WlSeat,
}

impl Bound {
    pub fn new(display: &Path) -> Result<Self, ClipboardError> {
        let connection = punktfunk_wayland::connect(display).map_err(lost)?;
        let (list, queue) =
            registry_queue_init::<State>(&connection).map_err(|e| lost(format!("{}: {e}", display.display())))?;
        let handle = queue.handle();
        let missing = |what: &str| ClipboardError {
            reason: &reason::CLIPBOARD_UNSUPPORTED,
            detail: format!("{} offers no {what}", display.display()),
        };
        let manager = Manager::bind(&list, &handle).ok_or_else(|| missing("data-control protocol"))?;
        let seat = list.bind(&handle, 1..=1, ()).map_err(|_| missing("wl_seat"))?;
        Ok(Self { connection, queue, manager, seat })
    }

    /// Starts the thread.
    pub fn follow(self, watcher: Arc<dyn ClipboardWatcher>) -> Result<WaylandLink, ClipboardError> {
        let Self { connection, queue, manager, seat } = self;
        let handle = queue.handle();
        let shared = Arc::<Shared>::default();
        let device = manager.device(&seat, &handle);
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).map_err(lost)?);
        // One per connection: what one session of this host offers is somebody else's to another.
        static LINKS: AtomicU64 = AtomicU64::new(0);
        let count = LINKS.fetch_add(1, Ordering::Relaxed);
        let mark = format!("application/x-punktfunk-offer;of={}-{count}", std::process::id());
        let state = State { shared: Arc::clone(&shared), watcher, mark: mark.clone(), over: false };
        let link = WaylandLink { connection, handle, manager, device, shared, mark, stop: Arc::clone(&stop) };
        link.flush();
        std::thread::Builder::new()
            .name("clipboard".to_owned())
            .spawn(move || state.run(queue, &stop))
            .map_err(|e| ClipboardError { reason: &reason::INTERNAL_THREADS, detail: e.to_string() })?;
        Ok(link)
    }
}

/// What the thread and the requests share.
#[derive(Default)]
struct Shared {
    copied: Mutex<Copied>,
    /// What we offer, until another program copies something.
    ours: Mutex<Option<Source>>,
}

/// What a program copied last.
#[derive(Default)]
struct Copied {
    generation: u64,
    /// `None`: nothing, or what we offer ourselves.
    offer: Option<Offer>,
    /// The kinds it has, and what the program calls them.
    kinds: Vec<(&'static str, String)>,
}

impl Shared {
    fn copied(&self) -> MutexGuard<'_, Copied> {
        self.copied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ours(&self) -> MutexGuard<'_, Option<Source>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The side of the requests.
pub(crate) struct WaylandLink {
    connection: Connection,
    handle: QueueHandle<State>,
    manager: Manager,
    device: Device,
    shared: Arc<Shared>,
    mark: String,
    stop: Arc<OwnedFd>,
}

impl WaylandLink {
    fn flush(&self) {
        // A full socket is emptied by the thread; a broken one ends it.
        let _ = self.connection.flush();
    }
}

impl ClipboardLink for WaylandLink {
    fn read(&self, generation: u64, mime: &str) -> Result<Box<dyn Read + Send>, ClipboardError> {
        let gone = |detail: &str| ClipboardError { reason: &reason::CLIPBOARD_GONE, detail: detail.to_owned() };
        let copied = self.shared.copied();
        let Some(offer) = copied.offer.as_ref().filter(|_| copied.generation == generation) else {
            return Err(gone("something else was copied"));
        };
        let Some((_, name)) = copied.kinds.iter().find(|(kind, _)| *kind == mime) else {
            return Err(gone("not of this kind"));
        };
        let (reader, end) = pipe::incoming().map_err(lost)?;
        offer.receive(name, end.as_fd());
        drop(copied);
        self.flush();
        Ok(Box::new(reader))
    }

    fn offer(&self, offer: u32, formats: &[String]) {
        let mut ours = self.shared.ours();
        let names: Vec<_> = formats.iter().flat_map(|kind| offered_as(kind)).collect();
        if names.is_empty() {
            // The compositor takes it off the clipboard, if it is still on it.
            if let Some(source) = ours.take() {
                source.destroy();
            }
        } else {
            let source = self.manager.source(offer, &self.handle);
            names.into_iter().for_each(|name| source.offer(name));
            source.offer(&self.mark);
            self.device.select(&source);
            // The compositor says `cancelled` for the one before, which destroys it.
            *ours = Some(source);
        }
        drop(ours);
        self.flush();
    }
}

impl Drop for WaylandLink {
    fn drop(&mut self) {
        // Only fails where it was written 2^64 times.
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
    }
}

/// The side of the thread.
pub(crate) struct State {
    shared: Arc<Shared>,
    watcher: Arc<dyn ClipboardWatcher>,
    /// The name that only our offers have.
    mark: String,
    /// The compositor takes the clipboard away.
    over: bool,
}

impl State {
    fn run(mut self, mut queue: EventQueue<Self>, stop: &OwnedFd) {
        let end = loop {
            if let Err(error) = queue.dispatch_pending(&mut self) {
                break Some(error.to_string());
            }
            if self.over {
                break Some("the compositor took it away".to_owned());
            }
            if let Err(error) = punktfunk_wayland::flush(&queue) {
                break Some(error);
            }
            let Some(guard) = queue.prepare_read() else { continue };
            let mut ends =
                [PollFd::from_borrowed_fd(guard.connection_fd(), PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
            match poll(&mut ends, None) {
                Ok(_) if !ends[1].revents().is_empty() => break None,
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => break Some(error.to_string()),
            }
            match guard.read() {
                Ok(_) => {}
                Err(WaylandError::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => break Some(error.to_string()),
            }
        };
        if let Some(end) = end {
            tracing::info!(code = reason::CLIPBOARD_LOST.code, "the clipboard is gone: {end}");
            self.watcher.ended();
        }
    }

    pub fn on_selection(&mut self, offer: Option<Offer>) {
        let names = offer.as_ref().map(Offer::names).unwrap_or_default();
        let ours = names.contains(&self.mark);
        let kinds = if ours { Vec::new() } else { on_the_wire(&names) };
        let told = kinds.iter().map(|(kind, _)| (*kind).to_owned()).collect();
        let mut copied = self.shared.copied();
        copied.generation += 1;
        copied.kinds = kinds;
        if let Some(old) = std::mem::replace(&mut copied.offer, offer) {
            old.destroy();
        }
        let generation = copied.generation;
        drop(copied);
        if !ours {
            self.watcher.copied(generation, told);
        }
    }

    pub fn on_finished(&mut self) {
        self.over = true;
    }

    pub fn on_send(&mut self, offer: u32, name: &str, end: OwnedFd) {
        let Some(kind) = meant_by(name) else { return };
        match pipe::Writer::new(end) {
            Ok(into) => self.watcher.pasted(Paste { offer, mime: kind.to_owned(), into: Box::new(into) }),
            Err(error) => tracing::debug!(%error, "a program pastes into something that is no pipe"),
        }
    }

    pub fn on_cancelled(&mut self, source: &Source) {
        let mut ours = self.shared.ours();
        if ours.as_ref() == Some(source) {
            *ours = None;
        }
        source.destroy();
    }
}

impl Dispatch<WlRegistry, GlobalListContents> for State {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

delegate_noop!(State: ignore WlSeat);
