//! How it looks.

use std::collections::BTreeMap;

use crate::canvas::{Canvas, Colour, Place};
use crate::covers::Cover;
use crate::terminal;
use crate::text::{Pen, Style};
use crate::view::{Item, TITLE, View};

/// Draws everything. `above`: windows lie behind it.
pub fn paint(
    canvas: &mut Canvas<'_>,
    view: &View,
    covers: &BTreeMap<String, Option<Cover>>,
    pen: &mut Pen,
    above: bool,
) {
    canvas.clear(if above { SCRIM } else { NOTHING });
    let (all, layout) = (canvas.all(), view.layout());
    header(canvas, view, layout.header, pen);
    for caption in &layout.captions {
        let style = Style { size: size(view, 15), colour: QUIET, bold: true, lines: 1 };
        pen.write(canvas, caption.place, style, caption.text, all);
    }
    // A cross comes before its card, and lies on it.
    for (item, place) in layout.items.iter().rev() {
        if place.and(all).height == 0 {
            continue;
        }
        let chosen = view.chosen.as_ref() == Some(item);
        match item {
            Item::Terminal => tile(canvas, view, *place, terminal::TITLE, None, chosen, pen),
            Item::Entry(id) => {
                let title = view.content.entries.iter().find(|e| e.id == *id).map_or("", |e| &e.title);
                tile(canvas, view, *place, title, covers.get(id).and_then(Option::as_ref), chosen, pen);
            }
            Item::Window(id) => {
                let title = view.content.windows.iter().find(|w| w.id == *id).map_or("", |w| &w.title);
                card(canvas, view, *place, title, chosen, pen);
            }
            Item::Close(_) => cross(canvas, view, *place, chosen),
        }
    }
}

fn header(canvas: &mut Canvas<'_>, view: &View, place: Place, pen: &mut Pen) {
    let all = canvas.all();
    let mark = Place { width: view.px(5), height: view.px(34), ..place };
    canvas.fill(mark, view.px(2), ACCENT, all);
    let text = Place { x: place.x + view.px(18), width: place.width - view.px(18), ..place };
    let style = Style { size: size(view, 26), colour: BRIGHT, bold: true, lines: 1 };
    let host = if view.content.host.is_empty() { "punktfunk" } else { &view.content.host };
    pen.write(canvas, text, style, host, all);
    let below = Place { y: place.y + view.px(38), ..text };
    let (line, colour, lines) = match view.trouble.as_ref().or(view.ended.as_ref()) {
        Some(trouble) => (trouble, WRONG, 2),
        None => (&view.content.session, QUIET, 1),
    };
    pen.write(canvas, below, Style { size: size(view, 15), colour, bold: false, lines }, line, all);
}

fn tile(
    canvas: &mut Canvas<'_>,
    view: &View,
    place: Place,
    title: &str,
    cover: Option<&Cover>,
    chosen: bool,
    pen: &mut Pen,
) {
    let (all, radius) = (canvas.all(), view.px(8));
    let picture = Place { height: place.height - view.px(TITLE), ..place };
    if chosen {
        canvas.fill(picture.grown(view.px(3)), radius + view.px(3), ACCENT, all);
    }
    match cover {
        Some(cover) => canvas.picture(picture, radius, cover, all),
        None => {
            canvas.fill(picture, radius, colour_of(title), all);
            let letter: String =
                title.chars().find(|c| c.is_alphanumeric()).into_iter().flat_map(char::to_uppercase).collect();
            let large = size(view, 64);
            let at = Place {
                x: picture.x + picture.width / 2 - (large * 0.36) as i32,
                y: picture.y + picture.height / 2 - (large * 0.62) as i32,
                ..picture
            };
            pen.write(canvas, at, Style { size: large, colour: BRIGHT, bold: true, lines: 1 }, &letter, all);
        }
    }
    let below = Place { y: picture.y + picture.height + view.px(6), height: view.px(TITLE), ..picture };
    let style = Style { size: size(view, 15), colour: if chosen { BRIGHT } else { PLAIN }, bold: false, lines: 2 };
    pen.write(canvas, below, style, title, all);
}

fn card(canvas: &mut Canvas<'_>, view: &View, place: Place, title: &str, chosen: bool, pen: &mut Pen) {
    let (all, radius) = (canvas.all(), view.px(8));
    if chosen {
        canvas.fill(place.grown(view.px(3)), radius + view.px(3), ACCENT, all);
    }
    canvas.fill(place, radius, CARD, all);
    let inside = Place {
        x: place.x + view.px(16),
        y: place.y + (place.height - (size(view, 16) * 1.25) as i32) / 2,
        width: place.width - place.height - view.px(20),
        height: place.height,
    };
    let title = if title.is_empty() { "–" } else { title };
    pen.write(canvas, inside, Style { size: size(view, 16), colour: BRIGHT, bold: false, lines: 1 }, title, all);
}

fn cross(canvas: &mut Canvas<'_>, view: &View, place: Place, chosen: bool) {
    let all = canvas.all();
    if chosen {
        let inside = place.grown(-view.px(8));
        canvas.fill(inside, view.px(8), WRONG, all);
    }
    let (x, y) = (place.x + place.width / 2, place.y + place.height / 2);
    let (arm, thick) = (view.px(7), view.px(2).max(1));
    for i in -arm..=arm {
        for side in [i, -i] {
            canvas.fill(Place { x: x + i, y: y + side, width: thick, height: thick }, 0, BRIGHT, all);
        }
    }
}

fn size(view: &View, units: u8) -> f32 {
    f32::from(units) * view.scale() as f32
}

/// A colour that belongs to a title: always the same, dark enough for a bright letter.
fn colour_of(title: &str) -> Colour {
    let hash = title.bytes().fold(2_166_136_261_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    let part = |shift: u32, least: u8| least + (hash >> shift & 0x3f) as u8;
    [255, part(0, 28), part(8, 44), part(16, 60)]
}

const NOTHING: Colour = [0, 0, 0, 0];
/// Over windows, which are seen as shadows.
const SCRIM: Colour = [236, 13, 22, 32];
const ACCENT: Colour = [255, 0x4f, 0xb3, 0xbf];
const BRIGHT: Colour = [255, 0xf0, 0xf5, 0xf8];
const PLAIN: Colour = [255, 0xd8, 0xe2, 0xea];
const QUIET: Colour = [255, 0x9a, 0xac, 0xba];
const WRONG: Colour = [255, 0xe0, 0x7a, 0x5f];
const CARD: Colour = [235, 0x1c, 0x2b, 0x3a];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Content, Entry, OpenWindow};

    fn picture(view: &View, covers: &BTreeMap<String, Option<Cover>>, above: bool) -> Vec<u8> {
        let mut pixels = vec![0; 800 * 600 * 4];
        paint(&mut Canvas::new(&mut pixels, 800, 600), view, covers, &mut Pen::new(), above);
        pixels
    }

    fn alpha(pixels: &[u8], x: usize, y: usize) -> u8 {
        let at = (y * 800 + x) * 4;
        (u32::from_ne_bytes(pixels[at..at + 4].try_into().expect("four")) >> 24) as u8
    }

    #[test]
    fn everything_is_drawn_where_it_lies_and_what_is_chosen_stands_out() {
        let mut view = View::new();
        view.terminal = true;
        view.resize(800, 600, 1.0);
        view.show(Content {
            host: "living room".into(),
            session: "sofa".into(),
            entries: vec![Entry { id: "a".into(), title: "Ärger 世界".into(), cover: true }],
            windows: vec![OpenWindow { id: 4, title: "foot".into() }],
        });
        let cover = Cover { width: 150, height: 200, pixels: vec![0x0012_3456; 150 * 200] };
        let covers = BTreeMap::from([("a".to_owned(), Some(cover))]);
        let bare = picture(&view, &covers, false);
        for (item, place) in view.layout().items {
            assert!(alpha(&bare, (place.x + 20) as usize, (place.y + 20) as usize) > 200, "{item:?}");
            view.chosen = Some(item.clone());
            let chosen = picture(&view, &covers, false);
            view.chosen = None;
            assert!(picture(&view, &covers, false) != chosen, "{item:?} looks the same chosen");
            if item == Item::Entry("a".into()) {
                let at = ((place.y + 100) as usize * 800 + (place.x + 75) as usize) * 4;
                assert_eq!(u32::from_ne_bytes(chosen[at..at + 4].try_into().expect("four")), 0xff12_3456);
            }
        }
        // Elsewhere the desktop behind is seen, or hidden.
        assert_eq!((alpha(&bare, 799, 599), alpha(&picture(&view, &covers, true), 799, 599)), (0, SCRIM[0]));
        // Trouble takes the session's line.
        let bare = picture(&view, &covers, false);
        view.trouble = Some("The host does not answer.".into());
        let trouble = picture(&view, &covers, false);
        assert!(trouble != bare);
        // So does a program that ended at once, however much it said, and it lies on nothing else.
        view.trouble = None;
        view.ended = Some(format!("Ärger ended at once (exit status: 1): {}", "no ".repeat(60)));
        let ended = picture(&view, &covers, false);
        assert!(ended != bare && ended != trouble);
        let below = view.layout().captions[0].place.y as usize * 800 * 4;
        assert!(ended[below..] == bare[below..]);
    }
}
