//! Sealed records: whose they are, and the two counters of each session.
//!
//! A nonce is made of the session's key and a counter, so a counter outlives the connections of a handshake. The client's
//! counts up by one per request: what is not newer was recorded and sent again by somebody else.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::door::{RtspCandidate, SessionKey};
use crate::wire::Side;
use crate::wire::rtsp::RtspCipher;

/// The counters of the newest sessions.
#[derive(Debug, Default)]
pub(super) struct Records(Mutex<VecDeque<Counters>>);

#[derive(Debug)]
struct Counters {
    session: SessionKey,
    rikey: Zeroizing<[u8; 16]>,
    /// The newest request; 0 before the first.
    client: u32,
    /// The newest answer; 0 before the first.
    host: u32,
}

/// A request whose sender knows the session's secret.
pub(super) struct Opened {
    pub session: SessionKey,
    pub rikey: Zeroizing<[u8; 16]>,
    pub text: Vec<u8>,
}

impl Records {
    /// Opens a record with the secrets of the sealed sessions, oldest first.
    pub fn open(&self, record: &[u8], candidates: &[RtspCandidate]) -> Option<Opened> {
        let sealed = candidates.iter().filter(|c| c.sealed).take(MAX_TRIALS);
        let (candidate, sequence, text) = sealed
            .filter_map(|c| RtspCipher::new(&c.rikey).open(Side::Client, record).ok().map(|(seq, text)| (c, seq, text)))
            .next()?;
        let fresh = self.with(candidate.session, &candidate.rikey, |counters| {
            let fresh = sequence > counters.client;
            counters.client = counters.client.max(sequence);
            fresh
        });
        if !fresh {
            tracing::warn!(session = candidate.session.0, sequence, "an RTSP request came twice");
            return None;
        }
        Some(Opened { session: candidate.session, rikey: Zeroizing::new(candidate.rikey), text })
    }

    /// The record of an answer. `None` once the counter is used up.
    pub fn seal(&self, session: SessionKey, rikey: &[u8; 16], answer: &[u8]) -> Option<Vec<u8>> {
        let sequence = self.with(session, rikey, |counters| {
            counters.host = counters.host.checked_add(1)?;
            Some(counters.host)
        })?;
        Some(RtspCipher::new(rikey).seal(Side::Host, sequence, answer))
    }

    /// A session that comes back with another secret begins anew.
    fn with<T>(&self, session: SessionKey, rikey: &[u8; 16], act: impl FnOnce(&mut Counters) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.iter().position(|c| c.session == session && *c.rikey == *rikey);
        let mut counters = known.and_then(|at| all.remove(at)).unwrap_or_else(|| Counters {
            session,
            rikey: Zeroizing::new(*rikey),
            client: 0,
            host: 0,
        });
        let result = act(&mut counters);
        if all.len() >= MAX_SESSIONS {
            all.pop_front();
        }
        all.push_back(counters);
        result
    }
}

/// More sessions than can be in their handshake at the same time, by far: a counter is forgotten when so many others were
/// used since.
const MAX_SESSIONS: usize = 256;
/// A record is tried with so many secrets; more sessions than that do not wait at once.
const MAX_TRIALS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(session: u64, key: u8) -> RtspCandidate {
        RtspCandidate { session: SessionKey(session), rikey: [key; 16], sealed: true }
    }

    #[test]
    fn a_record_finds_its_session_once() {
        let records = Records::default();
        let waiting = [candidate(1, 1), candidate(2, 2)];
        let record = RtspCipher::new(&[2; 16]).seal(Side::Client, 1, b"hello");
        let opened = records.open(&record, &waiting).unwrap();
        assert_eq!((opened.session, &opened.text[..]), (SessionKey(2), &b"hello"[..]));
        assert!(records.open(&record, &waiting).is_none(), "sent again");
        let foreign = RtspCipher::new(&[3; 16]).seal(Side::Client, 1, b"hello");
        assert!(records.open(&foreign, &waiting).is_none());
        let plain = [RtspCandidate { sealed: false, ..candidate(2, 2) }];
        let next = RtspCipher::new(&[2; 16]).seal(Side::Client, 2, b"hello");
        assert!(records.open(&next, &plain).is_none(), "a plain session's secret opens nothing");
    }

    #[test]
    fn the_hosts_counter_counts_answers_of_one_secret() {
        let records = Records::default();
        let sequence = |key: u8| {
            let record = records.seal(SessionKey(1), &[key; 16], b"x").unwrap();
            RtspCipher::new(&[key; 16]).open(Side::Host, &record).unwrap().0
        };
        assert_eq!([sequence(1), sequence(1), sequence(9), sequence(1), sequence(9)], [1, 2, 1, 3, 2]);
    }

    #[test]
    fn memory_is_bounded() {
        let records = Records::default();
        for session in 0..2 * MAX_SESSIONS as u64 {
            records.seal(SessionKey(session), &[1; 16], b"x").unwrap();
        }
        assert_eq!(records.0.lock().unwrap().len(), MAX_SESSIONS);
    }
}
