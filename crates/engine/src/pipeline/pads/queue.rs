//! Gamepad input on its way to the pads thread: bounded, in order, merged only where the thread falls behind.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use punktfunk_core::input::{InputEvent, MAX_PADS, seq_is_newer};

use super::state::PadInput;
use crate::stats::LiveCounters;

/// The queue between a plane and the pads thread. Pushing never blocks and never allocates.
///
/// A thread that keeps up gets every event. From [`MERGE_FROM`] waiting events on, a snapshot replaces the one before it
/// of the same pad if no button differs, and so do motion and fingers. When it is full all the same, everything waiting
/// gives way to [`QueuedPad::Reset`], which releases all that is held, and the last arrival or removal of each pad.
#[derive(Debug)]
pub(crate) struct PadQueue {
    items: Mutex<VecDeque<(QueuedPad, Instant)>>,
}

/// What waits.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum QueuedPad {
    Input(PadInput),
    /// Too much was lost: nothing is held any more.
    Reset,
}

impl PadQueue {
    pub fn new() -> Self {
        Self { items: Mutex::new(VecDeque::with_capacity(DEPTH)) }
    }

    pub fn push(&self, input: PadInput, counters: &LiveCounters) {
        counters.input_events.one();
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.len() >= MERGE_FROM && merge(&mut items, &input) {
            return counters.input_merged.one();
        }
        if items.len() >= DEPTH {
            counters.input_overflowed.add(items.len() as u64);
            make_room(&mut items);
        }
        items.push_back((QueuedPad::Input(input), Instant::now()));
    }

    /// The oldest item and when it came.
    pub fn pop(&self) -> Option<(QueuedPad, Instant)> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Puts `new` in the place of a waiting input that it makes worthless. Looks back only as far as one round of all pads.
fn merge(items: &mut VecDeque<(QueuedPad, Instant)>, new: &PadInput) -> bool {
    for (waiting, _) in items.iter_mut().rev().take(LOOK_BACK) {
        let QueuedPad::Input(old) = waiting else { return false };
        if old.slot() != new.slot() {
            continue;
        }
        match (&*old, new) {
            (PadInput::Event(InputEvent::GamepadState(a)), PadInput::Event(InputEvent::GamepadState(b))) => {
                if a.buttons != b.buttons {
                    return false;
                }
                if seq_is_newer(b.seq, Some(a.seq)) {
                    *old = *new;
                }
                return true;
            }
            (PadInput::Motion(..), PadInput::Motion(..)) | (PadInput::Battery(..), PadInput::Battery(..)) => {
                *old = *new;
                return true;
            }
            (PadInput::Touch(a), PadInput::Touch(b))
                if (a.surface, a.finger, a.touch.is_some(), a.click)
                    == (b.surface, b.finger, b.touch.is_some(), b.click) =>
            {
                *old = *new;
                return true;
            }
            // Arrivals, removals and single buttons keep their order with everything of their pad.
            (PadInput::Event(event), _) | (_, PadInput::Event(event))
                if !matches!(event, InputEvent::GamepadState(_)) =>
            {
                return false;
            }
            _ => {}
        }
    }
    false
}

fn make_room(items: &mut VecDeque<(QueuedPad, Instant)>) {
    let mut last = [None; MAX_PADS as usize];
    for (queued, came) in items.drain(..) {
        let QueuedPad::Input(input @ PadInput::Event(event)) = queued else { continue };
        if matches!(event, InputEvent::GamepadArrival { .. } | InputEvent::GamepadRemove { .. })
            && let Some(place) = input.slot().and_then(|slot| last.get_mut(usize::from(slot)))
        {
            *place = Some((queued, came));
        }
    }
    items.push_back((QueuedPad::Reset, Instant::now()));
    items.extend(last.into_iter().flatten());
}

/// What 16 pads at 1000 Hz send in 64 ms, about as long as the kernel takes to make a few devices.
const DEPTH: usize = 1024;
/// 16 ms of 16 pads at 1000 Hz: more than one report of a game's frame is of no use to it.
const MERGE_FROM: usize = 256;
/// A snapshot, motion and two fingers of each pad.
const LOOK_BACK: usize = 4 * MAX_PADS as usize;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use punktfunk_core::handshake::GamepadKind;
    use punktfunk_core::input::{GamepadButtons, GamepadState};
    use punktfunk_media::{PadBattery, PadMotion};

    fn state(pad: u8, seq: u8, buttons: u32, left_x: i16) -> PadInput {
        let buttons = GamepadButtons(buttons);
        PadInput::Event(InputEvent::GamepadState(GamepadState { pad, seq, buttons, left_x, ..Default::default() }))
    }

    fn drain(queue: &PadQueue) -> Vec<QueuedPad> {
        std::iter::from_fn(|| queue.pop().map(|(q, _)| q)).collect()
    }

    #[test]
    fn a_thread_that_keeps_up_gets_everything() {
        let (queue, counters) = (PadQueue::new(), LiveCounters::default());
        let all: Vec<_> = (0..MERGE_FROM).map(|i| state(0, i as u8, 0, i as i16)).collect();
        all.iter().for_each(|s| queue.push(*s, &counters));
        assert_eq!(drain(&queue), all.into_iter().map(QueuedPad::Input).collect::<Vec<_>>());
        assert_eq!(counters.input_merged.get(), 0);
    }

    #[test]
    fn sixteen_pads_that_nobody_serves_merge_and_no_button_is_lost() {
        let (queue, counters) = (PadQueue::new(), LiveCounters::default());
        for round in 0..1000_u16 {
            for pad in 0..16 {
                // Every hundredth round presses or releases something.
                queue.push(state(pad, round as u8, u32::from(round / 100), round as i16), &counters);
            }
        }
        let all = drain(&queue);
        assert!(all.len() < MERGE_FROM + 16 * 11, "{}", all.len());
        for pad in 0..16 {
            let of_pad: Vec<_> = all
                .iter()
                .filter_map(|q| match q {
                    QueuedPad::Input(PadInput::Event(InputEvent::GamepadState(s))) if s.pad == pad => Some(*s),
                    _ => None,
                })
                .collect();
            let mut buttons: Vec<_> = of_pad.iter().map(|s| s.buttons.0).collect();
            buttons.dedup();
            assert_eq!(buttons, (0..10).collect::<Vec<_>>());
            assert_eq!(of_pad.last().map(|s| s.left_x), Some(999));
        }
        assert_eq!(counters.input_overflowed.get(), 0);
    }

    #[test]
    fn a_flood_ends_in_a_reset_that_keeps_arrivals_and_removals() {
        let (queue, counters) = (PadQueue::new(), LiveCounters::default());
        let arrival = |pad| {
            let kind = GamepadKind::DualSense;
            PadInput::Event(InputEvent::GamepadArrival { pad, kind, haptics_audio: false, speaker_audio: false })
        };
        let removal = PadInput::Event(InputEvent::GamepadRemove { pad: 2, seq: 9 });
        for input in [arrival(1), arrival(2), removal] {
            queue.push(input, &counters);
        }
        for i in 0..DEPTH as u32 - 2 {
            queue.push(state(3, i as u8, i, 0), &counters);
        }
        let last = state(3, (DEPTH - 3) as u8, DEPTH as u32 - 3, 0);
        let expected =
            [QueuedPad::Reset, QueuedPad::Input(arrival(1)), QueuedPad::Input(removal), QueuedPad::Input(last)];
        assert_eq!(drain(&queue), expected);
        assert_eq!(counters.input_overflowed.get(), DEPTH as u64);
    }

    #[test]
    fn a_stale_snapshot_never_replaces_a_newer_one() {
        let (queue, counters) = (PadQueue::new(), LiveCounters::default());
        for i in 0..MERGE_FROM {
            queue.push(state(1, i as u8, i as u32, 0), &counters);
        }
        queue.push(state(0, 9, 0, 9), &counters);
        queue.push(state(0, 8, 0, 8), &counters);
        queue.push(state(0, 10, 0, 10), &counters);
        assert_eq!(drain(&queue).last(), Some(&QueuedPad::Input(state(0, 10, 0, 10))));
    }

    proptest! {
        /// Whatever comes, the queue stays bounded.
        #[test]
        fn it_stays_bounded(inputs in proptest::collection::vec((0_u8..16, any::<u8>(), 0_u32..4, 0_u8..4), 0..4000)) {
            let (queue, counters) = (PadQueue::new(), LiveCounters::default());
            for (pad, seq, buttons, what) in inputs {
                queue.push(match what {
                    0 => PadInput::Event(InputEvent::GamepadRemove { pad, seq }),
                    1 => PadInput::Motion(pad, PadMotion::default()),
                    2 => PadInput::Battery(pad, PadBattery::default()),
                    _ => state(pad, seq, buttons, 0),
                }, &counters);
            }
            prop_assert!(drain(&queue).len() <= DEPTH);
        }
    }
}
