//! The pointer beside the pictures: told to the plane, also after the source was replaced, and switched while pictures go on.

mod common;

use std::time::Duration;

use common::Setup;
use punktfunk_engine::session::SessionCommand;
use punktfunk_media::fake::{Faults, SyntheticDesktop, SyntheticOptions};

fn told(running: &common::Running) -> (usize, usize) {
    let seen = running.client.seen();
    (seen.cursor.len(), seen.cursor.iter().filter(|update| update.shape.is_some()).count())
}

#[test]
fn it_is_told_with_every_picture_and_switched_live() {
    let running = Setup { cursor_apart: true, ..Setup::default() }.start();
    running.client.wait_for("places", |s| (s.cursor.len() >= 20).then_some(()));
    let first = running.client.seen().cursor[0].clone();
    assert!(first.place.visible && first.shape.is_some(), "{first:?}");
    running.control.command(SessionCommand::CursorApart(false));
    // The order is read within a few pictures.
    running.client.wait_more(5);
    std::thread::sleep(Duration::from_millis(100));
    let before = told(&running);
    running.client.wait_more(10);
    assert_eq!(told(&running), before, "told although it is in the pictures");
    running.control.command(SessionCommand::CursorApart(true));
    running.client.wait_for("everything again", |s| {
        let new = &s.cursor[before.0..];
        (new.len() > 3 && new[0].shape.is_some()).then_some(())
    });
    running.finish();
}

#[test]
fn a_source_that_replaces_another_is_asked_as_well_and_none_is_by_itself() {
    let faults = Faults { capture_fatal_after: Some(10), capture_fatal_times: 1, ..Faults::default() };
    let options = SyntheticOptions { background: false, faults, ..SyntheticOptions::default() };
    let running = Setup { desktop: SyntheticDesktop::new(options), cursor_apart: true, ..Setup::default() }.start();
    running.client.wait_units(30);
    let (places, shapes) = told(&running);
    assert!(places > 12 && shapes >= 2, "{places} places, {shapes} shapes");
    assert_eq!(running.finish().stats.counters.capture_restarts, 1);

    let running = Setup::default().start();
    running.client.wait_units(10);
    assert_eq!(told(&running), (0, 0));
    running.finish();
}
