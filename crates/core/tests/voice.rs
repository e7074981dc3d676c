//! A jitter buffer under any path: what it hands out is in order, never twice, never more than came, and time goes on.

use proptest::prelude::*;
use punktfunk_core::Timestamp;
use punktfunk_core::voice::{Play, VoiceBuffer};

/// A CELT packet of 10 ms that carries its number.
fn packet(seq: u32) -> Vec<u8> {
    let mut bytes = vec![30 << 3];
    bytes.extend(seq.to_le_bytes());
    bytes
}

const MS: u64 = 1_000_000;

/// What the path does to a packet: how much later than sent it comes (`None` = never), and whether it comes twice.
type Fate = (Option<u64>, bool);

fn fates(most_ms: u64) -> impl Strategy<Value = Vec<Fate>> {
    let fate = (prop::option::weighted(0.9, 0..=most_ms), prop::bool::weighted(0.05));
    prop::collection::vec(fate, 100..600)
}

/// Sends a packet every 10 ms of a clock that is `ppm` fast, plays 10 ms every 10 ms. Returns what was played when.
fn run(fates: &[Fate], first: u32, ppm: i64) -> (Vec<(u64, Play, u32)>, VoiceBuffer) {
    let mut arrivals: Vec<(u64, u32, u64)> = Vec::new();
    for (n, (late, twice)) in fates.iter().enumerate() {
        let sent = (n as i64 * 10 * MS as i64) * (1_000_000 - ppm) / 1_000_000;
        let pts = sent as u64;
        if let Some(late) = late {
            let copies = if *twice { 2 } else { 1 };
            for copy in 0..copies {
                arrivals.push((pts + (late + copy * 3) * MS, first.wrapping_add(n as u32), pts));
            }
        }
    }
    arrivals.sort_unstable();
    let mut arrivals = arrivals.into_iter().peekable();
    let (mut buffer, mut out, mut played) = (VoiceBuffer::new(), Vec::new(), Vec::new());
    let mut now = 7 * MS;
    while now < fates.len() as u64 * 10 * MS + 500 * MS {
        while let Some((_, seq, pts)) = arrivals.next_if(|(at, ..)| *at <= now) {
            buffer.push(Timestamp(now), seq, pts, &packet(seq));
        }
        let play = buffer.pull(Timestamp(now), true, &mut out);
        let number = if out.len() == 5 { u32::from_le_bytes(out[1..5].try_into().unwrap()) } else { 0 };
        played.push((now, play, number));
        now += 10 * MS;
    }
    (played, buffer)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_played_is_in_order_and_everything_is_accounted_for(fates in fates(150), first: u32) {
        let (played, buffer) = run(&fates, first, 0);
        let numbers: Vec<u32> = played
            .iter()
            .filter(|(_, play, _)| matches!(play, Play::Packet { .. }))
            .map(|(_, _, n)| n.wrapping_sub(first))
            .collect();
        prop_assert!(numbers.windows(2).all(|w| w[0] < w[1]), "{numbers:?}");
        let counts = buffer.counts();
        let came: u64 = fates.iter().map(|(late, twice)| u64::from(late.is_some()) * (1 + u64::from(*twice))).sum();
        prop_assert_eq!(counts.packets, came);
        prop_assert_eq!(counts.played, numbers.len() as u64);
        prop_assert_eq!(counts.played + counts.late + counts.repeated + counts.skipped + counts.invalid, came);
        // Guesses come only where something is missing: a number that did not come in time, or a late one.
        prop_assert!(counts.recovered <= counts.lost);
    }

    #[test]
    fn on_an_even_path_only_the_lost_are_missing_whatever_the_clocks_do(
        lost in prop::collection::vec(prop::bool::weighted(0.05), 1000..1500),
        transit in 0u64..200,
        ppm in -300i64..300,
    ) {
        let fates: Vec<Fate> = lost.iter().map(|lost| ((!lost).then_some(transit), false)).collect();
        let (_, buffer) = run(&fates, 5, ppm);
        let counts = buffer.counts();
        prop_assert_eq!((counts.late, counts.repeated, counts.skipped), (0, 0, 0));
        // A clock that runs at another pace costs a block every 10 ms / ppm: nobody plays faster or slower here.
        let drift = 2 + fates.len() as u64 * ppm.unsigned_abs() / 1_000_000;
        prop_assert!(counts.concealed <= counts.lost + 4 + drift, "{counts:?}");
    }

    #[test]
    fn nothing_that_comes_hurts(
        steps in prop::collection::vec(
            (any::<u32>(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..40), 0u64..50, any::<bool>(), any::<bool>()),
            1..200,
        ),
    ) {
        let (mut buffer, mut out, mut now) = (VoiceBuffer::new(), Vec::new(), 0);
        for (seq, pts, bytes, ms, near, urgent) in steps {
            now += ms * MS;
            let seq = if near { seq % 100 } else { seq };
            buffer.push(Timestamp(now), seq, pts, &bytes);
            match buffer.pull(Timestamp(now), urgent, &mut out) {
                Play::Packet { samples, .. } | Play::Silence { samples } => prop_assert!((120..=5760).contains(&samples)),
                Play::Recover { samples } | Play::Conceal { samples } => prop_assert!((120..=960).contains(&samples)),
                Play::Wait(until) => prop_assert!(until.is_none_or(|t| t > Timestamp(now))),
            }
            prop_assert!((5 * MS as i64..=300 * MS as i64).contains(&buffer.target()));
        }
    }
}
