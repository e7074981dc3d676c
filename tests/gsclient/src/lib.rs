//! Our own Moonlight-side client: the other end of GameStream in tests, and the judge of what a host sends.
//!
//! Written from the protocol's description alone. It shares the arithmetic of the field GF(2^8) and the sealing with
//! the workspace and nothing with `planes/gamestream`, so that a misreading there cannot hide behind the same misreading
//! here. Beside doing what a client does it keeps [`Violations`]: every rule of the wire that the host broke, which
//! tests assert to be empty.
//!
//! ```text
//!  Identity ─► Http ── pair · serverinfo · applist · launch ──► Rtsp ── seven transactions ──► Negotiated
//!                                                                                              │
//!              Session: control thread (ENet) · video thread ─► decode thread · audio thread ◄─┘
//!                   └─► Report (JSON)
//! ```
#![forbid(unsafe_code)]

pub mod audio;
mod bytes;
pub mod control;
pub mod crypto;
mod decode;
mod der;
mod error;
mod http;
mod identity;
pub mod input;
mod loss;
pub mod pairing;
mod report;
pub mod rtsp;
mod session;
mod store;
mod tls;
pub mod video;
mod violations;
pub mod xml;

pub use decode::Picture;
pub use error::Error;
pub use http::{App, Http, Launch, Response, ServerInfo, Started};
pub use identity::{Identity, Shape};
pub use loss::Loss;
pub use pairing::Style;
pub use report::{AudioReport, Percentiles, Report, VideoReport};
pub use rtsp::{Announce, Describe, Formats, Negotiated, Rtsp};
pub use session::{AudioTap, Client, FrameTap, Session, StreamOptions, Taps};
pub use store::Store;
pub use violations::Violations;
