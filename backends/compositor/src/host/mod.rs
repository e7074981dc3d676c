//! The host's side of a worker.

mod capturer;
mod injector;
mod link;

pub use capturer::WorkerCapturer;
pub use injector::WorkerInjector;
pub use link::{LinkError, WorkerLink};
