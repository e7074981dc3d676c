//! A running stream: the tasks and the receive thread around one session.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;

use punktfunk_core::control::ClipFormat;
use punktfunk_core::datagram::{ClientDatagram, HostDatagram, RichInput};
use punktfunk_core::framing::FrameReader;
use punktfunk_core::handshake::Welcome;
use punktfunk_core::input::InputEvent;
use punktfunk_core::{CloseCode, Timestamp};
use punktfunk_net::quic::unspecified_for;
use punktfunk_net::udp::{DataSocket, PortRange, RecvBatch};
use tokio::sync::mpsc;
use tokio::task::JoinHandle as Task;

use super::clipboard::{self, ClipError, ClipSource};
use super::clock::ClientClock;
use super::dial::{Link, close};
use super::pair::CLOSE_GRACE;
use super::shared::{Frames, ReadFailed, Shared};
use crate::end::{End, EndedBy};
use crate::session::{Command, CursorState, Event, Input, Output, Session, SessionConfig, SessionError, Unit};
use crate::summary::Summary;

/// Decides about one datagram after the other: true loses it.
pub type Lose = Box<dyn FnMut(&[u8]) -> bool + Send>;

/// How to run a stream.
pub struct StreamOptions {
    /// What to ask for.
    pub session: SessionConfig,
    /// Loses packets on purpose: asked about every datagram of the data plane.
    pub lose: Option<Lose>,
    /// Local ports of the data socket.
    pub data_ports: PortRange,
    /// Takes the host's datagrams of sound, as they come (see [`crate::SoundReceiver`]), with the moment of their arrival.
    /// One that finds it full is lost.
    pub sound: Option<SyncSender<(Timestamp, Vec<u8>)>>,
}

impl StreamOptions {
    /// Nothing special.
    #[must_use]
    pub fn new(session: SessionConfig) -> Self {
        Self { session, lose: None, data_ports: PortRange::ANY, sound: None }
    }
}

/// Why no stream came about.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection ended before the stream began.
    #[error("{0}")]
    Ended(End),
    /// The host's `Welcome` is of no use.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The data socket could not be had.
    #[error("no data socket: {0}")]
    Socket(io::Error),
    /// The host let us wait for longer than any approval takes.
    #[error("the host did not answer within {} s", PATIENCE.as_secs())]
    TimedOut,
}

/// What [`Stream::next`] tells.
#[derive(Clone, PartialEq, Debug)]
pub enum Happening {
    /// The session has something to say.
    Event(Event),
    /// The connection ended, whoever brought that about.
    Ended(End),
}

/// A running stream. Dropping it without [`Self::close`] closes the connection with code 0.
pub struct Stream {
    shared: Arc<Shared>,
    events: mpsc::Receiver<Event>,
    welcome: Box<Welcome>,
    receiver: Option<JoinHandle<()>>,
    tasks: Vec<Task<()>>,
}

impl Stream {
    /// Says `Hello` on a fresh link, waits for the answer (minutes, where an operator has to approve), and starts.
    ///
    /// # Errors
    /// [`StreamError`]; the connection is closed then.
    pub async fn open(link: &Link, clock: ClientClock, options: StreamOptions) -> Result<Self, StreamError> {
        let outcome = match tokio::time::timeout(PATIENCE, Self::begin(link, clock, options)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(StreamError::TimedOut),
        };
        match &outcome {
            Ok(_) | Err(StreamError::Ended(_)) => {}
            Err(error) => close(&link.connection, CloseCode::ERROR, &error.to_string()),
        }
        outcome
    }

    async fn begin(link: &Link, clock: ClientClock, options: StreamOptions) -> Result<Self, StreamError> {
        let connection = link.connection.clone();
        let (mut send, recv) = connection.open_bi().await.map_err(|error| StreamError::Ended(End::of(&error)))?;
        let mut frames = Frames { recv, reader: FrameReader::new() };
        let mut session = Session::new(options.session);
        let udp_port = loop {
            match session.poll(clock.now()) {
                // A failed write shows in the read that follows, with the host's reason.
                Output::Stream(bytes) => drop(send.write_all(&bytes).await),
                Output::Event(Event::Welcomed { udp_port }) => break udp_port,
                Output::Wait(_) => match frames.next().await {
                    Ok(payload) => session.handle(clock.now(), Input::Control(&payload))?,
                    Err(ReadFailed) => return Err(StreamError::Ended(closed_soon(&connection).await)),
                },
                _ => {}
            }
        };
        let socket = data_socket(link, udp_port, options.data_ports).map_err(StreamError::Socket)?;
        let local_port = socket.local_addr().map_err(StreamError::Socket)?.port();
        let welcome = session.welcome().cloned().map(Box::new).ok_or(SessionError::NoDataPort)?;
        session.start(clock.now(), local_port);

        let (control, to_write) = mpsc::channel(CONTROL_DEPTH);
        let (events, from_session) = mpsc::channel(EVENT_DEPTH);
        let shared = Arc::new(Shared::new(session, clock, connection, socket, control, events));
        let receiver = std::thread::Builder::new()
            .name("client-rx".to_owned())
            .spawn({
                let shared = shared.clone();
                move || receive(&shared, options.lose)
            })
            .map_err(StreamError::Socket)?;
        let tasks = vec![
            tokio::spawn(write_control(send, to_write)),
            tokio::spawn(read_control(shared.clone(), frames)),
            tokio::spawn(read_datagrams(shared.clone(), options.sound)),
            tokio::spawn(clipboard::serve(shared.clone())),
        ];
        Ok(Self { shared, events: from_session, welcome, receiver: Some(receiver), tasks })
    }

    /// What the host granted.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// What happens next, the end of the connection included. Cancelling loses nothing.
    pub async fn next(&mut self) -> Happening {
        tokio::select! {
            Some(event) = self.events.recv() => Happening::Event(event),
            error = self.shared.connection.closed() => Happening::Ended(End::of(&error)),
        }
    }

    /// A handle for the decoder's thread, and for whoever sends input.
    #[must_use]
    pub fn handle(&self) -> StreamHandle {
        StreamHandle { shared: self.shared.clone() }
    }

    /// What was measured so far.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        self.handle().summary()
    }

    /// Hands out no more units: the decoder's thread comes to its end.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Ends the stream: 0x51 for a deliberate quit (the host lets nothing linger), else 0x00. Returns how it ended,
    /// which is the host's word if the host was faster.
    pub async fn close(mut self, code: CloseCode) -> End {
        let early = self.shared.connection.close_reason();
        close(&self.shared.connection, code, "");
        self.shared.stop();
        if let Some(receiver) = self.receiver.take() {
            // It looks at the stop flag every 20 ms, and has nothing else to wait for.
            let _ = tokio::task::spawn_blocking(move || receiver.join()).await;
        }
        match early {
            Some(error) => End::of(&error),
            None => End { by: EndedBy::Us, code: Some(code), reason: String::new() },
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        close(&self.shared.connection, CloseCode::DONE, "");
        self.shared.stop();
        self.tasks.iter().for_each(Task::abort);
    }
}

/// The synchronous side of a stream; may be used from any thread.
#[derive(Clone)]
pub struct StreamHandle {
    shared: Arc<Shared>,
}

impl StreamHandle {
    /// The next access unit; `None` when `timeout` passes or the stream is over. Every unit must come back through
    /// [`Self::decoded`] or [`Self::recycle`].
    #[must_use]
    pub fn next_unit(&self, timeout: Duration) -> Option<Unit> {
        let (unit, depth) = self.shared.units.pop(timeout)?;
        let waited = self.shared.clock.now().since(unit.au.last_packet_at);
        self.shared.handle(Input::Fed { waited, depth });
        Some(unit)
    }

    /// Whether [`Self::next_unit`] will never return another one once it returned `None`.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.units.is_closed()
    }

    /// Gives a unit back after decoding, which took from `begun` to `done` on the session's clock ([`Self::now`]).
    pub fn decoded(&self, unit: Unit, picture: bool, begun: Timestamp, done: Timestamp) {
        let (took, age_ns) = (done.since(begun), unit.age_at(done));
        self.shared.session().recycle(unit.au);
        self.shared.handle(Input::Decoded { picture, took, age_ns });
    }

    /// Gives a unit back that nobody decoded.
    pub fn recycle(&self, unit: Unit) {
        self.shared.session().recycle(unit.au);
    }

    /// Sends input.
    pub fn input(&self, event: InputEvent) {
        self.command(Command::Input(event));
    }

    /// Sends touchpads and motion of pads, or a pen.
    pub fn rich(&self, input: RichInput) {
        self.command(Command::Rich(input));
    }

    /// Sends a packet of the microphone: mono Opus, whose number goes up by one and stands still while the user is mute.
    pub fn microphone(&self, seq: u32, opus: &[u8]) {
        let mut bytes = Vec::with_capacity(13 + opus.len());
        ClientDatagram::Mic { seq, pts_ns: self.now().as_nanos(), opus }.encode(&mut bytes);
        // Too large for the path, or the connection is closing: one packet more that does not arrive.
        let _ = self.shared.connection.send_datagram(bytes.into());
    }

    /// Turns the clipboard on or off. [`Event::ClipState`] answers, on a host with one; what is copied there comes as
    /// [`Event::ClipOffer`].
    pub fn clipboard(&self, enabled: bool) {
        self.command(Command::Clipboard { enabled });
    }

    /// Tells the host what was copied on this side; programs there may paste it from `source` until the next call. To be
    /// repeated after an [`Event::ClipState`] that says that the clipboard is on.
    pub fn offer_clipboard(&self, formats: Vec<ClipFormat>, source: Arc<dyn ClipSource>) {
        let offer = self.shared.held.replace(formats, source);
        self.shared.handle(Input::ClipOffer(&offer));
    }

    /// Fetches one format of the host's offer `seq`, at most `most` bytes of it.
    ///
    /// # Errors
    /// [`ClipError`].
    pub async fn fetch_clipboard(&self, seq: u32, mime: &str, most: usize) -> Result<Vec<u8>, ClipError> {
        clipboard::fetch(&self.shared, seq, mime, most).await
    }

    /// The host's pointer, for whoever draws it; `None` where the host does.
    #[must_use]
    pub fn cursor(&self) -> Option<CursorState> {
        self.shared.session().cursor()
    }

    /// Asks something of the session.
    pub fn command(&self, command: Command) {
        self.shared.handle(Input::Command(command));
    }

    /// What was measured so far; when the decoder's thread has ended, of everything that came to it.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        self.shared.session().summary()
    }

    /// Now, on the session's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }
}

fn data_socket(link: &Link, udp_port: u16, ports: PortRange) -> io::Result<DataSocket> {
    let mut peer = link.address;
    peer.set_port(udp_port);
    let scope_id = match peer {
        std::net::SocketAddr::V6(v6) => v6.scope_id(),
        std::net::SocketAddr::V4(_) => 0,
    };
    let any: IpAddr = unspecified_for(peer).ip();
    let socket = DataSocket::bind(any, scope_id, ports)?;
    socket.connect(peer)?;
    Ok(socket)
}

/// The data plane: batches from the kernel, through the session, to the decoder's queue.
fn receive(shared: &Shared, mut lose: Option<Lose>) {
    let mut batch = RecvBatch::new(RECEIVE_BUFFERS);
    let mut until = shared.clock.now();
    while !shared.stopped() {
        let timeout = until.since(shared.clock.now()).clamp(MIN_WAIT, MAX_WAIT);
        if let Err(error) = shared.socket.recv(&mut batch, timeout) {
            tracing::warn!(%error, "the data socket failed");
            close(&shared.connection, CloseCode::ERROR, "the client's data socket failed");
            break;
        }
        let now = shared.clock.now();
        let mut session = shared.session();
        let packets = batch.packets().filter(|packet| !packet.truncated);
        for (i, packet) in packets.enumerate() {
            if lose.as_mut().is_some_and(|lose| lose(packet.bytes)) {
                continue;
            }
            let _ = session.handle(now, Input::Packet(packet.bytes));
            if i % PACKETS_PER_ROUND == PACKETS_PER_ROUND - 1 {
                shared.carry_out(&mut session, now);
            }
        }
        until = shared.carry_out(&mut session, now);
    }
    shared.units.close();
}

async fn write_control(mut send: quinn::SendStream, mut messages: mpsc::Receiver<Vec<u8>>) {
    while let Some(bytes) = messages.recv().await {
        if send.write_all(&bytes).await.is_err() {
            // The reader sees the end and its reason.
            return;
        }
    }
}

async fn read_control(shared: Arc<Shared>, mut frames: Frames) {
    while let Ok(payload) = frames.next().await {
        shared.handle(Input::Control(&payload));
    }
    // The control stream is never finished during a session: this is the end (§3.2).
    closed_soon(&shared.connection).await;
    shared.stop();
}

async fn read_datagrams(shared: Arc<Shared>, sound: Option<SyncSender<(Timestamp, Vec<u8>)>>) {
    while let Ok(bytes) = shared.connection.read_datagram().await {
        if let Some(sound) = &sound
            && matches!(
                HostDatagram::decode(&bytes),
                Ok(HostDatagram::Audio { .. } | HostDatagram::AudioRed { .. } | HostDatagram::Pcm { .. })
            )
        {
            // Full: the listener is five seconds behind, and what comes now is of no use to it either.
            let _ = sound.try_send((shared.clock.now(), bytes.to_vec()));
        }
        shared.handle(Input::Datagram(&bytes));
    }
}

/// The close that explains the end of a stream may be a little later than that end.
async fn closed_soon(connection: &quinn::Connection) -> End {
    match tokio::time::timeout(CLOSE_GRACE, connection.closed()).await {
        Ok(error) => End::of(&error),
        Err(_) => {
            close(connection, CloseCode::DONE, "");
            End { by: EndedBy::Host, code: None, reason: "the host ended the control stream".to_owned() }
        }
    }
}

/// §2.4: 180 s of approval, and a slot to wait for.
const PATIENCE: Duration = Duration::from_secs(200);
/// Control messages not yet taken by QUIC, which takes a megabyte more than the host has read: minutes of typing.
const CONTROL_DEPTH: usize = 4096;
/// Events not yet read by the owner; they are few.
const EVENT_DEPTH: usize = 64;
/// 2 MiB: more than what arrives at 10 Gbit/s while one batch is worked off.
const RECEIVE_BUFFERS: usize = 32;
/// Access units leave the reassembler at least this often; it keeps 64.
const PACKETS_PER_ROUND: usize = 32;
const MIN_WAIT: Duration = Duration::from_micros(100);
/// How soon a stop, or a deadline set by the control side, is noticed.
const MAX_WAIT: Duration = Duration::from_millis(20);
