//! What the server's events say about its devices, and what we hold down on them.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use punktfunk_media::InjectError;
use reis::ei;
use reis::ei::button::ButtonState;
use reis::ei::keyboard::{KeyState, KeymapType};

use super::link::Link;
use super::strokes::{Stroke, strokes};
use super::{Area, WANTED, paused};
use crate::{lost, unsupported};

/// All devices, in the order in which the server made them.
#[derive(Default)]
pub struct Devices {
    /// Only those whose description is complete may be used; see [`Device::emulating`].
    pub list: Vec<Device>,
    /// The server has answered to our choice of interfaces: what it makes of it at once is in the list.
    pub all_announced: bool,
    /// Seats with the mask of what we want of them.
    seats: Vec<(ei::Seat, u64)>,
    /// Number of the last emulation.
    sequence: u32,
}

/// One device of the server.
pub struct Device {
    /// The object itself.
    pub proto: ei::Device,
    /// Resumed, and told that we send input.
    pub emulating: bool,
    /// Relative motion.
    pub pointer: Option<ei::Pointer>,
    /// Absolute motion.
    pub absolute: Option<ei::PointerAbsolute>,
    /// Pointer buttons.
    pub button: Option<ei::Button>,
    /// Scrolling.
    pub scroll: Option<ei::Scroll>,
    /// Keys.
    pub keyboard: Option<ei::Keyboard>,
    /// Touch contacts.
    pub touch: Option<ei::Touchscreen>,
    /// Text.
    pub text: Option<ei::Text>,
    /// The keyboard's keymap, in XKB's text.
    pub keymap: Option<String>,
    /// Keys and buttons that are down, by evdev code.
    pub held: Vec<u16>,
    /// Contacts that are down.
    pub contacts: Vec<u32>,
    regions: Vec<Region>,
    /// Belongs to the next region.
    mapping_id: Option<String>,
    /// The server's group and locked modifiers.
    modifiers: (u32, u32),
    /// Where the characters are under `modifiers`; made when first needed.
    strokes: Option<HashMap<char, Stroke>>,
}

/// A part of the desktop, in logical pixels.
struct Region {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    mapping_id: Option<String>,
}

impl Devices {
    /// The first device that takes input and of which `pick` returns something. `what` is for the error.
    pub fn with<T>(
        &mut self,
        what: &str,
        pick: impl Fn(&Device) -> Option<T>,
    ) -> Result<(&mut Device, T), InjectError> {
        let mut resting = false;
        for device in &mut self.list {
            let Some(picked) = pick(device) else { continue };
            if device.emulating {
                return Ok((device, picked));
            }
            resting = true;
        }
        Err(if resting { paused(what) } else { unsupported(format!("the EIS server has no {what}")) })
    }

    /// Takes one event in.
    pub fn handle(&mut self, event: ei::Event, link: &mut Link) -> Result<(), InjectError> {
        match event {
            ei::Event::Connection(_, event) => self.connection_event(event),
            ei::Event::Callback(..) => {
                self.all_announced = true;
                Ok(())
            }
            ei::Event::Seat(seat, event) => {
                self.seat_event(&seat, event, link);
                Ok(())
            }
            ei::Event::Device(device, event) => {
                self.device_event(&device, event, link);
                Ok(())
            }
            ei::Event::Keyboard(keyboard, event) => self.keyboard_event(&keyboard, event),
            ei::Event::Handshake(..) => Err(lost("the EIS server shook hands twice".to_owned())),
            _ => {
                self.interface_event(event);
                Ok(())
            }
        }
    }

    fn connection_event(&mut self, event: ei::connection::Event) -> Result<(), InjectError> {
        use ei::connection::Event;
        match event {
            Event::Seat { seat } if self.seats.len() < MOST_SEATS => self.seats.push((seat, 0)),
            Event::Seat { seat } => seat.release(),
            Event::Ping { ping } => ping.done(0),
            Event::Disconnected { reason, explanation, .. } => {
                let why = explanation.unwrap_or_default();
                return Err(lost(format!("the EIS server ended the connection ({reason:?}) {why}")));
            }
            Event::InvalidObject { invalid_id, .. } => tracing::debug!(invalid_id, "a request came too late"),
            _ => {}
        }
        Ok(())
    }

    fn seat_event(&mut self, seat: &ei::Seat, event: ei::seat::Event, link: &mut Link) {
        use ei::seat::Event;
        let Some(known) = self.seats.iter_mut().find(|(s, _)| s == seat) else { return };
        match event {
            Event::Capability { mask, interface } if WANTED.contains(&interface.as_str()) => known.1 |= mask,
            Event::Done => {
                seat.bind(known.1);
                link.sync();
            }
            Event::Device { device } if self.list.len() < MOST_DEVICES => self.list.push(Device::new(device)),
            Event::Device { device } => device.release(),
            Event::Destroyed { serial } => {
                link.serial = serial;
                self.seats.retain(|(s, _)| s != seat);
            }
            _ => {}
        }
    }

    fn device_event(&mut self, proto: &ei::Device, event: ei::device::Event, link: &mut Link) {
        use ei::device::Event;
        let Some(at) = self.list.iter().position(|d| d.proto == *proto) else { return };
        let device = &mut self.list[at];
        match event {
            Event::Interface { object } => device.take_interface(object),
            Event::RegionMappingId { mapping_id } => device.mapping_id = Some(mapping_id),
            Event::Region { offset_x, offset_y, width, hight, .. } if device.regions.len() < MOST_REGIONS => {
                let mapping_id = device.mapping_id.take();
                device.regions.push(Region { x: offset_x, y: offset_y, width, height: hight, mapping_id });
            }
            // Newer servers wait for this before they resume it.
            Event::Done if proto.version() >= 3 => proto.ready(),
            Event::Resumed { serial } => {
                link.serial = serial;
                if !device.emulating {
                    self.sequence = self.sequence.wrapping_add(1);
                    proto.start_emulating(serial, self.sequence);
                    device.emulating = true;
                }
            }
            Event::Paused { serial } => {
                link.serial = serial;
                device.emulating = false;
                // The server has released everything on it.
                device.held.clear();
                device.contacts.clear();
                device.set_modifiers(0, 0);
            }
            Event::Destroyed { serial } => {
                link.serial = serial;
                self.list.remove(at);
            }
            _ => {}
        }
    }

    fn keyboard_event(&mut self, keyboard: &ei::Keyboard, event: ei::keyboard::Event) -> Result<(), InjectError> {
        use ei::keyboard::Event;
        let Some(device) = self.list.iter_mut().find(|d| d.keyboard.as_ref() == Some(keyboard)) else {
            return Ok(());
        };
        match event {
            Event::Keymap { keymap_type: KeymapType::Xkb, size, keymap } => {
                device.keymap = Some(read_keymap(keymap, size)?);
                device.strokes = None;
            }
            Event::Modifiers { locked, group, .. } => device.set_modifiers(group, locked),
            Event::Destroyed { .. } => device.keyboard = None,
            _ => {}
        }
        Ok(())
    }

    /// The rest only tells that interfaces go away; input is sent to receivers, which we are not.
    fn interface_event(&mut self, event: ei::Event) {
        for device in &mut self.list {
            match &event {
                ei::Event::Pointer(it, ei::pointer::Event::Destroyed { .. }) => drop_if(&mut device.pointer, it),
                ei::Event::PointerAbsolute(it, ei::pointer_absolute::Event::Destroyed { .. }) => {
                    drop_if(&mut device.absolute, it);
                }
                ei::Event::Button(it, ei::button::Event::Destroyed { .. }) => drop_if(&mut device.button, it),
                ei::Event::Scroll(it, ei::scroll::Event::Destroyed { .. }) => drop_if(&mut device.scroll, it),
                ei::Event::Touchscreen(it, ei::touchscreen::Event::Destroyed { .. }) => {
                    drop_if(&mut device.touch, it);
                }
                ei::Event::Text(it, ei::text::Event::Destroyed { .. }) => drop_if(&mut device.text, it),
                _ => {}
            }
        }
    }
}

fn drop_if<T: PartialEq>(slot: &mut Option<T>, gone: &T) {
    slot.take_if(|it| it == gone);
}

impl Device {
    fn new(proto: ei::Device) -> Self {
        Self {
            proto,
            emulating: false,
            pointer: None,
            absolute: None,
            button: None,
            scroll: None,
            keyboard: None,
            touch: None,
            text: None,
            keymap: None,
            held: Vec::new(),
            contacts: Vec::new(),
            regions: Vec::new(),
            mapping_id: None,
            modifiers: (0, 0),
            strokes: None,
        }
    }

    fn take_interface(&mut self, object: reis::Object) {
        use reis::Interface;
        match object.interface() {
            ei::Pointer::NAME => self.pointer = object.downcast(),
            ei::PointerAbsolute::NAME => self.absolute = object.downcast(),
            ei::Button::NAME => self.button = object.downcast(),
            ei::Scroll::NAME => self.scroll = object.downcast(),
            ei::Keyboard::NAME => self.keyboard = object.downcast(),
            ei::Touchscreen::NAME => self.touch = object.downcast(),
            ei::Text::NAME => self.text = object.downcast(),
            _ => {}
        }
    }

    /// Fractions of `area` in the desktop's logical pixels; `None` when this device does not reach there. The far edge
    /// belongs to the last pixel.
    pub fn position(&self, area: &Area, x: f64, y: f64) -> Option<(f32, f32)> {
        let region = self.regions.iter().find(|region| match area {
            Area::First => true,
            Area::Mapping(id) => region.mapping_id.as_ref() == Some(id),
            Area::At { x, y } => (region.x, region.y) == (*x, *y),
        })?;
        let place = |offset: u32, extent: u32, fraction: f64| {
            let extent = f64::from(extent);
            // `max` first: it makes a NaN a 0.
            (f64::from(offset) + (fraction.max(0.0) * extent).min(extent - LAST_STEP).max(0.0)) as f32
        };
        Some((place(region.x, region.width, x), place(region.y, region.height, y)))
    }

    /// Presses a key or a button.
    pub fn press(&mut self, code: u16) {
        if !self.held.contains(&code) {
            self.held.push(code);
            self.tell(code, true);
        }
    }

    /// Releases one.
    pub fn release(&mut self, code: u16) {
        self.held.retain(|held| *held != code);
        self.tell(code, false);
    }

    fn tell(&self, code: u16, down: bool) {
        if is_button(code) {
            let state = if down { ButtonState::Press } else { ButtonState::Released };
            self.button.iter().for_each(|b| b.button(code.into(), state));
        } else {
            let state = if down { KeyState::Press } else { KeyState::Released };
            self.keyboard.iter().for_each(|k| k.key(code.into(), state));
        }
    }

    /// Lifts a contact.
    pub fn lift(&mut self, id: u32) {
        self.contacts.retain(|contact| *contact != id);
        self.touch.iter().for_each(|t| t.up(id));
    }

    /// Releases everything; true if there was anything.
    pub fn release_all(&mut self) -> bool {
        let any = !self.held.is_empty() || !self.contacts.is_empty();
        while let Some(code) = self.held.last().copied() {
            self.release(code);
        }
        while let Some(id) = self.contacts.last().copied() {
            self.lift(id);
        }
        any
    }

    /// The keys that type `character` under the server's keymap as it stands.
    pub fn stroke(&mut self, character: char) -> Option<Stroke> {
        let keymap = self.keymap.as_ref()?;
        let (group, locked) = self.modifiers;
        self.strokes.get_or_insert_with(|| strokes(keymap, group, locked)).get(&character).copied()
    }

    fn set_modifiers(&mut self, group: u32, locked: u32) {
        if self.modifiers != (group, locked) {
            self.modifiers = (group, locked);
            self.strokes = None;
        }
    }
}

/// Buttons and keys share one number space (`input-event-codes.h`): `BTN_MISC` to before `KEY_OK`.
fn is_button(code: u16) -> bool {
    (0x100..0x160).contains(&code)
}

fn read_keymap(fd: OwnedFd, size: u32) -> Result<String, InjectError> {
    if size > MOST_KEYMAP_BYTES {
        return Err(lost(format!("the EIS server's keymap has {size} bytes")));
    }
    let mut bytes = vec![0; size as usize];
    File::from(fd).read_exact_at(&mut bytes, 0).map_err(|e| lost(format!("the EIS server's keymap: {e}")))?;
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    String::from_utf8(bytes).map_err(|e| lost(format!("the EIS server's keymap: {e}")))
}

/// Servers have one.
const MOST_SEATS: usize = 8;
/// Servers have three or four; with an absolute one per output a few more.
const MOST_DEVICES: usize = 64;
/// One per output.
const MOST_REGIONS: usize = 64;
/// The largest of XKB's have 100 KB.
const MOST_KEYMAP_BYTES: u32 = 1 << 20;
/// Finer than what clients of a compositor are told.
const LAST_STEP: f64 = 1.0 / 256.0;
