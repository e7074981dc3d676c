//! The `[[apps]]` of the configuration file, and `library`, which prints what clients may start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use punktfunk_hub::catalogue::{App, Catalogue, Step, key_of};
use punktfunk_media::AppSpec;
use serde::Deserialize;

use crate::exit::Failure;

/// One program, as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct FileApp {
    name: String,
    id: Option<String>,
    command: String,
    working_dir: Option<PathBuf>,
    env: BTreeMap<String, String>,
    cover: Option<PathBuf>,
    prepare: Vec<FileStep>,
}

/// One command that prepares for a program, as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct FileStep {
    run: String,
    undo: Option<String>,
    timeout: Option<f64>,
}

/// Checks what was written.
///
/// # Errors
/// A sentence that names the program and what is wrong with it.
pub fn resolve(apps: Vec<FileApp>) -> Result<Catalogue, String> {
    let apps = apps.into_iter().map(app).collect::<Result<Vec<_>, _>>()?;
    Catalogue::new(apps).map_err(|e| format!("apps: {e}"))
}

fn app(written: FileApp) -> Result<App, String> {
    let FileApp { name, id, command, working_dir, env, cover, prepare } = written;
    let title = name.trim().to_owned();
    if title.is_empty() || title.chars().any(char::is_control) {
        return Err(format!("apps.name = {name:?}: every program needs a name of one line"));
    }
    let wrong = |key: &str, what: String| Err(format!("apps.{key} of {title:?}: {what}"));
    if command.trim().is_empty() {
        return wrong("command", "every program needs a command".to_owned());
    }
    if let Some(id) = id.as_ref().filter(|id| id.chars().any(|c| c.is_control() || c.is_whitespace())) {
        return wrong("id", format!("{id:?} has spaces in it"));
    }
    if let Some(variable) = env.keys().find(|name| !is_variable(name)) {
        return wrong("env", format!("{variable:?} is no name of a variable"));
    }
    let has_nul = |text: &str| text.contains('\0');
    if has_nul(&command) || env.values().any(|v| has_nul(v)) {
        return wrong("command", "a NUL character".to_owned());
    }
    for (key, path) in [("working_dir", &working_dir), ("cover", &cover)] {
        if let Some(path) = path.as_ref().filter(|path| !path.is_absolute()) {
            return wrong(key, format!("{} is not an absolute path", path.display()));
        }
    }
    let mut steps = Vec::new();
    for FileStep { run, undo, timeout } in prepare {
        let seconds = timeout.unwrap_or(DEFAULT_TIMEOUT_S);
        if !(0.001..=LONGEST_TIMEOUT_S).contains(&seconds) {
            return wrong("prepare.timeout", format!("{seconds} s is not 0.001 to {LONGEST_TIMEOUT_S}"));
        }
        if [Some(&run), undo.as_ref()].into_iter().flatten().any(|text| has_nul(text)) {
            return wrong("prepare", "a NUL character".to_owned());
        }
        steps.push(Step { run, undo, timeout: Duration::from_secs_f64(seconds) });
    }
    let key = id.unwrap_or_else(|| key_of(&title));
    let spec = AppSpec { name: title.clone(), command, working_dir, env: env.into_iter().collect() };
    Ok(App { key, title, cover, spec: Some(spec), prepare: steps })
}

/// What every shell takes for one.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `library`: the catalogue as JSON, a list of `{id, number, title, cover}`. `id` is for native clients, `number` for
/// GameStream ones.
///
/// # Errors
/// Never for what a configuration can hold; a failure is a bug that is reported as one.
pub fn print(catalogue: &Catalogue) -> Result<(), Failure> {
    let rows: Vec<serde_json::Value> = catalogue
        .apps()
        .iter()
        .map(|app| serde_json::json!({"id": app.key, "number": app.number(), "title": app.title, "cover": app.cover}))
        .collect();
    let text = serde_json::to_string_pretty(&rows)
        .map_err(|e| Failure::new(&punktfunk_media::reason::INTERNAL_PANIC, e.to_string()))?;
    println!("{text}");
    Ok(())
}

/// Enough for whatever ends at all; a client waits meanwhile.
const DEFAULT_TIMEOUT_S: f64 = 10.0;
const LONGEST_TIMEOUT_S: f64 = 600.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        apps: Vec<FileApp>,
    }

    fn load(text: &str) -> Result<Catalogue, String> {
        resolve(toml::from_str::<File>(text).expect("TOML").apps)
    }

    #[test]
    fn programs_are_read_in_full() {
        let library = load(
            "[[apps]]\nname = 'Half-Life 2'\nid = 'steam:220'\ncommand = 'steam -applaunch 220'\nworking_dir = '/opt'\n\
             env = { A_B = 'c' }\ncover = '/c.png'\n[[apps.prepare]]\nrun = 'a'\nundo = 'b'\ntimeout = 2.5\n\
             [[apps.prepare]]\nundo = 'c'\n[[apps]]\nname = 'Files'\ncommand = 'foot'\n",
        )
        .expect("sound");
        let [desktop, game, files] = library.apps() else { panic!("{library:?}") };
        assert_eq!((desktop.key.as_str(), files.key.as_str()), ("desktop", "app:files"));
        let spec = game.spec.as_ref().expect("it starts something");
        assert_eq!((game.key.as_str(), spec.command.as_str()), ("steam:220", "steam -applaunch 220"));
        assert_eq!(spec.env, [("A_B".to_owned(), "c".to_owned())]);
        let times: Vec<_> = game.prepare.iter().map(|s| s.timeout.as_secs_f64()).collect();
        assert_eq!(times, [2.5, DEFAULT_TIMEOUT_S]);
        assert_eq!((game.prepare[1].run.as_str(), game.prepare[1].undo.as_deref()), ("", Some("c")));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (text, word) in [
            ("[[apps]]\ncommand = 'x'", "apps.name"),
            ("[[apps]]\nname = 'X'", "apps.command of \"X\""),
            ("[[apps]]\nname = 'X'\ncommand = 'x'\nworking_dir = 'here'", "apps.working_dir"),
            ("[[apps]]\nname = 'X'\ncommand = 'x'\nid = 'a b'", "apps.id"),
            ("[[apps]]\nname = 'X'\ncommand = 'x'\nenv = { 'A-B' = 'c' }", "apps.env"),
            ("[[apps]]\nname = 'X'\ncommand = 'x'\n[[apps.prepare]]\nrun = 'a'\ntimeout = 0", "apps.prepare.timeout"),
            ("[[apps]]\nname = 'X'\ncommand = 'x'\n[[apps.prepare]]\nrun = 'a'\ntimeout = nan", "apps.prepare.timeout"),
            ("[[apps]]\nname = 'X'\ncommand = 'x'\n[[apps]]\nname = 'x'\ncommand = 'y'", "two programs"),
            ("[[apps]]\nname = 'Desktop'\nid = 'desktop'\ncommand = 'x'", "two programs"),
        ] {
            let error = load(text).expect_err(word);
            assert!(error.contains(word), "{error}");
        }
    }
}
