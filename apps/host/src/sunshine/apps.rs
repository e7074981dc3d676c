//! `apps.json`: programs, with the commands around them.

use std::path::{Path, PathBuf};

use punktfunk_hub::catalogue::key_of;
use punktfunk_hub::library::stores::{clean_title, picture_type, quote};
use toml::{Table, Value};

use super::Imported;

type Json = serde_json::Value;

/// Every key of an entry, and what becomes of it; for the documentation and its test.
#[cfg(test)]
pub(super) const KEYS: &[(&str, &str)] = &[
    ("auto-detach", "what a program started counts as it, so nothing has to be guessed"),
    ("cmd", "`apps.command`"),
    (
        "detached",
        "`apps.prepare.run`, in the background; without `cmd` it is the command, and the session goes on when it ends",
    ),
    ("elevated", "Windows only"),
    ("env", "`apps.env` of every program"),
    ("exclude-global-prep-cmd", "`apps.library_prepare`"),
    ("exit-timeout", "a program has 2 s to end when it is told to"),
    ("image-path", "`apps.cover`, if it is a picture that is there"),
    ("name", "`apps.name`"),
    ("output", "`apps.command`, whose output goes there"),
    ("prep-cmd", "`apps.prepare`"),
    ("wait-all", "the program and all that it started are waited for, always"),
    ("working-dir", "`apps.working_dir`"),
];

/// Applies the list.
///
/// # Errors
/// It is not what Sunshine writes.
pub(super) fn apply(text: &str, folder: &Path, imported: &mut Imported) -> Result<(), String> {
    let file: Json = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let shared = file.get("env").and_then(Json::as_object).cloned().unwrap_or_default();
    let list = file.get("apps").and_then(Json::as_array).ok_or("it has no list `apps`")?;
    let mut rows = Vec::new();
    let mut keys = std::collections::HashSet::from(["desktop".to_owned()]);
    for entry in list {
        let name = clean_title(entry["name"].as_str().unwrap_or_default());
        if name.is_empty() {
            imported.leave_out("a program of apps.json", "it has no name");
            continue;
        }
        if let Some(mut row) = app(&name, entry, folder, imported) {
            if !keys.insert(key_of(&name)) {
                let mut numbered = (2..).map(|n| format!("{}-{n}", key_of(&name)));
                let key = numbered.find(|key| keys.insert(key.clone())).unwrap_or_default();
                row.insert("id".into(), key.into());
            }
            let env: Table = shared
                .iter()
                .filter(|(name, _)| is_variable(name) && name.as_str() != "PATH")
                .filter_map(|(name, value)| Some((name.clone(), expand(value.as_str()?).into())))
                .collect();
            if !env.is_empty() {
                row.insert("env".into(), env.into());
            }
            rows.push(Value::Table(row));
        }
    }
    if shared.contains_key("PATH") {
        imported.leave_out("env PATH", "programs have the desktop's");
    }
    if !rows.is_empty() {
        imported.config.insert("apps".into(), Value::Array(rows));
    }
    Ok(())
}

fn app(name: &str, entry: &Json, folder: &Path, imported: &mut Imported) -> Option<Table> {
    let text = |key: &str| entry[key].as_str().map(str::trim).filter(|t| !t.is_empty());
    let is = |key: &str| entry[key].as_bool().or_else(|| Some(entry[key].as_str()? == "true"));
    let at = |key: &str| format!("{name}: {key}");
    let detached: Vec<String> = entry["detached"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|c| Some(in_shell(c.as_str()?)))
        .filter(|c| !c.is_empty())
        .collect();
    let mut prepare = steps(&entry["prep-cmd"], name, imported);
    let command = match text("cmd").map(in_shell) {
        Some(command) => {
            // As the last before the program, as Sunshine starts them.
            let background =
                |c: &String| Table::from_iter([("run".to_owned(), Value::from(format!("({c}) >/dev/null 2>&1 &")))]);
            prepare.extend(detached.iter().map(background));
            command
        }
        None if detached.is_empty() && prepare.is_empty() => {
            imported.leave_out(name, "the bare desktop is in every library already");
            return None;
        }
        // Goes on until the client quits.
        None => detached.iter().map(|c| format!("({c}) & ")).chain(["exec sleep infinity".to_owned()]).collect(),
    };
    let command = match text("output").filter(|o| *o != "null") {
        Some(file) => format!("({command}) >>{} 2>&1", quote(&absolute(file, folder).to_string_lossy())),
        None => command,
    };
    let mut row =
        Table::from_iter([("name".to_owned(), Value::from(name)), ("command".to_owned(), Value::from(command))]);
    if let Some(dir) = text("working-dir") {
        row.insert("working_dir".into(), absolute(dir, folder).to_string_lossy().into_owned().into());
    }
    if let Some(image) = text("image-path") {
        let path = absolute(image, folder);
        if std::fs::read(&path).is_ok_and(|bytes| picture_type(&bytes).is_some()) {
            row.insert("cover".into(), path.to_string_lossy().into_owned().into());
        } else {
            imported.leave_out(at("image-path"), format!("{} is no picture", path.display()));
        }
    }
    if is("exclude-global-prep-cmd") == Some(true) {
        row.insert("library_prepare".into(), false.into());
    }
    if !prepare.is_empty() {
        row.insert("prepare".into(), Value::Array(prepare.into_iter().map(Table::into).collect()));
    }
    for (key, usual, why) in [
        ("auto-detach", true, "what a program started counts as it"),
        ("wait-all", true, "the program and all that it started are waited for"),
        ("elevated", false, "Windows only"),
    ] {
        if is(key).is_some_and(|value| value != usual) {
            imported.leave_out(at(key), why);
        }
    }
    if entry["exit-timeout"].as_i64().is_some_and(|t| t != 5) {
        imported.leave_out(at("exit-timeout"), "a program has 2 s to end when it is told to");
    }
    const KNOWN: [&str; 15] = [
        "auto-detach",
        "cmd",
        "detached",
        "elevated",
        "env",
        "exclude-global-prep-cmd",
        "exit-timeout",
        "image-path",
        "index",
        "name",
        "output",
        "prep-cmd",
        "uuid",
        "wait-all",
        "working-dir",
    ];
    for key in entry.as_object().into_iter().flatten().map(|(key, _)| key).filter(|key| !KNOWN.contains(&key.as_str()))
    {
        imported.leave_out(at(&clean_title(key)), "Sunshine has no such key");
    }
    Some(row)
}

/// `do` and `undo` as steps.
pub(super) fn steps(list: &Json, whose: &str, imported: &mut Imported) -> Vec<Table> {
    let mut steps = Vec::new();
    for step in list.as_array().into_iter().flatten() {
        let command = |key: &str| step[key].as_str().map(in_shell).filter(|c| !c.is_empty());
        let (run, undo) = (command("do"), command("undo"));
        if run.is_none() && undo.is_none() {
            continue;
        }
        let mut row = Table::from_iter([("run".to_owned(), Value::from(run.unwrap_or_default()))]);
        row.extend(undo.map(|undo| ("undo".to_owned(), Value::from(undo))));
        if step["elevated"].as_bool() == Some(true) || step["elevated"].as_str() == Some("true") {
            imported.leave_out(format!("{whose}: elevated"), "Windows only");
        }
        steps.push(row);
    }
    steps
}

/// A command as a shell understands it: `$(NAME)` is a variable in Sunshine.
fn in_shell(command: &str) -> String {
    replace_variables(command.trim(), |name| format!("${{{name}}}"))
}

/// A path or value with its variables, as they are now.
fn expand(text: &str) -> String {
    replace_variables(text, |name| std::env::var(name).unwrap_or_default())
}

fn replace_variables(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$(") {
        out.push_str(before);
        match after.split_once(')') {
            Some((name, behind)) if is_variable(name) => {
                out.push_str(&value(name));
                rest = behind;
            }
            _ => {
                out.push_str("$(");
                rest = after;
            }
        }
    }
    out + rest
}

fn absolute(path: &str, folder: &Path) -> PathBuf {
    folder.join(expand(path.trim_matches('"')))
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
