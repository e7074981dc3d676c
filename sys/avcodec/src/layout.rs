//! Where the few fields lie that have no accessor and no AVOption.

/// A pair of libraries that belong together: major versions as in the file names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Soname {
    /// Major version of libavcodec.
    pub avcodec: u32,
    /// Major version of libavutil.
    pub avutil: u32,
}

/// Byte offsets into libavcodec's public structs on 64-bit machines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The versions this holds for.
    pub soname: Soname,
    /// `uint8_t *AVFrame.data[8]`.
    pub frame_data: usize,
    /// `int AVFrame.linesize[8]`.
    pub frame_linesize: usize,
    /// `int AVFrame.width`, followed by `int height`.
    pub frame_width: usize,
    /// `int AVFrame.format`.
    pub frame_format: usize,
    /// `enum AVPictureType AVFrame.pict_type`.
    pub frame_pict_type: usize,
    /// `int64_t AVFrame.pts`.
    pub frame_pts: usize,
    /// `uint8_t *AVPacket.data`.
    pub packet_data: usize,
    /// `int AVPacket.size`.
    pub packet_size: usize,
}

/// The layout for a pair of versions, `None` for pairs nobody has looked at.
#[must_use]
pub fn layout_of(soname: Soname) -> Option<&'static Layout> {
    LAYOUTS.iter().find(|l| l.soname == soname)
}

/// Newest first: the order in which libraries are tried.
pub(crate) static LAYOUTS: [Layout; 4] = [
    // FFmpeg 8: `key_frame` is gone (FF_API_FRAME_KEY), so `pict_type` moves down by four; alignment keeps `pts`.
    Layout { frame_pict_type: 120, ..layout(62, 60) },
    layout(61, 59), // FFmpeg 7
    layout(60, 58), // FFmpeg 6
    layout(59, 57), // FFmpeg 5
];

const fn layout(avcodec: u32, avutil: u32) -> Layout {
    Layout {
        soname: Soname { avcodec, avutil },
        frame_data: 0,
        frame_linesize: 64,
        frame_width: 104,
        frame_format: 116,
        frame_pict_type: 124,
        frame_pts: 136,
        packet_data: 24,
        packet_size: 32,
    }
}
