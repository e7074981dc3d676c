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

use crate::wire::FromCapture;

/// The output's renderer and its one consumer.
pub struct Screen {
    pub renderer: PixmanRenderer,
    /// Says what changed from one picture to the next.
    pub tracker: OutputDamageTracker,
    pub size: Size<i32, Physical>,
    stride: u32,
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
pub struct Slot {
    // The image points into the map: it goes first.
    pub image: Image<'static, 'static>,
    _map: MmapMut,
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
        // As GPUs and other compositors pad: what reads wide vectors finds every row aligned.
        self.stride = (self.size.w.unsigned_abs() * 4).next_multiple_of(ROW_ALIGNMENT);
        self.generation = self.generation.wrapping_add(1);
        self.slots.clear();
        self.lent.clear();
        self.layout_told = false;
        self.first = true;
    }

    /// What is to be told about the layout.
    pub fn layout(&self) -> FromCapture {
        FromCapture::Layout {
            generation: self.generation,
            width: self.size.w.unsigned_abs(),
            height: self.size.h.unsigned_abs(),
            stride: self.stride,
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
        let slot = Slot::map(memory, self.size, self.stride).map_err(|e| format!("slot {index}: {e}"))?;
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

    /// What changed is missing in every slot.
    pub fn note_damage(&mut self, damage: &[Rectangle<i32, Physical>]) {
        for slot in self.slots.iter_mut().flatten() {
            slot.missing.extend_from_slice(damage);
            if slot.missing.len() > MOST_RECTANGLES {
                let all = slot.missing.iter().copied().reduce(Rectangle::merge);
                slot.missing.clear();
                slot.missing.extend(all);
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
    fn map(memory: OwnedFd, size: Size<i32, Physical>, stride: u32) -> Result<Self, String> {
        let bytes = stride as usize * size.h.unsigned_abs() as usize;
        let seals = fcntl_get_seals(&memory).map_err(|e| e.to_string())?;
        let there = fstat(&memory).map_err(|e| e.to_string())?.st_size;
        if !seals.contains(SealFlags::SHRINK) || usize::try_from(there).unwrap_or(0) < bytes {
            return Err(format!("{there} bytes that may shrink or are fewer than {bytes}"));
        }
        // SAFETY: the file can no longer shrink, and is long enough: the mapping stays valid. Its other mapping is the
        // consumer's, which does not touch it while it is lent; bytes that change nevertheless are only pixels.
        let mut map = unsafe { MmapMut::map_mut(&memory) }.map_err(|e| e.to_string())?;
        // SAFETY: the map holds `stride` bytes for each row and outlives the image (it is dropped after it, and its
        // address does not change when it moves). It is page aligned, and `stride` a multiple of four.
        let image = unsafe {
            Image::from_raw_mut(
                FormatCode::X8R8G8B8,
                size.w.unsigned_abs() as usize,
                size.h.unsigned_abs() as usize,
                map.as_mut_ptr().cast(),
                stride as usize,
                false,
            )
        };
        let image = image.map_err(|_| "pixman takes no image of this size".to_owned())?;
        Ok(Self { image, _map: map, missing: vec![Rectangle::from_size(size)] })
    }
}

/// More than any consumer keeps under way.
const MOST_SLOTS: usize = 16;
/// A cache line.
const ROW_ALIGNMENT: u32 = 64;
/// Kept apart per slot; more become one.
const MOST_RECTANGLES: usize = 32;
