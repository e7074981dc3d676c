//! An AVFrame holding planar 4:2:0 pictures.

use std::ffi::c_int;
use std::ptr::NonNull;
use std::slice;

use punktfunk_sys_avcodec::{AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P, AvFrame, Library};

/// A frame.
pub(crate) struct Frame {
    library: &'static Library,
    frame: NonNull<AvFrame>,
}

// SAFETY: a frame is plain memory with atomic reference counts; methods that write take `&mut self`.
unsafe impl Send for Frame {}

/// One plane: bytes and bytes per row.
pub(crate) struct Plane<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) stride: usize,
}

impl Frame {
    /// An empty frame.
    pub(crate) fn new(library: &'static Library) -> Option<Self> {
        // SAFETY: no preconditions.
        let frame = NonNull::new(unsafe { (library.f.av_frame_alloc)() })?;
        Some(Self { library, frame })
    }

    /// A frame with buffers of its own for a 4:2:0 picture of this (even) size.
    pub(crate) fn with_i420(library: &'static Library, width: u32, height: u32) -> Option<Self> {
        let mut frame = Self::new(library)?;
        let layout = library.layout;
        let (width, height) = (c_int::try_from(width).ok()?, c_int::try_from(height).ok()?);
        frame.write(layout.frame_width, width);
        frame.write(layout.frame_width + size_of::<c_int>(), height);
        frame.write(layout.frame_format, AV_PIX_FMT_YUV420P);
        // SAFETY: size and format are set, which is what the function asks for; 0 lets it choose the alignment.
        let code = unsafe { (library.f.av_frame_get_buffer)(frame.frame.as_ptr(), 0) };
        (code >= 0).then_some(frame)
    }

    /// Asks for memory that nobody else holds; copies the picture if an encoder still does.
    pub(crate) fn make_writable(&mut self) -> bool {
        // SAFETY: the frame has buffers of its own (`with_i420`).
        unsafe { (self.library.f.av_frame_make_writable)(self.frame.as_ptr()) >= 0 }
    }

    pub(crate) fn set_pict_type(&mut self, pict_type: c_int) {
        self.write(self.library.layout.frame_pict_type, pict_type);
    }

    pub(crate) fn set_pts(&mut self, pts: i64) {
        self.write(self.library.layout.frame_pts, pts);
    }

    pub(crate) fn width(&self) -> usize {
        usize::try_from(self.read::<c_int>(self.library.layout.frame_width)).unwrap_or(0)
    }

    pub(crate) fn height(&self) -> usize {
        usize::try_from(self.read::<c_int>(self.library.layout.frame_width + size_of::<c_int>())).unwrap_or(0)
    }

    pub(crate) fn format(&self) -> c_int {
        self.read(self.library.layout.frame_format)
    }

    /// Plane 0 (Y), 1 (U) or 2 (V) of a 4:2:0 frame; `None` for another format or an empty frame.
    pub(crate) fn plane(&self, index: usize) -> Option<Plane<'_>> {
        let (data, stride, len) = self.plane_memory(index)?;
        // SAFETY: libavutil allocates `stride * rows` bytes for every plane, and `&self` keeps writers away.
        Some(Plane { data: unsafe { slice::from_raw_parts(data, len) }, stride })
    }

    /// The three planes of a writable 4:2:0 frame with their strides.
    pub(crate) fn planes_mut(&mut self) -> Option<[(&mut [u8], usize); 3]> {
        let [y, u, v] = [self.plane_memory(0)?, self.plane_memory(1)?, self.plane_memory(2)?];
        // SAFETY: three planes that do not overlap, each `stride * rows` bytes; the frame is writable (ours alone) and
        // borrowed mutably.
        Some([y, u, v].map(|(data, stride, len)| (unsafe { slice::from_raw_parts_mut(data, len) }, stride)))
    }

    fn plane_memory(&self, index: usize) -> Option<(*mut u8, usize, usize)> {
        if !matches!(self.format(), AV_PIX_FMT_YUV420P | AV_PIX_FMT_YUVJ420P) || index > 2 {
            return None;
        }
        let layout = self.library.layout;
        let data: *mut u8 = self.read(layout.frame_data + index * size_of::<*mut u8>());
        let stride: c_int = self.read(layout.frame_linesize + index * size_of::<c_int>());
        let stride = usize::try_from(stride).ok()?;
        let rows = if index == 0 { self.height() } else { self.height().div_ceil(2) };
        let row = if index == 0 { self.width() } else { self.width().div_ceil(2) };
        (!data.is_null() && stride >= row && rows > 0).then_some((data, stride, stride * rows))
    }

    pub(crate) fn as_ptr(&self) -> *const AvFrame {
        self.frame.as_ptr()
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut AvFrame {
        self.frame.as_ptr()
    }

    fn read<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: offsets come from the version's layout, so a `T` lies there, aligned, inside the struct.
        unsafe { self.frame.as_ptr().byte_add(offset).cast::<T>().read() }
    }

    fn write<T: Copy>(&mut self, offset: usize, value: T) {
        // SAFETY: as for `read`.
        unsafe { self.frame.as_ptr().byte_add(offset).cast::<T>().write(value) }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let mut frame = self.frame.as_ptr();
        // SAFETY: the frame is ours; the function drops its buffers and nulls the pointer.
        unsafe { (self.library.f.av_frame_free)(&raw mut frame) };
    }
}
