//! The gate of punktfunk1.md §2.4: who gets a session, who is shown to the operator, who is sent away.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use punktfunk_core::{CloseCode, Fingerprint, Grants};
use punktfunk_hub::pairing::Decision;
use punktfunk_hub::trust::TrustState;
use punktfunk_hub::{Hub, PairingPolicy};
use punktfunk_media::reason;

use crate::refusal::{Refusal, Stop};

/// What a client may do, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Access {
    pub grants: Grants,
    /// `None`: permanent.
    pub expires_in: Option<Duration>,
    /// It comes from the trust store, so that changes there apply to it.
    pub trusted: bool,
}

impl Access {
    /// For the wire: whole seconds, 0 = permanent, and never 0 for an access that ends.
    pub fn expires_in_secs(&self) -> u32 {
        self.expires_in.map_or(0, |left| u32::try_from(left.as_secs()).unwrap_or(u32::MAX).max(1))
    }

    const OPEN: Self = Self { grants: Grants::ALL, expires_in: None, trusted: false };
}

/// Lets a client through, maybe after the operator's approval.
///
/// # Errors
/// The refusal to close with, or that the client left while it was parked.
pub(crate) async fn pass(
    hub: &Hub,
    connection: &quinn::Connection,
    fingerprint: Option<Fingerprint>,
    name: &str,
    source: IpAddr,
) -> Result<Access, Stop> {
    let open = hub.policy().pairing == PairingPolicy::Open;
    let Some(fingerprint) = fingerprint else {
        if open {
            return Ok(Access::OPEN);
        }
        return Err(Refusal::new(CloseCode::IDENTITY_REQUIRED, &reason::ACCESS_IDENTITY_REQUIRED).into());
    };
    if let Some(access) = stored(hub, &fingerprint) {
        return Ok(access);
    }
    if open {
        return Ok(Access::OPEN);
    }
    knock(hub, connection, fingerprint, name, source).await
}

/// What the trust store says now; `None` if the client is unknown or its access has ended.
pub(crate) fn stored(hub: &Hub, fingerprint: &Fingerprint) -> Option<Access> {
    match hub.trust().state(fingerprint, SystemTime::now()) {
        TrustState::Paired { grants, expires_in } => Some(Access { grants, expires_in, trusted: true }),
        TrustState::Expired | TrustState::Unknown => None,
    }
}

/// Parks the connection until the operator decides. The client sees nothing meanwhile; keep-alives hold it.
async fn knock(
    hub: &Hub,
    connection: &quinn::Connection,
    fingerprint: Fingerprint,
    name: &str,
    source: IpAddr,
) -> Result<Access, Stop> {
    let Ok(mut knock) = hub.pairing().knock(&fingerprint, name, source) else {
        return Err(Refusal::new(CloseCode::PAIRING_RATE_LIMITED, &reason::PAIRING_RATE_LIMITED).into());
    };
    tracing::info!(%source, id = %punktfunk_hub::trust::short_id(&fingerprint), "a device waits for approval");
    let decision = tokio::select! {
        decision = knock.decided() => decision,
        _ = connection.closed() => return Err(Stop::Gone),
    };
    let refusal = match decision {
        // The store knows how long the approval lasts.
        Decision::Approved(grants) => {
            let access = Access { grants, expires_in: None, trusted: true };
            return Ok(stored(hub, &fingerprint).unwrap_or(access));
        }
        Decision::Denied => Refusal::new(CloseCode::DENIED, &reason::ACCESS_DENIED),
        Decision::TimedOut => Refusal::new(CloseCode::APPROVAL_TIMEOUT, &reason::PAIRING_TIMED_OUT),
        Decision::Superseded => Refusal::new(CloseCode::SUPERSEDED, &reason::ACCESS_SUPERSEDED),
    };
    Err(refusal.into())
}
