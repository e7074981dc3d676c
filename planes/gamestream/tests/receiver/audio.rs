//! Sound as a client receives it (gamestream.md §9): any four packets of a block of six give its four coded blocks.

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, KeyIvInit};
use punktfunk_core::fec::gf8;

/// One FEC block under way.
pub struct Receiver {
    step_ms: u32,
    key: Option<([u8; 16], u32)>,
    base: Option<(u16, u32)>,
    /// By shard: 0 … 3 data, 4 and 5 recovery.
    shards: [Option<Vec<u8>>; 6],
}

/// Rows of the code: what each shard is of the four data shards.
const ROWS: [[u8; 4]; 6] =
    [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0x77, 0x40, 0x38, 0x0e], [0xc7, 0xa7, 0x0d, 0x6c]];

impl Receiver {
    pub fn new(step_ms: u32, key: Option<([u8; 16], u32)>) -> Self {
        Self { step_ms, key, base: None, shards: Default::default() }
    }

    pub fn push(&mut self, packet: &[u8]) {
        assert!(packet[0] == 0x80 && packet.len() <= 1400);
        let u16_at = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        let u32_at = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().expect("four"));
        let (base, shard, payload) = match packet[1] {
            97 => {
                let index = u16_at(2) % 4;
                ((u16_at(2) - index, u32_at(4).wrapping_sub(u32::from(index) * self.step_ms)), index, &packet[12..])
            }
            127 => {
                assert!(packet[13] == 97 && u32_at(20) == 0 && u32_at(4) == 0);
                ((u16_at(14), u32_at(16)), 4 + u16::from(packet[12]), &packet[24..])
            }
            other => panic!("type {other}"),
        };
        assert_eq!(base, *self.base.get_or_insert(base), "block and time of shard {shard}");
        let len = self.shards.iter().flatten().map(Vec::len).next().unwrap_or(payload.len());
        assert_eq!(len, payload.len(), "all equally long");
        self.shards[usize::from(shard)] = Some(payload.to_vec());
    }

    /// The four coded blocks, if enough arrived.
    pub fn finish(&self) -> Option<Vec<Vec<u8>>> {
        let there: Vec<usize> = (0..6).filter(|i| self.shards[*i].is_some()).take(4).collect();
        if there.len() < 4 {
            return None;
        }
        let mut rows: Vec<[u8; 4]> = there.iter().map(|i| ROWS[*i]).collect();
        let mut payloads: Vec<Vec<u8>> = there.iter().filter_map(|i| self.shards[*i].clone()).collect();
        for column in 0..4 {
            let pivot = (column..4).find(|r| rows[*r][column] != 0).expect("any four are enough");
            rows.swap(column, pivot);
            payloads.swap(column, pivot);
            let scale = gf8::inverse(rows[column][column]);
            rows[column].iter_mut().chain(&mut payloads[column]).for_each(|x| *x = gf8::mul(*x, scale));
            let (row, payload) = (rows[column], payloads[column].clone());
            for other in (0..4).filter(|r| *r != column) {
                let factor = rows[other][column];
                rows[other].iter_mut().zip(row).for_each(|(x, y)| *x ^= gf8::mul(factor, y));
                payloads[other].iter_mut().zip(&payload).for_each(|(x, y)| *x ^= gf8::mul(factor, *y));
            }
        }
        let base = self.base.expect("packets came").0;
        Some(payloads.into_iter().enumerate().map(|(i, payload)| self.open(payload, base + i as u16)).collect())
    }

    fn open(&self, mut payload: Vec<u8>, sequence: u16) -> Vec<u8> {
        let Some((key, number)) = self.key else { return payload };
        let mut iv = [0; 16];
        iv[..4].copy_from_slice(&number.wrapping_add(sequence.into()).to_be_bytes());
        let opened = cbc::Decryptor::<Aes128>::new(&key.into(), &iv.into()).decrypt_padded_mut::<Pkcs7>(&mut payload);
        opened.expect("sound padding").to_vec()
    }
}
