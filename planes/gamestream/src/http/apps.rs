//! `/applist` and `/appasset` (gamestream.md §3.5, §3.6).

use bytes::Bytes;
use punktfunk_hub::catalogue;
use punktfunk_hub::library::Library;

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

    /// An application's title; `None`: there is none with this id. Quick.
    fn title(&self, id: u32) -> Option<String> {
        self.list().into_iter().find(|app| app.id == id).map(|app| app.title)
    }

    /// An application's cover as PNG, portrait; `None` = none, a placeholder is drawn. Called on a blocking thread.
    fn cover(&self, id: u32) -> Option<Vec<u8>>;
}

/// The hub's library, the same that native clients launch from.
impl Apps for Library {
    fn list(&self) -> Vec<App> {
        let catalogue = self.catalogue();
        // No encoder here makes 10 bits per colour.
        let app = |app: &catalogue::App| App { id: app.number(), title: app.title.clone(), hdr: false };
        catalogue.apps().iter().map(app).collect()
    }

    fn title(&self, id: u32) -> Option<String> {
        self.catalogue().by_number(id).map(|app| app.title.clone())
    }

    fn cover(&self, id: u32) -> Option<Vec<u8>> {
        self.cover_png(id)
    }
}

pub(super) fn exists(shared: &Shared, id: u32) -> bool {
    is_proper(id) && shared.deps.apps.title(id).is_some()
}

fn is_proper(id: u32) -> bool {
    id != 0 && i32::try_from(id).is_ok()
}

/// Clients throw the whole list away for one entry without a proper id.
fn usable(shared: &Shared) -> impl Iterator<Item = App> {
    shared.deps.apps.list().into_iter().filter(|app| is_proper(app.id))
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
    let id = query.number("appid").ok().flatten().filter(|id| is_proper(*id))?;
    let title = shared.deps.apps.title(id)?;
    let apps = std::sync::Arc::clone(&shared.deps.apps);
    let picture = tokio::task::spawn_blocking(move || {
        apps.cover(id)
            .filter(|cover| cover.starts_with(PNG_SIGNATURE) && cover.len() <= MAX_COVER_BYTES)
            .unwrap_or_else(|| art::placeholder(&title))
    });
    picture.await.ok().map(Bytes::from)
}

/// ISO/IEC 15948 §5.2.
const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// A cover of 600 × 800 points is under 1 MB.
const MAX_COVER_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use punktfunk_hub::catalogue::Catalogue;

    use super::*;

    #[test]
    fn the_library_is_what_clients_see() {
        let dir = tempfile::tempdir().unwrap();
        let cover = dir.path().join("cover.png");
        std::fs::write(&cover, art::placeholder("x")).unwrap();
        let files = catalogue::App { key: "app:files".into(), title: "Files".into(), ..catalogue::App::desktop() };
        let apps = Catalogue::new(vec![catalogue::App { cover: Some(cover), ..files }]).unwrap();
        let apps = Library::fixed(apps);
        let list = apps.list();
        assert_eq!(list.iter().map(|a| a.title.as_str()).collect::<Vec<_>>(), ["Desktop", "Files"]);
        assert!(Apps::cover(&*apps, list[0].id).is_none());
        assert!(Apps::cover(&*apps, list[1].id).unwrap().starts_with(PNG_SIGNATURE));
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert!(Apps::cover(&*apps, list[1].id).is_none(), "a placeholder is drawn");
    }
}
