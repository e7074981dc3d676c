//! `Hello.launch`: the program of the library that a client asked for, started on its display before the first picture.

use punktfunk_core::control::{ControlMessage, LaunchKind};
use punktfunk_hub::apps::{Apps, ClientFacts, Launched};
use punktfunk_media::{Stage, reason};

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Launch {
    /// What the client is told.
    pub outcome: ControlMessage,
    /// The program whose exit ends the session: [`punktfunk_hub::catalogue::App::number`]. `None` where nothing was started,
    /// or its exit leads back to the desktop.
    pub watched: Option<u32>,
}

/// Starts what `key` names in the library. A session goes on without it, whatever happens (§3.9.2). Blocking: the commands
/// that prepare for the program have timeouts of their own.
pub(crate) fn launch(
    apps: Option<&Apps>,
    identity: &str,
    key: &str,
    stage: &mut dyn Stage,
    client: &ClientFacts,
) -> Launch {
    let catalogue = apps.map(Apps::catalogue);
    let app = catalogue.as_ref().and_then(|catalogue| catalogue.by_key(key));
    let Some((apps, app)) = apps.zip(app) else {
        tracing::warn!(
            code = reason::APP_UNKNOWN.code,
            key,
            "the client asks for a program that is not in the library"
        );
        return not_started(LaunchKind::Refused, reason::APP_UNKNOWN.to_string());
    };
    match apps.launch(identity, app.number(), stage, client) {
        Ok(launched) => {
            let kind = match launched {
                Launched::Started => LaunchKind::Spawned,
                Launched::Resumed => LaunchKind::Adopted,
            };
            // The bare desktop does not exit.
            let watched = (app.spec.is_some() && app.ends_session).then(|| app.number());
            Launch { outcome: ControlMessage::LaunchOutcome { kind, message: app.title.clone() }, watched }
        }
        Err(error) => not_started(LaunchKind::Failed, error.to_string()),
    }
}

fn not_started(kind: LaunchKind, message: String) -> Launch {
    Launch { outcome: ControlMessage::LaunchOutcome { kind, message }, watched: None }
}
