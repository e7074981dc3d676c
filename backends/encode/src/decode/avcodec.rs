//! libavcodec's software decoders.

use punktfunk_media::{Codec, Colour};
use punktfunk_sys_avcodec::Library;

use super::{DecodeError, Decoder, Picture};
use crate::avcodec::{Context, Frame, Packet};
use crate::h264;

pub(super) struct AvcodecDecoder {
    context: Context,
    packet: Packet,
    frame: Frame,
    name: &'static str,
    codec: Codec,
    /// As the last parameter set says.
    colour: Colour,
}

impl AvcodecDecoder {
    pub(super) fn open(codec: Codec) -> Result<Self, DecodeError> {
        let unavailable = |why: String| DecodeError::Unavailable(why);
        let library = Library::get().map_err(|e| unavailable(e.to_string()))?;
        let (decoders, name): (&[&str], _) = match codec {
            Codec::H264 => (&["h264"], "libavcodec h264"),
            Codec::Hevc => (&["hevc"], "libavcodec hevc"),
            Codec::Av1 => (&["libdav1d", "libaom-av1"], "libavcodec av1"),
            Codec::PyroWave => return Err(unavailable("PyroWave".to_owned())),
        };
        let mut context = decoders
            .iter()
            .find_map(|d| Context::decoder(library, d))
            .ok_or_else(|| unavailable(format!("libavcodec was built without {}", decoders.join(" and "))))?;
        let memory = || unavailable("out of memory".to_owned());
        let (packet, frame) = (Packet::new(library).ok_or_else(memory)?, Frame::new(library).ok_or_else(memory)?);
        // One thread and no reordering: a picture comes out with the unit that holds it. Errors are told, not hidden.
        for (option, value) in [("threads", "1"), ("flags", "+low_delay"), ("err_detect", "explode"), ("ec", "0")] {
            context.set(option, value).map_err(|e| unavailable(e.to_string()))?;
        }
        context.open().map_err(|e| unavailable(e.to_string()))?;
        Ok(Self { context, packet, frame, name, codec, colour: Colour::default() })
    }
}

impl Decoder for AvcodecDecoder {
    fn name(&self) -> &'static str {
        self.name
    }

    fn decode(&mut self, access_unit: &[u8], out: &mut Picture) -> Result<bool, DecodeError> {
        if !self.packet.fill(access_unit) {
            return Err(DecodeError::Corrupt("access unit of impossible size".to_owned()));
        }
        if self.codec == Codec::H264 {
            self.colour = h264::colour(access_unit).unwrap_or(self.colour);
        }
        self.context.send_packet(&self.packet).map_err(|e| DecodeError::Corrupt(e.to_string()))?;
        if !self.context.receive_frame(&mut self.frame).map_err(|e| DecodeError::Corrupt(e.to_string()))? {
            return Ok(false);
        }
        let [Some(y), Some(u), Some(v)] = [0, 1, 2].map(|i| self.frame.plane(i)) else {
            return Err(DecodeError::Format(self.frame.format()));
        };
        let planes = [(y.data, y.stride), (u.data, u.stride), (v.data, v.stride)];
        out.assign(self.frame.width(), self.frame.height(), planes);
        out.colour = self.colour;
        Ok(true)
    }
}
