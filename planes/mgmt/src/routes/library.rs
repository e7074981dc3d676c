//! What can be launched, and what runs.

use std::path::Path as FilePath;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderName};
use punktfunk_core::Fingerprint;
use punktfunk_hub::trust::short_id;
use punktfunk_media::reason;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Path, blocking};
use crate::{MgmtState, Problem};

/// An entry of the library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LibraryEntry {
    /// What native clients launch it by.
    #[schema(example = "app:files")]
    pub id: String,
    /// What GameStream clients launch it by.
    pub number: u32,
    /// The name that people see.
    pub title: String,
    /// Whether it has a cover.
    pub cover: bool,
    /// The devices for which it runs now.
    pub running_for: Vec<RunningFor>,
}

/// A device for which something runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunningFor {
    /// Its id.
    pub client: String,
    /// Its name.
    pub name: String,
}

/// What can be launched, in the order that clients see
#[utoipa::path(
    get, path = "/api/v1/library", operation_id = "library", tag = "library",
    responses(
        (status = 200, description = "The entries", body = Vec<LibraryEntry>),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn list(State(state): State<MgmtState>) -> Json<Vec<LibraryEntry>> {
    let Some(apps) = state.apps.get() else { return Json(Vec::new()) };
    let clients = state.hub.trust().list();
    let running: Vec<_> = clients.iter().filter_map(|c| Some((c, apps.current(&c.fingerprint.to_string())?))).collect();
    let entry = |app: &punktfunk_hub::catalogue::App| LibraryEntry {
        id: app.key.clone(),
        number: app.number(),
        title: app.title.clone(),
        cover: app.cover.is_some(),
        running_for: running
            .iter()
            .filter(|(_, number)| *number == app.number())
            .map(|(client, _)| RunningFor { client: client.id(), name: client.name.clone() })
            .collect(),
    };
    Json(apps.catalogue().apps().iter().map(entry).collect())
}

/// The cover of an entry, a PNG
#[utoipa::path(
    get, path = "/api/v1/library/{id}/cover", operation_id = "library_cover", tag = "library",
    params(("id" = String, Path, description = "Id of the entry")),
    responses(
        (status = 200, description = "The picture", content_type = "image/png", body = String),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn cover(
    State(state): State<MgmtState>,
    Path(id): Path<String>,
) -> Result<([(HeaderName, &'static str); 2], Bytes), Problem> {
    let not_found = || Problem::new(&reason::LIBRARY_NOT_FOUND);
    // The path comes from the catalogue, never from the request.
    let path = state.apps.get().and_then(|apps| apps.catalogue().by_key(&id)?.cover.clone()).ok_or_else(not_found)?;
    let picture = blocking(move || read_png(&path)).await?.ok_or_else(not_found)?;
    Ok(([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "private, max-age=300")], picture.into()))
}

/// Ends what runs for a device
#[utoipa::path(
    delete, path = "/api/v1/library/running/{client}", operation_id = "library_end", tag = "library",
    params(("client" = String, Path, description = "Id of the device")),
    responses(
        (status = 204, description = "Nothing runs for it any more"),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn end(State(state): State<MgmtState>, Path(client): Path<String>) -> Result<StatusCode, Problem> {
    let is_it = |f: &Fingerprint| short_id(f) == client.to_ascii_lowercase();
    let who = state.hub.trust().list().into_iter().map(|c| c.fingerprint).find(is_it);
    let who = who.ok_or_else(|| Problem::new(&reason::CLIENT_NOT_FOUND))?;
    blocking(move || state.apps.get().is_some_and(|apps| apps.end(&who.to_string()))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The file, if it is a PNG of a sane size.
fn read_png(path: &FilePath) -> Option<Vec<u8>> {
    let size = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
    if size > MAX_COVER_BYTES {
        return None;
    }
    std::fs::read(path).ok().filter(|bytes| bytes.starts_with(PNG))
}

/// The largest store covers are below 3 MB.
const MAX_COVER_BYTES: u64 = 8 * 1024 * 1024;
/// PNG specification, §5.2.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_png_files_are_covers() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("cover.png");
        assert!(read_png(&path).is_none() && read_png(dir.path()).is_none());
        std::fs::write(&path, "root:x:0:0").expect("writable");
        assert!(read_png(&path).is_none(), "no other file leaves the host");
        std::fs::write(&path, [PNG, b"rest"].concat()).expect("writable");
        assert!(read_png(&path).is_some());
    }
}
