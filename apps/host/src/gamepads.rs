//! Which gamepads this host offers.

use std::sync::Arc;

use punktfunk_engine::pads::PadPolicy;
use punktfunk_inject::pads::KernelPads;
use punktfunk_media::PadFactory;
use punktfunk_media::fake::FakePads;
use punktfunk_native::NativePads;

/// The kernel's, or, for measurements without a desktop, pads whose program answers every press with rumble.
pub fn choose(synthetic: bool, policy: PadPolicy) -> NativePads {
    if synthetic {
        return NativePads { factory: Arc::new(FakePads::echoing()), policy };
    }
    for reason in KernelPads.missing() {
        // Sessions go on without: a door that opens later is used from then on.
        tracing::warn!(code = reason.code, fix = reason.fix, "{}", reason.sentence);
    }
    NativePads { factory: Arc::new(KernelPads), policy }
}
