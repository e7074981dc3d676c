//! Requests of which smithay 0.7 would break, and everybody's programs with it: they are looked at first.
//!
//! - A pool that is to have no size: smithay answers with an error and goes on to unwrap the size.
//! - A keymap that is shorter than its program says: it is mapped and read as told, and the fault is nobody's to catch.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{MemfdFlags, memfd_create};
use smithay::reexports::wayland_protocols_misc::zwp_virtual_keyboard_v1::server::zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1;
use smithay::reexports::wayland_protocols_misc::zwp_virtual_keyboard_v1::server::zwp_virtual_keyboard_v1::{
    self, ZwpVirtualKeyboardV1,
};
use smithay::reexports::wayland_server::backend::ClientId;
use smithay::reexports::wayland_server::protocol::wl_buffer::WlBuffer;
use smithay::reexports::wayland_server::protocol::wl_shm::{self, WlShm};
use smithay::reexports::wayland_server::protocol::wl_shm_pool::{self, WlShmPool};
use smithay::reexports::wayland_server::{
    Client, DataInit, Dispatch, DisplayHandle, Resource as _, delegate_dispatch, delegate_global_dispatch,
};
use smithay::wayland::shm::{ShmBufferUserData, ShmPoolUserData, ShmState};
use smithay::wayland::virtual_keyboard::{
    VirtualKeyboardManagerGlobalData, VirtualKeyboardManagerState, VirtualKeyboardUserData,
};

use crate::server::state::State;

delegate_global_dispatch!(State: [WlShm: ()] => ShmState);
delegate_dispatch!(State: [WlShm: ()] => ShmState);
delegate_dispatch!(State: [WlBuffer: ShmBufferUserData] => ShmState);

impl Dispatch<WlShmPool, ShmPoolUserData> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        pool: &WlShmPool,
        request: wl_shm_pool::Request,
        data: &ShmPoolUserData,
        display: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let wl_shm_pool::Request::Resize { size: ..=0 } = request {
            return pool.post_error(wl_shm::Error::InvalidFd, "a pool without a size");
        }
        <ShmState as Dispatch<_, _, Self>>::request(state, client, pool, request, data, display, init);
    }

    fn destroyed(state: &mut Self, client: ClientId, pool: &WlShmPool, data: &ShmPoolUserData) {
        <ShmState as Dispatch<_, _, Self>>::destroyed(state, client, pool, data);
    }
}

delegate_global_dispatch!(State: [ZwpVirtualKeyboardManagerV1: VirtualKeyboardManagerGlobalData] => VirtualKeyboardManagerState);
delegate_dispatch!(State: [ZwpVirtualKeyboardManagerV1: ()] => VirtualKeyboardManagerState);

impl Dispatch<ZwpVirtualKeyboardV1, VirtualKeyboardUserData<Self>> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        keyboard: &ZwpVirtualKeyboardV1,
        mut request: zwp_virtual_keyboard_v1::Request,
        data: &VirtualKeyboardUserData<Self>,
        display: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let zwp_virtual_keyboard_v1::Request::Keymap { fd, size, .. } = &mut request {
            match copied(fd, *size) {
                Ok(copy) => *fd = copy,
                Err(e) => return tracing::debug!("a virtual keyboard's keymap cannot be read: {e}"),
            }
        }
        <VirtualKeyboardManagerState as Dispatch<_, _, Self>>::request(
            state, client, keyboard, request, data, display, init,
        );
    }

    fn destroyed(
        state: &mut Self,
        client: ClientId,
        keyboard: &ZwpVirtualKeyboardV1,
        data: &VirtualKeyboardUserData<Self>,
    ) {
        <VirtualKeyboardManagerState as Dispatch<_, _, Self>>::destroyed(state, client, keyboard, data);
    }
}

/// A file of our own with the same bytes, which its program cannot cut short. Reading one that is short is an error.
fn copied(file: &OwnedFd, size: u32) -> std::io::Result<OwnedFd> {
    if !(1..=LARGEST_KEYMAP).contains(&size) {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = vec![0; size as usize];
    File::from(file.try_clone()?).read_exact_at(&mut bytes, 0)?;
    let mut copy = File::from(memfd_create("keymap", MemfdFlags::CLOEXEC)?);
    copy.write_all(&bytes)?;
    copy.as_fd().try_clone_to_owned()
}

/// XKB's largest are a tenth of this.
const LARGEST_KEYMAP: u32 = 1 << 20;
