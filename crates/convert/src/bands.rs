//! Which rows must be converted.

use punktfunk_media::{Damage, FrameLayout};

use super::upright;

/// Up to [`Damage::MAX_RECTS`] bands of rows, ascending, apart from each other, each starting on an even row and ending
/// on an even row or the last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bands {
    bands: [(u32, u32); Damage::MAX_RECTS],
    len: usize,
}

impl Bands {
    pub(super) fn whole(height: u32) -> Self {
        let mut bands = Self::default();
        bands.push((0, height));
        bands
    }

    /// The bands that damage in memory coordinates touches in the upright picture.
    pub(super) fn of_damage(damage: &Damage, layout: &FrameLayout, height: u32) -> Self {
        let Some(rects) = damage.rects() else { return Self::whole(height) };
        let mut touched = [(0, 0); Damage::MAX_RECTS];
        let mut count = 0;
        for rect in rects {
            let (top, bottom) = upright::rows_of(layout, rect);
            // Chroma belongs to pairs of rows.
            let (top, bottom) = (top & !1, bottom.next_multiple_of(2).min(height));
            if top < bottom {
                touched[count] = (top, bottom);
                count += 1;
            }
        }
        touched[..count].sort_unstable();
        let mut bands = Self::default();
        for band in &touched[..count] {
            match bands.len.checked_sub(1).map(|last| &mut bands.bands[last]) {
                Some(last) if band.0 <= last.1 => last.1 = last.1.max(band.1),
                _ => bands.push(*band),
            }
        }
        bands
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.bands[..self.len].iter().copied()
    }

    pub(super) fn rows(&self) -> u32 {
        self.iter().map(|(top, bottom)| bottom - top).sum()
    }

    fn push(&mut self, band: (u32, u32)) {
        self.bands[self.len] = band;
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use punktfunk_media::{PixelFormat, Rect, Transform};

    use super::*;

    #[test]
    fn bands_are_even_merged_and_inside() {
        let layout = FrameLayout {
            width: 100,
            height: 101,
            stride: 400,
            format: PixelFormat::Bgrx,
            transform: Transform::Normal,
        };
        let mut damage = Damage::none();
        assert_eq!(Bands::of_damage(&damage, &layout, 101).rows(), 0);
        for (y, height) in [(99, 2), (11, 2), (13, 4), (50, u32::MAX)] {
            damage.add(Rect { x: 3, y, width: 5, height });
        }
        let found: Vec<_> = Bands::of_damage(&damage, &layout, 101).iter().collect();
        assert_eq!(found, [(10, 18), (50, 101)]);
    }
}
