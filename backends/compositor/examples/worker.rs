//! A compositor in `XDG_RUNTIME_DIR`, as the host starts it: `worker WxH@HZ [SCRIPT…]`. Used by the tests; the host has a
//! mode for it.

use std::process::ExitCode;

use punktfunk_compositor::{WorkerArgs, become_xwayland, run_worker};

fn main() -> ExitCode {
    become_xwayland();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let Some(args) = WorkerArgs::from_words(std::env::args().skip(1)) else {
        eprintln!("usage: worker WxH@HZ [SCRIPT…]");
        return ExitCode::from(2);
    };
    match run_worker(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
