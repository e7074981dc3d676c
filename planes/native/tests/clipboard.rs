//! The clipboard, both ways, with clients that behave and clients that do not.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Options, PATIENCE, RawClient, TestHost, Video, client_identity, hello, receive, until};
use punktfunk_client::{
    ClientClock, ClipError, ClipSource, DialBudget, Dialer, Event, Happening, SessionConfig, Stream, StreamOptions,
    Target,
};
use punktfunk_core::control::{ClipFetch, ClipFormat, ClipOffer, ClipPolicy, ClipReason, ClipStatus, ControlMessage};
use punktfunk_core::framing::{TRANSFER_PREAMBLE, frame_with};
use punktfunk_core::handshake::HostCaps;
use punktfunk_core::{CloseCode, Codec, CodecSet, Grants};
use punktfunk_hub::trust::short_id;
use punktfunk_media::fake::{CopiedData, Faults, SyntheticOptions};
use punktfunk_net::Identity;
use punktfunk_net::quic::{Transfer, TransferError};
use quinn::{ReadError, RecvStream, SendStream, VarInt};
use tokio::time::timeout;

const TEXT: &str = "text/plain;charset=utf-8";
const GREETING: &str = "Grüße € 漢字 👍🏽";
const CANCELLED: VarInt = VarInt::from_u32(CloseCode::CLIPBOARD_CANCELLED.0);

/// A session whose clock rounds are over.
async fn session(host: &TestHost, identity: &Identity) -> (RawClient, Video) {
    let mut client = RawClient::connect(host.address, Some(identity)).await;
    let video = client.start_session(&hello()).await;
    let (video, _) = receive(video, 1).await;
    for t1_ns in 0..8 {
        client.control(ControlMessage::ClockProbe { t1_ns }).await;
    }
    (client, video)
}

async fn state(client: &mut RawClient) -> (bool, ClipReason) {
    client
        .hear_control(|message| match message {
            ControlMessage::ClipState { enabled, policy, reason } => {
                assert_eq!(policy, if enabled { ClipPolicy::TEXT } else { ClipPolicy::default() });
                Some((enabled, reason))
            }
            _ => None,
        })
        .await
}

async fn offer(client: &mut RawClient) -> ClipOffer {
    let offer = |message| if let ControlMessage::ClipOffer(offer) = message { Some(offer) } else { None };
    client.hear_control(offer).await
}

async fn enable(client: &mut RawClient) -> (bool, ClipReason) {
    client.control(ControlMessage::ClipControl { enabled: true, files: false }).await;
    state(client).await
}

fn formats(kinds: &[&str]) -> Vec<ClipFormat> {
    kinds.iter().map(|mime| ClipFormat { mime: (*mime).to_owned(), size_hint: 0 }).collect()
}

fn question(seq: u32, mime: &str) -> ClipFetch {
    ClipFetch { seq, file_index: None, mime: mime.to_owned() }
}

async fn fetch(client: &RawClient, question: &ClipFetch) -> Result<Vec<u8>, ClipStatus> {
    let (mut transfer, status, _) = Transfer::ask(&client.connection, question).await.expect("an answer");
    if status != ClipStatus::Ok {
        assert_eq!(transfer.next().await, Ok(None), "nothing follows a refusal");
        return Err(status);
    }
    let mut data = Vec::new();
    while let Some(piece) = transfer.next().await.expect("all of it") {
        data.extend(piece);
    }
    Ok(data)
}

/// How the host ended a stream: the code of its reset.
async fn reset_of(recv: &mut RecvStream) -> VarInt {
    timeout(PATIENCE, async {
        loop {
            match recv.read_chunk(4096, true).await {
                Ok(Some(_)) => {}
                Err(ReadError::Reset(code)) => return code,
                other => panic!("not reset: {other:?}"),
            }
        }
    })
    .await
    .expect("in time")
}

/// Opens a stream and says these bytes.
async fn say(client: &RawClient, bytes: &[u8]) -> (SendStream, RecvStream) {
    let (mut send, recv) = timeout(PATIENCE, client.connection.open_bi()).await.expect("in time").expect("a stream");
    // The host may have stopped it already.
    let _ = send.write_all(bytes).await;
    (send, recv)
}

fn framed(message: &ControlMessage) -> Vec<u8> {
    let mut bytes = TRANSFER_PREAMBLE.to_vec();
    frame_with(&mut bytes, |out| message.encode(out)).expect("fits");
    bytes
}

/// The session still answers, and its video still comes.
async fn assert_lives(client: &mut RawClient, video: Video) -> Video {
    client.control(ControlMessage::ClockProbe { t1_ns: 77 }).await;
    client.hear_control(|m| matches!(m, ControlMessage::ClockEcho { t1_ns: 77, .. }).then_some(())).await;
    receive(video, 5).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_crosses_both_ways_once_it_is_asked_for() {
    let host = TestHost::start(Options::open());
    let desktop = host.desktop.clipboard();
    desktop.copy_text(GREETING);
    let (mut client, video) = session(&host, &client_identity()).await;
    assert!(video.welcome.host_caps.contains(HostCaps::CLIPBOARD));
    let video = assert_lives(&mut client, video).await;
    assert_eq!(desktop.followers(), 0, "nobody asked for it");

    assert_eq!(enable(&mut client).await, (true, ClipReason::Ok));
    let first = offer(&mut client).await;
    assert_eq!(first, ClipOffer { seq: 1, formats: formats(&[TEXT]) });
    assert_eq!(fetch(&client, &question(1, TEXT)).await.unwrap(), GREETING.as_bytes());

    // The other way; what nobody can place is left out.
    let megabyte: Arc<[u8]> = (0..1u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let theirs = ClipOffer { seq: 9, formats: formats(&["image/png", "application/x-punktfunk-files", TEXT]) };
    client.control(ControlMessage::ClipOffer(theirs)).await;
    until(|| desktop.offered().is_some()).await;
    assert_eq!(desktop.offered().unwrap(), (9, vec![TEXT.to_owned(), "image/png".to_owned()]));
    for (mime, data) in [(TEXT, GREETING.as_bytes()), ("image/png", &megabyte)] {
        let program = desktop.paste(mime).expect("offered");
        let reading = tokio::task::spawn_blocking(move || program.read(PATIENCE));
        let asked = timeout(PATIENCE, client.connection.accept_bi()).await.expect("in time").expect("a stream");
        let mut transfer = Transfer::new(asked);
        assert_eq!(transfer.asked().await.unwrap(), question(9, mime));
        transfer.answer(ClipStatus::Ok, data.len() as u64).await.unwrap();
        transfer.send(data).await.unwrap();
        transfer.finish();
        assert!(reading.await.unwrap().as_deref() == Some(data), "{mime}");
    }

    // What was fetched before is stale, and the client's own never comes back as an offer: the next one is number 2.
    assert_eq!(fetch(&client, &question(1, TEXT)).await, Err(ClipStatus::Stale));
    desktop.copy(&[("image/png", CopiedData::Bytes(Arc::clone(&megabyte)))]);
    assert_eq!(offer(&mut client).await, ClipOffer { seq: 2, formats: formats(&["image/png"]) });
    assert!(fetch(&client, &question(2, "image/png")).await.unwrap() == *megabyte);

    client.control(ControlMessage::ClipControl { enabled: true, files: true }).await;
    assert_eq!(state(&mut client).await, (true, ClipReason::NoFiles));
    client.control(ControlMessage::ClipControl { enabled: false, files: false }).await;
    assert_eq!(state(&mut client).await, (false, ClipReason::Ok));
    until(|| desktop.followers() == 0).await;
    drop(video);
    client.connection.close(CloseCode::QUIT.0.into(), b"");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desktop_without_one_promises_none() {
    let faults = Faults { no_clipboard: true, ..Faults::default() };
    let desktop = SyntheticOptions { background: false, faults, ..SyntheticOptions::default() };
    let host = TestHost::start(Options { desktop, ..Options::open() });
    let (mut client, video) = session(&host, &client_identity()).await;
    assert!(!video.welcome.host_caps.contains(HostCaps::CLIPBOARD));
    assert_eq!(enable(&mut client).await, (false, ClipReason::Unavailable));
    client.connection.close(CloseCode::QUIT.0.into(), b"");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrowed_grant_ends_it_and_a_widened_one_brings_it_back() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    host.trust(&identity, Grants::VIEW);
    let desktop = host.desktop.clipboard();
    desktop.copy(&[(TEXT, CopiedData::Hangs(b"begun, not ended".as_slice().into()))]);
    let (mut client, video) = session(&host, &identity).await;
    assert_eq!(enable(&mut client).await, (false, ClipReason::NotPermitted));
    assert_eq!((fetch(&client, &question(1, TEXT)).await, desktop.followers()), (Err(ClipStatus::Denied), 0));
    let theirs = ClipOffer { seq: 1, formats: formats(&[TEXT]) };
    client.control(ControlMessage::ClipOffer(theirs.clone())).await;

    let id = short_id(&identity.fingerprint());
    host.hub.trust().set_grants(&id, Grants::ALL).unwrap();
    assert_eq!(state(&mut client).await, (true, ClipReason::Ok));
    assert_eq!(offer(&mut client).await.seq, 1);
    assert_eq!(desktop.offered(), None, "what was offered without the grant does not count later");

    // One transfer each way is under way when the grant goes.
    let (_send, mut recv) = say(&client, &framed(&ControlMessage::ClipFetch(question(1, TEXT)))).await;
    let begun = timeout(PATIENCE, recv.read_chunk(4096, true)).await.expect("in time").unwrap();
    assert!(begun.is_some());
    client.control(ControlMessage::ClipOffer(theirs)).await;
    until(|| desktop.offered().is_some()).await;
    let program = desktop.paste(TEXT).expect("offered");
    let (mut answer, mut asked) =
        timeout(PATIENCE, client.connection.accept_bi()).await.expect("in time").expect("a stream");
    host.hub.trust().set_grants(&id, Grants::ALL.without(Grants::CLIPBOARD)).unwrap();
    assert_eq!(reset_of(&mut recv).await, CANCELLED);
    assert_eq!(reset_of(&mut asked).await, CANCELLED);
    let _ = answer.write_all(b"late").await;
    assert_eq!(timeout(PATIENCE, answer.stopped()).await.expect("in time"), Ok(Some(CANCELLED)));
    let read = tokio::task::spawn_blocking(move || program.read(PATIENCE)).await.unwrap();
    assert_eq!(read.as_deref(), Some(&b""[..]), "the program gets nothing");
    assert_eq!(state(&mut client).await, (false, ClipReason::NotPermitted));
    until(|| desktop.followers() == 0 && desktop.offered().is_none()).await;
    assert_eq!(fetch(&client, &question(1, TEXT)).await, Err(ClipStatus::Denied));

    host.hub.trust().set_grants(&id, Grants::ALL).unwrap();
    assert_eq!(state(&mut client).await, (true, ClipReason::Ok));
    desktop.copy_text("again");
    let next = offer(&mut client).await;
    assert!(next.seq > 1, "numbers go on");
    assert_lives(&mut client, video).await;
    client.connection.close(CloseCode::QUIT.0.into(), b"");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nobody_asked_for_are_reset() {
    let host = TestHost::start(Options::open());
    host.desktop.clipboard().copy_text("secret");
    let (mut client, video) = session(&host, &client_identity()).await;
    let ask = framed(&ControlMessage::ClipFetch(question(1, TEXT)));
    // Before it is turned on, far more than may be open at once.
    for _ in 0..200 {
        let (_send, mut recv) = say(&client, &ask).await;
        assert_eq!(reset_of(&mut recv).await, CANCELLED);
    }
    let video = assert_lives(&mut client, video).await;
    assert_eq!(host.desktop.clipboard().followers(), 0);

    assert_eq!(enable(&mut client).await, (true, ClipReason::Ok));
    offer(&mut client).await;
    // Silent ones: four wait for what they will say, the others are sent away at once.
    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(say(&client, &TRANSFER_PREAMBLE[..3]).await);
        if open.len() > 60 {
            // A stream that is not given back counts against the limit of 100.
            open.remove(4);
        }
    }
    let (mut reset, mut held) = (0, 0);
    for (_, recv) in open.iter_mut() {
        match timeout(Duration::from_millis(200), recv.read_chunk(16, true)).await {
            Ok(Err(ReadError::Reset(code))) if code == CANCELLED => reset += 1,
            Ok(other) => panic!("{other:?}"),
            Err(_) => held += 1,
        }
    }
    assert_eq!((reset, held), (56, 4));
    let video = assert_lives(&mut client, video).await;
    drop(open);
    // There is room again.
    until_fetched(&client, &question(1, TEXT), b"secret").await;
    assert_lives(&mut client, video).await;
    client.connection.close(CloseCode::QUIT.0.into(), b"");
    host.stop().await;
}

async fn until_fetched(client: &RawClient, question: &ClipFetch, expected: &[u8]) {
    for _ in 0..200 {
        if let Ok((mut transfer, ClipStatus::Ok, _)) = Transfer::ask(&client.connection, question).await {
            assert_eq!(transfer.next().await.unwrap().as_deref(), Some(expected));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing can be fetched any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_that_make_no_sense_are_refused_or_reset() {
    let host = TestHost::start(Options::open());
    let desktop = host.desktop.clipboard();
    desktop.copy_text("text");
    let (mut client, video) = session(&host, &client_identity()).await;
    assert_eq!(enable(&mut client).await, (true, ClipReason::Ok));
    assert_eq!(offer(&mut client).await.seq, 1);
    for (question, status) in [
        (question(0, TEXT), ClipStatus::Stale),
        (question(2, TEXT), ClipStatus::Stale),
        (question(u32::MAX, TEXT), ClipStatus::Stale),
        (question(1, "text/html"), ClipStatus::Unavailable),
        (question(1, ""), ClipStatus::Unavailable),
        (question(1, &"x".repeat(128)), ClipStatus::Unavailable),
        (ClipFetch { file_index: Some(0), ..question(1, TEXT) }, ClipStatus::Unavailable),
    ] {
        assert_eq!(fetch(&client, &question).await, Err(status), "{question:?}");
    }
    let frame = |payload: &[u8]| [&TRANSFER_PREAMBLE[..], &(payload.len() as u16).to_le_bytes(), payload].concat();
    for senseless in [
        b"PKFs\x02rest".to_vec(),
        frame(b""),
        frame(b"PKFc"),
        frame(b"PKFc\x43\x01\0\0\0\xff\xff\xff\xff\xffshort"),
        // The longest frame there is, announced and not sent.
        [&TRANSFER_PREAMBLE[..], &[0xff; 2]].concat(),
        framed(&ControlMessage::ClipFetchHdr { status: ClipStatus::Ok, total_size: u64::MAX }),
        framed(&ControlMessage::RequestKeyframe),
    ] {
        let (_send, mut recv) = say(&client, &senseless).await;
        assert_eq!(reset_of(&mut recv).await, CANCELLED, "{senseless:02x?}");
    }
    // Cut off in the middle of the question.
    let (mut send, mut recv) = say(&client, &framed(&ControlMessage::ClipFetch(question(1, TEXT)))[..12]).await;
    send.finish().unwrap();
    assert_eq!(reset_of(&mut recv).await, CANCELLED);

    // Offers that are not newer, and one of nothing.
    for (seq, kinds, now) in [
        (5, &[TEXT][..], Some((5, vec![TEXT.to_owned()]))),
        (5, &["text/html"], Some((5, vec![TEXT.to_owned()]))),
        (4, &["text/html"], Some((5, vec![TEXT.to_owned()]))),
        (6, &["text/html"], Some((6, vec!["text/html".to_owned()]))),
        (7, &["application/x-unknown"], None),
    ] {
        client.control(ControlMessage::ClipOffer(ClipOffer { seq, formats: formats(kinds) })).await;
        // Offers are latest-wins: the next one waits until this one is seen, or seen to be ignored.
        client.control(ControlMessage::ClipControl { enabled: true, files: false }).await;
        state(&mut client).await;
        until(|| desktop.offered() == now).await;
    }
    assert_lives(&mut client, video).await;
    client.connection.close(CloseCode::QUIT.0.into(), b"");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_and_clients_that_never_end_cost_nobody_else() {
    let host = TestHost::start(Options::open());
    let desktop = host.desktop.clipboard();
    desktop.copy(&[(TEXT, CopiedData::Hangs([].into()))]);
    let (mut client, video) = session(&host, &client_identity()).await;
    assert_eq!(enable(&mut client).await, (true, ClipReason::Ok));
    assert_eq!(offer(&mut client).await.seq, 1);
    // The program never writes: told after a while, and video goes on meanwhile.
    let asked = question(1, TEXT);
    let (answer, video) = tokio::join!(fetch(&client, &asked), receive(video, 30));
    assert_eq!(answer, Err(ClipStatus::Unavailable));
    let video = video.0;

    client.control(ControlMessage::ClipOffer(ClipOffer { seq: 1, formats: formats(&[TEXT]) })).await;
    until(|| desktop.offered().is_some()).await;
    let accept = async || {
        let stream = timeout(PATIENCE, client.connection.accept_bi()).await.expect("in time").expect("a stream");
        let mut transfer = Transfer::new(stream);
        transfer.asked().await.expect("a question");
        transfer
    };
    let read = |program: punktfunk_media::fake::FakePaste| async move {
        tokio::task::spawn_blocking(move || program.read(PATIENCE)).await.expect("no panic").expect("an end")
    };
    // An absurd size is not even begun.
    let program = desktop.paste(TEXT).expect("offered");
    let mut transfer = accept().await;
    transfer.answer(ClipStatus::Ok, u64::MAX).await.unwrap();
    timeout(PATIENCE, transfer.cancelled()).await.expect("cancelled");
    assert_eq!(read(program).await, b"");
    // A refusal is an empty paste.
    let program = desktop.paste(TEXT).expect("offered");
    let mut transfer = accept().await;
    transfer.answer(ClipStatus::Stale, 0).await.unwrap();
    transfer.finish();
    assert_eq!(read(program).await, b"");
    // Data without end is cut off.
    let program = desktop.paste(TEXT).expect("offered");
    let reading = tokio::spawn(read(program));
    let mut transfer = accept().await;
    transfer.answer(ClipStatus::Ok, 0).await.unwrap();
    let (piece, mut sent) = (vec![7; 1 << 20], 0usize);
    let end = loop {
        match transfer.send(&piece).await {
            Ok(()) => sent += piece.len(),
            Err(end) => break end,
        }
        assert!(sent < 80 << 20, "{sent} bytes were taken");
    };
    assert_eq!(end, TransferError::Cancelled);
    assert!(reading.await.unwrap().len() <= 64 << 20);
    assert_lives(&mut client, video).await;
    client.connection.close(CloseCode::QUIT.0.into(), b"");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_changes_its_mind_all_the_time_costs_the_desktop_little() {
    let host = TestHost::start(Options::open());
    let desktop = host.desktop.clipboard();
    let (mut client, video) = session(&host, &client_identity()).await;
    for round in 0..2000u32 {
        client.control(ControlMessage::ClipControl { enabled: round % 2 == 0, files: false }).await;
        client.control(ControlMessage::ClipOffer(ClipOffer { seq: round, formats: formats(&[TEXT]) })).await;
    }
    let video = assert_lives(&mut client, video).await;
    client.control(ControlMessage::ClipControl { enabled: true, files: true }).await;
    while state(&mut client).await != (true, ClipReason::NoFiles) {}
    until(|| desktop.followers() == 1).await;
    assert!(desktop.opened() < 100, "opened {} times", desktop.opened());
    desktop.copy_text("still");
    let told = offer(&mut client).await;
    assert_eq!(fetch(&client, &question(told.seq, TEXT)).await.unwrap(), b"still");
    assert_lives(&mut client, video).await;
    client.connection.close(CloseCode::QUIT.0.into(), b"");
    host.stop().await;
}

struct Mine;

impl ClipSource for Mine {
    fn read(&self, mime: &str) -> Option<Vec<u8>> {
        (mime == TEXT).then(|| GREETING.into())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_does_its_part() {
    let host = TestHost::start(Options::open());
    let desktop = host.desktop.clipboard();
    let target: Target = host.address.to_string().parse().expect("an address");
    let mut dialer = Dialer::new(Arc::new(client_identity()));
    let link = dialer.dial(&target, None, DialBudget::default()).await.expect("dials");
    let mut config = SessionConfig::new(common::HD, CodecSet::only(Codec::H264), None);
    config.hello.bitrate_kbps = 5000;
    let mut stream = Stream::open(&link, ClientClock::start(), StreamOptions::new(config)).await.expect("streams");
    let handle = stream.handle();
    handle.clipboard(true);
    let mut next = async || loop {
        match timeout(PATIENCE, stream.next()).await.expect("in time") {
            Happening::Event(event @ (Event::ClipState { .. } | Event::ClipOffer(_))) => return event,
            Happening::Event(_) => {}
            Happening::Ended(end) => panic!("{end:?}"),
        }
    };
    let on = Event::ClipState { enabled: true, policy: ClipPolicy::TEXT, reason: ClipReason::Ok };
    assert_eq!(next().await, on);
    desktop.copy_text(GREETING);
    let Event::ClipOffer(offer) = next().await else { panic!("an offer") };
    assert_eq!(handle.fetch_clipboard(offer.seq, TEXT, 1000).await.unwrap(), GREETING.as_bytes());
    assert_eq!(handle.fetch_clipboard(offer.seq, TEXT, 5).await, Err(ClipError::TooLarge(5)));
    let stale = handle.fetch_clipboard(offer.seq + 1, TEXT, 1000).await;
    assert_eq!(stale, Err(ClipError::Refused(ClipStatus::Stale)));

    handle.offer_clipboard(formats(&[TEXT, "text/html"]), Arc::new(Mine));
    until(|| desktop.offered().is_some()).await;
    for (mime, expected) in [(TEXT, GREETING), ("text/html", "")] {
        let program = desktop.paste(mime).expect("offered");
        let read = tokio::task::spawn_blocking(move || program.read(PATIENCE)).await.unwrap();
        assert_eq!(String::from_utf8(read.expect("an end")).unwrap(), expected);
    }
    stream.close(CloseCode::QUIT).await;
    host.stop().await;
}
