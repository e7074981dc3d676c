//! The control stream: framed messages over one bidirectional QUIC stream, resumable at any byte.

use std::time::Duration;

use punktfunk_core::framing::{FrameReader, frame_with};
use punktfunk_media::reason;
use quinn::{ReadError, RecvStream, SendStream};
use tokio::time::timeout;

use crate::refusal::{Refusal, Stop};
use punktfunk_core::CloseCode;

/// The receiving half. [`Self::next`] is cancel-safe: nothing is lost when its future is dropped.
pub(crate) struct ControlReader {
    stream: RecvStream,
    frames: FrameReader,
    payload: Vec<u8>,
    chunk: Box<[u8; CHUNK_BYTES]>,
}

impl ControlReader {
    pub fn new(stream: RecvStream) -> Self {
        Self { stream, frames: FrameReader::new(), payload: Vec::new(), chunk: Box::new([0; CHUNK_BYTES]) }
    }

    /// The next payload, maybe empty; [`Stop::Gone`] when the stream or the connection ended.
    pub async fn next(&mut self) -> Result<&[u8], Stop> {
        loop {
            if let Some(payload) = self.frames.next() {
                // Copied because the frame's loan would last over the read below.
                self.payload.clear();
                self.payload.extend_from_slice(payload);
                return Ok(&self.payload);
            }
            match self.stream.read(&mut self.chunk[..]).await {
                Ok(Some(len)) => self.frames.push(&self.chunk[..len]),
                Ok(None) => return Err(Stop::Gone),
                Err(ReadError::Reset(_) | ReadError::ConnectionLost(_) | ReadError::ClosedStream) => {
                    return Err(Stop::Gone);
                }
                Err(ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected) => return Err(Stop::Gone),
            }
        }
    }

    /// The next payload within `patience`.
    pub async fn next_within(&mut self, patience: Duration) -> Result<&[u8], Stop> {
        match timeout(patience, self.next()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(timed_out("the next message did not come").into()),
        }
    }
}

/// The sending half.
pub(crate) struct ControlWriter {
    stream: SendStream,
    buffer: Vec<u8>,
}

impl ControlWriter {
    pub fn new(stream: SendStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Sends one message, whose payload `encode` appends.
    pub async fn send(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), Stop> {
        self.buffer.clear();
        if let Err(error) = frame_with(&mut self.buffer, encode) {
            tracing::error!(%error, "a message of ours is too long and was not sent");
            return Ok(());
        }
        match timeout(WRITE_PATIENCE, self.stream.write_all(&self.buffer)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Stop::Gone),
            Err(_) => Err(Refusal::new(CloseCode::DONE, &reason::NATIVE_NOT_READING).into()),
        }
    }

    /// Ends the sending half.
    pub fn finish(&mut self) {
        // Only fails when the stream is gone already.
        let _ = self.stream.finish();
    }
}

/// A step of the handshake took too long.
pub(crate) fn timed_out(what: &str) -> Refusal {
    Refusal::setup(&reason::NATIVE_HANDSHAKE_TIMEOUT, what)
}

/// Larger than every control message but the clipboard's.
const CHUNK_BYTES: usize = 2048;
/// A write waits only for the peer's window of more than a megabyte (a slow network fills our own buffer first), so a
/// peer that makes us wait does not read. Short enough to leave a slot before admission gives it away (1.5 s).
const WRITE_PATIENCE: Duration = Duration::from_millis(1200);
