//! Programs on a desktop, found again by a mark in their environment: they may start others and end themselves, and a
//! later host knows no process ids.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_media::{AppSpec, LaunchError, RunningApp, reason};
use serde::{Deserialize, Serialize};

use crate::private::sound::WAIT_FOR_SOUND;
use crate::process::{Environ, Patience, ProcessId, end_all, end_family, family, processes};
use crate::random::random_id;
use crate::shell::quote;

/// A program and everything that it started.
///
/// What a store's launcher starts is found by a mark of the store's own ([`AppSpec::mark`]): the launcher may stay when the
/// game ends, or have handed over to one of its kind that runs already.
#[derive(Debug)]
pub struct MarkedApp {
    /// `NAME=value` of ours, on what was started and on what that started.
    mark: String,
    game: Option<Game>,
    seen: Mutex<Seen>,
}

/// How the game behind a launcher is told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Game {
    /// `NAME=value` of its store.
    mark: String,
    /// `NAME=value` of whatever belongs to its desktop; without, the whole session is one.
    member: Option<String>,
}

/// What was found when last looked.
#[derive(Debug, Default)]
struct Seen {
    /// As long as one lives, nobody has to look through all processes.
    known: Vec<ProcessId>,
    game: bool,
    /// Since when nothing of it is left.
    gone: Option<Instant>,
    looked: Option<Instant>,
}

/// What the journal keeps about a program in somebody's session; on a private desktop it belongs to the desktop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRecord {
    /// `NAME=value` in the environment of the program and of what it started.
    pub mark: String,
}

impl MarkedApp {
    /// The one with this token.
    pub fn of(token: &str) -> Self {
        let mut parts = token.split('\n');
        let mark = parts.next().unwrap_or_default().to_owned();
        let member = |part: Option<&str>| part.filter(|p| !p.is_empty()).map(str::to_owned);
        let game = parts.next().map(|mark| Game { mark: mark.to_owned(), member: member(parts.next()) });
        Self { mark, game, seen: Mutex::default() }
    }

    /// As [`punktfunk_media::Desktop::app`] wants it.
    pub fn find(token: &str) -> Option<Box<dyn RunningApp>> {
        let app = Self::of(token);
        (token.starts_with(MARK) && app.is_running()).then(|| Box::new(app) as Box<dyn RunningApp>)
    }

    /// The game's own processes.
    fn games(&self, game: &Game) -> Vec<i32> {
        let ours = |e: &Environ| e.has(&self.mark) || game.member.as_ref().is_none_or(|member| e.has(member));
        processes(&|e| e.has(&game.mark) && ours(e))
    }

    /// Everything: the launcher, too.
    fn all(&self) -> Vec<i32> {
        let mut all = family(&self.mark);
        all.extend(self.game.iter().flat_map(|game| self.games(game)));
        all
    }
}

impl Seen {
    /// Twice: one that forked and ended during the first look was gone before it was read, and its child was not yet there
    /// when the list was made.
    fn look(&mut self, find: impl Fn() -> Vec<i32>) -> bool {
        for _ in 0..2 {
            self.known = find().into_iter().filter_map(ProcessId::of).collect();
            if !self.known.is_empty() {
                return true;
            }
        }
        false
    }

    fn lives(&self) -> bool {
        self.known.iter().any(|p| p.is_alive())
    }

    /// Nothing is left; whether that may change within this time.
    fn may_come_back(&mut self, within: Duration) -> bool {
        self.gone.get_or_insert_with(Instant::now).elapsed() < within
    }
}

impl RunningApp for MarkedApp {
    fn token(&self) -> String {
        let game = self.game.iter().flat_map(|g| [Some(&g.mark), g.member.as_ref()]).flatten();
        std::iter::once(&self.mark).chain(game).map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    fn is_running(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = &mut *seen;
        let Some(game) = &self.game else { return seen.lives() || seen.look(|| family(&self.mark)) };
        if seen.game && seen.lives() {
            seen.gone = None;
            return true;
        }
        // Nothing is known to live but maybe the launcher: all processes are looked through, though not each time.
        if seen.looked.is_none_or(|at| at.elapsed() >= LOOK_FOR_GAMES) {
            seen.looked = Some(Instant::now());
            if seen.look(|| self.games(game)) {
                (seen.game, seen.gone) = (true, None);
                return true;
            }
        }
        if seen.game {
            return seen.may_come_back(HAND_OVER);
        }
        if seen.lives() || seen.look(|| family(&self.mark)) {
            seen.gone = None;
            return true;
        }
        seen.may_come_back(GAME_STARTS)
    }

    fn end(&self) {
        if let Err(left) = end_all(None, &|| self.all(), Patience::PROGRAM) {
            tracing::warn!(mark = self.mark, "processes {left:?} of a program did not end");
        }
    }
}

/// A mark that nothing else has.
///
/// # Errors
/// `app.failed` where the system has no randomness.
pub fn new_mark() -> Result<String, LaunchError> {
    random_id().map(|id| format!("{MARK}{id}")).map_err(|e| failed(format!("/dev/urandom: {e}")))
}

/// What starts scripts on a desktop, so that they have what every program of this desktop has, and end with it.
pub trait Starter {
    /// Starts `sh SCRIPT` with `mark` (`NAME=value`) in its environment.
    ///
    /// # Errors
    /// A sentence for the log.
    fn start(&mut self, script: &Path, mark: &str) -> Result<(), String>;
}

/// Starts `app` through `starter`, with `mark` (of [`new_mark`]), by a script in the desktop's folder `dir`. Waits until it
/// runs. Everything on that desktop carries `member` (`NAME=value`), if it is one of our own.
///
/// # Errors
/// `app.failed`.
pub fn launch(
    dir: &Path,
    starter: &mut dyn Starter,
    app: &AppSpec,
    mark: &str,
    member: Option<&str>,
) -> Result<MarkedApp, LaunchError> {
    if let Some(dir) = app.working_dir.as_ref().filter(|dir| !dir.is_dir()) {
        return Err(failed(format!("the working folder {} is none", dir.display())));
    }
    let name = mark.rsplit('=').next().unwrap_or_default();
    let script = dir.join(format!("punktfunk-app-{name}.sh"));
    let outcome = write(&script, dir, &text(app, member.is_some()))
        .map_err(|e| format!("{}: {e}", script.display()))
        .and_then(|()| starter.start(&script, mark))
        .and_then(|()| wait_started(&script));
    if let Err(detail) = outcome {
        // It takes itself away when it starts.
        let _ = fs::remove_file(&script);
        return Err(failed(detail));
    }
    tracing::info!(app = app.name, "program started");
    let game = app.mark.as_ref().map(|mark| Game { mark: mark.clone(), member: member.map(str::to_owned) });
    Ok(MarkedApp { mark: mark.to_owned(), game, seen: Mutex::default() })
}

fn wait_started(script: &Path) -> Result<(), String> {
    let until = Instant::now() + STARTED_WITHIN;
    while script.exists() {
        if Instant::now() >= until {
            return Err(format!("the desktop did not start it within {STARTED_WITHIN:?}"));
        }
        std::thread::sleep(LOOK_AGAIN_AFTER);
    }
    Ok(())
}

/// A script, since sway's own quoting of commands differs between versions. `private`: on a desktop of our own, whose sound
/// may still be coming up.
fn text(app: &AppSpec, private: bool) -> String {
    let mut text = "rm -f \"$0\"\n".to_owned();
    if private {
        text += WAIT_FOR_SOUND;
    }
    for (name, value) in &app.env {
        text += &format!("export {name}={}\n", quote(value));
    }
    match &app.working_dir {
        Some(dir) => text += &format!("cd {} || exit\n", quote(&dir.to_string_lossy())),
        None => text += "cd\n",
    }
    text + &app.command + "\n"
}

fn write(path: &Path, dir: &Path, text: &str) -> std::io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    // Root (a test that started the desktop as somebody else) gives it to whom the folder belongs to.
    if rustix::process::geteuid().is_root() {
        let owner = fs::metadata(dir)?;
        chown(path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Ends a program with everything that carries its mark.
pub fn end_app(mark: &str) -> Result<(), Vec<i32>> {
    end_family(None, mark, Patience::PROGRAM)
}

fn failed(detail: String) -> LaunchError {
    LaunchError { reason: &reason::APP_FAILED, detail }
}

/// Environment variable of a program and of what it started, with its `=`.
const MARK: &str = "PUNKTFUNK_APP=";
/// A compositor forks at once; a loaded machine may take a while to run the shell.
const STARTED_WITHIN: Duration = Duration::from_secs(3);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(2);
/// Looking through some hundred processes takes milliseconds.
const LOOK_FOR_GAMES: Duration = Duration::from_secs(1);
/// A game's own launcher ends before its game begins.
const HAND_OVER: Duration = Duration::from_secs(3);
/// A store that runs already may update the game before it starts it, and says nothing meanwhile.
const GAME_STARTS: Duration = Duration::from_secs(60);
