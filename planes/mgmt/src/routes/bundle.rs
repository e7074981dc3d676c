//! The support bundle: everything that helps to help, and nothing that opens a door.

use axum::Json;
use axum::extract::State;
use axum::http::header::{self, HeaderName};
use serde_json::{Value, json};

use super::{blocking, sessions};
use crate::logs::LogLevel;
use crate::{MgmtState, Problem};

/// A file to attach to a report: findings, settings, sessions, log. Secrets and fingerprints are left out
#[utoipa::path(
    get, path = "/api/v1/diagnostics/bundle", operation_id = "support_bundle", tag = "diagnostics",
    responses((status = 200, description = "The bundle", body = Object))
)]
pub(super) async fn bundle(
    State(state): State<MgmtState>,
) -> Result<([(HeaderName, &'static str); 1], Json<Value>), Problem> {
    let bundle = blocking(move || make(&state)).await?;
    Ok(([(header::CONTENT_DISPOSITION, "attachment; filename=\"punktfunk-support.json\"")], Json(bundle)))
}

fn make(state: &MgmtState) -> Value {
    let live = state.hub.live();
    let frames: Vec<_> = live
        .list()
        .iter()
        .map(|session| {
            let rows = session.recorder.recent(FRAMES).0;
            let rows: Vec<_> =
                rows.iter().map(|r| json!([r.sent_us, r.index, r.bytes, r.packets, r.stages_us])).collect();
            json!({"session": session.id, "frames": rows})
        })
        .collect();
    let events: Vec<_> = state.hub.events().resume(0).missed;
    let mut bundle = json!({
        "version": state.host.version,
        "uptime_s": state.started.elapsed().as_secs(),
        "system": std::fs::read_to_string("/proc/version").unwrap_or_default().trim(),
        "diagnostics": (state.diagnostics)(),
        "encoders": (state.encoders)(),
        "gpus": (state.gpus)(),
        "settings": state.settings.view(),
        "clients": state.hub.trust().list().len(),
        "sessions": sessions::views(state),
        "frames": frames,
        "events": events,
        "log": state.logs.page(0, LogLevel::Trace, 2000).lines,
    });
    strip(&mut bundle);
    bundle
}

/// Blackens what only looks like a secret, too: better one detail less than one key too many.
fn strip(value: &mut Value) {
    match value {
        Value::String(text) => *text = blacken(text),
        Value::Array(values) => values.iter_mut().for_each(strip),
        Value::Object(map) => map.values_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Runs of 32 and more letters and digits that could be a key, a token, a fingerprint or a cookie; of a fingerprint the
/// first digits stay, so that lines can be told apart.
fn blacken(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.find(|c: char| !secret(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(run);
        if word.len() >= SECRET_CHARS && word.bytes().any(|b| b.is_ascii_digit()) {
            let shown = if word.bytes().all(|b| b.is_ascii_hexdigit()) && word.len() == 64 { &word[..12] } else { "" };
            out.push_str(shown);
            out.push_str("[removed]");
        } else {
            out.push_str(word);
        }
        let next = after.chars().next().map_or(0, char::len_utf8);
        out.push_str(&after[..next]);
        rest = &after[next..];
    }
    out
}

fn secret(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '_')
}

/// A one-time link has 32 digits, everything else more.
const SECRET_CHARS: usize = 32;
/// Some seconds.
const FRAMES: u64 = 600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blackened_and_sentences_are_not() {
        let fingerprint = "ab".repeat(31) + "01";
        let token = format!("pft_{}", "9f".repeat(32));
        let link = format!("https://192.0.2.1:47992/#setup={}", "0a".repeat(16));
        let mut value = json!({"log": [format!("client {fingerprint} sent {token}, see {link}.")], "n": 1});
        strip(&mut value);
        let text = value["log"][0].as_str().expect("text");
        assert_eq!(text, "client abababababab[removed] sent [removed], see https://192.0.2.1:47992/#setup=[removed].");
        let sentence = "punktfunk_native::session: äöü 1920x1080@60 the_longest_function_name_of_all_of_them";
        assert_eq!(blacken(sentence), sentence);
    }
}
