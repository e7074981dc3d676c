//! Figures of input over QUIC, from our own client to the injector of a host on fakes: how long a motion takes, and how
//! many keys are lost, come twice or stay down on a way that loses datagrams.
//!
//! ```text
//! cargo run --release -p punktfunk-native --example keys [PRESSES] [PER CENT]
//! ```

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/relay.rs"]
mod relay;
#[path = "../tests/common/typist.rs"]
mod typist;

fn main() {
    let number = |at, default| std::env::args().nth(at).and_then(|s| s.parse().ok()).unwrap_or(default);
    let (presses, percent): (u64, u64) = (number(1, 100_000), number(2, 20));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let times = runtime.block_on(typist::motion_times(5000));
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_micros();
    println!(
        "motion, client -> injector, {} of 5000: p50 {} us, p99 {} us, max {} us",
        times.len(),
        at(50),
        at(99),
        at(100)
    );
    let rounds = presses.div_ceil(typist::ROUND);
    let (typed, took) = runtime.block_on(typist::type_over_loss(rounds, percent.min(99) as u32 * 10));
    println!("{percent} % of the datagrams lost each way, {:.1} s", took.as_secs_f64());
    println!(
        "  presses {}, missing edges {}, wrong or double {}, stuck keys {}",
        typed.presses, typed.missing, typed.wrong, typed.stuck
    );
}
