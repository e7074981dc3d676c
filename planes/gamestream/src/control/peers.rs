//! The clients that are connected: whose they are, their counters, and when they were last heard.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use punktfunk_core::DecodeError;
use punktfunk_core::seal::ReplayWindow;
use rusty_enet::PeerID;
use zeroize::Zeroizing;

use super::orders::Held;
use crate::door::{ControlBinding, SessionKey};
use crate::wire::Side;
use crate::wire::control::ControlCipher;
use crate::wire::feedback::HostMessage;

/// One connected client.
#[derive(Debug)]
pub(super) struct Client {
    pub session: SessionKey,
    rikey: Zeroizing<[u8; 16]>,
    cipher: ControlCipher,
    /// The sequence of our next packet.
    next: u32,
    /// Only V2's tag covers the sequence. In V1 anybody may change all of it but its lowest byte, so there it proves
    /// nothing, and ENet's own numbers must do.
    replays: Option<ReplayWindow>,
    /// When the last authentic packet came.
    pub heard: Instant,
    pub phase: Phase,
    /// What it is told when it is heard again.
    pub held: Held,
    /// A packet that did not open was logged.
    pub complained: bool,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Talking,
    /// It was told that the session ends; it is disconnected then.
    Leaving(Instant),
}

impl Client {
    pub fn new(binding: &ControlBinding, now: Instant) -> Self {
        Self {
            session: binding.session,
            rikey: Zeroizing::new(binding.rikey),
            cipher: ControlCipher::new(&binding.rikey, binding.v2),
            next: 0,
            replays: binding.v2.then(ReplayWindow::new),
            heard: now,
            phase: Phase::Talking,
            held: Held::default(),
            complained: false,
        }
    }

    /// Opens a packet of this client and notes that it was heard.
    pub fn open<'s>(&mut self, packet: &[u8], scratch: &'s mut Vec<u8>, now: Instant) -> Result<&'s [u8], DecodeError> {
        let (sequence, text) = self.cipher.open(Side::Client, packet, scratch)?;
        if !self.replays.as_mut().is_none_or(|replays| replays.accept(sequence.into())) {
            return Err(DecodeError::Invalid("control packet: came twice"));
        }
        self.heard = now;
        Ok(text)
    }

    /// The packet that carries `message`; `None` once the counter is used up.
    pub fn seal(&mut self, message: &HostMessage) -> Option<Vec<u8>> {
        let (mut text, mut packet) = (Vec::with_capacity(32), Vec::with_capacity(64));
        message.encode(&mut text);
        self.cipher.seal(Side::Host, self.next, &text, &mut packet);
        self.next = self.next.checked_add(1)?;
        Some(packet)
    }

    /// It has not been heard for so long that more feedback would only pile up.
    pub fn is_stalled(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) >= STALLED_AFTER
    }

    pub fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) >= SILENT_AFTER
    }
}

/// All of them, by their place in ENet, and the secrets that have served.
#[derive(Debug)]
pub(super) struct Clients {
    places: Vec<Option<Client>>,
    retired: VecDeque<(SessionKey, Zeroizing<[u8; 16]>)>,
}

impl Clients {
    pub fn new(places: usize) -> Self {
        Self { places: (0..places).map(|_| None).collect(), retired: VecDeque::new() }
    }

    pub fn at(&mut self, id: PeerID) -> Option<&mut Client> {
        self.places.get_mut(id.0)?.as_mut()
    }

    /// The place of a session's client, unless it is leaving.
    pub fn of(&self, session: SessionKey) -> Option<PeerID> {
        let talking = |client: &Client| client.session == session && client.phase == Phase::Talking;
        self.places.iter().position(|place| place.as_ref().is_some_and(talking)).map(PeerID)
    }

    pub fn put(&mut self, id: PeerID, client: Client) {
        if let Some(place) = self.places.get_mut(id.0) {
            *place = Some(client);
        }
    }

    /// Takes a client out; its secret has served.
    pub fn remove(&mut self, id: PeerID) -> Option<Client> {
        let client = self.places.get_mut(id.0)?.take()?;
        if self.retired.len() >= MAX_RETIRED {
            self.retired.pop_front();
        }
        self.retired.push_back((client.session, client.rikey.clone()));
        Some(client)
    }

    /// Whether this secret serves or has served. A second connection would begin its counters anew: nonces would repeat,
    /// and what was recorded of the first could be sent again.
    pub fn has_served(&self, binding: &ControlBinding) -> bool {
        let same = |session: &SessionKey, rikey: &[u8; 16]| *session == binding.session && *rikey == binding.rikey;
        self.places.iter().flatten().any(|client| same(&client.session, &client.rikey))
            || self.retired.iter().any(|(session, rikey)| same(session, rikey))
    }

    pub fn ids(&self) -> impl Iterator<Item = (PeerID, &Client)> {
        self.places.iter().enumerate().filter_map(|(id, place)| Some((PeerID(id), place.as_ref()?)))
    }

    pub fn is_empty(&self) -> bool {
        self.places.iter().all(Option::is_none)
    }
}

/// Clients send something every 100 ms: twenty times nothing.
const STALLED_AFTER: Duration = Duration::from_secs(2);
/// gamestream.md §10.1.
const SILENT_AFTER: Duration = Duration::from_secs(10);
/// Sessions that ended and whose secret somebody could still try; a host serves so many in days.
const MAX_RETIRED: usize = 1024;
