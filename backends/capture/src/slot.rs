//! Slots: sealed memfds that the compositor fills and the consumer reads.

use std::any::Any;
use std::os::fd::AsFd;

use memmap2::MmapMut;
use punktfunk_media::{CaptureError, FrameLayout, Slot, SlotMemory, reason};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use wayland_client::protocol::wl_buffer::WlBuffer;
use wayland_client::protocol::{wl_shm, wl_shm::WlShm};
use wayland_client::{Dispatch, QueueHandle};

/// The memory of a slot of this crate.
pub struct ShmSlot {
    map: MmapMut,
    /// What the compositor is given to fill.
    pub buffer: WlBuffer,
    /// Which layout it was made for; slots of an earlier one are void.
    pub generation: u32,
}

impl ShmSlot {
    /// Makes the memory and tells the compositor about it.
    ///
    /// # Errors
    /// [`CaptureError`], not fatal, when the system has no memory left.
    pub fn make<D>(
        shm: &WlShm,
        queue: &QueueHandle<D>,
        layout: &FrameLayout,
        format: wl_shm::Format,
        generation: u32,
    ) -> Result<Self, CaptureError>
    where
        D: Dispatch<wayland_client::protocol::wl_shm_pool::WlShmPool, ()> + Dispatch<WlBuffer, ()> + 'static,
    {
        let no_memory = |e: std::io::Error| CaptureError {
            reason: &reason::CAPTURE_LOST,
            detail: format!("no shared memory for a picture of {} bytes: {e}", layout.len()),
            fatal: false,
        };
        let size = |value: u32| i32::try_from(value).map_err(|_| no_memory(std::io::ErrorKind::InvalidInput.into()));
        let (width, height, stride) = (size(layout.width)?, size(layout.height)?, size(layout.stride)?);
        let bytes = i32::try_from(layout.len()).map_err(|_| no_memory(std::io::ErrorKind::InvalidInput.into()))?;

        let file = memfd_create("punktfunk-slot", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
            .map_err(|e| no_memory(e.into()))?;
        ftruncate(&file, layout.len() as u64).map_err(|e| no_memory(e.into()))?;
        // Nobody can shrink the file under our mapping any more.
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)
            .map_err(|e| no_memory(e.into()))?;
        // SAFETY: the file is a fresh memfd whose length is sealed, so the mapping stays valid as long as it lives. Its
        // bytes are written only by the compositor, and only between `lend` and the frame's return; during that time
        // the slot is owned by the capturer, which does not read it.
        let map = unsafe { MmapMut::map_mut(&file) }.map_err(no_memory)?;
        let pool = shm.create_pool(file.as_fd(), bytes, queue, ());
        let buffer = pool.create_buffer(0, width, height, stride, format, queue, ());
        pool.destroy();
        Ok(Self { map, buffer, generation })
    }
}

impl SlotMemory for ShmSlot {
    fn bytes(&self) -> &[u8] {
        &self.map
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

impl Drop for ShmSlot {
    fn drop(&mut self) {
        self.buffer.destroy();
    }
}

/// The buffer of a slot that belongs to the current layout.
///
/// # Errors
/// [`CaptureError`], not fatal, for a slot of another capturer or an earlier layout.
pub fn buffer_of(slot: &mut Slot, generation: u32) -> Result<WlBuffer, CaptureError> {
    let wrong = |detail: &str| CaptureError { reason: &reason::CAPTURE_LOST, detail: detail.to_owned(), fatal: false };
    let memory =
        slot.memory.as_any().downcast_mut::<ShmSlot>().ok_or_else(|| wrong("a slot of another capturer was lent"))?;
    if memory.generation != generation {
        return Err(wrong("a slot of an earlier layout was lent"));
    }
    Ok(memory.buffer.clone())
}
