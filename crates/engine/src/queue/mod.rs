//! The queues between the threads of a session: bounded, without allocation after they were made, and waking their
//! reader through a [`Signal`] that several queues may share.

mod bounded;
mod latest;
mod signal;

pub use bounded::Bounded;
pub use latest::Latest;
pub use signal::Signal;
