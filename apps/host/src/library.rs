//! `[library]` and `[[apps]]` of the configuration file, and `library`, which prints what clients may start.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use punktfunk_hub::catalogue::{App, Catalogue, Source, Step, key_of};
use punktfunk_hub::library::stores::{Roots, Scanner, clean_title, is_id};
use punktfunk_hub::library::{Library, LibraryConfig};
use punktfunk_media::AppSpec;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::paths::Paths;

/// `[library]`, as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct FileLibrary {
    scanners: Option<Vec<Scanner>>,
    hidden: BTreeSet<String>,
    prepare: Vec<FileStep>,
    exit: Exit,
}

/// What the exit of a program ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Exit {
    /// The session.
    #[default]
    Session,
    /// The program alone.
    Desktop,
}

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
    exit: Option<Exit>,
    library_prepare: Option<bool>,
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
pub fn resolve(apps: Vec<FileApp>, library: FileLibrary) -> Result<LibraryConfig, String> {
    let FileLibrary { scanners, hidden, prepare, exit } = library;
    let apps = apps.into_iter().map(|written| app(written, exit)).collect::<Result<Vec<_>, _>>()?;
    let on = |only: Vec<Scanner>| Scanner::ALL.map(|scanner| (scanner, only.contains(&scanner))).to_vec();
    Ok(LibraryConfig {
        apps: Catalogue::new(apps).map_err(|e| format!("apps: {e}"))?,
        scanners: scanners.map(on).unwrap_or_default(),
        hidden,
        prepare: steps(prepare).map_err(|(key, what)| format!("library.{key}: {what}"))?,
        ends_session: exit == Exit::Session,
    })
}

fn app(written: FileApp, usual: Exit) -> Result<App, String> {
    let FileApp { name, id, command, working_dir, env, cover, prepare, exit, library_prepare } = written;
    let title = clean_title(&name);
    if title.is_empty() || name.trim().chars().any(char::is_control) {
        return Err(format!("apps.name = {name:?}: every program needs a name of one line"));
    }
    let wrong = |key: &str, what: String| Err(format!("apps.{key} of {title:?}: {what}"));
    if command.trim().is_empty() {
        return wrong("command", "every program needs a command".to_owned());
    }
    if let Some(id) = id.as_ref().filter(|id| !is_id(id)) {
        return wrong("id", format!("{id:?} has spaces in it, or is not 1 to 128 bytes long"));
    }
    if let Some(variable) = env.keys().find(|name| !is_variable(name)) {
        return wrong("env", format!("{variable:?} is no name of a variable"));
    }
    if has_nul(&command) || env.values().any(|v| has_nul(v)) {
        return wrong("command", "a NUL character".to_owned());
    }
    for (key, path) in [("working_dir", &working_dir), ("cover", &cover)] {
        if let Some(path) = path.as_ref().filter(|path| !path.is_absolute()) {
            return wrong(key, format!("{} is not an absolute path", path.display()));
        }
    }
    let prepare = steps(prepare).map_err(|(key, what)| format!("apps.{key} of {title:?}: {what}"))?;
    let key = id.unwrap_or_else(|| key_of(&title));
    let spec = AppSpec { name: title.clone(), command, working_dir, env: env.into_iter().collect(), mark: None };
    let ends_session = exit.unwrap_or(usual) == Exit::Session;
    let library_prepare = library_prepare.unwrap_or(true);
    Ok(App { key, title, source: Source::File, cover, spec: Some(spec), prepare, library_prepare, ends_session })
}

/// The steps; or the key that is wrong, and what is wrong with it.
fn steps(written: Vec<FileStep>) -> Result<Vec<Step>, (&'static str, String)> {
    let step = |FileStep { run, undo, timeout }: FileStep| {
        let (usual, longest) = (Step::USUAL.as_secs_f64(), Step::LONGEST.as_secs_f64());
        let seconds = timeout.unwrap_or(usual);
        if !(0.001..=longest).contains(&seconds) {
            return Err(("prepare.timeout", format!("{seconds} s is not 0.001 to {longest}")));
        }
        if [Some(&run), undo.as_ref()].into_iter().flatten().any(|text| has_nul(text)) {
            return Err(("prepare", "a NUL character".to_owned()));
        }
        Ok(Step { run, undo, timeout: Duration::from_secs_f64(seconds) })
    };
    written.into_iter().map(step).collect()
}

fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

/// What every shell takes for one.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What `library` prints.
#[derive(Clone, Debug, Default)]
pub struct Printed {
    /// Only entries of these sources.
    pub sources: Vec<String>,
    /// Hidden ones, too.
    pub all: bool,
    /// The scanners, with what they could not read.
    pub scan: bool,
}

/// `library`: what can be started as JSON, a list of `{id, number, title, source, cover, hidden}`. `id` is for native
/// clients, `number` for GameStream ones. With `scan` it is `{scanners, entries}`.
///
/// # Errors
/// Never for what a library can hold; a failure is a bug that is reported as one.
pub fn print(config: &LibraryConfig, paths: &Paths, printed: &Printed) -> Result<(), Failure> {
    let library = Library::open(config.clone(), Some(Roots::from_env()), &paths.state, Arc::default());
    // The first scan was waited for already, unless the disk is slow.
    library.settle(SCAN_PATIENCE);
    let view = library.view();
    let row = |app: &App, hidden: bool| {
        json!({"id": app.key, "number": app.number(), "title": app.title, "source": app.source.name(),
            "cover": app.cover, "hidden": hidden})
    };
    let wanted = |app: &&App| printed.sources.is_empty() || printed.sources.iter().any(|s| s == app.source.name());
    let mut rows: Vec<Value> = view.visible.iter().filter(wanted).map(|app| row(app, false)).collect();
    if printed.all {
        rows.extend(view.hidden.iter().filter(wanted).map(|app| row(app, true)));
    }
    let answer = if printed.scan {
        let problem = |p: &punktfunk_hub::library::stores::Problem| json!({"code": p.reason.code, "message": p.reason.sentence, "fix": p.reason.fix, "path": p.path, "detail": p.detail});
        let scanner = |s: &punktfunk_hub::library::ScannerState| {
            json!({"name": s.scanner.name(), "on": s.on, "found": s.found, "took_us": s.took.map(|t| t.as_micros()),
                "problems": s.problems.iter().map(problem).collect::<Vec<_>>()})
        };
        json!({"scanners": view.scanners.iter().map(scanner).collect::<Vec<_>>(), "entries": rows})
    } else {
        Value::Array(rows)
    };
    let text = serde_json::to_string_pretty(&answer)
        .map_err(|e| Failure::new(&punktfunk_media::reason::INTERNAL_PANIC, e.to_string()))?;
    // Whoever closed the other end has seen enough.
    let _ = writeln!(std::io::stdout(), "{text}");
    Ok(())
}

/// A network drive may have to wake up.
const SCAN_PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        apps: Vec<FileApp>,
        #[serde(default)]
        library: FileLibrary,
    }

    fn load(text: &str) -> Result<LibraryConfig, String> {
        let file = toml::from_str::<File>(text).expect("TOML");
        resolve(file.apps, file.library)
    }

    #[test]
    fn programs_are_read_in_full() {
        let library = load(
            "[[apps]]\nname = 'Half-Life 2'\nid = 'steam:220'\ncommand = 'steam -applaunch 220'\nworking_dir = '/opt'\n\
             env = { A_B = 'c' }\ncover = '/c.png'\n[[apps.prepare]]\nrun = 'a'\nundo = 'b'\ntimeout = 2.5\n\
             [[apps.prepare]]\nundo = 'c'\n[[apps]]\nname = 'Files'\ncommand = 'foot'\n",
        )
        .expect("sound");
        let [desktop, game, files] = library.apps.apps() else { panic!("{library:?}") };
        assert_eq!((desktop.key.as_str(), files.key.as_str()), ("desktop", "app:files"));
        let spec = game.spec.as_ref().expect("it starts something");
        assert_eq!((game.key.as_str(), spec.command.as_str()), ("steam:220", "steam -applaunch 220"));
        assert_eq!(spec.env, [("A_B".to_owned(), "c".to_owned())]);
        let times: Vec<_> = game.prepare.iter().map(|s| s.timeout.as_secs_f64()).collect();
        assert_eq!(times, [2.5, Step::USUAL.as_secs_f64()]);
        assert_eq!((game.prepare[1].run.as_str(), game.prepare[1].undo.as_deref()), ("", Some("c")));
    }

    #[test]
    fn what_counts_for_all_is_read_and_each_may_differ() {
        let library = load(
            "[library]\nscanners = ['steam', 'retroarch']\nhidden = ['steam:570']\nexit = 'desktop'\n[[library.prepare]]\nrun = 'a'\n\
             [[apps]]\nname = 'A'\ncommand = 'x'\n[[apps]]\nname = 'B'\ncommand = 'x'\nexit = 'session'\n",
        )
        .expect("sound");
        let on: Vec<_> = library.scanners.iter().filter(|(_, on)| *on).map(|(s, _)| s.name()).collect();
        assert_eq!((on, library.scanners.len()), (vec!["steam", "retroarch"], Scanner::ALL.len()));
        assert!(library.hidden.contains("steam:570") && library.prepare.len() == 1 && !library.ends_session);
        let exits: Vec<_> = library.apps.apps().iter().map(|a| a.ends_session).collect();
        assert_eq!(exits, [true, false, true]);
        let usual = load("").expect("empty");
        assert!(usual.scanners.is_empty() && usual.ends_session, "people may switch them");
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
            ("[[library.prepare]]\nrun = 'a'\ntimeout = 1e9", "library.prepare.timeout"),
        ] {
            let error = load(text).expect_err(word);
            assert!(error.contains(word), "{error}");
        }
    }
}
