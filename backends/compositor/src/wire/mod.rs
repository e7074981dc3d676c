//! What host and worker say to each other: messages on a named `SOCK_SEQPACKET` socket.
//!
//! ```text
//! host ── hello(control) ── JSON question ─► ◄─ JSON answer ──────────────── one per stage
//!      ── hello(capture) ── slot + memfd, lend ─► ◄─ layout, frame ────────── one at a time
//!                        └─ cursor apart, heard ► ◄─ cursor
//!      ── hello(input)   ── one action per message ─► ◄─ ready ────────────── any number
//! ```
//!
//! A message is one datagram, so there is no framing to get wrong; its arrival is also the wake-up, and the end of the
//! other side closes the socket. Both sides check everything: the worker runs code that clients drive, and a host of
//! another version may come to an old worker.

mod action;
mod cursor;
mod frames;
mod requests;
mod socket;

pub use action::{decode_action, encode_action};
pub use cursor::{CURSOR, CURSOR_BYTES, decode_cursor, encode_cursor};
pub use frames::{FrameNote, FromCapture, ToCapture, decode_from_capture, decode_to_capture};
pub use requests::{Answer, Question, WindowInfo};
pub use socket::{Listener, Received, Socket, SocketError, timespec};

/// What a connection is for: its first message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Questions and answers.
    Control,
    /// Pictures.
    Capture,
    /// Input.
    Input,
}

impl Role {
    /// The first message of a connection.
    pub fn hello(self) -> [u8; 5] {
        let role = match self {
            Self::Control => 1,
            Self::Capture => 2,
            Self::Input => 3,
        };
        [MAGIC[0], MAGIC[1], MAGIC[2], VERSION, role]
    }

    /// Reads a first message; `None` for anything else, another version included.
    pub fn from_hello(message: &[u8]) -> Option<Self> {
        [Self::Control, Self::Capture, Self::Input].into_iter().find(|role| role.hello() == message)
    }
}

/// What the worker says once it takes input.
pub const READY: &[u8] = b"ready";
const MAGIC: [u8; 3] = *b"pfd";
/// Raised when a message changes its meaning: workers outlive the host that started them.
const VERSION: u8 = 4;
/// The longest message, a question with a command in it for one.
pub const LONGEST: usize = 64 * 1024;

/// Reads fields of fixed size; says `None` at the end instead of panicking.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(|[b]| b)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// A finite number.
    fn f64(&mut self) -> Option<f64> {
        self.take().map(f64::from_le_bytes).filter(|v| v.is_finite())
    }

    fn bool(&mut self) -> Option<bool> {
        self.u8().map(|b| b != 0)
    }

    fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// A message that is put together without allocating.
#[derive(Clone, Copy)]
pub struct Message {
    bytes: [u8; MESSAGE_BYTES],
    len: usize,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl Message {
    fn new(kind: u8) -> Self {
        let mut message = Self { bytes: [0; MESSAGE_BYTES], len: 0 };
        message.put(&[kind]);
        message
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.put(&value.to_le_bytes())
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.put(&value.to_le_bytes())
    }

    fn f64(&mut self, value: f64) -> &mut Self {
        self.put(&value.to_le_bytes())
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A frame with all rectangles that a damage can hold fits: 1 + 4 + 4 + 8 + 8 + 1 + 8 × 16.
const MESSAGE_BYTES: usize = 160;
