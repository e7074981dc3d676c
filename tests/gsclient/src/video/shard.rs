//! One shard: opened, and its header taken apart.

use crate::Error;
use crate::Violations;
use crate::bytes::Bytes;
use crate::crypto::{Gcm, Key, TAG};

/// The fields of §8.3 that carry something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// RTP sequence.
    pub sequence: u16,
    /// 90 kHz.
    pub timestamp: u32,
    /// 24-bit counter of data shards (in recovery shards: recovery bytes).
    pub stream_index: u32,
    /// Frame.
    pub frame: u32,
    /// Picture data, end, start (in recovery shards: recovery bytes).
    pub flags: u8,
    /// Bit 0: long-term reference (in recovery shards: recovery bytes).
    pub extra_flags: u8,
    /// Block of the frame.
    pub block: u8,
    /// Index of the frame's last block.
    pub last_block: u8,
    /// Data shards in the block.
    pub data: usize,
    /// This shard's index in the block, data first.
    pub index: usize,
    /// FEC percentage.
    pub percentage: u8,
}

impl Header {
    /// Recovery shards in the block, as the client computes them.
    #[must_use]
    pub fn recovery(&self) -> usize {
        (self.data * usize::from(self.percentage)).div_ceil(100)
    }

    /// Whether it is one of the data shards.
    #[must_use]
    pub fn is_data(&self) -> bool {
        self.index < self.data
    }

    /// Reads the header of a shard, noting every constant that is not what it must be. `None` for what cannot be used.
    #[must_use]
    pub fn read(shard: &[u8], v: &mut Violations) -> Option<Self> {
        let mut r = Bytes(shard);
        let short = || format!("shard of {} bytes", shard.len());
        let fields = (|| {
            Some((
                r.u8()?,
                r.u8()?,
                r.u16be()?,
                r.u32be()?,
                r.u32be()?,
                r.u32be()?,
                r.u32le()?,
                r.u32le()?,
                r.array::<4>()?,
                r.u32le()?,
            ))
        })();
        let Some((first, kind, sequence, timestamp, ssrc, reserved, stream, frame, [flags, extra, multi, blocks], fec)) =
            fields
        else {
            v.note("§8.2", short());
            return None;
        };
        v.check(first == 0x90, "§8.3", || format!("first byte {first:#04x}"));
        v.check(kind == 0 && ssrc == 0 && reserved == 0, "§8.3", || {
            format!("type {kind}, SSRC {ssrc}, reserved {reserved}")
        });
        v.check(blocks & 0x0F == 0 && fec & 0xF == 0, "§8.3", || {
            format!("multiFecBlocks {blocks:#04x}, fecInfo {fec:#010x}")
        });
        let header = Self {
            sequence,
            timestamp,
            stream_index: stream >> 8,
            frame,
            flags,
            extra_flags: extra,
            block: blocks >> 4 & 3,
            last_block: blocks >> 6,
            data: (fec >> 22) as usize,
            index: (fec >> 12 & 0x3FF) as usize,
            percentage: (fec >> 4) as u8,
        };
        let all = header.data + header.recovery();
        if first & 0x10 == 0 || header.data == 0 || header.index >= all || (header.recovery() > 0 && all > 255) {
            v.note("§8.5", format_args!("{header:?}"));
            return None;
        }
        v.check(header.block <= header.last_block, "§8.5", || format!("{header:?}"));
        if header.is_data() {
            let (start, end) = (header.index == 0, header.index + 1 == header.data);
            let expected = 1 | u8::from(end) << 1 | u8::from(start) << 2;
            v.check(flags == expected, "§8.3", || format!("flags {flags:#04x}, not {expected:#04x}: {header:?}"));
            v.check(extra & !1 == 0 && multi == 0x10, "§8.3", || {
                format!("extraFlags {extra:#04x}, multiFecFlags {multi:#04x}")
            });
            v.check(stream & 0xFF == 0, "§8.3", || format!("streamPacketIndex {stream:#010x}"));
        }
        Some(header)
    }
}

/// What became of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opened {
    /// The shard is in the buffer.
    Shard,
    /// Of a frame before the one that is being put together: not even opened.
    Old,
    /// Not genuine, or too short.
    Bad,
}

/// Opens sealed shards (§8.7) and checks the order of their IVs.
pub struct ShardOpener {
    gcm: Gcm,
    /// RTP sequence minus counter, which stays the same for a host that counts one per shard.
    offset: Option<u64>,
}

impl ShardOpener {
    /// With the session's key.
    ///
    /// # Errors
    /// Never for a key of sixteen bytes.
    pub fn new(key: &Key) -> Result<Self, Error> {
        Ok(Self { gcm: Gcm::new(key)?, offset: None })
    }

    /// Opens a datagram into `out`.
    pub fn open(&mut self, wire: &[u8], current: u32, out: &mut Vec<u8>, v: &mut Violations) -> Opened {
        let mut r = Bytes(wire);
        let head = (|| Some((r.array::<12>()?, r.u32le()?, r.take(TAG)?)))();
        let Some((iv, hint, tag)) = head else {
            v.note("§8.7", format_args!("datagram of {} bytes", wire.len()));
            return Opened::Bad;
        };
        if hint < current {
            return Opened::Old;
        }
        if !self.gcm.open(iv, tag, r.0, out) {
            v.note("§8.7", "a shard is not genuine");
            return Opened::Bad;
        }
        v.check(iv[8..] == [0, 0, 0, b'V'], "§8.7", || format!("IV {iv:02x?}"));
        let mut inner = Bytes(out);
        if let (Some(counter), Some(_), Some(sequence)) = (Bytes(&iv).u64le(), inner.u16be(), inner.u16be()) {
            // Both count shards, so they differ by a multiple of 65536 for ever.
            let offset = u64::from(sequence).wrapping_sub(counter) & 0xFFFF;
            let expected = *self.offset.get_or_insert(offset);
            v.check(offset == expected, "§8.7", || format!("IV counter {counter} for sequence {sequence}"));
            v.check(expected == 0, "§8.7", || format!("IV counter begins at {counter} for sequence {sequence}"));
        }
        let frame = out.get(20..24).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
        v.check(frame == Some(hint), "§8.7", || format!("hint {hint} for frame {frame:?}"));
        Opened::Shard
    }
}
