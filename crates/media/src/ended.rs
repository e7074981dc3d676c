//! A program that ended at once: who started it says so in the desktop's runtime folder, where the desktop's launcher looks.
//!
//! ```text
//! errors to a file of its own ─► it ends ─┬─ well, or later on ─► nothing
//!                                         └─ at once, badly ────► EndedAtOnce::tell ─► ENDED_FILE, newest wins ─► ::heard
//! ```

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What is told of it, for people. Texts have no control characters and a length that fits a screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndedAtOnce {
    /// The program, as people know it.
    pub title: String,
    /// How it ended: `exit status: 127`, `signal: 11 (SIGSEGV)`.
    pub status: String,
    /// The last line of its error output that says anything.
    pub said: Option<String>,
}

impl EndedAtOnce {
    /// Of a program that ended with `status`, so long after it was started; `errors` is the end of its error output. `None`: it
    /// ended well, or ran for a while.
    #[must_use]
    pub fn of(title: &str, status: ExitStatus, after: Duration, errors: &[u8]) -> Option<Self> {
        if status.success() || after > AT_ONCE {
            return None;
        }
        let text = String::from_utf8_lossy(errors);
        let said = text.lines().rev().map(|line| line_of(line, LONGEST_LINE)).find(|line| !line.is_empty());
        Some(Self { title: line_of(title, LONGEST_TITLE), status: line_of(&status.to_string(), LONGEST_TITLE), said })
    }

    /// One line for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { title, status, said } = self;
        let title = if title.is_empty() { "The program" } else { title };
        match said {
            Some(said) => format!("{title} ended at once ({status}): {said}"),
            None => format!("{title} ended at once ({status})."),
        }
    }

    /// Writes it into `dir` as [`ENDED_FILE`], whole or not at all.
    ///
    /// # Errors
    /// As the system says.
    pub fn tell(&self, dir: &Path) -> io::Result<()> {
        static TOLD: AtomicU32 = AtomicU32::new(0);
        let number = TOLD.fetch_add(1, Ordering::Relaxed);
        let new = dir.join(format!(".{ENDED_FILE}-{}-{number}", std::process::id()));
        let text = format!("{}\n{}\n{}\n", self.title, self.status, self.said.as_deref().unwrap_or_default());
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, dir.join(ENDED_FILE)));
        written.inspect_err(|_| drop(fs::remove_file(&new)))
    }

    /// What was written last. Any program of the desktop may have been the author, so it is cut to size again.
    #[must_use]
    pub fn heard(dir: &Path) -> Option<Self> {
        let mut text = Vec::new();
        File::open(dir.join(ENDED_FILE)).and_then(|file| file.take(LARGEST_FILE).read_to_end(&mut text)).ok()?;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        let title = line_of(lines.next()?, LONGEST_TITLE);
        let status = line_of(lines.next()?, LONGEST_TITLE);
        let said = lines.next().map(|line| line_of(line, LONGEST_LINE)).filter(|line| !line.is_empty());
        Some(Self { title, status, said })
    }
}

/// A program's error output, in a file of its own while it runs: a pipe would have to be read for as long as the program
/// lives, and its end would be the program's.
#[derive(Debug)]
pub struct ErrorOutput {
    file: File,
    path: PathBuf,
}

impl ErrorOutput {
    /// An empty one in `dir`.
    ///
    /// # Errors
    /// As the system says.
    pub fn new(dir: &Path) -> io::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("errors-{}-{number}.log", std::process::id()));
        let file = File::options().read(true).append(true).create_new(true).open(&path)?;
        Ok(Self { file, path })
    }

    /// For the program.
    ///
    /// # Errors
    /// As the system says.
    pub fn stdio(&self) -> io::Result<Stdio> {
        self.file.try_clone().map(Stdio::from)
    }

    /// What was written last, once the program has ended, at most 16 KiB; also passed on to where our own errors go. The file
    /// is gone then.
    #[must_use]
    pub fn end(self) -> Vec<u8> {
        let last = end_of_log(&self.file);
        let _ = io::stderr().write_all(&last);
        last
    }
}

/// What was written last into a log that others write on, at most 16 KiB; nothing if it cannot be read.
#[must_use]
pub fn end_of_log(mut file: &File) -> Vec<u8> {
    let mut last = Vec::new();
    let from = file.metadata().map_or(0, |m| m.len()).saturating_sub(LARGEST_FILE);
    // Unreadable is as good as empty.
    let _ = file.seek(SeekFrom::Start(from)).and_then(|_| file.take(LARGEST_FILE).read_to_end(&mut last));
    last
}

impl Drop for ErrorOutput {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Without escape sequences and control characters, and no longer than that.
fn line_of(text: &str, longest: usize) -> String {
    let mut line = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            // ECMA-48: a control sequence ends with a character from @ to ~, what follows any other escape is one character.
            '\u{1b}' if rest.next() == Some('[') => drop(rest.find(|c| ('@'..='~').contains(c))),
            '\u{1b}' => {}
            c if c.is_control() => line.push(' '),
            c => line.push(c),
        }
    }
    let line = line.trim();
    match line.char_indices().nth(longest) {
        Some((at, _)) => format!("{}…", line[..at].trim_end()),
        None => line.to_owned(),
    }
}

/// Name of the file in the desktop's runtime folder.
pub const ENDED_FILE: &str = "ended";
/// What a person calls at once. Later they have seen it.
const AT_ONCE: Duration = Duration::from_secs(3);
const LONGEST_TITLE: usize = 60;
const LONGEST_LINE: usize = 120;
/// The end of a log, and more than this file ever has.
const LARGEST_FILE: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn ran(script: &str) -> ExitStatus {
        Command::new("sh").args(["-c", script]).status().expect("sh runs")
    }

    #[test]
    fn only_a_program_that_ends_badly_and_at_once_is_told_of() {
        let (good, bad) = (ran("exit 0"), ran("exit 3"));
        let at_once = Duration::from_millis(20);
        assert_eq!(EndedAtOnce::of("Game", good, at_once, b"warning\n"), None);
        assert_eq!(EndedAtOnce::of("Game", bad, Duration::from_secs(4), b""), None);
        let ended = EndedAtOnce::of("Game", bad, at_once, b"starting\n\x1b[31mno such engine\x1b[0m\r\n \n").unwrap();
        assert_eq!(ended.sentence(), "Game ended at once (exit status: 3): no such engine");
        let silent = EndedAtOnce::of("Game", ran("kill -9 $$"), at_once, b"").unwrap();
        assert_eq!(silent.sentence(), "Game ended at once (signal: 9 (SIGKILL)).");
    }

    #[test]
    fn what_anybody_may_have_written_is_short_and_without_control_characters() {
        let dir = std::env::temp_dir().join(format!("pf-ended-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(EndedAtOnce::heard(&dir), None, "nothing was told yet");
        let ended =
            EndedAtOnce { title: "Ärger".into(), status: "exit status: 127".into(), said: Some("not found".into()) };
        ended.tell(&dir).unwrap();
        assert_eq!(EndedAtOnce::heard(&dir), Some(ended));
        let silent = EndedAtOnce { title: "B".into(), status: "exit status: 1".into(), said: None };
        silent.tell(&dir).unwrap();
        assert_eq!(EndedAtOnce::heard(&dir), Some(silent), "the newest one");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        let mut hostile = b"\x1b]0;title\x07\x00\n\x1b[2J\xff\xfe\n".to_vec();
        hostile.extend(std::iter::repeat_n("世\u{7}".as_bytes(), 100_000).flatten());
        fs::write(dir.join(ENDED_FILE), &hostile).unwrap();
        let heard = EndedAtOnce::heard(&dir).unwrap();
        let said = heard.said.clone().unwrap();
        assert!(said.ends_with('…') && (100..=LONGEST_LINE + 1).contains(&said.chars().count()), "{said}");
        assert!(!heard.sentence().chars().any(char::is_control), "{heard:?}");
        fs::write(dir.join(ENDED_FILE), "one line").unwrap();
        assert_eq!(EndedAtOnce::heard(&dir), None);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_end_of_a_programs_errors_is_kept_and_its_file_is_not() {
        let dir = std::env::temp_dir().join(format!("pf-errors-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let output = ErrorOutput::new(&dir).unwrap();
        let script = "i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; echo last >&2";
        let status = Command::new("sh").args(["-c", script]).stderr(output.stdio().unwrap()).status().unwrap();
        assert!(status.success());
        let last = output.end();
        assert!(last.len() as u64 == LARGEST_FILE && last.ends_with(b"line 2999\nlast\n"));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        fs::remove_dir_all(&dir).unwrap();
    }
}
