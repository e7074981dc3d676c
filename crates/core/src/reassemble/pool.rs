//! Memory that goes round: frame records and frame buffers.

use alloc::vec::Vec;
use core::ops::Deref;

use super::frame::Frame;
use crate::Timestamp;
use crate::packet::PacketHeader;

/// The bytes of an access unit, in a buffer that [`super::Reassembler::recycle`] takes back.
#[derive(Debug, Default)]
pub struct AuBuffer {
    bytes: Vec<u8>,
    len: usize,
}

impl AuBuffer {
    pub(super) fn new(bytes: Vec<u8>, len: usize) -> Self {
        Self { bytes, len }
    }

    pub(super) fn into_inner(self) -> Vec<u8> {
        self.bytes
    }
}

impl Deref for AuBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

/// Idle records and buffers. Buffers only grow, so a warm session finds one that fits.
#[derive(Debug)]
pub(super) struct Pool {
    frames: Vec<Frame>,
    buffers: Vec<Vec<u8>>,
    budget: usize,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { frames: Vec::with_capacity(IDLE_FRAMES), buffers: Vec::with_capacity(IDLE_BUFFERS), budget: 0 }
    }

    /// Sets how many bytes may lie idle.
    pub(super) fn set_budget(&mut self, bytes: usize) {
        self.budget = bytes;
    }

    pub(super) fn take_frame(&mut self, header: &PacketHeader, now: Timestamp) -> Frame {
        let mut frame = self.frames.pop().unwrap_or_default();
        frame.open(header, now);
        frame
    }

    pub(super) fn put_frame(&mut self, mut frame: Frame) {
        frame.close(self);
        if self.frames.len() < IDLE_FRAMES {
            self.frames.push(frame);
        }
    }

    /// A buffer of at least `len` bytes whose contents mean nothing: the smallest that fits, or else the largest, grown.
    pub(super) fn take_buffer(&mut self, len: usize) -> Vec<u8> {
        let fits = |b: &Vec<u8>| if b.len() >= len { (0, b.len()) } else { (1, usize::MAX - b.len()) };
        let best = (0..self.buffers.len()).min_by_key(|&i| fits(&self.buffers[i]));
        let mut buffer = best.map(|i| self.buffers.swap_remove(i)).unwrap_or_default();
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        buffer
    }

    pub(super) fn put_buffer(&mut self, buffer: Vec<u8>) {
        let idle: usize = self.buffers.iter().map(Vec::len).sum();
        if !buffer.is_empty() && self.buffers.len() < IDLE_BUFFERS && idle + buffer.len() <= self.budget {
            self.buffers.push(buffer);
        }
    }
}

/// Records are small; one per slot of the window.
const IDLE_FRAMES: usize = 64;
/// A few frames in flight, a few with the decoder.
const IDLE_BUFFERS: usize = 16;
