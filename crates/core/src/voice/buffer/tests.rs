use super::*;

/// A CELT packet of 10 ms (configuration 30) that carries its number.
fn packet(seq: u32) -> Vec<u8> {
    let mut bytes = alloc::vec![30 << 3];
    bytes.extend(seq.to_le_bytes());
    bytes
}

/// A client that speaks every 10 ms and a loudspeaker that needs 10 ms every 10 ms, both on virtual time.
struct Bench {
    buffer: VoiceBuffer,
    now: u64,
    out: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        Self { buffer: VoiceBuffer::new(), now: 1_000_000_000, out: Vec::new() }
    }

    fn push(&mut self, seq: u32) -> Arrival {
        self.buffer.push(Timestamp(self.now), seq, self.now, &packet(seq))
    }

    fn pull(&mut self) -> Play {
        self.buffer.pull(Timestamp(self.now), true, &mut self.out)
    }

    /// The number of the packet that is played.
    fn played(&mut self) -> Option<u32> {
        match self.pull() {
            Play::Packet { .. } => Some(u32::from_le_bytes(self.out[1..5].try_into().expect("as made"))),
            _ => None,
        }
    }

    fn wait_ms(&mut self, ms: u64) {
        self.now += ms * 1_000_000;
    }

    /// Speaks and plays until the buffer runs steadily; returns the next number.
    fn settle(&mut self, first: u32) -> u32 {
        for seq in first..first + 50 {
            self.push(seq);
            self.wait_ms(5);
            self.pull();
            self.wait_ms(5);
        }
        assert!(self.buffer.playing);
        first + 50
    }
}

#[test]
fn a_voice_begins_after_its_delay_and_is_then_whole_and_in_order() {
    let mut b = Bench::new();
    assert_eq!(b.pull(), Play::Wait(None));
    b.push(7);
    assert_eq!(b.pull(), Play::Wait(Some(Timestamp(b.now + 5_000_000))));
    let mut heard = Vec::new();
    for seq in 8..100 {
        b.wait_ms(5);
        heard.extend(b.played());
        b.wait_ms(5);
        b.push(seq);
    }
    assert_eq!(heard, (7..99).collect::<Vec<_>>());
    let counts = b.buffer.counts();
    assert_eq!((counts.packets, counts.played, counts.lost, counts.concealed), (93, 92, 0, 0));
}

#[test]
fn swapped_packets_are_put_in_order_and_repeated_ones_count_once() {
    let mut b = Bench::new();
    let first = b.settle(0);
    for seq in [first + 1, first, first, first + 2, first + 1] {
        b.push(seq);
    }
    let heard: Vec<_> = (0..3).map(|_| b.played()).collect();
    assert_eq!(heard, [Some(first), Some(first + 1), Some(first + 2)]);
    assert_eq!(b.buffer.counts().repeated, 2);
}

#[test]
fn a_lost_packet_is_recovered_from_the_next_and_two_are_concealed_and_recovered() {
    let mut b = Bench::new();
    let next = b.settle(0);
    b.push(next + 1);
    assert_eq!(b.pull(), Play::Recover { samples: 480 });
    assert_eq!(b.out, packet(next + 1));
    assert_eq!(b.played(), Some(next + 1));
    b.push(next + 4);
    assert_eq!(b.pull(), Play::Conceal { samples: 480 });
    assert_eq!(b.pull(), Play::Recover { samples: 480 });
    assert_eq!(b.played(), Some(next + 4));
    let counts = b.buffer.counts();
    assert_eq!((counts.lost, counts.recovered, counts.concealed), (3, 2, 1));
    // What comes now is too late.
    assert_eq!(b.push(next), Arrival::Dropped);
    assert_eq!(b.buffer.counts().late, 1);
}

#[test]
fn nothing_is_concealed_while_there_is_time() {
    let mut b = Bench::new();
    let next = b.settle(0);
    b.push(next + 1);
    let due = Timestamp(b.now + 5_000_000);
    assert_eq!(b.buffer.pull(Timestamp(b.now), false, &mut b.out), Play::Wait(Some(due)));
    b.push(next);
    assert_eq!(b.played(), Some(next));
    assert_eq!(b.played(), Some(next + 1));
    b.push(next + 3);
    assert!(matches!(b.buffer.pull(due, false, &mut b.out), Play::Recover { .. }), "it will not come any more");
}

#[test]
fn a_late_packet_is_played_after_the_guess_and_a_lost_one_is_not_guessed_twice() {
    let mut b = Bench::new();
    let next = b.settle(0);
    assert_eq!(b.pull(), Play::Conceal { samples: 480 });
    b.push(next);
    assert_eq!(b.played(), Some(next));
    assert_eq!(b.pull(), Play::Conceal { samples: 480 });
    b.push(next + 2);
    assert_eq!(b.played(), Some(next + 2), "the guess stood for the lost one");
    assert_eq!(b.buffer.counts().lost, 1);
}

#[test]
fn a_pause_ends_after_a_short_guess_and_the_next_word_is_not_late() {
    let mut b = Bench::new();
    let next = b.settle(0);
    let guesses = (0..20).filter(|_| matches!(b.pull(), Play::Conceal { .. })).count();
    assert_eq!(guesses, 4, "40 ms");
    b.wait_ms(3_000);
    let target = b.buffer.target();
    b.push(next);
    assert_eq!(b.buffer.target(), target, "a pause says nothing about the path");
    assert!(matches!(b.pull(), Play::Wait(Some(_))));
    b.wait_ms(5);
    assert_eq!(b.played(), Some(next));
    // The client's silence needs no guesses at all.
    b.buffer.push(Timestamp(b.now), next + 1, b.now, &[]);
    assert_eq!(b.pull(), Play::Silence { samples: 480 });
    assert_eq!(b.pull(), Play::Wait(None));
}

#[test]
fn a_pause_of_a_client_without_stamps_is_one_as_well() {
    let mut b = Bench::new();
    for seq in 0..50 {
        b.buffer.push(Timestamp(b.now), seq, 0, &packet(seq));
        b.wait_ms(10);
        b.pull();
    }
    b.wait_ms(2_000);
    for seq in 50..60 {
        b.buffer.push(Timestamp(b.now), seq, 0, &packet(seq));
        b.wait_ms(10);
    }
    assert!(b.buffer.target() <= 5_000_000);
}

#[test]
fn a_jump_ahead_begins_anew_and_so_does_a_client_that_counts_from_zero_again() {
    let mut b = Bench::new();
    let next = b.settle(1000);
    b.push(next + 100_000);
    b.wait_ms(5);
    assert_eq!(b.played(), Some(next + 100_000));
    let mut heard = Vec::new();
    for seq in 0..30 {
        b.push(seq);
        b.wait_ms(5);
        heard.extend(b.played());
        b.wait_ms(5);
    }
    assert!(heard.ends_with(&(10..30).collect::<Vec<_>>()), "{heard:?}");
    // Also from a number a little before.
    let mut b = Bench::new();
    b.settle(0);
    let mut heard = Vec::new();
    for seq in 40..70 {
        b.push(seq);
        b.wait_ms(5);
        heard.extend(b.played());
        b.wait_ms(5);
    }
    assert!(heard.ends_with(&(50..70).collect::<Vec<_>>()), "{heard:?}");
}

#[test]
fn numbers_wrap() {
    let mut b = Bench::new();
    b.settle(u32::MAX - 60);
    let mut heard = Vec::new();
    for n in 0..20u32 {
        b.push((u32::MAX - 10).wrapping_add(n));
        b.wait_ms(5);
        heard.extend(b.played());
        b.wait_ms(5);
    }
    assert_eq!(heard.len(), 20);
}

#[test]
fn after_a_stall_the_old_is_dropped() {
    let mut b = Bench::new();
    let next = b.settle(0);
    b.wait_ms(500);
    (next..next + 50).for_each(|seq| _ = b.push(seq));
    assert!((0..10).any(|_| b.played().is_some()));
    let mut last = None;
    for _ in 0..10 {
        last = b.played().or(last);
    }
    assert!(b.buffer.counts().skipped > 0 || last.is_some_and(|l| l < next + 50));
    b.wait_ms(400);
    let Play::Packet { skipped, .. } = b.pull() else { panic!("something waits") };
    assert!(skipped);
    assert!(b.buffer.counts().skipped > 20, "{:?}", b.buffer.counts());
}

#[test]
fn a_voice_begins_later_where_something_behind_takes_samples_first() {
    let mut b = Bench::new();
    b.buffer.set_reserve(480);
    b.push(0);
    assert_eq!(b.pull(), Play::Wait(Some(Timestamp(b.now + 15_000_000))));
    b.wait_ms(10);
    b.push(1);
    b.wait_ms(5);
    assert_eq!(b.played(), Some(0));
    b.buffer.set_reserve(0);
    assert_eq!(b.played(), Some(1));
}

#[test]
fn a_voice_that_broke_off_begins_again_without_the_old() {
    let mut b = Bench::new();
    let next = b.settle(0);
    for seq in next..next + 10 {
        b.push(seq);
        b.wait_ms(10);
    }
    b.buffer.break_off();
    let heard = b.played();
    assert!(heard.is_some_and(|seq| seq >= next + 8), "{heard:?}");
    // What was heard by nobody is not lost.
    b.buffer.clear();
    b.push(next + 40);
    b.wait_ms(5);
    assert_eq!((b.played(), b.buffer.counts().lost), (Some(next + 40), 0));
}

#[test]
fn what_is_no_opus_or_too_large_is_lost() {
    let mut b = Bench::new();
    let next = b.settle(0);
    assert_eq!(b.buffer.push(Timestamp(b.now), next, 0, &[0x83, 0]), Arrival::Dropped);
    let huge = alloc::vec![30 << 3; MAX_VOICE_PACKET + 1];
    assert_eq!(b.buffer.push(Timestamp(b.now), next, 0, &huge), Arrival::Dropped);
    b.push(next + 1);
    assert!(matches!(b.pull(), Play::Recover { .. }));
    assert_eq!(b.buffer.counts().invalid, 2);
}

#[test]
fn what_waits_too_long_or_too_short_is_told() {
    let mut b = Bench::new();
    assert_eq!(b.buffer.excess(), None);
    b.push(0);
    b.wait_ms(45);
    (1..5).for_each(|seq| _ = b.push(seq));
    // Everything is played 45 ms after it could have been, 5 ms are needed.
    for seq in 5..100 {
        b.pull();
        b.wait_ms(10);
        b.push(seq);
    }
    let excess = b.buffer.excess().expect("known") / 1_000_000;
    assert!((5..=60).contains(&excess), "{excess} ms");
    b.buffer.clear();
    assert_eq!(b.pull(), Play::Wait(None));
    assert_eq!(b.buffer.excess(), None);
}

#[test]
fn a_warm_buffer_keeps_its_memory() {
    let mut b = Bench::new();
    let next = b.settle(0);
    let next = b.settle(next);
    let places: Vec<_> = b.buffer.slots.iter().map(|s| s.bytes.as_ptr()).collect();
    b.settle(next);
    assert!(places.iter().zip(&b.buffer.slots).all(|(place, slot)| *place == slot.bytes.as_ptr()));
}
