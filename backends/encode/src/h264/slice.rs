//! Slice headers (7.3.3) and the few picture parameters they depend on (7.3.2.2).

use super::bits::Bits;
use super::sps::Sps;
use super::{NAL_IDR, unit_type};

/// What a slice header depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pps {
    order_present: bool,
    weighted_prediction: bool,
    redundant_present: bool,
}

impl Pps {
    /// Parses a unit of type 8. `None`: damaged, or several slice groups.
    #[must_use]
    pub fn parse(unit: &[u8]) -> Option<Self> {
        let bits = &mut Bits::of_unit(unit);
        bits.ue()?; // pic_parameter_set_id
        bits.ue()?; // seq_parameter_set_id
        bits.flag()?; // entropy_coding_mode_flag
        let order_present = bits.flag()?;
        if bits.ue()? != 0 {
            return None;
        }
        bits.ue()?; // default active references
        bits.ue()?;
        let weighted_prediction = bits.flag()?;
        bits.u(2)?; // weighted_bipred_idc
        bits.se()?; // pic_init_qp, pic_init_qs, chroma_qp_index_offset
        bits.se()?;
        bits.se()?;
        bits.flag()?; // deblocking_filter_control_present_flag
        bits.flag()?; // constrained_intra_pred_flag
        Some(Self { order_present, weighted_prediction, redundant_present: bits.flag()? })
    }
}

/// How a slice is coded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SliceType {
    /// Predicted from earlier pictures.
    P,
    /// Predicted from two directions.
    B,
    /// Not predicted from other pictures.
    I,
}

/// What a picture does to long-term references.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LongTermMark {
    /// Nothing.
    #[default]
    None,
    /// It becomes one.
    This,
    /// The short-term reference this many pictures before it becomes one.
    Earlier(u32),
}

/// What we need to know of a slice header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SliceHeader {
    /// Address of the first macroblock: 0 in the first slice of a picture.
    pub first_macroblock: u32,
    /// How it is coded.
    pub slice_type: SliceType,
    /// `frame_num`.
    pub frame_num: u32,
    /// `idr_pic_id` of an IDR.
    pub idr_pic_id: Option<u32>,
    /// Its first reference is a long-term one.
    pub refers_to_long_term: bool,
    /// Long-term marking.
    pub mark: LongTermMark,
}

impl SliceHeader {
    /// Parses the header of a slice unit (type 1 or 5). `None`: damaged, or syntax that no encoder of ours writes
    /// (fields, weighted prediction tables).
    #[must_use]
    pub fn parse(unit: &[u8], sps: &Sps, pps: &Pps) -> Option<Self> {
        let idr = unit_type(unit) == NAL_IDR;
        let reference = unit.first()? & 0x60 != 0;
        let bits = &mut Bits::of_unit(unit);
        let first_macroblock = bits.ue()?;
        let slice_type = match bits.ue()? % 5 {
            0 => SliceType::P,
            1 => SliceType::B,
            2 => SliceType::I,
            _ => return None,
        };
        bits.ue()?; // pic_parameter_set_id
        let frame_num = bits.u(sps.frame_num_bits)?;
        if !sps.progressive && bits.flag()? {
            return None;
        }
        let idr_pic_id = if idr { Some(bits.ue()?) } else { None };
        match sps.poc_type {
            0 => {
                bits.u(sps.poc_lsb_bits)?;
                if pps.order_present {
                    bits.se()?;
                }
            }
            1 if !sps.poc_delta_zero => {
                bits.se()?;
                if pps.order_present {
                    bits.se()?;
                }
            }
            _ => {}
        }
        if pps.redundant_present {
            bits.ue()?;
        }
        let mut refers_to_long_term = false;
        match slice_type {
            SliceType::I => {}
            SliceType::B => return Some(Self { mark: LongTermMark::None, ..plain(first_macroblock, frame_num) }),
            SliceType::P => {
                if bits.flag()? {
                    bits.ue()?; // num_ref_idx_l0_active_minus1
                }
                if bits.flag()? {
                    // ref_pic_list_modification_flag_l0
                    let mut first = true;
                    loop {
                        match bits.ue()? {
                            3 => break,
                            operation => {
                                bits.ue()?;
                                refers_to_long_term |= first && operation == 2;
                                first = false;
                            }
                        }
                    }
                }
                if pps.weighted_prediction {
                    return None;
                }
            }
        }
        let mark = if reference { marking(bits, idr)? } else { LongTermMark::None };
        Some(Self { first_macroblock, slice_type, frame_num, idr_pic_id, refers_to_long_term, mark })
    }
}

fn plain(first_macroblock: u32, frame_num: u32) -> SliceHeader {
    SliceHeader {
        first_macroblock,
        slice_type: SliceType::B,
        frame_num,
        idr_pic_id: None,
        refers_to_long_term: false,
        mark: LongTermMark::None,
    }
}

/// `dec_ref_pic_marking` (7.3.3.3).
fn marking(bits: &mut Bits<'_>, idr: bool) -> Option<LongTermMark> {
    if idr {
        bits.flag()?; // no_output_of_prior_pics_flag
        return Some(if bits.flag()? { LongTermMark::This } else { LongTermMark::None });
    }
    let mut mark = LongTermMark::None;
    if bits.flag()? {
        loop {
            match bits.ue()? {
                0 => break,
                1 | 2 | 4 => {
                    bits.ue()?;
                }
                3 => {
                    let earlier = bits.ue()?.checked_add(1)?;
                    bits.ue()?;
                    mark = LongTermMark::Earlier(earlier);
                }
                5 => {}
                6 => {
                    bits.ue()?;
                    mark = LongTermMark::This;
                }
                _ => return None,
            }
        }
    }
    Some(mark)
}
