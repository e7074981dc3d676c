//! Who may come in: `clients.json`.
//!
//! A client *is* its certificate's fingerprint. Readers of [`Trust::watch`] look again at [`Trust::state`] after each
//! change, so that a revocation or a narrowed grant reaches live sessions at once.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use punktfunk_core::{Fingerprint, Grants};
use punktfunk_media::{Reason, reason};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::events::{EventKind, Events};
use crate::lock;
use crate::state::{Document, StateError, Stored};

/// The trust store. All methods are quick but for one disk sync in those that change it.
#[derive(Debug)]
pub struct Trust {
    stored: Mutex<Stored<Clients>>,
    generation: watch::Sender<u64>,
    events: Arc<Events>,
}

/// A paired client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRecord {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its name, sanitised.
    pub name: String,
    /// What it may do.
    pub grants: Grants,
    /// Unix time in seconds at which its access ends; `None`: never.
    pub expires_at: Option<u64>,
    /// Unix time in seconds at which it was paired.
    pub paired_at: u64,
    /// Which protocol it paired through.
    pub kind: ClientKind,
    /// How large programs draw on its displays, in percent; `None`: as the host is set.
    pub scale_percent: Option<u32>,
    /// Its keyboard, `LAYOUT[:VARIANT[:OPTIONS]]` in XKB's words; `None`: the desktop's own layout.
    pub keyboard_layout: Option<String>,
}

/// Which protocol a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientKind {
    /// `punktfunk/1`.
    #[default]
    Native,
    /// GameStream: Moonlight and its relatives.
    Gamestream,
}

impl ClientKind {
    // For serde, which hands out references.
    fn is_native(&self) -> bool {
        *self == Self::Native
    }
}

impl ClientRecord {
    /// A native client paired now, without an end.
    #[must_use]
    pub fn new(fingerprint: Fingerprint, name: String, grants: Grants) -> Self {
        let (paired_at, kind) = (unix_s(SystemTime::now()), ClientKind::Native);
        Self {
            fingerprint,
            name,
            grants,
            expires_at: None,
            paired_at,
            kind,
            scale_percent: None,
            keyboard_layout: None,
        }
    }

    /// The id used by command line and API: the first 12 hexadecimal digits of the fingerprint.
    #[must_use]
    pub fn id(&self) -> String {
        short_id(&self.fingerprint)
    }
}

/// The id of a device in command line and API: the first 12 hexadecimal digits of its fingerprint.
#[must_use]
pub fn short_id(fingerprint: &Fingerprint) -> String {
    fingerprint.to_string()[..ID_DIGITS].to_owned()
}

/// What the store says about a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustState {
    /// It may come in.
    Paired {
        /// What it may do.
        grants: Grants,
        /// After which time to ask again; `None`: it does not expire.
        expires_in: Option<Duration>,
    },
    /// It was paired; its access has ended.
    Expired,
    /// It was never paired, or was revoked.
    Unknown,
}

/// A change was refused.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// No client has this id.
    #[error("{}", reason::CLIENT_NOT_FOUND)]
    NotFound,
    /// Several clients match this id.
    #[error("{}", reason::CLIENT_AMBIGUOUS)]
    Ambiguous,
    /// It could not be saved. A revocation is in force all the same, until the host ends.
    #[error(transparent)]
    State(#[from] StateError),
}

impl TrustError {
    /// The stable reason.
    #[must_use]
    pub fn reason(&self) -> &'static Reason {
        match self {
            Self::NotFound => &reason::CLIENT_NOT_FOUND,
            Self::Ambiguous => &reason::CLIENT_AMBIGUOUS,
            Self::State(e) => e.reason,
        }
    }
}

/// What [`Trust::change`] shall change; `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientChange {
    /// New name (sanitised here).
    pub name: Option<String>,
    /// New grants.
    pub grants: Option<Grants>,
    /// New end of access: `Some(None)` for never.
    pub expires_at: Option<Option<u64>>,
    /// New scale of its displays in percent: `Some(None)` for the host's.
    pub scale_percent: Option<Option<u32>>,
    /// New keyboard layout: `Some(None)` for the desktop's.
    pub keyboard_layout: Option<Option<String>>,
}

impl Trust {
    /// Reads `clients.json` in `folder`. The second value is what must be told to the operator.
    #[must_use]
    pub fn open(folder: &Path, events: Arc<Events>) -> (Self, Option<StateError>) {
        let (stored, problem) = Stored::load(folder);
        (Self { stored: Mutex::new(stored), generation: watch::Sender::new(0), events }, problem)
    }

    /// May this fingerprint come in at `now`?
    #[must_use]
    pub fn state(&self, fingerprint: &Fingerprint, now: SystemTime) -> TrustState {
        let stored = lock(&self.stored);
        let Some(client) = stored.get().clients.iter().find(|c| c.fingerprint.0 == *fingerprint) else {
            return TrustState::Unknown;
        };
        match client.expires_at {
            None => TrustState::Paired { grants: Grants(client.grants), expires_in: None },
            // A time that the clock cannot tell never comes.
            Some(end) => match UNIX_EPOCH.checked_add(Duration::from_secs(end)).map(|end| end.duration_since(now)) {
                None => TrustState::Paired { grants: Grants(client.grants), expires_in: None },
                Some(Ok(left)) if !left.is_zero() => {
                    TrustState::Paired { grants: Grants(client.grants), expires_in: Some(left.min(FAR)) }
                }
                Some(_) => TrustState::Expired,
            },
        }
    }

    /// The record of one client.
    #[must_use]
    pub fn get(&self, fingerprint: &Fingerprint) -> Option<ClientRecord> {
        lock(&self.stored).get().clients.iter().find(|c| c.fingerprint.0 == *fingerprint).map(Client::record)
    }

    /// Every client, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<ClientRecord> {
        lock(&self.stored).get().clients.iter().map(Client::record).collect()
    }

    /// Pairs a client, or replaces its record. Blocks for a disk sync.
    ///
    /// # Errors
    /// [`StateError`]: not saved, hence not paired.
    pub fn add(&self, record: ClientRecord) -> Result<(), StateError> {
        let mut stored = lock(&self.stored);
        let mut next = stored.get().clone();
        let kept = next.clients.iter().position(|c| c.fingerprint.0 == record.fingerprint);
        let before = kept.map(|i| next.clients.remove(i));
        let scale_percent = record.scale_percent.or_else(|| before.as_ref().and_then(|b| b.scale_percent));
        let keyboard_layout =
            record.keyboard_layout.or_else(|| before.as_ref().and_then(|b| b.keyboard_layout.clone()));
        let extra = before.map(|b| b.extra).unwrap_or_default();
        let name = crate::sanitise_name(&record.name, &record.fingerprint);
        next.clients.push(Client {
            fingerprint: Hex(record.fingerprint),
            name: name.clone(),
            grants: record.grants.0,
            paired_at: record.paired_at,
            expires_at: record.expires_at,
            kind: record.kind,
            scale_percent,
            keyboard_layout,
            extra,
        });
        stored.set(next)?;
        drop(stored);
        self.changed(EventKind::ClientChanged { client: short_id(&record.fingerprint), name });
        Ok(())
    }

    /// Takes a client's access away. `id`: at least 4 digits of its fingerprint that match no other. Blocks for a disk
    /// sync.
    ///
    /// # Errors
    /// [`TrustError`]; with [`TrustError::State`] the revocation is in force, but only until the host ends.
    pub fn revoke(&self, id: &str) -> Result<ClientRecord, TrustError> {
        let mut stored = lock(&self.stored);
        let mut next = stored.get().clone();
        let index = find(&next.clients, id)?;
        let gone = next.clients.remove(index).record();
        let saved = stored.set_anyway(next);
        drop(stored);
        self.changed(EventKind::ClientRevoked { client: gone.id(), name: gone.name.clone() });
        saved?;
        Ok(gone)
    }

    /// Changes what a client may do. As [`Self::change`].
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn set_grants(&self, id: &str, grants: Grants) -> Result<ClientRecord, TrustError> {
        self.change(id, ClientChange { grants: Some(grants), ..ClientChange::default() })
    }

    /// Changes a client's record. Blocks for a disk sync.
    ///
    /// # Errors
    /// [`TrustError`]; with [`TrustError::State`] the change is in force if it only takes away, else it is not made.
    pub fn change(&self, id: &str, change: ClientChange) -> Result<ClientRecord, TrustError> {
        let mut stored = lock(&self.stored);
        let mut next = stored.get().clone();
        let index = find(&next.clients, id)?;
        let client = &mut next.clients[index];
        let before = client.clone();
        if let Some(name) = &change.name {
            client.name = crate::sanitise_name(name, &client.fingerprint.0);
        }
        if let Some(grants) = change.grants {
            client.grants = grants.0;
        }
        if let Some(expires_at) = change.expires_at {
            client.expires_at = expires_at;
        }
        if let Some(scale_percent) = change.scale_percent {
            client.scale_percent = scale_percent;
        }
        if let Some(keyboard_layout) = change.keyboard_layout {
            client.keyboard_layout = keyboard_layout;
        }
        let narrows = Grants(before.grants).contains(Grants(client.grants))
            && client.expires_at.unwrap_or(u64::MAX) <= before.expires_at.unwrap_or(u64::MAX);
        let record = client.record();
        let saved = if narrows { stored.set_anyway(next) } else { stored.set(next) };
        drop(stored);
        if saved.is_ok() || narrows {
            self.changed(EventKind::ClientChanged { client: record.id(), name: record.name.clone() });
        }
        saved?;
        Ok(record)
    }

    /// A number that rises with every change of the store.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    fn changed(&self, kind: EventKind) {
        self.generation.send_modify(|g| *g += 1);
        self.events.send(kind);
    }
}

fn find(clients: &[Client], id: &str) -> Result<usize, TrustError> {
    let id = id.to_ascii_lowercase();
    if id.len() < MIN_ID_DIGITS {
        return Err(TrustError::NotFound);
    }
    let mut matches = clients.iter().enumerate().filter(|(_, c)| c.fingerprint.0.to_string().starts_with(&id));
    match (matches.next(), matches.next()) {
        (Some((index, _)), None) => Ok(index),
        (Some(_), Some(_)) => Err(TrustError::Ambiguous),
        (None, _) => Err(TrustError::NotFound),
    }
}

/// Seconds since 1970; 0 before.
pub(crate) fn unix_s(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// `clients.json` as written. Fields that a newer release added are kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Clients {
    clients: Vec<Client>,
    #[serde(flatten)]
    extra: serde_json::Map<String, serde_json::Value>,
}

impl Document for Clients {
    const NAME: &'static str = "clients.json";
    const VERSION: u64 = 1;
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Client {
    fingerprint: Hex,
    name: String,
    grants: u32,
    paired_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    // Files of releases that knew native clients only have none.
    #[serde(default, skip_serializing_if = "ClientKind::is_native")]
    kind: ClientKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale_percent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyboard_layout: Option<String>,
    #[serde(flatten)]
    extra: serde_json::Map<String, serde_json::Value>,
}

impl Client {
    fn record(&self) -> ClientRecord {
        ClientRecord {
            fingerprint: self.fingerprint.0,
            name: self.name.clone(),
            grants: Grants(self.grants),
            expires_at: self.expires_at,
            paired_at: self.paired_at,
            kind: self.kind,
            // Whatever the file says.
            scale_percent: self.scale_percent.filter(|p| punktfunk_media::is_scale_percent(*p)),
            keyboard_layout: self.keyboard_layout.clone().filter(|l| punktfunk_media::is_keyboard_layout(l)),
        }
    }
}

/// A fingerprint as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug)]
struct Hex(Fingerprint);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Fingerprint::from_hex(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("a fingerprint has 64 hexadecimal digits"))
    }
}

/// 48 bits: two of a household's devices share them once in 10^12 pairs.
const ID_DIGITS: usize = 12;
/// Shorter ids are typing mistakes.
const MIN_ID_DIGITS: usize = 4;

/// A century: far, and nobody's timer overflows.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn fp(n: u8) -> Fingerprint {
        Fingerprint([n; 32])
    }

    fn open(folder: &Path) -> Trust {
        let (trust, problem) = Trust::open(folder, Arc::default());
        assert!(problem.is_none(), "{problem:?}");
        trust
    }

    #[test]
    fn a_paired_client_is_known_after_a_restart_and_a_revoked_one_is_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = SystemTime::now();
        let trust = open(dir.path());
        assert_eq!(trust.state(&fp(1), now), TrustState::Unknown);
        trust.add(ClientRecord::new(fp(1), "tv\u{202E}".into(), Grants::ALL)).expect("saved");
        trust.add(ClientRecord::new(fp(2), "tablet".into(), Grants::GAMEPAD)).expect("saved");
        let trust = open(dir.path());
        assert_eq!(trust.state(&fp(1), now), TrustState::Paired { grants: Grants::ALL, expires_in: None });
        assert_eq!(trust.list().iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["tv", "tablet"]);
        let mut watch = trust.watch();
        watch.mark_unchanged();
        trust.revoke("0101").expect("one matches");
        assert!(watch.has_changed().expect("alive"), "live sessions look again");
        assert_eq!(trust.state(&fp(1), now), TrustState::Unknown);
        assert_eq!(open(dir.path()).list().len(), 1);
        assert!(matches!(trust.revoke("0101"), Err(TrustError::NotFound)));
        assert!(matches!(trust.revoke("0"), Err(TrustError::NotFound)), "too short to be meant");
    }

    #[test]
    fn clients_of_both_protocols_stand_in_one_list() {
        let dir = tempfile::tempdir().expect("a folder");
        let moonlight = ClientRecord::new(fp(2), "tv".into(), Grants::ALL);
        let moonlight = ClientRecord { kind: ClientKind::Gamestream, ..moonlight };
        let trust = open(dir.path());
        trust.add(ClientRecord::new(fp(1), "x".into(), Grants::ALL)).expect("saved");
        trust.add(moonlight.clone()).expect("saved");
        let trust = open(dir.path());
        assert_eq!(trust.get(&fp(2)), Some(moonlight));
        assert_eq!(trust.list()[0].kind, ClientKind::Native);
        let text = std::fs::read_to_string(dir.path().join("clients.json")).expect("it is there");
        assert_eq!(text.matches("\"kind\": \"gamestream\"").count(), 1, "native ones look as before: {text}");
        assert!(!text.contains("\"native\""));
    }

    #[test]
    fn an_id_that_fits_two_clients_changes_neither() {
        let dir = tempfile::tempdir().expect("a folder");
        let trust = open(dir.path());
        let mut other = [1; 32];
        other[31] = 2;
        for fingerprint in [fp(1), Fingerprint(other)] {
            trust.add(ClientRecord::new(fingerprint, "x".into(), Grants::ALL)).expect("saved");
        }
        assert!(matches!(trust.revoke("01010101"), Err(TrustError::Ambiguous)));
        trust.revoke(&fp(1).to_string().to_uppercase()).expect("the whole fingerprint is one");
        assert_eq!(trust.list().len(), 1);
    }

    #[test]
    fn access_expires_to_the_second() {
        let dir = tempfile::tempdir().expect("a folder");
        let trust = open(dir.path());
        let record = ClientRecord::new(fp(1), "x".into(), Grants::ALL);
        trust.add(ClientRecord { expires_at: Some(1000), ..record }).expect("saved");
        let at = |s| UNIX_EPOCH + Duration::from_secs(s);
        let left = Some(Duration::from_secs(1));
        assert_eq!(trust.state(&fp(1), at(999)), TrustState::Paired { grants: Grants::ALL, expires_in: left });
        assert_eq!(trust.state(&fp(1), at(1000)), TrustState::Expired);
        for far in [u64::MAX, i64::MAX as u64, 1 << 40] {
            trust
                .change("0101", ClientChange { expires_at: Some(Some(far)), ..ClientChange::default() })
                .expect("saved");
            let TrustState::Paired { expires_in, .. } = trust.state(&fp(1), at(1000)) else { panic!("{far}") };
            assert!(expires_in.is_none_or(|left| left <= FAR), "no timer overflows");
        }
        trust.change("0101", ClientChange { expires_at: Some(None), ..ClientChange::default() }).expect("saved");
        assert_eq!(trust.state(&fp(1), at(1000)), TrustState::Paired { grants: Grants::ALL, expires_in: None });
    }

    #[test]
    fn on_a_broken_disk_access_can_be_taken_but_not_given() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("state");
        crate::state::make_folder(&folder).expect("writable");
        let trust = open(&folder);
        let now = SystemTime::now();
        trust.add(ClientRecord::new(fp(1), "x".into(), Grants::GAMEPAD)).expect("saved");
        std::fs::remove_dir_all(&folder).expect("ours");
        assert!(trust.add(ClientRecord::new(fp(2), "y".into(), Grants::ALL)).is_err());
        assert_eq!(trust.state(&fp(2), now), TrustState::Unknown, "what is not saved is not paired");
        let widened = trust.set_grants("0101", Grants::ALL).expect_err("not saved");
        assert_eq!(widened.reason(), &reason::STATE_UNWRITABLE);
        assert_eq!(trust.state(&fp(1), now), TrustState::Paired { grants: Grants::GAMEPAD, expires_in: None });
        assert!(trust.set_grants("0101", Grants::VIEW).is_err());
        assert_eq!(trust.state(&fp(1), now), TrustState::Paired { grants: Grants::VIEW, expires_in: None });
        assert!(trust.revoke("0101").is_err());
        assert_eq!(trust.state(&fp(1), now), TrustState::Unknown, "a revocation is in force all the same");
    }

    #[test]
    fn fields_of_a_newer_release_survive() {
        let dir = tempfile::tempdir().expect("a folder");
        let text = format!(
            r#"{{"version":1,"later":[1],"clients":[{{"fingerprint":"{}","name":"x","grants":1,"paired_at":5,"profile":"kids"}}]}}"#,
            fp(1)
        );
        std::fs::write(dir.path().join("clients.json"), text).expect("writable");
        let trust = open(dir.path());
        trust.set_grants("0101", Grants::ALL).expect("saved");
        trust.add(ClientRecord::new(fp(1), "x".into(), Grants::VIEW)).expect("paired again");
        let text = std::fs::read_to_string(dir.path().join("clients.json")).expect("it is there");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&json["later"][0], &json["version"]), (&1.into(), &1.into()));
        assert_eq!((&json["clients"][0]["profile"], &json["clients"][0]["grants"]), (&"kids".into(), &0.into()));
    }
}
