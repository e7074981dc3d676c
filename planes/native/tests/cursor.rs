//! The pointer beside the pictures: only where it was asked for and can be had, shapes once, places with every frame.

mod common;

use std::time::{Duration, Instant};

use common::{Options, PATIENCE, RawClient, TestHost, hello, receive};
use punktfunk_core::control::{ControlMessage, CursorShape};
use punktfunk_core::datagram::HostDatagram;
use punktfunk_core::handshake::{ClientCaps, Hello, HostCaps};
use punktfunk_media::fake::Faults;

fn drawing() -> Hello {
    let mut hello = hello();
    hello.client_caps = hello.client_caps | ClientCaps::CURSOR;
    hello
}

/// The next place that the host tells; `None` if there is none within `within`.
async fn place(client: &RawClient, within: Duration) -> Option<(u32, bool, i32, i32)> {
    let search = async {
        loop {
            let bytes = client.connection.read_datagram().await.expect("alive");
            if let Ok(HostDatagram::CursorPosition { serial, visible, x, y, .. }) = HostDatagram::decode(&bytes) {
                return (serial, visible, x, y);
            }
        }
    };
    tokio::time::timeout(within, search).await.ok()
}

/// Exchanges the clock rounds; shapes that came after the last of them may already be among the answers.
async fn clock_rounds(client: &mut RawClient) -> Vec<CursorShape> {
    let mut shapes = Vec::new();
    for t1_ns in 1..=8 {
        client.control(ControlMessage::ClockProbe { t1_ns }).await;
        client
            .hear_control(|message| match message {
                ControlMessage::ClockEcho { t1_ns: echoed, .. } => (echoed == t1_ns).then_some(()),
                ControlMessage::CursorShape(shape) => {
                    shapes.push(shape);
                    None
                }
                _ => None,
            })
            .await;
    }
    shapes
}

async fn next_shape(client: &mut RawClient) -> CursorShape {
    client.hear_control(|m| if let ControlMessage::CursorShape(shape) = m { Some(shape) } else { None }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shapes_wait_for_the_clock_rounds_and_come_once_while_places_come_with_every_frame() {
    let host = TestHost::start(Options::open());
    let mut client = RawClient::connect(host.address, None).await;
    let begun = Instant::now();
    let video = client.start_session(&drawing()).await;
    assert!(video.welcome.host_caps.contains(HostCaps::CURSOR));
    // The pointer has its first shape with the first picture.
    let (video, _) = receive(video, 3).await;
    let (serial, visible, ..) = place(&client, PATIENCE).await.expect("a place");
    assert!((serial, visible) == (0, false) || begun.elapsed() > Duration::from_millis(2500), "a shape was told");
    let early = clock_rounds(&mut client).await;
    assert!(early.is_empty() || begun.elapsed() > Duration::from_millis(2500), "told before the rounds were over");
    let first = match early.into_iter().next() {
        Some(shape) => shape,
        None => next_shape(&mut client).await,
    };
    let second = next_shape(&mut client).await;
    assert_ne!(first.serial(), second.serial());
    let mut sizes = [&first, &second].map(CursorShape::size);
    sizes.sort_unstable();
    assert_eq!(sizes, [[8, 8], [16, 16]]);
    // Both shapes in turn, each by its number alone, and the pointer walks.
    let mut serials = Vec::new();
    let mut last = None;
    while serials.len() < 4 {
        let (serial, visible, x, y) = place(&client, PATIENCE).await.expect("places go on");
        if serial == 0 {
            continue;
        }
        assert!(visible && x == y, "{serial} {x} {y}");
        assert!(last.is_none_or(|last| x >= last || x < 5), "{x} after {last:?}");
        last = Some(x);
        if serials.last() != Some(&serial) {
            serials.push(serial);
        }
    }
    let [a, b] = [serials[0], serials[1]];
    assert_eq!(serials, [a, b, a, b]);
    client.control(ControlMessage::SetBitrate { kbps: 9000 }).await;
    client
        .hear_control(|message| match message {
            ControlMessage::CursorShape(shape) => panic!("shape {} was told again", shape.serial()),
            ControlMessage::BitrateChanged { .. } => Some(()),
            _ => None,
        })
        .await;
    drop((video, client));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_hands_drawing_over_to_the_host_and_takes_it_back() {
    let host = TestHost::start(Options::open());
    let mut client = RawClient::connect(host.address, None).await;
    let mut video = client.start_session(&drawing()).await;
    clock_rounds(&mut client).await;
    while !place(&client, PATIENCE).await.expect("a place").1 {}
    for _ in 0..2 {
        client.control(ControlMessage::CursorRenderMode { client_draws: false }).await;
        // Datagrams that are on their way, then none although frames go on.
        while place(&client, Duration::from_millis(500)).await.is_some() {}
        let units;
        (video, units) = receive(video, 10).await;
        assert_eq!(units.len(), 10);
        assert_eq!(place(&client, Duration::from_millis(100)).await, None);
        client.control(ControlMessage::CursorRenderMode { client_draws: true }).await;
        let (serial, visible, ..) = place(&client, PATIENCE).await.expect("places again");
        assert!(serial != 0 && visible, "the client has the shape already");
    }
    // Off and on in one go: nothing is lost.
    for client_draws in [false, true, false, true] {
        client.control(ControlMessage::CursorRenderMode { client_draws }).await;
    }
    while !place(&client, PATIENCE).await.expect("places go on").1 {}
    drop((video, client));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_did_not_ask_hears_nothing_of_the_pointer_whatever_it_sends() {
    let host = TestHost::start(Options::open());
    let mut client = RawClient::connect(host.address, None).await;
    let video = client.start_session(&hello()).await;
    assert!(!video.welcome.host_caps.contains(HostCaps::CURSOR));
    for round in 0..200 {
        client.control(ControlMessage::CursorRenderMode { client_draws: round % 3 == 0 }).await;
    }
    // Without its byte, and with one too many.
    client.say_bytes(b"PKFc\x51").await;
    client.say_bytes(b"PKFc\x51\x01\x01").await;
    assert!(clock_rounds(&mut client).await.is_empty());
    let (video, units) = receive(video, 70).await;
    assert_eq!(units.len(), 70, "the session goes on");
    assert_eq!(place(&client, Duration::from_millis(300)).await, None);
    client.control(ControlMessage::SetBitrate { kbps: 9000 }).await;
    client
        .hear_control(|message| match message {
            ControlMessage::CursorShape(_) => panic!("a shape that nobody asked for"),
            ControlMessage::BitrateChanged { .. } => Some(()),
            _ => None,
        })
        .await;
    drop((video, client));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desktop_that_cannot_tell_of_its_pointer_is_not_promised() {
    let mut options = Options::open();
    options.desktop.faults = Faults { no_cursor: true, ..Faults::default() };
    let host = TestHost::start(options);
    let mut client = RawClient::connect(host.address, None).await;
    let video = client.start_session(&drawing()).await;
    assert!(!video.welcome.host_caps.contains(HostCaps::CURSOR));
    client.control(ControlMessage::CursorRenderMode { client_draws: true }).await;
    let (video, units) = receive(video, 30).await;
    assert_eq!((units.len(), place(&client, Duration::from_millis(300)).await), (30, None));
    drop((video, client));
    host.stop().await;
}
