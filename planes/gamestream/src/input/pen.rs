//! The pen.

use punktfunk_core::datagram::{PenBatch, PenSample, PenState, PenTool, RichInput};

use super::{Decoded, u16_of};
use crate::wire::input::{Contact, Pen};

/// The pen as it was last.
#[derive(Debug, Default)]
pub(super) struct PenTracker {
    seq: u16,
    last: PenSample,
}

impl PenTracker {
    pub fn pen(&mut self, pen: &Pen, out: &mut dyn FnMut(Decoded)) {
        let buttons = buttons(pen.buttons);
        let near = PenState::IN_RANGE.union(buttons);
        let sample = match pen.contact {
            Contact::Hover => PenSample {
                state: near,
                // 0 = unknown.
                distance: (pen.pressure > 0.0).then(|| u16_of(pen.pressure)),
                ..sample(pen)
            },
            Contact::Down | Contact::Move => {
                // A pen that cannot tell draws half strong rather than not at all.
                let pressure = if pen.pressure > 0.0 { u16_of(pen.pressure).max(1) } else { UNKNOWN_PRESSURE };
                PenSample { state: near.union(PenState::TOUCHING), pressure, distance: Some(0), ..sample(pen) }
            }
            // Whether it still hovers, a pen that can tell says next.
            Contact::Up => PenSample { state: PenState::NONE, ..sample(pen) },
            Contact::Cancel | Contact::CancelAll | Contact::HoverLeave => {
                PenSample { state: PenState::NONE, pressure: 0, ..self.last }
            }
            Contact::ButtonOnly => {
                let kept = self.last.state.without(PenState::BARREL1.union(PenState::BARREL2));
                PenSample { state: kept.union(buttons), ..self.last }
            }
        };
        self.last = sample;
        self.seq = self.seq.wrapping_add(1);
        if let Some(batch) = PenBatch::new(self.seq, &[sample]) {
            out(Decoded::Rich(RichInput::Pen(batch)));
        }
    }
}

fn sample(pen: &Pen) -> PenSample {
    PenSample {
        tool: match pen.eraser {
            Some(false) => PenTool::Pen,
            Some(true) => PenTool::Eraser,
            None => PenTool::Unknown,
        },
        x: pen.x,
        y: pen.y,
        tilt_deg: pen.tilt_deg,
        azimuth_deg: pen.rotation_deg,
        ..PenSample::default()
    }
}

/// The third button has no counterpart.
fn buttons(mask: u8) -> PenState {
    let barrel1 = if mask & 1 != 0 { PenState::BARREL1 } else { PenState::NONE };
    let barrel2 = if mask & 2 != 0 { PenState::BARREL2 } else { PenState::NONE };
    barrel1.union(barrel2)
}

const UNKNOWN_PRESSURE: u16 = 32_768;
