//! What happens, as it happens: server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Sse, KeepAlive, Sse as Response};
use futures_core::Stream;
use punktfunk_hub::events::{Event, Resumed};
use punktfunk_media::reason;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::Query;
use crate::access::{Class, Credential};
use crate::{MgmtState, Problem};

/// Which events.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Beginnings of kinds, separated by commas, e.g. `session.,pairing.knock`.
    #[serde(default)]
    kinds: Option<String>,
}

/// Events as they happen
///
/// `text/event-stream`: the event's kind is its name, its fields are JSON. With `Last-Event-ID` the stream goes on where an
/// earlier one ended; an event `gap` says that some are gone for good. The stream ends when the credential does.
#[utoipa::path(
    get, path = "/api/v1/events", operation_id = "events", tag = "events",
    params(
        ("kinds" = Option<String>, Query, description = "Beginnings of kinds, separated by commas", example = "session.,pairing.knock"),
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event that was seen"),
    ),
    responses((status = 200, description = "The stream", content_type = "text/event-stream", body = String))
)]
pub(super) async fn stream(
    State(state): State<MgmtState>,
    Extension(credential): Extension<Credential>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response<impl Stream<Item = Result<Sse, Infallible>>>, Problem> {
    let place = state.streams.enter(&credential).ok_or_else(|| Problem::new(&reason::API_TOO_MANY_STREAMS))?;
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|id| seen(&state, id));
    let events = state.hub.events();
    let resumed = match last {
        Some(last) => events.resume(last),
        None => {
            Resumed { missed: Vec::new(), gap: headers.contains_key("last-event-id"), receiver: events.subscribe() }
        }
    };
    let (sender, receiver) = mpsc::channel(DEPTH);
    tokio::spawn(async move {
        forward(&state, &credential, &wanted, resumed, &sender).await;
        drop(place);
    });
    Ok(Response::new(Receiver(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The number in an id that this run of the host gave out.
fn seen(state: &MgmtState, id: &str) -> Option<u64> {
    let (run, seq) = id.split_once('-')?;
    (run == format!("{:08x}", state.run)).then(|| seq.parse().ok())?
}

async fn forward(
    state: &MgmtState,
    credential: &Credential,
    wanted: &Wanted,
    resumed: Resumed,
    to: &mpsc::Sender<Result<Sse, Infallible>>,
) {
    let Resumed { missed, gap, mut receiver } = resumed;
    let (mut access, mut trust) = (state.access.watch(), state.hub.trust().watch());
    let fits = |event: &Event| wanted.fits(kind(event).as_deref().unwrap_or_default());
    if gap && to.send(Ok(Sse::default().event("gap").data("{}"))).await.is_err() {
        return;
    }
    for event in missed.iter().filter(|e| fits(e)) {
        if to.send(Ok(written(state, event))).await.is_err() {
            return;
        }
    }
    loop {
        let next = tokio::select! {
            next = receiver.recv() => next,
            _ = access.changed() => { if state.access.still_opens(credential, Class::Inspect) { continue } else { return } }
            _ = trust.changed() => { if state.access.still_opens(credential, Class::Inspect) { continue } else { return } }
            // A token's or a session's time may be over.
            () = tokio::time::sleep(KEEP_ALIVE) => { if state.access.still_opens(credential, Class::Inspect) { continue } else { return } }
            () = to.closed() => return,
        };
        let event = match next {
            Ok(event) if fits(&event) => written(state, &event),
            Ok(_) => continue,
            Err(RecvError::Lagged(_)) => Sse::default().event("gap").data("{}"),
            Err(RecvError::Closed) => return,
        };
        if to.send(Ok(event)).await.is_err() {
            return;
        }
    }
}

impl Wanted {
    fn fits(&self, kind: &str) -> bool {
        self.kinds.as_deref().is_none_or(|kinds| kinds.split(',').any(|k| kind.starts_with(k.trim())))
    }
}

fn kind(event: &Event) -> Option<String> {
    serde_json::to_value(&event.kind).ok()?.get("kind")?.as_str().map(str::to_owned)
}

fn written(state: &MgmtState, event: &Event) -> Sse {
    let id = format!("{:08x}-{}", state.run, event.seq);
    let data = serde_json::to_string(event).unwrap_or_default();
    Sse::default().id(id).event(kind(event).unwrap_or_default()).data(data)
}

/// The stream's end of a channel.
struct Receiver(mpsc::Receiver<Result<Sse, Infallible>>);

impl Stream for Receiver {
    type Item = Result<Sse, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// What waits for a slow reader; beyond that the hub's own 256 wait, then some are lost and a `gap` says so.
const DEPTH: usize = 16;
/// Middle boxes drop idle connections after a minute or so.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
