//! Turning pictures upright: `wl_output.transform` undone.

use std::ops::Range;

use punktfunk_media::{FrameLayout, Rect, Transform};

/// Whether memory order is display order.
pub(super) fn is_upright(transform: Transform) -> bool {
    transform == Transform::Normal
}

/// Size of the upright picture.
pub(super) fn size(layout: &FrameLayout) -> (u32, u32) {
    if layout.transform.steps().swaps { (layout.height, layout.width) } else { (layout.width, layout.height) }
}

/// The upright rows that a rectangle in memory coordinates touches, cut to the picture.
pub(super) fn rows_of(layout: &FrameLayout, rect: Rect) -> (u32, u32) {
    let steps = layout.transform.steps();
    let (start, length, limit) =
        if steps.swaps { (rect.x, rect.width, layout.width) } else { (rect.y, rect.height, layout.height) };
    let (start, end) = (start.min(limit), start.saturating_add(length).min(limit));
    if steps.rows_reversed { (limit - end, limit - start) } else { (start, end) }
}

/// Copies upright rows `rows` into `target`, an upright picture without padding. Shapes were checked by the caller.
pub(super) fn copy_rows(layout: &FrameLayout, pixels: &[u8], rows: Range<u32>, width: u32, target: &mut [u8]) {
    let steps = layout.transform.steps();
    let (width, stride) = (width as usize, layout.stride as usize);
    let target_stride = width * 4;
    if steps.swaps {
        // Upright rows are memory columns: tiles keep both sides in cache.
        for tile_top in rows.clone().step_by(TILE) {
            let tile_rows = tile_top..(tile_top + TILE as u32).min(rows.end);
            for tile_left in (0..width).step_by(TILE) {
                for row in tile_rows.clone() {
                    let memory_x = mirrored(row, layout.width, steps.rows_reversed) as usize;
                    let line = &mut target[row as usize * target_stride..][..target_stride];
                    for column in tile_left..(tile_left + TILE).min(width) {
                        let memory_y = mirrored(column as u32, layout.height, steps.columns_reversed) as usize;
                        let at = memory_y * stride + memory_x * 4;
                        line[column * 4..column * 4 + 4].copy_from_slice(&pixels[at..at + 4]);
                    }
                }
            }
        }
        return;
    }
    for row in rows {
        let memory_y = mirrored(row, layout.height, steps.rows_reversed) as usize;
        let source = &pixels[memory_y * stride..][..target_stride];
        let line = &mut target[row as usize * target_stride..][..target_stride];
        if steps.columns_reversed {
            for (to, from) in line.chunks_exact_mut(4).zip(source.chunks_exact(4).rev()) {
                to.copy_from_slice(from);
            }
        } else {
            line.copy_from_slice(source);
        }
    }
}

fn mirrored(at: u32, length: u32, reversed: bool) -> u32 {
    if reversed { length - 1 - at } else { at }
}

/// 32 × 32 pixels of 4 bytes: 4 KiB on each side, well inside a first-level cache.
const TILE: usize = 32;
