//! Video encoders behind `punktfunk_media`'s traits, and the decoders that judge them.
//!
//! ```text
//! available(choice) ─► x264 (libavcodec, opened at run time) ─► openh264 (bundled, the floor)       best first
//!                        each: convert (damaged rows) ─► encode ─► one access unit per picture
//! ```
//!
//! - [`available`], [`facts`], [`selftest`]: the ladder, what `doctor` says about it, and one real test encode.
//! - [`openh264`], [`x264`]: the encoders.
//! - [`decode`]: decoders for tests and the measuring client.
//! - [`h264`]: reading bitstreams as far as encoders and tests need it.
//! - [`faulty`]: an encoder that breaks on purpose.

mod avcodec;
pub mod decode;
mod error;
pub mod faulty;
pub mod h264;
mod ladder;
pub mod openh264;
mod output;
mod selftest;
pub mod x264;

pub use error::version_of_avcodec;
pub use ladder::{EncoderFact, NAMES, available, factory, facts};
pub use selftest::{SelfTest, SelfTestError, selftest, selftest_at};
