//! Who takes pictures: the lent slots, and what each of them lacks.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use memmap2::MmapMut;
use pixman::{FormatCode, Image};
use rustix::fs::{SealFlags, fcntl_get_seals, fstat};
use smithay::backend::renderer::damage::OutputDamageTracker;
use smithay::backend::renderer::pixman::PixmanRenderer;
use smithay::output::Output;
use smithay::utils::{Physical, Rectangle, Size};

use punktfunk_convert::{ConvertError, Converter, PlanesMut};
use punktfunk_media::{Damage, FrameLayout, PixelFormat, Rect, Transform};

use crate::wire::FromCapture;

/// The output's renderer and its one consumer.
pub struct Screen {
    pub renderer: PixmanRenderer,
    /// Says what changed from one picture to the next.
    pub tracker: OutputDamageTracker,
    pub size: Size<i32, Physical>,
    stride: u32,
    format: PixelFormat,
    /// The whole picture in packed pixels, where planes are wanted and had to be composed once.
    scratch: Option<Packed>,
    generation: u32,
    slots: Vec<Option<Slot>>,
    lent: VecDeque<usize>,
    /// The consumer knows the layout.
    pub layout_told: bool,
    /// The consumer has not had a picture yet.
    pub first: bool,
    /// Counts pictures.
    pub sequence: u64,
}

/// Memory that a consumer lends.
pub enum Slot {
    /// Packed pixels: it is drawn into.
    Packed(Packed),
    /// Planes: pictures are converted into it.
    Planes(Planes),
}

/// Packed pixels.
pub struct Packed {
    // The image points into the map: it goes first.
    pub image: Image<'static, 'static>,
    pub map: MmapMut,
    pub layout: FrameLayout,
    /// Where its picture is older than the last one.
    pub missing: Vec<Rectangle<i32, Physical>>,
}

/// Planes of one picture, and what fills them.
pub struct Planes {
    map: MmapMut,
    layout: FrameLayout,
    converter: Converter,
    /// Where its picture is older than the last one.
    pub missing: Vec<Rectangle<i32, Physical>>,
}

impl Screen {
    /// Without a consumer.
    pub fn new(output: &Output) -> Result<Self, String> {
        let mut screen = Self {
            renderer: PixmanRenderer::new().map_err(|e| format!("pixman: {e}"))?,
            tracker: OutputDamageTracker::from_output(output),
            size: Size::default(),
            stride: 0,
            format: PixelFormat::Bgrx,
            scratch: None,
            generation: 0,
            slots: Vec::new(),
            lent: VecDeque::with_capacity(MOST_SLOTS),
            layout_told: true,
            first: true,
            sequence: 0,
        };
        screen.new_layout(output);
        Ok(screen)
    }

    /// The output has another size, or another consumer comes: all slots are void.
    pub fn new_layout(&mut self, output: &Output) {
        self.size = output.current_mode().map_or_else(Size::default, |m| m.size);
        // As GPUs and other compositors pad: what reads wide vectors finds every row aligned, half ones of planes included.
        self.stride = match self.format {
            PixelFormat::I420(_) => self.size.w.unsigned_abs().next_multiple_of(2 * ROW_ALIGNMENT),
            PixelFormat::Bgrx | PixelFormat::Rgbx => packed_stride(self.size),
        };
        self.scratch = None;
        self.generation = self.generation.wrapping_add(1);
        self.slots.clear();
        self.lent.clear();
        self.layout_told = false;
        self.first = true;
    }

    /// A new consumer takes packed pixels until it asks for something else.
    pub fn new_consumer(&mut self, output: &Output) {
        self.format = PixelFormat::Bgrx;
        self.new_layout(output);
    }

    /// The consumer wants its pictures in this form.
    pub fn set_format(&mut self, format: PixelFormat, output: &Output) -> Result<(), String> {
        if format == PixelFormat::Rgbx {
            return Err("a form that is not drawn here".to_owned());
        }
        self.format = format;
        self.new_layout(output);
        Ok(())
    }

    fn frame_layout(&self) -> FrameLayout {
        let (width, height) = (self.size.w.unsigned_abs(), self.size.h.unsigned_abs());
        FrameLayout { width, height, stride: self.stride, format: self.format, transform: Transform::Normal }
    }

    /// What is to be told about the layout.
    pub fn layout(&self) -> FromCapture {
        FromCapture::Layout {
            generation: self.generation,
            width: self.size.w.unsigned_abs(),
            height: self.size.h.unsigned_abs(),
            stride: self.stride,
            format: self.format,
        }
    }

    /// The number of the layout.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Takes a new slot. One of an earlier layout is dropped: the consumer has not heard of the new one yet.
    pub fn add(&mut self, generation: u32, index: u32, memory: OwnedFd) -> Result<(), String> {
        let index = usize::try_from(index).ok().filter(|i| *i < MOST_SLOTS).ok_or("too many slots")?;
        if generation != self.generation {
            return Ok(());
        }
        let slot = Slot::map(memory, self.size, self.frame_layout()).map_err(|e| format!("slot {index}: {e}"))?;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(slot);
        Ok(())
    }

    /// A slot may be filled. Says how many are lent now.
    pub fn lend(&mut self, generation: u32, index: u32) -> usize {
        let index = index as usize;
        let known = self.slots.get(index).is_some_and(Option::is_some);
        if generation == self.generation && known && !self.lent.contains(&index) {
            self.lent.push_back(index);
        }
        self.lent.len()
    }

    /// The slot that is filled next.
    pub fn next_lent(&self) -> Option<usize> {
        self.lent.front().copied()
    }

    /// Everything that drawing into slot `index` needs.
    pub fn parts(&mut self, index: usize) -> Option<(&mut PixmanRenderer, &mut Slot)> {
        Some((&mut self.renderer, self.slots.get_mut(index)?.as_mut()?))
    }

    /// The same for a slot of planes whose picture has to be composed first.
    pub fn parts_with_scratch(
        &mut self,
        index: usize,
    ) -> Result<Option<(&mut PixmanRenderer, &mut Packed, &mut Planes)>, String> {
        let Some(Some(Slot::Planes(planes))) = self.slots.get_mut(index) else { return Ok(None) };
        if self.scratch.is_none() {
            let layout = FrameLayout { stride: packed_stride(self.size), format: PixelFormat::Bgrx, ..planes.layout };
            let map = MmapMut::map_anon(layout.len()).map_err(|e| e.to_string())?;
            self.scratch = Some(Packed::new(map, self.size, layout)?);
        }
        Ok(self.scratch.as_mut().map(|scratch| (&mut self.renderer, scratch, planes)))
    }

    /// What changed is missing in every slot.
    pub fn note_damage(&mut self, damage: &[Rectangle<i32, Physical>]) {
        let slots = self.slots.iter_mut().flatten().map(|slot| match slot {
            Slot::Packed(packed) => &mut packed.missing,
            Slot::Planes(planes) => &mut planes.missing,
        });
        for missing in slots.chain(self.scratch.as_mut().map(|scratch| &mut scratch.missing)) {
            missing.extend_from_slice(damage);
            if missing.len() > MOST_RECTANGLES {
                let all = missing.iter().copied().reduce(Rectangle::merge);
                missing.clear();
                missing.extend(all);
            }
        }
    }

    /// The slot at the front of the queue was filled.
    pub fn filled(&mut self) {
        self.lent.pop_front();
        self.first = false;
        self.sequence += 1;
    }
}

impl Slot {
    fn map(memory: OwnedFd, size: Size<i32, Physical>, layout: FrameLayout) -> Result<Self, String> {
        let bytes = layout.len();
        let seals = fcntl_get_seals(&memory).map_err(|e| e.to_string())?;
        let there = fstat(&memory).map_err(|e| e.to_string())?.st_size;
        if !seals.contains(SealFlags::SHRINK) || usize::try_from(there).unwrap_or(0) < bytes {
            return Err(format!("{there} bytes that may shrink or are fewer than {bytes}"));
        }
        // SAFETY: the file can no longer shrink, and is long enough: the mapping stays valid. Its other mapping is the
        // consumer's, which does not touch it while it is lent; bytes that change nevertheless are only pixels.
        let map = unsafe { MmapMut::map_mut(&memory) }.map_err(|e| e.to_string())?;
        match layout.format {
            PixelFormat::I420(colour) => {
                let converter = Converter::new(layout.width, layout.height, colour);
                Ok(Self::Planes(Planes { map, layout, converter, missing: vec![Rectangle::from_size(size)] }))
            }
            PixelFormat::Bgrx | PixelFormat::Rgbx => Packed::new(map, size, layout).map(Self::Packed),
        }
    }
}

impl Packed {
    /// `map` has the bytes of `layout`, whose stride is a multiple of four.
    fn new(mut map: MmapMut, size: Size<i32, Physical>, layout: FrameLayout) -> Result<Self, String> {
        if map.len() < layout.len() || layout.stride < layout.width * 4 {
            return Err("less memory than its layout says".to_owned());
        }
        // SAFETY: the map holds `stride` bytes for each row and outlives the image (it is dropped after it, and its
        // address does not change when it moves). It is page aligned, and `stride` a multiple of four.
        let image = unsafe {
            Image::from_raw_mut(
                FormatCode::X8R8G8B8,
                layout.width as usize,
                layout.height as usize,
                map.as_mut_ptr().cast(),
                layout.stride as usize,
                false,
            )
        };
        let image = image.map_err(|_| "pixman takes no image of this size".to_owned())?;
        Ok(Self { image, map, layout, missing: vec![Rectangle::from_size(size)] })
    }
}

impl Planes {
    /// Brings the planes up to date with a picture, where they lack something.
    pub fn convert(&mut self, layout: &FrameLayout, pixels: &[u8]) -> Result<(), ConvertError> {
        let damage = told(&self.missing);
        let [_, blue, red, end] = self.layout.plane_bounds();
        let stride = self.layout.stride as usize;
        let (y, rest) = self.map[..end].split_at_mut(blue);
        let (u, v) = rest.split_at_mut(red - blue);
        let mut planes = PlanesMut { y: (y, stride), u: (u, stride / 2), v: (v, stride / 2) };
        self.converter.update(layout, pixels, &damage, &mut planes)?;
        self.missing.clear();
        Ok(())
    }
}

/// Damage in the consumer's words. The tracker has clipped it to the output.
pub fn told(damage: &[Rectangle<i32, Physical>]) -> Damage {
    let mut told = Damage::none();
    for part in damage {
        let side = |v: i32| u32::try_from(v).ok();
        if let (Some(x), Some(y), Some(width @ 1..), Some(height @ 1..)) =
            (side(part.loc.x), side(part.loc.y), side(part.size.w), side(part.size.h))
        {
            told.add(Rect { x, y, width, height });
        }
    }
    told
}

fn packed_stride(size: Size<i32, Physical>) -> u32 {
    (size.w.unsigned_abs() * 4).next_multiple_of(ROW_ALIGNMENT)
}

/// More than any consumer keeps under way.
const MOST_SLOTS: usize = 16;
/// A cache line.
const ROW_ALIGNMENT: u32 = 64;
/// Kept apart per slot; more become one.
const MOST_RECTANGLES: usize = 32;
