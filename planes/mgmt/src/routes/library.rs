//! What can be launched, and what runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use punktfunk_core::Fingerprint;
use punktfunk_hub::apps::{Apps, Launched};
use punktfunk_hub::catalogue::{App, Step};
use punktfunk_hub::library::stores::{self, Scanner};
use punktfunk_hub::library::{Custom, Library, LibraryError, ScannerState};
use punktfunk_hub::trust::{ClientRecord, short_id};
use punktfunk_media::reason;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Body, Path, Query, blocking};
use crate::{MgmtState, Problem};

/// An entry of the library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LibraryEntry {
    /// What native clients launch it by.
    #[schema(example = "steam:570")]
    pub id: String,
    /// What GameStream clients launch it by.
    pub number: u32,
    /// The name that people see.
    pub title: String,
    /// Where it comes from: `host` (the desktop), `file` (the configuration), `custom`, or a scanner's name.
    #[schema(example = "steam")]
    pub source: String,
    /// Whether it has a cover.
    pub cover: bool,
    /// Whether clients do not see it.
    pub hidden: bool,
    /// Whether the configuration hides it: it cannot be shown here then.
    pub pinned: bool,
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

/// The whole library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LibraryView {
    /// Rises with every change that people make. Send it with a change, so that two people do not undo each other's.
    pub revision: u64,
    /// Whether stores are being scanned now.
    pub scanning: bool,
    /// Everything; hidden entries last.
    pub entries: Vec<LibraryEntry>,
    /// The scanners.
    pub scanners: Vec<ScannerView>,
}

/// Something that finds the games of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScannerView {
    /// Its name.
    #[schema(example = "steam")]
    pub name: String,
    /// Whether it is used.
    pub on: bool,
    /// Whether the configuration says so: it cannot be switched here then.
    pub pinned: bool,
    /// How many games it found.
    pub found: u32,
    /// How long it took, in µs; absent: not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// What it could not read.
    pub problems: Vec<Problem>,
}

/// Switches a scanner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScannerSwitchRequest {
    /// Whether it is used.
    pub on: bool,
}

/// Hides an entry, or shows it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HideRequest {
    /// Whether clients do not see it.
    pub hidden: bool,
}

/// Starts a program on a device's display.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LaunchOnRequest {
    /// Id of the device, which streams now.
    #[schema(example = "a1b2c3d4e5f6")]
    pub client: String,
}

/// How a launch went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaunchOutcome {
    /// False: it ran there already.
    pub started: bool,
}

/// A program that people added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomEntry {
    /// The name that people see.
    #[schema(example = "Files")]
    pub title: String,
    /// A shell command, which runs as the host's user on the client's display.
    #[schema(example = "thunar")]
    pub command: String,
    /// Where it runs, an absolute path; absent: the home folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Variables for it.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Commands around it.
    #[serde(default)]
    pub prepare: Vec<CustomStep>,
    /// Whether its exit ends the session; absent: as configured for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_session: Option<bool>,
}

/// A command that prepares for a program, and the one that undoes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomStep {
    /// Runs before the program; may be empty.
    #[serde(default)]
    pub run: String,
    /// Runs when the program is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// Seconds for each; absent: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<f64>,
}

/// An entry that was added or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LibraryChanged {
    /// The entry's id.
    #[schema(example = "custom:files")]
    pub id: String,
    /// The library's revision now.
    pub revision: u64,
}

/// What the caller saw.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Seen {
    /// The revision that the caller saw; with an old one the change is refused.
    revision: Option<u64>,
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
    let running = running(&state, apps);
    Json(apps.catalogue().apps().iter().map(|app| entry(app, false, false, &running)).collect())
}

/// The whole library: hidden entries, scanners, and the revision for changes
#[utoipa::path(
    get, path = "/api/v1/library/all", operation_id = "library_all", tag = "library",
    responses(
        (status = 200, description = "The library", body = LibraryView),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn all(State(state): State<MgmtState>) -> Result<Json<LibraryView>, Problem> {
    let apps = apps(&state)?;
    Ok(Json(view(&state, &apps)))
}

/// Scans the stores anew
#[utoipa::path(
    post, path = "/api/v1/library/scan", operation_id = "library_scan", tag = "library",
    responses(
        (status = 200, description = "The library as it is now", body = LibraryView),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn scan(State(state): State<MgmtState>) -> Result<Json<LibraryView>, Problem> {
    let apps = apps(&state)?;
    blocking(move || {
        apps.library().rescan(SCAN_PATIENCE);
        Json(view(&state, &apps))
    })
    .await
}

/// Switches a scanner on or off
#[utoipa::path(
    put, path = "/api/v1/library/scanners/{name}", operation_id = "library_scanner", tag = "library",
    params(("name" = String, Path, description = "Name of the scanner"), Seen),
    request_body = ScannerSwitchRequest,
    responses(
        (status = 200, description = "The library's revision", body = LibraryChanged),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn switch(
    State(state): State<MgmtState>,
    Path(name): Path<String>,
    Query(seen): Query<Seen>,
    Body(request): Body<ScannerSwitchRequest>,
) -> Result<Json<LibraryChanged>, Problem> {
    let not_found = || Problem::new(&reason::LIBRARY_NOT_FOUND).with_detail(format!("no scanner `{}`", brief(&name)));
    let scanner = Scanner::by_name(&name).ok_or_else(not_found)?;
    changing(state, name, move |library| library.switch(scanner, request.on, seen.revision)).await
}

/// Hides an entry from clients, or shows it again
#[utoipa::path(
    put, path = "/api/v1/library/{id}/hidden", operation_id = "library_hide", tag = "library",
    params(("id" = String, Path, description = "Id of the entry"), Seen),
    request_body = HideRequest,
    responses(
        (status = 200, description = "The library's revision", body = LibraryChanged),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn hide(
    State(state): State<MgmtState>,
    Path(id): Path<String>,
    Query(seen): Query<Seen>,
    Body(request): Body<HideRequest>,
) -> Result<Json<LibraryChanged>, Problem> {
    let key = id.clone();
    changing(state, id, move |library| library.hide(&key, request.hidden, seen.revision)).await
}

/// Adds an entry
#[utoipa::path(
    post, path = "/api/v1/library/custom", operation_id = "library_add", tag = "library",
    params(Seen),
    request_body = CustomEntry,
    responses(
        (status = 201, description = "Added", body = LibraryChanged),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn add(
    State(state): State<MgmtState>,
    Query(seen): Query<Seen>,
    Body(request): Body<CustomEntry>,
) -> Result<(StatusCode, Json<LibraryChanged>), Problem> {
    let (library, custom) = (Arc::clone(apps(&state)?.library()), request.custom()?);
    let added = blocking(move || library.add(custom, seen.revision)).await?.map_err(problem)?;
    Ok((StatusCode::CREATED, Json(LibraryChanged { id: added.0, revision: added.1 })))
}

/// What an entry that people added starts
#[utoipa::path(
    get, path = "/api/v1/library/custom/{id}", operation_id = "library_custom", tag = "library",
    params(("id" = String, Path, description = "Id of the entry")),
    responses(
        (status = 200, description = "The entry", body = CustomEntry),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn custom(
    State(state): State<MgmtState>,
    Path(id): Path<String>,
) -> Result<Json<CustomEntry>, Problem> {
    let library = Arc::clone(apps(&state)?.library());
    library.custom(&id).map(|c| Json(CustomEntry::of(&c))).ok_or_else(|| Problem::new(&reason::LIBRARY_NOT_FOUND))
}

/// Changes an entry that people added
#[utoipa::path(
    put, path = "/api/v1/library/custom/{id}", operation_id = "library_edit", tag = "library",
    params(("id" = String, Path, description = "Id of the entry"), Seen),
    request_body = CustomEntry,
    responses(
        (status = 200, description = "Changed", body = LibraryChanged),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn edit(
    State(state): State<MgmtState>,
    Path(id): Path<String>,
    Query(seen): Query<Seen>,
    Body(request): Body<CustomEntry>,
) -> Result<Json<LibraryChanged>, Problem> {
    let (key, custom) = (id.clone(), request.custom()?);
    changing(state, id, move |library| library.edit(&key, custom, seen.revision)).await
}

/// Removes an entry that people added
#[utoipa::path(
    delete, path = "/api/v1/library/custom/{id}", operation_id = "library_remove", tag = "library",
    params(("id" = String, Path, description = "Id of the entry"), Seen),
    responses(
        (status = 200, description = "Removed", body = LibraryChanged),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn remove(
    State(state): State<MgmtState>,
    Path(id): Path<String>,
    Query(seen): Query<Seen>,
) -> Result<Json<LibraryChanged>, Problem> {
    let key = id.clone();
    changing(state, id, move |library| library.remove(&key, seen.revision)).await
}

/// Gives an entry that people added a cover: PNG, JPEG or WebP, at most 8 MB; it is made anew
#[utoipa::path(
    put, path = "/api/v1/library/custom/{id}/cover", operation_id = "library_set_cover", tag = "library",
    params(("id" = String, Path, description = "Id of the entry"), Seen),
    request_body(content = String, content_type = "application/octet-stream", description = "The picture"),
    responses(
        (status = 200, description = "Changed", body = LibraryChanged),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn set_cover(
    State(state): State<MgmtState>,
    Path(id): Path<String>,
    Query(seen): Query<Seen>,
    request: Request,
) -> Result<Json<LibraryChanged>, Problem> {
    let too_large =
        || Problem::new(&reason::API_TOO_LARGE).with_detail(format!("a cover has at most {MAX_COVER} bytes"));
    let told = header_number(request.headers(), &header::CONTENT_LENGTH);
    if told.is_some_and(|length| length > MAX_COVER as u64) {
        return Err(too_large());
    }
    // Read here, since all other bodies are bounded to far less.
    let picture = axum::body::to_bytes(request.into_body(), MAX_COVER).await.map_err(|_| too_large())?;
    let key = id.clone();
    changing(state, id, move |library| library.set_cover(&key, Some(&picture), seen.revision)).await
}

/// Takes an entry's cover away
#[utoipa::path(
    delete, path = "/api/v1/library/custom/{id}/cover", operation_id = "library_remove_cover", tag = "library",
    params(("id" = String, Path, description = "Id of the entry"), Seen),
    responses(
        (status = 200, description = "Changed", body = LibraryChanged),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn remove_cover(
    State(state): State<MgmtState>,
    Path(id): Path<String>,
    Query(seen): Query<Seen>,
) -> Result<Json<LibraryChanged>, Problem> {
    let key = id.clone();
    changing(state, id, move |library| library.set_cover(&key, None, seen.revision)).await
}

/// The cover of an entry that clients see: PNG, JPEG or WebP
#[utoipa::path(
    get, path = "/api/v1/library/{id}/cover", operation_id = "library_cover", tag = "library",
    params(("id" = String, Path, description = "Id of the entry")),
    responses(
        (status = 200, description = "The picture", content_type = "image/*", body = String),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn cover(
    State(state): State<MgmtState>,
    Path(id): Path<String>,
) -> Result<([(HeaderName, &'static str); 3], Bytes), Problem> {
    let library = Arc::clone(apps(&state)?.library());
    let found = blocking(move || library.cover(&id)).await?;
    let (kind, picture) = found.ok_or_else(|| Problem::new(&reason::LIBRARY_NOT_FOUND))?;
    // What a store or a person put there stays a picture, whatever else it may look like.
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "private, max-age=300"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, picture.into()))
}

/// Starts a program on the display of a device that streams, beside what runs there
#[utoipa::path(
    post, path = "/api/v1/library/{id}/launch", operation_id = "library_launch", tag = "library",
    params(("id" = String, Path, description = "Id of the entry")),
    request_body = LaunchOnRequest,
    responses(
        (status = 200, description = "It runs", body = LaunchOutcome),
        (status = "4XX", description = "Refused", body = Problem),
        (status = "5XX", description = "Refused", body = Problem),
    )
)]
pub(super) async fn launch(
    State(state): State<MgmtState>,
    Path(id): Path<String>,
    Body(request): Body<LaunchOnRequest>,
) -> Result<Json<LaunchOutcome>, Problem> {
    let (apps, who) = (apps(&state)?, client(&state, &request.client)?);
    let launched = blocking(move || apps.launch_beside(&who.to_string(), &id)).await?;
    let launched = launched.map_err(|e| Problem::new(e.reason).with_detail(e.detail))?;
    Ok(Json(LaunchOutcome { started: launched == Launched::Started }))
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
pub(super) async fn end(State(state): State<MgmtState>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let who = client(&state, &id)?;
    blocking(move || state.apps.get().is_some_and(|apps| apps.end(&who.to_string()))).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn apps(state: &MgmtState) -> Result<Arc<Apps>, Problem> {
    state.apps.get().cloned().ok_or_else(|| Problem::new(&reason::LIBRARY_NOT_FOUND))
}

fn client(state: &MgmtState, id: &str) -> Result<Fingerprint, Problem> {
    let is_it = |f: &Fingerprint| short_id(f) == id.to_ascii_lowercase();
    let who = state.hub.trust().list().into_iter().map(|c| c.fingerprint).find(is_it);
    who.ok_or_else(|| Problem::new(&reason::CLIENT_NOT_FOUND))
}

fn running(state: &MgmtState, apps: &Apps) -> Vec<(ClientRecord, Vec<u32>)> {
    let clients = state.hub.trust().list().into_iter();
    clients
        .map(|c| (apps.running(&c.fingerprint.to_string()), c))
        .filter(|(r, _)| !r.is_empty())
        .map(|(r, c)| (c, r))
        .collect()
}

fn entry(app: &App, hidden: bool, pinned: bool, running: &[(ClientRecord, Vec<u32>)]) -> LibraryEntry {
    let number = app.number();
    let running_for = running
        .iter()
        .filter(|(_, numbers)| numbers.contains(&number))
        .map(|(client, _)| RunningFor { client: client.id(), name: client.name.clone() })
        .collect();
    LibraryEntry {
        id: app.key.clone(),
        number,
        title: app.title.clone(),
        source: app.source.name().to_owned(),
        cover: app.cover.is_some(),
        hidden,
        pinned,
        running_for,
    }
}

fn view(state: &MgmtState, apps: &Apps) -> LibraryView {
    let library = apps.library().view();
    let running = running(state, apps);
    let hidden = library.hidden.iter().map(|app| entry(app, true, library.pinned.contains(&app.key), &running));
    LibraryView {
        revision: library.revision,
        scanning: library.scanning,
        entries: library.visible.iter().map(|app| entry(app, false, false, &running)).chain(hidden).collect(),
        scanners: library.scanners.iter().map(scanner_view).collect(),
    }
}

fn scanner_view(state: &ScannerState) -> ScannerView {
    let problem =
        |p: &stores::Problem| Problem::new(p.reason).with_detail(format!("{}: {}", p.path.display(), p.detail));
    ScannerView {
        name: state.scanner.name().to_owned(),
        on: state.on,
        pinned: state.pinned,
        found: u32::try_from(state.found).unwrap_or(u32::MAX),
        took_us: state.took.map(|t| u64::try_from(t.as_micros()).unwrap_or(u64::MAX)),
        problems: state.problems.iter().map(problem).collect(),
    }
}

async fn changing(
    state: MgmtState,
    id: String,
    change: impl FnOnce(&Library) -> Result<u64, LibraryError> + Send + 'static,
) -> Result<Json<LibraryChanged>, Problem> {
    let library = Arc::clone(apps(&state)?.library());
    let revision = blocking(move || change(&library)).await?.map_err(problem)?;
    Ok(Json(LibraryChanged { id, revision }))
}

fn problem(error: LibraryError) -> Problem {
    Problem::new(error.reason).with_detail(error.detail)
}

fn header_number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// Not more of what somebody sent than a sentence needs.
fn brief(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

impl CustomEntry {
    fn custom(self) -> Result<Custom, Problem> {
        let invalid = |what: &str| Problem::new(&reason::LIBRARY_INVALID).with_detail(what);
        let step = |s: CustomStep| {
            let seconds = s.timeout_s.unwrap_or(Step::USUAL.as_secs_f64());
            let timeout = Duration::try_from_secs_f64(seconds).map_err(|_| invalid("a time limit that is none"))?;
            Ok(Step { run: s.run, undo: s.undo, timeout })
        };
        Ok(Custom {
            title: self.title,
            command: self.command,
            working_dir: self.working_dir.filter(|dir| !dir.is_empty()).map(Into::into),
            env: self.env,
            prepare: self.prepare.into_iter().map(step).collect::<Result<_, _>>()?,
            ends_session: self.ends_session,
            ..Default::default()
        })
    }

    fn of(custom: &Custom) -> Self {
        let step = |s: &Step| CustomStep {
            run: s.run.clone(),
            undo: s.undo.clone(),
            timeout_s: Some(s.timeout.as_secs_f64()),
        };
        Self {
            title: custom.title.clone(),
            command: custom.command.clone(),
            working_dir: custom.working_dir.as_ref().map(|d| d.to_string_lossy().into_owned()),
            env: custom.env.clone(),
            prepare: custom.prepare.iter().map(step).collect(),
            ends_session: custom.ends_session,
        }
    }
}

/// The same as for what stores keep.
const MAX_COVER: usize = stores::COVER_BYTES as usize;
/// Below the time that a request may take.
const SCAN_PATIENCE: Duration = Duration::from_secs(15);
