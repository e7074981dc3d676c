//! The thin driver: a [`crate::Session`] on real sockets.
//!
//! ```text
//!  tokio   control reader ─┐                                     ┌─► control writer
//!          datagrams ──────┤                                     ├─► datagrams
//!          clipboard ◄─────┼── a stream per transfer ────────────┼─► clipboard
//!  thread  client-rx ──────┼─► Mutex<Session> ─► outputs ────────┼─► punches
//!  anyone  input, decoded ─┘     (carried out under the lock,    └─► UnitQueue (64) ─► decoder thread
//!                                 nothing in them blocks)
//! ```
//!
//! Video never touches tokio: one native thread receives in batches, opens, reassembles and queues access units. The
//! lock is held for one batch at most; the control side needs it a few times a second.

mod clipboard;
mod clock;
mod dial;
mod pair;
mod shared;
mod stream;
mod units;

pub use clipboard::{ClipError, ClipSource};
pub use clock::ClientClock;
pub use dial::{DialBudget, DialFailed, Dialer, Link};
pub use pair::{PairError, pair};
pub use stream::{Happening, Lose, Stream, StreamError, StreamHandle, StreamOptions};
