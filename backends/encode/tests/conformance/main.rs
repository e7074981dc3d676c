//! One suite that every encoder must pass, run for each encoder of the ladder and judged by the other library's decoder.
//!
//! A new backend joins by one line of `encoders!` and is tested from then on.

mod bitrate;
mod colour;
mod loss;
mod picture;
mod scene;
mod stream;
mod subject;

use punktfunk_encode::{decode, openh264::OpenH264Factory, x264::X264Factory};
use punktfunk_media::Codec;

use subject::Subject;

macro_rules! encoders {
    ($($name:ident: $factory:expr, $decoder:expr;)*) => { $(
        mod $name {
            use super::*;

            fn subject() -> Subject {
                Subject { factory: Box::new($factory), decoder: || $decoder.expect("the referee is installed") }
            }

            #[test]
            fn decodes_above_the_psnr_floor() {
                picture::decodes_above_the_psnr_floor(&subject());
            }

            #[test]
            fn every_layout_arrives_upright() {
                picture::every_layout_arrives_upright(&subject());
            }

            #[test]
            fn damage_changes_nothing() {
                picture::damage_changes_nothing(&subject());
            }

            #[test]
            fn planes_give_what_their_pixels_give() {
                picture::planes_give_what_their_pixels_give(&subject());
            }

            #[test]
            fn repeats_the_last_picture() {
                picture::repeats_the_last_picture(&subject());
            }

            #[test]
            fn odd_sizes_gain_a_row_and_a_column() {
                picture::odd_sizes_gain_a_row_and_a_column(&subject());
            }

            #[test]
            fn every_colour_arrives_and_is_signalled() {
                colour::every_colour_arrives_and_is_signalled(&subject());
            }

            #[test]
            fn one_access_unit_per_picture_at_once() {
                stream::one_access_unit_per_picture_at_once(&subject());
            }

            #[test]
            fn keyframes_come_when_asked_and_only_then() {
                stream::keyframes_come_when_asked_and_only_then(&subject());
            }

            #[test]
            fn no_b_pictures_and_slices_as_agreed() {
                stream::no_b_pictures_and_slices_as_agreed(&subject());
            }

            #[test]
            fn parameter_sets_tell_the_truth() {
                stream::parameter_sets_tell_the_truth(&subject());
            }

            #[test]
            fn another_mode_continues_in_the_same_decoder() {
                stream::another_mode_continues_in_the_same_decoder(&subject());
            }

            #[test]
            fn refuses_what_it_cannot_do() {
                stream::refuses_what_it_cannot_do(&subject());
            }

            #[test]
            fn bitrate_is_kept_and_changes_without_a_keyframe() {
                bitrate::bitrate_is_kept_and_changes_without_a_keyframe(&subject());
            }

            #[test]
            fn no_access_unit_exceeds_the_limit() {
                bitrate::no_access_unit_exceeds_the_limit(&subject());
            }

            #[test]
            fn frame_rate_changes_without_a_keyframe() {
                bitrate::frame_rate_changes_without_a_keyframe(&subject());
            }

            #[test]
            fn losses_are_repaired_as_promised() {
                loss::losses_are_repaired_as_promised(&subject());
            }
        }
    )* };
}

encoders! {
    openh264: OpenH264Factory, decode::open_avcodec(Codec::H264);
    x264: X264Factory, decode::open_openh264();
}
