//! `speed-test`: what the path to a host carries.

use std::sync::Arc;
use std::time::Duration;

use punktfunk_client::policy::SpeedOutcome;
use punktfunk_client::{ClientClock, Command, Dialer, Event, Happening, SessionConfig, Stream, StreamOptions};
use punktfunk_core::{CloseCode, CodecSet};
use serde::Serialize;

use crate::cli::SpeedArgs;
use crate::failure::Failure;
use crate::pairing::{Met, device_name};
use crate::report::write_json;
use crate::store::Store;

#[derive(Serialize)]
struct SpeedReport {
    schema: u32,
    target_kbps: u32,
    duration_ms: u128,
    delivered_kbps: u32,
    loss_ppm: u32,
    host_drop_ppm: u32,
}

/// Opens a session, runs one burst in it, reports.
pub async fn run(args: SpeedArgs, clock: ClientClock) -> Result<(), Failure> {
    let store = Store::from_env();
    let mut dialer = Dialer::new(Arc::new(store.identity()?));
    let met = Met::connect(&store, &mut dialer, &args.host).await?;
    met.remember(&store, &args.host)?;
    let codec = args.codec.wire();
    let mut session = SessionConfig::new(args.mode.0, CodecSet::only(codec), Some(codec));
    session.hello.name = Some(device_name(args.name.clone()));
    session.probe_in_automatic = false;
    let mut stream =
        Stream::open(&met.link, clock, StreamOptions::new(session)).await.map_err(|e| Failure::of_stream(&e))?;
    let outcome = measure(&mut stream, &args).await;
    stream.close(CloseCode::DONE).await;
    dialer.settle().await;

    match outcome? {
        SpeedOutcome::Declined => Err(Failure::new("the host sends no test bursts")),
        SpeedOutcome::TimedOut => Err(Failure::new("the host did not answer")
            .with_fix("Hosts allow one speed test in ten seconds: wait and try again.")),
        SpeedOutcome::Measured { delivered_kbps, loss_ppm, host_drop_ppm, duration } => {
            println!("delivered        {:.1} Mbit/s", f64::from(delivered_kbps) / 1e3);
            println!("lost underway    {:.2} %", f64::from(loss_ppm) / 1e4);
            println!("lost at the host {:.2} %", f64::from(host_drop_ppm) / 1e4);
            println!("duration         {} ms", duration.as_millis());
            let target_kbps = args.target;
            let duration_ms = duration.as_millis();
            let result = SpeedReport { schema: 1, target_kbps, duration_ms, delivered_kbps, loss_ppm, host_drop_ppm };
            args.json.as_deref().map_or(Ok(()), |path| write_json(path, &result))
        }
    }
}

async fn measure(stream: &mut Stream, args: &SpeedArgs) -> Result<SpeedOutcome, Failure> {
    // Video is not looked at, but its memory goes back.
    let units = stream.handle();
    let drain = std::thread::spawn(move || {
        while !units.is_over() {
            if let Some(unit) = units.next_unit(Duration::from_millis(100)) {
                units.recycle(unit);
            }
        }
    });
    let mut asked = false;
    let outcome = loop {
        match stream.next().await {
            Happening::Ended(end) => break Err(Failure::of_end(&end)),
            // The host is punched through and answers: ask once the video runs.
            Happening::Event(Event::ClockKnown { .. }) if !asked => {
                asked = true;
                tokio::time::sleep(SETTLE).await;
                let (target_kbps, duration_ms) = (args.target, args.duration);
                stream.handle().command(Command::SpeedTest { target_kbps, duration_ms });
            }
            Happening::Event(Event::Speed(outcome)) => break Ok(outcome),
            Happening::Event(_) => {}
        }
    };
    stream.stop();
    // It looks up every 100 ms.
    let _ = tokio::task::spawn_blocking(move || drain.join()).await;
    outcome
}

/// The first keyframe is out of the way by then.
const SETTLE: Duration = Duration::from_millis(500);
