//! The libei injector against an EIS server: what is injected is what the server is asked to play.

mod eis;

use std::os::unix::net::UnixStream;

use eis::{Offer, Order, Server};
use punktfunk_inject::libei::{self, Area};
use punktfunk_media::{InjectError, Injector, InputAction, ScrollPhase, ScrollSource};

/// An injector on a server that has forgotten the start.
fn start(offer: Offer, area: Area) -> (Server, Box<dyn Injector>) {
    let (server, stream) = Server::start(offer);
    let injector = libei::open(stream, area).unwrap_or_else(|e| panic!("{e}"));
    server.expect(&["mouse starts 1", "tablet starts 2", "screen starts 3", "keys starts 4"]);
    (server, injector)
}

fn play(injector: &mut Box<dyn Injector>, actions: &[InputAction]) {
    actions.iter().for_each(|action| injector.inject(action).unwrap_or_else(|e| panic!("{action:?}: {e}")));
}

fn key(code: u16, down: bool) -> InputAction {
    InputAction::Key { code, down }
}

fn scroll(horizontal: bool, source: ScrollSource, phase: ScrollPhase, delta: f64) -> InputAction {
    InputAction::Scroll { horizontal, source, phase, delta }
}

#[test]
fn everything_arrives_exactly_once_and_in_order() {
    let (server, mut injector) = start(Offer::default(), Area::Mapping("right".to_owned()));
    let caps = injector.caps();
    assert!(caps.text && caps.touch && caps.precise_scroll);
    let (wheel, finger) = (ScrollSource::Wheel, ScrollSource::Finger);
    let (none, active, end) = (ScrollPhase::None, ScrollPhase::Active, ScrollPhase::End);
    play(
        &mut injector,
        &[
            InputAction::Motion { dx: 2.5, dy: -1.25 },
            // The last pixel, one in the middle, and beyond the edge, which stays on the output.
            InputAction::MotionAbs { x: 1364.0 / 1365.0, y: 766.0 / 767.0 },
            InputAction::MotionAbs { x: 682.0 / 1365.0, y: 383.0 / 767.0 },
            InputAction::MotionAbs { x: 2.0, y: f64::NAN },
            InputAction::Button { code: 0x110, down: true },
            InputAction::Button { code: 0x110, down: false },
            // Back and forward.
            InputAction::Button { code: 0x113, down: true },
            InputAction::Button { code: 0x113, down: false },
            InputAction::Button { code: 0x114, down: true },
            InputAction::Button { code: 0x114, down: false },
            scroll(false, wheel, none, 240.0),
            scroll(true, wheel, none, -30.0),
            // Thirds of a unit gather.
            scroll(false, wheel, none, 0.5),
            scroll(false, wheel, none, 0.5),
            scroll(false, finger, active, 7.5),
            scroll(true, finger, active, -2.25),
            scroll(false, finger, end, 0.0),
            key(30, true),
            key(30, false),
            InputAction::TouchDown { id: 7, x: 0.0, y: 0.0 },
            InputAction::TouchDown { id: 9, x: 0.2, y: 0.0 },
            InputAction::TouchMove { id: 7, x: 0.4, y: 0.0 },
            // Never went down.
            InputAction::TouchMove { id: 8, x: 0.4, y: 0.0 },
            InputAction::TouchUp { id: 7 },
            InputAction::TouchUp { id: 9 },
        ],
    );
    server.expect(&[
        "mouse moved 2.5 -1.25",
        "tablet at 3284 866",
        "tablet at 2602 483",
        "tablet at 3284.996 100",
        "mouse button 0x110 down",
        "mouse button 0x110 up",
        "mouse button 0x113 down",
        "mouse button 0x113 up",
        "mouse button 0x114 down",
        "mouse button 0x114 up",
        "mouse wheel 0 240",
        "mouse wheel -30 0",
        "mouse wheel 0 1",
        "mouse scrolled 0 7.5",
        "mouse scrolled -2.25 0",
        "mouse stopped false true",
        "keys key 30 down",
        "keys key 30 up",
        "screen touch 7 down 1920 100",
        "screen touch 9 down 2193 100",
        "screen touch 7 at 2466 100",
        "screen touch 7 up",
        "screen touch 9 up",
    ]);
    // A frame for each: the server plays nothing before.
    let times = server.wait("the last frame", |seen| seen.times.len() >= 23).times;
    assert_eq!(times.len(), 23);
    assert!(times.is_sorted() && times[0] > 0);
}

#[test]
fn every_pixel_of_an_output_is_hit_exactly() {
    let (server, mut injector) = start(Offer::default(), Area::At { x: 1920, y: 100 });
    for x in 0..1365 {
        play(&mut injector, &[InputAction::MotionAbs { x: f64::from(x) / 1365.0, y: 0.0 }]);
    }
    let expected: Vec<_> = (0..1365).map(|x| format!("tablet at {} 100", 1920 + x)).collect();
    server.expect(&expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn an_output_that_no_device_reaches_is_refused() {
    let (server, mut injector) = start(Offer::default(), Area::Mapping("elsewhere".to_owned()));
    for action in [InputAction::MotionAbs { x: 0.5, y: 0.5 }, InputAction::TouchDown { id: 0, x: 0.5, y: 0.5 }] {
        let error = injector.inject(&action).unwrap_err();
        assert_eq!((error.reason.code, error.fatal), ("inject.unsupported", false));
    }
    play(&mut injector, &[InputAction::Motion { dx: 1.0, dy: 0.0 }]);
    server.expect(&["mouse moved 1 0"]);
}

#[test]
fn what_is_held_is_released_at_the_end() {
    let (server, mut injector) = start(Offer::default(), Area::First);
    play(
        &mut injector,
        &[
            key(30, true),
            key(42, true),
            InputAction::Button { code: 0x110, down: true },
            InputAction::TouchDown { id: 3, x: 0.0, y: 0.0 },
        ],
    );
    server.wait("what goes down", |seen| seen.played.len() == 4);
    server.forget();
    drop(injector);
    let seen = server.wait("goodbye", |seen| seen.bye);
    let mut expected = vec!["mouse button 0x110 up", "mouse stops", "tablet stops", "screen touch 3 up"];
    expected.extend(["screen stops", "keys key 42 up", "keys key 30 up", "keys stops"]);
    assert_eq!(seen.played, expected);
}

#[test]
fn a_pause_releases_and_refuses_and_a_resume_goes_on() {
    let (server, mut injector) = start(Offer::default(), Area::First);
    play(&mut injector, &[key(30, true), InputAction::TouchDown { id: 3, x: 0.0, y: 0.0 }]);
    server.wait("what goes down", |seen| seen.played.len() == 2);
    server.forget();
    server.order(Order::Pause);
    // The server released both, so their ends are nothing to say.
    play(&mut injector, &[key(30, false), InputAction::TouchUp { id: 3 }]);
    for action in [key(31, true), InputAction::Motion { dx: 1.0, dy: 1.0 }, InputAction::Text('a')] {
        let error = injector.inject(&action).unwrap_err();
        assert_eq!((error.reason.code, error.fatal), ("inject.paused", false), "{action:?}");
    }
    server.order(Order::Resume);
    play(&mut injector, &[key(32, true), key(32, false)]);
    server.expect(&[
        "mouse starts 5",
        "tablet starts 6",
        "screen starts 7",
        "keys starts 8",
        "keys key 32 down",
        "keys key 32 up",
    ]);
}

#[test]
fn text_is_typed_with_the_servers_keymap() {
    let (server, mut injector) = start(Offer::default(), Area::First);
    // What the client holds goes up meanwhile.
    play(&mut injector, &[key(29, true)]);
    play(&mut injector, &"zZ@\n".chars().map(InputAction::Text).collect::<Vec<_>>());
    let stroke = |code: u16| [format!("keys key {code} down"), format!("keys key {code} up")];
    let around = |modifier: u16, code: u16| {
        let ([first, last], [down, up]) = (stroke(modifier), stroke(code));
        [first, down, up, last]
    };
    let [ctrl, no_ctrl] = stroke(29);
    let mut expected = vec![ctrl.clone()];
    for keys in [stroke(21).to_vec(), around(42, 21).to_vec(), around(100, 16).to_vec()] {
        expected.extend([vec![no_ctrl.clone()], keys, vec![ctrl.clone()]].concat());
    }
    expected.extend(stroke(28));
    server.expect(&expected.iter().map(String::as_str).collect::<Vec<_>>());
    for character in ['😀', '漢'] {
        let error = injector.inject(&InputAction::Text(character)).unwrap_err();
        assert_eq!((error.reason.code, error.fatal), ("inject.unsupported", false));
    }
    play(&mut injector, &[key(29, false)]);
    server.expect(&["keys key 29 up"]);
    // Caps Lock turns it round.
    server.order(Order::Modifiers { locked: 2, group: 0 });
    play(&mut injector, &[InputAction::Text('Z')]);
    server.expect(&["keys key 21 down", "keys key 21 up"]);
}

#[test]
fn a_server_that_takes_text_gets_it_as_it_is() {
    let (server, mut injector) = start(Offer { text: true, layout: None, ..Offer::default() }, Area::First);
    play(&mut injector, &"ß😀\u{301}\n".chars().map(InputAction::Text).collect::<Vec<_>>());
    server.expect(&["keys text ß", "keys text 😀", "keys text \u{301}", "keys key 28 down", "keys key 28 up"]);
}

#[test]
fn without_a_keymap_no_text_is_promised() {
    let (_server, mut injector) = start(Offer { layout: None, ..Offer::default() }, Area::First);
    assert!(!injector.caps().text);
    let error = injector.inject(&InputAction::Text('a')).unwrap_err();
    assert_eq!((error.reason.code, error.fatal), ("inject.unsupported", false));
}

/// Injects until the injector notices that the server is gone.
fn until_lost(mut injector: Box<dyn Injector>) -> InjectError {
    for _ in 0..20_000 {
        if let Err(error) = injector.inject(&InputAction::Motion { dx: 1.0, dy: 0.0 })
            && error.fatal
        {
            return error;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("the injector does not notice");
}

#[test]
fn a_server_that_goes_is_told_with_its_reason() {
    for (order, says) in
        [(Order::Disconnect, "Disconnected"), (Order::Die, "closed the connection"), (Order::Babble, "header length")]
    {
        let (server, injector) = start(Offer::default(), Area::First);
        server.order(order);
        let error = until_lost(injector);
        assert_eq!(error.reason.code, "inject.lost");
        assert!(error.detail.contains(says), "{error}");
    }
}

#[test]
fn a_server_that_reads_nothing_ends_the_injector_before_memory_does() {
    let (server, mut injector) = start(Offer::default(), Area::First);
    server.order(Order::Sleep);
    let error = (0..1_000_000).find_map(|_| injector.inject(&InputAction::Motion { dx: 1.0, dy: 0.0 }).err());
    let error = error.expect("an error");
    assert_eq!((error.reason.code, error.fatal), ("inject.lost", true));
    assert!(error.detail.contains("reads nothing"), "{error}");
}

#[test]
fn a_server_without_devices_is_no_means_of_input() {
    let refused = |stream| {
        let Err(error) = libei::open(stream, Area::First) else { panic!("opened") };
        assert!(error.fatal);
        (error.reason.code, error.detail)
    };
    let (_server, stream) = Server::start(Offer { devices: false, ..Offer::default() });
    assert_eq!(refused(stream).0, "inject.unsupported");
    let (_server, stream) = Server::start(Offer { resume: false, ..Offer::default() });
    assert_eq!(refused(stream).0, "inject.unsupported");
    let (stream, silent) = UnixStream::pair().unwrap();
    assert_eq!(refused(stream).0, "inject.lost");
    drop(silent);
    let (stream, gone) = UnixStream::pair().unwrap();
    drop(gone);
    let (code, detail) = refused(stream);
    assert!(code == "inject.lost" && detail.contains("closed"), "{detail}");
}
