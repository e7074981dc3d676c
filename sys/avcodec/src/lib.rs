//! libavcodec and libavutil, opened at run time.
//!
//! This crate mirrors the two libraries' ABI and stops there: it finds a pair of sonames that belong together, checks
//! the versions they report, resolves the functions we call, and knows where a handful of struct fields lie. Ownership,
//! errors and call order live in `punktfunk-encode`.
//!
//! ```text
//! Library::get() ─► libavutil.so.57..60 + libavcodec.so.59..62 ─► function table + Layout   (once, never unloaded)
//! ```
//!
//! Almost everything is set through AVOptions, which have names instead of offsets. The few fields that have none
//! ([`Layout`]) are the same in all four versions but for `pict_type`; whoever uses them checks them by a test encode.

mod layout;
mod library;

pub use layout::{Layout, Soname, layout_of};
pub use library::{Functions, Library, LoadError};

use std::ffi::c_int;

/// `AVCodec`, opaque.
#[repr(C)]
pub struct AvCodec {
    _private: [u8; 0],
}

/// `AVCodecContext`, opaque: driven through AVOptions only.
#[repr(C)]
pub struct AvCodecContext {
    _private: [u8; 0],
}

/// `AVFrame`, opaque: fields through [`Layout`].
#[repr(C)]
pub struct AvFrame {
    _private: [u8; 0],
}

/// `AVPacket`, opaque: fields through [`Layout`].
#[repr(C)]
pub struct AvPacket {
    _private: [u8; 0],
}

/// `AVDictionary`, opaque: only ever passed as null.
#[repr(C)]
pub struct AvDictionary {
    _private: [u8; 0],
}

/// `AVRational`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AvRational {
    /// Numerator.
    pub num: c_int,
    /// Denominator.
    pub den: c_int,
}

/// `AVERROR(EAGAIN)` on Linux: output is not ready, or input must be drained first.
pub const AVERROR_EAGAIN: c_int = -11;
/// `AVERROR_EOF`: the codec was drained.
pub const AVERROR_EOF: c_int = -0x2046_4f45;
/// `AVERROR_OPTION_NOT_FOUND`.
pub const AVERROR_OPTION_NOT_FOUND: c_int = -0x5450_4ff8;
/// `AV_OPT_SEARCH_CHILDREN`: look in the codec's private options too.
pub const AV_OPT_SEARCH_CHILDREN: c_int = 1;
/// `AV_PIX_FMT_YUV420P`.
pub const AV_PIX_FMT_YUV420P: c_int = 0;
/// `AV_PIX_FMT_YUVJ420P`: the same planes, flagged as full range by old decoders.
pub const AV_PIX_FMT_YUVJ420P: c_int = 12;
/// `AV_PICTURE_TYPE_NONE`: the encoder chooses.
pub const AV_PICTURE_TYPE_NONE: c_int = 0;
/// `AV_PICTURE_TYPE_I`.
pub const AV_PICTURE_TYPE_I: c_int = 1;
/// `AV_LOG_FATAL`: errors reach us as return values; the library's own lines would go to stderr.
pub const AV_LOG_FATAL: c_int = 8;
