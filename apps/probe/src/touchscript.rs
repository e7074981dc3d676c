//! Lines of an input script about fingers and pens.

use punktfunk_core::datagram::{PenBatch, PenSample, PenState, PenTool, RichInput};
use punktfunk_core::input::{Contact, InputEvent};
use serde::Deserialize;

use crate::script::Step;

/// What a finger does.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TouchLine {
    #[serde(default)]
    id: u32,
    /// Where it is from now on, 0.0 … 1.0; without it, it is lifted.
    at: Option<[f32; 2]>,
    /// It was down already.
    #[serde(default)]
    moved: bool,
}

impl TouchLine {
    /// The step of a line.
    pub fn expand(self) -> Step {
        let Some([x, y]) = self.at else { return Step::Input(InputEvent::TouchUp { id: self.id }) };
        let place = |v: f32| (v.clamp(0.0, 1.0) * f32::from(u16::MAX)).round() as i32;
        let contact = Contact { id: self.id, x: place(x), y: place(y), ref_width: u16::MAX, ref_height: u16::MAX };
        Step::Input(if self.moved { InputEvent::TouchMove(contact) } else { InputEvent::TouchDown(contact) })
    }
}

/// Where a pen is; what a line leaves out is not pressed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PenLine {
    /// 0.0 … 1.0; without it, it is gone.
    at: Option<[f32; 2]>,
    /// 0.0 … 1.0; without it, it hovers.
    pressure: Option<f32>,
    #[serde(default)]
    eraser: bool,
    /// Degrees from upright, and the direction of the lean (0 up the screen, clockwise).
    tilt: Option<(u8, u16)>,
    /// Barrel buttons held, 1 and 2.
    #[serde(default)]
    buttons: Vec<u8>,
}

impl PenLine {
    /// The step of a line; [`number`] numbers it.
    pub fn expand(self) -> Result<Step, String> {
        let mut sample = PenSample { tool: PenTool::Pen, ..PenSample::default() };
        if let Some([x, y]) = self.at {
            (sample.x, sample.y, sample.state) = (x, y, PenState::IN_RANGE);
        }
        if let Some(pressure) = self.pressure {
            sample.state = sample.state | PenState::TOUCHING;
            sample.pressure = (pressure.clamp(0.0, 1.0) * f32::from(u16::MAX)) as u16;
        }
        if self.eraser {
            sample.tool = PenTool::Eraser;
        }
        for button in self.buttons {
            sample.state = sample.state
                | match button {
                    1 => PenState::BARREL1,
                    2 => PenState::BARREL2,
                    other => return Err(format!("no button {other} on a pen: 1, 2")),
                };
        }
        (sample.tilt_deg, sample.azimuth_deg) = self.tilt.unzip();
        let batch = PenBatch::new(0, &[sample]).ok_or("a position that is no number")?;
        Ok(Step::Rich(RichInput::Pen(batch)))
    }
}

/// Numbers the pen's batches, as the host wants them.
pub fn number<'a>(steps: impl Iterator<Item = &'a mut Step>) {
    let batches = steps.filter_map(|step| match step {
        Step::Rich(RichInput::Pen(batch)) => Some(batch),
        _ => None,
    });
    for (seq, batch) in (0..=u16::MAX).cycle().zip(batches) {
        if let Some(numbered) = PenBatch::new(seq, batch.samples()) {
            *batch = numbered;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pens_are_numbered_in_their_order() {
        let line = |text: &str| serde_json::from_str::<PenLine>(text).unwrap().expand().unwrap();
        let mut steps =
            [line("{\"at\":[0.5,0.25]}"), line("{\"at\":[0.5,0.25],\"pressure\":1,\"buttons\":[2]}"), line("{}")];
        number(steps.iter_mut());
        let told = steps.map(|step| match step {
            Step::Rich(RichInput::Pen(batch)) => (batch.seq(), batch.samples()[0].state.0, batch.samples()[0].pressure),
            other => panic!("{other:?}"),
        });
        assert_eq!(told, [(0, 1, 0), (1, 1 | 2 | 8, 65_535), (2, 0, 0)]);
    }
}
