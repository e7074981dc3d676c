//! Tries a desktop out: one output, one picture, one injector, and everything gone again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_media::{Captured, Capturer, Desktop, DesktopInfo, Journal, Mode, OpenError, StageRequest, reason};

/// What a trial showed (`punktfunk-host probe-compositor`, `doctor`).
#[derive(Clone, Debug, serde::Serialize)]
pub struct ProbeReport {
    /// Which desktop, its version and protocols.
    pub desktop: DesktopInfo,
    /// The mode that was really made, `WxH@HZ`.
    pub mode: String,
    /// Milliseconds until the output was there.
    pub open_ms: u64,
    /// Milliseconds from then until the first picture.
    pub first_picture_ms: u64,
    /// Layout of the picture: size, stride, byte order, transform.
    pub picture: String,
    /// `true`, or why input cannot be injected.
    pub input: Result<(), String>,
    /// The keyboard layout in force and where it came from.
    pub keyboard: String,
}

/// Opens a stage at `mode`, takes one picture, opens an injector, and undoes it all.
///
/// # Errors
/// [`OpenError`] when no output can be made or no picture be taken.
pub fn probe(desktop: &dyn Desktop, mode: Mode, journal: &Arc<dyn Journal>) -> Result<ProbeReport, OpenError> {
    let started = Instant::now();
    let request = StageRequest { identity: "probe-compositor".to_owned(), name: "probe-compositor".to_owned(), mode };
    let mut stage = desktop.open(&request, journal)?;
    let open_ms = millis(started.elapsed());
    let started = Instant::now();
    let capture = |e: punktfunk_media::CaptureError| OpenError { reason: e.reason, detail: e.detail };
    let mut capturer = stage.capturer().map_err(capture)?;
    let picture = first_picture(&mut *capturer).map_err(capture)?;
    let first_picture_ms = millis(started.elapsed());
    let injector = stage.injector();
    let report = ProbeReport {
        desktop: desktop.info(),
        mode: stage.mode().to_string(),
        open_ms,
        first_picture_ms,
        picture,
        input: injector.as_ref().map(|_| ()).map_err(ToString::to_string),
        keyboard: stage.keyboard_layout(),
    };
    // The means go before the output they hang on.
    drop(injector);
    drop(capturer);
    drop(stage);
    Ok(report)
}

fn first_picture(capturer: &mut dyn Capturer) -> Result<String, punktfunk_media::CaptureError> {
    let until = Instant::now() + PICTURE_WITHIN;
    let slot = capturer.make_slot()?;
    capturer.lend(slot)?;
    loop {
        match capturer.wait(until)? {
            Captured::Frame(frame) => {
                let l = frame.layout;
                return Ok(format!("{}x{} stride {} {:?} {:?}", l.width, l.height, l.stride, l.format, l.transform));
            }
            Captured::LayoutChanged(_) => {
                let slot = capturer.make_slot()?;
                capturer.lend(slot)?;
            }
            Captured::Unchanged => {
                let detail = format!("no picture within {} s", PICTURE_WITHIN.as_secs());
                return Err(punktfunk_media::CaptureError { reason: &reason::CAPTURE_LOST, detail, fatal: true });
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A picture comes within a few refreshes; a compositor that needs longer than this does not deliver.
const PICTURE_WITHIN: Duration = Duration::from_secs(3);
