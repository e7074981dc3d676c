//! Fingers.

use punktfunk_media::{Injector, InputAction};
use punktfunk_testkit::window::{Seen, Touched};

use crate::{Bench, touched, wait};

/// All over the output at once, each at its very pixel, and each its own way.
pub fn ten(bench: &mut Bench) {
    bench.forget();
    let client = &mut bench.clients[0];
    let (w, h) = (640.0, 360.0);
    let place = |id: u32| (f64::from(id * 63 + 7), f64::from(359 - id * 35));
    for id in 0..10 {
        let (x, y) = place(id);
        client.injector.inject(&InputAction::TouchDown { id: id + 100, x: x / w, y: y / h }).expect("down");
    }
    for id in (0..10).rev() {
        let (x, y) = place(id);
        client
            .injector
            .inject(&InputAction::TouchMove { id: id + 100, x: (x + 3.0) / w, y: (y - 2.0) / h })
            .expect("moved");
    }
    for id in 0..10 {
        client.injector.inject(&InputAction::TouchUp { id: id + 100 }).expect("up");
    }
    client.window.wait("the last finger is up", |seen| ups(seen) == 10);
    let seen = touched(&client.window);
    let mut downs: Vec<i32> = Vec::new();
    for touch in &seen {
        match *touch {
            Touched::Down { id, x, y } => {
                let expected = place(downs.len() as u32);
                assert_eq!((x.floor(), y.floor()), expected, "finger {}: {seen:?}", downs.len());
                assert!(!downs.contains(&id), "{seen:?}");
                downs.push(id);
            }
            Touched::Moved { id, x, y } => {
                let finger = downs.iter().position(|d| *d == id).expect("a finger that is down");
                let expected = place(finger as u32);
                assert_eq!((x.floor() - 3.0, y.floor() + 2.0), expected, "finger {finger}: {seen:?}");
            }
            Touched::Up { .. } => {}
            _ => panic!("{seen:?}"),
        }
    }
    let moves = seen.iter().filter(|t| matches!(t, Touched::Moved { .. })).count();
    let lifted: Vec<i32> =
        seen.iter().filter_map(|t| if let Touched::Up { id } = t { Some(*id) } else { None }).collect();
    assert_eq!((downs.len(), moves, lifted), (10, 10, downs.clone()), "{seen:?}");
    bench.assert_only(0);
}

/// With the same numbers, to the corners of either output.
pub fn of_two_clients(bench: &mut Bench) {
    for (at, (width, height)) in [(640.0, 360.0), (320.0, 200.0)].into_iter().enumerate() {
        bench.forget();
        let client = &mut bench.clients[at];
        client.injector.inject(&InputAction::TouchDown { id: 1, x: 0.0, y: 0.0 }).expect("down");
        client.injector.inject(&InputAction::TouchMove { id: 1, x: 1.0, y: 1.0 }).expect("moved");
        client.injector.inject(&InputAction::TouchUp { id: 1 }).expect("up");
        client.window.wait("the finger is up", |seen| ups(seen) == 1);
        let seen = touched(&client.window);
        let [Touched::Down { x: left, y: top, .. }, Touched::Moved { x, y, .. }, Touched::Up { .. }] = seen[..] else {
            panic!("{seen:?}");
        };
        assert_eq!((left, top, x.floor(), y.floor()), (0.0, 0.0, width - 1.0, height - 1.0), "{seen:?}");
        bench.assert_only(at);
    }
}

/// The engine lifts what it knows of; whatever it is that goes wrong there, nothing stays on the devices.
pub fn injector_goes(bench: &mut Bench) {
    bench.forget();
    let client = &mut bench.clients[0];
    // For some time after a pen has left, libinput takes fingers for the heel of the hand that held it.
    wait("fingers count again", || {
        client.injector.inject(&InputAction::TouchDown { id: 1, x: 0.5, y: 0.5 }).expect("down");
        client.injector.inject(&InputAction::TouchUp { id: 1 }).expect("up");
        (ups(&client.window.seen()) > 0).then_some(())
    });
    for id in [1, 2] {
        client.injector.inject(&InputAction::TouchDown { id, x: 0.5, y: 0.5 }).expect("down");
    }
    client.injector = Box::new(Nothing);
    client.window.wait("both fingers are down and then up", came_and_went);
    client.window.forget();
    client.injector = client.stage.injector().expect("another injector");
    assert!(client.injector.caps().touch);
    client.injector.inject(&InputAction::TouchDown { id: 1, x: 0.5, y: 0.5 }).expect("down");
    client.injector.inject(&InputAction::TouchUp { id: 1 }).expect("up");
    client.window.wait("the next finger", |seen| ups(seen) == 1);
}

/// Two fingers were down at once, and now none is.
fn came_and_went(seen: &[Seen]) -> bool {
    let (mut down, mut both) = (0, false);
    for touch in seen {
        match touch {
            Seen::Touched(Touched::Down { .. }) => down += 1,
            Seen::Touched(Touched::Up { .. }) => down -= 1,
            _ => {}
        }
        both |= down == 2;
    }
    both && down == 0
}

fn ups(seen: &[Seen]) -> usize {
    seen.iter().filter(|s| matches!(s, Seen::Touched(Touched::Up { .. }))).count()
}

/// No injector.
struct Nothing;

impl Injector for Nothing {
    fn caps(&self) -> punktfunk_media::InjectorCaps {
        punktfunk_media::InjectorCaps::default()
    }

    fn inject(&mut self, _: &InputAction) -> Result<(), punktfunk_media::InjectError> {
        Ok(())
    }
}
