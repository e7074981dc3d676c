//! Input on its way to a worker.

use std::time::{Duration, Instant};

use punktfunk_media::{InjectError, Injector, InjectorCaps, InputAction, reason};

use super::link::ANSWER_WITHIN;
use crate::wire::{READY, Socket, SocketError, encode_action};

/// Plays input back on a built-in desktop.
#[derive(Debug)]
pub struct WorkerInjector {
    socket: Socket,
}

impl WorkerInjector {
    /// Waits until the worker takes input.
    pub(super) fn begin(socket: Socket) -> Result<Self, InjectError> {
        let mut buffer = [0; 16];
        match socket.receive_by(&mut buffer, Instant::now() + ANSWER_WITHIN) {
            Ok(Some(message)) if message.bytes == READY => Ok(Self { socket }),
            Ok(Some(_)) => Err(lost("it speaks another version".to_owned())),
            Ok(None) => Err(lost(format!("no answer within {ANSWER_WITHIN:?}"))),
            Err(e) => Err(lost(e.to_string())),
        }
    }
}

impl Injector for WorkerInjector {
    fn caps(&self) -> InjectorCaps {
        InjectorCaps { text: true, touch: true, pen: true, precise_scroll: true }
    }

    fn inject(&mut self, action: &InputAction) -> Result<(), InjectError> {
        let message = encode_action(action);
        // The socket is the bounded queue; where it has no room it is waited for, a moment: the last of a burst may be the
        // end of a key.
        self.socket.send_by(message.as_ref(), None, Instant::now() + ROOM_WITHIN).map_err(|error| match error {
            SocketError::Full => {
                let detail = format!("the compositor did not read for {ROOM_WITHIN:?}");
                InjectError { reason: &reason::INJECT_LOST, detail, fatal: false }
            }
            other => lost(other.to_string()),
        })
    }
}

fn lost(detail: String) -> InjectError {
    InjectError { reason: &reason::INJECT_LOST, detail, fatal: true }
}

/// Longer than a compositor is busy with a frame, shorter than a person takes for a failure.
const ROOM_WITHIN: Duration = Duration::from_millis(100);
