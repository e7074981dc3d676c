//! Transfers: each a task for its stream, and a thread for the program at the desktop's end.

use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_core::control::{ClipFetch, ClipStatus};
use punktfunk_media::{ClipboardLink, Paste};
use punktfunk_net::quic::{Transfer, TransferError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::actor::Held;
use crate::plane::blocking;

/// The client wants what a program copied.
pub(super) async fn serve(
    stream: Transfer,
    link: Arc<dyn ClipboardLink>,
    held: Arc<Mutex<Option<Held>>>,
    permit: OwnedSemaphorePermit,
) {
    log("to the client", timeout(LONGEST, try_serve(stream, &*link, &held, permit)).await);
}

async fn try_serve(
    mut stream: Transfer,
    link: &dyn ClipboardLink,
    held: &Mutex<Option<Held>>,
    permit: OwnedSemaphorePermit,
) -> Result<u64, TransferError> {
    let fetch = stream.asked().await?;
    let reader = {
        let held = held.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(held) if held.seq == fetch.seq => {
                if fetch.file_index.is_some() || !held.formats.contains(&fetch.mime) {
                    Err(ClipStatus::Unavailable)
                } else {
                    // Something else may have been copied that the client does not know of yet.
                    link.read(held.generation, &fetch.mime).map_err(|_| ClipStatus::Stale)
                }
            }
            _ => Err(ClipStatus::Stale),
        }
    };
    let reader = match reader {
        Ok(reader) => reader,
        Err(status) => return refuse(stream, status).await,
    };
    let (pieces, mut read) = mpsc::channel(PIECES);
    drop(blocking(move || {
        read_out(reader, &pieces);
        drop(permit);
    }));
    let mut sent = None;
    loop {
        let piece = tokio::select! {
            piece = read.recv() => piece,
            () = stream.cancelled() => return Err(TransferError::Cancelled),
        };
        let Some(piece) = piece else {
            // Once some of it is sent, only a reset tells that the rest is missing.
            return match sent {
                None => refuse(stream, ClipStatus::Unavailable).await,
                Some(_) => Err(TransferError::Stalled),
            };
        };
        if sent.is_none() {
            stream.answer(ClipStatus::Ok, 0).await?;
        }
        let total = sent.get_or_insert(0u64);
        match piece {
            Piece::Data(data) => {
                stream.send(&data).await?;
                *total += data.len() as u64;
            }
            Piece::End => {
                let total = *total;
                stream.finish();
                return Ok(total);
            }
        }
    }
}

/// The client may not.
pub(super) async fn deny(mut stream: Transfer, _permit: OwnedSemaphorePermit) {
    let denied = async {
        stream.asked().await?;
        refuse(stream, ClipStatus::Denied).await
    };
    log("to the client", timeout(LONGEST, denied).await);
}

async fn refuse(mut stream: Transfer, status: ClipStatus) -> Result<u64, TransferError> {
    stream.answer(status, 0).await?;
    stream.finish();
    Ok(0)
}

/// A program wants what the client copied.
pub(super) async fn fetch(connection: quinn::Connection, paste: Paste, limit: Arc<Semaphore>) {
    log("from the client", timeout(LONGEST, try_fetch(&connection, paste, limit)).await);
}

async fn try_fetch(connection: &quinn::Connection, paste: Paste, limit: Arc<Semaphore>) -> Result<u64, TransferError> {
    // It is never closed.
    let permit = limit.acquire_owned().await.map_err(|_| TransferError::Cancelled)?;
    let Paste { offer, mime, into } = paste;
    let question = ClipFetch { seq: offer, file_index: None, mime };
    let (mut stream, status, size) = Transfer::ask(connection, &question).await?;
    if status != ClipStatus::Ok {
        tracing::debug!(?status, "the client gives nothing to paste");
        return Ok(0);
    }
    if size > MAX_BYTES {
        return Err(TransferError::Invalid("too much for a clipboard"));
    }
    let (pieces, written) = mpsc::channel(PIECES);
    drop(blocking(move || {
        write_in(into, written);
        drop(permit);
    }));
    let mut total = 0;
    while let Some(data) = stream.next().await? {
        total += data.len() as u64;
        if total > MAX_BYTES {
            return Err(TransferError::Invalid("too much for a clipboard"));
        }
        // The program closed its end, or does not read.
        pieces.send(data).await.map_err(|_| TransferError::Stalled)?;
    }
    Ok(total)
}

enum Piece {
    Data(Vec<u8>),
    End,
}

/// Reads what a program writes until its end, as long as it writes and somebody wants it.
fn read_out(mut reader: Box<dyn Read + Send>, pieces: &mpsc::Sender<Piece>) {
    let (mut buffer, mut total, mut heard) = (vec![0; PIECE_BYTES], 0u64, Instant::now());
    while !pieces.is_closed() && heard.elapsed() < SILENCE {
        let piece = match reader.read(&mut buffer) {
            Ok(0) => Piece::End,
            Ok(len) => Piece::Data(buffer[..len].to_vec()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
            Err(_) => return,
        };
        let ended = match &piece {
            Piece::End => true,
            Piece::Data(data) => {
                total += data.len() as u64;
                false
            }
        };
        if total > MAX_BYTES || pieces.blocking_send(piece).is_err() || ended {
            return;
        }
        heard = Instant::now();
    }
}

/// Writes what comes to a program, as long as it reads.
fn write_in(mut into: Box<dyn Write + Send>, mut pieces: mpsc::Receiver<Vec<u8>>) {
    while let Some(piece) = pieces.blocking_recv() {
        let (mut rest, mut taken) = (&piece[..], Instant::now());
        while !rest.is_empty() {
            match into.write(rest) {
                Ok(len) => (rest, taken) = (&rest[len..], Instant::now()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    if taken.elapsed() > SILENCE {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}

fn log(way: &str, outcome: Result<Result<u64, TransferError>, tokio::time::error::Elapsed>) {
    match outcome {
        Ok(Ok(bytes)) => tracing::debug!(way, bytes, "pasted"),
        Ok(Err(error)) => tracing::debug!(way, %error, "not pasted"),
        Err(_) => tracing::debug!(way, "not pasted within {LONGEST:?}"),
    }
}

/// Pictures of a whole desktop are some 20 MB.
const MAX_BYTES: u64 = 64 << 20;
/// §3.9.3.
const PIECE_BYTES: usize = 64 << 10;
/// The stream and the program work side by side; more would only be memory.
const PIECES: usize = 2;
/// A program that writes or reads nothing for so long never will: toolkits convert a large picture in less.
const SILENCE: Duration = Duration::from_secs(5);
/// The largest one at 5 Mbit/s.
const LONGEST: Duration = Duration::from_secs(120);
