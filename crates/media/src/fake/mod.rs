//! Fakes that do plausible work: a desktop that draws, encoders that make access units of the right size, an injector
//! that remembers, a journal in memory. Whole sessions run on them without a compositor or a codec; `--source synthetic`
//! and `--codec none` are made of them too, so they are cheap and bounded.
//!
//! ```text
//! SyntheticDesktop ─ open ─► SyntheticStage ─┬─► SyntheticCapturer   draws stamp (frame index) and moving background
//!                                            ├─► RecordingInjector   remembers the last actions
//!                                            └─► FakeApps            run until they are told to exit
//! FakeEncoderFactory       access units for tests, fails or panics where told
//! TransportEncoderFactory  `PFT1` access units of bitrate/8/fps bytes
//! ```

mod app;
mod capture;
mod desktop;
mod encode;
mod faults;
mod inject;
mod journal;
pub mod pft1;
pub mod stamp;
mod transport;

pub use app::FakeApps;
pub use capture::SyntheticCapturer;
pub use desktop::{SyntheticDesktop, SyntheticOptions, SyntheticStage};
pub use encode::{EncoderCall, EncoderLog, EncoderScript, FakeEncoder, FakeEncoderFactory, read_fake_unit};
pub use faults::{Faults, ModeAnswer};
pub use inject::{Recording, RecordingInjector};
pub use journal::MemoryJournal;
pub use transport::{TransportEncoder, TransportEncoderFactory};
