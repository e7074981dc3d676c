//! What other threads want said: bounded, and of every state only the newest.

use std::collections::VecDeque;

use crate::door::SessionKey;
use crate::wire::feedback::HostMessage;

/// An order for one session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    Say(HostMessage),
    /// Say that it ends and why, then disconnect.
    Terminate(u32),
    /// Disconnect.
    Close,
}

/// Waiting orders. Every message of the host sets a state, so that a newer one of the same kind and pad replaces one that
/// still waits; an end replaces everything of its session.
#[derive(Debug, Default)]
pub(super) struct Orders {
    waiting: VecDeque<(SessionKey, Order)>,
    pub stop: bool,
}

impl Orders {
    /// False if there was no room. Ends always find room: there is one per session at most.
    pub fn push(&mut self, session: SessionKey, order: Order) -> bool {
        let Order::Say(message) = order else {
            self.waiting.retain(|(other, _)| *other != session);
            self.waiting.push_back((session, order));
            return true;
        };
        for (other, waiting) in &mut self.waiting {
            if *other == session {
                match waiting {
                    Order::Say(old) if replaces(&message, old) => {
                        *old = merged(old, message);
                        return true;
                    }
                    Order::Say(_) => {}
                    Order::Terminate(_) | Order::Close => return true,
                }
            }
        }
        if self.waiting.len() >= MAX_WAITING {
            return false;
        }
        self.waiting.push_back((session, order));
        true
    }

    pub fn pop(&mut self) -> Option<(SessionKey, Order)> {
        self.waiting.pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.stop
    }
}

/// Messages that one session does not take at the moment, by the same rule.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<HostMessage>);

impl Held {
    pub fn push(&mut self, message: HostMessage) {
        if let Some(old) = self.0.iter_mut().find(|old| replaces(&message, old)) {
            *old = merged(old, message);
        } else if self.0.len() < MAX_HELD {
            self.0.push(message);
        }
    }

    pub fn take(&mut self) -> Vec<HostMessage> {
        std::mem::take(&mut self.0)
    }
}

/// Whether both set the same state.
fn replaces(new: &HostMessage, old: &HostMessage) -> bool {
    use HostMessage as M;
    match (new, old) {
        (M::Rumble { pad: a, .. }, M::Rumble { pad: b, .. })
        | (M::TriggerRumble { pad: a, .. }, M::TriggerRumble { pad: b, .. })
        | (M::Led { pad: a, .. }, M::Led { pad: b, .. })
        | (M::AdaptiveTriggers { pad: a, .. }, M::AdaptiveTriggers { pad: b, .. }) => a == b,
        (M::MotionRate { pad: a, sensor: s, .. }, M::MotionRate { pad: b, sensor: t, .. }) => (a, s) == (b, t),
        (M::Hdr(_), M::Hdr(_)) | (M::Termination { .. }, M::Termination { .. }) => true,
        _ => false,
    }
}

/// `new` in place of `old`; a trigger that `new` leaves alone keeps what `old` wanted of it.
fn merged(old: &HostMessage, new: HostMessage) -> HostMessage {
    match (old, new) {
        (
            HostMessage::AdaptiveTriggers { left: l, right: r, .. },
            HostMessage::AdaptiveTriggers { pad, left, right },
        ) => HostMessage::AdaptiveTriggers { pad, left: left.or(*l), right: right.or(*r) },
        _ => new,
    }
}

/// Sixteen pads of eight sessions that all change everything at once.
const MAX_WAITING: usize = 1024;
/// Sixteen pads' six states each, and HDR.
const MAX_HELD: usize = 97;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::feedback::TriggerEffect;

    const A: SessionKey = SessionKey(1);
    const B: SessionKey = SessionKey(2);

    fn rumble(pad: u8, low: u16) -> Order {
        Order::Say(HostMessage::Rumble { pad, low, high: 0 })
    }

    #[test]
    fn only_the_newest_state_waits() {
        let mut orders = Orders::default();
        for (session, order) in [(A, rumble(0, 1)), (B, rumble(0, 2)), (A, rumble(1, 3)), (A, rumble(0, 4))] {
            assert!(orders.push(session, order));
        }
        let all: Vec<_> = std::iter::from_fn(|| orders.pop()).collect();
        assert_eq!(all, [(A, rumble(0, 4)), (B, rumble(0, 2)), (A, rumble(1, 3))]);
    }

    #[test]
    fn an_end_replaces_everything_and_nothing_follows_it() {
        let mut orders = Orders::default();
        orders.push(A, rumble(0, 1));
        orders.push(A, Order::Terminate(7));
        orders.push(A, rumble(0, 2));
        orders.push(A, Order::Close);
        assert_eq!((orders.pop(), orders.pop()), (Some((A, Order::Close)), None));
    }

    #[test]
    fn a_trigger_keeps_what_a_message_for_the_other_one_did_not_name() {
        let effect = |mode| Some(TriggerEffect { mode, parameters: [0; 10] });
        let mut held = Held::default();
        held.push(HostMessage::AdaptiveTriggers { pad: 0, left: effect(1), right: effect(2) });
        held.push(HostMessage::AdaptiveTriggers { pad: 0, left: None, right: effect(3) });
        assert_eq!(held.take(), [HostMessage::AdaptiveTriggers { pad: 0, left: effect(1), right: effect(3) }]);
    }

    #[test]
    fn a_flood_is_bounded_and_ends_still_find_room() {
        let mut orders = Orders::default();
        let taken = (0..2000).filter(|n| orders.push(SessionKey(*n), rumble(0, 1))).count();
        assert_eq!(taken, MAX_WAITING);
        assert!(orders.push(SessionKey(5000), Order::Close));
    }
}
