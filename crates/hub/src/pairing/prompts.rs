//! Devices that show a PIN and wait until the operator types it here: the other way round than a window. A bounded list,
//! pure but for the channels that carry the answers.
//!
//! ```text
//! add ─► waiting (the plane holds the device's request) ── PIN typed | denied | superseded | gave up ──► gone
//! ```
//!
//! Several devices may wait, because a stranger who starts a pairing must not lock out the owner's device; the operator
//! then says which one is meant.

use std::net::IpAddr;
use std::time::Instant;

use punktfunk_core::Fingerprint;
use tokio::sync::oneshot;

use super::sources::{Sources, source_of};
use super::{KnockRefused, PinAnswer, PinError};

/// All prompts.
#[derive(Debug, Default)]
pub(super) struct Prompts {
    entries: Vec<Entry>,
    next_id: u64,
    sources: Sources,
}

#[derive(Debug)]
pub(super) struct Entry {
    /// Unique per prompt.
    pub id: u64,
    pub fingerprint: Fingerprint,
    pub name: String,
    pub source: IpAddr,
    pub since: Instant,
    answer: oneshot::Sender<PinAnswer>,
}

impl Entry {
    /// False if the device is gone.
    pub fn answer(self, answer: PinAnswer) -> bool {
        self.answer.send(answer).is_ok()
    }
}

impl Prompts {
    /// Adds a prompt. An older one of the same device at the same address is answered `Superseded`.
    pub fn add(
        &mut self,
        fingerprint: Fingerprint,
        name: String,
        source: IpAddr,
        now: Instant,
    ) -> Result<(u64, oneshot::Receiver<PinAnswer>), KnockRefused> {
        let source = source.to_canonical();
        if !self.sources.may_try(source, now) {
            return Err(KnockRefused);
        }
        self.sources.charge(source, now);
        if let Some(older) = self.entries.iter().position(|e| e.fingerprint == fingerprint && e.source == source) {
            self.entries.remove(older).answer(PinAnswer::Superseded);
        }
        if self.of_source(source) >= MAX_PER_SOURCE {
            return Err(KnockRefused);
        }
        if self.entries.len() >= MAX_PROMPTS {
            self.make_room()?;
        }
        let (sender, receiver) = oneshot::channel();
        self.next_id += 1;
        let id = self.next_id;
        self.entries.push(Entry { id, fingerprint, name, source, since: now, answer: sender });
        Ok((id, receiver))
    }

    fn of_source(&self, source: IpAddr) -> usize {
        self.entries.iter().filter(|e| source_of(e.source) == source_of(source)).count()
    }

    /// The oldest prompt of the source that has most gives way, if that source has more than one.
    fn make_room(&mut self) -> Result<(), KnockRefused> {
        let crowd = self.entries.iter().map(|e| self.of_source(e.source)).max().unwrap_or(0);
        if crowd < 2 {
            return Err(KnockRefused);
        }
        // Entries are in the order of their arrival.
        let index = self.entries.iter().position(|e| self.of_source(e.source) == crowd).ok_or(KnockRefused)?;
        self.entries.remove(index).answer(PinAnswer::Superseded);
        Ok(())
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The prompt that the operator means: by at least 4 digits of the fingerprint, or by the address; without either the
    /// only one.
    pub fn find(&self, id: Option<&str>) -> Result<u64, PinError> {
        let id = id.map(str::to_ascii_lowercase);
        let meant = |e: &&Entry| {
            id.as_ref().is_none_or(|id| {
                id.len() >= 4 && e.fingerprint.to_string().starts_with(id) || e.source.to_string() == *id
            })
        };
        let mut matches = self.entries.iter().filter(meant);
        match (matches.next(), matches.next()) {
            (Some(entry), None) => Ok(entry.id),
            (Some(_), Some(_)) => Err(PinError::Ambiguous),
            (None, _) => Err(PinError::NobodyWaits),
        }
    }

    pub fn take(&mut self, id: u64) -> Option<Entry> {
        let index = self.entries.iter().position(|e| e.id == id)?;
        Some(self.entries.remove(index))
    }
}

/// More devices than anybody pairs at once.
const MAX_PROMPTS: usize = 16;
/// As for knocks: several devices behind one address translation.
const MAX_PER_SOURCE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn fp(n: u8) -> Fingerprint {
        Fingerprint([n; 32])
    }

    fn ip(n: u8) -> IpAddr {
        IpAddr::V4([192, 0, 2, n].into())
    }

    #[test]
    fn the_operator_names_one_by_id_or_address() {
        let (mut prompts, t) = (Prompts::default(), Instant::now());
        assert_eq!(prompts.find(None), Err(PinError::NobodyWaits));
        let (first, _a) = prompts.add(fp(1), "a".into(), ip(1), t).expect("room");
        assert_eq!(prompts.find(None), Ok(first));
        let (second, _b) = prompts.add(fp(1), "a".into(), ip(2), t).expect("a copied certificate from elsewhere");
        assert_eq!(prompts.find(None), Err(PinError::Ambiguous));
        assert_eq!(prompts.find(Some("0101")), Err(PinError::Ambiguous));
        assert_eq!(prompts.find(Some("192.0.2.2")), Ok(second));
        assert_eq!(prompts.find(Some("192.0.2.3")), Err(PinError::NobodyWaits));
        let (third, _c) = prompts.add(fp(2), "b".into(), ip(2), t).expect("room");
        assert_eq!(prompts.find(Some("02020")), Ok(third));
        assert_eq!(prompts.find(Some("020")), Err(PinError::NobodyWaits), "too short to be meant");
        assert_eq!(prompts.take(third).map(|e| e.fingerprint), Some(fp(2)));
        assert!(prompts.take(third).is_none());
    }

    #[test]
    fn a_neighbour_cannot_lock_others_out_and_a_retry_takes_its_own_place() {
        let (mut prompts, t) = (Prompts::default(), Instant::now());
        let (_, mut first) = prompts.add(fp(1), "a".into(), ip(1), t).expect("room");
        let (_, _again) = prompts.add(fp(1), "a".into(), ip(1), t).expect("its own place");
        assert!(matches!(first.try_recv(), Ok(PinAnswer::Superseded)));
        let flood: Vec<_> = (10..40).map(|n| prompts.add(fp(n), "x".into(), ip(9), t)).collect();
        assert_eq!(flood.iter().filter(|r| r.is_ok()).count(), MAX_PER_SOURCE);
        let mut held = Vec::new();
        for n in 50..70 {
            held.push(prompts.add(fp(n), "x".into(), ip(n), t));
        }
        assert!(prompts.entries().len() <= MAX_PROMPTS);
        assert!(held.iter().take(11).all(Result::is_ok), "the crowd made room");
        assert_eq!(prompts.of_source(ip(9)), 1);
        assert!(prompts.find(Some("0101")).is_ok(), "the quiet one is still there");
    }
}
