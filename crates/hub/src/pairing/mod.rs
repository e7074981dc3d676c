//! Pairing: PIN windows and knocks (punktfunk1.md §2.4, §2.5, §10.4).
//!
//! A plane calls, for `PairRequest`: [`Pairing::begin`] → SPAKE2 with [`Attempt::pin`] → [`Attempt::consume`] **after**
//! the client's message proved well-formed and **before** the challenge is written → the proof → `Trust::add` →
//! [`Pairing::finished`]. For the `Hello` of an unpaired device: [`Pairing::knock`] → [`Knock::decided`]; approval has
//! then already written the trust store. For a GameStream client, which shows a PIN of its own: [`Pairing::want_pin`] →
//! [`PinPrompt::answered`] → the phases with that PIN → `Trust::add` → [`PinDone::tell`].

mod knocks;
mod pin;
mod prompts;
mod sources;
mod window;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use punktfunk_core::{Fingerprint, Grants};
use punktfunk_media::{Reason, reason};
use tokio::sync::oneshot;

use self::knocks::Knocks;
use self::prompts::Prompts;
use self::window::Gate;
use crate::events::{EventKind, Events};
use crate::lock;
use crate::state::StateError;
use crate::trust::{ClientRecord, Trust, short_id};

pub use self::pin::{PendingPin, PinAnswer, PinDone, PinError, PinOutcome, PinPrompt};
pub use self::sources::source_of;

/// PIN windows and knocks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pairing {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    gate: Mutex<Gate>,
    knocks: Mutex<Knocks>,
    prompts: Mutex<Prompts>,
    trust: Arc<Trust>,
    events: Arc<Events>,
    approval_wait: Duration,
}

/// An open window, for whoever opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Armed {
    /// Four decimal digits.
    pub pin: String,
    /// When it closes by itself.
    pub expires_in: Duration,
}

/// The window as anybody may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairingStatus {
    /// No window is open.
    Closed,
    /// A window is open.
    Armed {
        /// When it closes by itself.
        expires_in: Duration,
        /// The only device it is for.
        bound: Option<Fingerprint>,
    },
}

/// A window could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// Outside 15..=600 seconds.
    #[error("{}", reason::PAIRING_BAD_WINDOW)]
    BadWindow,
    /// The system gave no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
}

impl ArmError {
    /// The stable reason.
    #[must_use]
    pub fn reason(&self) -> &'static Reason {
        match self {
            Self::BadWindow => &reason::PAIRING_BAD_WINDOW,
            Self::Random(_) => &reason::HOST_NO_RANDOMNESS,
        }
    }
}

/// Why a pairing attempt was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairRefusal {
    /// No window is open: close 0x60.
    #[error("{}", reason::PAIRING_NOT_ARMED)]
    NotArmed,
    /// The window is for another device: close 0x61.
    #[error("{}", reason::PAIRING_BOUND_TO_OTHER)]
    BoundToOther,
    /// Too soon after another attempt: close 0x62.
    #[error("{}", reason::PAIRING_RATE_LIMITED)]
    RateLimited,
}

impl PairRefusal {
    /// The stable reason.
    #[must_use]
    pub fn reason(self) -> &'static Reason {
        match self {
            Self::NotArmed => &reason::PAIRING_NOT_ARMED,
            Self::BoundToOther => &reason::PAIRING_BOUND_TO_OTHER,
            Self::RateLimited => &reason::PAIRING_RATE_LIMITED,
        }
    }
}

/// The operator's answer to a knock, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Come in. The device is paired now, with these grants.
    Approved(Grants),
    /// Close 0x64.
    Denied,
    /// Close 0x65.
    TimedOut,
    /// A newer knock of the same device took its place: close 0x66.
    Superseded,
}

/// Too many knocks wait already: close 0x62.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", reason::PAIRING_RATE_LIMITED)]
pub struct KnockRefused;

/// The operator's answer could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// No device with this id waits.
    #[error("{}", reason::PAIRING_KNOCK_NOT_FOUND)]
    NotFound,
    /// The device waits for its PIN, not for approval.
    #[error("{}", reason::PAIRING_PIN_NEEDED)]
    PinNeeded,
    /// Several devices that wait for their PIN match this id.
    #[error("{}", reason::PAIRING_AMBIGUOUS)]
    Ambiguous,
    /// The approval could not be saved; the device goes on waiting.
    #[error(transparent)]
    State(#[from] StateError),
}

impl AnswerError {
    /// The stable reason.
    #[must_use]
    pub fn reason(&self) -> &'static Reason {
        match self {
            Self::NotFound => &reason::PAIRING_KNOCK_NOT_FOUND,
            Self::PinNeeded => &reason::PAIRING_PIN_NEEDED,
            Self::Ambiguous => &reason::PAIRING_AMBIGUOUS,
            Self::State(e) => e.reason,
        }
    }
}

/// A knock as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingKnock {
    /// The device.
    pub fingerprint: Fingerprint,
    /// Its name, sanitised.
    pub name: String,
    /// Where it comes from.
    pub source: IpAddr,
    /// Since when it waits.
    pub age: Duration,
    /// Whether its connection is still there. Approving one that left lets it in next time.
    pub connected: bool,
}

impl PendingKnock {
    /// The id for [`Pairing::approve`] and [`Pairing::deny`], the same as the client will have.
    #[must_use]
    pub fn id(&self) -> String {
        short_id(&self.fingerprint)
    }
}

impl Pairing {
    /// No window, no knocks. `approval_wait`: how long a knock waits for the operator.
    #[must_use]
    pub fn new(trust: Arc<Trust>, events: Arc<Events>, approval_wait: Duration) -> Self {
        let (gate, knocks, prompts) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { gate, knocks, prompts, trust, events, approval_wait }) }
    }

    /// Opens a window for one attempt within `seconds` (15..=600), for anybody or only for `bound`. An open window is
    /// replaced.
    ///
    /// # Errors
    /// [`ArmError`].
    pub fn arm(&self, seconds: u64, bound: Option<Fingerprint>) -> Result<Armed, ArmError> {
        if !WINDOW_SECONDS.contains(&seconds) {
            return Err(ArmError::BadWindow);
        }
        let (pin, expires_in) = (random_pin()?, Duration::from_secs(seconds));
        lock(&self.inner.gate).arm(pin.clone(), expires_in, bound, Instant::now());
        self.inner.events.send(EventKind::PairingArmed { seconds });
        Ok(Armed { pin, expires_in })
    }

    /// Closes the window; false if none was open.
    pub fn disarm(&self) -> bool {
        let open = lock(&self.inner.gate).disarm(Instant::now());
        if open {
            self.inner.events.send(EventKind::PairingDisarmed { why: "operator" });
        }
        open
    }

    /// The window.
    #[must_use]
    pub fn status(&self) -> PairingStatus {
        let now = Instant::now();
        let mut gate = lock(&self.inner.gate);
        if gate.expire(now) {
            self.inner.events.send(EventKind::PairingDisarmed { why: "expired" });
        }
        gate.window(now).map_or(PairingStatus::Closed, |w| PairingStatus::Armed {
            expires_in: w.until.saturating_duration_since(now),
            bound: w.bound,
        })
    }

    /// A device wants to try the PIN.
    ///
    /// # Errors
    /// [`PairRefusal`], in the order of punktfunk1.md §10.4 row 2.
    pub fn begin(&self, who: &Fingerprint, source: IpAddr, now: Instant) -> Result<Attempt, PairRefusal> {
        let (generation, pin) = lock(&self.inner.gate).attempt(who, source, now)?;
        Ok(Attempt { inner: Arc::clone(&self.inner), generation, pin })
    }

    /// Tells everybody how a ceremony ended.
    pub fn finished(&self, who: &Fingerprint, name: &str, ok: bool) {
        let name = crate::sanitise_name(name, who);
        self.inner.events.send(EventKind::PairingFinished { client: short_id(who), name, ok });
    }

    /// An unpaired device wants a session: show it to the operator.
    ///
    /// # Errors
    /// [`KnockRefused`] when 32 devices, or 4 from this source, wait already.
    pub fn knock(&self, who: &Fingerprint, name: &str, source: IpAddr) -> Result<Knock, KnockRefused> {
        let name = crate::sanitise_name(name, who);
        let (id, decision, superseded) = lock(&self.inner.knocks).add(*who, name.clone(), source, Instant::now())?;
        let client = short_id(who);
        if superseded {
            let client = client.clone();
            self.inner.events.send(EventKind::PairingKnockAnswered { client, answer: "superseded" });
        }
        self.inner.events.send(EventKind::PairingKnock { client, name });
        let deadline = Instant::now() + self.inner.approval_wait;
        Ok(Knock { inner: Arc::clone(&self.inner), id, who: *who, decision, deadline })
    }

    /// Devices that wait, oldest first.
    #[must_use]
    pub fn pending(&self) -> Vec<PendingKnock> {
        let now = Instant::now();
        let mut knocks = lock(&self.inner.knocks);
        knocks.expire(now);
        let view = |e: &knocks::Entry| PendingKnock {
            fingerprint: e.fingerprint,
            name: e.name.clone(),
            source: e.source,
            age: now.saturating_duration_since(e.since),
            connected: e.waits(),
        };
        knocks.entries().iter().map(view).collect()
    }

    /// Pairs a waiting device, for ever or until `expires_at` (Unix time in s), and lets it in. Blocks for a disk sync.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn approve(&self, id: &str, grants: Grants, expires_at: Option<u64>) -> Result<ClientRecord, AnswerError> {
        let (knock, record) = {
            let knocks = lock(&self.inner.knocks);
            let entry = knocks.find(id).ok_or_else(|| match self.wants_pin(id) {
                true => AnswerError::PinNeeded,
                false => AnswerError::NotFound,
            })?;
            let record = ClientRecord::new(entry.fingerprint, entry.name.clone(), grants);
            (entry.id, ClientRecord { expires_at, ..record })
        };
        self.inner.trust.add(record.clone())?;
        // A newer knock of the same device may have come meanwhile: it finds itself paired through its own entry.
        let entry = {
            let mut knocks = lock(&self.inner.knocks);
            let current = knocks.entries().iter().find(|e| e.fingerprint == record.fingerprint).map_or(knock, |e| e.id);
            knocks.take(current)
        };
        if let Some(entry) = entry {
            entry.answer(Decision::Approved(grants));
        }
        self.inner.events.send(EventKind::PairingKnockAnswered { client: record.id(), answer: "approved" });
        Ok(record)
    }

    /// Turns a waiting device away, whether it waits for approval or for its PIN.
    ///
    /// # Errors
    /// [`AnswerError::NotFound`], [`AnswerError::Ambiguous`].
    pub fn deny(&self, id: &str) -> Result<(), AnswerError> {
        let entry = {
            let mut knocks = lock(&self.inner.knocks);
            let knock = knocks.find(id).map(|e| e.id);
            knock.and_then(|knock| knocks.take(knock))
        };
        let Some(entry) = entry else { return self.deny_pin(id) };
        let client = short_id(&entry.fingerprint);
        entry.answer(Decision::Denied);
        self.inner.events.send(EventKind::PairingKnockAnswered { client, answer: "denied" });
        Ok(())
    }
}

/// An admitted attempt. Dropping it without [`Self::consume`] leaves the window open.
#[derive(Debug)]
pub struct Attempt {
    inner: Arc<Inner>,
    generation: u64,
    pin: String,
}

impl Attempt {
    /// The password of the ceremony: four ASCII digits.
    #[must_use]
    pub fn pin(&self) -> &str {
        &self.pin
    }

    /// Spends the window: from here on the PIN is gone, whatever comes of the attempt.
    ///
    /// # Errors
    /// [`PairRefusal::NotArmed`] when the window closed or was spent in the meantime; the ceremony must then stop.
    pub fn consume(self) -> Result<(), PairRefusal> {
        if !lock(&self.inner.gate).consume(self.generation, Instant::now()) {
            return Err(PairRefusal::NotArmed);
        }
        self.inner.events.send(EventKind::PairingDisarmed { why: "used" });
        Ok(())
    }
}

/// A parked device. Dropping it tells that the connection is gone.
#[derive(Debug)]
pub struct Knock {
    inner: Arc<Inner>,
    id: u64,
    who: Fingerprint,
    decision: oneshot::Receiver<Decision>,
    deadline: Instant,
}

impl Knock {
    /// Waits for the operator, at most [`crate::HubConfig::approval_wait`]. Cancel-safe.
    pub async fn decided(&mut self) -> Decision {
        match tokio::time::timeout_at(self.deadline.into(), &mut self.decision).await {
            Ok(Ok(decision)) => decision,
            // The entry vanished without an answer only when it is older than the list keeps.
            Ok(Err(_)) | Err(_) => {
                let client = short_id(&self.who);
                self.inner.events.send(EventKind::PairingKnockAnswered { client, answer: "timed_out" });
                Decision::TimedOut
            }
        }
    }
}

impl Drop for Knock {
    fn drop(&mut self) {
        lock(&self.inner.knocks).gave_up(self.id);
    }
}

/// Four digits, each PIN equally likely.
fn random_pin() -> Result<String, ArmError> {
    loop {
        let mut bytes = [0; 2];
        getrandom::fill(&mut bytes).map_err(|e| ArmError::Random(e.to_string()))?;
        let number = u16::from_le_bytes(bytes);
        // 60 000 is the largest multiple of 10 000 that fits: above it, some PINs would be likelier.
        if number < 60_000 {
            return Ok(format!("{:04}", number % 10_000));
        }
    }
}

/// Allowed lengths of a window in seconds (punktfunk1.md §2.5).
pub const WINDOW_SECONDS: std::ops::RangeInclusive<u64> = 15..=600;
/// Length of a window when nobody says otherwise (punktfunk1.md §2.5).
pub const DEFAULT_WINDOW_SECONDS: u64 = 120;
/// How long an approval is waited for (punktfunk1.md §2.4).
pub const APPROVAL_WAIT: Duration = Duration::from_secs(180);

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::trust::TrustState;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn fp(n: u8) -> Fingerprint {
        Fingerprint([n; 32])
    }

    fn pairing(folder: &std::path::Path) -> (Pairing, Arc<Trust>) {
        let events = Arc::<Events>::default();
        let (trust, _) = Trust::open(folder, Arc::clone(&events));
        let trust = Arc::new(trust);
        (Pairing::new(Arc::clone(&trust), events, APPROVAL_WAIT), trust)
    }

    #[test]
    fn a_window_has_four_digits_and_bounds() {
        let dir = tempfile::tempdir().expect("a folder");
        let (pairing, _) = pairing(dir.path());
        for seconds in [0, 14, 601, u64::MAX] {
            assert!(matches!(pairing.arm(seconds, None), Err(ArmError::BadWindow)), "{seconds}");
        }
        let pins: std::collections::BTreeSet<String> = (0..50)
            .map(|_| {
                let armed = pairing.arm(15, None).expect("within bounds");
                assert!(armed.pin.len() == 4 && armed.pin.bytes().all(|b| b.is_ascii_digit()), "{}", armed.pin);
                armed.pin
            })
            .collect();
        assert!(pins.len() > 40, "50 draws of 10 000 hardly ever repeat: {pins:?}");
        assert!(matches!(pairing.status(), PairingStatus::Armed { bound: None, .. }));
        assert!(pairing.disarm() && !pairing.disarm());
        assert_eq!(pairing.status(), PairingStatus::Closed);
    }

    #[test]
    fn an_attempt_spends_the_window_only_when_it_says_so() {
        let dir = tempfile::tempdir().expect("a folder");
        let (pairing, _) = pairing(dir.path());
        let armed = pairing.arm(60, None).expect("within bounds");
        let t = Instant::now();
        let malformed = pairing.begin(&fp(1), HOME, t).expect("armed");
        drop(malformed);
        let attempt = pairing.begin(&fp(1), HOME, t + window::COOLDOWN).expect("still armed");
        assert_eq!(attempt.pin(), armed.pin);
        attempt.consume().expect("open until now");
        assert_eq!(pairing.status(), PairingStatus::Closed);
        pairing.arm(60, None).expect("within bounds");
        let late = pairing.begin(&fp(1), HOME, t + 2 * window::COOLDOWN).expect("armed again");
        pairing.disarm();
        assert_eq!(late.consume(), Err(PairRefusal::NotArmed), "the operator closed it meanwhile");
    }

    #[tokio::test]
    async fn an_approved_knock_is_paired_and_let_in() {
        let dir = tempfile::tempdir().expect("a folder");
        let (pairing, trust) = pairing(dir.path());
        let mut knock = pairing.knock(&fp(1), "tv", HOME).expect("room");
        let waiting = &pairing.pending()[0];
        assert_eq!((waiting.name.as_str(), waiting.connected), ("tv", true));
        let record = pairing.approve(&waiting.id(), Grants::GAMEPAD, None).expect("saved");
        assert_eq!(knock.decided().await, Decision::Approved(Grants::GAMEPAD));
        let known = TrustState::Paired { grants: Grants::GAMEPAD, expires_in: None };
        assert_eq!(trust.state(&record.fingerprint, SystemTime::now()), known);
        assert!(pairing.pending().is_empty());
        assert!(matches!(pairing.approve("0101", Grants::ALL, None), Err(AnswerError::NotFound)));
    }

    #[tokio::test]
    async fn knocks_are_denied_replaced_and_outlive_their_connection() {
        let dir = tempfile::tempdir().expect("a folder");
        let (pairing, trust) = pairing(dir.path());
        let mut older = pairing.knock(&fp(1), "tv", HOME).expect("room");
        let mut newer = pairing.knock(&fp(1), "tv", HOME).expect("room");
        assert_eq!(older.decided().await, Decision::Superseded);
        drop(older);
        assert!(pairing.pending()[0].connected, "the end of the older one is not the end of the newer");
        pairing.deny("0101").expect("it waits");
        assert_eq!(newer.decided().await, Decision::Denied);
        drop(pairing.knock(&fp(2), "tablet", HOME).expect("room"));
        assert!(!pairing.pending()[0].connected);
        pairing.approve("0202", Grants::ALL, None).expect("saved");
        assert!(matches!(trust.state(&fp(2), SystemTime::now()), TrustState::Paired { .. }), "it gets in next time");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let dir = tempfile::tempdir().expect("a folder");
        let (pairing, _) = pairing(dir.path());
        let mut knock = pairing.knock(&fp(1), "tv", HOME).expect("room");
        assert_eq!(knock.decided().await, Decision::TimedOut);
    }

    #[tokio::test]
    async fn an_approval_that_cannot_be_saved_leaves_the_device_waiting() {
        let dir = tempfile::tempdir().expect("a folder");
        let (pairing, _) = pairing(&dir.path().join("missing"));
        let _knock = pairing.knock(&fp(1), "tv", HOME).expect("room");
        let error = pairing.approve("0101", Grants::ALL, None).expect_err("no folder");
        assert_eq!(error.reason(), &reason::STATE_UNWRITABLE);
        assert!(pairing.pending()[0].connected);
    }
}
