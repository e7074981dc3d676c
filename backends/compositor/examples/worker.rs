//! A compositor in `XDG_RUNTIME_DIR`, as the host starts it: `worker WxH@HZ [SCRIPT…]`. Used by the tests; the host has a
//! mode for it.

use std::process::ExitCode;

use punktfunk_compositor::{WorkerArgs, run_worker};
use punktfunk_media::Mode;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let mut args = std::env::args().skip(1);
    let Some(mode) = args.next().as_deref().and_then(mode) else {
        eprintln!("usage: worker WxH@HZ [SCRIPT…]");
        return ExitCode::from(2);
    };
    match run_worker(&WorkerArgs { mode, start: args.map(Into::into).collect() }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn mode(text: &str) -> Option<Mode> {
    let (size, hz) = text.split_once('@')?;
    let (width, height) = size.split_once('x')?;
    Some(Mode { width: width.parse().ok()?, height: height.parse().ok()?, refresh_hz: hz.parse().ok()? })
}
