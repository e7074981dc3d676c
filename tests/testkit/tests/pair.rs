//! Host core and client core over bad networks: bytes are right, frames are delivered or missed and asked for again,
//! and the picture keeps coming.

use std::time::Duration;

use punktfunk_core::rate::FecController;
use punktfunk_testkit::netem::{LinkConfig, Loss};
use punktfunk_testkit::pair::{Outcome, Pair, PairConfig};

fn link(loss: Loss) -> LinkConfig {
    LinkConfig { delay: Duration::from_millis(8), loss, seed: 7, ..LinkConfig::default() }
}

/// What must hold on every network.
fn sane(o: &Outcome) {
    assert_eq!((o.wrong, o.out_of_order), (0, 0), "{o:?}");
    assert!(o.delivered <= o.frames, "{o:?}");
}

#[test]
fn a_clean_network_delivers_everything() {
    let outcome = Pair::new(&PairConfig { down: link(Loss::None), ..PairConfig::default() }).run(600);
    sane(&outcome);
    assert_eq!((outcome.frames, outcome.delivered, outcome.recovered), (600, 600, 0));
    assert_eq!(outcome.healed_by_keyframe, 0);
    // Delay of the path, and the pacing of a frame that fits the first burst.
    assert!(outcome.worst_delay <= Duration::from_millis(12), "{:?}", outcome.worst_delay);
}

#[test]
fn the_same_seed_runs_the_same() {
    let config = PairConfig { down: link(Loss::Random(0.05)), ..PairConfig::default() };
    let run = || {
        let o = Pair::new(&config).run(300);
        (o.delivered, o.recovered, o.spending, o.network)
    };
    assert_eq!(run(), run());
}

#[test]
fn five_percent_random_loss_is_hidden_within_the_budget() {
    let mut pair = Pair::new(&PairConfig { down: link(Loss::Random(0.05)), ..PairConfig::default() });
    let start = pair.run(600);
    let end = pair.run(4000);
    sane(&end);
    let steady = end.since(&start);
    // One in 10 000 is the design; five lost frames of 4000 would be ten times that.
    assert!(steady.frames - steady.delivered <= 4, "{steady:?}");
    let ratio = steady.spending.recovery as f64 / steady.spending.bound as f64;
    assert!(ratio <= 1.1, "spent {ratio:.3} × the bound: {steady:?}");
}

#[test]
fn a_step_to_twenty_percent_is_answered_within_seconds_and_paid_back() {
    let mut pair = Pair::new(&PairConfig { down: link(Loss::None), ..PairConfig::default() });
    let calm = pair.run(600);
    assert!(calm.spending.overhead() < 0.15, "{calm:?}");
    pair.set_loss(Loss::Random(0.2));
    let step = pair.run(120);
    let settled = pair.run(1200);
    sane(&settled);
    let after = settled.since(&step);
    assert!(after.residual() < 0.005, "{after:?}");
    pair.set_loss(Loss::None);
    let fading = pair.run(2400);
    let calm_again = pair.run(300);
    let last = calm_again.since(&fading);
    assert_eq!(last.delivered, 300);
    assert!(last.spending.overhead() < 0.2, "{last:?}");
}

#[test]
fn bursts_cost_frames_but_the_stream_heals() {
    let loss = Loss::Burst { rate: 0.05, mean_run: 8.0 };
    let outcome = Pair::new(&PairConfig { down: link(loss), ..PairConfig::default() }).run(3000);
    sane(&outcome);
    assert!(outcome.residual() < 0.1, "{outcome:?}");
    assert!(outcome.recovered > 300, "{outcome:?}");
}

#[test]
fn reordering_duplicates_and_jitter_cost_nothing() {
    let down = LinkConfig {
        jitter: Duration::from_millis(4),
        reorder: 0.05,
        reorder_by: Duration::from_millis(3),
        duplicate: 0.05,
        ..link(Loss::None)
    };
    let outcome = Pair::new(&PairConfig { down, ..PairConfig::default() }).run(1500);
    sane(&outcome);
    assert_eq!(outcome.delivered, 1500, "{outcome:?}");
}

#[test]
fn a_narrow_link_with_a_short_queue_is_not_flooded_by_bursts() {
    // 30 Mbit/s, room for 64 KiB: a frame of 41 KB + FEC fits only because the pacer spreads it.
    let down = LinkConfig { rate_bps: Some(30_000_000), queue_bytes: 64 << 10, ..link(Loss::None) };
    let mut pair = Pair::new(&PairConfig { down, ..PairConfig::default() });
    let start = pair.run(300);
    let end = pair.run(1200);
    sane(&end);
    let steady = end.since(&start);
    assert!(steady.residual() < 0.01, "{steady:?}");
}

#[test]
fn packets_beyond_the_mtu_never_arrive_and_nothing_is_made_up() {
    let down = LinkConfig { mtu: 1400, ..link(Loss::None) };
    let outcome = Pair::new(&PairConfig { down, ..PairConfig::default() }).run(60);
    assert_eq!((outcome.delivered, outcome.network.too_long), (0, outcome.network.sent));
}

#[test]
fn without_fec_every_loss_is_a_hole_and_a_request() {
    let down = link(Loss::Random(0.01));
    let fec = FecController::fixed(0);
    let outcome = Pair::new(&PairConfig { down, fec, ..PairConfig::default() }).run(1000);
    sane(&outcome);
    assert_eq!((outcome.recovered, outcome.spending.recovery), (0, 0));
    // 30 packets at 1 %: a quarter of the frames.
    assert!((0.15..0.40).contains(&outcome.residual()), "{outcome:?}");
}
