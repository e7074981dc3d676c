//! What outlives a session: who may come in, who is in, which displays are kept, and what must be undone.
//!
//! ```text
//! Hub::open(config)            state folder, journal locked; a second host is refused here
//!   └─ journal().replay(map)   what an earlier host left: undone at once, or a lease that runs on
//!   └─ Displays::start(…)      adopts what is left of the leases, keeps stages from now on
//! a plane, per client          trust().state → pairing().begin / knock → admission().admit → displays.acquire
//!                              … session …    displays.release → drop(Ticket)
//! Library::open(…)             what may be started: the configuration's, people's own, what stores installed
//! Apps::launch(…)              a program of the library, on the stage that was acquired
//! Displays::shutdown(…)        SIGINT: everything is undone; SIGTERM: leases stay for the watchdog
//! ```
//!
//! The watchdog process calls only [`journal::replay_after_death`].
#![forbid(unsafe_code)]

pub mod admission;
pub mod apps;
pub mod catalogue;
pub mod displays;
pub mod events;
mod hub;
pub mod journal;
pub mod library;
pub mod live;
mod names;
pub mod pairing;
pub mod state;
pub mod trust;

pub use hub::{Hub, HubConfig, PairingPolicy, Policy};
pub use names::{is_hostile, sanitise_name};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex whose data is valid between any two statements of its holders: a panic elsewhere changes nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
