//! A real Linux kernel in an emulated machine, with the devices that a build machine may not have.
//!
//! ```text
//! guest tree (scripts/debian-tree guest): kernel, modules, busybox, QEMU
//!   └─► initramfs: busybox · modules in order · one program with its libraries · init
//!         └─► QEMU (TCG: needs no permission and no hardware) ─► serial console ─► Outcome
//! ```

mod cpio;
mod initramfs;
mod machine;
mod modules;

pub use machine::{Guest, Outcome};

/// The last line of a program's run in the guest, with its exit status behind it.
pub(crate) const END_MARK: &str = "guest: program ended with status ";
