//! `Hello.launch`: programs of the library on a client's display.

mod common;

use common::{Options, RawClient, TestHost, client_identity, hello, receive, until};
use punktfunk_core::control::{ControlMessage, LaunchKind};
use punktfunk_core::handshake::Hello;
use punktfunk_core::{CloseCode, Grants};
use punktfunk_hub::catalogue::App;
use punktfunk_media::AppSpec;

fn library() -> Vec<App> {
    let app = |key: &str, command: &str| App {
        key: key.into(),
        title: key.to_uppercase(),
        spec: Some(AppSpec { name: key.into(), command: command.into(), ..AppSpec::default() }),
        ..App::desktop()
    };
    vec![app("app:game", "game"), app("app:broken", "false")]
}

fn asking_for(key: &str) -> Hello {
    Hello { launch: Some(key.into()), ..hello() }
}

/// What the client is told, once its clock rounds are over.
async fn outcome(client: &mut RawClient) -> (LaunchKind, String) {
    for t1_ns in 1..=8 {
        client.control(ControlMessage::ClockProbe { t1_ns }).await;
    }
    client
        .hear_control(|message| match message {
            ControlMessage::LaunchOutcome { kind, message } => Some((kind, message)),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_started_goes_on_for_its_client_and_its_exit_ends_the_session() {
    let host = TestHost::start(Options { library: library(), ..Options::default() });
    let (identity, apps) = (client_identity(), host.desktop.apps());
    host.trust(&identity, Grants::ALL);
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    let video = client.start_session(&asking_for("app:game")).await;
    assert_eq!(outcome(&mut client).await, (LaunchKind::Spawned, "APP:GAME".into()));
    assert_eq!(apps.running(), ["app:game"]);
    let (video, _) = receive(video, 3).await;
    client.connection.close(CloseCode::DONE.0.into(), b"");
    drop(video);

    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    let video = client.start_session(&asking_for("app:game")).await;
    assert_eq!(outcome(&mut client).await.0, LaunchKind::Adopted);
    assert_eq!(apps.running(), ["app:game"], "one of it");
    let (_video, _) = receive(video, 3).await;
    apps.exit("app:game");
    let closed = client.closed().await;
    assert_eq!(closed.code, u64::from(CloseCode::APP_EXITED.0), "{closed:?}");
    assert!(closed.text.starts_with("app.exited"), "{closed:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_on_without_a_program_that_cannot_be_started() {
    let host = TestHost::start(Options { library: library(), ..Options::open() });
    for (key, kind, code) in [
        ("steam:570", LaunchKind::Refused, "app.unknown"),
        ("", LaunchKind::Refused, ""),
        ("app:broken", LaunchKind::Failed, "app.failed"),
    ] {
        let mut client = RawClient::connect(host.address, None).await;
        let video = client.start_session(&asking_for(key)).await;
        // An empty name on the wire is no name.
        if !key.is_empty() {
            let (told, message) = outcome(&mut client).await;
            assert_eq!(told, kind);
            assert!(message.starts_with(code), "{message}");
        }
        let (_video, _) = receive(video, 3).await;
        assert!(client.connection.close_reason().is_none());
        client.connection.close(CloseCode::DONE.0.into(), b"");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_quits_ends_the_program_and_who_may_not_launch_is_told() {
    let host = TestHost::start(Options { library: library(), ..Options::default() });
    let (identity, apps) = (client_identity(), host.desktop.apps());
    host.trust(&identity, Grants(Grants::ALL.0 & !Grants::LAUNCH.0));
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    let closed = client.refused(&asking_for("app:game")).await;
    assert_eq!(closed.code, u64::from(CloseCode::LAUNCH_DENIED.0), "{closed:?}");
    assert!(apps.running().is_empty());

    host.trust(&identity, Grants::ALL);
    let mut client = RawClient::connect(host.address, Some(&identity)).await;
    let video = client.start_session(&asking_for("app:game")).await;
    let (_video, _) = receive(video, 3).await;
    client.connection.close(CloseCode::QUIT.0.into(), b"");
    until(|| apps.running().is_empty()).await;
    until(|| host.apps.current(&identity.fingerprint().to_string()).is_none()).await;
    host.stop().await;
}
