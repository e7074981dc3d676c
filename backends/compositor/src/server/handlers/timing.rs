//! Pictures with a time: smithay's barriers, within bounds (`server/timing.rs`).

use smithay::reexports::wayland_protocols::wp::commit_timing::v1::server::wp_commit_timer_v1::{self, WpCommitTimerV1};
use smithay::reexports::wayland_protocols::wp::commit_timing::v1::server::wp_commit_timing_manager_v1::WpCommitTimingManagerV1;
use smithay::reexports::wayland_protocols::wp::fifo::v1::server::wp_fifo_manager_v1::WpFifoManagerV1;
use smithay::reexports::wayland_protocols::wp::fifo::v1::server::wp_fifo_v1::{self, WpFifoV1};
use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::reexports::wayland_server::{
    Client, DataInit, Dispatch, DisplayHandle, Weak, delegate_dispatch, delegate_global_dispatch,
};
use smithay::wayland::commit_timing::CommitTimingManagerState;
use smithay::wayland::fifo::FifoManagerState;

use crate::server::state::State;
use crate::server::timing::within_reach;

delegate_global_dispatch!(State: [WpFifoManagerV1: bool] => FifoManagerState);
delegate_dispatch!(State: [WpFifoManagerV1: bool] => FifoManagerState);

impl Dispatch<WpFifoV1, Weak<WlSurface>> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        fifo: &WpFifoV1,
        request: wp_fifo_v1::Request,
        data: &Weak<WlSurface>,
        display: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let (wp_fifo_v1::Request::WaitBarrier, Ok(surface)) = (&request, data.upgrade())
            && !state.may_wait(&surface)
        {
            return tracing::debug!("a program is far ahead of its pictures: this one does not wait");
        }
        <FifoManagerState as Dispatch<_, _, Self>>::request(state, client, fifo, request, data, display, init);
    }
}

delegate_global_dispatch!(State: [WpCommitTimingManagerV1: bool] => CommitTimingManagerState);
delegate_dispatch!(State: [WpCommitTimingManagerV1: bool] => CommitTimingManagerState);

impl Dispatch<WpCommitTimerV1, Weak<WlSurface>> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        timer: &WpCommitTimerV1,
        mut request: wp_commit_timer_v1::Request,
        data: &Weak<WlSurface>,
        display: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let (wp_commit_timer_v1::Request::SetTimestamp { tv_sec_hi, tv_sec_lo, tv_nsec }, Ok(surface)) =
            (&mut request, data.upgrade())
        {
            let at = within_reach(u64::from(*tv_sec_hi) << 32 | u64::from(*tv_sec_lo), *tv_nsec);
            // Both halves of a number of 64 bits.
            (*tv_sec_hi, *tv_sec_lo) = ((at.as_secs() >> 32) as u32, at.as_secs() as u32);
            *tv_nsec = at.subsec_nanos();
            state.waits_for_time(surface);
        }
        <CommitTimingManagerState as Dispatch<_, _, Self>>::request(state, client, timer, request, data, display, init);
    }
}
