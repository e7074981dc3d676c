//! One clipboard transfer on a bidirectional stream of its own (punktfunk1.md §3.9.3), either side.
//!
//! ```text
//! asks   Transfer::ask ──── PKFs 01, ClipFetch ────►  Transfer::new, asked   holds
//!        next, next, None ◄── ClipFetchHdr, data, FIN ── answer, send …, finish
//! ```
//!
//! Whatever is dropped before its end is cancelled with 0x70, in both directions.

use std::time::Duration;

use punktfunk_core::CloseCode;
use punktfunk_core::control::{ClipFetch, ClipStatus, ControlMessage, MAX_MIME};
use punktfunk_core::framing::{TRANSFER_PREAMBLE, frame_with};
use quinn::{ReadError, ReadExactError, RecvStream, SendStream, VarInt, WriteError};
use tokio::time::timeout;

/// A transfer under way.
#[derive(Debug)]
pub struct Transfer {
    send: SendStream,
    recv: RecvStream,
    over: bool,
}

/// Why a transfer did not come to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TransferError {
    /// The peer does not want it any more, or the connection ended.
    #[error("cancelled by the peer")]
    Cancelled,
    /// The peer does nothing.
    #[error("nothing happened for {} s", STALL.as_secs())]
    Stalled,
    /// The peer misbehaved.
    #[error("no transfer: {0}")]
    Invalid(&'static str),
}

impl Transfer {
    /// A stream that the peer opened, or that is about to be asked on.
    #[must_use]
    pub fn new((send, recv): (SendStream, RecvStream)) -> Self {
        // Input and control go first. Fails only where the stream is closed.
        let _ = send.set_priority(PRIORITY);
        Self { send, recv, over: false }
    }

    /// Opens a stream and asks. Returns what the holder says: its data follows with [`Self::next`] if that is
    /// [`ClipStatus::Ok`], so many bytes (0: unknown).
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn ask(
        connection: &quinn::Connection,
        fetch: &ClipFetch,
    ) -> Result<(Self, ClipStatus, u64), TransferError> {
        let opened = limited(connection.open_bi()).await?.map_err(|_| TransferError::Cancelled)?;
        let mut transfer = Self::new(opened);
        let mut bytes = TRANSFER_PREAMBLE.to_vec();
        frame_with(&mut bytes, |out| ControlMessage::ClipFetch(fetch.clone()).encode(out))
            .map_err(|_| TransferError::Invalid("a format's name is too long"))?;
        transfer.send(&bytes).await?;
        match transfer.message().await? {
            ControlMessage::ClipFetchHdr { status, total_size } => Ok((transfer, status, total_size)),
            _ => Err(TransferError::Invalid("no head of an answer")),
        }
    }

    /// What the peer, who opened the stream, asks for.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn asked(&mut self) -> Result<ClipFetch, TransferError> {
        let mut preamble = [0; TRANSFER_PREAMBLE.len()];
        self.exactly(&mut preamble).await?;
        if preamble != TRANSFER_PREAMBLE {
            return Err(TransferError::Invalid("another preamble"));
        }
        match self.message().await? {
            ControlMessage::ClipFetch(fetch) => Ok(fetch),
            _ => Err(TransferError::Invalid("no question")),
        }
    }

    /// Says whether data follows.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn answer(&mut self, status: ClipStatus, total_size: u64) -> Result<(), TransferError> {
        let mut bytes = Vec::new();
        frame_with(&mut bytes, |out| ControlMessage::ClipFetchHdr { status, total_size }.encode(out))
            .map_err(|_| TransferError::Invalid("a head never is too long"))?;
        self.send(&bytes).await
    }

    /// Sends a piece.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        for piece in bytes.chunks(PIECE_BYTES) {
            limited(self.send.write_all(piece)).await?.map_err(|error| match error {
                WriteError::Stopped(_) | WriteError::ConnectionLost(_) => TransferError::Cancelled,
                WriteError::ClosedStream | WriteError::ZeroRttRejected => TransferError::Invalid("a closed stream"),
            })?;
        }
        Ok(())
    }

    /// That was all.
    pub fn finish(mut self) {
        self.over = true;
        // Fails only where the peer stopped it already.
        let _ = self.send.finish();
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, TransferError> {
        let chunk = limited(self.recv.read_chunk(PIECE_BYTES, true)).await?.map_err(read_failed)?;
        self.over |= chunk.is_none();
        Ok(chunk.map(|chunk| chunk.bytes.to_vec()))
    }

    /// Ready when the peer, who asked, wants no more.
    pub async fn cancelled(&self) {
        // Ready with an error where the connection ended: wanted no more either.
        let _ = self.send.stopped().await;
    }

    async fn message(&mut self) -> Result<ControlMessage, TransferError> {
        let mut len = [0; 2];
        self.exactly(&mut len).await?;
        let len = usize::from(u16::from_le_bytes(len));
        if len > LONGEST_MESSAGE {
            return Err(TransferError::Invalid("a message too long"));
        }
        let mut payload = vec![0; len];
        self.exactly(&mut payload).await?;
        ControlMessage::decode(&payload).map_err(|_| TransferError::Invalid("a message that makes no sense"))
    }

    async fn exactly(&mut self, into: &mut [u8]) -> Result<(), TransferError> {
        limited(self.recv.read_exact(into)).await?.map_err(|error| match error {
            ReadExactError::FinishedEarly(_) => TransferError::Invalid("cut off"),
            ReadExactError::ReadError(error) => read_failed(error),
        })
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if !self.over {
            let code = VarInt::from_u32(CloseCode::CLIPBOARD_CANCELLED.0);
            // Fail only where they are closed already.
            let _ = (self.send.reset(code), self.recv.stop(code));
        }
    }
}

fn read_failed(error: ReadError) -> TransferError {
    match error {
        ReadError::Reset(_) | ReadError::ConnectionLost(_) => TransferError::Cancelled,
        _ => TransferError::Invalid("a closed stream"),
    }
}

async fn limited<T>(step: impl Future<Output = T>) -> Result<T, TransferError> {
    timeout(STALL, step).await.map_err(|_| TransferError::Stalled)
}

/// Below control, whose priority is 0.
const PRIORITY: i32 = -1;
/// §3.9.3.
const PIECE_BYTES: usize = 64 << 10;
/// A peer that does nothing for so long has lost interest; a slow path moves a packet in less.
const STALL: Duration = Duration::from_secs(10);
/// `PKFc`, the type, a `ClipFetch` with the longest name; a head is shorter.
const LONGEST_MESSAGE: usize = 14 + MAX_MIME;
