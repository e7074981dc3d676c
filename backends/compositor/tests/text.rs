//! Text of any language: written where a program wants it, with and without an input method of the person's own.

mod common;

use common::program::Program;
use common::{MODE, Worker};
use punktfunk_media::{Injector, InputAction};
use wayland_client::protocol::wl_surface::WlSurface;
use wayland_protocols::wp::text_input::zv3::client::{
    zwp_text_input_manager_v3::ZwpTextInputManagerV3, zwp_text_input_v3::ZwpTextInputV3,
};
use wayland_protocols_misc::zwp_input_method_v2::client::zwp_input_method_manager_v2::ZwpInputMethodManagerV2;
use wayland_protocols_misc::zwp_input_method_v2::client::zwp_input_method_v2::ZwpInputMethodV2;

/// A program with a window, and with a keyboard.
fn shown(worker: &Worker) -> (Program, WlSurface) {
    let mut program = Program::connect(&worker.display());
    let _keyboard = program.seat.get_keyboard(&program.handle(), ());
    let surface = program.window();
    let picture = program.picture(64, 64, [1, 1, 1]);
    program.show(&surface, &picture);
    program.roundtrip().unwrap();
    program.wait("its keymap", |seen| seen.keymaps > 0);
    (program, surface)
}

fn text_input(program: &Program) -> ZwpTextInputV3 {
    let inputs: ZwpTextInputManagerV3 = program.list.bind(&program.handle(), 1..=1, ()).unwrap();
    inputs.get_text_input(&program.seat, &program.handle(), ())
}

fn input_method(program: &Program) -> ZwpInputMethodV2 {
    let methods: ZwpInputMethodManagerV2 = program.list.bind(&program.handle(), 1..=1, ()).unwrap();
    methods.get_input_method(&program.seat, &program.handle(), ())
}

fn enable(program: &mut Program, input: &ZwpTextInputV3) {
    input.enable();
    input.commit();
    program.roundtrip().unwrap();
}

fn type_text(injector: &mut dyn Injector, text: &str) {
    for character in text.chars() {
        injector.inject(&InputAction::Text(character)).unwrap();
    }
}

/// Waits for this much, and no more, to be heard by a text input; forgets it.
fn must_hear(program: &mut Program, heard: &[&str]) {
    program.wait(&format!("{heard:?}"), |seen| seen.text.len() >= heard.len());
    program.roundtrip().unwrap();
    assert_eq!(program.seen.text, heard);
    program.seen.text.clear();
}

#[test]
fn text_is_written_where_a_program_wants_it_and_typed_where_it_does_not() {
    let worker = Worker::start(MODE);
    let mut injector = worker.link().injector().unwrap();
    let (mut program, _surface) = shown(&worker);
    // One that comes after the keyboard did hears of it all the same.
    let input = text_input(&program);
    must_hear(&mut program, &["enter"]);
    // It has said nothing: keys, under a keymap that has them.
    let keymaps = program.seen.keymaps;
    type_text(&mut injector, "é");
    program.wait("a key", |seen| seen.keys.len() == 2);
    assert!(program.seen.keymaps > keymaps && program.seen.text.is_empty(), "{:?}", program.seen.text);

    // Enabled and not committed is not in force; committed, it is: no key, no keymap, whatever the language.
    input.enable();
    program.roundtrip().unwrap();
    type_text(&mut injector, "ü");
    program.wait("a key", |seen| seen.keys.len() == 4);
    input.commit();
    program.roundtrip().unwrap();
    let keymaps = program.seen.keymaps;
    type_text(&mut injector, "世🦀");
    must_hear(&mut program, &["commit 世", "done 1", "commit 🦀", "done 1"]);
    assert_eq!((program.seen.keymaps, program.seen.keys.len()), (keymaps, 4));
    // Its state counts, and stays enabled.
    input.set_surrounding_text("世🦀".to_owned(), 7, 7);
    input.commit();
    program.roundtrip().unwrap();
    type_text(&mut injector, "a");
    must_hear(&mut program, &["commit a", "done 2"]);
    // Enter is a key.
    type_text(&mut injector, "\n");
    program.wait("Enter", |seen| seen.keys.len() == 6);
    assert_eq!(program.seen.keys[4], (28, true));
    input.disable();
    input.commit();
    program.roundtrip().unwrap();
    type_text(&mut injector, "b");
    program.wait("a key", |seen| seen.keys.len() == 8);
    assert!(program.seen.text.is_empty(), "{:?}", program.seen.text);

    // Gone, and another one.
    enable(&mut program, &input);
    input.destroy();
    program.roundtrip().unwrap();
    type_text(&mut injector, "c");
    program.wait("a key", |seen| seen.keys.len() == 10);
    let input = text_input(&program);
    must_hear(&mut program, &["enter"]);
    enable(&mut program, &input);
    type_text(&mut injector, "d");
    must_hear(&mut program, &["commit d", "done 1"]);
}

#[test]
fn text_follows_the_keyboard() {
    let worker = Worker::start(MODE);
    let mut injector = worker.link().injector().unwrap();
    let (mut first, _surface) = shown(&worker);
    let input = text_input(&first);
    must_hear(&mut first, &["enter"]);
    enable(&mut first, &input);
    let (mut second, _other) = shown(&worker);
    must_hear(&mut first, &["leave"]);
    type_text(&mut injector, "é");
    second.wait("a key", |seen| seen.keys.len() == 2);
    let other = text_input(&second);
    must_hear(&mut second, &["enter"]);
    enable(&mut second, &other);
    type_text(&mut injector, "é");
    must_hear(&mut second, &["commit é", "done 1"]);
    // Back with the first: it says anew what it wants.
    drop(second);
    must_hear(&mut first, &["enter"]);
    assert!(first.seen.keys.is_empty(), "{:?}", first.seen.keys);
    type_text(&mut injector, "é");
    first.wait("a key", |seen| seen.keys.len() == 2);
    enable(&mut first, &input);
    type_text(&mut injector, "é");
    must_hear(&mut first, &["commit é", "done 2"]);
}

#[test]
fn an_input_method_of_the_persons_own_comes_first_and_goes_without_a_trace() {
    let worker = Worker::start(MODE);
    let mut injector = worker.link().injector().unwrap();
    let (mut program, _surface) = shown(&worker);
    let input = text_input(&program);
    must_hear(&mut program, &["enter"]);
    enable(&mut program, &input);

    let mut method_program = Program::connect(&worker.display());
    let method = input_method(&method_program);
    method_program.roundtrip().unwrap();
    must_hear(&mut program, &["leave", "enter"]);
    enable(&mut program, &input);
    method_program.wait("the text input", |seen| seen.method == ["activate"]);
    // One that comes second is told so, and takes nothing along when it goes.
    let mut refused = Program::connect(&worker.display());
    let late = input_method(&refused);
    let grab = late.grab_keyboard(&refused.handle(), ());
    let surface = refused.compositor.create_surface(&refused.handle(), ());
    let popup = late.get_input_popup_surface(&surface, &refused.handle(), ());
    late.commit_string("no".to_owned());
    late.commit(0);
    refused.wait("no for an answer", |seen| seen.method == ["unavailable"]);
    drop((popup, grab, refused));
    method_program.roundtrip().unwrap();
    assert_eq!(method_program.seen.method, ["activate"]);
    method.commit_string("から".to_owned());
    method.commit(1);
    method_program.roundtrip().unwrap();
    must_hear(&mut program, &["commit から", "done 2"]);
    // The client's text is written as before.
    type_text(&mut injector, "é");
    must_hear(&mut program, &["commit é", "done 2"]);

    drop(method_program);
    must_hear(&mut program, &["leave", "enter"]);
    enable(&mut program, &input);
    type_text(&mut injector, "é");
    must_hear(&mut program, &["commit é", "done 3"]);
}
