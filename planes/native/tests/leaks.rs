//! Reconnecting for ever costs nothing: file descriptors and threads are counted before and after. Alone in its file,
//! because both are counted for the whole process.

mod common;

use common::{Options, RawClient, TestHost, client_identity, hello, receive, until};
use punktfunk_core::{CloseCode, Grants};

fn count(what: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{what}")).expect("Linux").count()
}

/// One per cent of the harness's 10 000.
const RECONNECTS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reconnects_leave_no_descriptor_and_no_thread() {
    let host = TestHost::start(Options::default());
    let identity = client_identity();
    host.trust(&identity, Grants::ALL);
    let mut before = (0, 0);
    for round in 0..RECONNECTS {
        let mut client = RawClient::connect(host.address, Some(&identity)).await;
        match round % 4 {
            // Streams and says good-bye, streams and vanishes, gives up in the middle, only looks.
            0 => {
                let video = client.start_session(&hello()).await;
                receive(video, 1).await;
                client.connection.close(CloseCode::DONE.0.into(), b"");
            }
            1 => {
                let video = client.start_session(&hello()).await;
                receive(video, 1).await;
            }
            2 => drop(client.hello(&hello()).await.expect("welcome")),
            _ => {}
        }
        drop(client);
        if round == 7 {
            // Warm by now: the runtime's blocking threads and the kept display exist.
            until(|| host.hub.admission().sessions().is_empty()).await;
            before = settled().await;
        }
    }
    until(|| host.hub.admission().sessions().is_empty()).await;
    let after = settled().await;
    assert!(after.0 <= before.0, "file descriptors: {} before, {} after", before.0, after.0);
    // Idle threads of the blocking pool come and go with load; more than a handful would be a leak.
    assert!(after.1 <= before.1 + 4, "threads: {} before, {} after", before.1, after.1);
    assert_eq!(host.desktop.open_stages(), 1, "the kept display of the one device");
    host.stop().await;
}

/// Descriptors and threads once they stop falling: closed connections drain for a moment.
async fn settled() -> (usize, usize) {
    let mut last = (usize::MAX, usize::MAX);
    loop {
        let now = (count("fd"), count("task"));
        if now.0 >= last.0 && now.1 >= last.1 {
            return last;
        }
        last = now;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}
