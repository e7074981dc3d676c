//! What the threads and tasks of one session share, and how outputs are carried out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use punktfunk_core::framing::FrameReader;
use punktfunk_core::{CloseCode, Timestamp};
use punktfunk_net::udp::{DataSocket, PUNCH};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::clipboard::Held;
use super::clock::ClientClock;
use super::dial::close;
use super::units::UnitQueue;
use crate::session::{Event, Input, Output, Session};

pub(super) struct Shared {
    session: Mutex<Session>,
    pub(super) clock: ClientClock,
    pub(super) connection: quinn::Connection,
    pub(super) socket: DataSocket,
    pub(super) units: UnitQueue,
    pub(super) held: Held,
    control: mpsc::Sender<Vec<u8>>,
    events: mpsc::Sender<Event>,
    stop: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        session: Session,
        clock: ClientClock,
        connection: quinn::Connection,
        socket: DataSocket,
        control: mpsc::Sender<Vec<u8>>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let units = UnitQueue::new(QUEUED_UNITS);
        let (held, stop) = (Held::default(), AtomicBool::new(false));
        Self { session: Mutex::new(session), clock, connection, socket, units, held, control, events, stop }
    }

    /// The session, for looking at it or for a run of inputs before [`Self::carry_out`].
    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        // A panic while it was held ended that thread's work; the counters are still worth reporting.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One input and everything that follows from it.
    pub(super) fn handle(&self, input: Input<'_>) {
        let mut session = self.session();
        let now = self.clock.now();
        // Only a Welcome can be refused, and that one was read before this existed.
        let _ = session.handle(now, input);
        self.carry_out(&mut session, now);
    }

    /// Carries out what the session wants; returns when it wants to be asked again. Nothing in here blocks.
    pub(super) fn carry_out(&self, session: &mut Session, now: Timestamp) -> Timestamp {
        loop {
            match session.poll(now) {
                Output::Wait(until) => return until,
                Output::Stream(bytes) => {
                    if let Err(TrySendError::Full(_)) = self.control.try_send(bytes) {
                        // Key and button edges go this way: one that is dropped would leave a key down for good. At the end
                        // of a session the host releases everything.
                        tracing::warn!("the host reads no control messages; the session ends");
                        close(&self.connection, CloseCode::DONE, "the host reads no control messages");
                        self.stop();
                    }
                }
                Output::Datagram(bytes) => {
                    if let Err(error) = self.connection.send_datagram(bytes.into()) {
                        tracing::debug!(%error, "a datagram could not be sent");
                    }
                }
                // The next punch follows; a full buffer means that packets are leaving anyway.
                Output::Punch => drop(self.socket.send_one(PUNCH)),
                Output::Unit(unit) => {
                    if let Err(unit) = self.units.push(unit) {
                        session.recycle(unit.au);
                        let _ = session.handle(now, Input::Discarded);
                    }
                }
                Output::Event(event) => {
                    if event == Event::JumpToLive {
                        self.units.drain(|unit| session.recycle(unit.au));
                    }
                    if self.events.try_send(event).is_err() {
                        tracing::debug!("nobody reads the session's events");
                    }
                }
            }
        }
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.units.close();
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The control stream, read frame by frame.
pub(super) struct Frames {
    pub(super) recv: quinn::RecvStream,
    pub(super) reader: FrameReader,
}

/// The stream ended; the connection knows why.
#[derive(Debug)]
pub(super) struct ReadFailed;

impl Frames {
    /// The next payload. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, ReadFailed> {
        loop {
            if let Some(payload) = self.reader.next() {
                return Ok(payload.to_vec());
            }
            match self.recv.read_chunk(READ_AT_MOST, true).await {
                Ok(Some(chunk)) => self.reader.push(&chunk.bytes),
                Ok(None) | Err(_) => return Err(ReadFailed),
            }
        }
    }
}

/// A second at 60 Hz; jump-to-live acts at 6.
const QUEUED_UNITS: usize = 64;
const READ_AT_MOST: usize = 16 << 10;
