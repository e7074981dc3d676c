//! Mode changes while a session runs.

mod common;

use std::sync::{Arc, Mutex};

use common::{MODE, Running, Setup, code, encoder};
use punktfunk_engine::session::SessionCommand;
use punktfunk_media::fake::{
    EncoderScript, Faults, ModeAnswer, SyntheticDesktop, SyntheticOptions, TransportEncoderFactory, pft1,
    read_fake_unit,
};
use punktfunk_media::{Codec, Colour, Encoder, EncoderConfig, EncoderFactory, Matrix, Mode, OpenEncoderError};

fn desktop(mode_answer: ModeAnswer) -> SyntheticDesktop {
    let faults = Faults { mode_answer, ..Faults::default() };
    SyntheticDesktop::new(SyntheticOptions { background: false, faults, ..Default::default() })
}

/// Waits for a unit of this size.
fn wait_size(running: &Running, mode: Mode) -> u32 {
    running.client.wait_for(&format!("a picture of {mode}"), |s| {
        let sized = |u: &&common::Received| {
            read_fake_unit(&u.data).is_some_and(|(_, w, h, _)| (w, h) == (mode.width, mode.height))
        };
        s.units.iter().rev().find(sized).map(|u| u.index)
    })
}

#[test]
fn a_new_size_starts_with_a_keyframe_and_keeps_the_numbers() {
    let bigger = Mode { width: 640, height: 480, refresh_hz: 240 };
    let running = Setup::default().start();
    running.client.wait_units(10);
    running.control.command(SessionCommand::SetMode(bigger));
    wait_size(&running, bigger);
    running.client.wait_more(5);
    let client = Arc::clone(&running.client);
    let end = running.finish();
    assert_eq!(end.stage.as_ref().map(|s| s.mode()), Some(bigger));
    let seen = client.seen();
    assert_eq!((&seen.modes[..], seen.gaps.len(), end.stats.counters.mode_changes), (&[bigger][..], 1, 1));
    let mut width = MODE.width;
    for (i, unit) in seen.units.iter().enumerate() {
        let (keyframe, w, _, own) = read_fake_unit(&unit.data).expect("ours");
        assert_eq!(unit.index as usize, i, "wire numbers go on");
        assert_eq!(keyframe, i == 0 || w != width, "a keyframe at the change and nowhere else");
        assert!(!keyframe || own == 0, "a new encoder");
        width = w;
    }
    assert_eq!(width, 640);
}

#[test]
fn a_new_refresh_rate_needs_no_keyframe() {
    let slower = Mode { refresh_hz: 120, ..MODE };
    let running = Setup::default().start();
    running.client.wait_units(10);
    running.control.command(SessionCommand::SetMode(slower));
    running.client.wait_for("the answer", |s| (s.modes == [slower]).then_some(()));
    running.client.wait_more(10);
    let end = running.finish();
    assert_eq!((end.stats.counters.keyframes, end.stats.counters.mode_changes), (1, 1));
}

#[test]
fn what_the_desktop_makes_of_it_is_told() {
    let asked = Mode { width: 640, height: 480, refresh_hz: 144 };
    for (answer, active) in [
        (ModeAnswer::Take, asked),
        (ModeAnswer::Refuse, MODE),
        (ModeAnswer::Only60Hz, Mode { refresh_hz: 60, ..asked }),
    ] {
        let running = Setup { desktop: desktop(answer), ..Setup::default() }.start();
        running.client.wait_units(3);
        running.control.command(SessionCommand::SetMode(asked));
        running.client.wait_for("the answer", |s| (s.modes == [active]).then_some(()));
        wait_size(&running, active);
        assert_eq!(code(running.finish().reason), "-", "{answer:?}");
    }
}

#[test]
fn an_encoder_that_can_follow_is_not_opened_again() {
    let bigger = Mode { width: 640, height: 480, refresh_hz: 240 };
    let encoders: Vec<Arc<dyn EncoderFactory>> = vec![Arc::new(TransportEncoderFactory)];
    let running = Setup { encoders, ..Setup::default() }.start();
    running.client.wait_units(10);
    running.control.command(SessionCommand::SetMode(bigger));
    let change =
        running.client.wait_for("a keyframe", |s| s.units.iter().skip(1).find(|u| u.is_keyframe()).map(|u| u.index));
    running.client.wait_more(5);
    let client = Arc::clone(&running.client);
    let end = running.finish();
    let seen = client.seen();
    assert_eq!((end.stats.counters.keyframes, seen.gaps.len(), seen.lost), (2, 1, 0));
    assert!(change >= 10);
    for unit in &seen.units {
        assert_eq!(pft1::check(&unit.data), Ok(unit.index), "its own numbers go on too");
    }
}

#[test]
fn a_size_that_the_desktop_chose_itself_is_followed_and_told() {
    let own = Mode { width: 480, height: 270, refresh_hz: 60 };
    let running = Setup::default().start();
    running.client.wait_units(3);
    running.desktop.resize(own);
    running.client.wait_for("the news", |s| (s.modes == [own]).then_some(()));
    wait_size(&running, own);
    let end = running.finish();
    assert_eq!((code(end.reason), end.stats.counters.mode_changes, end.stats.counters.keyframes), ("-", 0, 2));
}

#[test]
fn a_compositor_that_dies_of_it_ends_the_session() {
    let running = Setup { desktop: desktop(ModeAnswer::Die), ..Setup::default() }.start();
    running.client.wait_units(3);
    running.control.command(SessionCommand::SetMode(Mode { width: 640, ..MODE }));
    running.client.wait_ending();
    let end = running.join();
    assert_eq!((code(end.reason), end.stage.is_none()), ("desktop.died", true));
}

#[test]
fn a_size_that_breaks_the_first_encoder_goes_to_the_next() {
    // The first encoder dies after its fifth access unit, the mode change comes while the second one runs.
    let encoders = vec![
        encoder("weak", EncoderScript { fail_after: Some(5), ..EncoderScript::default() }),
        encoder("floor", EncoderScript::default()),
    ];
    let bigger = Mode { width: 640, ..MODE };
    let running = Setup { encoders, ..Setup::default() }.start();
    running.client.wait_units(8);
    running.control.command(SessionCommand::SetMode(bigger));
    wait_size(&running, bigger);
    let end = running.finish();
    assert_eq!((end.stats.encoder, end.stats.counters.encoder_changes, end.stats.counters.keyframes), ("floor", 1, 3));
}

/// Notes the colour that each encoder is opened with.
struct Noting {
    inner: Arc<dyn EncoderFactory>,
    colours: Arc<Mutex<Vec<Colour>>>,
}

impl EncoderFactory for Noting {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn codec(&self) -> Codec {
        self.inner.codec()
    }

    fn open(&self, config: &EncoderConfig) -> Result<Box<dyn Encoder>, OpenEncoderError> {
        self.colours.lock().expect("no panic while held").push(config.colour);
        self.inner.open(config)
    }
}

#[test]
fn the_colour_outlives_modes_and_encoders() {
    let colours = Arc::new(Mutex::new(Vec::new()));
    let noting = |name, script| -> Arc<dyn EncoderFactory> {
        Arc::new(Noting { inner: encoder(name, script), colours: Arc::clone(&colours) })
    };
    let encoders = vec![
        noting("weak", EncoderScript { fail_after: Some(5), ..EncoderScript::default() }),
        noting("floor", EncoderScript::default()),
    ];
    let colour = Colour { matrix: Matrix::Bt601, full_range: true };
    let bigger = Mode { width: 640, ..MODE };
    let running = Setup { encoders, colour, ..Setup::default() }.start();
    running.client.wait_units(8);
    running.control.command(SessionCommand::SetMode(bigger));
    wait_size(&running, bigger);
    running.finish();
    assert_eq!(*colours.lock().expect("no panic while held"), [colour; 3], "the first, the next, and of another size");
}

#[test]
fn a_storm_of_mode_changes_settles_on_the_last() {
    let running = Setup { desktop: SyntheticDesktop::default(), ..Setup::default() }.start();
    let mut mode = MODE;
    for i in 0..200 {
        mode = Mode { width: 160 + i % 17 * 16, height: 120 + i % 5 * 16, refresh_hz: 100 + i };
        running.control.command(SessionCommand::SetMode(mode));
        if i % 10 == 0 {
            running.client.wait_more(1);
        }
    }
    running.client.wait_for("the last mode", |s| (s.modes.last() == Some(&mode)).then_some(()));
    wait_size(&running, mode);
    running.client.wait_more(5);
    let client = Arc::clone(&running.client);
    let end = running.finish();
    assert_eq!((code(end.reason), end.stage.map(|s| s.mode())), ("-", Some(mode)));
    let seen = client.seen();
    let mut last = (0, 0);
    for (i, unit) in seen.units.iter().enumerate() {
        let (keyframe, w, h, _) = read_fake_unit(&unit.data).expect("ours");
        assert_eq!(unit.index as usize, i);
        assert!(keyframe || (w, h) == last, "every new size starts with a keyframe");
        last = (w, h);
    }
    assert_eq!((last, seen.lost), ((mode.width, mode.height), 0));
    assert!(seen.modes.len() as u64 == end.stats.counters.mode_changes && seen.modes.len() <= 200);
}
