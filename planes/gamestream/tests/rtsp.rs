//! The RTSP door over real connections: the recorded handshakes, and bad days.

mod recorded;

use std::net::SocketAddr;
use std::sync::Arc;

use punktfunk_gamestream::door::{Refusal, SessionKey};
use punktfunk_gamestream::rtsp::RtspServer;
use punktfunk_gamestream::wire::Side;
use punktfunk_gamestream::wire::rtsp::RtspCipher;
use recorded::{FakeRtsp, PATIENCE, RIKEY, hex, list, offer, vectors};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

fn start(sessions: &Arc<FakeRtsp>) -> RtspServer {
    RtspServer::start("127.0.0.1:0".parse().unwrap(), Arc::clone(sessions) as _).unwrap()
}

/// Sends `pieces` apart and reads until the host closes. An error would be a reset connection.
async fn exchange(server: SocketAddr, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the host closes").expect("with a FIN");
    answer
}

/// The bytes of the recorded host, where it had no reason to differ from us.
fn recorded(transaction: &serde_json::Value) -> String {
    transaction["response_text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_recorded_plain_handshake_is_answered_to_the_byte() {
    let sessions = FakeRtsp::new(offer(true, [51_021, 51_022, 51_023]), &[true, false]);
    let server = start(&sessions);
    for transaction in list(&vectors("rtsp_plain.json")["transactions"]) {
        let request = transaction["request_text"].as_str().unwrap().as_bytes();
        let answer = String::from_utf8(exchange(server.local_addr(), &[request]).await).unwrap();
        assert_eq!(answer, recorded(transaction), "{}", transaction["method"]);
    }
    let announced = sessions.announced.lock().unwrap();
    assert_eq!((announced[0].0, announced[0].1.codec, announced[0].1.channels), (SessionKey(2), 1, 6));
    assert!(!announced[0].1.stereo_high);
    assert_eq!(*sessions.played.lock().unwrap(), [SessionKey(2)]);
}

#[tokio::test]
async fn the_recorded_sealed_handshake_is_answered_to_the_byte_in_any_pieces() {
    let sessions = FakeRtsp::new(offer(false, [51_001, 51_002, 51_003]), &[true, false, true]);
    let server = start(&sessions);
    for transaction in list(&vectors("rtsp_encrypted.json")["transactions"]) {
        let request = hex(&transaction["request_wire"]);
        let pieces: Vec<_> = request.chunks(97).collect();
        let answer = exchange(server.local_addr(), &pieces).await;
        assert_eq!(answer, hex(&transaction["response_wire"]), "{}", transaction["method"]);
    }
    let announced = sessions.announced.lock().unwrap();
    assert_eq!((announced[0].0, announced[0].1.encryption, announced[0].1.stereo_high), (SessionKey(3), 7, true));
}

#[tokio::test]
async fn refusals_carry_their_status_and_a_header() {
    let sessions = FakeRtsp::new(offer(true, [1, 2, 3]), &[false]);
    *sessions.refusal.lock().unwrap() = Some(Refusal { status: 503, message: "busy\r\nevil: header".into() });
    let server = start(&sessions);
    let ask = async |text: &str| String::from_utf8(exchange(server.local_addr(), &[text.as_bytes()]).await).unwrap();
    let unavailable = "RTSP/1.0 503 Service Unavailable\r\nCSeq: 7\r\n\r\n";
    assert_eq!(ask("PLAY / RTSP/1.0\r\nCSeq: 7\r\n\r\n").await, unavailable);
    let bad = "ANNOUNCE streamid=control/13/0 RTSP/1.0\r\nCSeq: 6\r\nContent-length: 4\r\n\r\nv=0\n";
    assert_eq!(ask(bad).await, "RTSP/1.0 400 Bad Request\r\nCSeq: 6\r\n\r\n");
    assert!(sessions.announced.lock().unwrap().is_empty());
    let unknown = "RTSP/1.0 501 Not Implemented\r\nCSeq: 1\r\n\r\n";
    assert_eq!(ask("TEARDOWN / RTSP/1.0\r\nCSeq: 1\r\n\r\n").await, unknown);
    let no_stream = "RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n";
    assert_eq!(ask("SETUP streamid=smell/0/0 RTSP/1.0\r\nCSeq: 1\r\n\r\n").await, no_stream);
}

#[tokio::test]
async fn who_belongs_to_no_session_gets_no_word() {
    let sessions = FakeRtsp::new(offer(true, [1, 2, 3]), &[true]);
    let server = start(&sessions);
    let options = b"OPTIONS / RTSP/1.0\r\nCSeq: 1\r\n\r\n";
    let sealed = |key: [u8; 16], sequence| RtspCipher::new(&key).seal(Side::Client, sequence, options);
    let silent = [
        options.to_vec(),
        sealed([9; 16], 1),
        RtspCipher::new(&RIKEY).seal(Side::Host, 1, options),
        RtspCipher::new(&RIKEY).seal(Side::Client, 1, b"not a request"),
        vec![0x80, 0, 0x40, 0],
        vec![0xff; 64],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        [&b"OPTIONS / RTSP/1.0\r\nCSeq: 1\r\nContent-length: 99999999\r\n\r\n"[..], &[b'x'; 100]].concat(),
    ];
    for bytes in silent {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is cut off in the middle of nonsense may be reset.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the host closes");
        assert!(answer.is_empty(), "{bytes:02x?} was answered {answer:02x?}");
    }
    let second = sealed(RIKEY, 2);
    let answer = exchange(server.local_addr(), &[&second]).await;
    let (sequence, text) = RtspCipher::new(&RIKEY).open(Side::Host, &answer).unwrap();
    assert_eq!((sequence, &text[..]), (1, &b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"[..]));
    assert!(exchange(server.local_addr(), &[&second]).await.is_empty(), "the same record once more");
    let third = exchange(server.local_addr(), &[&sealed(RIKEY, 3)]).await;
    assert_eq!(RtspCipher::new(&RIKEY).open(Side::Host, &third).unwrap().0, 2, "the host counts on over connections");
}

#[tokio::test]
async fn two_thousand_half_open_connections_stop_nobody() {
    let sessions = FakeRtsp::new(offer(true, [1, 2, 3]), &[false]);
    let server = start(&sessions);
    let mut idle = Vec::new();
    for n in 0..2000_usize {
        // The limit on open files may be lower than two connections' worth of each: the oldest were closed by the host.
        if idle.len() == 300 {
            idle.remove(0);
        }
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        if n % 3 == 0 {
            // Pushed out already, perhaps.
            let _ = stream.write_all(b"OPTIONS / RTSP/1.0\r\nCSeq:").await;
        }
        idle.push(stream);
        if n % 100 == 99 {
            let answer = exchange(server.local_addr(), &[b"OPTIONS / RTSP/1.0\r\nCSeq: 5\r\n\r\n"]).await;
            assert_eq!(answer, b"RTSP/1.0 200 OK\r\nCSeq: 5\r\n\r\n");
        }
    }
}

#[tokio::test]
async fn a_stopped_server_listens_no_more() {
    let server = start(&FakeRtsp::new(offer(true, [1, 2, 3]), &[false]));
    let address = server.local_addr();
    let mut idle = TcpStream::connect(address).await.unwrap();
    drop(server);
    let _ = timeout(PATIENCE, idle.read_to_end(&mut Vec::new())).await.expect("open connections end, too");
    timeout(PATIENCE, async { while TcpStream::connect(address).await.is_ok() {} }).await.expect("it closes");
}
