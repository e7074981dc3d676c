//! Host and probe from end to end: starts the real binaries the way a user would, in folders of their own, and counts
//! what they leave behind.
//!
//! As root, everything runs as an unprivileged user (the host and sway refuse root), from copies of the binaries that
//! this user may reach. Dropping a [`Host`] ends it and everything it started.

pub mod census;
mod host;
mod probe;
pub mod recorder;
mod unprivileged;

pub use host::{Host, HostOptions};
pub use probe::{Probe, ProbeOutcome};
pub use unprivileged::{Identity, binaries};
