//! Sequence parameter sets (7.3.2.1.1) and their VUI (E.1.1).

use punktfunk_media::{Colour, Matrix};

use super::bits::Bits;

/// What we need to know of a sequence parameter set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sps {
    /// `profile_idc`.
    pub profile: u8,
    /// `level_idc`, ten times the level.
    pub level: u8,
    /// Picture size after cropping, in pixels.
    pub size: (u32, u32),
    /// Bits of `frame_num`.
    pub frame_num_bits: u32,
    /// `pic_order_cnt_type`.
    pub poc_type: u32,
    /// Bits of `pic_order_cnt_lsb` (type 0).
    pub poc_lsb_bits: u32,
    /// `delta_pic_order_always_zero_flag` (type 1).
    pub poc_delta_zero: bool,
    /// `max_num_ref_frames`.
    pub ref_frames: u32,
    /// `frame_mbs_only_flag`.
    pub progressive: bool,
    /// Video usability information.
    pub vui: Option<Vui>,
}

/// Video usability information.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Vui {
    /// How samples are to be understood.
    pub signal: Option<VideoSignal>,
    /// `num_units_in_tick`, `time_scale`.
    pub timing: Option<(u32, u32)>,
    /// `max_num_reorder_frames`, `max_dec_frame_buffering`.
    pub reorder: Option<(u32, u32)>,
}

/// `video_signal_type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VideoSignal {
    /// `video_full_range_flag`.
    pub full_range: bool,
    /// Colour description.
    pub description: Option<ColourDescription>,
}

/// Code points of ITU-T H.273.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ColourDescription {
    /// `colour_primaries`.
    pub primaries: u8,
    /// `transfer_characteristics`.
    pub transfer: u8,
    /// `matrix_coefficients`.
    pub matrix: u8,
}

impl Sps {
    /// Parses a unit of type 7. `None`: damaged, or a profile with other than 4:2:0 8-bit pictures.
    #[must_use]
    pub fn parse(unit: &[u8]) -> Option<Self> {
        let bits = &mut Bits::of_unit(unit);
        let profile = bits.u(8)? as u8;
        bits.u(8)?; // constraint flags
        let level = bits.u(8)? as u8;
        bits.ue()?; // seq_parameter_set_id
        if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            let (chroma_format, luma_depth, chroma_depth) = (bits.ue()?, bits.ue()?, bits.ue()?);
            let (bypass, scaling) = (bits.flag()?, bits.flag()?);
            if (chroma_format, luma_depth, chroma_depth) != (1, 0, 0) || bypass || scaling {
                return None;
            }
        }
        let frame_num_bits = bits.ue()?.checked_add(4).filter(|n| *n <= 16)?;
        let poc_type = bits.ue()?;
        let (mut poc_lsb_bits, mut poc_delta_zero) = (0, true);
        match poc_type {
            0 => poc_lsb_bits = bits.ue()?.checked_add(4).filter(|n| *n <= 16)?,
            1 => {
                poc_delta_zero = bits.flag()?;
                bits.se()?;
                bits.se()?;
                for _ in 0..bits.ue()?.min(255) {
                    bits.se()?;
                }
            }
            _ => {}
        }
        let ref_frames = bits.ue()?;
        bits.flag()?; // gaps_in_frame_num_value_allowed_flag
        let (width_mbs, height_units) = (bits.ue()?.checked_add(1)?, bits.ue()?.checked_add(1)?);
        let progressive = bits.flag()?;
        if !progressive {
            bits.flag()?; // mb_adaptive_frame_field_flag
        }
        bits.flag()?; // direct_8x8_inference_flag
        let fields = if progressive { 1 } else { 2 };
        let (mut width, mut height) = (width_mbs.checked_mul(16)?, height_units.checked_mul(16 * fields)?);
        if bits.flag()? {
            let [left, right, top, bottom] = [bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?];
            width = width.checked_sub(left.checked_add(right)?.checked_mul(2)?)?;
            height = height.checked_sub(top.checked_add(bottom)?.checked_mul(2 * fields)?)?;
        }
        let vui = if bits.flag()? { Some(Vui::parse(bits)?) } else { None };
        let size = (width, height);
        Some(Self {
            profile,
            level,
            size,
            frame_num_bits,
            poc_type,
            poc_lsb_bits,
            poc_delta_zero,
            ref_frames,
            progressive,
            vui,
        })
    }

    /// What is said about colours; `None` where nothing is.
    #[must_use]
    pub fn signal(&self) -> Option<VideoSignal> {
        self.vui.as_ref().and_then(|v| v.signal)
    }

    /// How a decoder is to read the samples: matrices 5 and 6 are both that of BT.601; any other, or none, passes for
    /// BT.709.
    #[must_use]
    pub fn colour(&self) -> Colour {
        let Some(signal) = self.signal() else { return Colour::default() };
        let matrix = match signal.description {
            Some(ColourDescription { matrix: 5 | 6, .. }) => Matrix::Bt601,
            _ => Matrix::Bt709,
        };
        Colour { matrix, full_range: signal.full_range }
    }
}

impl Vui {
    fn parse(bits: &mut Bits<'_>) -> Option<Self> {
        let mut vui = Self::default();
        if bits.flag()? && bits.u(8)? == 255 {
            bits.u(32)?; // sar_width, sar_height
        }
        if bits.flag()? {
            bits.flag()?; // overscan_appropriate_flag
        }
        if bits.flag()? {
            bits.u(3)?; // video_format
            let full_range = bits.flag()?;
            let description = if bits.flag()? {
                let [primaries, transfer, matrix] = [bits.u(8)? as u8, bits.u(8)? as u8, bits.u(8)? as u8];
                Some(ColourDescription { primaries, transfer, matrix })
            } else {
                None
            };
            vui.signal = Some(VideoSignal { full_range, description });
        }
        if bits.flag()? {
            bits.ue()?; // chroma_sample_loc_type_top_field
            bits.ue()?;
        }
        if bits.flag()? {
            vui.timing = Some((bits.u(32)?, bits.u(32)?));
            bits.flag()?; // fixed_frame_rate_flag
        }
        let nal_hrd = bits.flag()?;
        if nal_hrd {
            skip_hrd(bits)?;
        }
        let vcl_hrd = bits.flag()?;
        if vcl_hrd {
            skip_hrd(bits)?;
        }
        if nal_hrd || vcl_hrd {
            bits.flag()?; // low_delay_hrd_flag
        }
        bits.flag()?; // pic_struct_present_flag
        if bits.flag()? {
            bits.flag()?; // motion_vectors_over_pic_boundaries_flag
            for _ in 0..4 {
                bits.ue()?; // size and motion vector limits
            }
            vui.reorder = Some((bits.ue()?, bits.ue()?));
        }
        Some(vui)
    }
}

fn skip_hrd(bits: &mut Bits<'_>) -> Option<()> {
    let count = bits.ue()?.min(31) + 1;
    bits.u(8)?; // bit_rate_scale, cpb_size_scale
    for _ in 0..count {
        bits.ue()?;
        bits.ue()?;
        bits.flag()?;
    }
    bits.u(20).map(|_| ()) // four 5-bit lengths
}
