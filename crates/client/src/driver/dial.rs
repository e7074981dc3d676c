//! Dialling: every address of the host, again while it is silent, within a budget.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_core::{CloseCode, Fingerprint};
use punktfunk_net::Identity;
use punktfunk_net::quic::{self, DialError, DialOptions, EndpointError};

use crate::target::Target;

/// How long to try.
#[derive(Clone, Copy, Debug)]
pub struct DialBudget {
    /// One attempt at one address.
    pub attempt: Duration,
    /// All attempts together.
    pub total: Duration,
}

impl Default for DialBudget {
    /// punktfunk1.md §8.1.
    fn default() -> Self {
        Self { attempt: Duration::from_secs(3), total: Duration::from_secs(10) }
    }
}

/// Our side of connections: an identity, and one socket per address family, made when first needed and then reused.
#[derive(Debug)]
pub struct Dialer {
    identity: Arc<Identity>,
    v4: Option<quinn::Endpoint>,
    v6: Option<quinn::Endpoint>,
}

/// A connection to a host, before anything was said on it.
#[derive(Clone, Debug)]
pub struct Link {
    /// The QUIC connection.
    pub connection: quinn::Connection,
    /// The host's identity, as seen in this handshake.
    pub host: Fingerprint,
    /// The address that answered.
    pub address: SocketAddr,
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum DialFailed {
    /// The name does not resolve.
    #[error("cannot find {0}: {1}")]
    Resolve(Target, std::io::Error),
    /// No local socket.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// What the last attempt said.
    #[error("{0}: {1}")]
    Dial(SocketAddr, DialError),
}

impl Dialer {
    /// A dialler that shows `identity`.
    #[must_use]
    pub fn new(identity: Arc<Identity>) -> Self {
        Self { identity, v4: None, v6: None }
    }

    /// The identity it shows.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Connects; `pin` is the host's fingerprint if it is known. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// [`DialFailed`]. A host that shows another identity than the pin, or speaks no protocol of ours, ends the attempts.
    pub async fn dial(
        &mut self,
        target: &Target,
        pin: Option<Fingerprint>,
        budget: DialBudget,
    ) -> Result<Link, DialFailed> {
        let addresses = target.resolve().await.map_err(|e| DialFailed::Resolve(target.clone(), e))?;
        let deadline = Instant::now() + budget.total;
        loop {
            let mut last = None;
            for address in &addresses {
                let left = deadline.saturating_duration_since(Instant::now());
                match self.attempt(*address, pin, budget.attempt.min(left)).await? {
                    Ok(link) => return Ok(link),
                    Err(error @ (DialError::OtherHost { .. } | DialError::NoCommonProtocol | DialError::Setup(_))) => {
                        return Err(DialFailed::Dial(*address, error));
                    }
                    Err(error) => last = Some((*address, error)),
                }
            }
            if let Some((address, error)) = last
                && Instant::now() >= deadline
            {
                return Err(DialFailed::Dial(address, error));
            }
            // A host that refuses at once is asked again, but not in a busy loop.
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn attempt(
        &mut self,
        address: SocketAddr,
        pin: Option<Fingerprint>,
        within: Duration,
    ) -> Result<Result<Link, DialError>, EndpointError> {
        let slot = if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        let endpoint = match slot {
            Some(endpoint) => endpoint,
            None => slot.insert(quic::client_endpoint(quic::unspecified_for(address))?),
        };
        let dialing = quic::dial(endpoint, address, DialOptions::new(Some(&self.identity), pin));
        Ok(match tokio::time::timeout(within, dialing).await {
            Ok(Ok(dialed)) => Ok(Link { connection: dialed.connection, host: dialed.host, address }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(DialError::NoAnswer),
        })
    }

    /// Waits, a second at most, until every close has been told to its host. Close connections first.
    pub async fn settle(&self) {
        for endpoint in [&self.v4, &self.v6].into_iter().flatten() {
            // A host that does not acknowledge the close will notice by its own idle timer.
            let _ = tokio::time::timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
        }
    }
}

/// Ends a connection with a code of the protocol.
pub(crate) fn close(connection: &quinn::Connection, code: CloseCode, reason: &str) {
    connection.close(quinn::VarInt::from_u32(code.0), CloseCode::reason_text(reason).as_bytes());
}

const PAUSE: Duration = Duration::from_millis(100);
