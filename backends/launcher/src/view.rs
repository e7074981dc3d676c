//! What lies where, what is chosen, and what input makes of it. Knows nothing of Wayland and draws nothing.

use crate::canvas::Place;
use crate::content::Content;

/// Something that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The tile of the terminal.
    Terminal,
    /// The tile of an entry, by its id.
    Entry(String),
    /// A window's card, by its id.
    Window(u64),
    /// The cross on a window's card.
    Close(u64),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a terminal.
    Terminal,
    /// Start an entry.
    Launch(String),
    /// Bring a window to the front.
    Focus(u64),
    /// Ask for a window to be closed.
    Close(u64),
    /// Go behind the windows again.
    Leave,
}

/// What input led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing.
    Same,
    /// Something looks different.
    Changed,
    /// Something is to be done.
    Do(Action),
}

/// A line of text above a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// What it says.
    pub text: &'static str,
    /// Where.
    pub place: Place,
}

/// Where everything lies, in pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The host's name and the session.
    pub header: Place,
    /// Above the parts.
    pub captions: Vec<Caption>,
    /// Everything that can be chosen; a cross comes before its card.
    pub items: Vec<(Item, Place)>,
    /// How far down it goes.
    pub bottom: i32,
}

/// The launcher's state.
#[derive(Debug)]
pub struct View {
    /// What there is.
    pub content: Content,
    /// What went wrong, in a sentence.
    pub trouble: Option<String>,
    /// What was started last and ended at once, in a sentence; until something is done.
    pub ended: Option<String>,
    /// Whether a terminal is installed.
    pub terminal: bool,
    /// What Enter would do.
    pub chosen: Option<Item>,
    width: i32,
    height: i32,
    scale: f64,
    /// How many pixels of the top are out of sight.
    scrolled: i32,
    /// A finger, or a button that is held: where it began, and where it was last.
    held: Option<Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    from: (i32, i32),
    last: i32,
    /// It has become a scroll.
    scrolls: bool,
}

impl View {
    /// Nothing to choose yet.
    pub fn new() -> Self {
        Self {
            content: Content::default(),
            trouble: None,
            ended: None,
            terminal: false,
            chosen: None,
            width: 0,
            height: 0,
            scale: 1.0,
            scrolled: 0,
            held: None,
        }
    }

    /// Pixels per unit.
    pub const fn scale(&self) -> f64 {
        self.scale
    }

    /// It has another size, in pixels, or another number of them per unit.
    pub fn resize(&mut self, width: i32, height: i32, scale: f64) {
        (self.width, self.height, self.scale) = (width.max(0), height.max(0), scale.clamp(0.5, 8.0));
        self.held = None;
        self.scroll_to(self.scrolled);
    }

    /// There is something else to choose from. What was chosen stays so, if it is still there.
    pub fn show(&mut self, content: Content) {
        self.content = content;
        let layout = self.layout();
        if !self.chosen.as_ref().is_some_and(|chosen| layout.items.iter().any(|(item, _)| item == chosen)) {
            self.chosen = layout.items.iter().map(|(item, _)| item).find(|i| !matches!(i, Item::Close(_))).cloned();
        }
        self.scroll_to(self.scrolled);
    }

    /// Units in pixels.
    pub fn px(&self, units: i32) -> i32 {
        (f64::from(units) * self.scale).round() as i32
    }

    /// Size of a cover in pixels.
    pub fn cover_size(&self) -> (i32, i32) {
        (self.px(TILE), self.px(COVER))
    }

    /// Where everything lies now.
    pub fn layout(&self) -> Layout {
        let margin = self.px(if self.width < self.px(NARROW) { MARGIN / 3 } else { MARGIN });
        let room = (self.width - 2 * margin).max(0);
        let header = Place { x: margin, y: margin - self.scrolled, width: room, height: self.px(HEADER) };
        let mut layout = Layout { header, ..Layout::default() };
        let mut y = header.y + header.height;
        if !self.content.windows.is_empty() {
            y = self.part(&mut layout, "Open", margin, y, room);
            let (width, height) = (self.px(CARD).min(room), self.px(CARD_HEIGHT));
            let cards = self.content.windows.iter().map(|w| w.id);
            for (id, card) in cards.zip(grid(margin, y, room, width, height, self.px(GAP))) {
                let side = card.height;
                let cross = Place { x: card.x + card.width - side, y: card.y, width: side, height: side };
                layout.items.push((Item::Close(id), cross));
                layout.items.push((Item::Window(id), card));
                y = card.y;
            }
            y += height + self.px(GAP);
        }
        let terminal = self.terminal.then_some(Item::Terminal);
        let entries = self.content.entries.iter().map(|entry| Item::Entry(entry.id.clone()));
        let tiles: Vec<_> = terminal.into_iter().chain(entries).collect();
        if !tiles.is_empty() {
            y = self.part(&mut layout, "Start", margin, y, room);
            let (width, height) = (self.px(TILE).min(room), self.px(COVER + TITLE));
            for (item, tile) in tiles.into_iter().zip(grid(margin, y, room, width, height, self.px(GAP))) {
                layout.items.push((item, tile));
                y = tile.y;
            }
            y += height;
        }
        layout.bottom = y + margin + self.scrolled;
        layout
    }

    fn part(&self, layout: &mut Layout, text: &'static str, x: i32, y: i32, width: i32) -> i32 {
        let place = Place { x, y, width, height: self.px(CAPTION) };
        layout.captions.push(Caption { text, place });
        y + place.height
    }

    /// The pointer is there.
    pub fn point(&mut self, x: i32, y: i32) -> Outcome {
        if let Some(dragged) = self.drag(x, y) {
            return dragged;
        }
        match self.at(x, y) {
            Some(item) if self.chosen.as_ref() != Some(&item) => {
                self.chosen = Some(item);
                Outcome::Changed
            }
            _ => Outcome::Same,
        }
    }

    /// A button or a finger goes down.
    pub fn press(&mut self, x: i32, y: i32) -> Outcome {
        self.held = Some(Held { from: (x, y), last: y, scrolls: false });
        match self.at(x, y) {
            Some(item) if self.chosen.as_ref() != Some(&item) => {
                self.chosen = Some(item);
                Outcome::Changed
            }
            _ => Outcome::Same,
        }
    }

    /// It comes up: unless it scrolled, what is there is meant.
    pub fn release(&mut self) -> Outcome {
        let Some(held) = self.held.take().filter(|held| !held.scrolls) else { return Outcome::Same };
        match self.at(held.from.0, held.from.1) {
            Some(item) => self.meant(&item),
            None => Outcome::Do(Action::Leave),
        }
    }

    /// It is taken away: nothing was meant.
    pub fn cancel(&mut self) {
        self.held = None;
    }

    fn drag(&mut self, x: i32, y: i32) -> Option<Outcome> {
        let (far, mut held) = (self.px(DRAG), self.held?);
        held.scrolls |= (x - held.from.0).abs().max((y - held.from.1).abs()) > far;
        let by = held.last - y;
        if held.scrolls {
            held.last = y;
        }
        self.held = Some(held);
        Some(if held.scrolls { self.scroll_by(by) } else { Outcome::Same })
    }

    /// A wheel turned, or a finger moved on a pad: by so many pixels.
    pub fn scroll_by(&mut self, pixels: i32) -> Outcome {
        let before = self.scrolled;
        self.scroll_to(before.saturating_add(pixels));
        if self.scrolled == before { Outcome::Same } else { Outcome::Changed }
    }

    fn scroll_to(&mut self, to: i32) {
        let most = (self.layout().bottom - self.height).max(0);
        self.scrolled = to.clamp(0, most);
    }

    /// A key goes down, by its code in the kernel's `input-event-codes.h`.
    pub fn key(&mut self, code: u32) -> Outcome {
        match code {
            KEY_ESC => Outcome::Do(Action::Leave),
            KEY_ENTER | KEY_KPENTER | KEY_SPACE => match self.chosen.clone() {
                Some(item) => self.meant(&item),
                None => Outcome::Same,
            },
            KEY_DELETE => match &self.chosen {
                Some(Item::Window(id) | Item::Close(id)) => Outcome::Do(Action::Close(*id)),
                _ => Outcome::Same,
            },
            KEY_LEFT => self.go(-1, 0),
            KEY_RIGHT | KEY_TAB => self.go(1, 0),
            KEY_UP => self.go(0, -1),
            KEY_DOWN => self.go(0, 1),
            KEY_PAGEUP => self.scroll_by(-self.height),
            KEY_PAGEDOWN => self.scroll_by(self.height),
            KEY_HOME => self.scroll_by(i32::MIN / 2),
            KEY_END => self.scroll_by(i32::MAX / 2),
            _ => Outcome::Same,
        }
    }

    fn meant(&self, item: &Item) -> Outcome {
        Outcome::Do(match item {
            Item::Terminal => Action::Terminal,
            Item::Entry(id) => Action::Launch(id.clone()),
            Item::Window(id) => Action::Focus(*id),
            Item::Close(id) => Action::Close(*id),
        })
    }

    fn at(&self, x: i32, y: i32) -> Option<Item> {
        self.layout().items.into_iter().find(|(_, place)| place.contains(x, y)).map(|(item, _)| item)
    }

    /// To the nearest item that way; sideways in reading order, from row to row.
    fn go(&mut self, right: i32, down: i32) -> Outcome {
        let items: Vec<_> =
            self.layout().items.into_iter().filter(|(item, _)| !matches!(item, Item::Close(_))).collect();
        let chosen = match &self.chosen {
            Some(Item::Close(id)) => Some(Item::Window(*id)),
            other => other.clone(),
        };
        let Some(now) = items.iter().position(|(item, _)| Some(item) == chosen.as_ref()) else {
            self.chosen = items.first().map(|(item, _)| item.clone());
            return Outcome::Changed;
        };
        let next = if right != 0 {
            usize::try_from(now as i64 + i64::from(right)).ok().filter(|next| *next < items.len())
        } else {
            let middle = |p: &Place| (p.x + p.width / 2, p.y + p.height / 2);
            let (x, y) = middle(&items[now].1);
            let that_way = items.iter().enumerate().filter(|(_, (_, p))| (middle(p).1 - y) * down > 0);
            that_way.min_by_key(|(_, (_, p))| ((middle(p).1 - y).abs(), (middle(p).0 - x).abs())).map(|(at, _)| at)
        };
        let Some(next) = next else { return Outcome::Same };
        let (item, place) = items[next].clone();
        self.chosen = Some(item);
        let margin = self.px(GAP);
        if place.y < margin {
            self.scroll_to(self.scrolled + place.y - margin - self.px(CAPTION));
        } else if place.y + place.height > self.height - margin {
            self.scroll_to(self.scrolled + place.y + place.height + margin - self.height);
        }
        Outcome::Changed
    }
}

/// Places of one size, row after row, as many in a row as fit.
fn grid(x: i32, y: i32, room: i32, width: i32, height: i32, gap: i32) -> impl Iterator<Item = Place> {
    let columns = ((room + gap) / (width + gap).max(1)).max(1);
    (0..).map(move |i: i32| Place {
        x: x + i % columns * (width + gap),
        y: y + i / columns * (height + gap),
        width,
        height,
    })
}

// In units: pixels at a scale of 1.
const MARGIN: i32 = 48;
/// A display that is narrower has a third of the margin.
const NARROW: i32 = 600;
const HEADER: i32 = 84;
const CAPTION: i32 = 34;
const GAP: i32 = 18;
const TILE: i32 = 150;
const COVER: i32 = 200;
/// Two lines of a title below a cover.
pub const TITLE: i32 = 46;
const CARD: i32 = 300;
const CARD_HEIGHT: i32 = 52;
/// From here on a press is a scroll.
const DRAG: i32 = 10;

// The kernel's `input-event-codes.h`.
const KEY_ESC: u32 = 1;
const KEY_TAB: u32 = 15;
const KEY_ENTER: u32 = 28;
const KEY_SPACE: u32 = 57;
const KEY_KPENTER: u32 = 96;
const KEY_HOME: u32 = 102;
const KEY_UP: u32 = 103;
const KEY_PAGEUP: u32 = 104;
const KEY_LEFT: u32 = 105;
const KEY_RIGHT: u32 = 106;
const KEY_END: u32 = 107;
const KEY_DOWN: u32 = 108;
const KEY_PAGEDOWN: u32 = 109;
const KEY_DELETE: u32 = 111;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Entry, OpenWindow};

    fn view(entries: usize, windows: u64) -> View {
        let mut view = View::new();
        view.terminal = true;
        view.resize(1280, 680, 1.0);
        let entry = |i: usize| Entry { id: format!("e{i}"), title: format!("Entry {i}"), cover: false };
        let window = |id| OpenWindow { id, title: format!("Window {id}") };
        view.show(Content {
            entries: (0..entries).map(entry).collect(),
            windows: (1..=windows).map(window).collect(),
            ..Content::default()
        });
        view
    }

    fn place(view: &View, wanted: &Item) -> Place {
        view.layout().items.into_iter().find(|(item, _)| item == wanted).map(|(_, place)| place).expect("is there")
    }

    fn click(view: &mut View, wanted: &Item) -> Outcome {
        let at = place(view, wanted);
        view.press(at.x + at.width / 2, at.y + at.height / 2);
        view.release()
    }

    #[test]
    fn a_click_means_what_lies_there() {
        let mut view = view(3, 2);
        assert_eq!(click(&mut view, &Item::Terminal), Outcome::Do(Action::Terminal));
        assert_eq!(click(&mut view, &Item::Entry("e2".into())), Outcome::Do(Action::Launch("e2".into())));
        assert_eq!(click(&mut view, &Item::Window(2)), Outcome::Do(Action::Focus(2)));
        assert_eq!(click(&mut view, &Item::Close(1)), Outcome::Do(Action::Close(1)));
        view.press(1279, 679);
        assert_eq!(view.release(), Outcome::Do(Action::Leave), "nothing lies there");
    }

    #[test]
    fn nothing_lies_on_anything_else_at_any_size_and_scale() {
        for (width, height, scale) in
            [(1280, 680, 1.0), (320, 200, 1.0), (3840, 2100, 2.0), (1365, 727, 1.25), (1, 1, 3.0)]
        {
            let mut view = view(40, 5);
            view.resize(width, height, scale);
            let layout = view.layout();
            let solid: Vec<_> = layout.items.iter().filter(|(item, _)| !matches!(item, Item::Close(_))).collect();
            for (i, (item, a)) in solid.iter().enumerate() {
                for (other, b) in &solid[i + 1..] {
                    let both = a.and(*b);
                    assert!(both.width == 0 || both.height == 0, "{item:?} and {other:?} at {width}x{height}*{scale}");
                }
                assert!(a.x + a.width <= width.max(a.x + a.width.min(1)), "{item:?} leaves the side");
            }
        }
    }

    #[test]
    fn keys_reach_everything_and_bring_it_into_sight() {
        let mut view = view(60, 2);
        let count = view.layout().items.len() - 2;
        assert_eq!(view.chosen, Some(Item::Window(1)));
        let mut seen = vec![view.chosen.clone()];
        while view.key(KEY_RIGHT) == Outcome::Changed {
            seen.push(view.chosen.clone());
            let at = place(&view, view.chosen.as_ref().expect("chosen"));
            assert!(at.y >= 0 && at.y + at.height <= 680, "{:?} is out of sight: {at:?}", view.chosen);
        }
        assert_eq!(seen.len(), count);
        while view.key(KEY_UP) == Outcome::Changed {
            let at = place(&view, view.chosen.as_ref().expect("chosen"));
            assert!(at.y >= 0 && at.y + at.height <= 680, "{:?} is out of sight: {at:?}", view.chosen);
        }
        assert!(matches!(view.chosen, Some(Item::Window(_))));
        assert_eq!(view.key(KEY_DOWN), Outcome::Changed);
        assert!(matches!(view.chosen, Some(Item::Terminal | Item::Entry(_))));
        assert_eq!(view.key(KEY_ESC), Outcome::Do(Action::Leave));
    }

    #[test]
    fn a_finger_that_moves_scrolls_and_means_nothing() {
        let mut view = view(60, 0);
        let before = place(&view, &Item::Terminal);
        view.press(before.x + 5, 600);
        assert_eq!(view.point(before.x + 5, 595), Outcome::Same, "a finger trembles");
        assert_eq!(view.point(before.x + 5, 500), Outcome::Changed);
        assert_eq!(view.release(), Outcome::Same);
        assert_eq!(place(&view, &Item::Terminal).y, before.y - 100);
        // Neither above the first nor below the last.
        view.scroll_by(i32::MIN / 2);
        assert_eq!(place(&view, &Item::Terminal).y, before.y);
        view.scroll_by(i32::MAX);
        let last = place(&view, &Item::Entry("e59".into()));
        assert!(last.y + last.height < 680 && last.y + last.height > 500, "{last:?}");
    }

    #[test]
    fn what_was_chosen_stays_chosen_while_it_is_there() {
        let mut view = view(5, 1);
        view.chosen = Some(Item::Entry("e3".into()));
        let mut content = view.content.clone();
        content.entries.remove(0);
        view.show(content.clone());
        assert_eq!(view.chosen, Some(Item::Entry("e3".into())));
        content.entries.clear();
        content.windows.clear();
        view.show(content);
        assert_eq!(view.chosen, Some(Item::Terminal));
        view.terminal = false;
        view.show(Content::default());
        assert_eq!((view.chosen.clone(), view.key(KEY_ENTER)), (None, Outcome::Same));
    }
}
