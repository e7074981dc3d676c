//! The thread that owns the ENet connection.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusty_enet::{EventNoRef, Host, HostSettings, Packet, PeerID};

use super::{Delivery, HostMessage, Message, Opener, Sealer, Version};
use crate::crypto::Key;
use crate::rtsp::Originator;
use crate::{Error, Violations};

/// How to connect.
#[derive(Clone, Debug)]
pub struct ControlOptions {
    /// The host's control port.
    pub address: SocketAddr,
    /// `X-SS-Connect-Data`.
    pub connect_data: u32,
    /// Session key.
    pub key: Key,
    /// Which IVs.
    pub version: Version,
    /// ENet channels; the stock client takes 48.
    pub channels: usize,
    /// Whether to send the 100 ms pings; tests of silence do not.
    pub pings: bool,
}

/// What happened on the control stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlEvent {
    /// The host said something.
    Message(HostMessage),
    /// The connection is gone; without [`HostMessage::Termination`] before it clients show error −1.
    Disconnected,
}

/// A running control stream.
pub struct Control {
    orders: SyncSender<Order>,
    events: Receiver<ControlEvent>,
    thread: Option<JoinHandle<Violations>>,
}

enum Order {
    Send(Message),
    Raw(u8, Vec<u8>),
    Stop,
    Vanish,
}

/// A handle that only sends, for other threads.
#[derive(Clone)]
pub(crate) struct Sender(SyncSender<Order>);

impl Sender {
    /// False if the thread is behind or gone.
    pub(crate) fn send(&self, message: Message) -> bool {
        self.0.try_send(Order::Send(message)).is_ok()
    }
}

impl Control {
    /// Connects, and sends Start A and B.
    ///
    /// # Errors
    /// If there is no connection within 10 s.
    pub fn connect(options: &ControlOptions) -> Result<Self, Error> {
        let socket = UdpSocket::bind(if options.address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" });
        let socket = socket.map_err(Error::io("binding the control socket"))?;
        let settings = HostSettings { peer_limit: 1, channel_limit: options.channels, ..HostSettings::default() };
        let mut host = Host::new(socket, settings).map_err(|e| Error::Usage(format!("ENet: {e}")))?;
        host.set_mtu(MTU).map_err(|e| Error::Usage(format!("ENet: {e}")))?;
        let peer = host.connect(options.address, options.channels, options.connect_data);
        let peer = peer.map_err(|e| Error::Usage(format!("ENet: {e}")))?.id();
        let begun = Instant::now();
        loop {
            match host.service().map_err(Error::io("ENet"))?.map(rusty_enet::Event::no_ref) {
                Some(EventNoRef::Connect { .. }) => break,
                Some(EventNoRef::Disconnect { .. }) => {
                    return Err(Error::answer("the host refused the control connection"));
                }
                Some(EventNoRef::Receive { .. }) | None => {}
            }
            if begun.elapsed() > CONNECT_TIMEOUT {
                return Err(Error::Timeout("connecting control"));
            }
            std::thread::sleep(TICK);
        }
        host.peer_mut(peer).set_timeout(32, PEER_TIMEOUT_MS, PEER_TIMEOUT_MS);
        let mut work = Work {
            host,
            peer,
            sealer: Sealer::new(&options.key, options.version, Originator::Client)?,
            opener: Opener::new(&options.key, options.version, Originator::Host)?,
            violations: Violations::default(),
            next_sequence: 0,
            connected: true,
        };
        let channels = work.host.peer_mut(peer).channel_count();
        work.violations.check(channels >= options.channels, "§6.1", || format!("{channels} ENet channels"));
        work.send(&Message::StartA);
        work.send(&Message::StartB);
        let (orders, to_do) = sync_channel(ORDERS);
        let (happened, events) = sync_channel(EVENTS);
        let pings = options.pings;
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || work.run(&to_do, &happened, pings))
            .map_err(Error::io("starting the control thread"))?;
        Ok(Self { orders, events, thread: Some(thread) })
    }

    /// Sends a message; false if the connection is gone.
    pub fn send(&self, message: Message) -> bool {
        self.orders.send(Order::Send(message)).is_ok()
    }

    /// Sends bytes as they are, unsealed or not, reliably.
    pub fn send_raw(&self, channel: u8, bytes: Vec<u8>) -> bool {
        self.orders.send(Order::Raw(channel, bytes)).is_ok()
    }

    pub(crate) fn sender(&self) -> Sender {
        Sender(self.orders.clone())
    }

    /// The next event, waiting at most `timeout`.
    #[must_use]
    pub fn event(&self, timeout: Duration) -> Option<ControlEvent> {
        self.events.recv_timeout(timeout).ok()
    }

    /// Disconnects as clients do on a clean stop: what is outstanding goes out first, for at most 2 s. Gives the rules
    /// that the host broke.
    #[must_use]
    pub fn stop(mut self) -> Violations {
        self.end(Order::Stop)
    }

    /// Falls silent without a word, as a client whose network is gone.
    #[must_use]
    pub fn vanish(mut self) -> Violations {
        self.end(Order::Vanish)
    }

    fn end(&mut self, order: Order) -> Violations {
        // A thread that is gone has ended already.
        let _ = self.orders.send(order);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end(Order::Vanish);
        }
    }
}

struct Work {
    host: Host<UdpSocket>,
    peer: PeerID,
    sealer: Sealer,
    opener: Opener,
    violations: Violations,
    next_sequence: u32,
    connected: bool,
}

impl Work {
    fn run(mut self, orders: &Receiver<Order>, events: &SyncSender<ControlEvent>, pings: bool) -> Violations {
        let mut next_ping = Instant::now();
        while self.connected {
            if pings && Instant::now() >= next_ping {
                next_ping += PING;
                self.send(&Message::Ping);
            }
            self.service(Some(events));
            match orders.recv_timeout(TICK) {
                Ok(Order::Send(message)) => self.send(&message),
                Ok(Order::Raw(channel, bytes)) => self.put(channel, Delivery::Reliable, &bytes),
                Ok(Order::Stop) => {
                    self.host.peer_mut(self.peer).disconnect_later(0);
                    let begun = Instant::now();
                    while self.connected && begun.elapsed() < STOP_TIMEOUT {
                        self.service(None);
                        std::thread::sleep(TICK);
                    }
                    break;
                }
                Ok(Order::Vanish) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.violations
    }

    fn send(&mut self, message: &Message) {
        let (channel, delivery, kind, payload) = message.wire();
        // A payload beyond 64 KiB can only be a test's own; it is not sent.
        if let Ok(wire) = self.sealer.seal(kind, &payload) {
            self.put(channel, delivery, &wire);
        }
    }

    fn put(&mut self, channel: u8, delivery: Delivery, wire: &[u8]) {
        let peer = self.host.peer_mut(self.peer);
        // As the client does where the host has fewer channels.
        let channel = if usize::from(channel) < peer.channel_count() { channel } else { 0 };
        let packet = match delivery {
            Delivery::Reliable => Packet::reliable(wire),
            Delivery::Unreliable => Packet::unreliable(wire),
            Delivery::Unsequenced => Packet::unreliable_unsequenced(wire),
        };
        if peer.send(channel, &packet).is_ok() {
            self.host.flush();
        }
    }

    fn service(&mut self, events: Option<&SyncSender<ControlEvent>>) {
        loop {
            let event = match self.host.service() {
                Ok(Some(event)) => event.no_ref(),
                Ok(None) => return,
                // An ICMP answer to an earlier datagram; ENet's own timeout decides.
                Err(_) => return,
            };
            match event {
                EventNoRef::Connect { .. } => {}
                EventNoRef::Disconnect { .. } => {
                    self.connected = false;
                    report(events, ControlEvent::Disconnected);
                    return;
                }
                EventNoRef::Receive { packet, .. } => self.receive(packet.data(), events),
            }
        }
    }

    fn receive(&mut self, wire: &[u8], events: Option<&SyncSender<ControlEvent>>) {
        let read = self
            .opener
            .open(wire)
            .and_then(|(sequence, kind, payload)| HostMessage::read(kind, &payload).map(|message| (sequence, message)));
        match read {
            Ok((sequence, message)) => {
                let expected = self.next_sequence;
                self.violations.check(sequence == expected, "§6.3", || {
                    format!("host control sequence {sequence}, not {expected}")
                });
                self.next_sequence = sequence.wrapping_add(1);
                if let HostMessage::Unknown(kind, _) = &message {
                    self.violations.note("§6.4", format_args!("host message {kind:#06x}"));
                }
                let last = matches!(message, HostMessage::Termination(_));
                report(events, ControlEvent::Message(message));
                if last {
                    // Clients drop their peer at once.
                    self.connected = false;
                    report(events, ControlEvent::Disconnected);
                }
            }
            Err(what) => self.violations.note("§6.3", what),
        }
    }
}

fn report(events: Option<&SyncSender<ControlEvent>>, event: ControlEvent) {
    match events.map(|events| events.try_send(event)) {
        // Nobody looks: a test that does not care about the host's messages.
        Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | Some(Ok(())) | None => {}
    }
}

/// As the stock client announces it.
const MTU: u16 = 900;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const PEER_TIMEOUT_MS: u32 = 10_000;
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
const PING: Duration = Duration::from_millis(100);
/// rusty_enet does not block; input waits this long at worst.
const TICK: Duration = Duration::from_millis(1);
/// A burst of input of one script step.
const ORDERS: usize = 256;
/// Rumble at a pad's full rate for a second.
const EVENTS: usize = 256;
