//! The control stream: ENet, sealed packets, input in, feedback out.
//!
//! ```text
//! socket ─► gate ─► ENet ─► open (key, replay) ─► decode ─► door::ControlSessions         one thread, `gs-control`,
//! socket ◄───────── ENet ◄─ seal ◄─ orders ◄─ ControlHandle (any thread; a waker)         asleep until one of them comes
//! ```
//!
//! The thread waits in `poll` for datagrams and orders, so input is decoded the moment it arrives. While a client is
//! there it also wakes every 25 ms, for what ENet must send again. Nobody connects without a place, no place is kept for
//! somebody who does not answer, and whoever connects must be known to a session at once.

mod gate;
mod orders;
mod peers;
mod service;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mio::{Poll, Token, Waker};

use crate::door::{ControlSessions, SessionKey};
use crate::wire::feedback::HostMessage;
use orders::{Order, Orders};
use service::Service;
use wire::Wire;

/// The control port. Dropping it says goodbye to every client and closes it.
#[derive(Debug)]
pub struct ControlServer {
    handle: ControlHandle,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

/// Says things to clients, from any thread. Never blocks.
#[derive(Clone, Debug)]
pub struct ControlHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    orders: Mutex<Orders>,
    waker: Waker,
}

impl ControlServer {
    /// Binds `address` (port 0: any; `[::]` takes IPv4, too) and serves `sessions` on a thread of its own.
    ///
    /// # Errors
    /// As the system tells: `AddrInUse` if another program has the port.
    pub fn start(address: SocketAddr, sessions: Arc<dyn ControlSessions>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), ORDERS)?;
        let mut wire = Wire::bind(address)?;
        wire.register(poll.registry(), DATAGRAMS)?;
        let address = wire.local_addr()?;
        let shared = Arc::new(Shared { orders: Mutex::default(), waker });
        let service = Service::new(poll, Arc::new(wire), Arc::clone(&shared), sessions);
        let thread = std::thread::Builder::new().name("gs-control".into()).spawn(move || service.run())?;
        Ok(Self { handle: ControlHandle(shared), address, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// A handle for other threads.
    #[must_use]
    pub fn handle(&self) -> ControlHandle {
        self.handle.clone()
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.handle.0.orders.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.handle.0.wake();
        if let Some(thread) = self.thread.take() {
            // A panic was logged where it happened.
            let _ = thread.join();
        }
    }
}

impl ControlHandle {
    /// Tells the client of `session` something. A state that still waits is replaced by the newer one; for a session that
    /// nobody is connected for, it is dropped.
    pub fn send(&self, session: SessionKey, message: HostMessage) {
        let order = match message {
            HostMessage::Termination { reason } => Order::Terminate(reason),
            state => Order::Say(state),
        };
        self.0.push(session, order);
    }

    /// Ends the stream of `session`: tells its client why, then disconnects it.
    /// [`ControlSessions::disconnected`] is not called for it.
    pub fn terminate(&self, session: SessionKey, reason: u32) {
        self.0.push(session, Order::Terminate(reason));
    }

    /// Disconnects the client of `session` without a word, which it shows as an error. For one that was told already, or
    /// that is not there any more. [`ControlSessions::disconnected`] is not called for it.
    pub fn close(&self, session: SessionKey) {
        self.0.push(session, Order::Close);
    }
}

impl Shared {
    fn push(&self, session: SessionKey, order: Order) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let first = orders.is_empty();
        let taken = orders.push(session, order);
        drop(orders);
        if !taken {
            tracing::debug!(session = session.0, "too much feedback waits; this message is dropped");
        }
        if first {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the control thread cannot be woken");
        }
    }

    fn pop(&self) -> Option<(SessionKey, Order)> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn stopping(&self) -> bool {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).stop
    }
}

const DATAGRAMS: Token = Token(0);
const ORDERS: Token = Token(1);
