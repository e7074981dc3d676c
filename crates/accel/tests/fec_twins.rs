//! Every kernel against the portable twins: the same recovery bytes, and the data back from any k shards.

use proptest::prelude::*;
use punktfunk_accel::{Level, fec_at};
use punktfunk_core::fec::{FecError, FecScheme, ShardLayout};

fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

/// Encodes with the twin and each kernel, loses `lost` shards picked by `seed`, recovers with each kernel.
fn check(scheme: FecScheme, layout: ShardLayout, lost: usize, seed: u64) {
    let ShardLayout { stride, shard_bytes, k, m } = layout;
    let data = bytes(layout.span(k), seed);
    let mut twin = fec_at(scheme, Level::Portable).expect("always there");
    let gaps = bytes(layout.span(m), !seed);
    let mut expected = gaps.clone();
    twin.encode(&data, &mut expected, &layout).expect("encodes");

    // Shards that arrive: drop `lost` (at most m) of the k + m.
    let mut order: Vec<usize> = (0..k + m).collect();
    let mut state = seed;
    for i in (1..order.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        order.swap(i, (state >> 33) as usize % (i + 1));
    }
    let gone = &order[..lost.min(m)];
    let mut missing: Vec<u16> = gone.iter().filter(|&&s| s < k).map(|&s| s as u16).collect();
    missing.sort_unstable();
    let mut kept: Vec<u16> = order[lost.min(m)..].iter().filter(|&&s| s >= k).map(|&s| (s - k) as u16).collect();
    kept.truncate(missing.len());
    let mut slots = vec![0; layout.span(kept.len())];
    for (slot, &j) in kept.iter().enumerate() {
        slots[layout.shard(slot)].copy_from_slice(&expected[layout.shard(j.into())]);
    }

    for level in Level::available() {
        let mut code = fec_at(scheme, level).expect("available");
        let mut recovery = gaps.clone();
        code.encode(&data, &mut recovery, &layout).expect("encodes");
        assert!(recovery == expected, "{scheme:?} {level:?} {layout:?}: other recovery bytes, or a gap was touched");
        let mut damaged = data.clone();
        for &i in &missing {
            damaged[layout.shard(i.into())].fill(0x5A);
        }
        code.recover(&mut damaged, &missing, &slots, &kept, &layout).expect("recovers");
        assert!(damaged == data, "{scheme:?} {level:?} {layout:?}: missing {missing:?} by {kept:?}");
        if missing.len() >= 2 {
            let twice = vec![kept[0]; missing.len()];
            let refused = code.recover(&mut damaged.clone(), &missing, &slots, &twice, &layout);
            assert_eq!(refused, Err(FecError::Layout), "{level:?}: one shard named twice");
        }
    }
    let _ = (stride, shard_bytes);
}

#[test]
fn every_small_leopard_shape() {
    for k in 1..=20 {
        for m in 1..=20 {
            check(FecScheme::Gf16, ShardLayout { stride: 66, shard_bytes: 66, k, m }, m, (k * 100 + m) as u64);
        }
    }
}

#[test]
fn shapes_around_the_powers_of_two() {
    let sides = [31, 32, 33, 63, 64, 65, 127, 128, 129];
    for k in sides {
        for m in [1, 2, 7, 8, 9, 31, 32, 33, 64, 65] {
            check(
                FecScheme::Gf16,
                ShardLayout { stride: 128, shard_bytes: 128, k, m },
                m / 2 + 1,
                (k * 1000 + m) as u64,
            );
        }
    }
}

#[test]
fn shards_of_the_wire() {
    for shard_bytes in [1408, 1388, 512, 1344, 2, 62, 64, 126] {
        let stride = shard_bytes + 64;
        for (k, m) in [(8, 2), (16, 4), (40, 8), (72, 15), (157, 32), (300, 20)] {
            for lost in [0, 1, 2, m] {
                check(FecScheme::Gf16, ShardLayout { stride, shard_bytes, k, m }, lost, 7);
            }
        }
        for (k, m) in [(8, 2), (40, 8), (157, 32), (200, 55)] {
            check(FecScheme::Gf8, ShardLayout { stride, shard_bytes, k, m }, m, 7);
        }
    }
}

#[test]
fn too_few_or_impossible_shards_are_refused() {
    for level in Level::available() {
        for scheme in [FecScheme::Gf8, FecScheme::Gf16] {
            let mut code = fec_at(scheme, level).expect("available");
            let layout = ShardLayout { stride: 64, shard_bytes: 64, k: 4, m: 2 };
            let mut data = vec![0; 256];
            let too_few = code.recover(&mut data, &[0, 1], &[0; 64], &[0], &layout);
            assert_eq!(too_few, Err(FecError::TooFew { missing: 2, recovery: 1 }));
            assert_eq!(code.recover(&mut data, &[1, 0], &[0; 128], &[0, 1], &layout), Err(FecError::Layout));
            assert_eq!(code.recover(&mut data, &[4], &[0; 64], &[0], &layout), Err(FecError::Layout));
            assert_eq!(code.recover(&mut data, &[0], &[0; 64], &[2], &layout), Err(FecError::Layout));
            assert_eq!(code.recover(&mut data, &[0], &[0; 63], &[0], &layout), Err(FecError::Layout));
            assert_eq!(code.encode(&data[..255], &mut [0; 128], &layout), Err(FecError::Layout));
            let odd = ShardLayout { shard_bytes: 63, ..layout };
            assert_eq!(code.encode(&data, &mut [0; 128], &odd), Err(FecError::Layout));
        }
        let mut code = fec_at(FecScheme::Gf8, level).expect("available");
        let large = ShardLayout { stride: 2, shard_bytes: 2, k: 200, m: 56 };
        assert_eq!(code.encode(&[0; 400], &mut [0; 112], &large), Err(FecError::Shards { k: 200, m: 56 }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn leopard_anywhere(k in 1usize..200, m in 1usize..60, half in 1usize..200, gap in 0usize..70, lost in 0usize..60, seed: u64) {
        let shard_bytes = 2 * half;
        check(FecScheme::Gf16, ShardLayout { stride: shard_bytes + gap, shard_bytes, k, m }, lost, seed);
    }

    #[test]
    fn cauchy_anywhere(k in 1usize..200, m in 1usize..55, half in 1usize..200, gap in 0usize..70, lost in 0usize..55, seed: u64) {
        let shard_bytes = 2 * half;
        check(FecScheme::Gf8, ShardLayout { stride: shard_bytes + gap, shard_bytes, k, m }, lost, seed);
    }
}
