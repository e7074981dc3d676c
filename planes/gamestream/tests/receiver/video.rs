//! Video as a client receives it (gamestream.md §8): one block at a time, in order; a block that is incomplete when the
//! next one begins costs the frame.

use std::collections::BTreeMap;

use punktfunk_core::fec::{Fec, Gf8Cauchy, ShardLayout};
use punktfunk_core::seal::Aead;
use punktfunk_core::seal::scalar::Aes128Gcm;

/// A frame as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    pub index: u32,
    pub kind: u8,
    pub latency: u16,
    pub timestamp: u32,
    /// The elementary stream, cut to its exact length.
    pub data: Vec<u8>,
    /// Data shards that had to be rebuilt.
    pub rebuilt: usize,
}

/// A shard's header fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub sequence: u16,
    pub timestamp: u32,
    pub stream_index: u32,
    pub frame: u32,
    pub flags: u8,
    pub block: u8,
    pub last_block: u8,
    pub data: usize,
    pub index: usize,
    pub percent: usize,
}

impl Header {
    pub fn read(shard: &[u8]) -> Self {
        let be = |at: usize| u32::from_be_bytes(shard[at..at + 4].try_into().expect("four"));
        let le = |at: usize| u32::from_le_bytes(shard[at..at + 4].try_into().expect("four"));
        assert_eq!(shard[0], 0x90, "RTP with the extension bit");
        let info = le(28);
        Self {
            sequence: u16::from_be_bytes([shard[2], shard[3]]),
            timestamp: be(4),
            stream_index: le(16) >> 8,
            frame: le(20),
            flags: shard[24],
            block: shard[27] >> 4 & 3,
            last_block: shard[27] >> 6,
            data: (info >> 22) as usize,
            index: (info >> 12 & 0x3FF) as usize,
            percent: (info >> 4 & 0xFF) as usize,
        }
    }

    /// The client's formula.
    pub fn recovery(&self) -> usize {
        (self.data * self.percent).div_ceil(100)
    }
}

/// A client's receiving end.
pub struct Receiver {
    shard: usize,
    key: Option<[u8; 16]>,
    block: Option<Block>,
    /// Payloads of the frame's complete blocks.
    payload: Vec<u8>,
    rebuilt: usize,
    done: Option<u32>,
    next_block: u8,
    pub frames: Vec<Frame>,
}

struct Block {
    header: Header,
    base: u16,
    shards: BTreeMap<usize, Vec<u8>>,
}

impl Receiver {
    pub fn new(packet_size: usize, key: Option<[u8; 16]>) -> Self {
        let shard = packet_size + 16;
        Self { shard, key, block: None, payload: Vec::new(), rebuilt: 0, done: None, next_block: 0, frames: vec![] }
    }

    /// The shard inside a packet.
    pub fn open(&self, packet: &[u8]) -> Vec<u8> {
        let Some(key) = &self.key else { return packet.to_vec() };
        let iv: [u8; 12] = packet[..12].try_into().expect("twelve");
        assert_eq!(iv[8..], [0, 0, 0, b'V']);
        let mut sealed = [&packet[32..], &packet[16..32]].concat();
        Aes128Gcm::new(key).open(&iv, &[], &mut sealed).expect("authentic");
        sealed.truncate(packet.len() - 32);
        assert_eq!(packet[12..16], sealed[20..24], "the frame in the clear is the true one");
        sealed
    }

    /// Takes one packet.
    pub fn push(&mut self, packet: &[u8]) {
        let shard = self.open(packet);
        assert_eq!(shard.len(), self.shard, "every shard has the announced length");
        let header = Header::read(&shard);
        assert!(header.frame > 0 && header.percent > 0, "no frame 0, none without recovery");
        assert!(header.data + header.recovery() <= 255 && header.index < header.data + header.recovery());
        if self.done == Some(header.frame) && header.block < self.next_block {
            return;
        }
        let base = header.sequence.wrapping_sub(header.index as u16);
        let fresh =
            self.block.as_ref().is_none_or(|b| (b.header.frame, b.header.block) != (header.frame, header.block));
        if fresh {
            if header.block == 0 {
                (self.next_block, self.rebuilt) = (0, 0);
                self.payload.clear();
            }
            self.block = Some(Block { header, base, shards: BTreeMap::new() });
        }
        let block = self.block.as_mut().expect("just made");
        assert_eq!((block.base, block.header.data, block.header.percent), (base, header.data, header.percent));
        assert_eq!(block.header.timestamp, header.timestamp);
        block.shards.insert(header.index, shard);
        if block.shards.len() >= header.data {
            self.complete(header);
        }
    }

    fn complete(&mut self, header: Header) {
        let Block { mut shards, .. } = self.block.take().expect("there is one");
        self.done = Some(header.frame);
        let expected = self.next_block;
        self.next_block = header.block + 1;
        if header.block != expected {
            // A block before it was lost: so is the frame.
            self.next_block = u8::MAX;
            return;
        }
        self.rebuilt += rebuild(&mut shards, header, self.shard);
        let first = Header::read_fields(&shards[&0]);
        for i in 0..header.data {
            let (stream_index, flags) = Header::read_fields(&shards[&i]);
            assert_eq!(stream_index, first.0 + i as u32, "without gaps inside a block");
            let expected = 1 | if i == 0 { 4 } else { 0 } | if i + 1 == header.data { 2 } else { 0 };
            assert_eq!(flags, expected, "flags of shard {i} of {}", header.data);
            self.payload.extend_from_slice(&shards[&i][32..]);
        }
        if header.block == header.last_block {
            self.deliver(header);
        }
    }

    fn deliver(&mut self, header: Header) {
        let payload = self.shard - 32;
        let last = usize::from(u16::from_le_bytes([self.payload[4], self.payload[5]]));
        assert!(self.payload[0] == 1 && last > 0 && last <= payload);
        let end = self.payload.len() - payload + last;
        assert!(self.payload[end..].iter().all(|b| *b == 0), "zeros behind the end");
        self.frames.push(Frame {
            index: header.frame,
            kind: self.payload[3],
            latency: u16::from_le_bytes([self.payload[1], self.payload[2]]),
            timestamp: header.timestamp,
            data: self.payload[8..end].to_vec(),
            rebuilt: self.rebuilt,
        });
    }
}

impl Header {
    /// What FEC protects of a header: stream index and flags.
    fn read_fields(shard: &[u8]) -> (u32, u8) {
        (u32::from_le_bytes(shard[16..20].try_into().expect("four")) >> 8, shard[24])
    }
}

/// Rebuilds the missing data shards. The columns of the RTP header and of fields that are written after FEC come out
/// wrong, which no client minds.
fn rebuild(shards: &mut BTreeMap<usize, Vec<u8>>, header: Header, shard: usize) -> usize {
    let missing: Vec<u16> = (0..header.data).filter(|i| !shards.contains_key(i)).map(|i| i as u16).collect();
    let mut data = vec![0; header.data * shard];
    for (i, bytes) in shards.range(..header.data) {
        data[i * shard..][..shard].copy_from_slice(bytes);
    }
    let extra: Vec<_> = shards.range(header.data..).take(missing.len()).collect();
    let index: Vec<u16> = extra.iter().map(|(i, _)| (**i - header.data) as u16).collect();
    let recovery: Vec<u8> = extra.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    let layout = ShardLayout { stride: shard, shard_bytes: shard, k: header.data, m: header.recovery() };
    Gf8Cauchy::new().recover(&mut data, &missing, &recovery, &index, &layout).expect("enough shards");
    for &i in &missing {
        shards.insert(i.into(), data[usize::from(i) * shard..][..shard].to_vec());
    }
    missing.len()
}
