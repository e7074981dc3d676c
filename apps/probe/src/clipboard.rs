//! The clipboard: offers a file to the host, and saves what is copied there.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use punktfunk_client::{ClipSource, Event, StreamHandle};
use punktfunk_core::control::{ClipFormat, ClipOffer};
use tokio::task::JoinHandle;

use crate::failure::Failure;

/// What to do with the clipboard.
#[derive(Clone)]
pub struct Clipboard {
    mime: String,
    set: Option<Arc<Vec<u8>>>,
    out: Option<PathBuf>,
}

impl Clipboard {
    /// `None` if there is nothing to do. Reads `set`, `-` for standard input.
    pub fn load(set: Option<&Path>, out: Option<PathBuf>, mime: &str) -> Result<Option<Self>, Failure> {
        let set = set.map(read).transpose()?.map(Arc::new);
        let wanted = set.is_some() || out.is_some();
        Ok(wanted.then(|| Self { mime: mime.to_owned(), set, out }))
    }

    /// Turns it on.
    pub fn start(self, handle: StreamHandle) -> Exchange {
        handle.clipboard(true);
        Exchange { clipboard: self, handle, saving: None }
    }
}

/// A clipboard that is turned on.
pub struct Exchange {
    clipboard: Clipboard,
    handle: StreamHandle,
    saving: Option<JoinHandle<()>>,
}

impl Exchange {
    /// Does what an event of the session calls for. Never waits.
    pub fn on_event(&mut self, event: &Event) {
        match event {
            Event::ClipState { enabled, reason, .. } => {
                eprintln!("clipboard: {} ({reason:?})", if *enabled { "on" } else { "off" });
                if let Some(data) = self.clipboard.set.clone().filter(|_| *enabled) {
                    let format = ClipFormat { mime: self.clipboard.mime.clone(), size_hint: data.len() as u64 };
                    self.handle.offer_clipboard(vec![format], Arc::new(Offered(data)));
                }
            }
            Event::ClipOffer(offer) => self.on_offer(offer),
            _ => {}
        }
    }

    fn on_offer(&mut self, offer: &ClipOffer) {
        let kinds: Vec<_> = offer.formats.iter().map(|format| format.mime.as_str()).collect();
        eprintln!("clipboard: the host offers {kinds:?}");
        let mime = self.clipboard.mime.clone();
        let Some(out) = self.clipboard.out.clone().filter(|_| kinds.contains(&&*mime)) else { return };
        let (handle, seq) = (self.handle.clone(), offer.seq);
        // The newest counts: an older one that is still under way is cancelled.
        self.stop();
        self.saving = Some(tokio::spawn(async move {
            match handle.fetch_clipboard(seq, &mime, MOST_BYTES).await {
                Ok(data) => match save(&out, &data).await {
                    Ok(()) => eprintln!("clipboard: {} bytes of {mime} in {}", data.len(), out.display()),
                    Err(error) => eprintln!("clipboard: {}: {error}", out.display()),
                },
                Err(error) => eprintln!("clipboard: not fetched: {error}"),
            }
        }));
    }

    fn stop(&mut self) {
        if let Some(saving) = self.saving.take() {
            saving.abort();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the host pastes.
struct Offered(Arc<Vec<u8>>);

impl ClipSource for Offered {
    fn read(&self, mime: &str) -> Option<Vec<u8>> {
        eprintln!("clipboard: the host pastes {mime}");
        Some(self.0.to_vec())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let (mut data, most) = (Vec::new(), MOST_BYTES as u64 + 1);
    let result = if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut data)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut data))
    };
    result.map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
    if data.len() > MOST_BYTES {
        return Err(Failure::new(format!("{}: more than {MOST_BYTES} bytes", path.display())));
    }
    Ok(data)
}

/// Beside it first, so that whoever waits for the file finds all of it.
async fn save(path: &Path, data: &[u8]) -> std::io::Result<()> {
    let mut part = path.to_owned().into_os_string();
    part.push(".part");
    let (part, path, data) = (PathBuf::from(part), path.to_owned(), data.to_vec());
    let write = move || std::fs::write(&part, data).and_then(|()| std::fs::rename(&part, path));
    tokio::task::spawn_blocking(write).await?
}

/// What our host gives at most.
const MOST_BYTES: usize = 64 << 20;
