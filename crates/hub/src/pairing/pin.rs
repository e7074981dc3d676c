//! PINs that a device shows and the operator types: both sides of a prompt.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_core::Fingerprint;
use punktfunk_media::{Reason, reason};
use tokio::sync::oneshot;

use super::prompts::Entry;
use super::{AnswerError, Inner, KnockRefused, Pairing};
use crate::events::EventKind;
use crate::lock;
use crate::trust::short_id;

/// A prompt as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingPin {
    /// The device.
    pub fingerprint: Fingerprint,
    /// Its name, sanitised.
    pub name: String,
    /// Where it comes from.
    pub source: IpAddr,
    /// Since when it waits.
    pub age: Duration,
}

impl PendingPin {
    /// The id for [`Pairing::submit_pin`] and [`Pairing::deny`], the same as the client will have.
    #[must_use]
    pub fn id(&self) -> String {
        short_id(&self.fingerprint)
    }
}

/// What the operator did about a prompt, or why there is no answer.
#[derive(Debug)]
pub enum PinAnswer {
    /// The PIN that was typed: four ASCII digits. It is for one attempt.
    Pin {
        /// The digits.
        pin: [u8; 4],
        /// Tells the operator how it went.
        done: PinDone,
    },
    /// The operator turned the device away.
    Denied,
    /// A newer attempt took its place.
    Superseded,
    /// Nobody answered in time.
    TimedOut,
}

/// Tells the operator how the attempt with the PIN went. Dropped untold, it failed.
#[derive(Debug)]
pub struct PinDone(oneshot::Sender<bool>);

impl PinDone {
    /// The device is paired.
    pub fn tell(self) {
        // The operator may have stopped waiting.
        let _ = self.0.send(true);
    }
}

/// A PIN was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// It is not four digits.
    #[error("{}", reason::PAIRING_BAD_PIN)]
    BadPin,
    /// No device, or none with this id, waits for its PIN.
    #[error("{}", reason::PAIRING_NOBODY_WAITS)]
    NobodyWaits,
    /// Several do.
    #[error("{}", reason::PAIRING_AMBIGUOUS)]
    Ambiguous,
}

impl PinError {
    /// The stable reason.
    #[must_use]
    pub fn reason(self) -> &'static Reason {
        match self {
            Self::BadPin => &reason::PAIRING_BAD_PIN,
            Self::NobodyWaits => &reason::PAIRING_NOBODY_WAITS,
            Self::Ambiguous => &reason::PAIRING_AMBIGUOUS,
        }
    }
}

/// A PIN that went to a device.
#[derive(Debug)]
pub struct PinOutcome {
    /// The device.
    pub device: PendingPin,
    paired: oneshot::Receiver<bool>,
}

impl PinOutcome {
    /// Whether the device is paired now. Waits at most 28 s: a client that takes all its time in every phase
    /// may be told as failed, and be paired all the same.
    pub async fn paired(self) -> bool {
        matches!(tokio::time::timeout(OUTCOME_WAIT, self.paired).await, Ok(Ok(true)))
    }
}

/// A device that waits for its PIN. Dropping it tells that the device is gone.
#[derive(Debug)]
pub struct PinPrompt {
    inner: Arc<Inner>,
    id: u64,
    who: Fingerprint,
    answer: oneshot::Receiver<PinAnswer>,
    deadline: Instant,
}

impl PinPrompt {
    /// Waits for the operator, at most 5 min. Cancel-safe.
    pub async fn answered(&mut self) -> PinAnswer {
        match tokio::time::timeout_at(self.deadline.into(), &mut self.answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => {
                self.inner.pin_answered(&self.who, "timed_out");
                PinAnswer::TimedOut
            }
        }
    }
}

impl Drop for PinPrompt {
    fn drop(&mut self) {
        if lock(&self.inner.prompts).take(self.id).is_some() {
            self.inner.pin_answered(&self.who, "gave_up");
        }
    }
}

impl Inner {
    fn pin_answered(&self, who: &Fingerprint, answer: &'static str) {
        self.events.send(EventKind::PairingPinAnswered { client: short_id(who), answer });
    }
}

impl Pairing {
    /// A device shows a PIN that the operator shall type: ask for it.
    ///
    /// # Errors
    /// [`KnockRefused`] when 16 devices, or 4 from this source, wait already, or this source tries too often.
    pub fn want_pin(&self, who: &Fingerprint, name: &str, source: IpAddr) -> Result<PinPrompt, KnockRefused> {
        let name = crate::sanitise_name(name, who);
        let now = Instant::now();
        let (id, answer) = lock(&self.inner.prompts).add(*who, name.clone(), source, now)?;
        self.inner.events.send(EventKind::PairingPinWanted { client: short_id(who), name });
        Ok(PinPrompt { inner: Arc::clone(&self.inner), id, who: *who, answer, deadline: now + PIN_WAIT })
    }

    /// Devices that wait for their PIN, oldest first.
    #[must_use]
    pub fn pins_wanted(&self) -> Vec<PendingPin> {
        let now = Instant::now();
        lock(&self.inner.prompts).entries().iter().map(|e| view(e, now)).collect()
    }

    /// Hands a PIN to the device that waits for it: the one named by id or address, or the only one.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn submit_pin(&self, id: Option<&str>, pin: &str) -> Result<PinOutcome, PinError> {
        let pin: [u8; 4] = pin.as_bytes().try_into().map_err(|_| PinError::BadPin)?;
        if !pin.iter().all(u8::is_ascii_digit) {
            return Err(PinError::BadPin);
        }
        let entry = {
            let mut prompts = lock(&self.inner.prompts);
            let id = prompts.find(id)?;
            prompts.take(id).ok_or(PinError::NobodyWaits)?
        };
        let device = view(&entry, Instant::now());
        let (done, paired) = oneshot::channel();
        if !entry.answer(PinAnswer::Pin { pin, done: PinDone(done) }) {
            return Err(PinError::NobodyWaits);
        }
        self.inner.pin_answered(&device.fingerprint, "pin");
        Ok(PinOutcome { device, paired })
    }

    /// Whether a device with this id waits for its PIN.
    pub(super) fn wants_pin(&self, id: &str) -> bool {
        !matches!(lock(&self.inner.prompts).find(Some(id)), Err(PinError::NobodyWaits))
    }

    pub(super) fn deny_pin(&self, id: &str) -> Result<(), AnswerError> {
        let entry = {
            let mut prompts = lock(&self.inner.prompts);
            let id = prompts.find(Some(id)).map_err(|e| match e {
                PinError::Ambiguous => AnswerError::Ambiguous,
                PinError::NobodyWaits | PinError::BadPin => AnswerError::NotFound,
            })?;
            prompts.take(id).ok_or(AnswerError::NotFound)?
        };
        let who = entry.fingerprint;
        entry.answer(PinAnswer::Denied);
        self.inner.pin_answered(&who, "denied");
        Ok(())
    }
}

fn view(entry: &Entry, now: Instant) -> PendingPin {
    PendingPin {
        fingerprint: entry.fingerprint,
        name: entry.name.clone(),
        source: entry.source,
        age: now.saturating_duration_since(entry.since),
    }
}

/// Long enough to walk from the device to the host.
const PIN_WAIT: Duration = Duration::from_secs(300);
/// Three phases of at most 10 s each (gamestream.md §4.5); the management API answers within 30 s.
const OUTCOME_WAIT: Duration = Duration::from_secs(28);

#[cfg(test)]
mod tests {
    use punktfunk_core::Grants;

    use super::*;
    use crate::trust::Trust;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn pairing() -> (tempfile::TempDir, Pairing) {
        let dir = tempfile::tempdir().expect("a folder");
        let trust = Arc::new(Trust::open(dir.path(), Arc::default()).0);
        (dir, Pairing::new(trust, Arc::default(), crate::pairing::APPROVAL_WAIT))
    }

    #[tokio::test]
    async fn a_typed_pin_reaches_the_device_once_and_the_operator_hears_how_it_went() {
        let (_dir, pairing) = pairing();
        let who = Fingerprint([1; 32]);
        let mut prompt = pairing.want_pin(&who, "tv\u{202E}", HOME).expect("room");
        let waiting = pairing.pins_wanted();
        assert_eq!((waiting[0].name.as_str(), waiting[0].source), ("tv", HOME));
        for wrong in ["", "123", "12345", "12a4", "١٢٣٤"] {
            assert_eq!(pairing.submit_pin(None, wrong).map(drop), Err(PinError::BadPin));
        }
        assert!(matches!(pairing.approve(&waiting[0].id(), Grants::ALL, None), Err(AnswerError::PinNeeded)));
        let outcome = pairing.submit_pin(Some(&waiting[0].id()), "0042").expect("it waits");
        let PinAnswer::Pin { pin, done } = prompt.answered().await else { panic!("a PIN was typed") };
        assert_eq!(&pin, b"0042");
        assert_eq!(pairing.submit_pin(None, "0042").map(drop), Err(PinError::NobodyWaits), "once");
        done.tell();
        assert!(outcome.paired().await);

        let mut prompt = pairing.want_pin(&who, "tv", HOME).expect("room");
        let outcome = pairing.submit_pin(None, "0043").expect("it waits");
        drop(prompt.answered().await);
        assert!(!outcome.paired().await, "dropped untold");
    }

    #[tokio::test]
    async fn a_device_that_left_or_was_denied_is_off_the_list() {
        let (_dir, pairing) = pairing();
        let who = Fingerprint([1; 32]);
        drop(pairing.want_pin(&who, "tv", HOME).expect("room"));
        assert!(pairing.pins_wanted().is_empty());
        let mut prompt = pairing.want_pin(&who, "tv", HOME).expect("room");
        pairing.deny("0101").expect("it waits");
        assert!(matches!(prompt.answered().await, PinAnswer::Denied));
        assert!(matches!(pairing.deny("0101"), Err(AnswerError::NotFound)));
        let mut older = pairing.want_pin(&who, "tv", HOME).expect("room");
        let _newer = pairing.want_pin(&who, "tv", HOME).expect("its own place");
        assert!(matches!(older.answered().await, PinAnswer::Superseded));
        drop(older);
        assert_eq!(pairing.pins_wanted().len(), 1, "the older one does not take the newer one along");
    }
}
