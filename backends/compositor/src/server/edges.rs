//! What a finger asks of the desktop itself: from the lower edge inwards for what can be started, from a side for another
//! window. A program under the finger hears of the touch at once, and that it was cancelled once it turned out to be meant
//! for the desktop, so that nothing at an edge is slower to press.

use smithay::utils::{Logical, Point, Size};

use super::input::Moment;
use super::state::State;

/// A finger that may have begun such a way.
#[derive(Debug, Default)]
pub struct Edges {
    watched: Option<Watched>,
    /// It was meant for the desktop: no program hears of it until it is lifted.
    taken: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    finger: u32,
    edge: Edge,
    from: Point<f64, Logical>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edge {
    Left,
    Right,
    Bottom,
}

/// What became of a way so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Unclear,
    Inwards,
    Elsewhere,
}

impl State {
    /// A finger went down. `alone`: no other is.
    pub(super) fn edge_down(&mut self, finger: u32, at: Point<f64, Logical>, alone: bool) {
        let edge = edge_of(at, self.logical_size()).filter(|edge| alone && self.edge_is_of_use(*edge));
        self.edges.watched = edge.map(|edge| Watched { finger, edge, from: at });
        // A client may have forgotten to lift it.
        self.edges.taken = self.edges.taken.filter(|taken| *taken != finger);
    }

    /// It moved. True: it is the desktop's, no program is to hear of it.
    pub(super) fn edge_moved(&mut self, finger: u32, at: Point<f64, Logical>, moment: Moment) -> bool {
        if self.edges.taken == Some(finger) {
            return true;
        }
        let Some(watched) = self.edges.watched.filter(|watched| watched.finger == finger) else { return false };
        match way(watched.edge, watched.from, at) {
            Way::Unclear => return false,
            Way::Elsewhere => {
                self.edges.watched = None;
                return false;
            }
            Way::Inwards => {}
        }
        self.edges = Edges { watched: None, taken: Some(finger) };
        self.cancel_touch(finger, at, moment);
        match watched.edge {
            Edge::Bottom => self.toggle_launcher(),
            Edge::Left => self.switch_window(true),
            Edge::Right => self.switch_window(false),
        }
        true
    }

    /// It was lifted. True: it was the desktop's.
    pub(super) fn edge_up(&mut self, finger: u32) -> bool {
        self.edges.watched = self.edges.watched.filter(|watched| watched.finger != finger);
        let taken = self.edges.taken == Some(finger);
        if taken {
            self.edges.taken = None;
        }
        taken
    }

    fn edge_is_of_use(&self, edge: Edge) -> bool {
        match edge {
            Edge::Bottom => self.launcher().is_some(),
            Edge::Left | Edge::Right => self.space.elements().filter(|w| !w.is_unmanaged()).nth(1).is_some(),
        }
    }
}

fn edge_of(at: Point<f64, Logical>, size: Size<i32, Logical>) -> Option<Edge> {
    let (width, height) = (f64::from(size.w), f64::from(size.h));
    if at.y >= height - EDGE {
        Some(Edge::Bottom)
    } else if at.x < EDGE {
        Some(Edge::Left)
    } else if at.x >= width - EDGE {
        Some(Edge::Right)
    } else {
        None
    }
}

fn way(edge: Edge, from: Point<f64, Logical>, at: Point<f64, Logical>) -> Way {
    let moved = at - from;
    let (inwards, along) = match edge {
        Edge::Left => (moved.x, moved.y),
        Edge::Right => (-moved.x, moved.y),
        Edge::Bottom => (-moved.y, moved.x),
    };
    if inwards >= FAR && inwards > along.abs() {
        Way::Inwards
    } else if along.abs() >= FAR {
        Way::Elsewhere
    } else {
        Way::Unclear
    }
}

/// Within so many logical pixels a finger counts as coming from the edge.
const EDGE: f64 = 16.0;
/// From here on a way is clear: more than any tap wanders.
const FAR: f64 = 64.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_straight_way_inwards_from_an_edge_counts() {
        let size = Size::from((1280, 720));
        let at = |x: i32, y: i32| Point::from((f64::from(x), f64::from(y)));
        assert_eq!(edge_of(at(640, 719), size), Some(Edge::Bottom));
        assert_eq!(edge_of(at(3, 300), size), Some(Edge::Left));
        assert_eq!(edge_of(at(1279, 300), size), Some(Edge::Right));
        assert_eq!((edge_of(at(640, 5), size), edge_of(at(640, 360), size)), (None, None));
        assert_eq!(way(Edge::Bottom, at(640, 719), at(650, 640)), Way::Inwards);
        assert_eq!(way(Edge::Bottom, at(640, 719), at(640, 680)), Way::Unclear);
        assert_eq!(way(Edge::Bottom, at(640, 719), at(740, 690)), Way::Elsewhere);
        assert_eq!(way(Edge::Left, at(3, 300), at(80, 310)), Way::Inwards);
        assert_eq!(way(Edge::Right, at(1279, 300), at(1279, 100)), Way::Elsewhere);
        assert_eq!(way(Edge::Right, at(1279, 300), at(1200, 290)), Way::Inwards);
    }
}
