//! A codec context, driven through AVOptions.

use std::ffi::{CString, c_int, c_void};
use std::ptr::{self, NonNull};

use punktfunk_sys_avcodec::{
    AV_OPT_SEARCH_CHILDREN, AVERROR_EAGAIN, AVERROR_EOF, AvCodec, AvCodecContext, AvRational, Library,
};

use super::{Frame, Packet};

/// An encoder or decoder context.
pub(crate) struct Context {
    library: &'static Library,
    context: NonNull<AvCodecContext>,
    codec: *const AvCodec,
}

// SAFETY: libavcodec contexts are bound to no thread; they only must not be used from two at once, and every method
// that reaches the library takes `&mut self`.
unsafe impl Send for Context {}

/// A failed call: the function and what libavutil says about its code.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{call}: {message} ({code})")]
pub(crate) struct CallError {
    pub(crate) call: String,
    pub(crate) message: String,
    pub(crate) code: c_int,
}

impl Context {
    /// A fresh encoder context, `None` where the library was built without that encoder.
    pub(crate) fn encoder(library: &'static Library, name: &str) -> Option<Self> {
        let name = CString::new(name).ok()?;
        // SAFETY: a terminated string that outlives the call; the codec it returns is static.
        let codec = unsafe { (library.f.avcodec_find_encoder_by_name)(name.as_ptr()) };
        Self::new(library, codec)
    }

    /// A fresh decoder context, `None` where the library was built without that decoder.
    pub(crate) fn decoder(library: &'static Library, name: &str) -> Option<Self> {
        let name = CString::new(name).ok()?;
        // SAFETY: as for the encoder.
        let codec = unsafe { (library.f.avcodec_find_decoder_by_name)(name.as_ptr()) };
        Self::new(library, codec)
    }

    fn new(library: &'static Library, codec: *const AvCodec) -> Option<Self> {
        if codec.is_null() {
            return None;
        }
        // SAFETY: a static codec of the same library.
        let context = NonNull::new(unsafe { (library.f.avcodec_alloc_context3)(codec) })?;
        Some(Self { library, context, codec })
    }

    pub(crate) fn library(&self) -> &'static Library {
        self.library
    }

    /// Sets an option by name, on the context or the codec's private part.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), CallError> {
        let (c_name, c_value) = (c_string(name), c_string(value));
        // SAFETY: the context starts with an AVClass pointer, which is what av_opt_set wants; strings are terminated.
        let code = unsafe {
            (self.library.f.av_opt_set)(self.object(), c_name.as_ptr(), c_value.as_ptr(), AV_OPT_SEARCH_CHILDREN)
        };
        self.check(code, || format!("option {name}={value}"))
    }

    /// Sets a number by name. Allocates nothing but the name: also used while encoding.
    pub(crate) fn set_int(&mut self, name: &std::ffi::CStr, value: i64) -> Result<(), CallError> {
        // SAFETY: as for `set`.
        let code =
            unsafe { (self.library.f.av_opt_set_int)(self.object(), name.as_ptr(), value, AV_OPT_SEARCH_CHILDREN) };
        self.check(code, || format!("option {}={value}", name.to_string_lossy()))
    }

    /// Sets a fraction by name.
    pub(crate) fn set_ratio(&mut self, name: &std::ffi::CStr, num: c_int, den: c_int) -> Result<(), CallError> {
        // SAFETY: as for `set`.
        let code = unsafe {
            (self.library.f.av_opt_set_q)(self.object(), name.as_ptr(), AvRational { num, den }, AV_OPT_SEARCH_CHILDREN)
        };
        self.check(code, || format!("option {}={num}/{den}", name.to_string_lossy()))
    }

    /// Opens the codec with the options set so far.
    pub(crate) fn open(&mut self) -> Result<(), CallError> {
        // SAFETY: context and codec belong together (see `new`); a null dictionary is allowed.
        let code = unsafe { (self.library.f.avcodec_open2)(self.context.as_ptr(), self.codec, ptr::null_mut()) };
        self.check(code, || "avcodec_open2".to_owned())
    }

    pub(crate) fn send_frame(&mut self, frame: &Frame) -> Result<(), CallError> {
        // SAFETY: an open encoder context and a frame of the same library; the encoder takes its own reference.
        let code = unsafe { (self.library.f.avcodec_send_frame)(self.context.as_ptr(), frame.as_ptr()) };
        self.check(code, || "avcodec_send_frame".to_owned())
    }

    /// Takes the next packet. `Ok(false)`: none ready.
    pub(crate) fn receive_packet(&mut self, packet: &mut Packet) -> Result<bool, CallError> {
        // SAFETY: an open encoder context; the packet is unreferenced by the call itself.
        let code = unsafe { (self.library.f.avcodec_receive_packet)(self.context.as_ptr(), packet.as_mut_ptr()) };
        self.ready(code, "avcodec_receive_packet")
    }

    pub(crate) fn send_packet(&mut self, packet: &Packet) -> Result<(), CallError> {
        // SAFETY: an open decoder context and a packet of the same library.
        let code = unsafe { (self.library.f.avcodec_send_packet)(self.context.as_ptr(), packet.as_ptr()) };
        self.check(code, || "avcodec_send_packet".to_owned())
    }

    /// Takes the next picture. `Ok(false)`: none ready.
    pub(crate) fn receive_frame(&mut self, frame: &mut Frame) -> Result<bool, CallError> {
        // SAFETY: an open decoder context; the frame is unreferenced by the call itself.
        let code = unsafe { (self.library.f.avcodec_receive_frame)(self.context.as_ptr(), frame.as_mut_ptr()) };
        self.ready(code, "avcodec_receive_frame")
    }

    fn object(&mut self) -> *mut c_void {
        self.context.as_ptr().cast()
    }

    fn ready(&self, code: c_int, call: &str) -> Result<bool, CallError> {
        match code {
            AVERROR_EAGAIN | AVERROR_EOF => Ok(false),
            _ => self.check(code, || call.to_owned()).map(|()| true),
        }
    }

    fn check(&self, code: c_int, call: impl FnOnce() -> String) -> Result<(), CallError> {
        if code >= 0 { Ok(()) } else { Err(CallError { call: call(), message: self.library.describe(code), code }) }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut context = self.context.as_ptr();
        // SAFETY: the context is ours alone; the function frees the codec's private part too and nulls the pointer.
        unsafe { (self.library.f.avcodec_free_context)(&raw mut context) };
    }
}

/// Option names and values are ours and hold no zero byte; one that did would simply be refused as unknown.
fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}
