//! The clipboard, both ways (punktfunk1.md §3.9.3).
//!
//! ```text
//! StreamHandle::clipboard(true) ──► Event::ClipState ──► Event::ClipOffer ─ ─► StreamHandle::fetch_clipboard
//! StreamHandle::offer_clipboard(formats, source) ─ ─► the host pastes ──► ClipSource::read
//! ```
//!
//! Whoever puts what was fetched on a clipboard of its own must not offer it back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use punktfunk_core::control::{ClipFetch, ClipFormat, ClipOffer, ClipStatus, MAX_CLIP_FORMATS, MAX_MIME};
use punktfunk_net::quic::{Transfer, TransferError};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::shared::Shared;

/// What this side copied.
pub trait ClipSource: Send + Sync {
    /// The data in one of the formats that were offered; `None`: it is not there any more. Called on a thread that may
    /// block, once per paste.
    fn read(&self, mime: &str) -> Option<Vec<u8>>;
}

/// Why nothing could be fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClipError {
    /// The host does not give it.
    #[error("the host does not give it: {0:?}")]
    Refused(ClipStatus),
    /// It is larger than was allowed.
    #[error("more than {0} bytes")]
    TooLarge(usize),
    /// The transfer broke off.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// It takes too long.
    #[error("not within {} s", LONGEST.as_secs())]
    TimedOut,
}

/// What the host may fetch.
#[derive(Default)]
pub(super) struct Held(Mutex<State>);

#[derive(Default)]
struct State {
    seq: u32,
    formats: Vec<String>,
    source: Option<Arc<dyn ClipSource>>,
}

impl Held {
    /// Replaces what is offered. Formats beyond the protocol's limits are left out.
    pub(super) fn replace(&self, mut formats: Vec<ClipFormat>, source: Arc<dyn ClipSource>) -> ClipOffer {
        formats.retain(|format| (1..=MAX_MIME).contains(&format.mime.len()));
        formats.truncate(MAX_CLIP_FORMATS);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.seq = state.seq.wrapping_add(1);
        state.formats = formats.iter().map(|format| format.mime.clone()).collect();
        state.source = Some(source);
        ClipOffer { seq: state.seq, formats }
    }

    fn find(&self, fetch: &ClipFetch) -> Result<Arc<dyn ClipSource>, ClipStatus> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.source {
            Some(source) if state.seq == fetch.seq => {
                let has = fetch.file_index.is_none() && state.formats.contains(&fetch.mime);
                has.then(|| Arc::clone(source)).ok_or(ClipStatus::Unavailable)
            }
            _ => Err(ClipStatus::Stale),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).source.is_none()
    }
}

/// Fetches one format of an offer of the host's, at most `most` bytes of it.
pub(super) async fn fetch(shared: &Shared, seq: u32, mime: &str, most: usize) -> Result<Vec<u8>, ClipError> {
    let question = ClipFetch { seq, file_index: None, mime: mime.to_owned() };
    let whole = async {
        let (mut transfer, status, size) = Transfer::ask(&shared.connection, &question).await?;
        if status != ClipStatus::Ok {
            return Err(ClipError::Refused(status));
        }
        if size > most as u64 {
            return Err(ClipError::TooLarge(most));
        }
        let mut data = Vec::new();
        while let Some(piece) = transfer.next().await? {
            if data.len() + piece.len() > most {
                return Err(ClipError::TooLarge(most));
            }
            data.extend_from_slice(&piece);
        }
        Ok(data)
    };
    timeout(LONGEST, whole).await.map_err(|_| ClipError::TimedOut)?
}

/// Gives the host what it asks for, until the connection ends.
pub(super) async fn serve(shared: Arc<Shared>) {
    let limit = Arc::new(Semaphore::new(MAX_SERVING));
    let mut transfers = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = shared.connection.accept_bi() => stream,
            Some(_) = transfers.join_next() => continue,
        };
        let Ok(stream) = stream else { return };
        // Dropping it resets it.
        let transfer = Transfer::new(stream);
        let Ok(permit) = Arc::clone(&limit).try_acquire_owned() else { continue };
        if shared.held.is_empty() {
            continue;
        }
        let shared = Arc::clone(&shared);
        transfers.spawn(async move {
            if let Ok(Err(error)) = timeout(LONGEST, give(transfer, &shared.held)).await {
                tracing::debug!(%error, "the host did not paste");
            }
            drop(permit);
        });
    }
}

async fn give(mut transfer: Transfer, held: &Held) -> Result<(), TransferError> {
    let fetch = transfer.asked().await?;
    let data = match held.find(&fetch) {
        Ok(source) => {
            let read = tokio::task::spawn_blocking(move || source.read(&fetch.mime));
            read.await.ok().flatten().ok_or(ClipStatus::Unavailable)
        }
        Err(status) => Err(status),
    };
    match data {
        Ok(data) => {
            transfer.answer(ClipStatus::Ok, data.len() as u64).await?;
            transfer.send(&data).await?;
        }
        Err(status) => transfer.answer(status, 0).await?,
    }
    transfer.finish();
    Ok(())
}

/// The host pastes two at once.
const MAX_SERVING: usize = 4;
/// The same patience as our host's.
const LONGEST: Duration = Duration::from_secs(120);
