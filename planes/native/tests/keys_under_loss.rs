//! A fifth of all datagrams lost: every key arrives, once, in order, and none stays down. `cargo run --release
//! -p punktfunk-native --example keys` types a hundred thousand.

mod common;
#[path = "common/relay.rs"]
mod relay;
#[path = "common/typist.rs"]
mod typist;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_is_lost_or_stuck_at_a_fifth_lost() {
    let (typed, _) = typist::type_over_loss(5, 200).await;
    let expected = typist::Typed { presses: 5 * typist::ROUND, ..typist::Typed::default() };
    assert_eq!(typed, expected);
}
