//! What the doors ask, answered from the table and by the sessions' tasks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use punktfunk_core::{Fingerprint, Grants};
use punktfunk_hub::catalogue::App;
use punktfunk_hub::trust::TrustState;
use punktfunk_media::reason;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::actor;
use super::live::{Ask, Live, Phase};
use super::paused::Paused;
use crate::door::{
    Announce, Boxed, ControlBinding, ControlSessions, LaunchRequest, Refusal, RtspCandidate, RtspOffer, RtspSessions,
    SessionKey, SessionUrl, Sessions,
};
use crate::plane::Shared;
use crate::wire::control::ClientMessage;

/// All three seams over the plane's table.
pub(crate) struct Doors(pub Arc<Shared>);

impl Doors {
    /// What the client left, if its display is still kept.
    fn paused(&self, client: &Fingerprint) -> Option<Paused> {
        let paused = self.0.table.paused(client)?;
        let identity = client.to_string();
        if self.0.displays.kept().iter().any(|(who, _)| *who == identity) {
            return Some(paused);
        }
        self.0.table.forget(client);
        None
    }

    /// Starts a session's task and waits until its launch is decided.
    async fn start(&self, client: Fingerprint, app: u32, request: LaunchRequest) -> Result<SessionUrl, Refusal> {
        let shared = &self.0;
        let name = punktfunk_hub::sanitise_name(&self.name_of(&client, &request), &client);
        let (sealed, local) = (request.core_version >= 1, request.local);
        let resumed = self.current_app(&client) == Some(app);
        let (live, inbox) = Live::new(shared.table.new_key(), client, name, app, resumed, request);
        let live = Arc::new(live);
        shared.table.insert(Arc::clone(&live));
        let (answer, answered) = oneshot::channel();
        let span = tracing::info_span!("gamestream", client = %live.name, session = tracing::field::Empty);
        shared.spawn(actor::run(Arc::clone(shared), live, inbox, answer).instrument(span));
        match answered.await {
            Ok(Ok(())) => Ok(SessionUrl { sealed, address: SocketAddr::new(local, shared.rtsp_port()) }),
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => Err(Refusal::of(503, &reason::INTERNAL_PANIC)),
        }
    }

    /// The name that the operator knows, else what the client calls itself.
    fn name_of(&self, client: &Fingerprint, request: &LaunchRequest) -> String {
        let known = self.0.hub.trust().list().into_iter().find(|c| c.fingerprint == *client);
        known.map_or_else(|| request.device_name.clone(), |c| c.name)
    }

    /// The session that a control stream belongs to; none before ANNOUNCE, which says how it is sealed.
    fn expected(&self, data: u32, peer: IpAddr) -> Option<Arc<Live>> {
        let live = self.0.table.by_connect_data(data, peer.to_canonical())?;
        matches!(live.phase(), Phase::Announced | Phase::Streaming).then_some(live)
    }

    /// Whether this client may start something from where it is.
    fn admit(&self, client: &Fingerprint, request: &LaunchRequest) -> Result<(), Refusal> {
        let now = SystemTime::now();
        let TrustState::Paired { grants, .. } = self.0.hub.trust().state(client, now) else {
            return Err(Refusal::of(401, &reason::ACCESS_REVOKED));
        };
        let desktop = App::desktop().number();
        if !grants.contains(Grants::LAUNCH) && request.app.is_some_and(|app| app != desktop) {
            return Err(Refusal::of(403, &reason::GAMESTREAM_LAUNCH_DENIED));
        }
        if self.0.config.networks.allows(request.peer) {
            return Ok(());
        }
        tracing::warn!(code = reason::GAMESTREAM_NETWORK_REFUSED.code, peer = %request.peer, "refused");
        Err(Refusal::of(403, &reason::GAMESTREAM_NETWORK_REFUSED))
    }
}

impl Sessions for Doors {
    fn current_app(&self, client: &Fingerprint) -> Option<u32> {
        let live = self.0.table.of_client(client).map(|live| live.app);
        live.or_else(|| self.paused(client).map(|paused| paused.app))
    }

    fn launch<'a>(&'a self, client: &'a Fingerprint, request: LaunchRequest) -> Boxed<'a, Result<SessionUrl, Refusal>> {
        Box::pin(async move {
            self.admit(client, &request)?;
            let app = request.app.ok_or(Refusal::of(400, &reason::GAMESTREAM_NO_SUCH_APP))?;
            if self.0.apps.catalogue().by_number(app).is_none() {
                return Err(Refusal::of(404, &reason::GAMESTREAM_NO_SUCH_APP));
            }
            // A client that lost track of its own session gets a new one; another program takes the old one's place.
            if self.current_app(client).is_some_and(|running| running != app) {
                self.cancel(client).await;
            }
            self.start(*client, app, request).await
        })
    }

    fn resume<'a>(
        &'a self,
        client: &'a Fingerprint,
        mut request: LaunchRequest,
    ) -> Boxed<'a, Result<SessionUrl, Refusal>> {
        Box::pin(async move {
            self.admit(client, &request)?;
            let before = match self.0.table.of_client(client) {
                Some(live) => Paused { app: live.app, request: live.request.clone() },
                None => self.paused(client).ok_or(Refusal::of(503, &reason::GAMESTREAM_NOTHING_TO_RESUME))?,
            };
            // Old clients say no more than their new key.
            request.mode = request.mode.or(before.request.mode);
            self.start(*client, before.app, request).await
        })
    }

    fn cancel<'a>(&'a self, client: &'a Fingerprint) -> Boxed<'a, bool> {
        Box::pin(async move {
            // One after the other, in case a newer session of the client is about to replace an older one.
            while let Some(live) = self.0.table.of_client(client) {
                let (done, gone) = oneshot::channel();
                live.ask(Ask::Cancel(done));
                // An error means that the task ended meanwhile; it removes itself first.
                let _ = gone.await;
                if self.0.table.get(live.key).is_some() {
                    // Its inbox is full or its task died: nothing that waiting would change.
                    self.0.table.remove(live.key);
                }
            }
            if self.0.table.forget(client).is_some() {
                let (shared, identity) = (Arc::clone(&self.0), client.to_string());
                let ended = crate::plane::blocking(move || {
                    shared.apps.end(&identity);
                    shared.displays.forget(&identity);
                });
                if let Err(panic) = ended.await {
                    tracing::error!(%panic, "ending a program failed");
                }
            }
            true
        })
    }
}

impl RtspSessions for Doors {
    fn candidates(&self, peer: IpAddr) -> Vec<RtspCandidate> {
        let found =
            self.0.table.select(|live| live.is_reachable() && (live.sealed_rtsp() || live.request.peer == peer));
        found
            .iter()
            .map(|live| RtspCandidate { session: live.key, rikey: live.request.rikey, sealed: live.sealed_rtsp() })
            .collect()
    }

    fn describe(&self, session: SessionKey) -> Result<RtspOffer, Refusal> {
        let live = self.0.table.get(session);
        live.and_then(|live| {
            live.heard();
            live.offer.get().cloned()
        })
        .ok_or(Refusal::of(454, &reason::SESSION_NOT_FOUND))
    }

    fn announce(&self, session: SessionKey, announce: Announce) -> Boxed<'_, Result<(), Refusal>> {
        Box::pin(self.asked(session, |answer| Ask::Announce(Box::new(announce), answer)))
    }

    fn play(&self, session: SessionKey) -> Boxed<'_, Result<(), Refusal>> {
        Box::pin(self.asked(session, Ask::Play))
    }
}

impl Doors {
    async fn asked(
        &self,
        session: SessionKey,
        ask: impl FnOnce(oneshot::Sender<Result<(), Refusal>>) -> Ask,
    ) -> Result<(), Refusal> {
        let gone = || Refusal::of(454, &reason::SESSION_NOT_FOUND);
        let live = self.0.table.get(session).ok_or_else(gone)?;
        live.heard();
        let (answer, answered) = oneshot::channel();
        live.ask(ask(answer));
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl ControlSessions for Doors {
    fn expects(&self, data: u32, peer: IpAddr) -> bool {
        self.expected(data, peer).is_some()
    }

    fn connected(&self, data: u32, peer: SocketAddr, _local: Option<IpAddr>) -> Option<ControlBinding> {
        let live = self.expected(data, peer.ip())?;
        live.ask(Ask::ControlUp);
        Some(ControlBinding { session: live.key, rikey: live.request.rikey, v2: live.v2() })
    }

    fn message(&self, session: SessionKey, message: ClientMessage<'_>) {
        if let Some(live) = self.0.table.get(session) {
            live.message(message);
        }
    }

    fn disconnected(&self, session: SessionKey) {
        if let Some(live) = self.0.table.get(session) {
            live.ask(Ask::ControlDown);
        }
    }
}
