//! Every fuzz body for a bounded number of rounds on stable: first its corpus as it is, then inputs of the seeded
//! mutator. `FUZZ_ROUNDS` sets another number for a longer night, `FUZZ_SEED` another seed.

use std::path::PathBuf;
use std::{env, fs};

use punktfunk_fuzz::{BODIES, Body, Mutator};

/// Prints the input if the body panics on it, so that it can become a corpus file.
struct Input<'a>(&'a str, &'a [u8]);

impl Drop for Input<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.1.iter().map(|b| format!("{b:02x}")).collect();
            eprintln!("{} broke on {hex}", self.0);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|v| v.parse().unwrap_or_else(|e| panic!("{variable}: {e}")))
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder).expect("corpus folder").map(|f| f.unwrap().path()).collect();
    files.sort();
    files.iter().map(|f| fs::read(f).unwrap()).collect()
}

fn run(name: &str, rounds: u64) {
    let body: Body = BODIES.iter().find(|(n, _)| *n == name).expect("a body of that name").1;
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "seeds of {name}");
    let call = |input: &[u8]| {
        let _shown_if_it_breaks = Input(name, input);
        body(input);
    };
    corpus.iter().for_each(|seed| call(seed));
    let mut mutator = Mutator::new(number("FUZZ_SEED").unwrap_or(1));
    for _ in 0..number("FUZZ_ROUNDS").unwrap_or(rounds) {
        call(&mutator.next_input(&corpus));
    }
}

#[test]
fn control() {
    run("control", 200_000);
}

#[test]
fn handshake() {
    run("handshake", 200_000);
}

#[test]
fn microphone() {
    run("microphone", 20_000);
}

#[test]
fn datagrams() {
    run("datagrams", 200_000);
}

#[test]
fn framing() {
    run("framing", 50_000);
}

#[test]
fn gs_control() {
    run("gs_control", 50_000);
}

#[test]
fn gs_input() {
    run("gs_input", 100_000);
}

#[test]
fn gs_rtsp() {
    run("gs_rtsp", 10_000);
}

#[test]
fn gs_sdp() {
    run("gs_sdp", 50_000);
}

#[test]
fn gs_pings() {
    run("gs_pings", 50_000);
}

/// Each round that parses costs two scalar multiplications.
#[test]
fn pairing() {
    run("pairing", 10_000);
}

#[test]
fn gs_query() {
    run("gs_query", 100_000);
}

#[test]
fn gs_certificate() {
    run("gs_certificate", 50_000);
}

/// Each round signs with an RSA key.
#[test]
fn gs_pairing() {
    run("gs_pairing", 1_000);
}

/// Each round may open frames of several megabytes.
#[test]
fn video_packets() {
    run("video_packets", 1_000);
}

/// Seeds that every decoder refuses would fuzz nothing but the refusals.
#[test]
fn seeds_are_understood() {
    use punktfunk_core::control::ControlMessage;
    use punktfunk_core::datagram::{ClientDatagram, HostDatagram};
    use punktfunk_core::handshake::{Hello, Start, Welcome};
    use punktfunk_core::pairing::PairMessage;
    for seed in corpus("control") {
        assert!(ControlMessage::decode(&seed).is_ok(), "{seed:02x?}");
    }
    for seed in corpus("handshake") {
        assert!(Hello::decode(&seed).is_ok() || Welcome::decode(&seed).is_ok() || Start::decode(&seed).is_ok());
    }
    for seed in corpus("datagrams") {
        assert!(ClientDatagram::decode(&seed).is_ok() || HostDatagram::decode(&seed).is_ok(), "{seed:02x?}");
    }
    for seed in corpus("pairing") {
        assert!(PairMessage::decode(&seed).is_ok(), "{seed:02x?}");
    }
}

#[test]
fn every_body_has_a_target() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for (name, _) in BODIES {
        let target = fs::read_to_string(root.join("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(target.contains(&format!("punktfunk_fuzz::fuzz_{name}(")), "{name}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}

#[test]
fn the_mutator_repeats_itself_for_a_seed() {
    let corpus = vec![vec![1, 2, 3, 4], vec![9; 40]];
    let inputs = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..100).map(|_| mutator.next_input(&corpus)).collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
    assert!(inputs(1).iter().any(|i| i.len() > 40) && inputs(1).iter().any(|i| i.len() < 4));
}

#[test]
fn library() {
    run("library", 20_000);
}
