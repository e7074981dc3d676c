//! The thread `gs-control`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll};
use rusty_enet::{EventNoRef, Host, HostSettings, Packet, PeerID, PeerState};

use super::Shared;
use super::gate::{Gate, Judgement};
use super::orders::Order;
use super::peers::{Client, Clients, Phase};
use super::wire::{Link, Received, Route, Wire};
use crate::door::{ControlSessions, SessionKey};
use crate::wire::control::ClientMessage;
use crate::wire::feedback::{HostMessage, REASON_ENDED};

pub(super) struct Service {
    poll: Poll,
    wire: Arc<Wire>,
    shared: Arc<Shared>,
    sessions: Arc<dyn ControlSessions>,
}

impl Service {
    pub fn new(poll: Poll, wire: Arc<Wire>, shared: Arc<Shared>, sessions: Arc<dyn ControlSessions>) -> Self {
        Self { poll, wire, shared, sessions }
    }

    /// Until it is stopped. If ENet panics, every client is lost and a new ENet takes the next ones: its state may make
    /// no sense any more, so it is not even freed.
    pub fn run(mut self) {
        loop {
            let mut talk = match Talk::new(&self) {
                Ok(talk) => talk,
                Err(error) => {
                    tracing::error!(%error, "the control stream could not be set up");
                    return;
                }
            };
            match catch_unwind(AssertUnwindSafe(|| talk.work(&mut self.poll))) {
                Ok(()) => return,
                Err(_) => {
                    tracing::error!("ENet panicked; every client of the control stream is lost");
                    let lost: Vec<_> = talk.clients.ids().map(|(_, client)| (client.session, client.phase)).collect();
                    std::mem::forget(talk);
                    for (session, _) in lost.into_iter().filter(|(_, phase)| *phase == Phase::Talking) {
                        self.sessions.disconnected(session);
                    }
                    std::thread::sleep(RESTART_PAUSE);
                }
            }
        }
    }
}

/// One ENet and those who are connected through it.
struct Talk {
    host: Host<Link>,
    gate: Gate,
    clients: Clients,
    wire: Arc<Wire>,
    shared: Arc<Shared>,
    sessions: Arc<dyn ControlSessions>,
    memory: Vec<u8>,
    scratch: Vec<u8>,
}

impl Talk {
    fn new(service: &Service) -> Result<Self, String> {
        // ENet's default clock is the wall's, which steps. It takes 0 for "never", so this one begins later.
        let start = Instant::now();
        let settings = HostSettings {
            peer_limit: PEERS,
            channel_limit: CHANNELS,
            time: Box::new(move || start.elapsed() + Duration::from_secs(1)),
            ..HostSettings::default()
        };
        let mut host = Host::new(Link::new(Arc::clone(&service.wire)), settings).map_err(|e| format!("{e:?}"))?;
        host.set_maximum_packet_size(MAX_PACKET_BYTES).map_err(|e| e.to_string())?;
        host.set_maximum_waiting_data(MAX_WAITING_BYTES).map_err(|e| e.to_string())?;
        Ok(Self {
            host,
            gate: Gate::default(),
            clients: Clients::new(PEERS),
            wire: Arc::clone(&service.wire),
            shared: Arc::clone(&service.shared),
            sessions: Arc::clone(&service.sessions),
            memory: vec![0; RECEIVE_BYTES],
            scratch: Vec::with_capacity(MAX_PACKET_BYTES),
        })
    }

    fn work(&mut self, poll: &mut Poll) {
        let mut events = Events::with_capacity(8);
        let mut drained = false;
        loop {
            let timeout = if !drained { Some(Duration::ZERO) } else { self.anybody().then_some(TICK) };
            if let Err(error) = poll.poll(&mut events, timeout)
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the control stream cannot wait");
                std::thread::sleep(TICK);
            }
            drained = self.receive();
            self.obey();
            self.pump();
            self.look_after();
            if self.shared.stopping() {
                return self.leave(poll, &mut events);
            }
        }
    }

    /// Tells everybody that it is over, and gives them a moment to hear it.
    fn leave(&mut self, poll: &mut Poll, events: &mut Events) {
        let talking: Vec<_> = self.clients.ids().map(|(id, _)| id).collect();
        for id in talking {
            self.terminate(id, REASON_ENDED);
        }
        while !self.clients.is_empty() {
            let _ = poll.poll(events, Some(TICK));
            self.receive();
            self.pump();
            self.look_after();
        }
    }

    /// Whether ENet has anything to watch.
    fn anybody(&mut self) -> bool {
        self.host.peers().any(|peer| peer.state() != PeerState::Disconnected)
    }

    /// Takes what arrived. False if there may be more: orders come between.
    fn receive(&mut self) -> bool {
        let wire = Arc::clone(&self.wire);
        let mut memory = std::mem::take(&mut self.memory);
        let mut drained = false;
        for _ in 0..RECEIVES_AT_ONCE {
            match wire.receive(&mut memory) {
                Ok(Some(Received { route, bytes, stride })) => {
                    for datagram in bytes.chunks(stride) {
                        self.take(route, datagram);
                    }
                }
                Ok(None) => {
                    drained = true;
                    break;
                }
                // Of an earlier datagram, most likely; the next tick tries again.
                Err(error) => {
                    tracing::debug!(%error, "the control socket");
                    drained = true;
                    break;
                }
            }
        }
        self.memory = memory;
        drained
    }

    fn take(&mut self, route: Route, datagram: &[u8]) {
        let sessions = Arc::clone(&self.sessions);
        let expects = |data, ip| guarded(|| sessions.expects(data, ip)).unwrap_or(false);
        match self.gate.judge(&mut self.host, &route, datagram, expects) {
            Judgement::Pass => {}
            Judgement::Drop => return,
            Judgement::Replace(id) => self.host.peer_mut(id).reset(),
        }
        self.host.socket_mut().deliver(route, datagram);
        self.pump();
    }

    /// Lets ENet read, send and tell what happened.
    fn pump(&mut self) {
        loop {
            let event = match self.host.service() {
                Ok(Some(event)) => event.no_ref(),
                Ok(None) => return,
                // `Link` reports none.
                Err(error) => return tracing::warn!(%error, "ENet"),
            };
            match event {
                EventNoRef::Connect { peer, data } => self.connected(peer, data),
                EventNoRef::Disconnect { peer, .. } => self.gone(peer),
                EventNoRef::Receive { peer, packet, .. } => self.message(peer, packet.data()),
            }
        }
    }

    fn connected(&mut self, id: PeerID, data: u32) {
        let now = Instant::now();
        let Some(route) = self.host.peer(id).address() else { return };
        let local =
            route.local.or_else(|| self.wire.local_addr().ok().map(|a| a.ip()).filter(|ip| !ip.is_unspecified()));
        let peer = std::net::SocketAddr::new(route.peer.ip().to_canonical(), route.peer.port());
        let local = local.map(|ip| ip.to_canonical());
        let Some(binding) = guarded(|| self.sessions.connected(data, peer, local)).flatten() else {
            tracing::debug!(%peer, "a control connection that no session waits for");
            return self.host.peer_mut(id).disconnect_now(0);
        };
        if self.clients.has_served(&binding) {
            tracing::warn!(%peer, session = binding.session.0, "a second control connection with the same secret");
            return self.host.peer_mut(id).disconnect_now(0);
        }
        if let Some(old) = self.clients.of(binding.session) {
            // The session was resumed with a new secret before its old connection timed out.
            self.clients.remove(old);
            self.host.peer_mut(old).disconnect_now(0);
        }
        self.host.peer_mut(id).set_timeout(0, ACK_TIME_MS, ACK_TIME_MS);
        self.clients.put(id, Client::new(&binding, now));
        tracing::info!(%peer, session = binding.session.0, v2 = binding.v2, "the control stream is connected");
    }

    fn message(&mut self, id: PeerID, packet: &[u8]) {
        let now = Instant::now();
        let Some(client) = self.clients.at(id) else { return };
        let session = client.session;
        let text = match client.open(packet, &mut self.scratch, now) {
            Ok(text) => text,
            Err(error) => {
                if !std::mem::replace(&mut client.complained, true) {
                    tracing::warn!(session = session.0, %error, "a control packet is dropped, and others like it");
                }
                return;
            }
        };
        if client.phase != Phase::Talking {
            return;
        }
        let told = match ClientMessage::decode(text) {
            Ok(message) => guarded(|| self.sessions.message(session, message)),
            Err(error) => return tracing::debug!(session = session.0, %error, "a control message makes no sense"),
        };
        let held = client.held.take();
        if told.is_none() {
            self.lose(id);
            return;
        }
        for message in held {
            self.say(id, &message);
        }
    }

    /// ENet says that it is not there any more.
    fn gone(&mut self, id: PeerID) {
        if let Some(client) = self.clients.remove(id)
            && client.phase == Phase::Talking
        {
            self.tell_disconnected(client.session);
        }
    }

    /// It is taken for gone.
    fn lose(&mut self, id: PeerID) {
        self.host.peer_mut(id).disconnect_now(0);
        self.gone(id);
    }

    fn tell_disconnected(&self, session: SessionKey) {
        guarded(|| self.sessions.disconnected(session));
    }

    fn obey(&mut self) {
        while let Some((session, order)) = self.shared.pop() {
            let Some(id) = self.clients.of(session) else { continue };
            match order {
                Order::Say(message) => match self.clients.at(id) {
                    Some(client) if client.is_stalled(Instant::now()) => client.held.push(message),
                    _ => self.say(id, &message),
                },
                Order::Terminate(reason) => self.terminate(id, reason),
                Order::Close => {
                    self.clients.remove(id);
                    self.host.peer_mut(id).disconnect_now(0);
                }
            }
        }
    }

    fn say(&mut self, id: PeerID, message: &HostMessage) {
        let Some(client) = self.clients.at(id) else { return };
        let session = client.session;
        let Some(packet) = client.seal(message) else { return self.lose(id) };
        if let Err(error) = self.host.peer_mut(id).send(FEEDBACK_CHANNEL, &Packet::reliable(packet)) {
            tracing::debug!(session = session.0, %error, "ENet did not take a message");
        }
    }

    fn terminate(&mut self, id: PeerID, reason: u32) {
        self.say(id, &HostMessage::Termination { reason });
        self.host.flush();
        if let Some(client) = self.clients.at(id)
            && client.phase == Phase::Talking
        {
            client.phase = Phase::Leaving(Instant::now() + FAREWELL);
        }
    }

    /// Who was silent for too long, and whose farewell is over.
    fn look_after(&mut self) {
        let now = Instant::now();
        let over = |client: &Client| match client.phase {
            Phase::Talking => client.is_silent(now),
            Phase::Leaving(until) => now >= until,
        };
        let lost: Vec<_> = self.clients.ids().filter(|(_, client)| over(client)).map(|(id, _)| id).collect();
        for id in lost {
            self.lose(id);
        }
    }
}

/// Calls into the sessions. Their panic must not take ENet with it; `None` then.
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(call));
    if result.is_err() {
        tracing::error!("a session panicked in a call of the control stream");
    }
    result.ok()
}

/// gamestream.md §6.1: so many that a client that comes back finds a place while its old one times out.
const PEERS: usize = 128;
/// At least 48 (§6.1); a client that asks for more gets it.
const CHANNELS: usize = 64;
/// Clients stay below 300 bytes; ENet puts fragments together up to here.
const MAX_PACKET_BYTES: usize = 2048;
/// Of packets that wait for an earlier one: ten seconds of a mouse at 1000 Hz.
const MAX_WAITING_BYTES: usize = 512 * 1024;
/// The kernel may hand over several datagrams at once, up to the size of one.
const RECEIVE_BYTES: usize = 64 * 1024;
/// Then it is the orders' turn.
const RECEIVES_AT_ONCE: usize = 64;
/// ENet sends again what was lost after a round trip and more; feedback may be so late.
const TICK: Duration = Duration::from_millis(25);
/// What was sent and not acknowledged for so long ends the connection, as at the client.
const ACK_TIME_MS: u32 = 10_000;
/// Clients act on the termination at once and acknowledge nothing (§6.6); meanwhile ENet sends it again.
const FAREWELL: Duration = Duration::from_millis(300);
/// §6.2.
const FEEDBACK_CHANNEL: u8 = 0;
const RESTART_PAUSE: Duration = Duration::from_millis(100);
