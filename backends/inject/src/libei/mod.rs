//! Input through EIS, the emulated-input servers of Mutter, KWin, gamescope and the RemoteDesktop portal. Whoever has a
//! connection (a portal's file descriptor, a socket of the compositor) hands it in.
//!
//! ```text
//! UnixStream ─► Link (handshake, events, flush) ─► Devices (announced ─► paused ◄─► emulating ─► destroyed)
//!                                                     │ the first that emulates and has the interface
//! InputAction ────────────────────────────────────────┴─► requests · frame(now) ─► flush
//! ```
//!
//! The server decides which devices there are, what they can do and when they take input. A pause releases everything
//! held, on the server by its rules and here by forgetting it. The keyboard's layout is the server's: keys are sent by
//! position, and text is typed with `ei_text` or, without, with the keys on which the server's keymap has it.

mod devices;
mod link;
mod strokes;

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use punktfunk_media::{InjectError, Injector, InjectorCaps, InputAction, ScrollPhase, ScrollSource, reason};
use reis::ei;

use self::devices::{Device, Devices};
use self::link::Link;
use crate::text::SPECIAL;
use crate::unsupported;

/// Which part of the desktop positions are fractions of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Area {
    /// The first region that a device has: right where there is one output.
    #[default]
    First,
    /// The region that carries this mapping id, as a stream of the portal or of Mutter names it.
    Mapping(String),
    /// The region whose top left corner lies there, in the desktop's logical pixels.
    At {
        /// From the desktop's left.
        x: u32,
        /// From its top.
        y: u32,
    },
}

/// Opens an injector on a connection to an EIS server, with positions on `area`. Waits until the server has made devices
/// that take input.
///
/// # Errors
/// [`InjectError`], always fatal: `inject.lost` when the server breaks off or breaks the protocol, `inject.unsupported`
/// when it offers no device that takes input within [`OPEN_WITHIN`].
pub fn open(stream: UnixStream, area: Area) -> Result<Box<dyn Injector>, InjectError> {
    let until = Instant::now() + OPEN_WITHIN;
    let mut injector = EiInjector {
        link: Link::open(stream, until)?,
        devices: Devices::default(),
        area,
        partial: [0.0; 2],
        said_untypable: false,
    };
    loop {
        injector.take_events()?;
        if injector.devices.all_announced && injector.devices.list.iter().any(|d| d.emulating) {
            return Ok(Box::new(injector));
        }
        if !injector.link.wait(until)? {
            let detail = format!("the EIS server offered no device that takes input within {OPEN_WITHIN:?}");
            return Err(InjectError { fatal: true, ..unsupported(detail) });
        }
    }
}

/// Plays input back through an EIS server.
struct EiInjector {
    link: Link,
    devices: Devices,
    area: Area,
    /// v120 units smaller than the protocol's that have not been sent yet: vertical, horizontal.
    partial: [f64; 2],
    said_untypable: bool,
}

impl Injector for EiInjector {
    fn caps(&self) -> InjectorCaps {
        let any = |can: fn(&Device) -> bool| self.devices.list.iter().any(can);
        InjectorCaps {
            text: any(|d| d.text.is_some() || d.keymap.is_some()),
            touch: any(|d| d.touch.is_some()),
            // The protocol has no tablets.
            pen: false,
            precise_scroll: any(|d| d.scroll.is_some()),
        }
    }

    fn inject(&mut self, action: &InputAction) -> Result<(), InjectError> {
        self.take_events()?;
        match *action {
            InputAction::Key { code, down } => self.key(code, down)?,
            InputAction::Button { code, down } => self.button(code, down)?,
            InputAction::Motion { dx, dy } => {
                let (device, pointer) = self.devices.with("relative pointer", |d| d.pointer.clone())?;
                pointer.motion_relative(dx as f32, dy as f32);
                self.link.frame(device);
            }
            InputAction::MotionAbs { x, y } => {
                let area = &self.area;
                let pick = |d: &Device| Some((d.absolute.clone()?, d.position(area, x, y)?));
                let (device, (pointer, (x, y))) = self.devices.with("absolute pointer on this output", pick)?;
                pointer.motion_absolute(x, y);
                self.link.frame(device);
            }
            InputAction::Scroll { horizontal, source, phase, delta } => {
                self.scroll(horizontal, source, phase, delta)?;
            }
            InputAction::Text(character) => self.text(character)?,
            InputAction::TouchDown { id, x, y } => {
                let area = &self.area;
                let pick = |d: &Device| Some((d.touch.clone()?, d.position(area, x, y)?));
                let (device, (touch, (x, y))) = self.devices.with("touchscreen on this output", pick)?;
                device.contacts.push(id);
                touch.down(id, x, y);
                self.link.frame(device);
            }
            InputAction::Pen(_) => return Err(unsupported("EIS servers take no pen".to_owned())),
            InputAction::TouchMove { id, x, y } => {
                let Some(device) = self.devices.list.iter_mut().find(|d| d.contacts.contains(&id)) else {
                    return Ok(());
                };
                if let (Some(touch), Some((x, y))) = (&device.touch, device.position(&self.area, x, y)) {
                    touch.motion(id, x, y);
                    self.link.frame(device);
                }
            }
            InputAction::TouchUp { id } => {
                if let Some(device) = self.devices.list.iter_mut().find(|d| d.contacts.contains(&id)) {
                    device.lift(id);
                    self.link.frame(device);
                }
            }
        }
        self.link.flush()
    }
}

impl EiInjector {
    fn take_events(&mut self) -> Result<(), InjectError> {
        self.link.read()?;
        while let Some(event) = self.link.next_event()? {
            self.devices.handle(event, &mut self.link)?;
        }
        self.link.flush()
    }

    fn key(&mut self, code: u16, down: bool) -> Result<(), InjectError> {
        if down {
            let (device, _) = self.devices.with("keyboard", |d| d.keyboard.clone())?;
            device.press(code);
            self.link.frame(device);
        } else {
            self.release(code);
        }
        Ok(())
    }

    fn button(&mut self, code: u16, down: bool) -> Result<(), InjectError> {
        if down {
            let (device, _) = self.devices.with("pointer button", |d| d.button.clone())?;
            device.press(code);
            self.link.frame(device);
        } else {
            self.release(code);
        }
        Ok(())
    }

    /// On the device that it went down on. Nothing where a pause has released it.
    fn release(&mut self, code: u16) {
        if let Some(device) = self.devices.list.iter_mut().find(|d| d.held.contains(&code)) {
            device.release(code);
            self.link.frame(device);
        }
    }

    fn scroll(
        &mut self,
        horizontal: bool,
        source: ScrollSource,
        phase: ScrollPhase,
        delta: f64,
    ) -> Result<(), InjectError> {
        let (device, scroll) = self.devices.with("scrolling", |d| d.scroll.clone())?;
        if source == ScrollSource::Wheel {
            let partial = &mut self.partial[usize::from(horizontal)];
            *partial += delta;
            let units = partial.trunc();
            *partial -= units;
            if units != 0.0 {
                // Cut off at the ends of the type, far beyond any wheel.
                let units = units as i32;
                scroll.scroll_discrete(if horizontal { units } else { 0 }, if horizontal { 0 } else { units });
                self.link.frame(device);
            }
            return Ok(());
        }
        if delta != 0.0 {
            let delta = delta as f32;
            scroll.scroll(if horizontal { delta } else { 0.0 }, if horizontal { 0.0 } else { delta });
            self.link.frame(device);
        }
        if phase == ScrollPhase::End {
            // In a frame of its own, as the protocol demands for an axis that moved.
            scroll.scroll_stop(horizontal.into(), (!horizontal).into(), 0);
            self.link.frame(device);
        }
        Ok(())
    }

    fn text(&mut self, character: char) -> Result<(), InjectError> {
        if let Some((_, code)) = SPECIAL.iter().find(|(special, _)| *special == character) {
            self.key(*code, true)?;
            self.release(*code);
            return Ok(());
        }
        if let Ok((device, text)) = self.devices.with("text", |d| d.text.clone()) {
            text.utf8(character.encode_utf8(&mut [0; 4]));
            self.link.frame(device);
            return Ok(());
        }
        let (device, _) = self.devices.with("keyboard", |d| d.keyboard.clone())?;
        let Some(stroke) = device.stroke(character) else {
            let detail = format!("the desktop's keyboard layout lacks U+{:04X}", u32::from(character));
            if !std::mem::replace(&mut self.said_untypable, true) {
                tracing::warn!("{detail}; such text is left out");
            }
            return Err(unsupported(detail));
        };
        // What the client holds would change the character: it goes up meanwhile.
        let lifted: Vec<u16> = device.held.iter().copied().filter(|code| MODIFIERS.contains(code)).collect();
        for code in &lifted {
            device.release(*code);
            self.link.frame(device);
        }
        for code in stroke.keys() {
            device.press(code);
            self.link.frame(device);
        }
        for code in stroke.keys().rev() {
            device.release(code);
            self.link.frame(device);
        }
        for code in lifted {
            device.press(code);
            self.link.frame(device);
        }
        Ok(())
    }
}

impl Drop for EiInjector {
    fn drop(&mut self) {
        for device in &mut self.devices.list {
            if device.release_all() {
                self.link.frame(device);
            }
            if device.emulating {
                device.proto.stop_emulating(self.link.serial);
            }
        }
        self.link.close();
    }
}

/// The server takes no input on the device now; it may later.
fn paused(what: &str) -> InjectError {
    InjectError { reason: &reason::INJECT_PAUSED, detail: format!("{what}: the device is paused"), fatal: false }
}

/// The interfaces that are asked for.
const WANTED: [&str; 7] = {
    use reis::Interface;
    [
        ei::Pointer::NAME,
        ei::PointerAbsolute::NAME,
        ei::Button::NAME,
        ei::Scroll::NAME,
        ei::Keyboard::NAME,
        ei::Touchscreen::NAME,
        ei::Text::NAME,
    ]
};

/// Shift, Ctrl, Alt, Meta of both sides.
const MODIFIERS: [u16; 8] = [42, 54, 29, 97, 56, 100, 125, 126];

/// Servers make devices within milliseconds; a loaded machine may take seconds.
pub const OPEN_WITHIN: Duration = Duration::from_secs(5);
