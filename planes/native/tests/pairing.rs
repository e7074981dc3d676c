//! The PIN ceremony on good and bad days.

mod common;

use std::time::Duration;

use common::{Closed, Options, PairFailed, RawClient, TestHost, client_identity, hello, try_pair, until};
use punktfunk_core::CloseCode;
use punktfunk_core::pairing::PairMessage;
use punktfunk_hub::pairing::PairingStatus;

fn refused(outcome: Result<bool, PairFailed>) -> Closed {
    match outcome {
        Err(PairFailed::Refused(closed)) => closed,
        other => panic!("not refused: {other:?}"),
    }
}

fn assert_refused(outcome: Result<bool, PairFailed>, code: CloseCode, reason: &str) {
    let closed = refused(outcome);
    assert_eq!(closed.code, u64::from(code.0), "{closed:?}");
    assert!(closed.text.starts_with(reason), "{closed:?} is not {reason}");
}

/// Another PIN than this one.
fn wrong(pin: &str) -> String {
    format!("{:04}", (pin.parse::<u32>().unwrap() + 1) % 10_000)
}

/// The cooldown after an attempt at an open window (§2.5).
const COOLDOWN: Duration = Duration::from_millis(2100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_pin_pairs_once_and_the_client_gets_a_session() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    let armed = host.hub.pairing().arm(60, None).unwrap();
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    assert_eq!(try_pair(&mut client, &identity, &armed.pin).await, Ok(true));
    assert_eq!(host.hub.pairing().status(), PairingStatus::Closed, "a window is good for one attempt");
    let clients = host.hub.trust().list();
    assert_eq!((clients.len(), clients[0].name.as_str()), (1, "my tablet"));
    assert_eq!(clients[0].fingerprint, identity.fingerprint());
    // Pairing is no session: the client comes again.
    assert!(RawClient::connect(host.address, Some(&identity)).await.hello(&hello()).await.is_some());

    // The same PIN a second time.
    let other = client_identity();
    let mut client = RawClient::connect(host.address, Some(&other)).await;
    let again = try_pair(&mut client, &other, &armed.pin).await;
    assert_refused(again, CloseCode::PAIRING_NOT_ARMED, "pairing.not_armed");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_pin_spends_the_window_and_the_close_does_not_hide_it() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    let armed = host.hub.pairing().arm(60, None).unwrap();
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    assert_eq!(try_pair(&mut client, &identity, &wrong(&armed.pin)).await, Err(PairFailed::WrongPin));
    // As old clients do: the stream ends first. For 300 ms the host must stay silent or close with 0 (§10.4 row 1).
    client.send.finish().unwrap();
    let closed = client.closed().await;
    assert_eq!(closed.code, 0, "{closed:?}");
    assert!(host.hub.trust().list().is_empty());

    tokio::time::sleep(COOLDOWN).await;
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    let right_but_late = try_pair(&mut client, &identity, &armed.pin).await;
    assert_refused(right_but_late, CloseCode::PAIRING_NOT_ARMED, "pairing.not_armed");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_proof_is_told_no() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    let armed = host.hub.pairing().arm(60, None).unwrap();
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    // The host's proof is ignored and one of our own made up.
    let ceremony = punktfunk_core::pairing::ClientCeremony::start(
        &wrong(&armed.pin),
        &identity.fingerprint(),
        &client.host,
        [7; 64],
    );
    let spake_a = ceremony.message().to_vec();
    client.say(|out| PairMessage::Request { name: String::new(), spake_a, device_key: None }.encode(out)).await;
    assert!(client.hear().await.is_some());
    client.say(|out| PairMessage::Proof { confirm: [0xaa; 32] }.encode(out)).await;
    let verdict = PairMessage::decode(&client.hear().await.expect("a verdict")).unwrap();
    assert_eq!(verdict, PairMessage::Result { ok: false });
    assert!(host.hub.trust().list().is_empty());
    client.connection.close(1u32.into(), b"pair done");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_window_is_closed() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    let armed = host.hub.pairing().arm(60, None).unwrap();
    assert!(host.hub.pairing().disarm());
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    let late = try_pair(&mut client, &identity, &armed.pin).await;
    assert_refused(late, CloseCode::PAIRING_NOT_ARMED, "pairing.not_armed");

    let mut nobody = RawClient::connect(host.address, None).await;
    let anonymous = try_pair(&mut nobody, &identity, &armed.pin).await;
    assert_refused(anonymous, CloseCode::IDENTITY_REQUIRED, "access.identity_required");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_for_one_device_is_not_spent_by_another() {
    let host = TestHost::start(Options::default());
    let (mine, other) = (client_identity(), client_identity());
    let armed = host.hub.pairing().arm(60, Some(mine.fingerprint())).unwrap();
    let mut client = RawClient::connect(host.address, Some(&other)).await;
    let theirs = try_pair(&mut client, &other, &armed.pin).await;
    assert_refused(theirs, CloseCode::PAIRING_BOUND, "pairing.bound_to_other");
    let mut client = RawClient::connect(host.address, Some(&mine)).await;
    assert_eq!(try_pair(&mut client, &mine, &armed.pin).await, Ok(true), "nor does it cost the right one any time");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_first_message_does_not_spend_the_window() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    let armed = host.hub.pairing().arm(60, None).unwrap();
    for spake_a in [vec![], vec![0x41; 33], vec![0x42; 33], vec![0; 1000]] {
        let mut client = RawClient::connect(host.address, Some(&identity)).await;
        client.say(|out| PairMessage::Request { name: "x".into(), spake_a, device_key: None }.encode(out)).await;
        let closed = client.closed().await;
        assert_eq!(closed.code, u64::from(CloseCode::SETUP_FAILED.0), "{closed:?}");
        assert!(closed.text.starts_with("native.handshake_invalid"), "{closed:?}");
        assert!(matches!(host.hub.pairing().status(), PairingStatus::Armed { .. }));
        tokio::time::sleep(COOLDOWN).await;
    }
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    assert_eq!(try_pair(&mut client, &identity, &armed.pin).await, Ok(true));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbours_attempts_block_nobody_but_the_neighbour() {
    let host = TestHost::start(Options::default());
    let (mine, neighbour) = (client_identity(), client_identity());
    // The neighbour hammers at a closed door, and holds connections open on which it says nothing.
    let mut silent = Vec::new();
    for _ in 0..12 {
        let mut client = RawClient::connect_from("127.0.0.2", host.address, Some(&neighbour)).await;
        let outcome = try_pair(&mut client, &neighbour, "0000").await;
        assert_refused(outcome, CloseCode::PAIRING_NOT_ARMED, "pairing.not_armed");
        silent.push(RawClient::connect_from("127.0.0.2", host.address, Some(&neighbour)).await);
    }
    // The window opens, and the neighbour goes on: refused for its own sake, without spending it.
    let armed = host.hub.pairing().arm(60, None).unwrap();
    let mut client = RawClient::connect_from("127.0.0.2", host.address, Some(&neighbour)).await;
    let outcome = try_pair(&mut client, &neighbour, &wrong(&armed.pin)).await;
    assert_refused(outcome, CloseCode::PAIRING_RATE_LIMITED, "pairing.rate_limited");
    let mut client = RawClient::connect(host.address, Some(&mine)).await;
    assert_eq!(try_pair(&mut client, &mine, &armed.pin).await, Ok(true));
    until(|| host.hub.trust().list().len() == 1).await;
    drop(silent);
    host.stop().await;
}
