//! An AVPacket: one access unit.

use std::ffi::c_int;
use std::ptr::NonNull;
use std::slice;

use punktfunk_sys_avcodec::{AvPacket, Library};

/// A packet.
pub(crate) struct Packet {
    library: &'static Library,
    packet: NonNull<AvPacket>,
}

// SAFETY: a packet is plain memory with an atomic reference count; methods that write take `&mut self`.
unsafe impl Send for Packet {}

impl Packet {
    /// An empty packet.
    pub(crate) fn new(library: &'static Library) -> Option<Self> {
        // SAFETY: no preconditions.
        let packet = NonNull::new(unsafe { (library.f.av_packet_alloc)() })?;
        Some(Self { library, packet })
    }

    /// Replaces the contents by a copy of `data`, padded as decoders want it.
    pub(crate) fn fill(&mut self, data: &[u8]) -> bool {
        let Ok(len) = c_int::try_from(data.len()) else { return false };
        self.clear();
        // SAFETY: the packet is empty; the function allocates `len` bytes and the padding behind them.
        if unsafe { (self.library.f.av_new_packet)(self.packet.as_ptr(), len) } < 0 {
            return false;
        }
        let target: *mut u8 = self.read(self.library.layout.packet_data);
        // SAFETY: `target` has just been allocated with this length, so it overlaps nothing.
        unsafe { target.copy_from_nonoverlapping(data.as_ptr(), data.len()) };
        true
    }

    /// The bytes.
    pub(crate) fn data(&self) -> &[u8] {
        let data: *const u8 = self.read(self.library.layout.packet_data);
        let size: c_int = self.read(self.library.layout.packet_size);
        match usize::try_from(size) {
            // SAFETY: the library keeps `size` bytes at `data` until the packet is unreferenced, which takes `&mut`.
            Ok(len) if len > 0 && !data.is_null() => unsafe { slice::from_raw_parts(data, len) },
            _ => &[],
        }
    }

    /// Drops the contents.
    pub(crate) fn clear(&mut self) {
        // SAFETY: an allocated packet; unreferencing an empty one is allowed.
        unsafe { (self.library.f.av_packet_unref)(self.packet.as_ptr()) };
    }

    pub(crate) fn as_ptr(&self) -> *const AvPacket {
        self.packet.as_ptr()
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut AvPacket {
        self.packet.as_ptr()
    }

    fn read<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: offsets come from the version's layout, so a `T` lies there, aligned, inside the struct.
        unsafe { self.packet.as_ptr().byte_add(offset).cast::<T>().read() }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        let mut packet = self.packet.as_ptr();
        // SAFETY: the packet is ours; the function drops its buffer and nulls the pointer.
        unsafe { (self.library.f.av_packet_free)(&raw mut packet) };
    }
}
