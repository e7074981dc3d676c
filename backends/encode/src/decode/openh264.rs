//! OpenH264's decoder.

use std::ffi::c_int;
use std::ptr::{self, NonNull};
use std::slice;

use openh264_sys2::source::APILoader;
use openh264_sys2::{
    DECODER_OPTION_TRACE_LEVEL, ERROR_CON_DISABLE, ISVCDecoder, SBufferInfo, SDecodingParam, VIDEO_BITSTREAM_AVC,
    WELS_LOG_QUIET, dsErrorFree, dsFramePending,
};

use punktfunk_media::Colour;

use super::{DecodeError, Decoder, Picture};
use crate::h264;

pub(super) struct OpenH264Decoder {
    decoder: NonNull<ISVCDecoder>,
    /// As the last parameter set says.
    colour: Colour,
}

// SAFETY: the decoder is bound to no thread; every call takes `&mut self`.
unsafe impl Send for OpenH264Decoder {}

impl OpenH264Decoder {
    pub(super) fn open() -> Result<Self, DecodeError> {
        let failed = |what: &str| DecodeError::Unavailable(format!("OpenH264: {what}"));
        let mut decoder: *mut ISVCDecoder = ptr::null_mut();
        // SAFETY: the out pointer is valid; on success it holds a decoder that we own.
        let code = unsafe { APILoader::WelsCreateDecoder(&raw mut decoder) };
        let decoder = NonNull::new(decoder).filter(|_| code == 0).ok_or_else(|| failed("create"))?;
        let this = Self { decoder, colour: Colour::default() };

        let mut quiet: c_int = WELS_LOG_QUIET;
        // SAFETY: a live decoder; this option reads one int.
        unsafe {
            (this.functions().SetOption.expect("the vtable is complete"))(
                this.decoder.as_ptr(),
                DECODER_OPTION_TRACE_LEVEL,
                (&raw mut quiet).cast(),
            );
        }
        let mut parameters = SDecodingParam { eEcActiveIdc: ERROR_CON_DISABLE, ..SDecodingParam::default() };
        parameters.sVideoProperty.eVideoBsType = VIDEO_BITSTREAM_AVC;
        // SAFETY: a live decoder and complete parameters, read during the call.
        let code = unsafe {
            (this.functions().Initialize.expect("the vtable is complete"))(this.decoder.as_ptr(), &raw const parameters)
        };
        if code != 0 {
            return Err(failed("initialize"));
        }
        Ok(this)
    }

    fn functions(&self) -> &openh264_sys2::ISVCDecoderVtbl {
        // SAFETY: a decoder object starts with the pointer to its static vtable.
        unsafe { &**self.decoder.as_ptr() }
    }
}

impl Decoder for OpenH264Decoder {
    fn name(&self) -> &'static str {
        "OpenH264"
    }

    fn decode(&mut self, access_unit: &[u8], out: &mut Picture) -> Result<bool, DecodeError> {
        let len = c_int::try_from(access_unit.len())
            .map_err(|_| DecodeError::Corrupt("access unit of impossible size".to_owned()))?;
        self.colour = h264::colour(access_unit).unwrap_or(self.colour);
        let mut planes: [*mut u8; 3] = [ptr::null_mut(); 3];
        let mut info = SBufferInfo::default();
        // SAFETY: an initialised decoder, `len` readable bytes, and out parameters that live through the call.
        let state = unsafe {
            (self.functions().DecodeFrameNoDelay.expect("the vtable is complete"))(
                self.decoder.as_ptr(),
                access_unit.as_ptr(),
                len,
                planes.as_mut_ptr(),
                &raw mut info,
            )
        };
        if state != dsErrorFree && state != dsFramePending {
            return Err(DecodeError::Corrupt(format!("OpenH264 state {state:#x}")));
        }
        if info.iBufferStatus != 1 {
            // Above the baseline profile the library holds pictures back, in case later ones are to be shown first. Our
            // streams reorder nothing.
            // SAFETY: as above.
            unsafe {
                (self.functions().FlushFrame.expect("the vtable is complete"))(
                    self.decoder.as_ptr(),
                    planes.as_mut_ptr(),
                    &raw mut info,
                );
            }
        }
        if info.iBufferStatus != 1 || planes.iter().any(|p| p.is_null()) {
            return Ok(false);
        }
        // SAFETY: the union has only this member.
        let system = unsafe { info.UsrData.sSystemBuffer };
        let size = |v: c_int| usize::try_from(v).unwrap_or(0);
        let (width, height) = (size(system.iWidth), size(system.iHeight));
        let (luma, chroma) = (size(system.iStride[0]), size(system.iStride[1]));
        if width == 0 || height == 0 || luma < width || chroma < width.div_ceil(2) {
            return Ok(false);
        }
        let rows = [(0, luma, height), (1, chroma, height.div_ceil(2)), (2, chroma, height.div_ceil(2))];
        out.assign(
            width,
            height,
            // SAFETY: the decoder's picture buffer holds `stride * rows` bytes per plane until the next call.
            rows.map(|(i, stride, rows)| (unsafe { slice::from_raw_parts(planes[i], stride * rows) }, stride)),
        );
        out.colour = self.colour;
        Ok(true)
    }
}

impl Drop for OpenH264Decoder {
    fn drop(&mut self) {
        // SAFETY: ours alone; uninitialising before destroying is the documented order, also after a failed start.
        unsafe {
            (self.functions().Uninitialize.expect("the vtable is complete"))(self.decoder.as_ptr());
            APILoader::WelsDestroyDecoder(self.decoder.as_ptr());
        }
    }
}
