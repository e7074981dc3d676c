//! Pictures to planar 4:2:0, by the matrix and into the range of a [`Colour`]: packed RGB is converted, planes of the same
//! colour are copied.
//!
//! Rows are the unit of work: only pairs of rows that damage touches are converted anew, and a pair depends on its own
//! source rows alone, so partial conversion equals full conversion. Turned and mirrored pictures go through an upright
//! copy of those rows. After the first picture nothing allocates.

mod bands;
mod standard;
mod upright;

use punktfunk_media::{Colour, Damage, FrameLayout, PixelFormat};
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut};

use bands::Bands;
use standard::forward_matrix;
pub use standard::{inverse_matrix, range};

/// Three planes to write to, of a coded (even) size; rows may be padded.
#[derive(Debug)]
pub struct PlanesMut<'a> {
    /// Luma and its bytes per row.
    pub y: (&'a mut [u8], usize),
    /// Blue difference and its bytes per row.
    pub u: (&'a mut [u8], usize),
    /// Red difference and its bytes per row.
    pub v: (&'a mut [u8], usize),
}

/// The planes or the picture have the wrong shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The upright picture is not as large as the encoder was opened for.
    #[error("picture is {0}x{1}, expected {2}x{3}")]
    Size(u32, u32, u32, u32),
    /// The picture's memory is shorter than its layout says.
    #[error("picture memory holds {has} bytes, its layout needs {needs}")]
    Short {
        /// Bytes there.
        has: usize,
        /// Bytes needed.
        needs: usize,
    },
    /// The target planes are too small.
    #[error("target planes are too small")]
    Planes,
    /// Planes of another colour came in.
    #[error("the picture's planes have another colour than the encoder's")]
    Colour,
}

/// Converts the pictures of one encoder, always into the same planes.
#[derive(Debug)]
pub struct Converter {
    width: u32,
    height: u32,
    colour: Colour,
    /// The layout that the planes were filled from; `None` before the first picture.
    last: Option<FrameLayout>,
    /// Upright copy of turned pictures; empty until the first of them.
    upright: Vec<u8>,
}

impl Converter {
    /// A converter for upright pictures of this size, into planes of this colour.
    #[must_use]
    pub const fn new(width: u32, height: u32, colour: Colour) -> Self {
        Self { width, height, colour, last: None, upright: Vec::new() }
    }

    /// The size of the planes: 4:2:0 needs even numbers, so odd pictures get one more column or row, a copy of the
    /// last.
    #[must_use]
    pub const fn coded_size(&self) -> (u32, u32) {
        (self.width.saturating_add(1) & !1, self.height.saturating_add(1) & !1)
    }

    /// Forgets the last picture: the next one is converted whole, whatever its damage.
    pub fn reset(&mut self) {
        self.last = None;
    }

    /// Brings `planes` up to date with `pixels`. `planes` must hold the result of the previous call, unless damage is
    /// full. Returns how many rows were converted.
    ///
    /// # Errors
    /// [`ConvertError`] where sizes do not fit; then nothing was written.
    pub fn convert(
        &mut self,
        layout: &FrameLayout,
        pixels: &[u8],
        damage: &Damage,
        planes: &mut PlanesMut<'_>,
    ) -> Result<u32, ConvertError> {
        let bands = if self.last == Some(*layout) {
            Bands::of_damage(damage, layout, self.height)
        } else {
            Bands::whole(self.height)
        };
        self.convert_bands(layout, pixels, &bands, planes)
    }

    /// The same where `planes` hold the whole picture but for `damage`, however that came to be: also where the picture before
    /// had another layout.
    ///
    /// # Errors
    /// As [`Self::convert`].
    pub fn update(
        &mut self,
        layout: &FrameLayout,
        pixels: &[u8],
        damage: &Damage,
        planes: &mut PlanesMut<'_>,
    ) -> Result<u32, ConvertError> {
        let bands = Bands::of_damage(damage, layout, self.height);
        self.convert_bands(layout, pixels, &bands, planes)
    }

    fn convert_bands(
        &mut self,
        layout: &FrameLayout,
        pixels: &[u8],
        bands: &Bands,
        planes: &mut PlanesMut<'_>,
    ) -> Result<u32, ConvertError> {
        self.check(layout, pixels, planes)?;
        // Until this picture is complete, the planes match no layout.
        self.last = None;
        if let PixelFormat::I420(_) = layout.format {
            bands
                .iter()
                .for_each(|(top, bottom)| copy_planes(layout, pixels, self.coded_size().0, top..bottom, planes));
            self.last = Some(*layout);
            return Ok(bands.rows());
        }
        let upright_stride = self.width as usize * 4;
        let copied = !upright::is_upright(layout.transform);
        if copied {
            self.upright.resize(upright_stride * self.height as usize, 0);
        }
        for (top, bottom) in bands.iter() {
            let (source, stride) = if copied {
                upright::copy_rows(layout, pixels, top..bottom, self.width, &mut self.upright);
                (&self.upright[top as usize * upright_stride..], upright_stride)
            } else {
                (&pixels[top as usize * layout.stride as usize..], layout.stride as usize)
            };
            convert_rows(layout.format, self.colour, source, stride, self.width, top..bottom, planes)?;
            self.pad(top..bottom, planes);
        }
        self.last = Some(*layout);
        Ok(bands.rows())
    }

    fn check(&self, layout: &FrameLayout, pixels: &[u8], planes: &PlanesMut<'_>) -> Result<(), ConvertError> {
        let (width, height) = upright::size(layout);
        if (width, height) != (self.width, self.height) || layout.is_empty() {
            return Err(ConvertError::Size(width, height, self.width, self.height));
        }
        let row = match layout.format {
            PixelFormat::I420(colour) if colour != self.colour => return Err(ConvertError::Colour),
            // Nothing turns planes, and no source of ours makes turned ones.
            PixelFormat::I420(_) if !upright::is_upright(layout.transform) || layout.stride % 2 == 1 => {
                return Err(ConvertError::Planes);
            }
            PixelFormat::I420(_) => self.coded_size().0 as usize,
            PixelFormat::Bgrx | PixelFormat::Rgbx => layout.width as usize * 4,
        };
        let needs = FrameLayout { stride: layout.stride.max(u32::try_from(row).unwrap_or(u32::MAX)), ..*layout }.len();
        if layout.len() < needs || pixels.len() < needs {
            return Err(ConvertError::Short { has: pixels.len().min(layout.len()), needs });
        }
        let (width, height) = self.coded_size();
        let fits = |(plane, stride): (&[u8], usize), w: u32, h: u32| {
            stride >= w as usize && plane.len() >= stride * h as usize
        };
        let fit = fits((planes.y.0, planes.y.1), width, height)
            && fits((planes.u.0, planes.u.1), width / 2, height / 2)
            && fits((planes.v.0, planes.v.1), width / 2, height / 2);
        if fit { Ok(()) } else { Err(ConvertError::Planes) }
    }

    /// Fills the column and row that an odd picture lacks, after `rows` were converted.
    fn pad(&self, rows: std::ops::Range<u32>, planes: &mut PlanesMut<'_>) {
        let (plane, stride) = (&mut *planes.y.0, planes.y.1);
        if self.width % 2 == 1 {
            let last = self.width as usize - 1;
            for row in plane.chunks_mut(stride).take(rows.end as usize).skip(rows.start as usize) {
                row[last + 1] = row[last];
            }
        }
        if self.height % 2 == 1 && rows.end == self.height {
            let last = (self.height as usize - 1) * stride;
            plane.copy_within(last..last + self.coded_size().0 as usize, last + stride);
        }
    }
}

/// Copies rows of planes. Shapes were checked by the caller; `rows` are pairs but for the end of an odd picture, whose missing
/// row the source has, too.
fn copy_planes(
    layout: &FrameLayout,
    pixels: &[u8],
    width: u32,
    rows: std::ops::Range<u32>,
    planes: &mut PlanesMut<'_>,
) {
    let (width, stride) = (width as usize, layout.stride as usize);
    let (top, bottom) = (rows.start as usize, rows.end.next_multiple_of(2) as usize);
    let [luma, blue, red, end] = layout.plane_bounds();
    let copy =
        |from: &[u8], from_stride: usize, to: &mut [u8], to_stride: usize, rows: std::ops::Range<usize>, width| {
            if from_stride == to_stride {
                let bytes = rows.start * to_stride..rows.end * to_stride;
                return to[bytes.clone()].copy_from_slice(&from[bytes]);
            }
            for row in rows {
                to[row * to_stride..][..width].copy_from_slice(&from[row * from_stride..][..width]);
            }
        };
    copy(&pixels[luma..blue], stride, planes.y.0, planes.y.1, top..bottom, width);
    copy(&pixels[blue..red], stride / 2, planes.u.0, planes.u.1, top / 2..bottom / 2, width / 2);
    copy(&pixels[red..end], stride / 2, planes.v.0, planes.v.1, top / 2..bottom / 2, width / 2);
}

fn convert_rows(
    format: PixelFormat,
    colour: Colour,
    source: &[u8],
    stride: usize,
    width: u32,
    rows: std::ops::Range<u32>,
    planes: &mut PlanesMut<'_>,
) -> Result<(), ConvertError> {
    let (top, height) = (rows.start as usize, rows.end - rows.start);
    // Whole rows, padding included: the library leaves out a last row that is cut short.
    let source = &source[..stride * height as usize];
    let chroma_rows = height.div_ceil(2) as usize;
    let mut image = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(&mut planes.y.0[top * planes.y.1..][..planes.y.1 * height as usize]),
        y_stride: planes.y.1 as u32,
        u_plane: BufferStoreMut::Borrowed(&mut planes.u.0[top / 2 * planes.u.1..][..planes.u.1 * chroma_rows]),
        u_stride: planes.u.1 as u32,
        v_plane: BufferStoreMut::Borrowed(&mut planes.v.0[top / 2 * planes.v.1..][..planes.v.1 * chroma_rows]),
        v_stride: planes.v.1 as u32,
        width,
        height,
    };
    let (range, matrix, mode) = (range(colour), forward_matrix(colour), YuvConversionMode::Fast);
    match format {
        PixelFormat::Bgrx => yuv::bgra_to_yuv420(&mut image, source, stride as u32, range, matrix, mode),
        PixelFormat::Rgbx => yuv::rgba_to_yuv420(&mut image, source, stride as u32, range, matrix, mode),
        PixelFormat::I420(_) => return Err(ConvertError::Planes),
    }
    .map_err(|_| ConvertError::Planes)
}
