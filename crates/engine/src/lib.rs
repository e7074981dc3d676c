//! One session: plan, threads, stop.
//!
//! A plane turns its handshake into a [`plan::ClientWish`]; [`plan::plan`] answers with a [`plan::SessionPlan`];
//! [`session::Session::start`] runs it on native threads until someone calls `stop`, the client's link breaks, or a
//! stage fails. The engine knows the traits of `punktfunk-media` and the wire types of `punktfunk-core`, never a backend,
//! a plane, a socket or an async runtime.
//!
//! ```text
//! capture-N ─ Latest ─► encode-N ─ Bounded(2) ─► send-N ─► DatagramSink          SessionControl ─► mailboxes
//!     ▲ slots, Stage       ▲ commands                ▲ probes                     input ─ Bounded(256) ─► inject-N
//!                                                                                input ─ Bounded(1024) ─► pads-N ─► Pad
//! ```
#![forbid(unsafe_code)]

pub mod clock;
pub mod link;
pub mod pads;
mod pipeline;
pub mod plan;
pub mod queue;
pub mod session;
pub mod stats;
