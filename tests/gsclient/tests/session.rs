//! Whole sessions of the client with a host by the book.

mod host;

use std::sync::Arc;
use std::time::Duration;

use host::{FRAMES, Host, PIN};
use punktfunk_gsclient::control::HostMessage;
use punktfunk_gsclient::{
    Client, Error, Identity, Loss, Session, Shape, Store, StreamOptions, Style, Taps, audio, input, pairing,
};

const PATIENCE: Duration = Duration::from_secs(30);

fn client(host: &Host, shape: Shape) -> Client {
    Client::new(host.address, Arc::new(Identity::generate(shape).unwrap()))
}

#[test]
fn every_shape_of_certificate_pairs_in_both_styles() {
    let host = Host::start();
    for (i, shape) in Shape::ALL.into_iter().enumerate() {
        let style = if i % 2 == 0 { Style::Qt } else { Style::Embedded };
        let mut client = client(&host, shape);
        if i % 3 == 0 {
            client.http.only_tls12();
        }
        let stranger = client.http.server_info(false).unwrap();
        assert!(!stranger.paired);
        assert!(matches!(client.http.server_info(true), Err(Error::Refused { code: 401, .. })), "{shape:?}");
        client.pair(PIN, style).unwrap();
        assert_eq!(client.http.pinned(), Some(host.certificate()));
        assert!(client.http.server_info(true).unwrap().paired, "{shape:?}");
        assert_eq!(client.http.app_list().unwrap()[0].title, "Desk & top");
        assert!(client.http.violations().is_empty(), "{:?}", client.http.violations());
    }
    assert_eq!(host.asked("/unpair"), 0);
}

#[test]
fn a_wrong_pin_ends_as_each_style_ends_it() {
    let host = Host::start();
    let mut client = client(&host, Shape::Serial0);
    assert!(matches!(client.pair("0000", Style::Qt), Err(Error::WrongPin)));
    assert_eq!((host.asked("/pair"), host.asked("/unpair")), (3, 1));
    assert!(matches!(client.pair("0000", Style::Embedded), Err(Error::NotPaired(4))));
    assert_eq!((host.asked("/pair"), host.asked("/unpair")), (7, 2));
    // Phases out of order, called one by one.
    let mut attempt = pairing::Attempt::new(&client.http, PIN).unwrap();
    assert!(matches!(attempt.phase4(), Err(Error::NotPaired(4))));
    client.pair(PIN, Style::Qt).unwrap();
    assert!(client.http.server_info(true).unwrap().paired);
}

#[test]
fn another_certificate_than_the_pinned_one_is_refused() {
    let host = Host::start();
    let mut client = client(&host, Shape::Serial0);
    client.http.server_info(false).unwrap();
    client.http.pin(Some(Identity::generate(Shape::V3).unwrap().der().to_vec()));
    assert!(matches!(client.http.app_list(), Err(Error::Tls(_) | Error::Io { .. })));
    client.http.show_certificate(false);
    client.http.pin(None);
    assert!(matches!(client.http.app_list(), Err(Error::Refused { code: 401, .. })));
}

fn paired(host: &Host) -> Client {
    let mut client = client(host, Shape::Serial0);
    client.pair(PIN, Style::Qt).unwrap();
    client
}

fn wait_all(session: &mut Session) {
    assert!(session.wait_first_frame(PATIENCE));
    session.wait_until(PATIENCE, |s| s.frames() >= u64::from(FRAMES) && s.audio_packets() >= u64::from(FRAMES) * 2);
}

#[test]
fn streams_run_in_every_combination_of_encryption_and_age() {
    let host = Host::start();
    let mut client = paired(&host);
    for (encryption, legacy, corever) in
        [(6, false, Some(1)), (0, false, Some(1)), (4, true, None), (2, false, Some(0))]
    {
        let options = StreamOptions { encryption, legacy, corever, ..StreamOptions::default() };
        let mut session = client.start(options, Taps::default()).unwrap();
        wait_all(&mut session);
        let expected = if legacy { 4 } else { 1 | encryption };
        assert_eq!(session.negotiated().wishes.encryption, expected);
        assert_eq!(session.started().sealed, corever == Some(1));
        let report = session.stop().unwrap();
        let shown = serde_json::to_string_pretty(&report).unwrap();
        assert_eq!(report.violation_count, 0, "{shown}");
        assert_eq!(report.video.stats.frames, u64::from(FRAMES), "{shown}");
        assert_eq!((report.video.stats.lost, report.audio.stats.lost), (0, 0), "{shown}");
        assert!(report.first_frame_ms.unwrap() > report.play_ms, "{shown}");
        client.http.cancel().unwrap();
    }
}

#[test]
fn losses_are_mended_and_the_host_hears_of_them() {
    let host = Host::start();
    let mut client = paired(&host);
    let options = StreamOptions {
        video_loss: Loss::new(4.0, 1, 1),
        audio_loss: Loss::new(4.0, 1, 2),
        ..StreamOptions::default()
    };
    let (sender, packets) = std::sync::mpsc::channel();
    let tap = move |output: &audio::Output| drop(sender.send(output.clone()));
    let mut session = client.start(options, Taps { audio: Some(Box::new(tap)), frame: None }).unwrap();
    session.wait_until(PATIENCE, |s| s.audio_packets() > u64::from(FRAMES) * 2 - 20);
    let report = session.stop().unwrap();
    let shown = serde_json::to_string_pretty(&report).unwrap();
    assert_eq!(report.violation_count, 0, "{shown}");
    assert!(report.video.stats.recovered > 5 && report.audio.stats.rebuilt > 0, "{shown}");
    assert!(host.said().iter().any(|(channel, kind, payload)| (*channel, *kind, payload.len()) == (0, 0x5502, 21)));
    for output in packets {
        if let audio::Output::Packet { sequence, data, .. } = output {
            assert_eq!(data, vec![sequence as u8; 60]);
        }
    }
}

#[test]
fn input_arrives_and_the_hosts_last_word_ends_the_stream() {
    let host = Host::start();
    let mut client = paired(&host);
    let mut session = client.start(StreamOptions::default(), Taps::default()).unwrap();
    let rumble = session.wait_message(PATIENCE, |m| matches!(m, HostMessage::Rumble { .. }));
    assert_eq!(rumble, Some(HostMessage::Rumble { pad: 1, low: 2, high: 3 }));
    input::text("hi").into_iter().for_each(|packet| assert!(session.input(packet)));
    session.input(input::pad_arrival(3, 1, 3, 0xFFFF));
    session.input(input::key(0x1B, true, 0, 0));
    let end = session.wait_message(PATIENCE, |m| matches!(m, HostMessage::Termination(_)));
    assert_eq!(end, Some(HostMessage::Termination(0x8003_0023)));
    let report = session.stop().unwrap();
    assert_eq!((report.termination.as_deref(), report.dropped), (Some("0x80030023"), false));
    assert_eq!(report.violation_count, 0, "{:?}", report.violations);
    let said = host.said();
    let order: Vec<(u8, u16)> =
        said.iter().map(|(channel, kind, _)| (*channel, *kind)).filter(|s| s.1 != 0x0200).collect();
    assert_eq!(order[..2], [(0, 0x0302), (0, 0x0307)]);
    for expected in [(0, 0x0206), (3, 0x0206), (6, 0x0206), (0x13, 0x0206), (2, 0x0206)] {
        assert!(order.contains(&expected), "{expected:?} in {order:?}");
    }
    assert!(said.iter().any(|(_, kind, payload)| *kind == 0x0200 && payload.len() == 8));
}

#[test]
fn launch_without_a_key_is_an_error_of_the_host() {
    let host = Host::start();
    let mut client = paired(&host);
    let options = StreamOptions { launch_omit: vec!["rikey".to_owned()], ..StreamOptions::default() };
    assert!(matches!(client.start(options, Taps::default()), Err(Error::Refused { code: 400, .. })));
    let nonsense = client.http.raw(b"GET /nothing HTTP/1.1\r\n\r\n", false).unwrap();
    assert!(String::from_utf8(nonsense).unwrap().contains("404"));
}

#[test]
fn the_key_folder_remembers() {
    let host = Host::start();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("keys")).unwrap();
    let first = store.identity(Shape::V1).unwrap();
    assert_eq!(store.identity(Shape::V3).unwrap().fingerprint(), first.fingerprint());
    assert_eq!(store.host(host.address), None);
    store.remember(host.address, host.certificate()).unwrap();
    assert_eq!(store.host(host.address).as_deref(), Some(host.certificate()));
}
