//! From a request to its answer.

use punktfunk_media::reason::GAMESTREAM_HANDSHAKE_INVALID;

use crate::door::{Refusal, RtspOffer, RtspSessions, SessionKey};
use crate::wire::rtsp::{Method, Request, Response};
use crate::wire::sdp;

/// The bytes that answer `bytes`, one whole request of `session`. `None` if that was no request at all.
pub(super) async fn answer(bytes: &[u8], session: SessionKey, sessions: &dyn RtspSessions) -> Option<Vec<u8>> {
    let request = match Request::parse(bytes) {
        Ok(request) => request,
        Err(error) => {
            tracing::warn!(session = session.0, %error, code = GAMESTREAM_HANDSHAKE_INVALID.code, "not an RTSP request");
            return None;
        }
    };
    let response = match handle(&request, session, sessions).await {
        Ok(response) => response,
        Err(Refusal { status, message }) => {
            // Clients show the number; the sentence is for the log.
            tracing::warn!(session = session.0, status, method = ?request.method, "RTSP refused: {message}");
            Response::new(status, request.cseq)
        }
    };
    Some(response.to_bytes())
}

async fn handle<'a>(
    request: &Request<'a>,
    session: SessionKey,
    sessions: &dyn RtspSessions,
) -> Result<Response<'a>, Refusal> {
    let mut response = Response::new(200, request.cseq);
    match request.method {
        Method::Options => {}
        Method::Describe => response.body = sdp::describe(&sessions.describe(session)?),
        Method::Setup => response.headers = setup(request.target, &sessions.describe(session)?)?,
        Method::Announce => {
            let announce = sdp::announce(request.body, !request.wants_low_audio());
            let announce = announce.map_err(|error| invalid(400, &format!("ANNOUNCE: {error}")))?;
            sessions.announce(session, announce).await?;
        }
        Method::Play => sessions.play(session).await?,
        Method::Other(_) => return Err(invalid(501, "this method is not known")),
    }
    Ok(response)
}

fn setup(target: &str, offer: &RtspOffer) -> Result<Vec<(&'static str, String)>, Refusal> {
    // `streamid=audio/0/0`; what follows the kind of stream differs between clients.
    let kind = target.strip_prefix("streamid=").and_then(|rest| rest.split('/').next());
    let ping = ("X-SS-Ping-Payload", String::from_utf8_lossy(&offer.ping).into_owned());
    let (port, extra) = match kind {
        Some("audio") => (offer.audio_port, ping),
        Some("video") => (offer.video_port, ping),
        Some("control") => (offer.control_port, ("X-SS-Connect-Data", offer.connect_data.to_string())),
        _ => return Err(invalid(404, "SETUP: no such stream")),
    };
    let session = format!("{};timeout = 90", offer.token);
    Ok(vec![("Session", session), ("Transport", format!("server_port={port}")), extra])
}

fn invalid(status: u16, detail: &str) -> Refusal {
    let reason = &GAMESTREAM_HANDSHAKE_INVALID;
    Refusal { status, message: format!("{reason} ({detail}) {}", reason.fix) }
}
