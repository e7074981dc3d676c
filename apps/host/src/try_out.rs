//! `probe-compositor` and `input-test`: try the desktop that `serve` would use, without a client.

use std::sync::Arc;
use std::time::Duration;

use punktfunk_hub::journal::FileJournal;
use punktfunk_media::{AudioPolicyCell, InputAction, Journal, Mode, StageRequest, reason};

use crate::config::Config;
use crate::desktops;
use crate::exit::{Failure, USAGE};
use crate::gpus;
use crate::paths::{Paths, make_private_dir};
use crate::watchdog::Watchdog;

/// Makes an output, takes a picture, prints what was found.
///
/// # Errors
/// When no output can be made, with the reason.
pub fn compositor(config: &Config, paths: &Paths, mode: &str) -> Result<(), Failure> {
    let mode = parse_mode(mode)?;
    with_journal(paths, |journal| {
        let desktop = desktops::choose(config, paths, &AudioPolicyCell::default(), &gpus::settle(&config.gpu))?;
        let report =
            punktfunk_desktop::probe(&*desktop, mode, journal).map_err(|e| Failure::new(e.reason, e.detail))?;
        println!("desktop    {} ({})", report.desktop.name, report.desktop.version);
        println!("mode       {} in {} ms", report.mode, report.open_ms);
        println!("picture    {} after {} ms", report.picture, report.first_picture_ms);
        match &report.input {
            Ok(()) => println!("input      works"),
            Err(why) => println!("input      {why}"),
        }
        println!("keyboard   {}", report.keyboard);
        println!("protocols  {}", report.desktop.protocols.join(", "));
        Ok(())
    })
}

/// Moves, clicks, scrolls, presses and types on a desktop of its own (or the running session), and says what worked.
///
/// # Errors
/// When there is no desktop or no way to inject input.
pub fn input(config: &Config, paths: &Paths, text: &str) -> Result<(), Failure> {
    with_journal(paths, |journal| {
        let desktop = desktops::choose(config, paths, &AudioPolicyCell::default(), &gpus::settle(&config.gpu))?;
        let mode = Mode { width: 1280, height: 720, refresh_hz: 60 };
        let request = StageRequest { identity: "input-test".to_owned(), name: "input-test".to_owned(), mode };
        let mut stage = desktop.open(&request, journal).map_err(|e| Failure::new(e.reason, e.detail))?;
        // What is on the desktop needs a moment until it listens.
        std::thread::sleep(SETTLE);
        let mut injector = stage.injector().map_err(|e| Failure::new(e.reason, e.detail))?;
        println!("keyboard layout: {}", stage.keyboard_layout());
        let key = |code, down| InputAction::Key { code, down };
        let mut script = vec![
            ("pointer to the middle", vec![InputAction::MotionAbs { x: 0.5, y: 0.5 }]),
            ("pointer 10 px right", vec![InputAction::Motion { dx: 10.0, dy: 0.0 }]),
            (
                "left click",
                vec![
                    InputAction::Button { code: BTN_LEFT, down: true },
                    InputAction::Button { code: BTN_LEFT, down: false },
                ],
            ),
            (
                "keys e c h o space",
                [KEY_E, KEY_C, KEY_H, KEY_O, KEY_SPACE].iter().flat_map(|c| [key(*c, true), key(*c, false)]).collect(),
            ),
        ];
        if injector.caps().text {
            script.push(("text", text.chars().map(InputAction::Text).collect()));
        }
        script.push(("key enter", vec![key(KEY_ENTER, true), key(KEY_ENTER, false)]));
        let mut failed = None;
        for (what, actions) in script {
            let outcome = actions.iter().try_for_each(|a| injector.inject(a));
            std::thread::sleep(BETWEEN);
            match outcome {
                Ok(()) => println!("ok    {what}"),
                Err(e) => {
                    println!("fail  {what}: {e}");
                    failed = Some(Failure::new(e.reason, e.detail));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    })
}

/// A journal and a watchdog of this command's own: it must leave nothing behind either, and a running host's journal is
/// that host's.
fn with_journal(paths: &Paths, run: impl FnOnce(&Arc<dyn Journal>) -> Result<(), Failure>) -> Result<(), Failure> {
    let unwritable =
        |e: std::io::Error| Failure::new(&reason::STATE_UNWRITABLE, format!("{}: {e}", paths.runtime.display()));
    make_private_dir(&paths.runtime).map_err(unwritable)?;
    let path = paths.runtime.join(format!("try-{}.journal", std::process::id()));
    let (journal, _) = FileJournal::open(&path).map_err(|e| Failure::new(e.reason, e.to_string()))?;
    let watchdog = Watchdog::start(&path, None).map_err(unwritable)?;
    let result = run(&(Arc::clone(&journal) as Arc<dyn Journal>));
    let empty = journal.is_empty();
    drop(journal);
    watchdog.release(empty);
    if empty {
        for file in [path.clone(), path.with_extension("journal.lock")] {
            // Left over, it would be an empty file in a folder that the system clears.
            let _ = std::fs::remove_file(file);
        }
    }
    result
}

pub fn parse_mode(text: &str) -> Result<Mode, Failure> {
    let parsed = || {
        let (size, hz) = text.split_once('@')?;
        let (width, height) = size.split_once('x')?;
        Some(Mode { width: width.parse().ok()?, height: height.parse().ok()?, refresh_hz: hz.parse().ok()? })
    };
    parsed()
        .ok_or_else(|| Failure::new(&reason::CONFIG_INVALID, format!("--mode {text:?}: not WxH@HZ")).with_code(USAGE))
}

/// A private desktop's programs draw their first frame well within this.
const SETTLE: Duration = Duration::from_millis(1500);
/// Between two actions, so that a person who watches can follow.
const BETWEEN: Duration = Duration::from_millis(100);
/// Linux input event codes (`input-event-codes.h`).
const BTN_LEFT: u16 = 0x110;
const KEY_E: u16 = 18;
const KEY_ENTER: u16 = 28;
const KEY_O: u16 = 24;
const KEY_H: u16 = 35;
const KEY_C: u16 = 46;
const KEY_SPACE: u16 = 57;
