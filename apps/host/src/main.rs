//! `punktfunk-host`: reads the configuration, chooses backends and planes, connects them, runs.

mod cli;
mod config;
mod ctl;
mod desktops;
mod doctor;
mod doors;
mod encoders;
mod exit;
mod gamepads;
mod gamestream;
mod gpus;
mod launcher;
mod library;
mod live;
mod logging;
mod management;
mod memory;
mod pair;
mod paths;
mod privileges;
mod serve;
mod settings;
mod sunshine;
mod try_out;
mod watchdog;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser as _;

use cli::{Cli, Command, CommonArgs, ListenArgs};
use config::{Config, Layers};
use exit::Failure;
use paths::Paths;
use punktfunk_compositor::{WorkerArgs, become_xwayland, run_worker};
use serve::{End, Measurement};

fn main() -> ExitCode {
    become_xwayland();
    serve::STARTED.get_or_init(Instant::now);
    memory::keep_flat();
    let cli = Cli::parse();
    exit::finish(run(&cli))
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let paths = Paths::from_env();
    let log = || logging::start(cli.log.as_deref());
    match &cli.command {
        Command::Serve(args) => host(&args.listen, &args.common, &paths, Measurement::default(), &log),
        Command::Punktfunk1Host(args) => host(&args.listen, &args.common, &paths, args.into(), &log),
        Command::Pair(args) => pair::run(args, &paths),
        Command::Doctor { json, common } => doctor::run(&local_config(common, &paths)?, &paths, *json),
        Command::Library { scan, all, source, common } => {
            let printed = library::Printed { sources: source.clone(), all: *all, scan: *scan };
            library::print(&local_config(common, &paths)?.library, &paths, &printed)
        }
        Command::ImportSunshine { from, output, dry_run } => {
            sunshine::run(from.as_deref(), output.as_deref(), *dry_run, &paths)
        }
        Command::Ctl(args) => ctl::run(args, &paths),
        Command::ConsoleUrl { reset, json } => ctl::console_url(&paths, *reset, *json),
        Command::ProbeCompositor { mode, common } => {
            let (config, _) = as_user(&ListenArgs::default(), common, &paths, &log)?;
            try_out::compositor(&config, &paths, mode)
        }
        Command::InputTest { text, common } => {
            let (config, _) = as_user(&ListenArgs::default(), common, &paths, &log)?;
            try_out::input(&config, &paths, text)
        }
        Command::Openapi => {
            println!("{}", management::openapi()?);
            Ok(())
        }
        Command::Watchdog { journal, socket } => {
            log();
            watchdog::run(journal, socket.as_deref())
        }
        Command::EncoderSelftest { name } => encoders::selftest(name),
        Command::Compositor { mode, start } => {
            log();
            let args = WorkerArgs { mode: try_out::parse_mode(mode)?, start: start.clone() };
            run_worker(&args).map_err(|e| Failure::new(&punktfunk_media::reason::DESKTOP_DIED, e))
        }
        Command::Launcher { socket, identity } => {
            log();
            launcher::run(socket, identity)
        }
        Command::Scene => {
            log();
            punktfunk_desktop::scene::run().map_err(|e| Failure::new(&punktfunk_media::reason::DESKTOP_DIED, e))
        }
    }
}

fn host(
    listen: &ListenArgs,
    common: &CommonArgs,
    paths: &Paths,
    measurement: Measurement,
    log: &dyn Fn(),
) -> Result<(), Failure> {
    let (config, layers) = as_user(listen, common, paths, log)?;
    for sentence in config::unknown_environment(std::env::vars().map(|(name, _)| name)) {
        tracing::warn!("{sentence}");
    }
    match serve::run(&config, &layers, paths, measurement)? {
        End::Restart => Err(start_anew()),
        End::Interrupt | End::Terminate | End::TimeIsUp => Ok(()),
    }
}

/// Becomes a fresh host with the same arguments; returns only if that fails. The program may have been replaced meanwhile.
fn start_anew() -> Failure {
    use std::os::unix::process::CommandExt as _;
    let program = std::env::current_exe().ok().filter(|p| p.exists()).unwrap_or_else(|| "/proc/self/exe".into());
    tracing::info!("starting anew");
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    Failure::new(&punktfunk_media::reason::ACTION_FAILED, format!("the host could not be started anew: {error}"))
}

/// The configuration, as somebody who is not root: as root this does not return, the process starts anew.
fn as_user(
    listen: &ListenArgs,
    common: &CommonArgs,
    paths: &Paths,
    log: &dyn Fn(),
) -> Result<(Config, Layers), Failure> {
    let (config, layers) = Config::load(listen, common, paths)?;
    privileges::leave_root(&config.user)?;
    log();
    Ok((config, layers))
}

fn local_config(common: &CommonArgs, paths: &Paths) -> Result<Config, Failure> {
    Config::load(&ListenArgs::default(), common, paths).map(|(config, _)| config)
}
