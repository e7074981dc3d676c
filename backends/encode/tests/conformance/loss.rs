//! Losses: an encoder that promises invalidation must write pictures that decode, bit for bit, without the lost ones.

use punktfunk_encode::decode::Picture;
use punktfunk_encode::h264::{self, LongTermMark, Pps, SliceHeader, Sps};
use punktfunk_media::{EncodedFrame, FrameOrder, InvalidateOutcome, Keyframe};

use crate::scene;
use crate::subject::{HEIGHT, Subject, WIDTH, config, decode, encode};

/// A client that receives everything and one that loses runs of pictures run side by side. After each repaired loss both
/// must show the same picture.
pub fn losses_are_repaired_as_promised(subject: &Subject) {
    let mut encoder = subject.open(&config(4_000_000));
    let promised = encoder.caps().can_invalidate;
    let (mut whole, mut lossy) = ((subject.decoder)(), (subject.decoder)());
    let (mut repaired, mut keyframes) = (0, 0);
    // First lost picture, how many are lost, how many later the loss is reported.
    let losses = [(20, 1, 4), (60, 3, 6), (61, 1, 12), (120, 8, 10), (200, 1, 1), (300, 20, 25), (301, 2, 30)];
    let mut broken_since: Option<u32> = None;
    let (mut parameters, mut last_mark) = (None, 0);
    let mut pending: Vec<(u32, u32, u32)> =
        losses.into_iter().map(|(at, run, report)| (at, run, at + run - 1 + report)).collect();
    for index in 0..420u32 {
        let mut keyframe = Keyframe::Auto;
        let mut anchor_wanted = false;
        for (first, run, _) in pending.extract_if(.., |(_, _, report)| *report == index) {
            if broken_since.is_none() {
                continue; // an IDR healed it before the report came
            }
            match encoder.order(FrameOrder::Invalidate { first, last: first + run - 1 }).expect("answers") {
                InvalidateOutcome::Done => {
                    assert!(promised, "honoured what was not promised");
                    anchor_wanted = true;
                }
                InvalidateOutcome::Unsupported => {
                    keyframe = Keyframe::Force;
                    keyframes += 1;
                }
            }
        }
        let unit = encode(&mut *encoder, &scene::moving(WIDTH, HEIGHT, index), keyframe);
        assert_eq!(unit.recovery_anchor, anchor_wanted && keyframe == Keyframe::Auto, "picture {index}");
        assert_eq!(unit.keyframe, index == 0 || keyframe == Keyframe::Force, "picture {index}");
        if marks_long_term(&unit.data, &mut parameters) {
            last_mark = index;
        }
        let shown = decode(&mut *whole, &unit);
        let lost = losses.iter().any(|(first, run, _)| (*first..first + run).contains(&index));
        if lost {
            broken_since = broken_since.or(Some(index));
            continue;
        }
        if unit.keyframe || unit.recovery_anchor {
            repaired += u32::from(broken_since.take().is_some() && unit.recovery_anchor);
        }
        // As a client does: nothing is decoded between a loss and its repair.
        if broken_since.is_none() {
            assert!(same(&mut *lossy, &unit, &shown), "picture {index} differs for the client that lost some");
        }
    }
    println!("{}: {repaired} losses repaired without a keyframe, {keyframes} with one", subject.factory.name());
    assert!(broken_since.is_none(), "a loss was never repaired");
    assert!(!promised || repaired >= 4, "only {repaired} losses were repaired without a keyframe");
    // Otherwise anchors build on ever older pictures and cost as much as keyframes.
    assert!(!promised || last_mark > 330, "no picture was marked after {last_mark}, though marks were lost before");
    too_late(subject);
}

/// A loss of the keyframe itself, or of pictures never sent, cannot be honoured.
fn too_late(subject: &Subject) {
    let mut encoder = subject.open(&config(4_000_000));
    for index in 0..5 {
        encode(&mut *encoder, &scene::moving(WIDTH, HEIGHT, index), Keyframe::Auto);
    }
    for (first, last) in [(0, 2), (0, 0), (5, 6), (3, 2)] {
        let outcome = encoder.order(FrameOrder::Invalidate { first, last }).expect("answers");
        assert_eq!(outcome, InvalidateOutcome::Unsupported, "{first}..={last}");
    }
}

fn marks_long_term(unit: &[u8], parameters: &mut Option<(Sps, Pps)>) -> bool {
    if let Some(sps) = h264::find_unit(unit, h264::NAL_SPS).and_then(Sps::parse) {
        *parameters = h264::find_unit(unit, h264::NAL_PPS).and_then(Pps::parse).map(|pps| (sps, pps));
    }
    let (sps, pps) = parameters.as_ref().expect("the stream starts with an IDR");
    let slice = h264::find_unit(unit, h264::NAL_SLICE).or_else(|| h264::find_unit(unit, h264::NAL_IDR));
    let header = slice.and_then(|s| SliceHeader::parse(s, sps, pps)).expect("a readable slice header");
    header.mark != LongTermMark::None
}

fn same(decoder: &mut dyn punktfunk_encode::decode::Decoder, unit: &EncodedFrame, shown: &Picture) -> bool {
    decode(decoder, unit) == *shown
}
