//! The log: people read it on standard error; machines read the same fields as events. Keys never appear in it.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// What is logged unless `--log` says otherwise: everything worth reading with nothing wrong.
const DEFAULT_FILTER: &str = "info,mdns_sd=warn,quinn=warn,quinn_proto=warn,rustls=warn";

/// Starts logging. A filter that does not parse is reported and the default used: a log setting never stops a host.
pub fn start(filter: Option<&str>) {
    let (filter, problem) = match filter.map(EnvFilter::try_new) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(e)) => (EnvFilter::new(DEFAULT_FILTER), Some(e.to_string())),
        None => (EnvFilter::new(DEFAULT_FILTER), None),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    if let Some(problem) = problem {
        tracing::warn!("the log filter is not valid ({problem}); using the default");
    }
}
