//! The pointer apart from the picture, end to end: pointed at through the wire, told back, drawn by the client, and by the
//! host when the client wants that.

use std::path::Path;

use punktfunk_e2e::{Host, Probe, ProbeOutcome};

/// A host whose desktop shows nothing but its background, and a client that streams from it.
fn stream(kind: &str, script: &[&str], args: &[&str]) -> (Probe, ProbeOutcome) {
    let args_of_host = ["serve", "--desktop", "private", "--private-desktop", kind, "--linger", "off"];
    let host = Host::start(&[&args_of_host[..], &["--private-desktop-shell", "sleep 1000"]].concat());
    let probe = Probe::new();
    let armed = host.command(&["pair", "arm", "--seconds", "60", "--json"]);
    let armed: serde_json::Value = serde_json::from_slice(&armed.stdout).expect("pair arm --json prints JSON");
    let paired = probe.pair(host.quic, armed["pin"].as_str().expect("a PIN"));
    assert_eq!(paired.code, 0, "{paired:#?}");
    std::fs::write(probe.dir().join("input.jsonl"), script.join("\n")).unwrap();
    let words = ["--mode", "1280x720@60", "--input", "input.jsonl", "--png-every", "1", "--out", "shots"];
    let outcome = probe.stream(host.quic, &[&words[..], args].concat());
    assert_eq!(outcome.code, 0, "{outcome:#?}\n{}", host.log());
    (probe, outcome)
}

/// Pixels of every picture that was saved, in order: red, green, blue of the two places.
fn pixels(probe: &Probe, places: [(usize, usize); 2]) -> Vec<[[u8; 3]; 2]> {
    let mut shots: Vec<_> =
        std::fs::read_dir(probe.dir().join("shots")).expect("pictures").map(|e| e.unwrap().path()).collect();
    shots.sort();
    shots.iter().map(|shot| pixels_of(shot, places)).collect()
}

fn pixels_of(png: &Path, places: [(usize, usize); 2]) -> [[u8; 3]; 2] {
    let file = std::io::BufReader::new(std::fs::File::open(png).expect("the picture exists"));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a whole PNG");
    assert_eq!((info.width, info.height, info.color_type.samples()), (1280, 720, 3));
    places.map(|(x, y)| pixels[(y * 1280 + x) * 3..][..3].try_into().expect("three"))
}

/// White within the arrow whose tip is at 640, 360, and its tip.
const ARROW: [(usize, usize); 2] = [(642, 369), (640, 360)];

#[test]
fn the_pointer_comes_beside_the_picture_and_changes_hands_while_it_streams() {
    let script = [
        r#"{"t_ms":500,"ev":"abs","x":100,"y":100}"#,
        r#"{"t_ms":700,"ev":"abs","x":640,"y":360}"#,
        r#"{"t_ms":3000,"ev":"cursor","draw":"host"}"#,
        r#"{"t_ms":5500,"ev":"cursor","draw":"client"}"#,
        r#"{"t_ms":6000,"ev":"move","dx":-40,"dy":25}"#,
    ];
    let (probe, outcome) = stream("builtin", &script, &["--cursor", "tell", "--seconds", "8"]);
    assert_eq!((outcome.number("/cursor/x"), outcome.number("/cursor/y")), (600.0, 385.0), "{outcome:#?}");
    let cursor = &outcome.report.as_ref().unwrap()["cursor"];
    assert_eq!((&cursor["visible"], &cursor["grabbed"]), (&true.into(), &false.into()));
    assert_eq!((&cursor["size"], &cursor["hot"]), (&serde_json::json!([12, 18]), &serde_json::json!([0, 0])));
    assert_eq!(outcome.number("/cursor/shapes"), 1.0, "the client has it already when it takes over again");
    assert!(outcome.number("/cursor/places") >= 4.0, "{cursor}");
    // In the pictures only while the host draws.
    let mut drawn: Vec<bool> =
        pixels(&probe, ARROW).iter().map(|[inside, _]| inside.iter().all(|c| *c > 150)).collect();
    drawn.dedup();
    assert_eq!(drawn, [false, true, false], "{outcome:#?}");
}

#[test]
fn the_client_draws_the_pointer_where_it_is() {
    // Nothing changes in the picture after its first moments: it is the repeats that show the pointer.
    let script = [r#"{"t_ms":300,"ev":"abs","x":640,"y":360}"#];
    let (probe, outcome) = stream("builtin", &script, &["--cursor", "--seconds", "6"]);
    assert_eq!((outcome.number("/cursor/x"), outcome.number("/cursor/y")), (640.0, 360.0), "{outcome:#?}");
    let seen = pixels(&probe, ARROW);
    assert_eq!(seen.last(), Some(&[[255; 3], [0; 3]]), "sharp, as no encoder has touched it");
    assert!(outcome.number("/frames_received") < 60.0, "pictures for a pointer that moved: {outcome:#?}");
}

#[test]
fn a_desktop_that_cannot_goes_on_drawing_it() {
    let script = [r#"{"t_ms":500,"ev":"abs","x":640,"y":360}"#, r#"{"t_ms":1000,"ev":"cursor","draw":"client"}"#];
    let (_, outcome) = stream("sway", &script, &["--cursor", "--seconds", "3"]);
    assert!(outcome.report.as_ref().unwrap()["cursor"].is_null(), "{outcome:#?}");
    assert!(outcome.number("/frames_received") > 0.0);
}
