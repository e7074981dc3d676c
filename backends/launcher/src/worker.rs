//! The thread that asks the source, so that nothing that is slow there holds up what is shown.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use rustix::event::{EventfdFlags, eventfd};

use crate::content::{Content, Source};
use crate::covers::{self, Cover};

/// What the source is asked.
#[derive(Debug)]
pub enum Ask {
    /// Everything that is shown.
    Look,
    /// A picture, at this size.
    Cover {
        /// The entry.
        id: String,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// Start an entry.
    Launch(String),
    /// Bring a window to the front.
    Focus(u64),
    /// Ask for a window to be closed.
    Close(u64),
}

/// What came of it.
#[derive(Debug)]
pub enum Told {
    /// Of [`Ask::Look`].
    Content(Result<Content, String>),
    /// Of [`Ask::Cover`].
    Cover {
        /// The entry.
        id: String,
        /// Its picture, if it has one that can be read.
        cover: Option<Cover>,
    },
    /// Of everything else.
    Done(Result<(), String>),
}

/// Asks and is told.
pub struct Worker {
    asks: SyncSender<Ask>,
    told: Receiver<Told>,
    /// Readable when something was told.
    wake: Arc<OwnedFd>,
}

impl Worker {
    /// Starts the thread. It ends with this.
    ///
    /// # Errors
    /// As the system says.
    pub fn start(mut source: Box<dyn Source>) -> std::io::Result<Self> {
        let (asks, asked) = sync_channel(MOST_WAITING);
        let (tell, told) = sync_channel(MOST_WAITING);
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let woken = Arc::clone(&wake);
        let work = move || {
            while let Ok(ask) = asked.recv() {
                if tell.send(answer(&mut *source, ask)).is_err() {
                    return;
                }
                // Full is as good as written: it is readable.
                let _ = rustix::io::write(&*woken, &1_u64.to_ne_bytes());
            }
        };
        std::thread::Builder::new().name("source".into()).spawn(work)?;
        Ok(Self { asks, told, wake })
    }

    /// Asks, unless too much waits already.
    pub fn ask(&self, ask: Ask) -> bool {
        self.asks.try_send(ask).is_ok()
    }

    /// The next thing that was told.
    pub fn next(&self) -> Option<Told> {
        match self.told.try_recv() {
            Ok(told) => Some(told),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                let mut count = [0; 8];
                let _ = rustix::io::read(&*self.wake, &mut count);
                // What came between looking and reading.
                self.told.try_recv().ok()
            }
        }
    }
}

impl AsFd for Worker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

fn answer(source: &mut dyn Source, ask: Ask) -> Told {
    match ask {
        Ask::Look => Told::Content(source.look()),
        Ask::Cover { id, width, height } => {
            let cover = source.cover(&id).and_then(|bytes| covers::read(&bytes, width, height));
            Told::Cover { id, cover }
        }
        Ask::Launch(id) => Told::Done(source.launch(&id)),
        Ask::Focus(window) => Told::Done(source.focus(window)),
        Ask::Close(window) => Told::Done(source.close(window)),
    }
}

/// More than a screen has covers.
const MOST_WAITING: usize = 128;
