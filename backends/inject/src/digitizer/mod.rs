//! A pen and a touch screen as kernel devices, for desktops that read the kernel's devices and have no protocol through
//! which a program could draw or touch.
//!
//! No desktop of this host uses them yet: a headless wlroots compositor reads no kernel devices, and on a desktop with a
//! seat someone has to tell the compositor which output the device belongs to. What they say is pure (`pen`, `touch`);
//! that the kernel takes it is tested in the guest.

mod pen;
mod touch;

use std::io;

use evdev::uinput::VirtualDevice;
use evdev::{AbsInfo, AbsoluteAxisCode, AttributeSet, BusType, InputEvent, InputId, KeyCode, PropType, UinputAbsSetup};
use punktfunk_core::datagram::PenSample;
use punktfunk_media::InputAction;

pub use pen::PEN_SILENCE;
use pen::PenModel;
use touch::TouchModel;

/// A pen on the whole of one output.
#[derive(Debug)]
pub struct Pen {
    device: VirtualDevice,
    model: PenModel,
}

impl Pen {
    /// How the device is called.
    pub const NAME: &str = "punktfunk pen";

    /// Makes the device.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn plug() -> io::Result<Self> {
        let device = device(Self::NAME, PEN_PRODUCT, &pen::KEYS, &pen::AXES)?;
        Ok(Self { device, model: PenModel::default() })
    }

    /// Brings the pen to where the sample says.
    ///
    /// # Errors
    /// The device is gone.
    pub fn apply(&mut self, sample: &PenSample) -> io::Result<()> {
        let mut frames = Frames::default();
        self.model.apply(sample, &mut frames);
        frames.write(&mut self.device)
    }

    /// Lifts the pen and takes it out of range: the client has been silent for [`PEN_SILENCE`], or left.
    ///
    /// # Errors
    /// The device is gone.
    pub fn release(&mut self) -> io::Result<()> {
        let mut frames = Frames::default();
        self.model.release(&mut frames);
        frames.write(&mut self.device)
    }
}

/// A touch screen on the whole of one output.
#[derive(Debug)]
pub struct Touchscreen {
    device: VirtualDevice,
    model: TouchModel,
}

impl Touchscreen {
    /// How the device is called.
    pub const NAME: &str = "punktfunk touch screen";

    /// Makes the device.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn plug() -> io::Result<Self> {
        let device = device(Self::NAME, TOUCH_PRODUCT, &touch::KEYS, &touch::AXES)?;
        Ok(Self { device, model: TouchModel::default() })
    }

    /// Plays a touch action back; every other action does nothing.
    ///
    /// # Errors
    /// The device is gone.
    pub fn apply(&mut self, action: &InputAction) -> io::Result<()> {
        let mut frames = Frames::default();
        self.model.apply(action, &mut frames);
        frames.write(&mut self.device)
    }
}

/// Events, frame by frame.
#[derive(Debug, Default)]
struct Frames(Vec<Vec<(u16, u16, i32)>>);

impl Frames {
    fn push(&mut self, frame: Vec<(u16, u16, i32)>) {
        self.0.push(frame);
    }

    fn write(self, device: &mut VirtualDevice) -> io::Result<()> {
        for frame in self.0 {
            let events: Vec<_> =
                frame.into_iter().map(|(kind, code, value)| InputEvent::new(kind, code, value)).collect();
            device.emit(&events)?;
        }
        Ok(())
    }
}

/// Code, lowest, highest, steps per millimetre or degree.
type AxisRow = (u16, i32, i32, i32);

fn device(name: &str, product: u16, keys: &[u16], axes: &[AxisRow]) -> io::Result<VirtualDevice> {
    let keys: AttributeSet<KeyCode> = keys.iter().map(|code| KeyCode(*code)).collect();
    // What it touches is what one sees, unlike on a touchpad.
    let direct: AttributeSet<PropType> = [PropType::DIRECT].into_iter().collect();
    let mut builder = VirtualDevice::builder()?
        .name(name)
        .input_id(InputId::new(BusType::BUS_VIRTUAL, VENDOR, product, 1))
        .with_properties(&direct)?
        .with_keys(&keys)?;
    for (code, min, max, resolution) in axes {
        let info = AbsInfo::new(0, *min, *max, 0, 0, *resolution);
        builder = builder.with_absolute_axis(&UinputAbsSetup::new(AbsoluteAxisCode(*code), info))?;
    }
    builder.build()
}

/// 0.0..=1.0 of an output as a step of an axis.
fn step(fraction: f64) -> i32 {
    // Clamped first; what is no number becomes 0.
    (fraction.clamp(0.0, 1.0) * f64::from(EXTENT)).round() as i32
}

const VENDOR: u16 = 0x7066;
const PEN_PRODUCT: u16 = 1;
const TOUCH_PRODUCT: u16 = 2;
/// The last step of the axes across the output: finer than any picture.
const EXTENT: i32 = 65_535;
/// As on a screen of 65 cm: programs ask for some size.
const STEPS_PER_MM: i32 = 100;
const EV_KEY: u16 = 0x01;
const EV_ABS: u16 = 0x03;
const ABS_X: u16 = 0x00;
const ABS_Y: u16 = 0x01;
const BTN_TOUCH: u16 = 0x14a;
