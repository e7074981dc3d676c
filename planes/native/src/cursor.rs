//! The pointer beside the pictures, for a client that draws it (punktfunk1.md §3.9.2, §4.11).
//!
//! ```text
//! capture thread ─► Pointer ─► 0xD0 at once, and once more with every frame
//!        └─ shape ─► newest wins ─► clock rounds over ─► Shapes ─► CursorShape, unless the client has it ─► 0xD0
//! ```
//!
//! A place names the shape that the client was sent last: until the next one is on its way, the client goes on with that.

use std::collections::VecDeque;
use std::sync::Arc;

use punktfunk_core::control::{ControlMessage, CursorShape};
use punktfunk_core::datagram::HostDatagram;
use punktfunk_media::{CursorImage, CursorPlace};

/// Where the pointer is, as the client is told.
#[derive(Debug)]
pub(crate) struct Pointer {
    client_draws: bool,
    /// Of the shape that the client was sent last; 0: none.
    serial: u32,
    place: Option<CursorPlace>,
}

impl Pointer {
    /// Nothing is known yet.
    pub const fn new(client_draws: bool) -> Self {
        Self { client_draws, serial: 0, place: None }
    }

    /// The client draws it from now on, or the host does.
    pub fn set_client_draws(&mut self, client_draws: bool) {
        self.client_draws = client_draws;
        self.place = None;
    }

    /// It moved. What to say; `None`: the client does not draw it.
    pub fn moved(&mut self, place: CursorPlace) -> Option<HostDatagram<'static>> {
        self.place = Some(place).filter(|_| self.client_draws);
        self.again()
    }

    /// The client was sent another shape.
    pub fn reshaped(&mut self, serial: u32) -> Option<HostDatagram<'static>> {
        self.serial = serial;
        self.again()
    }

    /// The same once more: datagrams get lost.
    pub fn again(&self) -> Option<HostDatagram<'static>> {
        let CursorPlace { x, y, visible, grabbed } = self.place?;
        let visible = visible && self.serial != 0;
        Some(HostDatagram::CursorPosition { serial: self.serial, visible, grabbed, x, y })
    }
}

/// The control stream's part.
#[derive(Debug)]
pub(crate) struct Shapes {
    /// The session has CURSOR: else there is nothing to say, and nothing is listened to.
    agreed: bool,
    client_draws: bool,
    /// The newest shape, until it may be said.
    waiting: Option<Arc<CursorImage>>,
    next_serial: u32,
    /// What the client has, the one used last at the end.
    known: VecDeque<(u32, Arc<CursorImage>)>,
}

impl Shapes {
    /// A client that has none. Where it is `agreed`, it draws from the start.
    pub fn new(agreed: bool) -> Self {
        let known = VecDeque::with_capacity(MOST_KNOWN);
        Self { agreed, client_draws: agreed, waiting: None, next_serial: 1, known }
    }

    /// Whether the client draws.
    pub const fn client_draws(&self) -> bool {
        self.client_draws
    }

    /// The client asks to draw, or asks the host to. True: that is new.
    pub fn set_client_draws(&mut self, client_draws: bool) -> bool {
        let new = self.agreed && client_draws != self.client_draws;
        if new {
            self.client_draws = client_draws;
            self.waiting = None;
        }
        new
    }

    /// The pointer looks like this now.
    pub fn changed(&mut self, image: Arc<CursorImage>) {
        if self.client_draws {
            self.waiting = Some(image);
        }
    }

    /// The serial of a shape that the client is to show from now on, with the message that the client needs first. To be
    /// asked only when it may be spoken to.
    pub fn next(&mut self) -> Option<(u32, Option<ControlMessage>)> {
        let image = self.waiting.take()?;
        if let Some(at) = self.known.iter().position(|(_, known)| *known == image) {
            let (serial, known) = self.known.remove(at)?;
            self.known.push_back((serial, known));
            return Some((serial, None));
        }
        let serial = self.next_serial;
        // 0 is no shape.
        self.next_serial = serial.checked_add(1).unwrap_or(1);
        let shape = CursorShape::new(serial, image.size(), image.hot(), image.rgba().to_vec())?;
        if self.known.len() == MOST_KNOWN {
            self.known.pop_front();
        }
        self.known.push_back((serial, image));
        Some((serial, Some(ControlMessage::CursorShape(shape))))
    }
}

/// Shapes that the client is trusted to keep: the pictures of a cursor that moves, and what programs use in turn.
const MOST_KNOWN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn image(shade: u8) -> Arc<CursorImage> {
        Arc::new(CursorImage::new([2, 1], [1, 0], vec![shade; 8]).unwrap())
    }

    fn told(shapes: &mut Shapes, shade: u8) -> (u32, bool) {
        shapes.changed(image(shade));
        let (serial, message) = shapes.next().expect("something new");
        if let Some(ControlMessage::CursorShape(shape)) = &message {
            assert_eq!((shape.serial(), shape.size(), shape.hot()), (serial, [2, 1], [1, 0]));
            assert_eq!(shape.rgba(), [shade; 8]);
        }
        (serial, message.is_some())
    }

    #[test]
    fn shapes_are_sent_once_and_named_again_as_long_as_the_client_keeps_them() {
        let mut shapes = Shapes::new(true);
        assert_eq!(shapes.next(), None);
        let numbers: Vec<_> = (0..16).map(|shade| told(&mut shapes, shade)).collect();
        assert_eq!(numbers, (1..=16).map(|serial| (serial, true)).collect::<Vec<_>>());
        assert_eq!(told(&mut shapes, 0), (1, false));
        // A seventeenth: the one that was not used for longest is forgotten.
        assert_eq!(told(&mut shapes, 99), (17, true));
        assert_eq!((told(&mut shapes, 0), told(&mut shapes, 1)), ((1, false), (18, true)));
        // Of several that waited the newest counts, and the others got no number.
        shapes.changed(image(50));
        shapes.changed(image(51));
        assert_eq!((told(&mut shapes, 52), told(&mut shapes, 50)), ((19, true), (20, true)));
        shapes.next_serial = u32::MAX;
        assert_eq!((told(&mut shapes, 60).0, told(&mut shapes, 61).0), (u32::MAX, 1));
    }

    #[test]
    fn a_session_without_the_cursor_hears_and_says_nothing_of_it() {
        let mut shapes = Shapes::new(false);
        assert!(!shapes.set_client_draws(true) && !shapes.set_client_draws(false));
        shapes.changed(image(1));
        assert_eq!(shapes.next(), None);
        let mut drawing = Shapes::new(true);
        assert!(!drawing.set_client_draws(true) && drawing.set_client_draws(false) && !drawing.set_client_draws(false));
        drawing.changed(image(1));
        assert_eq!(drawing.next(), None, "the host draws");
        assert!(drawing.set_client_draws(true));
        assert_eq!(told(&mut drawing, 1), (1, true));
    }

    #[test]
    fn places_name_the_shape_that_was_sent_and_show_nothing_before() {
        let place = CursorPlace { x: 3, y: -4, visible: true, grabbed: false };
        let says =
            |serial, visible| Some(HostDatagram::CursorPosition { serial, visible, grabbed: false, x: 3, y: -4 });
        let mut pointer = Pointer::new(true);
        assert_eq!(pointer.again(), None);
        assert_eq!(
            (pointer.moved(place), pointer.reshaped(9), pointer.again()),
            (says(0, false), says(9, true), says(9, true))
        );
        pointer.set_client_draws(false);
        assert_eq!((pointer.again(), pointer.moved(place), pointer.again()), (None, None, None));
        pointer.set_client_draws(true);
        assert_eq!((pointer.again(), pointer.moved(place)), (None, says(9, true)));
    }
}
