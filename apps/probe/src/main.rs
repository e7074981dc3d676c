//! `punktfunk-probe`: a client that measures. It pairs, streams, decodes (or verifies `PFT1` units), plays input scripts,
//! loses packets on purpose, and reports where the time of each frame went. See `docs/probe.md`.
//!
//! ```text
//!  cli ─► stream ─► client::Stream ── units ──► player thread ── pictures ──► shots thread (PNG)
//!            │             ▲ events, end           └─► first unit: starts the clock of --seconds and of --input
//!            └─► report: table on stdout, JSON
//! ```
#![forbid(unsafe_code)]

mod cli;
mod clipboard;
mod cursor;
mod failure;
mod keynames;
mod lossy;
mod microphone;
mod padscript;
mod pairing;
mod player;
mod report;
mod script;
mod shots;
mod sound;
mod speed;
mod store;
mod stream;
mod touchscript;
mod wav;

use std::process::ExitCode;

use clap::Parser;
use punktfunk_client::ClientClock;
use tracing_subscriber::EnvFilter;

use cli::{Cli, Verb};
use failure::Failure;

fn main() -> ExitCode {
    // Everything is counted from here: the report's first_frame_ms begins with the process.
    let clock = ClientClock::start();
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("PUNKTFUNK_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(cli, clock) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("punktfunk-probe: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

fn run(cli: Cli, clock: ClientClock) -> Result<(), Failure> {
    // One worker: control traffic is a few messages a second, and the measured machine has better uses for its cores.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("client-control")
        .enable_all()
        .build()
        .map_err(|e| Failure::new(format!("cannot start threads: {e}")))?;
    let outcome = runtime.block_on(async {
        match cli.verb {
            Verb::Pair(args) => pairing::run(args).await,
            Verb::Stream(args) => stream::run(*args, clock).await,
            Verb::SpeedTest(args) => speed::run(args, clock).await,
            Verb::Forget(args) => pairing::forget(&args),
        }
    });
    runtime.shutdown_background();
    outcome
}
