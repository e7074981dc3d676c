//! Who gets in, who waits, who is sent away: every refusal with its close code and its reason.

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Closed, HD, Options, RawClient, TestHost, client_identity, connect_from, hello, receive, until};
use punktfunk_core::control::ControlMessage;
use punktfunk_core::{CloseCode, Codec, CodecSet, Grants, Mode};
use punktfunk_hub::trust::{ClientChange, ClientRecord};
use punktfunk_net::quic::DialError;
use punktfunk_net::quic::{DialOptions, client_endpoint, dial};

fn assert_closed(closed: &Closed, code: CloseCode, reason: &str) {
    assert_eq!(closed.code, u64::from(code.0), "{closed:?}");
    assert!(closed.text.starts_with(reason), "{closed:?} is not {reason}");
    assert!(closed.text.len() > reason.len() + 10, "a sentence for the person: {closed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_nobody_gets_past_the_gate() {
    let host = TestHost::start(Options::default());
    let mut client = RawClient::connect(host.address, None).await;
    let closed = client.refused(&hello()).await;
    assert_closed(&closed, CloseCode::IDENTITY_REQUIRED, "access.identity_required");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absurd_wishes_are_refused_with_their_reasons_and_leave_nothing_behind() {
    let host = TestHost::start(Options::open());
    let mode = |width, height, refresh_hz| Mode { width, height, refresh_hz };
    for (mode, reason) in [
        (mode(0, 720, 60), "session.mode_invalid"),
        (mode(1280, 720, 0), "session.mode_invalid"),
        (mode(1281, 721, 60), "session.mode_invalid"),
        (mode(20_000, 20_000, 60), "encode.mode_too_large"),
        (mode(u32::MAX, u32::MAX, u32::MAX), "session.mode_invalid"),
    ] {
        let mut wish = hello();
        wish.mode = mode;
        let closed = RawClient::connect(host.address, None).await.refused(&wish).await;
        assert_closed(&closed, CloseCode::SETUP_FAILED, reason);
    }
    // A codec that we lack, even with an encoder that goes under any name: PyroWave is never offered.
    let mut wish = hello();
    wish.video_codecs = CodecSet::only(Codec::PyroWave);
    let closed = RawClient::connect(host.address, None).await.refused(&wish).await;
    assert_closed(&closed, CloseCode::SETUP_FAILED, "encode.no_common_codec");
    assert_eq!(host.desktop.opened_stages(), 0, "no display was made for any of them");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_wire_version_is_told_so_before_anything_else() {
    let host = TestHost::start(Options::default());
    for version in [1, 3] {
        let mut wish = hello();
        wish.abi_version = version;
        let closed = RawClient::connect(host.address, None).await.refused(&wish).await;
        assert_closed(&closed, CloseCode::VERSION_MISMATCH, "native.version_mismatch");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protocols_that_we_do_not_speak_end_in_the_handshake() {
    let host = TestHost::start(Options::open());
    for offer in [&b"pkf2"[..], b"h3"] {
        let endpoint = client_endpoint("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut options = DialOptions::new(None, None);
        options.alpn = vec![offer.to_vec()];
        let error = dial(&endpoint, host.address, options).await.unwrap_err();
        assert!(matches!(error, DialError::NoCommonProtocol), "{error}");
    }
    // The host goes on.
    assert!(RawClient::connect(host.address, None).await.hello(&hello()).await.is_some());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn launching_needs_its_grant() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    host.trust(&identity, Grants::VIEW);
    let mut wish = hello();
    wish.launch = Some("steam:570".into());
    let closed = RawClient::connect(host.address, Some(&identity)).await.refused(&wish).await;
    assert_closed(&closed, CloseCode::LAUNCH_DENIED, "native.launch_denied");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_nobody_answers_is_told_so_and_may_come_again() {
    let host = TestHost::start(Options { approval_wait: Duration::from_millis(100), ..Options::default() });
    let identity = client_identity();
    for _ in 0..2 {
        let closed = RawClient::connect(host.address, Some(&identity)).await.refused(&hello()).await;
        assert_closed(&closed, CloseCode::APPROVAL_TIMEOUT, "pairing.timed_out");
    }
    // The operator was late, not unwilling: the next connection comes in.
    let id = punktfunk_hub::trust::short_id(&identity.fingerprint());
    host.hub.pairing().approve(&id, Grants::ALL, None).unwrap();
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    assert!(client.hello(&hello()).await.is_some(), "it is paired now");
    client.connection.close(0u32.into(), b"");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_device_is_let_in_on_the_same_connection_or_turned_away() {
    let host = TestHost::start(Options::default());
    let (welcome_one, unwelcome) = (client_identity(), client_identity());
    let mut first = RawClient::connect(host.address, Some(&welcome_one)).await;
    first.say(|out| hello().encode(out)).await;
    let mut second = RawClient::connect(host.address, Some(&unwelcome)).await;
    second.say(|out| hello().encode(out)).await;
    until(|| host.hub.pairing().pending().len() == 2).await;
    assert!(host.hub.admission().sessions().is_empty(), "a parked approval holds no slot");

    let id = |identity: &punktfunk_net::Identity| punktfunk_hub::trust::short_id(&identity.fingerprint());
    host.hub.pairing().deny(&id(&unwelcome)).unwrap();
    assert_closed(&second.closed().await, CloseCode::DENIED, "access.denied");

    host.hub.pairing().approve(&id(&welcome_one), Grants::POINTER, None).unwrap();
    let payload = first.hear().await.expect("the same connection goes on");
    let welcome = punktfunk_core::handshake::Welcome::decode(&payload).unwrap();
    assert_eq!(welcome.grants, Grants::POINTER);
    first.connection.close(0u32.into(), b"");

    // From now on it needs no approval.
    let mut again = RawClient::connect(host.address, Some(&welcome_one)).await;
    assert!(again.hello(&hello()).await.is_some());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_knock_of_the_same_device_replaces_the_older_and_one_source_cannot_fill_the_list() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    let mut older = RawClient::connect(host.address, Some(&identity)).await;
    older.say(|out| hello().encode(out)).await;
    until(|| host.hub.pairing().pending().len() == 1).await;
    let mut newer = RawClient::connect(host.address, Some(&identity)).await;
    newer.say(|out| hello().encode(out)).await;
    assert_closed(&older.closed().await, CloseCode::SUPERSEDED, "access.superseded");
    assert_eq!(host.hub.pairing().pending().len(), 1);

    // Three more devices at this address may wait; the fifth may not, but a device elsewhere may.
    let mut waiting = vec![newer];
    for _ in 0..3 {
        let mut client = RawClient::connect(host.address, Some(&client_identity())).await;
        client.say(|out| hello().encode(out)).await;
        waiting.push(client);
    }
    until(|| host.hub.pairing().pending().len() == 4).await;
    let closed = RawClient::connect(host.address, Some(&client_identity())).await.refused(&hello()).await;
    assert_closed(&closed, CloseCode::PAIRING_RATE_LIMITED, "pairing.rate_limited");
    let mut elsewhere = RawClient::connect_from("127.0.0.2", host.address, Some(&client_identity())).await;
    elsewhere.say(|out| hello().encode(out)).await;
    until(|| host.hub.pairing().pending().len() == 5).await;
    drop(waiting);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_ends_a_live_session_and_changed_grants_are_told() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    host.trust(&identity, Grants::ALL);
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    let video = client.start_session(&hello()).await;
    receive(video, 1).await;
    for t1_ns in 0..8 {
        client.control(ControlMessage::ClockProbe { t1_ns }).await;
    }
    let id = punktfunk_hub::trust::short_id(&identity.fingerprint());
    // The clock rounds are over once their echoes are here; until then the host would hold its news back.
    let mut echoes = 0;
    while echoes < 8 {
        echoes += client.hear_control(|m| matches!(m, ControlMessage::ClockEcho { .. }).then_some(1)).await;
    }
    host.hub.trust().set_grants(&id, Grants::VIEW).unwrap();
    let grants = client
        .hear_control(|m| match m {
            ControlMessage::AccessUpdate { grants, remaining_secs } => Some((grants, remaining_secs)),
            _ => None,
        })
        .await;
    assert_eq!(grants, (Grants::VIEW, 0));

    host.hub.trust().revoke(&id).unwrap();
    assert_closed(&client.closed().await, CloseCode::ACCESS_ENDED, "access.revoked");
    until(|| host.hub.admission().sessions().is_empty()).await;
    until(|| host.desktop.open_stages() == 0).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_that_runs_out_ends_the_session() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut record = ClientRecord::new(identity.fingerprint(), "guest".into(), Grants::ALL);
    record.expires_at = Some(now + 600);
    host.hub.trust().add(record).unwrap();
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    let video = client.start_session(&hello()).await;
    assert!((1..=600).contains(&video.welcome.expires_in_secs));
    receive(video, 1).await;
    let id = punktfunk_hub::trust::short_id(&identity.fingerprint());
    let ended = ClientChange { expires_at: Some(Some(now - 1)), ..ClientChange::default() };
    host.hub.trust().change(&id, ended).unwrap();
    assert_closed(&client.closed().await, CloseCode::ACCESS_ENDED, "access.expired");
    // An expired device is unknown again: it is parked.
    let mut again = RawClient::connect(host.address, Some(&identity)).await;
    again.say(|out| hello().encode(out)).await;
    until(|| host.hub.pairing().pending().len() == 1).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reachability_probe_disturbs_nobody() {
    let host = TestHost::start(Options::default());
    for _ in 0..3 {
        let (_endpoint, connection, _) = connect_from("127.0.0.1", host.address, None).await.unwrap();
        connection.close(0u32.into(), b"");
    }
    let identity = client_identity();
    host.trust(&identity, Grants::ALL);
    let welcome = RawClient::connect(host.address, Some(&identity)).await.hello(&hello()).await.expect("welcome");
    assert_eq!(welcome.mode, HD);
    tokio::time::sleep(Duration::from_millis(1)).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_ends_says_so_to_those_who_wait_for_approval() {
    let host = TestHost::start(Options::default());
    let mut client = RawClient::connect(host.address, Some(&client_identity())).await;
    client.say(|out| hello().encode(out)).await;
    until(|| host.hub.pairing().pending().len() == 1).await;
    let connection = client.connection.clone();
    let (closed, ()) = tokio::join!(common::closed(&connection), host.stop());
    assert_closed(&closed, CloseCode::DONE, "host.shutting_down");
}
