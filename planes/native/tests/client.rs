//! Our own client against the plane: pairing, streaming over a lossy way, automatic bitrate with its speed test.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{HD, Options, TestHost, client_identity};
use punktfunk_client::{
    ClientClock, DialBudget, Dialer, SessionConfig, Stage, Stream, StreamHandle, StreamOptions, Target, pair,
};
use punktfunk_core::{CloseCode, Codec, CodecSet};
use punktfunk_media::fake::pft1;

fn config(kbps: u32) -> SessionConfig {
    let mut config = SessionConfig::new(HD, CodecSet::only(Codec::H264), None);
    config.hello.bitrate_kbps = kbps;
    config.hello.name = Some("our client".into());
    config
}

/// Takes units until `enough`, checking every byte. Returns how many came.
async fn watch(handle: StreamHandle, mut enough: impl FnMut(usize) -> bool + Send + 'static) -> usize {
    tokio::task::spawn_blocking(move || {
        let mut count = 0;
        while !enough(count) {
            let Some(unit) = handle.next_unit(Duration::from_secs(10)) else { break };
            pft1::check(&unit.au.data).expect("never wrong bytes");
            let now = handle.now();
            handle.decoded(unit, true, now, now);
            count += 1;
        }
        count
    })
    .await
    .expect("no panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_pairs_streams_and_measures_over_a_way_that_loses() {
    let host = TestHost::start(Options::default());
    let identity = Arc::new(client_identity());
    let target: Target = host.address.to_string().parse().expect("an address");
    let mut dialer = Dialer::new(Arc::clone(&identity));
    let armed = host.hub.pairing().arm(60, None).expect("arms");
    let link = dialer.dial(&target, None, DialBudget::default()).await.expect("dials");
    assert_eq!(link.host, host.identity.fingerprint());
    pair(&link, &identity, "our client", &armed.pin).await.expect("pairs");

    let clock = ClientClock::start();
    let link = dialer.dial(&target, Some(host.identity.fingerprint()), DialBudget::default()).await.expect("dials");
    let mut options = StreamOptions::new(config(20_000));
    // Every 40th packet: a loss that recovery packets make good.
    let mut packets = 0;
    options.lose = Some(Box::new(move |_| {
        packets += 1;
        packets % 40 == 0
    }));
    let stream = Stream::open(&link, clock, options).await.expect("streams");
    assert_eq!(stream.welcome().mode, HD);
    let received = watch(stream.handle(), |count| count == 240).await;
    assert_eq!(received, 240);
    let summary = stream.summary().expect("measured");
    assert!(summary.frames_recovered_by_fec > 0, "{summary:?}");
    assert_eq!(summary.packets_invalid, 0, "{summary:?}");
    assert!(summary.clock.is_some(), "the clock rounds were answered");
    for stage in [Stage::Encode, Stage::Pace, Stage::Network, Stage::Capture, Stage::Packetize] {
        assert!(summary.stage(stage).is_some(), "the host tells {}", stage.name());
    }
    let decoded = summary.stage(Stage::Decoded).expect("every unit was one to be shown");
    assert_eq!(decoded.count, 240, "{decoded:?}");
    stream.close(CloseCode::QUIT).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn automatic_bitrate_and_its_speed_test_do_not_starve_the_video() {
    let host = TestHost::start(Options::open());
    let target: Target = host.address.to_string().parse().expect("an address");
    let mut dialer = Dialer::new(Arc::new(client_identity()));
    let link = dialer.dial(&target, None, DialBudget::default()).await.expect("dials");
    let stream = Stream::open(&link, ClientClock::start(), StreamOptions::new(config(0))).await.expect("streams");
    let until = Instant::now() + Duration::from_secs(5);
    let hub = Arc::clone(&host.hub);
    let received = watch(stream.handle(), move |_| Instant::now() >= until).await;
    assert!(received > 60, "{received} units while the filler of 2 Gbit/s went out beside them");
    assert_eq!(hub.admission().sessions().len(), 1, "and the session lives");
    stream.close(CloseCode::QUIT).await;
    host.stop().await;
}
