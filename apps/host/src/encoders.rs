//! Which encoders are on offer: the built-in floor at once; others when they have passed a real test encode.
//!
//! The test runs in a child process of the same binary, because a broken library or driver may take its process with it.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_media::{EncoderChoice, EncoderFactory, EncoderList, reason};

use crate::cli::EncoderName;
use crate::config::Config;
use crate::exit::Failure;

/// The list that sessions are planned with, and who may change it.
#[derive(Clone)]
pub struct Encoders {
    list: EncoderList,
    /// Rises with every choice, so that a test in the background does not undo a newer one.
    choices: Arc<Mutex<u64>>,
}

impl Encoders {
    /// With `auto` the list starts with the floor and grows in the background; a pinned encoder is waited for.
    ///
    /// # Errors
    /// `encode.*` when the pinned encoder does not work here.
    pub fn start(config: &Config) -> Result<Self, Failure> {
        let encoders = Self::fixed(Vec::new().into());
        encoders.choose(config.encoder)?;
        Ok(encoders)
    }

    /// A list of its own.
    #[must_use]
    pub fn fixed(list: EncoderList) -> Self {
        Self { list, choices: Arc::default() }
    }

    /// What sessions are planned with.
    #[must_use]
    pub const fn list(&self) -> &EncoderList {
        &self.list
    }

    /// Chooses anew, for sessions that are planned from now on. Blocks while a pinned encoder is tested.
    ///
    /// # Errors
    /// As [`Self::start`]; the list stays as it was then.
    pub fn choose(&self, name: EncoderName) -> Result<(), Failure> {
        let mut choices = self.choices.lock().unwrap_or_else(PoisonError::into_inner);
        let start = choose(name)?;
        *choices += 1;
        self.list.set(start.now);
        let (Some(wanted), choice) = (start.to_test, *choices) else { return Ok(()) };
        drop(choices);
        let encoders = self.clone();
        let test = move || {
            let passed = passing(wanted);
            let choices = encoders.choices.lock().unwrap_or_else(PoisonError::into_inner);
            if *choices == choice {
                let names: Vec<_> = passed.iter().map(|f| f.name()).collect();
                tracing::info!(encoders = names.join(", "), "encoders on offer, best first");
                encoders.list.set(passed);
            }
        };
        if let Err(e) = std::thread::Builder::new().name("encoder-test".into()).spawn(test) {
            tracing::warn!("no thread to test encoders ({e}): only {FLOOR} is offered");
        }
        Ok(())
    }
}

struct Start {
    /// On offer at once.
    now: Vec<Arc<dyn EncoderFactory>>,
    /// On offer as far as they pass.
    to_test: Option<Vec<Arc<dyn EncoderFactory>>>,
}

fn choose(name: EncoderName) -> Result<Start, Failure> {
    let choice = match name {
        EncoderName::Auto => EncoderChoice::Auto,
        EncoderName::X264 => EncoderChoice::Pinned("x264".to_owned()),
        EncoderName::Openh264 => EncoderChoice::Pinned(FLOOR.to_owned()),
    };
    let wanted = punktfunk_encode::available(&choice);
    if choice != EncoderChoice::Auto {
        let passed = passing(wanted);
        if passed.is_empty() {
            let detail = "the encoder named by --encoder failed its test; `punktfunk-host doctor` says more";
            return Err(Failure::new(&reason::ENCODE_PINNED_MISSING, detail));
        }
        return Ok(Start { now: passed, to_test: None });
    }
    let now = wanted.iter().filter(|f| f.name() == FLOOR).map(Arc::clone).collect();
    Ok(Start { now, to_test: Some(wanted) })
}

fn passing(wanted: Vec<Arc<dyn EncoderFactory>>) -> Vec<Arc<dyn EncoderFactory>> {
    wanted.into_iter().filter(|f| f.name() == FLOOR || passes(f.name())).collect()
}

/// The child's work: tests one encoder, prints what it found.
///
/// # Errors
/// Why the encoder is not fit for use.
pub fn selftest(name: &str) -> Result<(), Failure> {
    // A host that is killed meanwhile leaves nothing behind: this process goes with it.
    if let Err(e) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)) {
        tracing::debug!("parent death signal: {e}");
    }
    let found = punktfunk_encode::selftest(name).map_err(|e| Failure::new(e.reason, e.detail))?;
    println!("{}", serde_json::to_string(&found).expect("figures and texts"));
    Ok(())
}

fn passes(name: &str) -> bool {
    let child = Command::new("/proc/self/exe")
        .arg0("punktfunk-host")
        .args(["encoder-selftest", name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => {
            tracing::warn!(name, "the encoder's test could not be started: {e}");
            return false;
        }
    };
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
            _ => {
                // It hangs: the encoder is not fit, whatever the kill says.
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
        }
    };
    let passed = status.is_some_and(|s| s.success());
    if !passed {
        let mut why = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            // Only a message for the log.
            let _ = std::io::Read::read_to_string(&mut stderr, &mut why);
        }
        tracing::info!(name, ?status, "not offered: {}", why.trim());
    }
    passed
}

/// Built in, always there, tested by this program's own tests.
const FLOOR: &str = "openh264";
/// A test encode takes a quarter of a second; a driver that needs longer than this to start hangs.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
