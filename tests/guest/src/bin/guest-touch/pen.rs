//! The pen.

use punktfunk_core::datagram::{PenSample, PenState, PenTool};
use punktfunk_media::InputAction;
use punktfunk_testkit::window::{Seen, Touched};

use crate::{Bench, Client, touched};

/// Comes near, draws from the lightest touch to the hardest, leans, uses its buttons, and rubs out with its other end.
pub fn strokes(bench: &mut Bench) {
    bench.forget();
    let client = &mut bench.clients[0];
    let near = PenSample {
        state: PenState::IN_RANGE,
        tool: PenTool::Pen,
        x: 320.0 / 640.0,
        y: 90.0 / 360.0,
        distance: Some(20_000),
        ..PenSample::default()
    };
    let seen = draw(client, &[near], |seen| seen.contains(&Touched::Distance(20_000)));
    assert_eq!(seen[0], Touched::PenIn { eraser: false }, "{seen:?}");
    assert!(place(&seen) == Some((320.0, 90.0)) && !seen.contains(&Touched::PenDown), "{seen:?}");

    // The lightest touch is one; from there to the hardest, each harder than the one before.
    let touching = PenSample { state: near.state | PenState::TOUCHING, pressure: 1, distance: None, ..near };
    let harder = [1, 2000, 20_000, 40_000, 65_535].map(|pressure| PenSample { pressure, ..touching });
    let seen = draw(client, &harder, |seen| seen.contains(&Touched::Pressure(65_535)));
    assert!(seen.contains(&Touched::PenDown) && !seen.contains(&Touched::PenUp), "{seen:?}");
    let pressures: Vec<u32> =
        seen.iter().filter_map(|t| if let Touched::Pressure(p) = t { Some(*p) } else { None }).collect();
    assert!(pressures.len() == 5 && pressures.is_sorted(), "{pressures:?}");
    assert!(
        pressures[0] < 3000 && pressures[2].abs_diff(20_000) < 2500 && pressures[3].abs_diff(40_000) < 2500,
        "{pressures:?}"
    );

    // It moves and leans: to the right, then away from the person.
    let leaning =
        PenSample { x: 400.0 / 640.0, y: 200.0 / 360.0, tilt_deg: Some(40), azimuth_deg: Some(90), ..harder[4] };
    let seen = draw(client, &[leaning], |seen| is_leaning(seen, 40.0, 0.0) && place(seen) == Some((400.0, 200.0)));
    assert!(!seen.contains(&Touched::PenUp), "{seen:?}");
    let away = PenSample { tilt_deg: Some(25), azimuth_deg: Some(0), ..leaning };
    draw(client, &[away], |seen| is_leaning(seen, 0.0, -25.0));

    let barrel = |state| PenSample { state: leaning.state | state, ..leaning };
    let pressed = [barrel(PenState::BARREL1), barrel(PenState::BARREL1 | PenState::BARREL2), barrel(PenState::NONE)];
    let seen = draw(client, &pressed, |seen| buttons(seen).len() == 4);
    assert_eq!(buttons(&seen)[..2], [(0x14b, true), (0x14c, true)], "{seen:?}");
    assert!(buttons(&seen)[2..].iter().all(|(_, down)| !down), "{seen:?}");

    // Its other end is another tool: the tip goes first.
    let eraser = PenSample { tool: PenTool::Eraser, ..harder[3] };
    let seen = draw(client, &[eraser], |seen| seen.contains(&Touched::PenDown));
    let order: Vec<_> =
        seen.iter().filter(|t| matches!(t, Touched::PenIn { .. } | Touched::PenOut | Touched::PenUp)).collect();
    assert_eq!(order, [&Touched::PenUp, &Touched::PenOut, &Touched::PenIn { eraser: true }], "{seen:?}");

    let gone = PenSample { state: PenState::NONE, pressure: 0, ..eraser };
    let seen = draw(client, &[gone], |seen| seen.contains(&Touched::PenOut));
    assert!(seen.contains(&Touched::PenUp), "{seen:?}");
    bench.assert_only(0);
}

/// Plays the samples, and returns what the window saw once that is `enough`; then it has forgotten it.
fn draw(client: &mut Client, samples: &[PenSample], enough: impl Fn(&[Touched]) -> bool) -> Vec<Touched> {
    for sample in samples {
        client.injector.inject(&InputAction::Pen(*sample)).expect("a sample");
    }
    client.window.wait("the pen", |seen| {
        let touched: Vec<_> =
            seen.iter().filter_map(|s| if let Seen::Touched(t) = s { Some(t.clone()) } else { None }).collect();
        enough(&touched)
    });
    let seen = touched(&client.window);
    client.window.forget();
    seen
}

/// The pixel that it was on last.
fn place(seen: &[Touched]) -> Option<(f64, f64)> {
    seen.iter().rev().find_map(|t| if let Touched::PenMoved { x, y } = t { Some((x.floor(), y.floor())) } else { None })
}

fn is_leaning(seen: &[Touched], right: f64, down: f64) -> bool {
    let last = seen.iter().rev().find_map(|t| if let Touched::Tilt(x, y) = t { Some((*x, *y)) } else { None });
    last.is_some_and(|(x, y)| (x - right).abs() < 0.1 && (y - down).abs() < 0.1)
}

fn buttons(seen: &[Touched]) -> Vec<(u32, bool)> {
    seen.iter()
        .filter_map(|t| if let Touched::PenButton { code, down } = t { Some((*code, *down)) } else { None })
        .collect()
}
