//! Input injection means: wlr virtual pointer and virtual keyboard that desktops compose, EIS servers ([`libei`]), and
//! gamepads ([`pads`]).
//!
//! ```text
//! InputAction ─► WlrInjector ─┬─► pointer  (mapped to the stage's output)
//!                             ├─► keys     (the desktop's layout; modifiers computed by xkbcommon)
//!                             └─► text     (a keyboard of its own, whose keymap is rewritten for every new character)
//! ```
//!
//! Nothing here waits for the compositor's answer: requests are written to the socket, and what it says is read when it
//! is there. Only where the socket has no room is it waited for, a moment: the last of a burst may be the end of a key.

pub mod digitizer;
mod keys;
mod layout;
pub mod libei;
mod link;
pub mod pads;
mod pointer;
mod text;
mod text_keymap;

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

pub use keys::is_known;
pub use layout::{KeyboardLayout, LiveLayout};
use punktfunk_media::{InjectError, Injector, InjectorCaps, InputAction, reason};
pub use text_keymap::{KeymapPace, Stroke, TextKeymap};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::keys::Keys;
use crate::link::Link;
use crate::pointer::Pointer;
use crate::text::Text;

/// Opens an injector whose coordinates are the pixels of the output `output` (its connector name) of the compositor
/// that listens at the Wayland socket `display`. The keyboard has `layout`, whatever it becomes; a first one that XKB
/// does not know is replaced by `us` with a warning.
///
/// # Errors
/// [`InjectError`] with `inject.unsupported` when the compositor lacks the protocols, `inject.lost` when it or the
/// output is gone.
pub fn open(display: &Path, output: &str, layout: &LiveLayout) -> Result<Box<dyn Injector>, InjectError> {
    let mut link = Link::open(display, output)?;
    let keys = Keys::create(&link, layout)?;
    let text = Text::create(&link)?;
    let pointer = Pointer::create(&mut link)?;
    // The compositor has made the devices when this returns, so that the first event cannot overtake them.
    link.roundtrip()?;
    Ok(Box::new(WlrInjector { pointer, keys, text, link }))
}

/// Plays input back through wlr protocols.
struct WlrInjector {
    // The devices are destroyed before the connection closes.
    pointer: Pointer,
    keys: Keys,
    text: Text,
    link: Link,
}

impl Injector for WlrInjector {
    fn caps(&self) -> InjectorCaps {
        InjectorCaps { text: true, touch: false, pen: false, precise_scroll: true }
    }

    fn inject(&mut self, action: &InputAction) -> Result<(), InjectError> {
        self.link.take_events()?;
        if self.link.state.outputs.gone {
            return Err(lost("the output was removed".to_owned()));
        }
        let time = self.link.time_ms();
        match *action {
            InputAction::Key { code, down } => self.keys.key(time, code, down),
            InputAction::Text(character) => self.text.type_character(time, character)?,
            InputAction::TouchDown { .. }
            | InputAction::TouchMove { .. }
            | InputAction::TouchUp { .. }
            | InputAction::Pen(_) => {
                return Err(unsupported("wlroots compositors take no virtual touch or pen".to_owned()));
            }
            _ => self.pointer.play(time, action, &mut self.link),
        }
        self.link.flush()
    }
}

impl Drop for WlrInjector {
    fn drop(&mut self) {
        self.pointer.destroy();
        self.keys.destroy();
        self.text.destroy();
        // Best effort: the connection closes right after, which says the same.
        let _ = self.link.flush();
    }
}

/// Waits until a socket can be written to; false once [`ROOM_WITHIN`] is over.
fn wait_for_room(socket: impl AsFd) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: ROOM_WITHIN.subsec_nanos().into() };
    // An interruption is as good as a try.
    poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&timeout)).map_or(true, |ready| ready > 0)
}

/// Longer than a compositor is busy with a frame, shorter than a person takes for a failure. Sockets have room for some
/// hundred events.
const ROOM_WITHIN: Duration = Duration::from_millis(100);

/// The compositor or the output is gone.
fn lost(detail: String) -> InjectError {
    InjectError { reason: &reason::INJECT_LOST, detail, fatal: true }
}

/// This action is not possible; the injector goes on.
fn unsupported(detail: String) -> InjectError {
    InjectError { reason: &reason::INJECT_UNSUPPORTED, detail, fatal: false }
}
