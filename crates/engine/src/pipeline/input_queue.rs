//! Input on its way to the inject thread: bounded, motion merged, keys and buttons never dropped.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use punktfunk_core::datagram::{PenBatch, PenSample};
use punktfunk_core::input::{InputEvent, Scroll, ScrollPhase};

use super::pen::PenGate;
use crate::stats::LiveCounters;

/// The queue between a plane and the inject thread. Pushing never blocks and never allocates.
///
/// While it is not full, an event that only moves on what the event before it moved is merged into it. When it is full,
/// motion gives way to keys and buttons, a pen's as far as its strokes stay whole. When nothing but those are left (a desktop that has not taken input for
/// hundreds of keystrokes), everything waiting is replaced by [`Queued::Reset`], which releases all that is held: no key
/// is ever left down for want of room.
#[derive(Debug)]
pub(crate) struct InputQueue {
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    items: VecDeque<(Queued, Instant)>,
    pen: PenGate,
}

/// What waits.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Queued {
    Event(InputEvent),
    /// The pen is now as this says.
    Pen {
        sample: PenSample,
        /// Its client repeats the last sample while it is near.
        repeated: bool,
    },
    /// Too much was lost: release whatever is held.
    Reset,
}

impl InputQueue {
    pub fn new() -> Self {
        let items = VecDeque::with_capacity(HARD_DEPTH);
        Self { waiting: Mutex::new(Waiting { items, pen: PenGate::default() }) }
    }

    pub fn push(&self, event: InputEvent, counters: &LiveCounters) {
        counters.input_events.one();
        let items = &mut self.lock().items;
        if let Some((Queued::Event(last), _)) = items.back_mut()
            && let Some(merged) = merge(*last, event)
        {
            *last = merged;
            counters.input_merged.one();
            return;
        }
        if items.len() >= DEPTH {
            if is_motion(&event) {
                counters.input_overflowed.one();
                return;
            }
            make_room(items, counters);
        }
        items.push_back((Queued::Event(event), Instant::now()));
    }

    /// Every sample of a batch that comes in time. A stroke is made of all of them, so none is merged while there is room.
    pub fn push_pen(&self, batch: &PenBatch, repeated: bool, counters: &LiveCounters) {
        let mut waiting = self.lock();
        let Waiting { items, pen } = &mut *waiting;
        for sample in pen.pass(batch) {
            counters.input_events.one();
            if items.len() >= DEPTH {
                make_room(items, counters);
            }
            items.push_back((Queued::Pen { sample, repeated }, Instant::now()));
        }
    }

    /// The oldest item and when it came.
    pub fn pop(&self) -> Option<(Queued, Instant)> {
        self.lock().items.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(items: &mut VecDeque<(Queued, Instant)>, counters: &LiveCounters) {
    if drop_oldest_motion(items) {
        counters.input_overflowed.one();
    } else if items.len() >= HARD_DEPTH {
        counters.input_overflowed.add(items.len() as u64);
        items.clear();
        items.push_back((Queued::Reset, Instant::now()));
    }
}

/// Takes the oldest motion out; relative motion is added to the next one in line, so that the pointer ends up right.
fn drop_oldest_motion(items: &mut VecDeque<(Queued, Instant)>) -> bool {
    let oldest = (0..items.len()).find(|at| match items[*at].0 {
        Queued::Event(event) => is_motion(&event),
        Queued::Pen { sample, .. } => same_stroke(&sample, items.range(at + 1..)),
        Queued::Reset => false,
    });
    let Some((gone, _)) = oldest.and_then(|at| items.remove(at)) else { return false };
    if let Queued::Event(gone @ InputEvent::MouseMove { .. }) = gone {
        let heir = items.iter_mut().skip(oldest.unwrap_or(0)).find_map(|(q, _)| match q {
            Queued::Event(event @ InputEvent::MouseMove { .. }) => Some(event),
            _ => None,
        });
        if let Some(heir) = heir
            && let Some(sum) = merge(gone, *heir)
        {
            *heir = sum;
        }
    }
    true
}

/// Whether the pen's next sample goes on with what this one does: then the stroke only loses a corner with it.
fn same_stroke<'a>(sample: &PenSample, mut later: impl Iterator<Item = &'a (Queued, Instant)>) -> bool {
    let next = later.find_map(|(queued, _)| match queued {
        Queued::Pen { sample, .. } => Some(sample),
        _ => None,
    });
    next.is_some_and(|next| (next.state, next.tool) == (sample.state, sample.tool))
}

/// Whether losing it moves the pointer or view less far, and nothing worse.
const fn is_motion(event: &InputEvent) -> bool {
    match event {
        InputEvent::MouseMove { .. }
        | InputEvent::MouseMoveAbs { .. }
        | InputEvent::MouseScroll { .. }
        | InputEvent::TouchMove(_) => true,
        InputEvent::Scroll(scroll) => matches!(scroll.phase, ScrollPhase::Update | ScrollPhase::Momentum),
        _ => false,
    }
}

/// One event with the effect of both, if there is one.
fn merge(first: InputEvent, second: InputEvent) -> Option<InputEvent> {
    use InputEvent as E;
    Some(match (first, second) {
        (E::MouseMove { dx, dy }, E::MouseMove { dx: x, dy: y }) => {
            E::MouseMove { dx: dx.saturating_add(x), dy: dy.saturating_add(y) }
        }
        (E::MouseMoveAbs { .. }, E::MouseMoveAbs { .. }) => second,
        (E::MouseScroll { axis: a, delta, precise: p }, E::MouseScroll { axis, delta: d, precise })
            if a == axis && p == precise =>
        {
            E::MouseScroll { axis, delta: delta.saturating_add(d), precise }
        }
        (E::Scroll(a), E::Scroll(b))
            if is_motion(&first) && (a.axis, a.source, a.phase) == (b.axis, b.source, b.phase) =>
        {
            E::Scroll(Scroll { delta_q8: a.delta_q8.saturating_add(b.delta_q8), ..b })
        }
        (E::TouchMove(a), E::TouchMove(b)) if a.id == b.id => second,
        _ => return None,
    })
}

/// A quarter of a second of a 1000 Hz mouse that cannot be merged: more would only be stale.
const DEPTH: usize = 256;
/// Room for keys and buttons on top; a person does not type that much into a desktop that stands still.
const HARD_DEPTH: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(vk: u32, down: bool) -> InputEvent {
        InputEvent::Key { vk, down }
    }

    fn moved(dx: i32) -> InputEvent {
        InputEvent::MouseMove { dx, dy: -dx }
    }

    fn drain(queue: &InputQueue) -> Vec<Queued> {
        std::iter::from_fn(|| queue.pop().map(|(q, _)| q)).collect()
    }

    #[test]
    fn waiting_motion_is_merged_but_never_across_a_button() {
        let (queue, counters) = (InputQueue::new(), LiveCounters::default());
        for event in [moved(1), moved(2), key(65, true), moved(3), moved(4), key(65, false)] {
            queue.push(event, &counters);
        }
        let expected = [moved(3), key(65, true), moved(7), key(65, false)].map(Queued::Event);
        assert_eq!(drain(&queue), expected);
        assert_eq!(counters.input_merged.get(), 2);
    }

    #[test]
    fn keys_push_motion_out_and_its_distance_is_kept() {
        let (queue, counters) = (InputQueue::new(), LiveCounters::default());
        for i in 0..DEPTH as u32 / 2 {
            queue.push(moved(1), &counters);
            queue.push(key(i, true), &counters);
        }
        for i in 0..100 {
            queue.push(key(1000 + i, true), &counters);
        }
        let all = drain(&queue);
        let keys = all.iter().filter(|q| matches!(q, Queued::Event(InputEvent::Key { .. }))).count();
        let distance: i32 = all
            .iter()
            .map(|q| match q {
                Queued::Event(InputEvent::MouseMove { dx, .. }) => *dx,
                _ => 0,
            })
            .sum();
        assert_eq!((keys, distance), (DEPTH / 2 + 100, DEPTH as i32 / 2));
    }

    #[test]
    fn a_flood_of_keys_ends_in_a_reset_not_in_a_lost_release() {
        let (queue, counters) = (InputQueue::new(), LiveCounters::default());
        for i in 0..=HARD_DEPTH as u32 {
            queue.push(key(i, true), &counters);
        }
        assert_eq!(drain(&queue), [Queued::Reset, Queued::Event(key(HARD_DEPTH as u32, true))]);
        assert_eq!(counters.input_overflowed.get(), HARD_DEPTH as u64);
    }

    fn pen(seq: u16, state: u8, x: f32) -> PenBatch {
        let sample = PenSample { state: punktfunk_core::datagram::PenState(state), x, ..PenSample::default() };
        PenBatch::new(seq, &[sample]).expect("a batch")
    }

    #[test]
    fn a_pen_that_nobody_serves_keeps_every_change_of_its_strokes_and_their_ends() {
        let (queue, counters) = (InputQueue::new(), LiveCounters::default());
        // 40 strokes of a thousand samples each: down, along, and up.
        for seq in 0..40_000_u16 {
            let state = if seq % 1000 < 500 { 3 } else { 1 };
            queue.push_pen(&pen(seq, state, f32::from(seq % 1000) / 1000.0), true, &counters);
        }
        let all = drain(&queue);
        assert!(all.len() <= DEPTH, "{}", all.len());
        let samples = all.iter().map(|q| match q {
            Queued::Pen { sample, .. } => (sample.state.0, sample.x),
            other => panic!("{other:?}"),
        });
        let mut ends: Vec<(u8, f32)> = Vec::new();
        for (state, x) in samples {
            match ends.last_mut() {
                Some(last) if last.0 == state => last.1 = x,
                _ => ends.push((state, x)),
            }
        }
        assert_eq!(ends, [(3, 0.499), (1, 0.999)].repeat(40));
        assert_eq!(counters.input_overflowed.get(), 40_000 - all.len() as u64);
    }

    #[test]
    fn a_pen_whose_every_sample_is_a_change_ends_in_a_reset() {
        let (queue, counters) = (InputQueue::new(), LiveCounters::default());
        for seq in 0..=HARD_DEPTH as u16 {
            queue.push_pen(&pen(seq, 1 + (seq % 3) as u8, 0.0), false, &counters);
        }
        assert_eq!(drain(&queue).iter().map(|q| *q == Queued::Reset).collect::<Vec<_>>(), [true, false]);
    }

    proptest! {
        /// Whatever comes, the queue stays bounded, and without a reset every key and button comes out in order.
        #[test]
        fn keys_come_out_in_order(events in proptest::collection::vec(0_u32..6, 0..2000)) {
            let (queue, counters) = (InputQueue::new(), LiveCounters::default());
            let mut keys = Vec::new();
            for (i, kind) in events.iter().enumerate() {
                let event = match kind {
                    0 if keys.len() < HARD_DEPTH => key(i as u32, i % 2 == 0),
                    1 => InputEvent::MouseMoveAbs { x: i as i32, y: 0, ref_width: 9, ref_height: 9 },
                    _ => moved(1),
                };
                if matches!(event, InputEvent::Key { .. }) {
                    keys.push(Queued::Event(event));
                }
                queue.push(event, &counters);
            }
            let out = drain(&queue);
            prop_assert!(out.len() <= HARD_DEPTH);
            let out: Vec<_> = out.into_iter().filter(|q| matches!(q, Queued::Event(InputEvent::Key { .. }))).collect();
            prop_assert_eq!(out, keys);
        }
    }
}
