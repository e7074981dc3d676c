//! How this crate's failures become the stable reasons of `punktfunk_media`.

use punktfunk_media::{EncodeError, OpenEncoderError, Reason, reason};
use punktfunk_sys_avcodec::Library;

pub(crate) fn open_error(reason: &'static Reason, detail: impl Into<String>) -> OpenEncoderError {
    OpenEncoderError { reason, detail: detail.into() }
}

pub(crate) fn failed(detail: impl Into<String>) -> EncodeError {
    EncodeError { reason: &reason::ENCODE_FAILED, detail: detail.into() }
}

/// libavcodec's version (`59.37.100`) for `doctor`; the reason of the error is `encode.ffmpeg_missing`.
///
/// # Errors
/// [`OpenEncoderError`] where the library is not installed or unusable.
pub fn version_of_avcodec() -> Result<String, OpenEncoderError> {
    library().map(Library::version)
}

pub(crate) fn library() -> Result<&'static Library, OpenEncoderError> {
    Library::get().map_err(|e| open_error(&reason::ENCODE_FFMPEG_MISSING, e.to_string()))
}
