//! A pen, as `libinput` expects a tablet that is a screen.
//!
//! libinput shows programs the mean of a pen's last four reports, and takes a tip for lifted below a twentieth of the
//! pressure: both heal the faults of hardware, which the client's own system has healed already. So a report is followed
//! by three that differ only in a hair of tilt, after which the mean is exact; and the least pressure of a tip that touches
//! lies above that bound.

use punktfunk_core::datagram::{PenSample, PenState, PenTool};

use super::{ABS_X, ABS_Y, AxisRow, BTN_TOUCH, EV_ABS, EV_KEY, EXTENT, Frames, STEPS_PER_MM, step};

/// Which end is near the surface.
#[derive(Debug, Default)]
pub(super) struct PenModel {
    tool: Option<u16>,
}

impl PenModel {
    /// A tool that changes leaves first, in a frame of its own: a compositor knows one tool at a time.
    pub fn apply(&mut self, sample: &PenSample, frames: &mut Frames) {
        if !sample.state.contains(PenState::IN_RANGE) && !sample.state.contains(PenState::TOUCHING) {
            return self.release(frames);
        }
        let tool = if sample.tool == PenTool::Eraser { BTN_TOOL_RUBBER } else { BTN_TOOL_PEN };
        if self.tool.is_some_and(|old| old != tool) {
            self.release(frames);
        }
        self.tool = Some(tool);
        let touching = sample.state.contains(PenState::TOUCHING);
        let (tilt_x, tilt_y) = tilt(sample.tilt_deg, sample.azimuth_deg);
        let key = |code, down: bool| (EV_KEY, code, i32::from(down));
        frames.push(vec![
            (EV_ABS, ABS_X, step(sample.x.into())),
            (EV_ABS, ABS_Y, step(sample.y.into())),
            (EV_ABS, ABS_PRESSURE, if touching { pressure(sample.pressure) } else { 0 }),
            (EV_ABS, ABS_DISTANCE, if touching { 0 } else { sample.distance.unwrap_or(1).max(1).into() }),
            (EV_ABS, ABS_TILT_X, tilt_x),
            (EV_ABS, ABS_TILT_Y, tilt_y),
            key(tool, true),
            key(BTN_TOUCH, touching),
            key(BTN_STYLUS, sample.state.contains(PenState::BARREL1)),
            key(BTN_STYLUS2, sample.state.contains(PenState::BARREL2)),
        ]);
        frames.extend(
            [HAIR, 0, HAIR].map(|more| vec![(EV_ABS, ABS_TILT_X, tilt_x + more), (EV_ABS, ABS_TILT_Y, tilt_y + more)]),
        );
    }

    /// Lifts it and takes it away.
    pub fn release(&mut self, frames: &mut Frames) {
        let Some(tool) = self.tool.take() else { return };
        let up = |code| (EV_KEY, code, 0);
        frames.push(vec![(EV_ABS, ABS_PRESSURE, 0), up(BTN_TOUCH), up(BTN_STYLUS), up(BTN_STYLUS2), up(tool)]);
    }
}

/// Of a tip that touches: never so little that it would count as lifted.
fn pressure(wire: u16) -> i32 {
    let (least, most) = (u32::from(u16::MAX) / 20 + 1, u32::from(u16::MAX));
    (least + u32::from(wire) * (most - least) / most).cast_signed()
}

/// Degrees from upright and the direction of the lean (0 = up the screen, clockwise) as leans to the right and toward the
/// person, in steps. Unknown is upright.
fn tilt(tilt_deg: Option<u8>, azimuth_deg: Option<u16>) -> (i32, i32) {
    let (Some(tilt), Some(azimuth)) = (tilt_deg, azimuth_deg) else { return (0, 0) };
    let lean = f64::from(tilt.min(89)).to_radians().tan();
    let (right, up) = f64::from(azimuth).to_radians().sin_cos();
    let steps = |share: f64| (lean * share).atan().to_degrees().round() as i32 * STEPS_PER_DEGREE;
    (steps(right), steps(-up))
}

pub(super) const KEYS: [u16; 5] = [BTN_TOOL_PEN, BTN_TOOL_RUBBER, BTN_TOUCH, BTN_STYLUS, BTN_STYLUS2];
pub(super) const AXES: [AxisRow; 6] = [
    (ABS_X, 0, EXTENT, STEPS_PER_MM),
    (ABS_Y, 0, EXTENT, STEPS_PER_MM),
    (ABS_PRESSURE, 0, 65_535, 0),
    (ABS_DISTANCE, 0, 65_535, 0),
    (ABS_TILT_X, -90 * STEPS_PER_DEGREE, 90 * STEPS_PER_DEGREE, STEPS_PER_RADIAN),
    (ABS_TILT_Y, -90 * STEPS_PER_DEGREE, 90 * STEPS_PER_DEGREE, STEPS_PER_RADIAN),
];
/// Many, so that one of them means nothing.
const STEPS_PER_DEGREE: i32 = 64;
/// Axes of angles have their resolution in steps per radian: 180 / π × [`STEPS_PER_DEGREE`].
const STEPS_PER_RADIAN: i32 = 3667;
/// A change that libinput does not pass over, and nobody sees.
const HAIR: i32 = 1;
const ABS_PRESSURE: u16 = 0x18;
const ABS_DISTANCE: u16 = 0x19;
const ABS_TILT_X: u16 = 0x1a;
const ABS_TILT_Y: u16 = 0x1b;
const BTN_TOOL_PEN: u16 = 0x140;
const BTN_TOOL_RUBBER: u16 = 0x141;
const BTN_STYLUS: u16 = 0x14b;
const BTN_STYLUS2: u16 = 0x14c;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(state: PenState, tool: PenTool) -> PenSample {
        PenSample { state, tool, x: 0.5, y: 1.0, pressure: 1000, ..PenSample::default() }
    }

    fn frames(model: &mut PenModel, sample: &PenSample) -> Vec<Vec<(u16, u16, i32)>> {
        let mut frames = Frames::default();
        model.apply(sample, &mut frames);
        frames.0
    }

    #[test]
    fn a_stroke_hovers_touches_and_leaves() {
        let mut model = PenModel::default();
        let hover = frames(&mut model, &sample(PenState::IN_RANGE, PenTool::Pen));
        assert_eq!(hover.len(), 4);
        assert!(
            hover[1..].iter().all(|frame| frame.iter().all(|(_, axis, _)| [ABS_TILT_X, ABS_TILT_Y].contains(axis)))
        );
        assert!(hover[0].contains(&(EV_ABS, ABS_X, 32768)) && hover[0].contains(&(EV_ABS, ABS_Y, 65535)));
        assert!(hover[0].contains(&(EV_ABS, ABS_PRESSURE, 0)) && hover[0].contains(&(EV_KEY, BTN_TOOL_PEN, 1)));
        let down =
            frames(&mut model, &sample(PenState::IN_RANGE | PenState::TOUCHING | PenState::BARREL1, PenTool::Pen));
        let expected = [(EV_ABS, ABS_PRESSURE, 4226), (EV_KEY, BTN_TOUCH, 1), (EV_KEY, BTN_STYLUS, 1)];
        assert!(expected.iter().all(|e| down[0].contains(e)), "{down:?}");
        let gone = frames(&mut model, &sample(PenState::NONE, PenTool::Pen));
        assert!(gone[0].contains(&(EV_KEY, BTN_TOOL_PEN, 0)) && gone[0].contains(&(EV_KEY, BTN_TOUCH, 0)));
        assert_eq!(frames(&mut model, &sample(PenState::NONE, PenTool::Pen)), Vec::<Vec<_>>::new());
    }

    #[test]
    fn the_eraser_is_another_tool() {
        let mut model = PenModel::default();
        frames(&mut model, &sample(PenState::IN_RANGE, PenTool::Pen));
        let turned = frames(&mut model, &sample(PenState::IN_RANGE, PenTool::Eraser));
        assert_eq!(turned.len(), 5);
        assert!(turned[0].contains(&(EV_KEY, BTN_TOOL_PEN, 0)) && turned[1].contains(&(EV_KEY, BTN_TOOL_RUBBER, 1)));
    }

    #[test]
    fn the_least_touch_is_one_and_the_most_is_all() {
        // libinput takes 5 % of the axis for the bound.
        assert!(pressure(0) > 65_536 * 5 / 100 && pressure(1) >= pressure(0));
        assert_eq!(pressure(u16::MAX), 65_535);
    }

    #[test]
    fn a_lean_has_two_parts() {
        let degrees = |tilt_deg, azimuth_deg| {
            let (right, down) = tilt(Some(tilt_deg), Some(azimuth_deg));
            (right / STEPS_PER_DEGREE, down / STEPS_PER_DEGREE)
        };
        assert_eq!(degrees(30, 0), (0, -30));
        assert_eq!(degrees(30, 90), (30, 0));
        assert_eq!(degrees(30, 180), (0, 30));
        assert_eq!(degrees(90, 270), (-89, 0));
        assert_eq!((tilt(None, Some(1)), tilt(Some(9), None)), ((0, 0), (0, 0)));
    }
}
