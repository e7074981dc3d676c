//! Pairing over HTTP (gamestream.md §4.5): attempts, kept apart by where they come from, driven through their phases.
//!
//! ```text
//! phase 1 ─► waiting (the request is held; the operator sees the device) ── PIN ─► phase 2 ─► 3 ─► 4 ─► trust store ─► answer
//!    client closes, 5 min, denied, unpair, a step out of order, 10 s between phases: the attempt is gone
//! ```
//!
//! Phase 1 names the certificate; the later phases carry nothing but the source address and `uniqueid`, which many devices
//! share. So one attempt at a time per both; another device behind the same address is told to wait its turn.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use punktfunk_core::{Fingerprint, Grants};
use punktfunk_hub::pairing::{PinAnswer, PinDone};
use punktfunk_hub::trust::{ClientKind, ClientRecord, TrustState};
use punktfunk_media::{Reason, reason};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::serve::Peer;
use super::{Shared, explain, lock};
use crate::wire::pairing::{ClientCertificate, HostCertificate, Phase2, Phase3, Phase4, PhaseError};
use crate::wire::query::{Query, QueryError, to_hex};
use crate::wire::xml::Xml;

/// All attempts.
pub(super) struct Pairings {
    step: Duration,
    attempts: Mutex<Attempts>,
}

#[derive(Default)]
struct Attempts {
    list: Vec<Attempt>,
    next_id: u64,
}

struct Attempt {
    id: u64,
    key: Key,
    client: Fingerprint,
    state: State,
}

/// What the requests of one attempt have in common.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    source: IpAddr,
    /// Tells devices behind one address apart where it differs; never an identity.
    uniqueid: String,
}

enum State {
    /// Phase 1 is held. Dropping the sender ends it.
    Waiting { _alive: oneshot::Sender<()> },
    /// The PIN was typed.
    Due { step: Step, by: Instant, party: Party },
}

/// What must come next.
enum Step {
    Two(Phase2),
    Three(Phase3),
    Four(Phase4),
}

/// Who pairs, and who hears of it.
struct Party {
    name: String,
    done: PinDone,
}

impl Pairings {
    pub fn new(step: Duration) -> Arc<Self> {
        Arc::new(Self { step, attempts: Mutex::default() })
    }

    /// Begins an attempt; `None` while another device pairs under the same key.
    fn claim(self: &Arc<Self>, key: Key, client: Fingerprint) -> Option<(Claim, oneshot::Receiver<()>)> {
        let mut attempts = lock(&self.attempts);
        attempts.expire(Instant::now());
        if let Some(index) = attempts.list.iter().position(|a| a.key == key) {
            if attempts.list[index].client != client {
                return None;
            }
            // The device starts over.
            attempts.list.remove(index);
        }
        if attempts.list.len() >= MAX_ATTEMPTS {
            return None;
        }
        attempts.next_id += 1;
        let id = attempts.next_id;
        let (alive, ended) = oneshot::channel();
        attempts.list.push(Attempt { id, key, client, state: State::Waiting { _alive: alive } });
        Some((Claim { pairings: Arc::clone(self), id }, ended))
    }

    /// Ends the attempt under this key, whatever it waits for.
    fn abort(&self, key: &Key) -> Option<Attempt> {
        let mut attempts = lock(&self.attempts);
        attempts.expire(Instant::now());
        let index = attempts.list.iter().position(|a| a.key == *key)?;
        Some(attempts.list.remove(index))
    }

    /// Puts an attempt back for its next phase. False if the device has started over meanwhile.
    fn proceed(self: &Arc<Self>, id: u64, key: Key, client: Fingerprint, step: Step, party: Party) -> bool {
        let by = Instant::now() + self.step;
        {
            let mut attempts = lock(&self.attempts);
            if attempts.list.iter().any(|a| a.key == key) {
                return false;
            }
            attempts.list.push(Attempt { id, key, client, state: State::Due { step, by, party } });
        }
        let pairings = Arc::clone(self);
        // So that the operator hears of a device that gave up.
        tokio::spawn(async move {
            sleep_until(by).await;
            lock(&pairings.attempts).expire(by);
        });
        true
    }
}

impl Attempts {
    fn expire(&mut self, now: Instant) {
        self.list.retain(|a| !matches!(a.state, State::Due { by, .. } if by <= now));
    }
}

/// Phase 1 of an attempt. Dropping it ends the attempt, if the PIN has not been typed.
struct Claim {
    pairings: Arc<Pairings>,
    id: u64,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let waiting = |a: &Attempt| a.id == self.id && matches!(a.state, State::Waiting { .. });
        lock(&self.pairings.attempts).list.retain(|a| !waiting(a));
    }
}

/// Phases 1 to 4, told apart by their parameters.
pub(super) async fn phase(shared: &Shared, peer: &Peer, query: &Query) -> String {
    let key = key(peer, query);
    if query.get("phrase") == Some("getservercert") {
        return first(shared, peer, query, key).await;
    }
    let Some(identity) = shared.identity.ready().await else {
        return failed(503, &reason::GAMESTREAM_NO_IDENTITY);
    };
    // Whatever comes now, the attempt goes on only if this is its next phase.
    let Some(Attempt { id, key, client, state: State::Due { step, party, .. } }) = shared.pairings.abort(&key) else {
        return failed(400, &reason::GAMESTREAM_PAIRING_ORDER);
    };
    let hub = &shared.deps.hub;
    let name = party.name.clone();
    let answer = match advance(step, query, &identity.certificate) {
        Ok(Advance::Next(step, element, bytes)) => {
            if shared.pairings.proceed(id, key, client, step, party) {
                return Xml::ok().number("paired", 1u8).element(element, &to_hex(&bytes)).finish();
            }
            failed(400, &reason::GAMESTREAM_PAIRING_ORDER)
        }
        Ok(Advance::Proven(certificate)) => {
            if store(shared, &certificate, &party.name).await {
                tracing::info!(client = %certificate.fingerprint(), address = %peer.address, "paired");
                hub.pairing().finished(&client, &party.name, true);
                party.done.tell();
                return Xml::ok().number("paired", 1u8).finish();
            }
            failed(500, &reason::STATE_UNWRITABLE)
        }
        // All phases answer 200; what failed is the pairing (§4.2).
        Err(Stop::Phase(PhaseError::NotProven)) => Xml::ok().number("paired", 0u8).finish(),
        Err(Stop::Phase(error)) => {
            tracing::debug!(%error, address = %peer.address, "pairing");
            failed(400, &reason::GAMESTREAM_BAD_REQUEST)
        }
        Err(Stop::Query(error)) => {
            tracing::debug!(%error, address = %peer.address, "pairing");
            failed(400, &reason::GAMESTREAM_BAD_REQUEST)
        }
        Err(Stop::OutOfOrder) => failed(400, &reason::GAMESTREAM_PAIRING_ORDER),
    };
    let failure = &reason::GAMESTREAM_PAIRING_FAILED;
    tracing::warn!(code = failure.code, address = %peer.address, "{}", failure.sentence);
    hub.pairing().finished(&client, &name, false);
    answer
}

/// Phase 5: that the request got here says it all.
pub(super) fn last_phase(query: &Query) -> String {
    if query.get("phrase") == Some("pairchallenge") {
        Xml::ok().number("paired", 1u8).finish()
    } else {
        failed(400, &reason::GAMESTREAM_PAIRING_ORDER)
    }
}

/// Ends the caller's own attempt and nothing else; always well received (§4.4, §4.6).
pub(super) fn unpair(shared: &Shared, peer: &Peer, query: &Query) -> String {
    if let Some(Attempt { client, state: State::Due { party, .. }, .. }) = shared.pairings.abort(&key(peer, query)) {
        // What clients do who notice the wrong PIN themselves.
        shared.deps.hub.pairing().finished(&client, &party.name, false);
    }
    Xml::ok().finish()
}

async fn first(shared: &Shared, peer: &Peer, query: &Query, key: Key) -> String {
    let (salt, client) = match start(query) {
        Ok(start) => start,
        Err(why) => {
            tracing::debug!(why, address = %peer.address, "pairing");
            shared.pairings.abort(&key);
            return failed(400, &reason::GAMESTREAM_BAD_REQUEST);
        }
    };
    let Some(identity) = shared.identity.ready().await else {
        return failed(503, &reason::GAMESTREAM_NO_IDENTITY);
    };
    let who = *client.fingerprint();
    // "Another pairing attempt is in progress" to a client: success without a certificate (§4.3).
    let in_progress = || Xml::ok().number("paired", 1u8).finish();
    let Some((claim, ended)) = shared.pairings.claim(key.clone(), who) else { return in_progress() };
    let name = device_name(query);
    let Ok(mut prompt) = shared.deps.hub.pairing().want_pin(&who, &name, peer.address.ip()) else {
        return in_progress();
    };
    tracing::info!(
        id = %punktfunk_hub::trust::short_id(&who), address = %peer.address,
        "a GameStream client waits for its PIN: `punktfunk-host pair pin PIN`"
    );
    let answer = tokio::select! {
        answer = prompt.answered() => answer,
        _ = ended => PinAnswer::Superseded,
    };
    let (pin, done) = match answer {
        PinAnswer::Pin { pin, done } => (pin, done),
        PinAnswer::Denied => return failed(403, &reason::ACCESS_DENIED),
        PinAnswer::TimedOut => return failed(408, &reason::PAIRING_TIMED_OUT),
        PinAnswer::Superseded => return failed(409, &reason::ACCESS_SUPERSEDED),
    };
    let id = claim.id;
    drop(claim);
    let step = Step::Two(Phase2::new(client, &salt, &pin));
    if !shared.pairings.proceed(id, key, who, step, Party { name, done }) {
        return failed(409, &reason::ACCESS_SUPERSEDED);
    }
    Xml::ok().number("paired", 1u8).element("plaincert", &to_hex(identity.certificate.pem().as_bytes())).finish()
}

fn start(query: &Query) -> Result<([u8; 16], ClientCertificate), String> {
    let salt = query.array("salt").map_err(|e| e.to_string())?;
    let pem = query.bytes("clientcert", MAX_PEM_BYTES).map_err(|e| e.to_string())?;
    Ok((salt, ClientCertificate::from_pem(&pem).map_err(|e| e.to_string())?))
}

enum Advance {
    /// The next step, and the element that answers this one.
    Next(Step, &'static str, Vec<u8>),
    Proven(ClientCertificate),
}

enum Stop {
    OutOfOrder,
    Query(QueryError),
    Phase(PhaseError),
}

impl From<QueryError> for Stop {
    fn from(error: QueryError) -> Self {
        match error {
            // Another phase, or none.
            QueryError::Missing(_) => Self::OutOfOrder,
            other => Self::Query(other),
        }
    }
}

impl From<PhaseError> for Stop {
    fn from(error: PhaseError) -> Self {
        Self::Phase(error)
    }
}

fn advance(step: Step, query: &Query, host: &HostCertificate) -> Result<Advance, Stop> {
    match step {
        Step::Two(phase) => {
            let challenge = query.bytes("clientchallenge", MAX_MESSAGE_BYTES)?;
            let mut random = [0; 32];
            punktfunk_net::identity::random_bytes(&mut random).map_err(|_| PhaseError::Signing)?;
            let (next, answer) = phase.answer(&challenge, host, random)?;
            Ok(Advance::Next(Step::Three(next), "challengeresponse", answer.to_vec()))
        }
        Step::Three(phase) => {
            let response = query.bytes("serverchallengeresp", MAX_MESSAGE_BYTES)?;
            let (next, answer) = phase.answer(&response, host)?;
            Ok(Advance::Next(Step::Four(next), "pairingsecret", answer))
        }
        Step::Four(phase) => {
            let secret = query.bytes("clientpairingsecret", MAX_MESSAGE_BYTES)?;
            Ok(Advance::Proven(phase.check(&secret)?))
        }
    }
}

/// Writes the client down. One that is paired already keeps its name and what it may do.
async fn store(shared: &Shared, certificate: &ClientCertificate, name: &str) -> bool {
    let trust = Arc::clone(shared.deps.hub.trust());
    let who = *certificate.fingerprint();
    let known = match trust.state(&who, std::time::SystemTime::now()) {
        TrustState::Paired { .. } => trust.get(&who),
        TrustState::Expired | TrustState::Unknown => None,
    };
    let (name, grants) = known.map_or_else(|| (name.to_owned(), Grants::ALL), |known| (known.name, known.grants));
    let record = ClientRecord { kind: ClientKind::Gamestream, ..ClientRecord::new(who, name, grants) };
    match tokio::task::spawn_blocking(move || trust.add(record)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::error!(%error, "the pairing could not be saved");
            false
        }
        Err(panic) => {
            tracing::error!(%panic, "saving the pairing");
            false
        }
    }
}

fn key(peer: &Peer, query: &Query) -> Key {
    let uniqueid = query.get("uniqueid").unwrap_or_default().chars().take(MAX_UNIQUEID).collect();
    Key { source: peer.address.ip(), uniqueid }
}

/// Stock clients all send the same word, which says nothing.
fn device_name(query: &Query) -> String {
    match query.get("devicename") {
        None | Some("" | "roth") => "Moonlight".to_owned(),
        Some(name) => name.to_owned(),
    }
}

fn failed(status: u16, reason: &Reason) -> String {
    Xml::refusal(status, &explain(reason)).number("paired", 0u8).finish()
}

/// A PEM certificate of an RSA-2048 key has 1 KB.
const MAX_PEM_BYTES: usize = 8 << 10;
/// 16 bytes and the signature of the largest RSA key that is taken.
const MAX_MESSAGE_BYTES: usize = 16 + 1024;
/// Sixteen hexadecimal digits, usually.
const MAX_UNIQUEID: usize = 64;
/// More than may wait for a PIN, and those that are in later phases.
const MAX_ATTEMPTS: usize = 64;
