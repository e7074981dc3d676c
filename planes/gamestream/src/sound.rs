//! Which Opus layout a session's sound has (gamestream.md §9.2, §9.3).

use punktfunk_media::{AudioCodecConfig, AudioRequest, ChannelLayout};

use crate::door::Announce;

/// What to capture and how to code it.
#[must_use]
pub fn sound_of(
    announce: &Announce,
    surround_params: Option<&str>,
    also_on_host: bool,
) -> (AudioRequest, AudioCodecConfig) {
    let layout = ChannelLayout::from_channels(announce.channels.into()).unwrap_or_default();
    let high = match layout {
        ChannelLayout::Stereo => announce.stereo_high,
        ChannelLayout::Surround51 | ChannelLayout::Surround71 => announce.surround_high,
    };
    let (streams, coupled, bitrate_bps) = match (layout, high) {
        (ChannelLayout::Stereo, false) => (1, 1, 96_000),
        (ChannelLayout::Stereo, true) => (1, 1, 512_000),
        (ChannelLayout::Surround51, false) => (4, 2, 256_000),
        (ChannelLayout::Surround51, true) => (6, 0, 1_536_000),
        (ChannelLayout::Surround71, false) => (5, 3, 450_000),
        (ChannelLayout::Surround71, true) => (8, 0, 2_048_000),
    };
    let mut config = AudioCodecConfig {
        layout,
        streams,
        coupled,
        mapping: [0, 1, 2, 3, 4, 5, 6, 7],
        block: announce.packet_duration,
        bitrate_bps,
        constant: true,
    };
    if let Some(own) = surround_params.and_then(|text| ClientLayout::parse(text, layout)) {
        (config.streams, config.coupled, config.mapping) = (own.streams, own.coupled, own.mapping);
    }
    let request = AudioRequest { layout, block: announce.packet_duration, also_on_host };
    (request, config)
}

/// A layout that the client brought along (`surroundParams`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientLayout {
    /// Opus streams.
    pub streams: u8,
    /// Stereo pairs among them.
    pub coupled: u8,
    /// Which decoded channel each channel is.
    pub mapping: [u8; 8],
}

impl ClientLayout {
    /// Reads `CSNmmmmmm…`, all single digits: channels, streams, coupled, mapping. `None` unless it is a valid layout of
    /// `layout`'s channels.
    #[must_use]
    pub fn parse(text: &str, layout: ChannelLayout) -> Option<Self> {
        let channels = layout.channels();
        let digits: Vec<u8> = text.bytes().map(|b| b.wrapping_sub(b'0')).collect();
        let (head, mapping) = digits.split_at_checked(3)?;
        let valid = layout != ChannelLayout::Stereo
            && digits.iter().all(|d| *d <= 9)
            && usize::from(head[0]) == channels
            && mapping.len() == channels
            && head[1] >= 1
            && head[2] <= head[1]
            && usize::from(head[1] + head[2]) == channels
            && mapping.iter().all(|m| usize::from(*m) < channels)
            // A channel that nobody carries would be silent, and one carried twice loses another.
            && (0..channels).all(|c| mapping.contains(&(c as u8)));
        let mut own = Self { streams: head[1], coupled: head[2], mapping: [0; 8] };
        own.mapping[..channels.min(mapping.len())].copy_from_slice(mapping.get(..channels)?);
        valid.then_some(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_layouts_of_the_session_are_taken() {
        let six = ChannelLayout::Surround51;
        let own = ClientLayout::parse("642012345", six).expect("a layout");
        assert_eq!((own.streams, own.coupled, own.mapping), (4, 2, [0, 1, 2, 3, 4, 5, 0, 0]));
        for bad in [
            "",
            "6",
            "642",
            "64201234",
            "6420123456",
            "643012345",
            "642012346",
            "642011345",
            "x42012345",
            "85301234567",
        ] {
            assert_eq!(ClientLayout::parse(bad, six), None, "{bad}");
        }
        assert_eq!(ClientLayout::parse("21101", ChannelLayout::Stereo), None);
    }
}
