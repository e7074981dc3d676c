//! Matrix and range: in the samples, and in what the bitstream says of them.

use punktfunk_encode::decode::Picture;
use punktfunk_encode::h264::{self, ColourDescription, Sps, VideoSignal};
use punktfunk_media::{Colour, EncodedFrame, FrameOrder, InvalidateOutcome, Keyframe, Matrix, Mode};

use crate::scene::{self, Drawn};
use crate::subject::{Subject, config, decode, encode};

/// Each cell of the scene is 32 by 32 pixels.
const CELL: usize = 32;
const WIDTH: usize = 4 * CELL;
const HEIGHT: usize = 2 * CELL;

pub fn every_colour_arrives_and_is_signalled(subject: &Subject) {
    let drawn = scene::muted(WIDTH as u32, HEIGHT as u32);
    for colour in Colour::ALL {
        let mut settings = config(20_000_000);
        settings.mode = Mode { width: WIDTH as u32, height: HEIGHT as u32, refresh_hz: 60 };
        settings.colour = colour;
        let mut encoder = subject.open(&settings);
        let mut decoder = (subject.decoder)();
        for index in 0..6 {
            // Neither a changed rate nor a later keyframe may fall back to something else.
            if index == 2 {
                let order = FrameOrder::Bitrate(10_000_000);
                assert_eq!(encoder.order(order).expect("orders"), InvalidateOutcome::Done);
            }
            let keyframe = if index == 4 { Keyframe::Force } else { Keyframe::Auto };
            let unit = encode(&mut *encoder, &drawn, keyframe);
            if unit.keyframe {
                assert_eq!(signal(&unit), Some(expected(colour)), "{colour:?}, picture {index}");
            }
            let shown = decode(&mut *decoder, &unit);
            assert_eq!(shown.colour, colour, "what a decoder concludes, picture {index}");
            let psnr = scene::ideal_in(&drawn, colour).luma_psnr(&shown);
            assert!(psnr > 30.0, "{colour:?}, picture {index}: {psnr:.1} dB");
            black_and_white_are_where_they_belong(&shown);
            the_right_inverse_alone_gives_the_colours_back(&drawn, &shown);
        }
    }
}

fn signal(unit: &EncodedFrame) -> Option<VideoSignal> {
    h264::find_unit(&unit.data, h264::NAL_SPS).and_then(Sps::parse).and_then(|sps| sps.signal())
}

/// Tables E-3 to E-5 of ITU-T H.264.
fn expected(colour: Colour) -> VideoSignal {
    let code = match colour.matrix {
        Matrix::Bt601 => 6,
        Matrix::Bt709 => 1,
    };
    let description = ColourDescription { primaries: code, transfer: code, matrix: code };
    VideoSignal { full_range: colour.full_range, description: Some(description) }
}

fn black_and_white_are_where_they_belong(shown: &Picture) {
    let colour = shown.colour;
    let (white, black) = if colour.full_range { (255, 0) } else { (235, 16) };
    for (cell, luma) in [(0, white), (1, black)] {
        let at = CELL / 2 * shown.width + cell * CELL + CELL / 2;
        let at_chroma = CELL / 4 * shown.chroma_width() + cell * CELL / 2 + CELL / 4;
        let found = [shown.y[at], shown.u[at_chroma], shown.v[at_chroma]];
        let off = found.iter().zip([luma, 128, 128]).map(|(a, b)| a.abs_diff(b)).max().expect("three");
        assert!(off <= 1, "{colour:?}: {found:?} should be {luma}, 128, 128");
    }
}

fn the_right_inverse_alone_gives_the_colours_back(drawn: &Drawn, shown: &Picture) {
    let error = |colour| rgb_error(drawn, &Picture { colour, ..shown.clone() });
    let right = error(shown.colour);
    assert!(right < 4.0, "{:?}: colours are off by {right:.1} on average", shown.colour);
    for wrong in Colour::ALL.into_iter().filter(|c| *c != shown.colour) {
        let off = error(wrong);
        assert!(
            off > right + 2.0,
            "{:?} read as {wrong:?} is off by {off:.1}, read rightly by {right:.1}",
            shown.colour
        );
    }
}

/// Mean error of red, green and blue in the middle of the cells: subsampled edges say nothing about a matrix.
fn rgb_error(drawn: &Drawn, shown: &Picture) -> f64 {
    let mut rgb = Vec::new();
    shown.to_rgb(&mut rgb);
    let (mut sum, mut count) = (0, 0);
    for (y, x) in (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (y, x))) {
        if [x % CELL, y % CELL].iter().all(|at| (4..CELL - 4).contains(at)) {
            let packed = &drawn.pixels[y * drawn.layout.stride as usize + x * 4..][..3];
            let seen = &rgb[(y * WIDTH + x) * 3..][..3];
            sum += packed.iter().rev().zip(seen).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
            count += 3;
        }
    }
    f64::from(sum) / f64::from(count)
}
