//! The other end of sound and video, written from the specification alone: it takes packets as a client would, rebuilds
//! what is missing and insists on every rule on the way.
#![allow(dead_code, reason = "each test file uses its share")]

pub mod audio;
pub mod video;

use serde_json::Value;

/// A vector file.
pub fn vectors(text: &str) -> Value {
    serde_json::from_str(text).expect("a vector file of this repository")
}

/// The bytes of a hexadecimal string.
pub fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().expect("a string of digits");
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).expect("hex digits")).collect()
}

/// A number.
pub fn number(value: &Value) -> usize {
    value.as_u64().expect("a number") as usize
}

/// A 16-byte key.
pub fn key(value: &Value) -> [u8; 16] {
    hex(value).try_into().expect("16 bytes")
}

/// Random numbers that are the same every time (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 56) as u8).collect()
    }
}
