//! Fakes that do plausible work: a desktop that draws, encoders that make access units of the right size, an injector
//! that remembers, a journal in memory. Whole sessions run on them without a compositor or a codec; `--source synthetic`
//! and `--codec none` are made of them too, so they are cheap and bounded.
//!
//! ```text
//! SyntheticDesktop ─ open ─► SyntheticStage ─┬─► SyntheticCapturer   draws stamp (frame index) and moving background
//!                                            ├─► RecordingInjector   remembers the last actions
//!                                            └─► a tone per channel, and a microphone that remembers (Voice)
//!                                            ├─► FakeClipboard       tests copy and paste
//! FakePads                 gamepads that remember; programs' wishes are played by the test
//!                                            └─► FakeApps            run until they are told to exit
//! FakeEncoderFactory       access units for tests, fails or panics where told
//! TransportEncoderFactory  `PFT1` access units of bitrate/8/fps bytes
//! ```

mod app;
mod audio;
mod capture;
mod clipboard;
mod cursor;
mod desktop;
mod encode;
mod faults;
mod inject;
mod journal;
mod pads;
pub mod pft1;
pub mod stamp;
mod transport;

pub use app::FakeApps;
pub use audio::{PcmCodec, TONES_HZ, Voice, voice_packet};
pub use capture::SyntheticCapturer;
pub use clipboard::{CopiedData, FakeClipboard, FakePaste};
pub use cursor::CURSOR_SHAPE_EVERY;
pub use desktop::{SyntheticDesktop, SyntheticOptions, SyntheticStage};
pub use encode::{EncoderCall, EncoderLog, EncoderScript, FakeEncoder, FakeEncoderFactory, read_fake_unit};
pub use faults::{Faults, ModeAnswer};
pub use inject::{Recording, RecordingInjector};
pub use journal::MemoryJournal;
pub use pads::{FakePads, PadCall};
pub use transport::{TransportEncoder, TransportEncoderFactory};
