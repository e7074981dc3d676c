//! The client side of `punktfunk/1`.
//!
//! ```text
//!             ┌──────────────────────── Session (sans-IO) ───────────────────────┐
//!  control ──►│ handshake · clock · recovery · reports · adaptive bitrate · speed │──► control, punches
//!  packets ──►│ open ─► reassemble ─► recovery verdict ─► latency accounting      │──► access units, events
//!             └───────────────────────────────────────────────────────────────────┘
//!                 ▲ driven by `net`: QUIC on tokio, the data plane on one native thread
//! ```
//!
//! [`Session`] holds all decisions and is tested in virtual time; [`Dialer`], [`pair`] and [`Stream`] are a thin driver.
#![forbid(unsafe_code)]

mod driver;
mod end;
mod latency;
pub mod policy;
mod session;
mod sound;
mod summary;
mod target;

pub use driver::{
    ClientClock, ClipError, ClipSource, DialBudget, DialFailed, Dialer, Happening, Link, Lose, PairError, Stream,
    StreamError, StreamHandle, StreamOptions, pair,
};
pub use end::{End, EndedBy};
pub use latency::{Latency, Percentiles, Stage};
pub use session::{Command, CursorState, Event, Input, Output, Session, SessionConfig, SessionError, Unit};
pub use sound::{SoundBlock, SoundCounts, SoundReceiver};
pub use summary::Summary;
pub use target::{BadTarget, Target};
