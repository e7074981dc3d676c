//! A clipboard without programs: tests copy and paste.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{CLIPBOARD_SLICE, Clipboard, ClipboardError, ClipboardLink, ClipboardWatcher, Paste, reason};

/// The clipboard of a [`super::SyntheticDesktop`].
#[derive(Clone, Default)]
pub struct FakeClipboard(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    generation: u64,
    copied: Vec<(String, CopiedData)>,
    watchers: Vec<(u64, Arc<dyn ClipboardWatcher>)>,
    /// Which link offers, what.
    offered: Option<(u64, u32, Vec<String>)>,
    links: u64,
}

/// What a program does when it is asked for what it copied.
#[derive(Clone, Debug)]
pub enum CopiedData {
    /// Writes this.
    Bytes(Arc<[u8]>),
    /// Writes this, then nothing more, without an end.
    Hangs(Arc<[u8]>),
}

impl FakeClipboard {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A program copies this.
    pub fn copy(&self, formats: &[(&str, CopiedData)]) {
        let mut state = self.state();
        state.generation += 1;
        state.copied = formats.iter().map(|(mime, data)| ((*mime).to_owned(), data.clone())).collect();
        state.offered = None;
        let (generation, formats) = (state.generation, state.formats());
        let watchers: Vec<_> = state.watchers.iter().map(|(_, w)| Arc::clone(w)).collect();
        drop(state);
        watchers.iter().for_each(|watcher| watcher.copied(generation, formats.clone()));
    }

    /// A program copies text.
    pub fn copy_text(&self, text: &str) {
        self.copy(&[("text/plain;charset=utf-8", CopiedData::Bytes(text.as_bytes().into()))]);
    }

    /// What sessions offer to programs now.
    #[must_use]
    pub fn offered(&self) -> Option<(u32, Vec<String>)> {
        self.state().offered.as_ref().map(|(_, offer, formats)| (*offer, formats.clone()))
    }

    /// How many sessions follow it.
    #[must_use]
    pub fn followers(&self) -> usize {
        self.state().watchers.len()
    }

    /// How often a session began to.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.state().links
    }

    /// A program asks for what is offered; `None`: nothing is.
    #[must_use]
    pub fn paste(&self, mime: &str) -> Option<FakePaste> {
        let state = self.state();
        let (link, offer, formats) = state.offered.as_ref()?;
        formats.iter().find(|format| *format == mime)?;
        let (_, watcher) = state.watchers.iter().find(|(id, _)| id == link)?;
        let (watcher, offer) = (Arc::clone(watcher), *offer);
        drop(state);
        let (into, data) = sync_channel(PIECES);
        watcher.pasted(Paste { offer, mime: mime.to_owned(), into: Box::new(Sent(into)) });
        Some(FakePaste(data))
    }
}

impl State {
    fn formats(&self) -> Vec<String> {
        self.copied.iter().map(|(mime, _)| mime.clone()).collect()
    }
}

impl std::fmt::Debug for FakeClipboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeClipboard").finish_non_exhaustive()
    }
}

impl Clipboard for FakeClipboard {
    fn open(&self, watcher: Arc<dyn ClipboardWatcher>) -> Result<Arc<dyn ClipboardLink>, ClipboardError> {
        let mut state = self.state();
        state.links += 1;
        let id = state.links;
        state.watchers.push((id, Arc::clone(&watcher)));
        let (generation, formats) = (state.generation, state.formats());
        drop(state);
        watcher.copied(generation, formats);
        Ok(Arc::new(Link { id, clipboard: self.clone() }))
    }
}

struct Link {
    id: u64,
    clipboard: FakeClipboard,
}

impl ClipboardLink for Link {
    fn read(&self, generation: u64, mime: &str) -> Result<Box<dyn Read + Send>, ClipboardError> {
        let state = self.clipboard.state();
        let found = state.copied.iter().find(|(m, _)| m == mime && state.generation == generation);
        let gone = || ClipboardError { reason: &reason::CLIPBOARD_GONE, detail: mime.to_owned() };
        let (_, data) = found.ok_or_else(gone)?;
        let (data, ends) = match data.clone() {
            CopiedData::Bytes(data) => (data, true),
            CopiedData::Hangs(data) => (data, false),
        };
        Ok(Box::new(Written { data, at: 0, ends }))
    }

    fn offer(&self, offer: u32, formats: &[String]) {
        let mut state = self.clipboard.state();
        if !formats.is_empty() {
            state.copied.clear();
            state.generation += 1;
            state.offered = Some((self.id, offer, formats.to_vec()));
        } else if state.offered.as_ref().is_some_and(|(id, ..)| *id == self.id) {
            state.offered = None;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.offer(0, &[]);
        self.clipboard.state().watchers.retain(|(id, _)| *id != self.id);
    }
}

struct Written {
    data: Arc<[u8]>,
    at: usize,
    ends: bool,
}

impl Read for Written {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = (&self.data[self.at..]).read(into)?;
        self.at += len;
        if len == 0 && !self.ends {
            std::thread::sleep(CLIPBOARD_SLICE);
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(len)
    }
}

struct Sent(SyncSender<Vec<u8>>);

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.try_send(bytes.to_vec()) {
            Ok(()) => Ok(bytes.len()),
            Err(TrySendError::Disconnected(_)) => Err(ErrorKind::BrokenPipe.into()),
            Err(TrySendError::Full(_)) => {
                // A pipe tells when there is room; this one is looked at.
                std::thread::sleep(LOOK_AGAIN);
                Err(ErrorKind::WouldBlock.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A program that pastes. It reads nothing unless it is told to.
pub struct FakePaste(Receiver<Vec<u8>>);

impl FakePaste {
    /// Reads to the end; `None` if nothing comes for so long, however much did. Blocking.
    #[must_use]
    pub fn read(&self, patience: Duration) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            match self.0.recv_timeout(patience) {
                Ok(piece) => all.extend(piece),
                Err(RecvTimeoutError::Disconnected) => return Some(all),
                Err(RecvTimeoutError::Timeout) => return None,
            }
        }
    }
}

/// A pipe has 16 pages, each for one piece at least (pipe(7)).
const PIECES: usize = 16;
const LOOK_AGAIN: Duration = Duration::from_millis(1);
