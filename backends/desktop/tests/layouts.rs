//! What a person presses is what appears in a terminal, layout by layout: key positions as clients name them, typed on
//! a real sway, and on the built-in desktop, into a real foot. The tables are written by hand from the keyboards' legends,
//! with what XKB has on the positions that a board of that country lacks.

mod common;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{Bed, MODE, PATIENCE, PrivateBench, key, on_every_desktop, on_every_sway, wait_until};
use punktfunk_core::keys::vk_to_evdev;
use punktfunk_desktop::{KeyboardLayout, PrivateContent};
use punktfunk_media::{Injector, InputAction};

/// A keyboard of some country.
struct Board {
    /// As in the configuration.
    layout: &'static str,
    /// Virtual key, then what it types alone, with Shift and with AltGr. A shorter text ends before the levels that
    /// mean nothing there; [`DEAD`] stands for a dead key, which `composed` tries.
    keys: &'static [(u32, &'static str)],
    /// Keys that type nothing.
    mute: &'static [u32],
    /// Strokes, and the characters that they make together.
    composed: &'static [(&'static [Stroke], &'static str)],
    /// A letter to try with Caps Lock, and what it types then.
    caps: Option<(u32, &'static str)>,
}

/// A virtual key with the modifier that is held.
type Stroke = (u32, Level);

#[derive(Clone, Copy)]
enum Level {
    Plain,
    Shift,
    AltGr,
}
use Level::{AltGr, Plain, Shift};

#[test]
fn what_is_pressed_is_what_appears_under_every_layout() {
    on_every_sway(|suite| {
        let command = "exec foot sh -c 'stty -echo; echo ready >\"$HOME/ready\"; cat >\"$HOME/typed\"'".to_owned();
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Shell(command)) else { return };
        let home = bench.launch.scratch().join("home");
        // A bare root folder lacks the table of what dead keys make; this is the machine's own.
        std::fs::copy(COMPOSE, home.join(".XCompose")).expect("libx11-data is installed");
        // The stage keeps a keyboard of its own on the seat, as always.
        let _stage = bench.open("a", MODE);
        wait_until("the terminal runs", || home.join("ready").exists());
        wait_until("the terminal has the keyboard", || bench.focused() == "foot");
        let mut terminal = Terminal { file: home.join("typed"), lines: 0 };
        for board in BOARDS {
            let layout = KeyboardLayout::parse(board.layout);
            let mut injector =
                punktfunk_inject::open(&bench.display(), "HEADLESS-1", &punktfunk_inject::LiveLayout::new(layout))
                    .unwrap();
            terminal.type_board(&mut *injector, board, &format!("{suite:?}"));
        }
    });
}

/// There the layout is the desktop's own, from its first moment to its last.
#[test]
fn what_is_pressed_is_what_appears_on_the_built_in_desktop() {
    let command = "exec foot sh -c 'stty -echo; echo ready >\"$HOME/ready\"; cat >\"$HOME/typed\"'".to_owned();
    let mut bench = PrivateBench::new(Bed::BuiltIn, PrivateContent::Shell(command)).unwrap();
    let home = bench.launch.scratch().join("home");
    std::fs::copy(COMPOSE, home.join(".XCompose")).expect("libx11-data is installed");
    for board in BOARDS {
        bench.remake(Some(KeyboardLayout::parse(board.layout)));
        let mut stage = bench.open("a", MODE);
        wait_until("the terminal runs", || home.join("ready").exists());
        wait_until("the terminal has the keyboard", || bench.focused() == "foot");
        let mut terminal = Terminal { file: home.join("typed"), lines: 0 };
        terminal.type_board(&mut *stage.injector().unwrap(), board, "built-in");
        drop(stage);
        for file in ["ready", "typed"] {
            std::fs::remove_file(home.join(file)).unwrap();
        }
    }
}

/// A client with a layout of its own: in the same terminal, one after the other, then the desktop's own again.
#[test]
fn a_clients_own_layout_is_in_force_at_once() {
    on_every_desktop(|suite| {
        let command = "exec foot sh -c 'stty -echo; echo ready >\"$HOME/ready\"; cat >\"$HOME/typed\"'".to_owned();
        let Some(bench) = PrivateBench::new(suite, PrivateContent::Shell(command)) else { return };
        let home = bench.launch.scratch().join("home");
        std::fs::copy(COMPOSE, home.join(".XCompose")).expect("libx11-data is installed");
        let mut stage = bench.open("a", MODE);
        wait_until("the terminal runs", || home.join("ready").exists());
        wait_until("the terminal has the keyboard", || bench.focused() == "foot");
        let own = stage.keyboard_layout();
        let mut injector = stage.injector().unwrap();
        let mut terminal = Terminal { file: home.join("typed"), lines: 0 };
        for board in BOARDS {
            bench.desktop().check_keyboard_layout(board.layout).unwrap();
            stage.set_keyboard_layout(Some(board.layout)).unwrap();
            assert!(stage.keyboard_layout().ends_with("(from client)"), "{}", stage.keyboard_layout());
            terminal.type_board(&mut *injector, board, &format!("{suite:?}, the client's own"));
        }
        let unknown = "no-such-layout";
        let refused = [bench.desktop().check_keyboard_layout(unknown), stage.set_keyboard_layout(Some(unknown))];
        assert_eq!(refused.map(|r| r.expect_err("nobody knows it").reason.code), ["desktop.layout_refused"; 2]);
        // Refused: the last one stays. Shift is held while it changes: what is held stays held.
        let last = BOARDS.last().unwrap();
        stage.set_keyboard_layout(Some(last.layout)).unwrap();
        terminal.type_board(&mut *injector, last, &format!("{suite:?}, still"));
        let code = |vk| vk_to_evdev(vk).unwrap();
        injector.inject(&key(code(LEFT_SHIFT), true)).unwrap();
        stage.set_keyboard_layout(None).unwrap();
        injector.inject(&key(code(LEFT_SHIFT), false)).unwrap();
        assert_eq!(stage.keyboard_layout(), own);
        let boards = BOARDS.iter().find(|b| own.starts_with(b.layout)).expect("the machine's own is one of ours");
        terminal.type_board(&mut *injector, boards, &format!("{suite:?}, the desktop's own again"));
    });
}

#[test]
fn the_tables_try_enough() {
    for board in BOARDS {
        assert!(board.keys.len() >= 20, "{}", board.layout);
        let vks = || board.keys.iter().map(|(vk, _)| *vk).chain(board.mute.iter().copied());
        for vk in [ISO, RO, YEN, KEYPAD_COMMA] {
            assert!(vks().any(|tried| tried == vk), "{}: {vk:#x}", board.layout);
        }
        let dead = board.keys.iter().flat_map(|(_, types)| types.chars()).any(|c| c == DEAD);
        assert_eq!(dead, !board.composed.is_empty(), "{}", board.layout);
    }
}

/// What to try on a board: what it is, the line that it must make, and the strokes.
fn lines_of(board: &Board) -> Vec<(String, String, Vec<Stroke>)> {
    let mut lines = Vec::new();
    for (vk, types) in board.keys {
        let levels = types.chars().zip([Plain, Shift, AltGr]);
        let strokes = levels.filter(|(c, _)| *c != DEAD).map(|(_, level)| (*vk, level)).collect();
        lines.push((format!("key {vk:#x}"), types.replace(DEAD, ""), strokes));
    }
    for vk in board.mute {
        lines.push((format!("key {vk:#x}"), String::new(), vec![(*vk, Plain), (*vk, Shift)]));
    }
    for (strokes, makes) in board.composed {
        lines.push((format!("{makes} by a dead key"), (*makes).to_owned(), strokes.to_vec()));
    }
    if let Some((vk, types)) = board.caps {
        let strokes = [CAPS_LOCK, vk, CAPS_LOCK].map(|vk| (vk, Plain)).to_vec();
        lines.push((format!("key {vk:#x} with Caps Lock"), types.to_owned(), strokes));
    }
    lines
}

/// Presses and releases a key as a client says it.
fn press(injector: &mut dyn Injector, (vk, level): Stroke) {
    let code = |vk| vk_to_evdev(vk).unwrap_or_else(|| panic!("no position for {vk:#x}"));
    let modifier = match level {
        Plain => None,
        // Either Shift does; each is tried.
        Shift if vk % 2 == 0 => Some(LEFT_SHIFT),
        Shift => Some(RIGHT_SHIFT),
        AltGr => Some(RIGHT_ALT),
    };
    let events = [(modifier, true), (Some(vk), true), (Some(vk), false), (modifier, false)];
    for (vk, down) in events.into_iter().filter_map(|(vk, down)| Some((vk?, down))) {
        injector.inject(&key(code(vk), down)).unwrap();
    }
}

/// The file that the program in the terminal writes.
struct Terminal {
    file: PathBuf,
    /// Those that were looked at.
    lines: usize,
}

impl Terminal {
    /// Everything there is to try on a board.
    fn type_board(&mut self, injector: &mut dyn Injector, board: &Board, desktop: &str) {
        for (what, expected, strokes) in lines_of(board) {
            strokes.into_iter().for_each(|stroke| press(injector, stroke));
            let what = format!("{desktop}, layout {}, {what}", board.layout);
            self.expect(injector, &what, &expected);
        }
        // Text cares for no layout, and the keys are as before afterwards.
        let (vk, types) = board.keys.iter().find(|(_, types)| !types.starts_with(DEAD)).unwrap();
        for text in TEXTS {
            text.chars().for_each(|c| injector.inject(&InputAction::Text(c)).unwrap());
            press(injector, (*vk, Plain));
            let expected: String = text.chars().chain(types.chars().take(1)).collect();
            let what = format!("{desktop}, layout {}, text {text:?}", board.layout);
            self.expect(injector, &what, &expected);
        }
    }

    /// Presses Enter and waits for the line, at a person's pace: a program that is given hundreds of keys at once while it
    /// is busy is thrown out by the compositor.
    fn expect(&mut self, injector: &mut dyn Injector, what: &str, expected: &str) {
        press(injector, (ENTER, Plain));
        let until = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(&self.file).unwrap_or_default();
            let whole = text.rsplit_once('\n').map(|(whole, _)| whole);
            if let Some(line) = whole.and_then(|whole| whole.split('\n').nth(self.lines)) {
                assert_eq!(line, expected, "{what}");
                self.lines += 1;
                return;
            }
            assert!(Instant::now() < until, "nothing arrives: {what}; {text:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[rustfmt::skip]
const BOARDS: &[Board] = &[
    Board {
        layout: "us",
        keys: &[
            (0xc0, "`~"), (0x31, "1!"), (0x32, "2@"), (0x33, "3#"), (0x34, "4$"), (0x35, "5%"), (0x36, "6^"),
            (0x37, "7&"), (0x38, "8*"), (0x39, "9("), (0x30, "0)"), (0xbd, "-_"), (0xbb, "=+"),
            (0x51, "qQ"), (0x57, "wW"), (0x59, "yY"), (0xdb, "[{"), (0xdd, "]}"), (0xdc, "\\|"),
            (0x41, "aA"), (0xba, ";:"), (0xde, "'\""), (0x5a, "zZ"), (0x4d, "mM"), (0xbc, ",<"), (0xbe, ".>"), (0xbf, "/?"),
            // A US board has no key there; XKB gives it those of its neighbours in Europe.
            (ISO, "<>"), (0x20, "  "), (0x6e, "."), (0x6f, "/"), (0x61, "1"), (0x6a, "*"), (KEYPAD_COMMA, "."),
        ],
        mute: &[RO, YEN],
        composed: &[],
        caps: Some((0x41, "A")),
    },
    Board {
        layout: "de",
        keys: &[
            (0xc0, "◌°"), (0x31, "1!¹"), (0x32, "2\"²"), (0x33, "3§³"), (0x34, "4$¼"), (0x35, "5%½"), (0x36, "6&¬"),
            (0x37, "7/{"), (0x38, "8(["), (0x39, "9)]"), (0x30, "0=}"), (0xbd, "ß?\\"), (0xbb, "◌◌"),
            (0x51, "qQ@"), (0x45, "eE€"), (0x59, "zZ"), (0xdb, "üÜ"), (0xdd, "+*~"),
            (0x41, "aA"), (0xba, "öÖ"), (0xde, "äÄ"), (0xdc, "#'’"),
            (ISO, "<>|"), (0x5a, "yY"), (0x4d, "mMµ"), (0xbc, ",;·"), (0xbe, ".:…"), (0xbf, "-_–"),
            (0x6e, ","), (KEYPAD_COMMA, "."),
        ],
        mute: &[RO, YEN],
        composed: &[
            (&[(0xbb, Plain), (0x45, Plain)], "é"), (&[(0xbb, Shift), (0x41, Plain)], "à"),
            (&[(0xc0, Plain), (0x4f, Shift)], "Ô"), (&[(0xc0, Plain), (0x20, Plain)], "^"),
        ],
        caps: Some((0xba, "Ö")),
    },
    Board {
        layout: "fr",
        keys: &[
            (0xc0, "²"), (0x31, "&1"), (0x32, "é2~"), (0x33, "\"3#"), (0x34, "'4{"), (0x35, "(5["), (0x36, "-6|"),
            (0x37, "è7`"), (0x38, "_8\\"), (0x39, "ç9^"), (0x30, "à0@"), (0xbd, ")°]"), (0xbb, "=+}"),
            (0x51, "aA"), (0x57, "zZ"), (0x45, "eE€"), (0xdb, "◌◌"), (0xdd, "$£¤"),
            (0x41, "qQ"), (0xba, "mM"), (0xde, "ù%"), (0xdc, "*µ"),
            (ISO, "<>|"), (0x5a, "wW"), (0x4d, ",?"), (0xbc, ";."), (0xbe, ":/"), (0xbf, "!§"),
            (0x6e, "."), (KEYPAD_COMMA, "."),
        ],
        mute: &[RO, YEN],
        composed: &[
            (&[(0xdb, Plain), (0x45, Plain)], "ê"), (&[(0xdb, Shift), (0x49, Plain)], "ï"),
            (&[(0xdb, Plain), (0x51, Shift)], "Â"), (&[(0xdb, Plain), (0x20, Plain)], "^"),
        ],
        caps: Some((0x51, "A")),
    },
    Board {
        layout: "us:dvorak",
        keys: &[
            (0xc0, "`~"), (0x31, "1!"), (0x36, "6^"), (0xbd, "[{"), (0xbb, "]}"),
            (0x51, "'\""), (0x57, ",<"), (0x45, ".>"), (0x52, "pP"), (0x54, "yY"), (0x59, "fF"), (0x55, "gG"),
            (0x49, "cC"), (0x4f, "rR"), (0x50, "lL"), (0xdb, "/?"), (0xdd, "=+"), (0xdc, "\\|"),
            (0x41, "aA"), (0x53, "oO"), (0x44, "eE"), (0x46, "uU"), (0x47, "iI"), (0x48, "dD"), (0x4a, "hH"),
            (0x4b, "tT"), (0x4c, "nN"), (0xba, "sS"), (0xde, "-_"),
            (0x5a, ";:"), (0x58, "qQ"), (0x43, "jJ"), (0x56, "kK"), (0x42, "xX"), (0x4e, "bB"), (0x4d, "mM"),
            (0xbc, "wW"), (0xbe, "vV"), (0xbf, "zZ"), (ISO, "<>"), (KEYPAD_COMMA, "."),
        ],
        mute: &[RO, YEN],
        composed: &[],
        caps: Some((0x53, "O")),
    },
    Board {
        layout: "jp",
        keys: &[
            (0x31, "1!"), (0x32, "2\""), (0x33, "3#"), (0x34, "4$"), (0x35, "5%"), (0x36, "6&"), (0x37, "7'"),
            (0x38, "8("), (0x39, "9)"), (0x30, "0~"), (0xbd, "-="), (0xbb, "^~"),
            // Unix types a backslash where the key shows a yen.
            (YEN, "\\|"), (RO, "\\_"),
            (0x51, "qQ"), (0x59, "yY"), (0xdb, "@`"), (0xdd, "[{"), (0x41, "aA"), (0xba, ";+"), (0xde, ":*"), (0xdc, "]}"),
            (0x5a, "zZ"), (0xbc, ",<"), (0xbe, ".>"), (0xbf, "/?"),
            // No key of a Japanese board.
            (ISO, "<>"), (KEYPAD_COMMA, "."),
        ],
        // Half width (where others have `, and by its own code), Henkan, Muhenkan, Kana: for the input method.
        mute: &[0xc0, 0xf3, 0x1c, 0x1d, 0xf2],
        composed: &[],
        // The key is Eisu there.
        caps: None,
    },
    Board {
        layout: "br",
        keys: &[
            (0xc0, "'\""), (0x31, "1!¹"), (0x32, "2@²"), (0x33, "3#³"), (0x34, "4$£"), (0x35, "5%¢"), (0x36, "6◌¬"),
            (0x37, "7&"), (0x38, "8*"), (0x39, "9("), (0x30, "0)"), (0xbd, "-_"), (0xbb, "=+§"),
            (0x51, "qQ/"), (0x57, "wW?"), (0x45, "eE°"), (0xdb, "◌◌"), (0xdd, "[{ª"),
            (0x41, "aA"), (0xba, "çÇ"), (0xde, "◌◌"), (0xdc, "]}º"),
            (ISO, "\\|"), (0x5a, "zZ"), (0xbc, ",<"), (0xbe, ".>"), (0xbf, ";:"), (RO, "/?°"),
            (0x6e, ","), (KEYPAD_COMMA, "."),
        ],
        mute: &[YEN],
        composed: &[
            (&[(0xdb, Plain), (0x41, Plain)], "á"), (&[(0xdb, Shift), (0x41, Plain)], "à"),
            (&[(0xde, Plain), (0x41, Plain)], "ã"), (&[(0xde, Plain), (0x4f, Shift)], "Õ"),
            (&[(0xde, Shift), (0x45, Plain)], "ê"), (&[(0x36, Shift), (0x55, Plain)], "ü"),
            (&[(0xde, Plain), (0x20, Plain)], "~"),
        ],
        caps: Some((0xba, "Ç")),
    },
];

/// Letters of several scripts, characters beyond the first plane and joined ones, combining marks.
const TEXTS: &[&str] =
    &["Zażółć 'gęślą' \"jaźń\" ~^`|\\<>", "漢字かな 한글 עברית", "😀👩‍👩‍👧 🇧🇷", "e\u{301}a\u{308}\u{323} ñ"];

/// A dead key.
const DEAD: char = '◌';
const LEFT_SHIFT: u32 = 0xa0;
const RIGHT_SHIFT: u32 = 0xa1;
const RIGHT_ALT: u32 = 0xa5;
const ENTER: u32 = 0x0d;
const CAPS_LOCK: u32 = 0x14;
/// Beside the left Shift on European boards.
const ISO: u32 = 0xe2;
/// Before the right Shift on Japanese and Brazilian boards.
const RO: u32 = 0xc1;
/// Before Backspace on Japanese boards.
const YEN: u32 = 0xe1;
/// Below + of Brazilian keypads.
const KEYPAD_COMMA: u32 = 0xc2;
/// What dead keys make, kept by libx11-data.
const COMPOSE: &str = "/usr/share/X11/locale/en_US.UTF-8/Compose";
