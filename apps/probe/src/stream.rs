//! `stream`: one measured stream, then as many reconnects as asked for.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use punktfunk_client::{
    ClientClock, Dialer, End, EndedBy, Event, Happening, Lose, SessionConfig, Stream, StreamError, StreamOptions,
    Summary,
};
use punktfunk_core::datagram::{Rumble, RumbleTiming};
use punktfunk_core::handshake::{AudioChannels, ClientCaps};
use punktfunk_core::{CloseCode, CodecSet, Timestamp};
use tokio::sync::oneshot;

use crate::cli::{CodecArg, CursorArg, StreamArgs};
use crate::clipboard::Clipboard;
use crate::cursor::Pointed;
use crate::failure::{Failure, NO_VIDEO};
use crate::lossy::Lossy;
use crate::microphone::{Said, Speaking, Speech};
use crate::pairing::{Met, device_name};
use crate::player::{Eyes, Player, Seen};
use crate::report::{Facts, Report};
use crate::script::Script;
use crate::shots::Shots;
use crate::sound::{Came, Ears, Heard};
use crate::store::Store;

/// What one connection gave.
struct Outcome {
    summary: Option<Summary>,
    seen: Seen,
    heard: Option<Heard>,
    said: Option<Said>,
    cursor: Option<Pointed>,
    end: End,
    /// Codec as agreed.
    codec: String,
    /// Who decoded.
    decoder: &'static str,
}

/// Streams, reports, reconnects.
pub async fn run(args: StreamArgs, clock: ClientClock) -> Result<(), Failure> {
    let store = Store::from_env();
    let script = args.input.as_deref().map(|path| Script::load(path, args.mode.0)).transpose()?;
    let speech = args.microphone.as_deref().map(|path| Speech::load(path, args.microphone_frame)).transpose()?;
    let clipboard = args.clipboard_set.as_deref();
    let clipboard = Clipboard::load(clipboard, args.clipboard_out.clone(), &args.clipboard_type)?;
    let shots = match (args.png_every, &args.out) {
        (Some(every), Some(dir)) => Some((every, Shots::start(dir)?)),
        _ => None,
    };
    let mut dialer = Dialer::new(Arc::new(store.identity()?));

    let lasting = Duration::from_secs(args.seconds.into());
    let first = one(&store, &mut dialer, &args, clock, lasting, script, speech, clipboard, shots).await?;
    let first_frame_ms = first.summary.as_ref().and_then(|s| s.first_unit_at).map(|at| since(clock.started(), at));

    let mut reconnects = Vec::new();
    let mut outcome = judge(&first);
    for _ in 0..args.reconnect {
        if outcome.is_err() || first.end.by != EndedBy::Us {
            break;
        }
        let begun = clock.now();
        match one(&store, &mut dialer, &args, clock, Duration::ZERO, None, None, None, None).await {
            Ok(again) => {
                outcome = judge(&again);
                reconnects.extend(again.summary.and_then(|s| s.first_unit_at).map(|at| since(begun, at)));
            }
            Err(failure) => outcome = Err(failure),
        }
    }
    dialer.settle().await;

    if first.summary.is_some() || args.json.is_some() {
        let none = Summary::empty(args.mode.0);
        let summary = first.summary.as_ref().unwrap_or(&none);
        let facts = Facts {
            codec: first.codec.clone(),
            decoder: first.decoder,
            summary,
            seen: &first.seen,
            heard: first.heard.as_ref(),
            said: first.said,
            cursor: first.cursor,
            end: &first.end,
            first_frame_ms,
            reconnects,
        };
        let report = Report::new(facts);
        if first.summary.is_some() {
            print!("{}", report.table());
        }
        if let Some(path) = &args.json {
            report.write(path)?;
        }
    }
    outcome
}

/// One connection, from dialling to its end.
#[expect(clippy::too_many_arguments, reason = "one straight path; what is done along it differs from call to call")]
async fn one(
    store: &Store,
    dialer: &mut Dialer,
    args: &StreamArgs,
    clock: ClientClock,
    lasting: Duration,
    script: Option<Script>,
    speech: Option<Speech>,
    clipboard: Option<Clipboard>,
    shots: Option<(u32, Shots)>,
) -> Result<Outcome, Failure> {
    let wanted = (args.codec != CodecArg::None).then(|| args.codec.wire());
    let eyes = Eyes::open(args.codec, args.decoder)?;
    let decoder = eyes.name();
    let met = Met::connect(store, dialer, &args.host).await?;
    let (to_ears, datagrams) = Ears::way();
    let opening = Stream::open(&met.link, clock, options(args, &eyes, to_ears));
    tokio::pin!(opening);
    let opened = match tokio::time::timeout(PATIENCE_UNTIL_TOLD, &mut opening).await {
        Ok(opened) => opened,
        Err(_) => {
            eprintln!("waiting for the host: an operator may have to approve this device (`punktfunk-host pair list`)");
            opening.await
        }
    };
    let mut stream = match opened {
        Ok(stream) => stream,
        Err(StreamError::Ended(end)) => {
            let codec = args.codec.to_string();
            let (seen, nothing) = (Seen::default(), None);
            return Ok(Outcome { summary: None, seen, heard: None, said: None, cursor: nothing, end, codec, decoder });
        }
        Err(error) => return Err(Failure::new(error.to_string())),
    };
    let codec = if wanted.is_some() { stream.welcome().codec.name() } else { "none" }.to_owned();
    if wanted.is_some_and(|wanted| wanted != stream.welcome().codec) {
        let got = stream.welcome().codec;
        stream.close(CloseCode::ERROR).await;
        return Err(Failure::new(format!("the host answered {} with {got}", args.codec)));
    }

    let (first_unit, at_first_unit) = oneshot::channel();
    let draws_cursor = args.cursor == Some(CursorArg::Draw);
    let player = Player::start(stream.handle(), eyes, first_unit, shots, draws_cursor)?;
    let lossy = |seed| Lossy::new(args.drop_sound, args.burst, seed);
    let ears = Ears::start(stream.welcome(), datagrams, args.wav.clone(), lossy(args.seed))?;
    let mut clipboard = clipboard.map(|clipboard| clipboard.start(stream.handle()));
    let (mut playing, mut speaking) = (None, None);
    let mut until = tokio::time::Instant::now() + FIRST_FRAME_WITHIN;
    let mut at_first_unit = Some(at_first_unit);
    let early = loop {
        tokio::select! {
            next = stream.next() => match next {
                Happening::Ended(end) => break Some(end),
                Happening::Event(Event::Launch { kind, message }) => eprintln!("launch: {kind:?} ({message})"),
                Happening::Event(Event::Rumble(rumble)) => eprintln!("{}", felt(&rumble)),
                Happening::Event(Event::HidOutput(output)) => eprintln!("pad: {output:?}"),
                Happening::Event(event @ (Event::ClipState { .. } | Event::ClipOffer(_))) => {
                    if let Some(clipboard) = &mut clipboard {
                        clipboard.on_event(&event);
                    }
                }
                Happening::Event(event) => tracing::info!(?event, "session"),
            },
            () = tokio::time::sleep_until(until) => break None,
            _ = tokio::signal::ctrl_c() => break None,
            Ok(()) = async { at_first_unit.as_mut().expect("checked").await }, if at_first_unit.is_some() => {
                at_first_unit = None;
                until = tokio::time::Instant::now() + lasting;
                playing = script.clone().map(|s| s.play(stream.handle())).transpose()?;
                speaking = speech.clone().map(|s| s.say(stream.handle(), lossy(!args.seed))).transpose()?;
            }
        }
    };
    // Only now: the first frame does not wait for a disk.
    met.remember(store, &args.host)?;
    let cursor = stream.handle().cursor().as_ref().map(Pointed::from);
    // Before the connection is closed: it waits for one packet at most.
    let said = speaking.map(Speaking::stop).transpose()?;
    let code = if args.quit { CloseCode::QUIT } else { CloseCode::DONE };
    let measured = stream.handle();
    let closed = stream.close(code).await;
    if let Some(playing) = playing {
        playing.stop();
    }
    let seen = tokio::task::spawn_blocking(move || player.finish())
        .await
        .map_err(|e| Failure::new(format!("the decoder's thread: {e}")))??;
    // Only now: the last units were decoded meanwhile.
    let summary = measured.summary();
    let mut heard = tokio::task::spawn_blocking(move || ears.finish())
        .await
        .map_err(|e| Failure::new(format!("the sound's thread: {e}")))??;
    if let Some(summary) = &summary {
        heard.compare(summary);
    }
    Ok(Outcome { summary, seen, heard: Some(heard), said, cursor, end: early.unwrap_or(closed), codec, decoder })
}

/// What a person would feel.
fn felt(rumble: &Rumble) -> String {
    let Rumble { pad, low, high, timing } = rumble;
    let RumbleTiming { left_trigger, right_trigger, ttl_ms, .. } = timing.unwrap_or_default();
    format!("pad {pad}: rumble {low} {high}, triggers {left_trigger} {right_trigger}, for {ttl_ms} ms")
}

/// What a connection's outcome means for the exit code.
fn judge(outcome: &Outcome) -> Result<(), Failure> {
    let normal = [CloseCode::DONE, CloseCode::APP_EXITED];
    let end = &outcome.end;
    if end.by != EndedBy::Us && !end.code.is_some_and(|code| normal.contains(&code)) {
        return Err(Failure::of_end(end));
    }
    let Some(summary) = &outcome.summary else {
        // A host that goes down while it makes us wait, for one.
        return Err(Failure::of_end(end).with_code(NO_VIDEO));
    };
    if summary.frames_received == 0 {
        return Err(Failure::new(format!("no video within {} s", FIRST_FRAME_WITHIN.as_secs()))
            .with_code(NO_VIDEO)
            .with_fix(
                "Does a firewall drop the host's video (UDP, `--data-port`)? The host's log says what it sent.",
            ));
    }
    if outcome.codec == "none" && outcome.seen.decode_errors > 0 {
        return Err(Failure::new(format!("{} access units have wrong bytes", outcome.seen.decode_errors)));
    }
    Ok(())
}

fn options(args: &StreamArgs, eyes: &Eyes, sound: SyncSender<Came>) -> StreamOptions {
    let codec = args.codec.wire();
    let mut session = SessionConfig::new(args.mode.0, CodecSet::only(codec), Some(codec));
    session.hello.bitrate_kbps = args.bitrate;
    session.hello.audio_channels = AudioChannels::from_wire(args.channels).unwrap_or_default();
    if let Some(bits) = args.lossless {
        session.hello.client_caps = session.hello.client_caps | ClientCaps::AUDIO_HIRES;
        session.hello.audio_bits = bits;
    }
    if args.cursor.is_some() {
        session.hello.client_caps = session.hello.client_caps | ClientCaps::CURSOR;
    }
    session.hello.name = Some(device_name(args.name.clone()));
    session.hello.launch = args.launch.clone();
    session.label = Some(concat!("punktfunk-probe ", env!("CARGO_PKG_VERSION")).to_owned());
    session.probe_in_automatic = args.auto_probe;
    session.decoder_bridges_gaps = eyes.bridges_gaps();
    let mut options = StreamOptions::new(session);
    options.sound = Some(sound);
    options.lose =
        Lossy::new(args.drop, args.burst, args.seed).map(|mut lossy| Box::new(move |_: &[u8]| lossy.loses()) as Lose);
    options
}

fn since(from: Timestamp, to: Timestamp) -> f64 {
    (to.since(from).as_secs_f64() * 1e6).round() / 1e3
}

/// Hosts answer at once unless somebody has to decide.
const PATIENCE_UNTIL_TOLD: Duration = Duration::from_secs(3);
/// A private desktop may have to be started first.
const FIRST_FRAME_WITHIN: Duration = Duration::from_secs(15);
