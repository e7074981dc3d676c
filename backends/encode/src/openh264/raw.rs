//! The library's encoder object: options in, NAL units out.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::slice;

use openh264_sys2 as sys;
use openh264_sys2::source::APILoader;
use punktfunk_media::{Colour, Matrix};

use super::Planes;
use super::long_term::{Feedback, Recovery};
use crate::output::Budget;

/// An initialised encoder.
pub(super) struct RawEncoder {
    encoder: NonNull<sys::ISVCEncoder>,
    /// What the library fills per picture; 5 KB, kept so that it is not on the stack of every call.
    info: Box<sys::SFrameBSInfo>,
    /// Milliseconds of nominal time, in 1/1000: the library wants stamps that grow.
    clock_us: i64,
    picture_us: i64,
}

// SAFETY: the encoder is bound to no thread (its own worker threads are joined inside each call), the pointers in
// `info` are only followed inside `encode`, and every call takes `&mut self`.
unsafe impl Send for RawEncoder {}

/// How to set it up.
pub(super) struct Setup {
    /// Even picture size.
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) budget: Budget,
    /// Slices per picture.
    pub(super) slices: u32,
    /// Threads that code them, at most as many.
    pub(super) threads: u32,
    /// How the planes stand for colours.
    pub(super) colour: Colour,
}

/// The library's version.
pub(super) fn version() -> String {
    let mut version = sys::OpenH264Version::default();
    // SAFETY: fills the struct it is given.
    unsafe { APILoader::WelsGetCodecVersionEx(&raw mut version) };
    format!("OpenH264 {}.{}.{}", version.uMajor, version.uMinor, version.uRevision)
}

impl RawEncoder {
    pub(super) fn open(setup: &Setup) -> Result<Self, String> {
        let mut encoder: *mut sys::ISVCEncoder = ptr::null_mut();
        // SAFETY: the out pointer is valid; on success it holds an encoder that we own.
        let code = unsafe { APILoader::WelsCreateSVCEncoder(&raw mut encoder) };
        let encoder = NonNull::new(encoder).filter(|_| code == 0).ok_or("OpenH264 could not be created")?;
        let picture_us = 1_000_000 / i64::from(setup.budget.nominal_hz.max(1));
        let mut this = Self { encoder, info: Box::default(), clock_us: 0, picture_us };

        let mut quiet: c_int = sys::WELS_LOG_QUIET;
        this.set(sys::ENCODER_OPTION_TRACE_LEVEL, &raw mut quiet);
        let mut parameters = sys::SEncParamExt::default();
        // SAFETY: a live encoder fills the struct it is given.
        let code = unsafe {
            (this.functions().GetDefaultParams.expect("the vtable is complete"))(
                this.encoder.as_ptr(),
                &raw mut parameters,
            )
        };
        if code != 0 {
            return Err(format!("OpenH264 has no defaults ({code})"));
        }
        fill(&mut parameters, setup);
        // SAFETY: a live encoder and complete parameters, read during the call.
        let code = unsafe {
            (this.functions().InitializeExt.expect("the vtable is complete"))(
                this.encoder.as_ptr(),
                &raw const parameters,
            )
        };
        if code != 0 {
            return Err(format!("OpenH264 refused {}x{} ({code})", setup.width, setup.height));
        }
        // Again: initialising resets it.
        this.set(sys::ENCODER_OPTION_TRACE_LEVEL, &raw mut quiet);
        Ok(this)
    }

    /// Encodes one picture and appends its access unit, start codes included, to `out`.
    pub(super) fn encode(&mut self, planes: &Planes, idr: bool, out: &mut Vec<u8>) -> Result<(), String> {
        if idr {
            // SAFETY: an initialised encoder.
            let code = unsafe {
                (self.functions().ForceIntraFrame.expect("the vtable is complete"))(self.encoder.as_ptr(), true)
            };
            if code != 0 {
                return Err(format!("ForceIntraFrame failed ({code})"));
            }
        }
        let stride = |bytes: usize| c_int::try_from(bytes).map_err(|_| "stride too large".to_owned());
        let (luma, chroma) = (stride(planes.stride)?, stride(planes.stride / 2)?);
        let picture = sys::SSourcePicture {
            iColorFormat: sys::videoFormatI420,
            iStride: [luma, chroma, chroma, 0],
            pData: [
                planes.y.as_ptr().cast_mut(),
                planes.u.as_ptr().cast_mut(),
                planes.v.as_ptr().cast_mut(),
                ptr::null_mut(),
            ],
            iPicWidth: planes.width as c_int,
            iPicHeight: planes.height as c_int,
            uiTimeStamp: self.clock_us / 1000,
            ..sys::SSourcePicture::default()
        };
        self.clock_us += self.picture_us;
        let info = &raw mut *self.info;
        // SAFETY: an initialised encoder; the planes have the size it was opened for and are only read (the struct's
        // pointers are mutable for no reason of ours); `info` lives in the box.
        let code = unsafe {
            (self.functions().EncodeFrame.expect("the vtable is complete"))(
                self.encoder.as_ptr(),
                &raw const picture,
                info,
            )
        };
        if code != 0 {
            return Err(format!("EncodeFrame failed ({code})"));
        }
        if self.info.eFrameType == sys::videoFrameTypeSkip || self.info.iFrameSizeInBytes <= 0 {
            return Err("the picture was skipped".to_owned());
        }
        let layers = usize::try_from(self.info.iLayerNum).unwrap_or(0);
        for layer in self.info.sLayerInfo.iter().take(layers) {
            let units = usize::try_from(layer.iNalCount).unwrap_or(0);
            if units == 0 || layer.pBsBuf.is_null() || layer.pNalLengthInByte.is_null() {
                continue;
            }
            // SAFETY: the library keeps `iNalCount` lengths there until the next call.
            let lengths = unsafe { slice::from_raw_parts(layer.pNalLengthInByte, units) };
            let bytes: usize = lengths.iter().map(|l| usize::try_from(*l).unwrap_or(0)).sum();
            // SAFETY: the units of a layer lie one after the other, their lengths add up to `bytes`.
            out.extend_from_slice(unsafe { slice::from_raw_parts(layer.pBsBuf, bytes) });
        }
        Ok(())
    }

    /// New target bitrate, from the next picture on.
    pub(super) fn set_bitrate(&mut self, bps: u32) -> Result<(), String> {
        let mut info = sys::SBitrateInfo { iLayer: sys::SPATIAL_LAYER_ALL, iBitrate: bps as c_int };
        let code = self.set(sys::ENCODER_OPTION_BITRATE, &raw mut info);
        if code == 0 { Ok(()) } else { Err(format!("bitrate {bps} refused ({code})")) }
    }

    /// A long-term reference counts as received. A refusal only means that later losses need an IDR, and shows there.
    pub(super) fn long_term_marked(&mut self, feedback: Feedback) {
        let mut message = sys::SLTRMarkingFeedback {
            uiFeedbackType: sys::LTR_MARKING_SUCCESS as u32,
            uiIDRPicId: feedback.idr_pic_id,
            iLTRFrameNum: feedback.frame_num as c_int,
            iLayerId: 0,
        };
        self.set(sys::ENCODER_LTR_MARKING_FEEDBACK, &raw mut message);
    }

    /// The next picture shall build on a long-term reference. Whether it does is read from its header.
    pub(super) fn recover(&mut self, recovery: Recovery) {
        let mut message = sys::SLTRRecoverRequest {
            uiFeedbackType: sys::LTR_RECOVERY_REQUEST as u32,
            uiIDRPicId: recovery.idr_pic_id,
            iLastCorrectFrameNum: recovery.last_correct as c_int,
            iCurrentFrameNum: recovery.current as c_int,
            iLayerId: 0,
        };
        self.set(sys::ENCODER_LTR_RECOVERY_REQUEST, &raw mut message);
    }

    /// `value` must be what the option takes; callers are the few methods here.
    fn set<T>(&mut self, option: sys::ENCODER_OPTION, value: *mut T) -> c_int {
        // SAFETY: a live encoder; each caller passes a pointer to a live value of the option's documented type.
        unsafe {
            (self.functions().SetOption.expect("the vtable is complete"))(
                self.encoder.as_ptr(),
                option,
                value.cast::<c_void>(),
            )
        }
    }

    fn functions(&self) -> &sys::ISVCEncoderVtbl {
        // SAFETY: an encoder object starts with the pointer to its static vtable.
        unsafe { &**self.encoder.as_ptr() }
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: ours alone; uninitialising before destroying is the documented order, also after a failed start.
        unsafe {
            (self.functions().Uninitialize.expect("the vtable is complete"))(self.encoder.as_ptr());
            APILoader::WelsDestroySVCEncoder(self.encoder.as_ptr());
        }
    }
}

fn fill(p: &mut sys::SEncParamExt, setup: &Setup) {
    let bitrate = setup.budget.nominal_bps() as c_int;
    let rate = setup.budget.nominal_hz as f32;
    p.iUsageType = sys::CAMERA_VIDEO_REAL_TIME;
    p.iPicWidth = setup.width as c_int;
    p.iPicHeight = setup.height as c_int;
    p.iTargetBitrate = bitrate;
    p.iMaxBitrate = sys::UNSPECIFIED_BIT_RATE as c_int;
    p.iRCMode = sys::RC_BITRATE_MODE;
    p.fMaxFrameRate = rate;
    // Left alone, the library stops at quantiser 42 and overshoots low bitrates from there on.
    p.iMinQp = MIN_QP;
    p.iMaxQp = MAX_QP;
    p.iTemporalLayerNum = 1;
    p.iSpatialLayerNum = 1;
    p.iComplexityMode = sys::LOW_COMPLEXITY;
    p.uiIntraPeriod = 0; // infinite
    p.eSpsPpsIdStrategy = sys::CONSTANT_ID;
    p.bPrefixNalAddingCtrl = false;
    p.bEnableSSEI = false;
    p.iEntropyCodingModeFlag = 0;
    p.bEnableFrameSkip = false; // one access unit per picture
    p.bEnableLongTermReference = true;
    p.iLTRRefNum = 2;
    p.iLtrMarkPeriod = LONG_TERM_PERIOD;
    p.iMultipleThreadIdc = setup.threads as u16;
    p.bEnableDenoise = false;
    p.bEnableBackgroundDetection = false; // would leave small changes in still regions undrawn
    p.bEnableSceneChangeDetect = false; // keyframes on request only
    p.bEnableFrameCroppingFlag = true;

    let layer = &mut p.sSpatialLayers[0];
    layer.iVideoWidth = setup.width as c_int;
    layer.iVideoHeight = setup.height as c_int;
    layer.fFrameRate = rate;
    layer.iSpatialBitrate = bitrate;
    layer.iMaxSpatialBitrate = sys::UNSPECIFIED_BIT_RATE as c_int;
    layer.uiProfileIdc = sys::PRO_BASELINE;
    layer.sSliceArgument.uiSliceMode = if setup.slices > 1 { sys::SM_FIXEDSLCNUM_SLICE } else { sys::SM_SINGLE_SLICE };
    layer.sSliceArgument.uiSliceNum = setup.slices;
    layer.bVideoSignalTypePresent = true;
    layer.uiVideoFormat = 5; // unspecified (table E-2)
    layer.bFullRange = setup.colour.full_range;
    layer.bColorDescriptionPresent = true;
    let (primaries, transfer, matrix) = match setup.colour.matrix {
        Matrix::Bt601 => (sys::CP_SMPTE170M, sys::TRC_SMPTE170M, sys::CM_SMPTE170M),
        Matrix::Bt709 => (sys::CP_BT709, sys::TRC_BT709, sys::CM_BT709),
    };
    layer.uiColorPrimaries = primaries as u8;
    layer.uiTransferCharacteristics = transfer as u8;
    layer.uiColorMatrix = matrix as u8;
}

/// The library's own floor in camera mode, and H.264's ceiling.
const MIN_QP: c_int = 12;
const MAX_QP: c_int = 51;
/// Pictures between long-term marks at the least; confirmation (half a second) usually takes longer.
const LONG_TERM_PERIOD: u32 = 15;
