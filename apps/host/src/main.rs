//! `punktfunk-host`: reads the configuration, chooses backends and planes, connects them, runs.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;
mod config;
mod exit;
mod paths;
mod privileges;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let paths = paths::Paths::from_env();
    let cli::Command::Serve(args) = &cli.command else { return ExitCode::from(exit::USAGE) };
    exit::finish(config::Config::load(&args.listen, &args.common, &paths).and_then(|c| privileges::leave_root(&c.user)))
}
