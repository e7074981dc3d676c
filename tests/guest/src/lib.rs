//! A real Linux kernel in an emulated machine, with the devices that a build machine may not have.
//!
//! ```text
//! guest tree (scripts/debian-tree guest): kernel, modules, busybox, QEMU, sway and udev
//!   └─► initramfs: busybox · modules in order · one program with its libraries · init
//!         │ World::Tree: the tree itself below /tree, read-only, with udev running
//!         └─► QEMU (TCG: needs no permission and no hardware) ─► serial console ─► Outcome
//! ```

mod cpio;
mod initramfs;
mod machine;
mod modules;

pub use machine::{Guest, Outcome};

/// What a program finds in the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum World {
    /// A kernel and busybox.
    Bare,
    /// The guest tree below `/tree` as well, for `chroot`, with udev; everybody may use input devices there.
    Tree,
}

impl World {
    /// Modules that it needs itself.
    const fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Bare => &[],
            Self::Tree => &["virtio_pci", "9pnet_virtio", "9p"],
        }
    }
}

/// The last line of a program's run in the guest, with its exit status behind it.
pub(crate) const END_MARK: &str = "guest: program ended with status ";
