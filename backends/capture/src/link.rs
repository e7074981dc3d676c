//! A Wayland connection of our own to one compositor, with the output found by name, and everything that its events
//! say. The protocols' capturers read [`State`] and never see an event handler.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use punktfunk_media::{CaptureError, Damage, Rect, Transform, reason};
use punktfunk_wayland::Outputs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use wayland_client::backend::WaylandError;
use wayland_client::globals::registry_queue_init;
use wayland_client::protocol::{wl_buffer::WlBuffer, wl_shm::WlShm, wl_shm_pool::WlShmPool};
use wayland_client::{Connection, Dispatch, EventQueue, QueueHandle, WEnum, delegate_noop};
use wayland_protocols::ext::image_capture_source::v1::client::{
    ext_image_capture_source_v1::ExtImageCaptureSourceV1,
    ext_output_image_capture_source_manager_v1::ExtOutputImageCaptureSourceManagerV1,
};
use wayland_protocols::ext::image_copy_capture::v1::client::{
    ext_image_copy_capture_frame_v1::{self, ExtImageCopyCaptureFrameV1},
    ext_image_copy_capture_manager_v1::ExtImageCopyCaptureManagerV1,
    ext_image_copy_capture_session_v1::{self, ExtImageCopyCaptureSessionV1},
};
use wayland_protocols_wlr::screencopy::v1::client::{
    zwlr_screencopy_frame_v1::{self, ZwlrScreencopyFrameV1},
    zwlr_screencopy_manager_v1::ZwlrScreencopyManagerV1,
};

use crate::format::Announced;

/// The connection and what is known.
pub struct Link {
    queue: EventQueue<State>,
    /// What the events said.
    pub state: State,
}

/// The globals that capturing needs.
#[derive(Default)]
pub struct Globals {
    /// Shared memory; every compositor has it.
    pub shm: Option<WlShm>,
    /// wlr-screencopy, version 3.
    pub screencopy: Option<ZwlrScreencopyManagerV1>,
    /// ext-image-copy-capture.
    pub image_copy: Option<ExtImageCopyCaptureManagerV1>,
    /// Makes capture sources of outputs.
    pub output_source: Option<ExtOutputImageCaptureSourceManagerV1>,
}

impl Globals {
    /// Whether ext-image-copy-capture can capture an output.
    pub fn has_image_copy(&self) -> bool {
        self.image_copy.is_some() && self.output_source.is_some()
    }
}

/// What the compositor told us.
pub struct State {
    /// What it offers.
    pub globals: Globals,
    /// Its outputs.
    pub outputs: Outputs,
    /// Counts announcements that a session took back.
    pub announcements: u32,
    /// Formats announced for the next picture, until [`Self::announced_all`].
    pub announced: Vec<Announced>,
    /// The announcement is complete.
    pub announced_all: bool,
    /// Size announced by an image copy session.
    pub session_size: (u32, u32),
    /// The image copy session ended.
    pub session_stopped: bool,
    /// How the running copy stands.
    pub copy: Copy,
}

/// One running copy.
#[derive(Default)]
pub struct Copy {
    /// Rows lie bottom-up.
    pub y_invert: bool,
    /// Transform told with the frame (image copy only).
    pub transform: Transform,
    /// What changed, collected.
    pub damage: Damage,
    /// Draw time on CLOCK_MONOTONIC.
    pub drawn: Duration,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// How a copy ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The picture is in the slot.
    Ready,
    /// It failed; another attempt may work.
    Failed,
    /// The slot does not fit any more; a new announcement follows.
    WrongBuffer,
    /// The source ended.
    Stopped,
}

impl Link {
    /// Connects to the compositor at `display` and finds the output named `output`.
    pub fn open(display: &Path, output: &str) -> Result<Self, CaptureError> {
        let connection = punktfunk_wayland::connect(display).map_err(died)?;
        let (list, mut queue) = registry_queue_init::<State>(&connection).map_err(|e| died(e.to_string()))?;
        let handle = queue.handle();
        let globals = Globals {
            shm: list.bind(&handle, 1..=1, ()).ok(),
            screencopy: list.bind(&handle, 3..=3, ()).ok(),
            image_copy: list.bind(&handle, 1..=1, ()).ok(),
            output_source: list.bind(&handle, 1..=1, ()).ok(),
        };
        let mut state = State::new(globals, output);
        state.outputs.bind_all(&list, &handle);
        // Twice: outputs that appear during the first round trip are bound there and tell their names in the second.
        for _ in 0..2 {
            queue.roundtrip(&mut state).map_err(|e| died(e.to_string()))?;
        }
        if state.outputs.wanted().is_none() {
            let names = state.outputs.names();
            return Err(CaptureError {
                reason: &reason::CAPTURE_LOST,
                detail: format!("no output {output} at {}; there are {names:?}", display.display()),
                fatal: true,
            });
        }
        Ok(Self { queue, state })
    }

    /// To make objects with.
    pub fn handle(&self) -> QueueHandle<State> {
        self.queue.handle()
    }

    /// Sends what was requested. A full socket is no error: the rest goes with the next call.
    pub fn flush(&self) -> Result<(), CaptureError> {
        punktfunk_wayland::flush(&self.queue).map_err(died)
    }

    /// Handles events until `done` says so (`true`) or the deadline passes (`false`).
    pub fn wait_until(&mut self, deadline: Instant, done: impl Fn(&State) -> bool) -> Result<bool, CaptureError> {
        loop {
            self.queue.dispatch_pending(&mut self.state).map_err(|e| died(e.to_string()))?;
            if done(&self.state) {
                return Ok(true);
            }
            self.flush()?;
            let Some(guard) = self.queue.prepare_read() else { continue };
            let left = deadline.saturating_duration_since(Instant::now());
            if !readable(guard.connection_fd(), left)? {
                return Ok(false);
            }
            match guard.read() {
                Err(WaylandError::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                other => drop(other.map_err(|e| died(e.to_string()))?),
            }
        }
    }
}

impl AsMut<Outputs> for State {
    fn as_mut(&mut self) -> &mut Outputs {
        &mut self.outputs
    }
}

/// Every global of the compositor at `display`, as `interface version`.
pub fn globals(display: &Path) -> Result<Vec<String>, CaptureError> {
    let connection = punktfunk_wayland::connect(display).map_err(died)?;
    let (list, _queue) = registry_queue_init::<State>(&connection).map_err(|e| died(e.to_string()))?;
    let mut names: Vec<_> =
        list.contents().clone_list().iter().map(|g| format!("{} {}", g.interface, g.version)).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The connection broke: the compositor is gone, or threw us out.
pub fn died(detail: String) -> CaptureError {
    CaptureError { reason: &reason::DESKTOP_DIED, detail, fatal: true }
}

fn readable(fd: impl AsFd, within: Duration) -> Result<bool, CaptureError> {
    let timeout = Timespec { tv_sec: within.as_secs() as i64, tv_nsec: i64::from(within.subsec_nanos()) };
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    match poll(&mut fds, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(true),
        Err(e) => Err(died(format!("poll: {e}"))),
    }
}

/// `CLOCK_MONOTONIC` time of a compositor as an [`Instant`]. A time that lies in the future or more than a second back
/// is another clock's, and means "now".
pub fn instant_of(monotonic: Duration) -> Instant {
    let now = Instant::now();
    let clock = clock_gettime(ClockId::Monotonic);
    let clock = Duration::new(u64::try_from(clock.tv_sec).unwrap_or(0), u32::try_from(clock.tv_nsec).unwrap_or(0));
    match clock.checked_sub(monotonic) {
        Some(age) if age < Duration::from_secs(1) => now.checked_sub(age).unwrap_or(now),
        _ => now,
    }
}

/// Seconds as compositors split them.
fn seconds(high: u32, low: u32, nanos: u32) -> Duration {
    Duration::new(u64::from(high) << 32 | u64::from(low), nanos.min(999_999_999))
}

impl Dispatch<ZwlrScreencopyFrameV1, ()> for State {
    fn event(
        state: &mut Self,
        _: &ZwlrScreencopyFrameV1,
        event: zwlr_screencopy_frame_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        use zwlr_screencopy_frame_v1::{Event, Flags};
        match event {
            Event::Buffer { format, width, height, stride } => {
                state.announced.push(Announced { format: u32::from(format), width, height, stride });
            }
            Event::BufferDone => state.announced_all = true,
            Event::Flags { flags: WEnum::Value(flags) } => state.copy.y_invert = flags.contains(Flags::YInvert),
            Event::Damage { x, y, width, height } if width > 0 && height > 0 => {
                state.copy.damage.add(Rect { x, y, width, height });
            }
            Event::Ready { tv_sec_hi, tv_sec_lo, tv_nsec } => {
                state.copy.drawn = seconds(tv_sec_hi, tv_sec_lo, tv_nsec);
                state.copy.outcome = Some(Outcome::Ready);
            }
            Event::Failed => state.copy.outcome = Some(Outcome::Failed),
            _ => {}
        }
    }
}

impl Dispatch<ExtImageCopyCaptureSessionV1, ()> for State {
    fn event(
        state: &mut Self,
        _: &ExtImageCopyCaptureSessionV1,
        event: ext_image_copy_capture_session_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        use ext_image_copy_capture_session_v1::Event;
        match event {
            Event::BufferSize { width, height } => {
                state.begin_announcement();
                state.session_size = (width, height);
            }
            Event::ShmFormat { format } => {
                state.begin_announcement();
                state.announced.push(Announced { format: u32::from(format), width: 0, height: 0, stride: 0 });
            }
            Event::Done => {
                // The size may come after the formats, so it is joined here. Rows are packed: the protocol leaves the
                // stride to the client.
                let (width, height) = state.session_size;
                for a in &mut state.announced {
                    (a.width, a.height, a.stride) = (width, height, width.saturating_mul(4));
                }
                state.announced_all = true;
            }
            Event::Stopped => state.session_stopped = true,
            _ => {}
        }
    }
}

impl State {
    fn new(globals: Globals, output: &str) -> Self {
        Self {
            globals,
            outputs: Outputs::wanting(output),
            announcements: 0,
            announced: Vec::new(),
            announced_all: false,
            session_size: (0, 0),
            session_stopped: false,
            copy: Copy::default(),
        }
    }

    /// Counts whatever makes a new layout necessary: the output changed, or a session announced anew.
    pub fn changes(&self) -> u32 {
        self.outputs.changes.wrapping_add(self.announcements)
    }

    /// A session sends its whole announcement anew whenever something changes.
    fn begin_announcement(&mut self) {
        if self.announced_all {
            self.announced_all = false;
            self.announced.clear();
            self.announcements += 1;
        }
    }
}

impl Dispatch<ExtImageCopyCaptureFrameV1, ()> for State {
    fn event(
        state: &mut Self,
        _: &ExtImageCopyCaptureFrameV1,
        event: ext_image_copy_capture_frame_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        use ext_image_copy_capture_frame_v1::{Event, FailureReason};
        match event {
            Event::Transform { transform } => state.copy.transform = punktfunk_wayland::transform(transform),
            Event::Damage { x, y, width, height } => {
                let size = |v: i32| u32::try_from(v).ok();
                if let (Some(x), Some(y), Some(width @ 1..), Some(height @ 1..)) =
                    (size(x), size(y), size(width), size(height))
                {
                    state.copy.damage.add(Rect { x, y, width, height });
                }
            }
            Event::PresentationTime { tv_sec_hi, tv_sec_lo, tv_nsec } => {
                state.copy.drawn = seconds(tv_sec_hi, tv_sec_lo, tv_nsec);
            }
            Event::Ready => state.copy.outcome = Some(Outcome::Ready),
            Event::Failed { reason } => {
                state.copy.outcome = Some(match reason {
                    WEnum::Value(FailureReason::BufferConstraints) => Outcome::WrongBuffer,
                    WEnum::Value(FailureReason::Stopped) => Outcome::Stopped,
                    _ => Outcome::Failed,
                });
            }
            _ => {}
        }
    }
}

punktfunk_wayland::delegate_outputs!(State);
delegate_noop!(State: ignore WlShm);
delegate_noop!(State: ignore WlShmPool);
delegate_noop!(State: ignore WlBuffer);
delegate_noop!(State: ignore ZwlrScreencopyManagerV1);
delegate_noop!(State: ignore ExtImageCopyCaptureManagerV1);
delegate_noop!(State: ignore ExtOutputImageCaptureSourceManagerV1);
delegate_noop!(State: ignore ExtImageCaptureSourceV1);
