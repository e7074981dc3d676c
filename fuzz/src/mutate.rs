//! A small seeded mutator: the same seed and corpus give the same inputs on every machine.

/// Derives inputs from a corpus by the changes that break decoders: bits, boundary values, lengths, splices.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
}

/// Largest input that the mutator makes, in bytes.
const MAX_INPUT: usize = 8192;

/// Values at which lengths and counters go wrong.
const BOUNDARIES: [u32; 12] = [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0xffff_ffff];

impl Mutator {
    /// A mutator whose inputs follow from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next input: one of `corpus` (or nothing, where that is empty), changed one to eight times.
    pub fn next_input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(corpus).cloned().unwrap_or_default();
        // Mostly one or two changes, or hardly an input would still be understood.
        let changes = [1, 1, 2, 2, 3, 8][self.below(6)];
        for _ in 0..changes {
            self.change(&mut input, corpus);
        }
        input.truncate(MAX_INPUT);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let left = input.len() - at;
        match self.below(9) {
            0 if left > 0 => input[at] ^= 1 << self.below(8),
            1 if left > 0 => input[at] = self.next() as u8,
            2 => {
                let value = BOUNDARIES[self.below(BOUNDARIES.len())].to_le_bytes();
                let len = left.min([1, 2, 4][self.below(3)]);
                input[at..at + len].copy_from_slice(&value[..len]);
            }
            3 => input.truncate(at),
            4 => {
                let len = self.below(left.min(16) + 1);
                input.drain(at..at + len);
            }
            5 => {
                let new: Vec<u8> = (0..self.below(17)).map(|_| self.next() as u8).collect();
                input.splice(at..at, new);
            }
            6 => {
                // A run of the input again, somewhere else.
                let run = input[at..at + self.below(left.min(64) + 1)].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, run);
            }
            7 => {
                // The head of this with the tail of another.
                let other = self.pick(corpus).cloned().unwrap_or_default();
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ if left >= 2 => {
                // A length or counter that is off by one or two.
                let delta = [1u16, 2, 0xffff, 0xfffe][self.below(4)];
                let value = u16::from_le_bytes([input[at], input[at + 1]]).wrapping_add(delta);
                input[at..at + 2].copy_from_slice(&value.to_le_bytes());
            }
            _ => {}
        }
    }

    fn pick<'c>(&mut self, corpus: &'c [Vec<u8>]) -> Option<&'c Vec<u8>> {
        let index = self.below(corpus.len().max(1));
        corpus.get(index)
    }

    /// A number under `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}
