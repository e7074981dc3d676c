//! The PIN ceremony of punktfunk1.md §2.5, host side: one connection, one attempt.
//!
//! ```text
//! PairRequest ─► gate (0x63, 0x60, 0x61, 0x62) ─► SPAKE2 answer ─► the window is spent ─► PairChallenge
//!   ─► PairProof ─► saved ─► PairResult ─► the client closes        stream ended instead: a wrong PIN, or second thoughts
//! ```

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_core::pairing::{CeremonyError, HostCeremony, PairMessage, RANDOM_BYTES};
use punktfunk_core::{CloseCode, Fingerprint, Grants};
use punktfunk_hub::Hub;
use punktfunk_hub::pairing::PairRefusal;
use punktfunk_hub::trust::ClientRecord;
use punktfunk_media::reason;
use punktfunk_net::identity::random_bytes;
use tokio::time::timeout;

use crate::limits::Pending;
use crate::plane::blocking;
use crate::refusal::{Refusal, Stop};
use crate::stream::{ControlReader, ControlWriter};

/// Who pairs with whom.
pub(crate) struct Parties {
    pub hub: Arc<Hub>,
    pub connection: quinn::Connection,
    /// `None`: it showed no certificate.
    pub client: Option<Fingerprint>,
    pub host: Fingerprint,
    pub source: IpAddr,
}

/// Runs the ceremony that `request` begins. `Ok` = it came to its end, whatever the result; the connection may close.
pub(crate) async fn ceremony(
    parties: &Parties,
    request: PairMessage,
    pending: Pending,
    reader: &mut ControlReader,
    writer: &mut ControlWriter,
) -> Result<(), Stop> {
    let Parties { hub, connection, host, source, .. } = parties;
    let PairMessage::Request { name, spake_a, .. } = request else {
        return Err(Refusal::setup(&reason::NATIVE_HANDSHAKE_INVALID, "a pairing begins with PairRequest").into());
    };
    let Some(client) = parties.client else {
        return Err(Refusal::new(CloseCode::IDENTITY_REQUIRED, &reason::ACCESS_IDENTITY_REQUIRED).into());
    };
    let attempt = hub.pairing().begin(&client, *source, Instant::now()).map_err(refused)?;
    let mut random = [0; RANDOM_BYTES];
    random_bytes(&mut random).map_err(|e| Refusal::setup(&reason::HOST_NO_RANDOMNESS, e.to_string()))?;
    // A malformed message leaves the window as it was: `attempt` is dropped unspent.
    let ceremony = HostCeremony::respond(attempt.pin(), &client, host, &spake_a, random)
        .map_err(|e| Refusal::setup(&reason::NATIVE_HANDSHAKE_INVALID, e.to_string()))?;
    attempt.consume().map_err(refused)?;
    // The window is spent: whoever comes now is judged by it, not by our place among the pending.
    drop(pending);
    tracing::info!(%source, client = %client, "pairing attempt");
    writer
        .send(|out| {
            let (spake_b, confirm) = (ceremony.message().to_vec(), ceremony.confirm());
            PairMessage::Challenge { spake_b, confirm }.encode(out);
        })
        .await?;

    let outcome = match next_proof(reader).await {
        Ok(confirm) => ceremony.verify(&confirm),
        Err(stop) => {
            hub.pairing().finished(&client, &name, false);
            tracing::warn!(code = reason::PAIRING_WRONG_PIN.code, %source, "the client ended the pairing");
            // Old clients read the host's close within 300 ms of a wrong PIN as "setup failed" (§10.4 row 1).
            let _ = timeout(WRONG_PIN_SILENCE, connection.closed()).await;
            return Err(stop);
        }
    };
    let ok = match outcome {
        Ok(()) => save(hub, client, name.clone()).await,
        Err(CeremonyError::WrongPin | CeremonyError::Malformed) => {
            tracing::warn!(code = reason::PAIRING_WRONG_PIN.code, %source, "{}", reason::PAIRING_WRONG_PIN.sentence);
            false
        }
    };
    hub.pairing().finished(&client, &name, ok);
    writer.send(|out| PairMessage::Result { ok }.encode(out)).await?;
    writer.finish();
    let _ = timeout(GOODBYE, connection.closed()).await;
    Ok(())
}

/// The client's proof, or why there is none: the stream ended, the time is up, or something else came.
async fn next_proof(reader: &mut ControlReader) -> Result<[u8; 32], Stop> {
    match PairMessage::decode(reader.next_within(STEP).await?) {
        Ok(PairMessage::Proof { confirm }) => Ok(confirm),
        Ok(_) | Err(_) => Err(Refusal::setup(&reason::NATIVE_HANDSHAKE_INVALID, "a PairProof was due").into()),
    }
}

/// Writes the record down; a pairing that cannot be kept is none.
async fn save(hub: &Arc<Hub>, client: Fingerprint, name: String) -> bool {
    let hub = Arc::clone(hub);
    let record = ClientRecord::new(client, name, Grants::ALL);
    match blocking(move || hub.trust().add(record)).await {
        Ok(Ok(())) => {
            tracing::info!(%client, "paired");
            true
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the pairing could not be saved");
            false
        }
        Err(panic) => {
            tracing::error!(%panic, "saving the pairing failed");
            false
        }
    }
}

fn refused(refusal: PairRefusal) -> Refusal {
    let code = match refusal {
        PairRefusal::NotArmed => CloseCode::PAIRING_NOT_ARMED,
        PairRefusal::BoundToOther => CloseCode::PAIRING_BOUND,
        PairRefusal::RateLimited => CloseCode::PAIRING_RATE_LIMITED,
    };
    Refusal::new(code, refusal.reason())
}

/// §2.5: each step of the ceremony.
const STEP: Duration = Duration::from_secs(60);
/// §2.5: how long the client's close is waited for.
const GOODBYE: Duration = Duration::from_secs(5);
/// §10.4 row 1 says at least 300 ms.
const WRONG_PIN_SILENCE: Duration = Duration::from_millis(500);
