//! What happened, for machines: a bounded broadcast with stable kinds. Whoever reads too slowly misses the oldest.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::broadcast;

use crate::lock;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Event {
    /// Rises by one per event, from 1, since the host's start.
    pub seq: u64,
    /// Unix time in ms.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened. The names in `kind` are stable; fields may be added.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind")]
#[expect(missing_docs, reason = "the fields are named in docs of their variants")]
pub enum EventKind {
    /// A pairing window was opened.
    #[serde(rename = "pairing.armed")]
    PairingArmed { seconds: u64 },
    /// A pairing window closed: `used`, `expired` or `operator`.
    #[serde(rename = "pairing.disarmed")]
    PairingDisarmed { why: &'static str },
    /// A pairing ceremony ended.
    #[serde(rename = "pairing.finished")]
    PairingFinished { client: String, name: String, ok: bool },
    /// An unpaired device waits for the operator.
    #[serde(rename = "pairing.knock")]
    PairingKnock { client: String, name: String },
    /// A knock was answered: `approved`, `denied`, `timed_out` or `superseded`.
    #[serde(rename = "pairing.knock_answered")]
    PairingKnockAnswered { client: String, answer: &'static str },
    /// A device shows a PIN that the operator shall type.
    #[serde(rename = "pairing.pin_wanted")]
    PairingPinWanted { client: String, name: String },
    /// It waits no more: `pin` (one was typed), `denied`, `timed_out` or `gave_up`.
    #[serde(rename = "pairing.pin_answered")]
    PairingPinAnswered { client: String, answer: &'static str },
    /// A client was paired, renamed, or its access changed.
    #[serde(rename = "client.changed")]
    ClientChanged { client: String, name: String },
    /// A client lost its access.
    #[serde(rename = "client.revoked")]
    ClientRevoked { client: String, name: String },
    /// A session got its slot.
    #[serde(rename = "session.admitted")]
    SessionAdmitted { session: u64, name: String },
    /// A newcomer was turned away.
    #[serde(rename = "session.refused")]
    SessionRefused { name: String, reason: &'static str },
    /// A session gave its slot back, or lost it.
    #[serde(rename = "session.released")]
    SessionReleased { session: u64, name: String },
    /// A session moved to another encoder; none left ends it.
    #[serde(rename = "session.encoder_changed")]
    SessionEncoderChanged { session: u64, from: &'static str, to: Option<&'static str> },
    /// A session streams.
    #[serde(rename = "session.started")]
    SessionStarted { session: u64 },
    /// The host's settings were changed.
    #[serde(rename = "settings.changed")]
    SettingsChanged { keys: Vec<String> },
    /// Risky settings went back to what they were: `nobody` confirmed them in time, or the `operator` wanted it.
    #[serde(rename = "settings.reverted")]
    SettingsReverted { keys: Vec<String>, why: &'static str },
    /// A display was opened, reused, kept for its client, or ended.
    #[serde(rename = "display.changed")]
    DisplayChanged { identity: String, what: &'static str },
    /// A program of the library was `started`, went on for its client (`resumed`), was found again after a restart
    /// (`adopted`), `exited` by itself, or was `ended`.
    #[serde(rename = "app.changed")]
    AppChanged { identity: String, app: String, what: &'static str },
    /// What can be launched has changed: somebody changed it, or a store did.
    #[serde(rename = "library.changed")]
    LibraryChanged { revision: u64, entries: usize },
    /// A state file could not be read or written.
    #[serde(rename = "state.problem")]
    StateProblem { reason: &'static str, detail: String },
}

/// The sender's side; cheap to share.
#[derive(Debug)]
pub struct Events {
    sender: broadcast::Sender<Event>,
    past: Mutex<Past>,
}

/// The newest events, for readers who were away.
#[derive(Debug, Default)]
struct Past {
    seq: u64,
    events: VecDeque<Event>,
}

/// What a reader gets who comes back.
#[derive(Debug)]
pub struct Resumed {
    /// What it missed, oldest first.
    pub missed: Vec<Event>,
    /// Whether older events are gone for good.
    pub gap: bool,
    /// What happens from now on.
    pub receiver: broadcast::Receiver<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(DEPTH), past: Mutex::default() }
    }
}

impl Events {
    /// Tells everybody who listens. Never blocks.
    pub fn send(&self, kind: EventKind) {
        // Sent under the lock: the order on the channel is that of the numbers, and a reader who comes back misses none.
        let mut past = lock(&self.past);
        past.seq += 1;
        let event = Event { seq: past.seq, at_ms: unix_ms(SystemTime::now()), kind };
        tracing::debug!(target: "punktfunk::events", seq = event.seq, kind = ?event.kind);
        if past.events.len() == DEPTH {
            past.events.pop_front();
        }
        past.events.push_back(event.clone());
        // Nobody listening is fine.
        let _ = self.sender.send(event);
    }

    /// Listens from now on. A reader that falls more than 256 events behind gets `Lagged` with the number missed.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }

    /// Listens again after the event with number `last`.
    #[must_use]
    pub fn resume(&self, last: u64) -> Resumed {
        let past = lock(&self.past);
        let missed: Vec<_> = past.events.iter().filter(|e| e.seq > last).cloned().collect();
        // A number that was never given out is from another run of the host.
        let gap = last > past.seq || past.events.front().is_some_and(|oldest| oldest.seq > last + 1);
        Resumed { missed, gap, receiver: self.sender.subscribe() }
    }
}

/// Milliseconds since 1970; 0 before.
pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// A burst of everything that can happen at once (all sessions end, all displays with them) fits several times.
const DEPTH: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_documented() {
        let (source, document) = (include_str!("events.rs"), include_str!("../../../docs/api.md"));
        let declared = source.split("mod tests").next().unwrap().split("#[serde(rename = \"").skip(1);
        let kinds: Vec<_> = declared.map(|rest| rest.split('"').next().unwrap()).collect();
        assert!(kinds.len() >= 20, "{kinds:?}");
        for kind in kinds {
            assert!(document.contains(&format!("| `{kind}` |")), "docs/api.md does not explain {kind}");
        }
    }

    #[test]
    fn kinds_are_flat_and_slow_readers_are_told() {
        let events = Events::default();
        let mut reader = events.subscribe();
        events.send(EventKind::PairingArmed { seconds: 120 });
        let event = reader.try_recv().expect("sent");
        let json = serde_json::to_value(&event).expect("plain data");
        assert_eq!((json["kind"].as_str(), json["seconds"].as_u64()), (Some("pairing.armed"), Some(120)));
        for _ in 0..DEPTH + 3 {
            events.send(EventKind::PairingDisarmed { why: "used" });
        }
        assert!(matches!(reader.try_recv(), Err(broadcast::error::TryRecvError::Lagged(3))));
        assert_eq!(reader.try_recv().expect("the rest").seq, 5);
    }

    #[test]
    fn a_reader_who_comes_back_misses_nothing_that_is_still_there() {
        let events = Events::default();
        (0..10).for_each(|seconds| events.send(EventKind::PairingArmed { seconds }));
        let mut resumed = events.resume(7);
        assert_eq!(resumed.missed.iter().map(|e| e.seq).collect::<Vec<_>>(), [8, 9, 10]);
        assert!(!resumed.gap);
        events.send(EventKind::PairingDisarmed { why: "used" });
        assert_eq!(resumed.receiver.try_recv().expect("sent").seq, 11);
        assert!(events.resume(11).missed.is_empty() && !events.resume(11).gap);
        assert!(events.resume(500).gap, "from another run");
        (0..DEPTH as u64).for_each(|seconds| events.send(EventKind::PairingArmed { seconds }));
        let resumed = events.resume(3);
        assert!(resumed.gap && resumed.missed.len() == DEPTH);
    }
}
