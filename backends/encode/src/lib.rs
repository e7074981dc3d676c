//! Video encoders behind `punktfunk_media`'s traits, and the decoders that judge them.
//!
//! - OpenH264: bundled, always there, the floor of the ladder.
//! - x264: through the system's libavcodec, opened at run time; absent means `encode.ffmpeg_missing`.
//! - The ladder, best first, and one real test encode per rung, judged by the other library's decoder.
//! - Conversion: packed RGB to the planes that encoders take.
//! - [`decode`]: decoders for the tests and the measuring client.

mod avcodec;
pub mod decode;
mod error;

pub use error::version_of_avcodec;
