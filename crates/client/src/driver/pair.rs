//! The PIN ceremony from the client's side (punktfunk1.md §2.5).

use std::time::Duration;

use punktfunk_core::framing::{FrameReader, frame_with};
use punktfunk_core::pairing::{CeremonyError, ClientCeremony, PairMessage, RANDOM_BYTES};
use punktfunk_core::{CloseCode, DecodeError};
use punktfunk_net::Identity;
use punktfunk_net::identity::{GenerateError, random_bytes};

use super::dial::{Link, close};
use super::shared::{Frames, ReadFailed};
use crate::end::End;

/// Why pairing failed.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The host ended the connection.
    #[error("{0}")]
    Ended(End),
    /// The host's proof does not match: wrong PIN, or somebody sits in between.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// The host does not accept our proof, or could not save the pairing.
    #[error("the host did not accept the pairing")]
    NotAccepted,
    /// The host sent something else.
    #[error("the host's answer cannot be used: {0}")]
    Answer(DecodeError),
    /// A step took longer than hosts may take.
    #[error("the host does not answer")]
    TimedOut,
    /// No randomness.
    #[error(transparent)]
    Random(#[from] GenerateError),
}

/// Pairs over a fresh link and closes it. Afterwards the host knows `identity`, and the caller pins `link.host`.
///
/// # Errors
/// [`PairError`].
pub async fn pair(link: &Link, identity: &Identity, name: &str, pin: &str) -> Result<(), PairError> {
    let outcome = ceremony(link, identity, name, pin).await;
    let code = if outcome.is_ok() { CloseCode::DONE } else { CloseCode::ERROR };
    close(&link.connection, code, "pair done");
    outcome
}

async fn ceremony(link: &Link, identity: &Identity, name: &str, pin: &str) -> Result<(), PairError> {
    let ended = |error: &quinn::ConnectionError| PairError::Ended(End::of(error));
    let (mut send, recv) = link.connection.open_bi().await.map_err(|e| ended(&e))?;
    let mut frames = Frames { recv, reader: FrameReader::new() };

    let mut random = [0; RANDOM_BYTES];
    random_bytes(&mut random)?;
    let ceremony = ClientCeremony::start(pin, &identity.fingerprint(), &link.host, random);
    let request =
        PairMessage::Request { name: name.to_owned(), spake_a: ceremony.message().to_vec(), device_key: None };
    write(&mut send, &request).await;

    let PairMessage::Challenge { spake_b, confirm } = answer(link, &mut frames).await? else {
        return Err(PairError::Answer(DecodeError::Invalid("not a challenge")));
    };
    let pending = ceremony.confirm(&spake_b, &confirm)?;
    write(&mut send, &PairMessage::Proof { confirm: pending.proof() }).await;
    match answer(link, &mut frames).await? {
        PairMessage::Result { ok: true } => Ok(()),
        PairMessage::Result { ok: false } => Err(PairError::NotAccepted),
        _ => Err(PairError::Answer(DecodeError::Invalid("not a result"))),
    }
}

/// A failed write shows as the connection's end in the read that follows, with the host's reason.
async fn write(send: &mut quinn::SendStream, message: &PairMessage) {
    let mut bytes = Vec::new();
    if frame_with(&mut bytes, |b| message.encode(b)).is_ok() {
        let _ = send.write_all(&bytes).await;
    }
}

async fn answer(link: &Link, frames: &mut Frames) -> Result<PairMessage, PairError> {
    match tokio::time::timeout(STEP, frames.next()).await {
        Err(_) => Err(PairError::TimedOut),
        Ok(Ok(payload)) => PairMessage::decode(&payload).map_err(PairError::Answer),
        Ok(Err(ReadFailed)) => match tokio::time::timeout(CLOSE_GRACE, link.connection.closed()).await {
            Ok(error) => Err(PairError::Ended(End::of(&error))),
            Err(_) => Err(PairError::NotAccepted),
        },
    }
}

/// §8.1: each step on the host times out after 60 s.
const STEP: Duration = Duration::from_secs(65);
/// §8.1: a stream may end before the close that says why.
pub(super) const CLOSE_GRACE: Duration = Duration::from_millis(300);
