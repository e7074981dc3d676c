//! Which GPU is used. Desktops draw with it and give it to their programs; an encoder that needs one is to open the same.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::Reason;

/// A GPU of this machine: a render node of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Its device node, `/dev/dri/renderD128` and later. Numbers may change from boot to boot.
    pub node: PathBuf,
    /// Where it is on its bus, e.g. `0000:01:00.0`, the same after every boot; empty when the kernel does not tell.
    pub bus: String,
    /// PCI id of who made it.
    pub vendor: Option<u16>,
    /// Its PCI device id.
    pub device: Option<u16>,
    /// The kernel's driver; empty when it does not tell.
    pub driver: String,
    /// Why this process may not open it, for a person.
    pub closed: Option<String>,
}

/// Which GPU is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GpuChoice {
    /// Nobody chose: programs find one by themselves.
    #[default]
    Auto,
    /// As if there were none.
    None,
    /// This one.
    One(Gpu),
}

/// Why what was wanted is not had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuTrouble {
    /// Its reason.
    pub reason: &'static Reason,
    /// More about it.
    pub detail: String,
}

/// The choice in force. It stays for as long as the host runs; clones share what goes wrong with it.
#[derive(Clone, Debug, Default)]
pub struct GpuInUse(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    choice: GpuChoice,
    trouble: OnceLock<GpuTrouble>,
}

impl GpuInUse {
    /// This choice.
    #[must_use]
    pub fn new(choice: GpuChoice) -> Self {
        Self(Arc::new(Inner { choice, trouble: OnceLock::new() }))
    }

    /// As nobody chose, because of `trouble` with what was chosen.
    #[must_use]
    pub fn instead(trouble: GpuTrouble) -> Self {
        let gpu = Self::default();
        gpu.tell(trouble);
        gpu
    }

    /// The choice.
    #[must_use]
    pub fn choice(&self) -> &GpuChoice {
        &self.0.choice
    }

    /// Called by whoever cannot use the chosen GPU and goes on without. The first trouble counts.
    pub fn tell(&self, trouble: GpuTrouble) {
        // A second one says the same.
        let _ = self.0.trouble.set(trouble);
    }

    /// What went wrong, if something did.
    #[must_use]
    pub fn trouble(&self) -> Option<&GpuTrouble> {
        self.0.trouble.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason;

    #[test]
    fn clones_share_the_first_trouble_and_keep_the_choice() {
        let gpu = GpuInUse::new(GpuChoice::None);
        let clone = gpu.clone();
        assert_eq!((gpu.choice(), gpu.trouble()), (&GpuChoice::None, None));
        let trouble = |detail: &str| GpuTrouble { reason: &reason::GPU_FAILED, detail: detail.to_owned() };
        clone.tell(trouble("first"));
        clone.tell(trouble("second"));
        assert_eq!((gpu.choice(), gpu.trouble()), (&GpuChoice::None, Some(&trouble("first"))));
        let instead = GpuInUse::instead(trouble("gone"));
        assert_eq!((instead.choice(), instead.trouble()), (&GpuChoice::Auto, Some(&trouble("gone"))));
    }
}
