//! Programs that say when their pictures are to be seen: after the one before (`wp_fifo_v1`), or not before a moment
//! (`wp_commit_timer_v1`). Games and Vulkan look for both.
//!
//! A barrier is taken away with the frame callbacks that follow the drawing of its picture: then that has had its time. What
//! waited for it is applied and drawn at once, for the token of the same tick, so it is no later than a program that waits for
//! its callback.
//!
//! What a program lets wait is ours to keep, so it has an end: [`MOST_WAITING`] pictures of a surface wait for each other and
//! none further than [`FURTHEST`]; whoever queues more than [`MOST_QUEUED`] commits behind them is cut off.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use smithay::desktop::utils::surface_primary_scanout_output;
use smithay::reexports::wayland_server::backend::protocol::ProtocolError;
use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::reexports::wayland_server::{Client, Resource as _};
use smithay::utils::{Clock, Monotonic, Time};
use smithay::wayland::commit_timing::{CommitTimerBarrierStateUserData, CommitTimerStateUserData};
use smithay::wayland::compositor::{CompositorHandler as _, SurfaceData, is_sync_subsurface, with_states};
use smithay::wayland::fifo::FifoBarrierCachedState;

use super::state::State;

/// Who waits for what.
#[derive(Default)]
pub struct Timing {
    /// Surfaces whose picture holds the next one back, and whether it was drawn.
    fifos: HashMap<WlSurface, bool>,
    /// Surfaces with pictures for later.
    timers: HashSet<WlSurface>,
    /// Whose pictures may be applied now. Empty between two uses.
    released: Vec<Client>,
}

/// What is kept with a surface.
#[derive(Default)]
struct Waits {
    /// Pictures that wait for the one before them.
    waiting: Cell<u32>,
    /// Commits that are not in force.
    queued: Cell<u32>,
    /// When a barrier of it was taken away last.
    released: Cell<Option<Instant>>,
}

impl State {
    /// Whether one more picture of this surface may wait for the one before.
    pub(super) fn may_wait(&self, surface: &WlSurface) -> bool {
        with_states(surface, |states| {
            let waiting = &waits(states).waiting;
            let may = waiting.get() < MOST_WAITING;
            waiting.set(waiting.get() + u32::from(may));
            may
        })
    }

    /// A picture of this surface is for later.
    pub(super) fn waits_for_time(&mut self, surface: WlSurface) {
        self.timing.timers.insert(surface);
    }

    /// A commit arrived; it may have to wait, and whatever follows it on its surface.
    pub(super) fn count_commit(&self, surface: &WlSurface) {
        // Those become one, and part of their parent's.
        if is_sync_subsurface(surface) {
            return;
        }
        let queued = with_states(surface, |states| {
            let queued = &waits(states).queued;
            queued.set(queued.get() + 1);
            queued.get()
        });
        if queued > MOST_QUEUED
            && let Some(client) = surface.client()
        {
            tracing::warn!("a program commits without end while its pictures wait; it is cut off");
            let message = format!("more than {MOST_QUEUED} commits wait");
            let error = ProtocolError { code: 2, object_id: 1, object_interface: "wl_display".to_owned(), message };
            client.kill(&self.display, error);
        }
    }

    /// A commit is in force: it may hold the next one back.
    pub(super) fn note_barrier(&mut self, surface: &WlSurface) {
        let holds_back = with_states(surface, |states| {
            let Waits { waiting, queued, .. } = waits(states);
            waiting.set(waiting.get().saturating_sub(1));
            queued.set(queued.get().saturating_sub(1));
            states.cached_state.get::<FifoBarrierCachedState>().current().barrier.is_some()
        });
        if holds_back {
            self.timing.fifos.insert(surface.clone(), false);
            self.pacer.waits();
        }
    }

    /// Everything that is seen was drawn as it is now.
    pub(super) fn barriers_drawn(&mut self) {
        if !self.timing.fifos.is_empty() {
            self.timing.fifos.values_mut().for_each(|drawn| *drawn = true);
            self.pacer.waits();
        }
    }

    /// Takes away the barriers of what is seen; what is not seen goes on at a crawl.
    pub(super) fn release_barriers(&mut self) {
        let (now, output, resting) = (Instant::now(), &self.output, self.pacer.rests());
        let Timing { fifos, released, .. } = &mut self.timing;
        fifos.retain(|surface, drawn| {
            let Ok(client) = self.display.get_client(surface.id()) else { return false };
            let taken = with_states(surface, |states| {
                let seen = surface_primary_scanout_output(surface, states).as_ref() == Some(output);
                let last = &waits(states).released;
                if seen && !*drawn && !resting {
                    return false;
                }
                if !seen && last.get().is_some_and(|last| now.duration_since(last) < HIDDEN_EVERY) {
                    return false;
                }
                last.set(Some(now));
                if let Some(barrier) = states.cached_state.get::<FifoBarrierCachedState>().current().barrier.take() {
                    barrier.signal();
                }
                true
            });
            released.extend(taken.then_some(client));
            !taken
        });
        if !fifos.is_empty() {
            self.pacer.hidden_waits();
        }
        self.apply_released();
    }

    /// Lets pictures go whose time has come. Says when the next one's does.
    pub(super) fn release_timers(&mut self) -> Option<Instant> {
        if self.timing.timers.is_empty() {
            return None;
        }
        let now = Clock::<Monotonic>::new().now();
        let mut next: Option<Duration> = None;
        let Timing { timers, released, .. } = &mut self.timing;
        timers.retain(|surface| {
            let Ok(client) = self.display.get_client(surface.id()) else { return false };
            with_states(surface, |states| {
                let mut left =
                    states.data_map.get::<CommitTimerStateUserData>().is_some_and(|t| t.borrow().timestamp.is_some());
                if let Some(barriers) = states.data_map.get::<CommitTimerBarrierStateUserData>() {
                    let mut barriers = barriers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    released.extend(barriers.signal_until(now).then_some(client));
                    if let Some(due) = barriers.next_deadline() {
                        let due = Duration::from(Time::<Monotonic>::from(due)).saturating_sub(now.into());
                        next = Some(next.map_or(due, |next| next.min(due)));
                        left = true;
                    }
                }
                left
            })
        });
        self.apply_released();
        next.map(|due| Instant::now() + due)
    }

    fn apply_released(&mut self) {
        let mut released = std::mem::take(&mut self.timing.released);
        let display = self.display.clone();
        for client in released.drain(..) {
            self.client_compositor_state(&client).blocker_cleared(self, &display);
        }
        self.timing.released = released;
    }
}

/// A moment as it was asked for, or the furthest that we keep a picture for.
pub fn within_reach(seconds: u64, nanoseconds: u32) -> Duration {
    let asked = Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanoseconds.into()));
    asked.min(Duration::from(Clock::<Monotonic>::new().now()) + FURTHEST)
}

fn waits(states: &SurfaceData) -> &Waits {
    states.data_map.get_or_insert(Waits::default)
}

/// Of one surface: a swapchain has three or four pictures.
const MOST_WAITING: u32 = 16;
/// Ahead of now: players queue less than a second.
const FURTHEST: Duration = Duration::from_secs(5);
/// Between barriers of what is not seen, as between its frame callbacks.
const HIDDEN_EVERY: Duration = Duration::from_secs(1);
/// Commits of one surface: smithay looks through all of a program's with each.
const MOST_QUEUED: u32 = 1024;
