//! GameStream's sound from end to end: every channel of every layout carries its own tone, in the order in which a stock
//! client plays them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use punktfunk_audio::OpusCodec;
use punktfunk_e2e::Host;
use punktfunk_gsclient::audio::Output;
use punktfunk_gsclient::{Client, Identity, Shape, StreamOptions, Style, Taps};
use punktfunk_media::fake::TONES_HZ;
use punktfunk_media::{AudioCodec, AudioCodecConfig, ChannelLayout};
use punktfunk_testkit::sound::share_at;

const PATIENCE: Duration = Duration::from_secs(30);

fn paired(host: &Host) -> Client {
    let line = host.line("gamestream http=");
    let http: SocketAddr = line.split_whitespace().find_map(|w| w.strip_prefix("http=")?.parse().ok()).expect("one");
    let mut client = Client::new(http, Arc::new(Identity::generate(Shape::Serial0).expect("a key")));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && !host.command(&["pair", "pin", "1234"]).status.success() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let outcome = client.pair("1234", Style::Qt);
        done.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|e| panic!("not paired: {e}\n{}", host.log()));
    });
    client
}

#[test]
fn every_channel_of_every_layout_has_its_own_tone() {
    let host = Host::start(&["punktfunk1-host", "--source", "synthetic", "--gamestream", "--gamestream-port", "0"]);
    let mut client = paired(&host);
    for (channels, high) in [(2u8, false), (6, false), (6, true), (8, false), (8, true)] {
        let (packets, came) = sync_channel(4096);
        let packets = Mutex::new(packets);
        let tap = move |output: &Output| {
            if let (Output::Packet { data, .. }, Ok(packets)) = (output, packets.lock()) {
                // Full: enough was heard.
                let _ = packets.try_send(data.clone());
            }
        };
        let kbps = if high { 60_000 } else { 10_000 };
        let options = StreamOptions { channels, bitrate_kbps: kbps, ..StreamOptions::default() };
        let taps = Taps { audio: Some(Box::new(tap)), ..Taps::default() };
        let mut session = client.start(options, taps).unwrap_or_else(|e| panic!("no stream: {e}\n{}", host.log()));
        let layout = session.layout().expect("a layout");
        let mut mapping = [0; 8];
        mapping[..layout.mapping.len()].copy_from_slice(&layout.mapping);
        let speakers = ChannelLayout::from_channels(channels.into()).expect("a layout of ours");
        let config = AudioCodecConfig {
            streams: layout.streams,
            coupled: layout.coupled,
            mapping,
            ..AudioCodecConfig::coupled(speakers, Duration::from_millis(5), 96_000)
        };
        let mut decoder = OpusCodec.decoder(&config).expect("libopus takes the layout");
        let channels = usize::from(channels);
        let (mut block, mut heard) = (vec![0.0; config.block_frames() * channels], Vec::new());
        let until = Instant::now() + PATIENCE;
        // One second, after the coder's first steps.
        while heard.len() < 300 * block.len() {
            assert!(Instant::now() < until, "too little sound\n{}", host.log());
            session.run(Duration::from_millis(50));
            while let Ok(packet) = came.try_recv() {
                decoder.decode(Some(&packet), &mut block).expect("Opus");
                heard.extend_from_slice(&block);
            }
        }
        let report = session.stop().expect("a report");
        assert_eq!(report.violation_count, 0, "{:#?}\n{}", report.violations, host.log());
        let settled = &heard[heard.len() / 4..];
        for (channel, hz) in TONES_HZ[..channels].iter().enumerate() {
            let own = share_at(settled, channels, channel, *hz);
            assert!(own > 0.5, "{channels} channels, high {high}: {channel} has {own} at its own tone");
        }
        client.http.cancel().expect("the session ends");
    }
}
