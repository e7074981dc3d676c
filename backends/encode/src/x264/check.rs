//! Does this libavcodec lay out its structs as we think? A test encode answers, once per process.
//!
//! Every offset in use takes part: the picture's planes, strides, size and format (or the decoded picture would differ),
//! its type (or the forced keyframe would not come), its time stamp (x264 refuses stamps that do not grow), and the
//! packet's data and size.

use std::sync::OnceLock;

use punktfunk_sys_avcodec::{AV_PICTURE_TYPE_I, AV_PICTURE_TYPE_NONE, Library};

use crate::avcodec::{Context, Frame, Packet};
use crate::decode::{self, Picture};
use crate::h264;

/// Checks the layout. The outcome is kept.
///
/// # Errors
/// A sentence naming what did not fit.
pub(super) fn layout(library: &'static Library) -> Result<(), String> {
    static OUTCOME: OnceLock<Result<(), String>> = OnceLock::new();
    OUTCOME.get_or_init(|| run(library)).clone()
}

fn run(library: &'static Library) -> Result<(), String> {
    let mut context =
        Context::encoder(library, "libx264").ok_or("the installed libavcodec was built without libx264")?;
    let describe = |e: crate::avcodec::CallError| e.to_string();
    let size = format!("{SIDE}x{SIDE}");
    for (name, value) in [
        ("video_size", &*size),
        ("pixel_format", "yuv420p"),
        ("preset", "ultrafast"),
        ("tune", "zerolatency"),
        ("forced-idr", "1"),
        ("threads", "1"),
        ("qp", "10"),
    ] {
        context.set(name, value).map_err(describe)?;
    }
    context.set_ratio(c"time_base", 1, 60).map_err(describe)?;
    context.open().map_err(describe)?;
    let memory = || "out of memory".to_owned();
    let mut frame = Frame::with_i420(library, SIDE, SIDE).ok_or_else(memory)?;
    let mut packet = Packet::new(library).ok_or_else(memory)?;
    let mut decoder = decode::open_openh264().map_err(|e| e.to_string())?;
    let (mut drawn, mut decoded) = (Picture::default(), Picture::default());
    for index in 0..PICTURES {
        if !frame.make_writable() {
            return Err(memory());
        }
        draw(&mut frame, index).ok_or("libavutil lays out pictures otherwise")?;
        let force = index == FORCED;
        frame.set_pict_type(if force { AV_PICTURE_TYPE_I } else { AV_PICTURE_TYPE_NONE });
        frame.set_pts(i64::from(index));
        context.send_frame(&frame).map_err(describe)?;
        if !context.receive_packet(&mut packet).map_err(describe)? {
            return Err("x264 keeps pictures back".to_owned());
        }
        if h264::is_idr(packet.data()) != (force || index == 0) {
            return Err(format!("picture {index}: a forced keyframe is not where it should be"));
        }
        let shown = decoder.decode(packet.data(), &mut decoded).map_err(|e| format!("picture {index}: {e}"))?;
        let planes = [frame.plane(0), frame.plane(1), frame.plane(2)];
        let [Some(y), Some(u), Some(v)] = planes else {
            return Err("libavutil lays out pictures otherwise".to_owned());
        };
        drawn.assign(SIDE as usize, SIDE as usize, [(y.data, y.stride), (u.data, u.stride), (v.data, v.stride)]);
        let psnr = if shown { drawn.luma_psnr(&decoded) } else { 0.0 };
        if psnr < FAITHFUL_DB {
            return Err(format!("picture {index} came back at {psnr:.1} dB"));
        }
    }
    Ok(())
}

/// A gradient that moves and has a different slope in each plane.
fn draw(frame: &mut Frame, index: u32) -> Option<()> {
    for (plane, (data, stride)) in frame.planes_mut()?.into_iter().enumerate() {
        for (y, row) in data.chunks_mut(stride).enumerate() {
            for (x, sample) in row.iter_mut().enumerate() {
                *sample = (32 + (x * (plane + 1) + y * 2 + index as usize * 3) % 160) as u8;
            }
        }
    }
    Some(())
}

/// Side of the test picture.
const SIDE: u32 = 64;
/// An IDR, a picture after it, a forced IDR, a picture after it.
const PICTURES: u32 = 4;
const FORCED: u32 = 2;
/// At quantiser 10 luma comes back above 45 dB; a wrong plane or stride gives less than 20.
const FAITHFUL_DB: f64 = 38.0;
