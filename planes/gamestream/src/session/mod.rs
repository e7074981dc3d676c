//! Sessions from `/launch` to their end: one task each, one table for the doors to find them.
//!
//! ```text
//! launch ─► slot, display, program ─► pending ── ANNOUNCE ─► announced ── first video ping ─► streaming
//!              └── refused: XML         └─────── 10 s ──────────┴────────► given up                │
//!                                                                                                  ▼
//! gone ◄── the display's linger runs out ── paused ◄── the client left, was silent, was replaced ──┤
//!   ▲                                                                                              │
//!   └──── /cancel, the program ended, access revoked, an error (termination is told first) ◄───────┘
//! ```

mod actor;
mod announce;
mod doors;
mod feedback;
mod figures;
mod live;
mod paused;
mod table;

pub(crate) use doors::Doors as SessionDoors;
pub(crate) use live::Live;
pub(crate) use table::Table;
