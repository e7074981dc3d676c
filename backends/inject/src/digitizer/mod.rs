//! A pen and a touch screen as kernel devices, for desktops that read the kernel's devices and have no protocol through
//! which a program could draw or touch.
//!
//! ```text
//! desktop: maps both names to its output ─► Digitizers::plug ─► waits until its compositor has seen them
//! InputAction ─► Touching ─┬─► Digitizers (touch, pen)      shared with the stage, which keeps them between sessions
//!                          └─► the desktop's own injector   (all the rest)
//! ```
//!
//! What the devices say is pure (`pen`, `touch`); that the kernel and a compositor take it is tested in the guest.

mod pen;
mod touch;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evdev::uinput::VirtualDevice;
use evdev::{AbsInfo, AbsoluteAxisCode, AttributeSet, BusType, InputEvent, InputId, KeyCode, PropType, UinputAbsSetup};
use punktfunk_core::datagram::PenSample;
use punktfunk_media::{InjectError, Injector, InjectorCaps, InputAction, Reason, reason};

use crate::pads::{Access, uinput_access};
use pen::PenModel;
use touch::TouchModel;

/// A pen and a touch screen, both on the whole of one output.
#[derive(Debug)]
pub struct Digitizers {
    touch: Touchscreen,
    pen: Pen,
}

/// What a device is called, as compositors tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceName {
    /// Vendor and product number.
    pub id: (u16, u16),
    /// Its name.
    pub name: String,
}

impl Digitizers {
    /// What [`Self::plug`] will call the devices for `output`. No other output's are called so.
    #[must_use]
    pub fn names(output: &str) -> [DeviceName; 2] {
        [Touchscreen::name(output), Pen::name(output)]
    }

    /// Why [`Self::plug`] would fail here, if it is known before.
    ///
    /// # Errors
    /// The reason.
    pub fn possible() -> Result<(), &'static Reason> {
        match uinput_access() {
            Access::Open => Ok(()),
            Access::Missing => Err(&reason::INPUT_TOUCH_UINPUT_MISSING),
            Access::Denied => Err(&reason::INPUT_TOUCH_DENIED),
        }
    }

    /// Makes the devices. Programs see them some time after that.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn plug(output: &str) -> io::Result<Self> {
        Ok(Self { touch: Touchscreen::plug(output)?, pen: Pen::plug(output)? })
    }

    /// Plays touch and pen actions back; every other action does nothing.
    ///
    /// # Errors
    /// A device is gone.
    pub fn apply(&mut self, action: &InputAction) -> io::Result<()> {
        match action {
            InputAction::Pen(sample) => self.pen.apply(sample),
            _ => self.touch.apply(action),
        }
    }

    /// Lifts every finger and the pen.
    ///
    /// # Errors
    /// A device is gone.
    pub fn release(&mut self) -> io::Result<()> {
        self.touch.release()?;
        self.pen.release()
    }
}

/// An injector that touches and draws through [`Digitizers`], and leaves everything else to another one.
pub struct Touching {
    inner: Box<dyn Injector>,
    digitizers: Arc<Mutex<Digitizers>>,
}

impl Touching {
    /// Nothing else may play on the digitizers meanwhile.
    #[must_use]
    pub fn new(inner: Box<dyn Injector>, digitizers: Arc<Mutex<Digitizers>>) -> Self {
        Self { inner, digitizers }
    }

    fn digitizers(&self) -> MutexGuard<'_, Digitizers> {
        // What a panic left half done, the next release ends.
        self.digitizers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Injector for Touching {
    fn caps(&self) -> InjectorCaps {
        InjectorCaps { touch: true, pen: true, ..self.inner.caps() }
    }

    fn inject(&mut self, action: &InputAction) -> Result<(), InjectError> {
        match action {
            InputAction::TouchDown { .. }
            | InputAction::TouchMove { .. }
            | InputAction::TouchUp { .. }
            | InputAction::Pen(_) => self.digitizers().apply(action).map_err(|error| {
                let detail = format!("the touch devices: {error}");
                InjectError { reason: &reason::INJECT_LOST, detail, fatal: true }
            }),
            _ => self.inner.inject(action),
        }
    }
}

impl Drop for Touching {
    fn drop(&mut self) {
        // The devices stay, so nothing may stay on them. Where they are gone, nothing does.
        let _ = self.digitizers().release();
    }
}

/// A pen on the whole of one output.
#[derive(Debug)]
pub struct Pen {
    device: VirtualDevice,
    model: PenModel,
}

impl Pen {
    /// What the pen for `output` is called.
    #[must_use]
    pub fn name(output: &str) -> DeviceName {
        DeviceName { id: (VENDOR, PEN_PRODUCT), name: format!("punktfunk pen {output}") }
    }

    /// Makes the device.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn plug(output: &str) -> io::Result<Self> {
        let device = device(&Self::name(output), &pen::KEYS, &pen::AXES)?;
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

    /// Lifts the pen and takes it out of range.
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
    /// What the touch screen for `output` is called.
    #[must_use]
    pub fn name(output: &str) -> DeviceName {
        DeviceName { id: (VENDOR, TOUCH_PRODUCT), name: format!("punktfunk touch {output}") }
    }

    /// Makes the device.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn plug(output: &str) -> io::Result<Self> {
        let device = device(&Self::name(output), &touch::KEYS, &touch::AXES)?;
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

    /// Lifts every finger.
    ///
    /// # Errors
    /// The device is gone.
    pub fn release(&mut self) -> io::Result<()> {
        let mut frames = Frames::default();
        self.model.release(&mut frames);
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

    fn extend(&mut self, frames: impl IntoIterator<Item = Vec<(u16, u16, i32)>>) {
        self.0.extend(frames);
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

fn device(name: &DeviceName, keys: &[u16], axes: &[AxisRow]) -> io::Result<VirtualDevice> {
    let (vendor, product) = name.id;
    let keys: AttributeSet<KeyCode> = keys.iter().map(|code| KeyCode(*code)).collect();
    // What it touches is what one sees, unlike on a touchpad.
    let direct: AttributeSet<PropType> = [PropType::DIRECT].into_iter().collect();
    let mut builder = VirtualDevice::builder()?
        .name(&name.name)
        .input_id(InputId::new(BusType::BUS_VIRTUAL, vendor, product, 1))
        .with_properties(&direct)?
        .with_keys(&keys)?;
    for (code, min, max, resolution) in axes {
        let info = AbsInfo::new(0, *min, *max, 0, 0, *resolution);
        builder = builder.with_absolute_axis(&UinputAbsSetup::new(AbsoluteAxisCode(*code), info))?;
    }
    builder.build()
}

/// 0.0..=1.0 of an output as a step of an axis. Compositors divide by the number of steps, one more than the last one's;
/// rounded up, the first step of a pixel is within that pixel.
fn step(fraction: f64) -> i32 {
    // Clamped first; what is no number becomes 0.
    ((fraction.clamp(0.0, 1.0) * f64::from(EXTENT + 1)).ceil() as i32).min(EXTENT)
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
