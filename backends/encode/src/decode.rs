//! Decoders: the referees of the encoder tests, and what the measuring client plays with.
//!
//! Errors are never concealed: a picture that depends on something lost is an error, not a guess.

mod avcodec;
mod openh264;
mod picture;

use punktfunk_media::Codec;

pub use picture::Picture;

/// Turns access units into pictures. One picture per access unit, no delay.
pub trait Decoder: Send {
    /// Library and codec, for reports.
    fn name(&self) -> &'static str;

    /// Decodes one whole access unit into `out`, whose buffers are reused. `Ok(false)`: the unit held no picture that
    /// could be shown at once (parameter sets alone).
    ///
    /// # Errors
    /// [`DecodeError`] for a damaged unit or one whose references are missing; the next keyframe heals it. `out` is
    /// then undefined.
    fn decode(&mut self, access_unit: &[u8], out: &mut Picture) -> Result<bool, DecodeError>;
}

/// Why an access unit could not be decoded, or a decoder not be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DecodeError {
    /// No decoder for this codec here: library missing or built without it.
    #[error("no decoder: {0}")]
    Unavailable(String),
    /// The unit is damaged, or refers to pictures that were never decoded.
    #[error("cannot decode: {0}")]
    Corrupt(String),
    /// A picture format other than 8-bit 4:2:0.
    #[error("unsupported picture format {0}")]
    Format(i32),
}

/// OpenH264's decoder. Always there.
///
/// # Errors
/// [`DecodeError::Unavailable`] if it cannot be initialised (out of memory).
pub fn open_openh264() -> Result<Box<dyn Decoder>, DecodeError> {
    Ok(Box::new(openh264::OpenH264Decoder::open()?))
}

/// libavcodec's software decoder for `codec`, opened at run time.
///
/// # Errors
/// [`DecodeError::Unavailable`] where the library or that decoder is not installed.
pub fn open_avcodec(codec: Codec) -> Result<Box<dyn Decoder>, DecodeError> {
    Ok(Box::new(avcodec::AvcodecDecoder::open(codec)?))
}

/// The best decoder here for `codec`: libavcodec where it is installed, else OpenH264 for H.264.
///
/// # Errors
/// [`DecodeError::Unavailable`] where neither knows the codec.
pub fn open_any(codec: Codec) -> Result<Box<dyn Decoder>, DecodeError> {
    match open_avcodec(codec) {
        Err(_) if codec == Codec::H264 => open_openh264(),
        outcome => outcome,
    }
}
