//! A host's packets, made by the book (§8, §9) from the description alone.

use punktfunk_core::fec::{Fec, Gf8Cauchy, ShardLayout, gf8};
use punktfunk_gsclient::crypto::Gcm;

/// Video shards of one session.
pub struct Packetizer {
    pub packet_size: usize,
    pub percentage: usize,
    pub min_recovery: usize,
    pub gcm: Option<Gcm>,
    pub sequence: u32,
    pub counter: u64,
}

impl Packetizer {
    pub fn new(packet_size: usize, key: Option<[u8; 16]>) -> Self {
        let gcm = key.map(|key| Gcm::new(&key).unwrap());
        Self { packet_size, percentage: 20, min_recovery: 2, gcm, sequence: 0, counter: 0 }
    }

    /// All datagrams of a frame.
    pub fn frame(&mut self, index: u32, kind: u8, unit: &[u8], timestamp: u32) -> Vec<Vec<u8>> {
        self.frame_with(index, kind, unit, timestamp, |_| {})
    }

    /// As [`Packetizer::frame`]; `spoil` sees every shard after FEC and before sealing.
    pub fn frame_with(
        &mut self,
        index: u32,
        kind: u8,
        unit: &[u8],
        timestamp: u32,
        mut spoil: impl FnMut(&mut Vec<u8>),
    ) -> Vec<Vec<u8>> {
        let payload = self.packet_size - 16;
        let last = match (8 + unit.len()) % payload {
            0 => payload,
            rest => rest,
        };
        let mut bytes = vec![1, 0x7B, 0, kind];
        bytes.extend((last as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(unit);
        let pieces: Vec<&[u8]> = bytes.chunks(payload).collect();
        let most = 25_500 / (100 + self.percentage);
        let (blocks, percentage) = match pieces.len().div_ceil(most) {
            blocks @ ..=4 => (blocks, self.percentage),
            _ => (4, 0),
        };
        let per_block = pieces.len().div_ceil(blocks);
        let mut out = Vec::new();
        for (block, pieces) in pieces.chunks(per_block).enumerate() {
            let block_bits = (block << 4 | (blocks - 1) << 6) as u8;
            for mut shard in self.block(index, pieces, percentage, block_bits, timestamp) {
                spoil(&mut shard);
                out.push(self.seal(index, shard));
            }
        }
        out
    }

    fn block(&mut self, index: u32, pieces: &[&[u8]], percentage: usize, block: u8, timestamp: u32) -> Vec<Vec<u8>> {
        let (size, data) = (self.packet_size + 16, pieces.len());
        let mut recovery = (data * percentage).div_ceil(100);
        let mut percentage = percentage;
        if percentage != 0 && recovery < self.min_recovery {
            recovery = self.min_recovery;
            percentage = 100 * self.min_recovery / data;
        }
        let mut all = vec![0; (data + recovery) * size];
        for (i, (shard, piece)) in all.chunks_exact_mut(size).zip(pieces).enumerate() {
            shard[16..20].copy_from_slice(&((self.sequence + i as u32) << 8).to_le_bytes());
            shard[24] = 1 | u8::from(i == 0) << 2 | u8::from(i + 1 == data) << 1;
            shard[26] = 0x10;
            shard[32..32 + piece.len()].copy_from_slice(piece);
        }
        let layout = ShardLayout { stride: size, shard_bytes: size, k: data, m: recovery };
        let (front, back) = all.split_at_mut(data * size);
        Gf8Cauchy::new().encode(front, back, &layout).unwrap();
        let shards = all.chunks_exact_mut(size).enumerate().map(|(i, shard)| {
            shard[0] = 0x90;
            shard[2..4].copy_from_slice(&((self.sequence + i as u32) as u16).to_be_bytes());
            shard[4..8].copy_from_slice(&timestamp.to_be_bytes());
            shard[20..24].copy_from_slice(&index.to_le_bytes());
            shard[27] = block;
            let info = (data as u32) << 22 | (i as u32) << 12 | (percentage as u32) << 4;
            shard[28..32].copy_from_slice(&info.to_le_bytes());
            shard.to_vec()
        });
        let shards: Vec<Vec<u8>> = shards.collect();
        self.sequence += (data + recovery) as u32;
        shards
    }

    fn seal(&mut self, index: u32, mut shard: Vec<u8>) -> Vec<u8> {
        let Some(gcm) = &self.gcm else { return shard };
        let mut iv = [0; 12];
        iv[..8].copy_from_slice(&self.counter.to_le_bytes());
        iv[11] = b'V';
        self.counter += 1;
        let tag = gcm.seal(iv, &mut shard).unwrap();
        [&iv[..], &index.to_le_bytes(), &tag, &shard].concat()
    }
}

/// Audio packets of one session, four and two.
#[derive(Default)]
pub struct AudioPacketizer {
    sequence: u32,
    block: Vec<Vec<u8>>,
}

impl AudioPacketizer {
    /// The datagrams that this packet makes due. `payload` as it goes out, sealed or not.
    pub fn packet(&mut self, payload: &[u8], duration_ms: u32) -> Vec<Vec<u8>> {
        let header = |kind: u8, sequence: u32, timestamp: u32| {
            let mut out = vec![0x80, kind];
            out.extend((sequence as u16).to_be_bytes());
            out.extend(timestamp.to_be_bytes());
            out.extend([0; 4]);
            out
        };
        let mut data = header(97, self.sequence, self.sequence * duration_ms);
        data.extend(payload);
        let mut out = vec![data];
        self.block.push(payload.to_vec());
        self.sequence += 1;
        if self.block.len() == 4 {
            let base = self.sequence - 4;
            for (index, row) in [[0x77, 0x40, 0x38, 0x0E], [0xC7, 0xA7, 0x0D, 0x6C]].into_iter().enumerate() {
                let mut fec = header(127, self.sequence + index as u32, 0);
                fec.extend([index as u8, 97]);
                fec.extend((base as u16).to_be_bytes());
                fec.extend((base * duration_ms).to_be_bytes());
                fec.extend([0; 4]);
                fec.extend(
                    (0..payload.len()).map(|k| (0..4).fold(0, |sum, i| sum ^ gf8::mul(row[i], self.block[i][k]))),
                );
                out.push(fec);
            }
            self.block.clear();
        }
        out
    }
}

/// Bytes that look like an H.264 access unit to whoever looks at NAL types alone.
pub fn unit(key: bool, len: usize, seed: u8) -> Vec<u8> {
    let mut out: Vec<u8> = if key {
        [&[0, 0, 0, 1, 0x67, 1][..], &[0, 0, 0, 1, 0x68, 2], &[0, 0, 1, 0x65]].concat()
    } else {
        vec![0, 0, 0, 1, 0x41]
    };
    // Never two zeros in a row, so that no start code appears by chance.
    out.extend((out.len()..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed) | 1));
    out
}
