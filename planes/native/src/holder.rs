//! What admission knows of a session: how long its peer has been silent, and how to ask it to leave.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_hub::admission::{Eviction, Holder};
use tokio::sync::watch;

/// Shared between the hub and the connection's task.
pub(crate) struct SessionHolder {
    connection: quinn::Connection,
    heard: Mutex<Heard>,
    evicted: watch::Sender<Option<Eviction>>,
}

/// When the peer's datagrams were last seen to rise.
#[derive(Debug)]
struct Heard {
    datagrams: u64,
    at: Instant,
}

impl SessionHolder {
    pub fn new(connection: quinn::Connection) -> Arc<Self> {
        let heard = Heard { datagrams: connection.stats().udp_rx.datagrams, at: Instant::now() };
        Arc::new(Self { connection, heard: Mutex::new(heard), evicted: watch::Sender::new(None) })
    }

    /// Looks whether the peer was heard. Call often; a peer that has been quiet for a moment is sent something that it
    /// must acknowledge, so that silence means that nobody is there.
    pub fn look(&self) {
        if self.silence() >= ASK_AFTER {
            // One byte with a tag that nobody assigned: every client drops it (§4.1), and QUIC acknowledges it.
            let _ = self.connection.send_datagram(bytes::Bytes::from_static(&[0]));
        }
    }

    /// Waits until the hub wants the slot back. Cancel-safe.
    pub async fn evicted(&self) -> Eviction {
        let mut receiver = self.evicted.subscribe();
        loop {
            if let Some(why) = *receiver.borrow_and_update() {
                return why;
            }
            if receiver.changed().await.is_err() {
                // The sender lives in `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    fn silence(&self) -> Duration {
        let datagrams = self.connection.stats().udp_rx.datagrams;
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.datagrams != datagrams {
            *heard = Heard { datagrams, at: Instant::now() };
        }
        heard.at.elapsed()
    }
}

impl Holder for SessionHolder {
    fn silent_for(&self) -> Duration {
        self.silence()
    }

    fn evict(&self, why: Eviction) {
        self.evicted.send_replace(Some(why));
    }
}

/// A live client's QUIC stack acknowledges within its round trip plus 25 ms; admission takes a slot after 1.5 s.
const ASK_AFTER: Duration = Duration::from_millis(500);
