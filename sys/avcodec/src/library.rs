//! Finding and opening the libraries.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

use crate::layout::{LAYOUTS, Layout};
use crate::{AV_LOG_FATAL, AvCodec, AvCodecContext, AvDictionary, AvFrame, AvPacket, AvRational};

/// The opened libraries. Lives until the process ends: codecs may own threads, so nothing is ever unloaded.
pub struct Library {
    /// The functions.
    pub f: Functions,
    /// Where struct fields lie in this version.
    pub layout: &'static Layout,
    avcodec_version: u32,
    _avutil: libloading::Library,
    _avcodec: libloading::Library,
}

/// Why libavcodec cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// No known soname could be opened.
    #[error("libavcodec 59 to 62 with its libavutil was not found: {0}")]
    NotFound(String),
    /// A library lacks a function that every version of its soname has.
    #[error("{library} lacks {symbol}")]
    MissingSymbol {
        /// File name.
        library: String,
        /// C name.
        symbol: String,
    },
    /// The file name promises another version than the library reports.
    #[error("{library} reports major version {reported}")]
    WrongVersion {
        /// File name.
        library: String,
        /// What the version function said.
        reported: u32,
    },
}

impl Library {
    /// Opens the libraries on first use; the outcome is kept for the life of the process.
    ///
    /// # Errors
    /// [`LoadError`] where they are not installed or not usable.
    pub fn get() -> Result<&'static Self, LoadError> {
        static LIBRARY: OnceLock<Result<Library, LoadError>> = OnceLock::new();
        LIBRARY.get_or_init(Self::open).as_ref().map_err(Clone::clone)
    }

    fn open() -> Result<Self, LoadError> {
        if cfg!(not(target_pointer_width = "64")) {
            return Err(LoadError::NotFound("struct offsets are known for 64-bit machines only".to_owned()));
        }
        let mut refusals = Vec::new();
        for layout in &LAYOUTS {
            match Self::open_version(layout) {
                Ok(library) => return Ok(library),
                Err(LoadError::NotFound(why)) => refusals.push(why),
                Err(broken) => return Err(broken),
            }
        }
        Err(LoadError::NotFound(refusals.join("; ")))
    }

    fn open_version(layout: &'static Layout) -> Result<Self, LoadError> {
        let avutil_name = format!("libavutil.so.{}", layout.soname.avutil);
        let avcodec_name = format!("libavcodec.so.{}", layout.soname.avcodec);
        let open = |name: &str| {
            // SAFETY: the initialisers of FFmpeg's libraries have no preconditions, and the handle is never closed.
            unsafe { libloading::Library::new(name) }.map_err(|e| {
                let cause = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
                LoadError::NotFound(if cause.contains(name) { cause } else { format!("{name}: {cause}") })
            })
        };
        let avutil = open(&avutil_name)?;
        let avcodec = open(&avcodec_name)?;
        let f = Functions::resolve((&avutil, &avutil_name), (&avcodec, &avcodec_name))?;

        // SAFETY: both functions take nothing and return the packed version in every release.
        let (avcodec_version, avutil_version) = unsafe { ((f.avcodec_version)(), (f.avutil_version)()) };
        for (library, reported, wanted) in [
            (avcodec_name, avcodec_version >> 16, layout.soname.avcodec),
            (avutil_name, avutil_version >> 16, layout.soname.avutil),
        ] {
            if reported != wanted {
                return Err(LoadError::WrongVersion { library, reported });
            }
        }
        // SAFETY: sets one global integer. Errors reach us as return values; nothing may scribble on our stderr.
        unsafe { (f.av_log_set_level)(AV_LOG_FATAL) };
        Ok(Self { f, layout, avcodec_version, _avutil: avutil, _avcodec: avcodec })
    }

    /// libavcodec's version as `major.minor.micro`.
    #[must_use]
    pub fn version(&self) -> String {
        let v = self.avcodec_version;
        format!("{}.{}.{}", v >> 16, (v >> 8) & 0xff, v & 0xff)
    }

    /// What libavutil says about an error code.
    #[must_use]
    pub fn describe(&self, code: c_int) -> String {
        let mut text = [0 as c_char; 128];
        // SAFETY: the buffer is valid for the length given; av_strerror always terminates it.
        unsafe { (self.f.av_strerror)(code, text.as_mut_ptr(), text.len()) };
        // SAFETY: terminated within the buffer, see above.
        unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
    }
}

macro_rules! functions {
    (
        $util:ident { $($u:ident: fn($($uarg:ty),*) $(-> $uret:ty)?;)* }
        $codec:ident { $($c:ident: fn($($carg:ty),*) $(-> $cret:ty)?;)* }
    ) => {
        /// Every function we call, as declared in FFmpeg's headers 5.0 to 8.0.
        #[allow(missing_docs)]
        pub struct Functions {
            $(pub $u: unsafe extern "C" fn($($uarg),*) $(-> $uret)?,)*
            $(pub $c: unsafe extern "C" fn($($carg),*) $(-> $cret)?,)*
        }

        impl Functions {
            fn resolve($util: (&libloading::Library, &str), $codec: (&libloading::Library, &str)) -> Result<Self, LoadError> {
                Ok(Self {
                    // SAFETY: each type is that function's declaration, equal in all the sonames we open.
                    $($u: unsafe { symbol::<unsafe extern "C" fn($($uarg),*) $(-> $uret)?>($util, stringify!($u)) }?,)*
                    // SAFETY: as above.
                    $($c: unsafe { symbol::<unsafe extern "C" fn($($carg),*) $(-> $cret)?>($codec, stringify!($c)) }?,)*
                })
            }
        }
    };
}

/// # Safety
/// `T` must be the function pointer type of the symbol.
unsafe fn symbol<T: Copy>((library, file): (&libloading::Library, &str), name: &str) -> Result<T, LoadError> {
    // SAFETY: promised by the caller.
    match unsafe { library.get::<T>(name) } {
        Ok(symbol) => Ok(*symbol),
        Err(_) => Err(LoadError::MissingSymbol { library: file.to_owned(), symbol: name.to_owned() }),
    }
}

functions! {
    avutil {
        avutil_version: fn() -> u32;
        av_log_set_level: fn(c_int);
        av_strerror: fn(c_int, *mut c_char, usize) -> c_int;
        av_opt_set: fn(*mut c_void, *const c_char, *const c_char, c_int) -> c_int;
        av_opt_set_int: fn(*mut c_void, *const c_char, i64, c_int) -> c_int;
        av_opt_set_q: fn(*mut c_void, *const c_char, AvRational, c_int) -> c_int;
        av_frame_alloc: fn() -> *mut AvFrame;
        av_frame_free: fn(*mut *mut AvFrame);
        av_frame_unref: fn(*mut AvFrame);
        av_frame_get_buffer: fn(*mut AvFrame, c_int) -> c_int;
        av_frame_make_writable: fn(*mut AvFrame) -> c_int;
    }
    avcodec {
        avcodec_version: fn() -> u32;
        avcodec_find_encoder_by_name: fn(*const c_char) -> *const AvCodec;
        avcodec_find_decoder_by_name: fn(*const c_char) -> *const AvCodec;
        avcodec_alloc_context3: fn(*const AvCodec) -> *mut AvCodecContext;
        avcodec_free_context: fn(*mut *mut AvCodecContext);
        avcodec_open2: fn(*mut AvCodecContext, *const AvCodec, *mut *mut AvDictionary) -> c_int;
        avcodec_send_frame: fn(*mut AvCodecContext, *const AvFrame) -> c_int;
        avcodec_receive_packet: fn(*mut AvCodecContext, *mut AvPacket) -> c_int;
        avcodec_send_packet: fn(*mut AvCodecContext, *const AvPacket) -> c_int;
        avcodec_receive_frame: fn(*mut AvCodecContext, *mut AvFrame) -> c_int;
        av_packet_alloc: fn() -> *mut AvPacket;
        av_packet_free: fn(*mut *mut AvPacket);
        av_packet_unref: fn(*mut AvPacket);
        av_new_packet: fn(*mut AvPacket, c_int) -> c_int;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Soname;

    #[test]
    fn a_missing_library_is_told_from_a_broken_one() {
        static NOBODY: Layout = Layout { soname: Soname { avcodec: 9999, avutil: 9999 }, ..LAYOUTS[0] };
        match Library::open_version(&NOBODY) {
            Err(LoadError::NotFound(why)) => assert!(why.contains("libavutil.so.9999"), "{why}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("there is no such library"),
        }
    }

    #[test]
    fn what_is_installed_reports_the_version_of_its_name() {
        let library = Library::get().expect("libavcodec is installed for the tests");
        assert!(library.version().starts_with(&format!("{}.", library.layout.soname.avcodec)));
        assert!(!library.describe(crate::AVERROR_EAGAIN).is_empty());
        assert_eq!(crate::layout_of(library.layout.soname), Some(library.layout));
    }
}
