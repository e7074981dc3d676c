//! The host's sound, put in order: what came, what was lost, what came twice (punktfunk1.md §4.7). Sans-IO.

use punktfunk_core::datagram::HostDatagram;

/// Puts datagrams in order. Nothing is waited for: a gap is a loss at once, and what comes later is too late.
#[derive(Clone, Debug, Default)]
pub struct SoundReceiver {
    next: Option<u32>,
    counts: SoundCounts,
}

/// What happened so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SoundCounts {
    /// Datagrams of sound.
    pub datagrams: u64,
    /// Of those, with the packet before in them.
    pub redundant: u64,
    /// Blocks of silence.
    pub silent: u64,
    /// Blocks that did not come in a datagram of their own, but in the next one.
    pub recovered: u64,
    /// Blocks that did not come at all.
    pub lost: u64,
    /// Runs of lost blocks.
    pub gaps: u64,
    /// Datagrams that came after a later one.
    pub late: u64,
}

/// One block, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SoundBlock<'a> {
    /// An Opus packet; of a session without loss, samples.
    Packet(&'a [u8]),
    /// Nothing plays.
    Silence,
    /// It is lost.
    Lost,
}

impl SoundReceiver {
    /// Takes a datagram; `play` gets the blocks that follow from it, in order.
    pub fn push<'a>(&mut self, datagram: &HostDatagram<'a>, mut play: impl FnMut(SoundBlock<'a>)) {
        let (seq, opus, previous) = match *datagram {
            HostDatagram::Audio { seq, opus, .. } => (seq, opus, None),
            HostDatagram::AudioRed { seq, primary, previous, .. } => (seq, primary, Some(previous)),
            HostDatagram::Pcm { seq, samples, .. } => (seq, samples, None),
            _ => return,
        };
        self.counts.datagrams += 1;
        self.counts.redundant += u64::from(previous.is_some());
        let missing = seq.wrapping_sub(self.next.unwrap_or(seq));
        if missing > u32::MAX / 2 {
            self.counts.late += 1;
            return;
        }
        self.next = Some(seq.wrapping_add(1));
        let recovered = previous.filter(|_| missing > 0);
        let lost = missing - u32::from(recovered.is_some());
        self.counts.lost += u64::from(lost);
        self.counts.gaps += u64::from(lost > 0);
        // A long gap is told as one that ends: nobody conceals for longer.
        (0..lost.min(MOST_CONCEALED)).for_each(|_| play(SoundBlock::Lost));
        if let Some(previous) = recovered {
            self.counts.recovered += 1;
            play(self.block(previous));
        }
        play(self.block(opus));
    }

    /// What happened so far.
    #[must_use]
    pub const fn counts(&self) -> SoundCounts {
        self.counts
    }

    fn block<'a>(&mut self, opus: &'a [u8]) -> SoundBlock<'a> {
        if opus.is_empty() {
            self.counts.silent += 1;
            SoundBlock::Silence
        } else {
            SoundBlock::Packet(opus)
        }
    }
}

/// One second.
const MOST_CONCEALED: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn push(receiver: &mut SoundReceiver, seq: u32, opus: &[u8], previous: Option<&[u8]>) -> Vec<Vec<u8>> {
        let mut blocks = Vec::new();
        let datagram = match previous {
            Some(previous) => HostDatagram::AudioRed { seq, pts_ns: 0, primary: opus, previous },
            None => HostDatagram::Audio { seq, pts_ns: 0, opus },
        };
        receiver.push(&datagram, |block| {
            blocks.push(match block {
                SoundBlock::Packet(opus) => opus.to_vec(),
                SoundBlock::Silence => b"silence".to_vec(),
                SoundBlock::Lost => b"lost".to_vec(),
            });
        });
        blocks
    }

    #[test]
    fn blocks_come_in_order_and_losses_are_counted_once_also_across_the_wrap() {
        let mut r = SoundReceiver::default();
        assert_eq!(push(&mut r, u32::MAX - 1, b"a", None), [b"a"]);
        assert_eq!(push(&mut r, u32::MAX, b"", None), [b"silence"]);
        assert_eq!(push(&mut r, 2, b"d", None), [b"lost".to_vec(), b"lost".to_vec(), b"d".to_vec()]);
        assert_eq!(push(&mut r, 1, b"c", None), Vec::<Vec<u8>>::new());
        assert_eq!(push(&mut r, 2, b"d", None), Vec::<Vec<u8>>::new());
        let counts = SoundCounts { datagrams: 5, silent: 1, lost: 2, gaps: 1, late: 2, ..SoundCounts::default() };
        assert_eq!(r.counts(), counts);
    }

    #[test]
    fn a_single_loss_is_recovered_from_the_next_datagram() {
        let mut r = SoundReceiver::default();
        push(&mut r, 0, b"a", None);
        assert_eq!(push(&mut r, 2, b"c", Some(b"b")), [b"b", b"c"]);
        assert_eq!(push(&mut r, 3, b"d", Some(b"c")), [b"d"]);
        assert_eq!(
            push(&mut r, 6, b"g", Some(b"")),
            [b"lost".to_vec(), b"lost".to_vec(), b"silence".to_vec(), b"g".to_vec()][1..]
        );
        let c = r.counts();
        assert_eq!((c.recovered, c.lost, c.gaps, c.redundant), (2, 1, 1, 3));
        assert_eq!(push(&mut r, 100_007, b"z", None).len(), MOST_CONCEALED as usize + 1);
    }
}
