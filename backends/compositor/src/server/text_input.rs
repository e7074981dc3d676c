//! Text as text: programs say where it is wanted (`zwp_text_input_v3`), and what a client types is written there, in any
//! language and at once. Where a program does not say so, `text.rs` types it.
//!
//! smithay tells programs that they may write only while an input method is connected, since nobody else would. Here there
//! is always somebody: we tell them, until a person's own input method comes, which is then told and tells as usual.

use smithay::reexports::wayland_protocols::wp::text_input::zv3::server::zwp_text_input_v3::{Request, ZwpTextInputV3};
use smithay::reexports::wayland_server::Resource as _;
use smithay::reexports::wayland_server::protocol::wl_surface::WlSurface;
use smithay::wayland::text_input::TextInputSeat as _;

use super::state::State;
use super::window::{AppWindow, toplevel_names};

/// What programs said of their text inputs.
#[derive(Default)]
pub struct TextInputs {
    all: Vec<TextInput>,
    /// Who has the keyboard, as far as this was told.
    focus: Option<WlSurface>,
    /// It throws text away now and then: see [`CARELESS`].
    careless: bool,
    /// The text input that we told so.
    told: Option<(ZwpTextInputV3, WlSurface)>,
    /// An input method is connected: then smithay tells.
    pub(super) method: bool,
}

struct TextInput {
    object: ZwpTextInputV3,
    /// Said, and not in force before its commit.
    wanted: Option<bool>,
    enabled: bool,
    /// How often its state was committed: what `done` must repeat.
    commits: u32,
}

impl TextInputs {
    /// A program says something.
    pub(super) fn hear(&mut self, object: &ZwpTextInputV3, request: &Request) {
        let known = self.all.iter().position(|input| input.object == *object);
        let Some(at) = known.or_else(|| {
            // smithay keeps them all; nobody has more than one for each of its windows.
            (self.all.len() < MOST).then(|| {
                self.all.push(TextInput { object: object.clone(), wanted: None, enabled: false, commits: 0 });
                self.all.len() - 1
            })
        }) else {
            return;
        };
        let input = &mut self.all[at];
        match request {
            Request::Enable => input.wanted = Some(true),
            Request::Disable => input.wanted = Some(false),
            Request::Commit => {
                input.commits = input.commits.wrapping_add(1);
                input.enabled = input.wanted.take().unwrap_or(input.enabled);
            }
            _ => {}
        }
    }

    /// One is gone.
    pub(super) fn forget(&mut self, object: &ZwpTextInputV3) {
        self.all.retain(|input| input.object != *object);
    }

    /// The program that has the keyboard hears that we write no more.
    pub(super) fn retire(&mut self) {
        if let Some((object, surface)) =
            self.told.take().filter(|(object, surface)| object.is_alive() && surface.is_alive())
        {
            object.leave(&surface);
        }
    }
}

impl State {
    /// Tells programs who has the keyboard now. Cheap where nothing changed.
    pub(super) fn follow_text_input(&mut self) {
        let handle = self.seat.text_input();
        let focus = handle.focus().filter(WlSurface::is_alive);
        if self.text_inputs.focus != focus {
            let careless = focus.as_ref().is_some_and(|surface| self.is_careless(surface));
            let inputs = &mut self.text_inputs;
            (inputs.focus, inputs.careless) = (focus, careless);
            // Who enters says anew what is wanted.
            for input in &mut inputs.all {
                (input.wanted, input.enabled) = (None, false);
            }
        }
        let inputs = &mut self.text_inputs;
        if inputs.method {
            return;
        }
        let mut now = None;
        handle.with_focused_text_input(|object, surface| now = Some((object.clone(), surface.clone())));
        now = now.filter(|_| !inputs.careless);
        if inputs.told == now {
            return;
        }
        inputs.retire();
        if let Some((object, surface)) = &now {
            object.enter(surface);
        }
        inputs.told = now;
    }

    fn is_careless(&self, surface: &WlSurface) -> bool {
        let Some(AppWindow::Wayland(window, _)) = self.window_of(surface) else { return false };
        window.toplevel().is_some_and(|toplevel| CARELESS.contains(&toplevel_names(toplevel).1.as_str()))
    }

    /// Writes a character where the program that has the keyboard wants text; false: it wants none.
    pub(super) fn write_character(&mut self, character: char) -> bool {
        let inputs = &self.text_inputs;
        let focus = inputs.focus.as_ref().filter(|surface| surface.is_alive() && !inputs.careless);
        let Some(focus) = focus else { return false };
        let id = focus.id();
        let enabled = |input: &&TextInput| input.enabled && input.object.id().same_client_as(&id);
        let Some(input) = inputs.all.iter().find(enabled) else { return false };
        input.object.commit_string(Some(character.to_string()));
        input.object.done(input.commits);
        true
    }
}

/// Application ids of programs that throw text away when what they said last crosses it on its way, against the protocol: foot
/// tells of its cursor whenever something is written. They get keys.
const CARELESS: [&str; 2] = ["foot", "footclient"];
/// Text inputs of all programs together.
const MOST: usize = 4096;
