//! `/applist` and `/appasset` (gamestream.md §3.5, §3.6).

use bytes::Bytes;

use super::Shared;
use super::art;
use crate::wire::query::Query;
use crate::wire::xml::Xml;

/// An application that clients can launch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct App {
    /// Not 0, at most 2³¹ − 1, unique, and the same after a restart: clients keep shortcuts and covers by it.
    pub id: u32,
    /// What the client shows.
    pub title: String,
    /// It can be streamed in HDR.
    pub hdr: bool,
}

/// The applications of this host.
pub trait Apps: Send + Sync {
    /// All of them, in the order that clients shall show; never empty, because clients read that as a failure. Quick.
    fn list(&self) -> Vec<App>;

    /// An application's cover as PNG, portrait; `None` = none, a placeholder is drawn. Called on a blocking thread.
    fn cover(&self, id: u32) -> Option<Vec<u8>>;
}

pub(super) fn find(shared: &Shared, id: u32) -> Option<App> {
    usable(shared).find(|app| app.id == id)
}

/// Clients throw the whole list away for one entry without a proper id.
fn usable(shared: &Shared) -> impl Iterator<Item = App> {
    shared.deps.apps.list().into_iter().filter(|app| app.id != 0 && i32::try_from(app.id).is_ok())
}

/// Nothing may stand between the root and the first application.
pub(super) fn list(shared: &Shared) -> String {
    usable(shared)
        .fold(Xml::ok(), |xml, app| {
            xml.nested("App", |xml| {
                xml.number("IsHdrSupported", app.hdr).element("AppTitle", &app.title).number("ID", app.id)
            })
        })
        .finish()
}

/// The picture of an application; `None` if there is no such application.
pub(super) async fn asset(shared: &Shared, query: &Query) -> Option<Bytes> {
    let app = query.number("appid").ok().flatten().and_then(|id| find(shared, id))?;
    let apps = std::sync::Arc::clone(&shared.deps.apps);
    let picture = tokio::task::spawn_blocking(move || {
        apps.cover(app.id)
            .filter(|cover| cover.starts_with(PNG_SIGNATURE) && cover.len() <= MAX_COVER_BYTES)
            .unwrap_or_else(|| art::placeholder(&app.title))
    });
    picture.await.ok().map(Bytes::from)
}

/// ISO/IEC 15948 §5.2.
const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// A cover of 600 × 800 points is under 1 MB.
const MAX_COVER_BYTES: usize = 8 << 20;
