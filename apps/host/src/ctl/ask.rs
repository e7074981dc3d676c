//! What each command asks of the API.

use punktfunk_media::AudioPolicy;
use punktfunk_mgmt::client::segment;
use serde_json::{Map, Value, json};

use super::usage;
use super::words::{
    Audio, Clients, Ctl, Displays, LibraryCommand, Pairing, PresetName, Sessions, SettingsCommand, Stats, Tokens,
};
use crate::exit::Failure;

/// What a command asks of the API.
pub enum Ask {
    /// A request whose answer is JSON.
    Json(&'static str, String, Option<Value>),
    /// A request whose answer is written as it comes.
    Raw(String),
    /// A file is sent.
    Send(String, Vec<u8>),
}

/// What `command` is in the API.
///
/// # Errors
/// A file or a JSON text that cannot be read.
pub fn ask(command: &Ctl) -> Result<Ask, Failure> {
    let get = |path: &str| Ask::Json("GET", format!("/api/v1/{path}"), None);
    let post = |path: String, body| Ask::Json("POST", format!("/api/v1/{path}"), body);
    let delete = |path: String| Ask::Json("DELETE", format!("/api/v1/{path}"), None);
    let patch = |path: String, body| Ask::Json("PATCH", format!("/api/v1/{path}"), Some(body));
    let put = |path: String, body| Ask::Json("PUT", format!("/api/v1/{path}"), Some(body));
    let raw = |path: String| Ask::Raw(format!("/api/v1/{path}"));
    Ok(match command {
        Ctl::Status => get("status"),
        Ctl::Health => get("health"),
        Ctl::Host => get("host"),
        Ctl::Encoders => get("encoders"),
        Ctl::Gpus => get("encoders/gpus"),
        Ctl::Choice { encoder: None, gpu: None } => get("encoders/choice"),
        Ctl::Choice { encoder, gpu } => {
            let choice = [("encoder", encoder), ("gpu", gpu)].into_iter();
            let choice = choice.filter_map(|(what, name)| Some((what.to_owned(), name.clone()?.into())));
            patch("encoders/choice".to_owned(), Value::Object(choice.collect()))
        }
        Ctl::Library { command } => library(command.as_ref().unwrap_or(&LibraryCommand::List))?,
        Ctl::Audio(Audio::Show) => get("audio"),
        Ctl::Audio(Audio::Policy { policy }) => {
            patch("audio".to_owned(), json!({ "policy": AudioPolicy::from(*policy) }))
        }
        Ctl::Diagnostics => get("diagnostics"),
        Ctl::Metrics => Ask::Raw("/metrics".to_owned()),
        Ctl::Bundle => raw("diagnostics/bundle".to_owned()),
        Ctl::Logs { level, lines } => get(&format!("logs?level={level}&limit={lines}")),
        Ctl::Events { kinds: None } => raw("events".to_owned()),
        Ctl::Events { kinds: Some(kinds) } => raw(format!("events?kinds={}", segment(kinds))),
        Ctl::Restart => post("actions/restart".to_owned(), None),
        Ctl::Sleep => post("actions/sleep".to_owned(), None),
        Ctl::Sessions(Sessions::List) => get("sessions"),
        Ctl::Sessions(Sessions::Stop { id }) => delete(format!("sessions/{id}")),
        Ctl::Sessions(Sessions::Keyframe { id }) => post(format!("sessions/{id}/keyframe"), None),
        Ctl::Sessions(Sessions::Bitrate { id, kbps }) => put(format!("sessions/{id}/bitrate"), json!({ "kbps": kbps })),
        Ctl::Sessions(Sessions::Grants { id, preset }) => {
            put(format!("sessions/{id}/grants"), json!({ "preset": preset.wire() }))
        }
        Ctl::Sessions(Sessions::Windows { id }) => get(&format!("sessions/{id}/windows")),
        Ctl::Sessions(Sessions::FocusWindow { id, window }) => {
            post(format!("sessions/{id}/windows/{window}/focus"), None)
        }
        Ctl::Sessions(Sessions::CloseWindow { id, window }) => delete(format!("sessions/{id}/windows/{window}")),
        Ctl::Sessions(Sessions::Thumbnail { id }) => raw(format!("sessions/{id}/thumbnail")),
        Ctl::Clients(Clients::List) => get("clients"),
        Ctl::Clients(Clients::Rename { id, name }) => client(id, &patch, json!({ "name": name })),
        Ctl::Clients(Clients::Grants { id, preset }) => client(id, &patch, json!({ "preset": preset.wire() })),
        Ctl::Clients(Clients::Scale { id, percent }) => client(id, &patch, json!({ "scale_percent": percent })),
        Ctl::Clients(Clients::Layout { id, layout }) => client(id, &patch, json!({ "keyboard_layout": layout })),
        Ctl::Clients(Clients::Expire { id, seconds }) => client(id, &patch, json!({ "expires_in_s": seconds })),
        Ctl::Clients(Clients::Unpair { id }) => delete(format!("clients/{}", segment(id))),
        Ctl::Clients(Clients::UnpairAll) => delete("clients".to_owned()),
        Ctl::Pairing(Pairing::Status) => get("pairing"),
        Ctl::Pairing(Pairing::Arm { seconds }) => post("pairing/arm".to_owned(), Some(json!({ "seconds": seconds }))),
        Ctl::Pairing(Pairing::Disarm) => post("pairing/disarm".to_owned(), None),
        Ctl::Pairing(Pairing::Pin { pin, id }) => post("pairing/pin".to_owned(), Some(json!({ "pin": pin, "id": id }))),
        Ctl::Pairing(Pairing::Approve { id, preset, expires_in }) => post(
            format!("pairing/pending/{}/approve", segment(id)),
            Some(json!({ "preset": preset.map(PresetName::wire), "expires_in_s": expires_in })),
        ),
        Ctl::Pairing(Pairing::Deny { id }) => post(format!("pairing/pending/{}/deny", segment(id)), None),
        Ctl::Displays(Displays::List) => get("displays"),
        Ctl::Displays(Displays::Policy { linger }) => {
            let key = if linger.parse::<u64>().is_ok() { "linger" } else { "preset" };
            patch("displays".to_owned(), json!({ key: linger }))
        }
        Ctl::Displays(Displays::Release { id }) => delete(format!("displays/{}", segment(id))),
        Ctl::Settings(SettingsCommand::List) => get("settings"),
        Ctl::Settings(SettingsCommand::Set { key, value }) => change(key, typed(value), &patch),
        Ctl::Settings(SettingsCommand::Unset { key }) => change(key, Value::Null, &patch),
        Ctl::Settings(SettingsCommand::Confirm) => post("settings/confirm".to_owned(), None),
        Ctl::Settings(SettingsCommand::Revert) => post("settings/revert".to_owned(), None),
        Ctl::Stats(Stats::Show) => get("stats"),
        Ctl::Stats(Stats::Frames { id, count }) => get(&format!("stats/sessions/{id}/frames?limit={count}")),
        Ctl::Stats(Stats::List) => get("stats/recordings"),
        Ctl::Stats(Stats::Start) => post("stats/recordings/start".to_owned(), None),
        Ctl::Stats(Stats::Stop) => post("stats/recordings/stop".to_owned(), None),
        Ctl::Stats(Stats::Save) => post("stats/recordings/save".to_owned(), None),
        Ctl::Stats(Stats::Download { id }) => raw(format!("stats/recordings/{}", segment(id))),
        Ctl::Stats(Stats::Delete { id }) => delete(format!("stats/recordings/{}", segment(id))),
        Ctl::Tokens(Tokens::List) => get("tokens"),
        Ctl::Tokens(Tokens::Create { name, scopes, expires_in }) => {
            post("tokens".to_owned(), Some(json!({ "name": name, "scopes": scopes, "expires_in_s": expires_in })))
        }
        Ctl::Tokens(Tokens::Revoke { id }) => delete(format!("tokens/{}", segment(id))),
        Ctl::Api { method, path, body } => {
            let body = body.as_deref().map(serde_json::from_str).transpose();
            let body = body.map_err(|e| usage(format!("the body is no JSON: {e}")))?;
            let known = ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter().find(|m| m.eq_ignore_ascii_case(method));
            Ask::Json(known.ok_or_else(|| usage(format!("{method} is no method")))?, path.clone(), body)
        }
    })
}

fn library(command: &LibraryCommand) -> Result<Ask, Failure> {
    let ask = |method, path: String, body| Ask::Json(method, format!("/api/v1/library{path}"), body);
    let switch =
        |scanner: &str, on: bool| ask("PUT", format!("/scanners/{}", segment(scanner)), Some(json!({ "on": on })));
    let hide =
        |id: &str, hidden: bool| ask("PUT", format!("/{}/hidden", segment(id)), Some(json!({ "hidden": hidden })));
    Ok(match command {
        LibraryCommand::List => ask("GET", String::new(), None),
        LibraryCommand::All => ask("GET", "/all".to_owned(), None),
        LibraryCommand::Scan => ask("POST", "/scan".to_owned(), None),
        LibraryCommand::On { scanner } => switch(scanner, true),
        LibraryCommand::Off { scanner } => switch(scanner, false),
        LibraryCommand::Hide { id } => hide(id, true),
        LibraryCommand::Show { id } => hide(id, false),
        LibraryCommand::Add { title, command, working_dir } => {
            let entry = json!({ "title": title, "command": command, "working_dir": working_dir });
            ask("POST", "/custom".to_owned(), Some(entry))
        }
        LibraryCommand::Get { id } => ask("GET", format!("/custom/{}", segment(id)), None),
        LibraryCommand::Edit { id, entry } => {
            let entry = serde_json::from_str(entry).map_err(|e| usage(format!("the entry is no JSON: {e}")))?;
            ask("PUT", format!("/custom/{}", segment(id)), Some(entry))
        }
        LibraryCommand::Remove { id } => ask("DELETE", format!("/custom/{}", segment(id)), None),
        LibraryCommand::Cover { id } => Ask::Raw(format!("/api/v1/library/{}/cover", segment(id))),
        LibraryCommand::SetCover { id, file: None } => ask("DELETE", format!("/custom/{}/cover", segment(id)), None),
        LibraryCommand::SetCover { id, file: Some(file) } => {
            let bytes = std::fs::read(file).map_err(|e| usage(format!("{}: {e}", file.display())))?;
            Ask::Send(format!("/api/v1/library/custom/{}/cover", segment(id)), bytes)
        }
        LibraryCommand::Launch { id, client } => {
            ask("POST", format!("/{}/launch", segment(id)), Some(json!({ "client": client })))
        }
        LibraryCommand::End { client } => ask("DELETE", format!("/running/{}", segment(client)), None),
    })
}

fn client(id: &str, patch: &dyn Fn(String, Value) -> Ask, body: Value) -> Ask {
    patch(format!("clients/{}", segment(id)), body)
}

fn change(key: &str, value: Value, patch: &dyn Fn(String, Value) -> Ask) -> Ask {
    let changes = Map::from_iter([(key.to_owned(), value)]);
    patch("settings".to_owned(), json!({ "changes": changes }))
}

/// `true`, `false` and numbers are what they look like; everything else is text.
fn typed(value: &str) -> Value {
    match value.parse::<u64>() {
        Ok(number) => number.into(),
        Err(_) => value.parse::<bool>().map_or_else(|_| value.into(), Value::from),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    /// A line for every operation that `ctl` drives; ids are those that the description's examples have.
    const LINES: &[&str] = &[
        "status",
        "health",
        "host",
        "sessions list",
        "sessions stop 1",
        "sessions keyframe 1",
        "sessions bitrate 1 20000",
        "sessions grants 1 view",
        "sessions thumbnail 1",
        "sessions windows 1",
        "sessions focus-window 1 1",
        "sessions close-window 1 1",
        "clients list",
        "clients rename a1b2 sofa",
        "clients scale a1b2 150",
        "clients layout a1b2 de:nodeadkeys",
        "clients unpair a1b2",
        "clients unpair-all",
        "pairing status",
        "pairing arm",
        "pairing disarm",
        "pairing pin 0042",
        "pairing approve a1b2 --preset controller --expires-in 3600",
        "pairing deny a1b2",
        "displays list",
        "displays policy short",
        "displays release a1b2",
        "encoders",
        "gpus",
        "choice",
        "choice --encoder x264 --gpu none",
        "audio show",
        "audio policy client_only",
        "library list",
        "library end a1b2",
        "library cover steam:570",
        "library all",
        "library scan",
        "library off steam",
        "library hide steam:570",
        "library add Files thunar",
        "library get custom:files",
        "library edit custom:files {}",
        "library remove custom:files",
        "library set-cover custom:files",
        "library set-cover custom:files /dev/null",
        "library launch steam:570 a1b2",
        "settings list",
        "settings set video.encoder x264",
        "settings confirm",
        "settings revert",
        "stats show",
        "stats frames 1",
        "stats list",
        "stats start",
        "stats stop",
        "stats save",
        "stats download 20261126-014500",
        "stats delete 20261126-014500",
        "metrics",
        "logs",
        "diagnostics",
        "bundle",
        "events",
        "tokens list",
        "tokens create x --scope read",
        "tokens revoke a1b2",
        "restart",
    ];

    /// What a shell has no use for.
    const CONSOLE_ONLY: &[(&str, &str)] = &[
        ("console", "tells a browser whether it is signed in"),
        ("console_setup", "answers a browser's one-time link"),
        ("console_login", "makes a browser's session"),
        ("console_logout", "ends a browser's session"),
        ("console_password", "asks for the old one; `console-url --reset` sets a new one from a shell"),
        ("console_link", "is the command `console-url`"),
    ];

    /// The operation behind a request.
    fn operation(document: &Value, method: &str, path: &str) -> Option<String> {
        let path = path.split('?').next()?;
        let paths = document["paths"].as_object()?;
        let fits = |template: &str| {
            let (a, b): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            a.len() == b.len() && a.iter().zip(&b).all(|(t, p)| t.starts_with('{') || t == p)
        };
        // A path that is named in full counts before one with a hole.
        let found = paths.keys().filter(|t| fits(t)).min_by_key(|t| t.matches('{').count())?;
        paths[found].get(method.to_ascii_lowercase())?["operationId"].as_str().map(str::to_owned)
    }

    #[test]
    fn every_operation_of_the_api_has_a_command() {
        let document: Value = serde_json::to_value(punktfunk_mgmt::openapi()).expect("JSON");
        let mut driven = BTreeSet::new();
        for line in LINES {
            let words = ["punktfunk-host", "ctl"].into_iter().chain(line.split(' '));
            let cli = Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"));
            let Command::Ctl(args) = cli.command else { panic!("{line}") };
            let (method, path) = match ask(&args.command).unwrap_or_else(|_| panic!("{line}")) {
                Ask::Json(method, path, _) => (method, path),
                Ask::Raw(path) => ("GET", path),
                Ask::Send(path, _) => ("PUT", path),
            };
            let operation = operation(&document, method, &path);
            driven
                .insert(operation.unwrap_or_else(|| panic!("`ctl {line}` asks {method} {path}, which nobody answers")));
        }
        for (operation, why) in CONSOLE_ONLY {
            assert!(!why.is_empty() && driven.insert((*operation).to_owned()), "{operation} is driven");
        }
        let operations =
            document["paths"].as_object().expect("paths").values().flat_map(|p| p.as_object().expect("a map").values());
        for operation in operations {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(driven.remove(id), "`ctl` has no command for {id}");
        }
        assert!(driven.is_empty(), "no such operations: {driven:?}");
    }
}
