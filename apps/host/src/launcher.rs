//! `launcher`: what a private desktop shows when nothing runs on it, fed by the host that made the desktop.

use std::path::{Path, PathBuf};

use punktfunk_core::Fingerprint;
use punktfunk_hub::trust::short_id;
use punktfunk_launcher::{Content, Entry, OpenWindow, Source};
use punktfunk_media::reason;
use punktfunk_mgmt::client::{Client, ClientError, segment};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::exit::Failure;

/// Runs until the desktop ends. `socket`: the control socket of the host; `identity`: whose desktop it is.
///
/// # Errors
/// The desktop cannot be reached, or lacks what the launcher needs.
pub fn run(socket: &Path, identity: &str) -> Result<(), Failure> {
    let failed = |detail: String| Failure::new(&reason::DESKTOP_DIED, detail);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| failed(e.to_string()))?;
    let client = Fingerprint::from_hex(identity).map_or_else(|| identity.to_owned(), |who| short_id(&who));
    let host = HostSource { runtime, socket: socket.to_owned(), client };
    punktfunk_launcher::run(Box::new(host)).map_err(failed)
}

/// Asks the host over its control socket.
struct HostSource {
    runtime: Runtime,
    socket: PathBuf,
    /// Whose desktop it is.
    client: String,
}

impl HostSource {
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let method = method.parse().map_err(|_| format!("{method} is no method"))?;
        self.runtime
            .block_on(async {
                let client = Client::connect(std::slice::from_ref(&self.socket)).await?;
                client.request(method, &format!("/api/v1/{path}"), body).await
            })
            .map_err(|e| sentence(&e))
    }

    fn get<T: for<'a> Deserialize<'a>>(&self, path: &str) -> Result<T, String> {
        serde_json::from_value(self.ask("GET", path, None)?).map_err(|e| e.to_string())
    }

    /// The session that streams this desktop now.
    fn session(&self) -> Result<Option<Session>, String> {
        let mut sessions: Vec<Session> = self.get("sessions")?;
        sessions.retain(|s| s.client.as_ref() == Some(&self.client) && !s.leaving);
        Ok(sessions.pop())
    }

    fn tell_window(&self, window: u64, method: &str, what: &str) -> Result<(), String> {
        let session = self.session()?.ok_or("Nobody streams this desktop now.")?;
        self.ask(method, &format!("sessions/{}/windows/{window}{what}", session.id), None).map(drop)
    }
}

impl Source for HostSource {
    fn look(&mut self) -> Result<Content, String> {
        let host: HostFacts = self.get("host")?;
        let library: Vec<LibraryEntry> = self.get("library")?;
        let session = self.session()?;
        let windows = match &session {
            // A desktop that does not tell has none to show.
            Some(session) => self.get(&format!("sessions/{}/windows", session.id)).unwrap_or_default(),
            None => Vec::new(),
        };
        // The desktop itself is what is seen already.
        let entries = library.into_iter().filter(|entry| entry.source != DESKTOP);
        Ok(Content {
            host: host.name,
            session: session.map(|session| session.line()).unwrap_or_default(),
            entries: entries.map(|e| Entry { id: e.id, title: e.title, cover: e.cover }).collect(),
            windows: windows.into_iter().map(|w: Window| OpenWindow { id: w.id, title: w.title }).collect(),
        })
    }

    fn cover(&mut self, id: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut fits = true;
        let mut take = |part: &[u8]| {
            fits &= bytes.len() + part.len() <= LARGEST_COVER;
            if fits {
                bytes.extend_from_slice(part);
            }
        };
        let path = format!("/api/v1/library/{}/cover", segment(id));
        let done = self.runtime.block_on(async {
            let client = Client::connect(std::slice::from_ref(&self.socket)).await?;
            client.stream(&path, &mut take).await
        });
        (done.is_ok() && fits).then_some(bytes)
    }

    fn launch(&mut self, id: &str) -> Result<(), String> {
        let path = format!("library/{}/launch", segment(id));
        self.ask("POST", &path, Some(&json!({ "client": self.client }))).map(drop)
    }

    fn focus(&mut self, window: u64) -> Result<(), String> {
        self.tell_window(window, "POST", "/focus")
    }

    fn close(&mut self, window: u64) -> Result<(), String> {
        self.tell_window(window, "DELETE", "")
    }
}

fn sentence(error: &ClientError) -> String {
    let problem = error.problem();
    format!("{} {}", problem.message, problem.fix)
}

// Of the API's answers, what is shown.

#[derive(Deserialize)]
struct HostFacts {
    name: String,
}

#[derive(Deserialize)]
struct LibraryEntry {
    id: String,
    title: String,
    source: String,
    cover: bool,
}

#[derive(Deserialize)]
struct Session {
    id: u64,
    name: String,
    client: Option<String>,
    leaving: bool,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    plane: String,
    mode: String,
    codec: String,
}

#[derive(Deserialize)]
struct Window {
    id: u64,
    title: String,
}

impl Session {
    fn line(&self) -> String {
        match &self.details {
            Some(Details { plane, mode, codec }) => {
                let protocol = if plane == "gamestream" { "GameStream" } else { "punktfunk/1" };
                format!("{}  ·  {mode}  ·  {}  ·  {protocol}", self.name, codec.to_uppercase())
            }
            None => self.name.clone(),
        }
    }
}

/// Source of the library's entry for the desktop.
const DESKTOP: &str = "host";
/// More than any store's cover has.
const LARGEST_COVER: usize = 8 << 20;
