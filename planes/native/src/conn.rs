//! One connection, from its first packet to its close.
//!
//! ```text
//! Arrival ─► handshake (10 s) ─► control stream (10 s) ─► first message (10 s) ─┬─ PairRequest ─► pairing::ceremony
//!                                                                               └─ Hello ─► setup::prepare ─► session::run
//! ```

use std::sync::Arc;
use std::time::Duration;

use punktfunk_core::framing::{MAGIC_CONTROL, MAGIC_HANDSHAKE};
use punktfunk_core::handshake::Hello;
use punktfunk_core::pairing::PairMessage;
use punktfunk_media::reason;
use punktfunk_net::quic::{Arrival, Handshaken};
use tokio::time::timeout;
use tracing::Instrument;

use crate::limits::Pending;
use crate::pairing::{self, Parties};
use crate::plane::Shared;
use crate::refusal::{Refusal, Stop};
use crate::stream::{ControlReader, ControlWriter, timed_out};
use crate::{session, setup};

/// Serves one client. Never fails: whatever happens ends this connection and nothing else.
pub(crate) async fn serve(shared: Arc<Shared>, arrival: Arrival, pending: Pending) {
    let remote = arrival.remote();
    let client = match timeout(HANDSHAKE, arrival.handshake()).await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) if error.client_too_new() => {
            let reason = &reason::NATIVE_CLIENT_TOO_NEW;
            tracing::warn!(%remote, code = reason.code, fix = reason.fix, "{}", reason.sentence);
            return;
        }
        Ok(Err(error)) => {
            let offered: Vec<_> = error.offered.iter().map(|name| String::from_utf8_lossy(name)).collect();
            tracing::info!(%remote, ?offered, %error, "handshake failed");
            return;
        }
        Err(_) => {
            tracing::info!(%remote, "handshake took too long");
            return;
        }
    };
    let span = tracing::info_span!("client", %remote, session = tracing::field::Empty);
    let connection = client.connection.clone();
    let stop = converse(&shared, client, pending).instrument(span.clone()).await;
    let _entered = span.enter();
    match stop {
        Stop::Refuse(refusal) => {
            tracing::info!(code = refusal.reason_code(), close = %refusal.code, "{refusal}");
            refusal.close(&connection);
        }
        Stop::Gone => {
            tracing::info!(why = connection.close_reason().map(|e| e.to_string()), "the client left");
            // In case only its stream ended.
            connection.close(0u32.into(), b"done");
        }
    }
}

async fn converse(shared: &Arc<Shared>, client: Handshaken, pending: Pending) -> Stop {
    let (mut reader, mut writer, first) = match first_message(shared, &client).await {
        Ok(first) => first,
        Err(stop) => return stop,
    };
    match first {
        First::Pair(request) => {
            let parties = Parties {
                hub: Arc::clone(&shared.hub),
                connection: client.connection.clone(),
                client: client.fingerprint,
                host: shared.identity.fingerprint(),
                source: client.remote.ip(),
            };
            tokio::select! {
                outcome = pairing::ceremony(&parties, request, pending, &mut reader, &mut writer) => match outcome {
                    Ok(()) => {
                        client.connection.close(0u32.into(), b"pairing done");
                        Stop::Gone
                    }
                    Err(stop) => stop,
                },
                () = shared.stopping() => session::host_stops().into(),
            }
        }
        First::Hello(hello) => match setup::prepare(shared, &client, hello, pending, &mut reader, &mut writer).await {
            Ok(prepared) => session::run(shared, &client, prepared, &mut reader, &mut writer).await,
            Err(stop) => stop,
        },
    }
}

/// What a connection is for.
enum First {
    Pair(PairMessage),
    Hello(Hello),
}

async fn first_message(shared: &Shared, client: &Handshaken) -> Result<(ControlReader, ControlWriter, First), Stop> {
    let connection = &client.connection;
    let (send, recv) = tokio::select! {
        stream = timeout(CONTROL_STREAM, connection.accept_bi()) => match stream {
            Ok(Ok(stream)) => stream,
            // A client that only looked whether we are there.
            Ok(Err(_)) => return Err(Stop::Gone),
            Err(_) => return Err(timed_out("no control stream was opened").into()),
        },
        () = shared.stopping() => return Err(session::host_stops().into()),
    };
    let (mut reader, writer) = (ControlReader::new(recv), ControlWriter::new(send));
    let payload = reader.next_within(FIRST_MESSAGE).await?;
    let first = judge_first(payload)?;
    Ok((reader, writer, first))
}

fn judge_first(payload: &[u8]) -> Result<First, Refusal> {
    let invalid = |detail: String| Refusal::setup(&reason::NATIVE_HANDSHAKE_INVALID, detail);
    if payload.starts_with(&MAGIC_CONTROL) {
        return PairMessage::decode(payload).map(First::Pair).map_err(|e| invalid(format!("first message: {e}")));
    }
    if payload.starts_with(&MAGIC_HANDSHAKE) {
        return Hello::decode(payload).map(First::Hello).map_err(|e| invalid(format!("Hello: {e}")));
    }
    Err(invalid("the first message is neither Hello nor PairRequest".into()))
}

/// A round trip or two of any path, and a slow client's cryptography.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// §3.2.
const CONTROL_STREAM: Duration = Duration::from_secs(10);
/// §3.2.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);
