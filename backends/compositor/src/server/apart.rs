//! The pointer told beside the picture, to a consumer whose client draws it.
//!
//! ```text
//! moved | other shape ─► next turn of the loop, one period after the last telling at the earliest ─► place, shape if new
//!                                                            └── only once the consumer has read the telling before
//! ```
//!
//! Nothing is drawn for it and nothing damaged: the picture is without it. The one telling under way makes the newest win
//! over a consumer that is busy, and keeps the socket's room for pictures.

use std::time::{Duration, Instant};

use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;

use punktfunk_media::{CursorImage, CursorPlace};

use super::hosts::Hosts;
use super::state::State;

/// What the consumer knows of the pointer.
pub struct Apart {
    /// The pointer is not in the picture.
    on: bool,
    /// The consumer has read what it was told last.
    heard: bool,
    /// The pointer may look different from what was told.
    other_shape: bool,
    place: Option<CursorPlace>,
    shape: Option<CursorImage>,
    last: Option<Instant>,
}

impl Apart {
    /// A consumer that knows nothing yet.
    pub fn new(on: bool) -> Self {
        Self { on, heard: true, other_shape: true, place: None, shape: None, last: None }
    }

    /// Whether the pointer is not in the picture.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// The consumer has read what it was told.
    pub fn heard(&mut self) {
        self.heard = true;
    }

    /// The pointer may look different.
    pub fn reshaped(&mut self) {
        self.other_shape = true;
    }

    /// When something may be told next.
    fn due(&self, period: Duration) -> Option<Instant> {
        self.last.map(|last| last + period)
    }
}

impl State {
    /// The pointer leaves the picture, or comes back into it.
    pub(super) fn set_cursor_apart(&mut self, on: bool) {
        let changed = self.apart.is_on() != on;
        // A host that asks without end gets no more than any other.
        self.apart = Apart { last: self.apart.last, ..Apart::new(on) };
        if changed {
            self.changed(None);
        }
    }

    /// The pointer moved, or looks different.
    pub(super) fn pointer_changed(&mut self) {
        // What is dragged is in the picture and goes with it.
        if !self.apart.is_on() || self.drag_icon.is_some() {
            self.changed(None);
        }
    }

    /// Whether this surface is the pointer, seen and not in the picture.
    pub(super) fn is_apart(&self, surface: &WlSurface) -> bool {
        self.apart.is_on() && self.cursor.is_shown() && self.cursor.surface() == Some(surface)
    }

    /// Tells the consumer what is new. Says when there will be something to tell.
    pub(super) fn tell_cursor(&mut self, hosts: &mut Hosts, now: Instant) -> Option<Instant> {
        if !self.apart.on || !self.apart.heard {
            return None;
        }
        let place = self.cursor_place();
        let look = self.apart.other_shape && place.visible;
        if self.apart.place == Some(place) && !look {
            return None;
        }
        if let Some(due) = self.apart.due(self.pacer.period()).filter(|due| now < *due) {
            return Some(due);
        }
        self.apart.last = Some(now);
        // What cannot be drawn (a program that took its memory back) leaves the shape that was told.
        let shape = if look { self.cursor.picture(&mut self.screen.renderer, self.scale) } else { None };
        let shape = shape.filter(|shape| self.apart.shape.as_ref() != Some(shape));
        self.apart.other_shape &= !look;
        if self.apart.place == Some(place) && shape.is_none() {
            return None;
        }
        self.apart.heard = false;
        self.apart.place = Some(place);
        hosts.send_cursor(&place, shape.as_ref());
        if shape.is_some() {
            self.apart.shape = shape;
        }
        None
    }

    fn cursor_place(&self) -> CursorPlace {
        let grabbed = self.pointer_is_locked();
        let place = self.pointer.location.to_physical(self.scale);
        // The pixel that is pointed at, as for programs.
        let (x, y) = (place.x.floor() as i32, place.y.floor() as i32);
        CursorPlace { x, y, visible: !grabbed && self.cursor.is_seen(), grabbed }
    }
}
