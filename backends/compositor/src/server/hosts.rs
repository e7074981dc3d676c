//! Hosts: what they ask, the pictures they take, the input they send. They come and go; the desktop stays.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use punktfunk_inject::KeyboardLayout;
use punktfunk_media::{CursorImage, CursorPlace, Mode};

use super::held::Held;
use super::state::State;
use crate::programs::{Programs, Wanted};
use crate::wire::{
    Answer, FrameNote, FromCapture, LONGEST, Listener, Question, READY, Received, Role, Socket, SocketError, ToCapture,
    decode_action, decode_to_capture, encode_cursor,
};

/// Their connections.
pub struct Hosts {
    listener: Listener,
    /// What each is for, once it said so.
    peers: Vec<Peer>,
    buffer: Vec<u8>,
    /// A message about the pointer.
    cursor: Vec<u8>,
}

struct Peer {
    socket: Socket,
    role: Option<Role>,
    held: Held,
    /// Broken or replaced: dropped at the end of the round.
    over: bool,
}

impl Hosts {
    /// Listens in `runtime_dir`.
    pub fn listen(runtime_dir: &Path) -> Result<Self, String> {
        let path = runtime_dir.join(CONTROL_SOCKET);
        let listener = Listener::bind(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self { listener, peers: Vec::new(), buffer: vec![0; LONGEST], cursor: Vec::new() })
    }

    /// What to wait for.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd()).chain(self.peers.iter().map(|p| p.socket.as_fd()))
    }

    /// Hears everybody out.
    pub fn serve(&mut self, state: &mut State, programs: &mut Programs) {
        self.accept();
        for i in 0..self.peers.len() {
            // A host that sends without end is heard again in the next round, after programs and drawing.
            for _ in 0..MOST_MESSAGES {
                let peer = &mut self.peers[i];
                let outcome = match peer.socket.receive(&mut self.buffer) {
                    Ok(None) => break,
                    Ok(Some(message)) => peer.hear(message, state, programs),
                    Err(error) => Err(error.to_string()),
                };
                match outcome {
                    Ok(None) => {}
                    Ok(Some(role)) => self.begin(i, role, state),
                    Err(why) => {
                        tracing::debug!(why, "a host's connection ended");
                        self.peers[i].over = true;
                    }
                }
                if self.peers[i].over || std::mem::take(&mut state.text.sent) {
                    break;
                }
            }
        }
        for peer in self.peers.iter_mut().filter(|peer| peer.over) {
            peer.held.take().for_each(|action| state.play(&action));
        }
        let captured = self.captures();
        self.peers.retain(|peer| !peer.over);
        if captured && !self.captures() {
            // Nobody takes pictures any more; their memory goes back to the system.
            state.set_cursor_apart(false);
            state.screen.new_layout(&state.output);
            state.pacer.set_credits(0);
        }
        if !std::mem::replace(&mut state.screen.layout_told, true) {
            self.send_capture(&state.screen.layout());
        }
    }

    fn captures(&self) -> bool {
        self.peers.iter().any(|p| p.role == Some(Role::Capture))
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok(None) => return,
                Ok(Some(socket)) if self.peers.len() < MOST_PEERS => {
                    self.peers.push(Peer { socket, role: None, held: Held::default(), over: false });
                }
                Ok(Some(_)) => tracing::warn!("more than {MOST_PEERS} connections of hosts; one was refused"),
                Err(error) => {
                    tracing::warn!("a host was not let in: {error}");
                    return;
                }
            }
        }
    }

    /// A connection says what it is for.
    fn begin(&mut self, index: usize, role: Role, state: &mut State) {
        if role == Role::Capture {
            // One consumer: the newest. An old one that still lives finds its socket closed.
            for (i, peer) in self.peers.iter_mut().enumerate() {
                peer.over |= i != index && peer.role == Some(Role::Capture);
            }
            state.set_cursor_apart(false);
            state.screen.new_consumer(&state.output);
            state.pacer.set_credits(0);
            state.pacer.restart();
        }
        let peer = &mut self.peers[index];
        peer.role = Some(role);
        let told = match role {
            // A consumer is told the layout at the end of the round.
            Role::Control | Role::Capture => Ok(()),
            Role::Input => peer.socket.send(READY, None),
        };
        peer.over |= told.is_err();
    }

    /// A slot was filled.
    pub fn send_frame(&mut self, note: &FrameNote) {
        self.send_capture(&FromCapture::Frame(*note));
    }

    /// News of the pointer.
    pub fn send_cursor(&mut self, place: &CursorPlace, shape: Option<&CursorImage>) {
        let mut message = std::mem::take(&mut self.cursor);
        encode_cursor(place, shape, &mut message);
        self.send_to_consumer(&message);
        self.cursor = message;
    }

    fn send_capture(&mut self, message: &FromCapture) {
        self.send_to_consumer(message.encode().as_ref());
    }

    fn send_to_consumer(&mut self, message: &[u8]) {
        for peer in self.peers.iter_mut().filter(|p| p.role == Some(Role::Capture) && !p.over) {
            // Of pictures there are fewer messages under way than slots, of the pointer one, and the socket has room for all
            // of them.
            peer.over |= peer.socket.send(message, None).is_err();
        }
    }
}

impl Peer {
    /// One message. `Some`: it said what it is for.
    fn hear(
        &mut self,
        message: Received<'_>,
        state: &mut State,
        programs: &mut Programs,
    ) -> Result<Option<Role>, String> {
        match self.role {
            None => Role::from_hello(message.bytes).map(Some).ok_or_else(|| "not our protocol".to_owned()),
            Some(Role::Input) => {
                let action = decode_action(message.bytes).ok_or("not an action")?;
                state.play(&action);
                self.held.note(&action);
                Ok(None)
            }
            Some(Role::Capture) => {
                match decode_to_capture(message.bytes).ok_or("not a message of a consumer")? {
                    ToCapture::Slot { generation, index } => {
                        let memory = message.fd.ok_or("a slot without memory")?;
                        state.screen.add(generation, index, memory)?;
                    }
                    ToCapture::Format(format) => {
                        state.screen.set_format(format, &state.output)?;
                        state.pacer.set_credits(0);
                        state.pacer.restart();
                    }
                    ToCapture::CursorApart(apart) => state.set_cursor_apart(apart),
                    ToCapture::CursorHeard => state.apart.heard(),
                    ToCapture::Lend { generation, index } => {
                        let lent = state.screen.lend(generation, index);
                        state.pacer.set_credits(lent);
                    }
                }
                Ok(None)
            }
            Some(Role::Control) => {
                let question = serde_json::from_slice(message.bytes).map_err(|e| e.to_string())?;
                let answer = answer(&question, state, programs);
                let text = serde_json::to_vec(&answer).map_err(|e| e.to_string())?;
                self.socket.send(&text, None).map_err(|e: SocketError| e.to_string())?;
                Ok(None)
            }
        }
    }
}

fn answer(question: &Question, state: &mut State, programs: &mut Programs) -> Answer {
    let refused = |why: String| Answer::Refused { why };
    match question {
        Question::State => state_of(state),
        Question::SetMode { width, height, refresh_hz, scale } => {
            let mode = Mode { width: *width, height: *height, refresh_hz: *refresh_hz };
            state.set_mode(mode, *scale).map_or_else(refused, |()| state_of(state))
        }
        Question::SetKeyboard { model, layout, variant, options } => {
            let [model, layout, variant, options] = [model, layout, variant, options].map(String::clone);
            let layout = KeyboardLayout { model, layout, variant, options };
            state.set_layout(&layout).map_or_else(refused, |()| Answer::Done)
        }
        Question::Start { script, env, title } => {
            let wanted = title.as_deref().map(|title| Wanted { title, may_wait: SOUND_COMES });
            let started = programs.start(Path::new(script), env, wanted);
            started.map_or_else(|e| refused(format!("{script}: {e}")), |()| Answer::Done)
        }
        Question::Focus { window } => match state.bring_window(*window) {
            true => Answer::Done,
            false => refused(format!("there is no window {window}")),
        },
        Question::Close { window } => match state.close_window(*window) {
            true => Answer::Done,
            false => refused(format!("there is no window {window}")),
        },
    }
}

fn state_of(state: &State) -> Answer {
    let Mode { width, height, refresh_hz } = state.mode;
    let mut windows = state.window_list();
    windows.truncate(MOST_TOLD);
    for window in &mut windows {
        truncate(&mut window.title);
        truncate(&mut window.app_id);
    }
    Answer::State { width, height, refresh_hz, scale: state.scale, windows }
}

/// A title is as long as its program likes.
fn truncate(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(LONGEST_NAME) {
        text.truncate(at);
    }
}

/// Where hosts connect, in the runtime folder.
pub const CONTROL_SOCKET: &str = "compositor.sock";
/// A host has three, an old one that has not yet noticed its end three more.
const MOST_PEERS: usize = 16;
/// Of one connection in one round.
const MOST_MESSAGES: usize = 256;
/// Windows in one answer, and characters of a name, so that the answer fits a message.
const MOST_TOLD: usize = 64;
/// A program waits no longer than this for the desktop's sound.
const SOUND_COMES: Duration = Duration::from_secs(3);
const LONGEST_NAME: usize = 120;
