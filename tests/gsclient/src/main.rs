//! `punktfunk-gsclient`: the GameStream test client for scripts and figures. Everything it says is JSON on stdout.
#![forbid(unsafe_code)]

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use punktfunk_gsclient::{Client, Error, Formats, Loss, Shape, Store, StreamOptions, Style};
use serde_json::json;

/// GameStream test client.
///
/// Exit codes: 0 ok, 1 failure, 2 usage, 3 the host broke a rule of the wire (see `violations` in the report).
#[derive(Parser, Debug)]
#[command(name = "punktfunk-gsclient", version, propagate_version = true)]
struct Cli {
    /// Folder of our key and of the hosts that we paired with; made if it does not exist.
    #[arg(long, value_name = "DIR", env = "PUNKTFUNK_GSCLIENT_KEYS", global = true, default_value = "gsclient-keys")]
    keys: PathBuf,
    /// Shape of the certificate, if one has to be made.
    #[arg(long, value_enum, global = true, default_value_t = ShapeArg::Serial0)]
    shape: ShapeArg,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Say what the host is.
    Info(Host),
    /// Pair; waits until the PIN was typed at the host.
    Pair {
        #[command(flatten)]
        host: Host,
        /// Four digits.
        #[arg(long)]
        pin: String,
        /// How to behave once the PIN turns out wrong.
        #[arg(long, value_enum, default_value_t = StyleArg::Qt)]
        style: StyleArg,
    },
    /// List the apps.
    Apps(Host),
    /// Stream and report.
    Stream(Box<StreamArgs>),
    /// Quit the running app.
    Cancel(Host),
}

#[derive(Args, Debug)]
struct Host {
    /// NAME or address, with the HTTP port unless it is 47989.
    host: String,
}

#[derive(Args, Debug)]
struct StreamArgs {
    #[command(flatten)]
    host: Host,
    /// App id; the first one if left out.
    #[arg(long)]
    app: Option<u32>,
    /// WIDTHxHEIGHT@FPS.
    #[arg(long, default_value = "1280x720@60", value_parser = mode)]
    mode: (u32, u32, u32),
    /// What the decoder can do, best first or not.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "h264")]
    codec: Vec<CodecArg>,
    /// The user's total bitrate in kbit/s.
    #[arg(long, default_value_t = 20_000)]
    bitrate: u32,
    /// Packet size before encryption's share is taken off.
    #[arg(long, default_value_t = 1392)]
    packet_size: u16,
    /// Channels: 2, 6 or 8.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=8))]
    channels: u8,
    /// Milliseconds of an audio packet.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(5..=10))]
    packet_duration: u32,
    /// Opt in to the encryption of: none, audio, video, all.
    #[arg(long, value_enum, default_value_t = EncryptArg::All)]
    encrypt: EncryptArg,
    /// The decoder can do reference frame invalidation.
    #[arg(long)]
    invalidation: bool,
    /// Slices per frame.
    #[arg(long, default_value_t = 1)]
    slices: u32,
    /// Seconds from the first frame.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Decode the access units.
    #[arg(long)]
    decode: bool,
    /// Write a picture to this file.
    #[arg(long, value_name = "FILE", requires = "decode")]
    png: Option<PathBuf>,
    /// Which picture, from 1.
    #[arg(long, default_value_t = 30)]
    png_number: u64,
    /// Lose this many per cent of the video and audio datagrams on purpose.
    #[arg(long, default_value_t = 0.0)]
    drop: f64,
    /// Length of a run of lost datagrams.
    #[arg(long, default_value_t = 1)]
    burst: u32,
    /// Seed of the losses.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Do not recompute recovery shards: CPU time is then a client's.
    #[arg(long)]
    no_verify: bool,
    /// A client from before the extensions.
    #[arg(long)]
    legacy: bool,
    /// Cancel the app at the end; without it the session is paused.
    #[arg(long)]
    quit: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShapeArg {
    Serial0,
    V1,
    Expired,
    NotYetValid,
    V3,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StyleArg {
    Qt,
    Embedded,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EncryptArg {
    None,
    Audio,
    Video,
    All,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CodecArg {
    H264,
    H264_444,
    Hevc,
    Hevc10,
    Hevc444,
    Hevc10_444,
    Av1,
    Av1_10,
    Av1_444,
    Av1_10_444,
}

impl CodecArg {
    fn formats(self) -> Formats {
        match self {
            Self::H264 => Formats::H264,
            Self::H264_444 => Formats::H264_444,
            Self::Hevc => Formats::HEVC,
            Self::Hevc10 => Formats::HEVC10,
            Self::Hevc444 => Formats::HEVC_444,
            Self::Hevc10_444 => Formats::HEVC10_444,
            Self::Av1 => Formats::AV1,
            Self::Av1_10 => Formats::AV1_10,
            Self::Av1_444 => Formats::AV1_444,
            Self::Av1_10_444 => Formats::AV1_10_444,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            println!("{}", json!({ "error": error.to_string() }));
            eprintln!("punktfunk-gsclient: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Error> {
    let store = Store::open(&cli.keys)?;
    let identity = Arc::new(store.identity(match cli.shape {
        ShapeArg::Serial0 => Shape::Serial0,
        ShapeArg::V1 => Shape::V1,
        ShapeArg::Expired => Shape::Expired,
        ShapeArg::NotYetValid => Shape::NotYetValid,
        ShapeArg::V3 => Shape::V3,
    })?);
    let connect = |host: &Host| {
        let address = resolve(&host.host)?;
        let mut client = Client::new(address, Arc::clone(&identity));
        client.http.pin(store.host(address));
        client.http.server_info(false)?;
        Ok::<_, Error>(client)
    };
    match &cli.verb {
        Verb::Info(host) => {
            let mut client = connect(host)?;
            let plain = client.http.server_info(false)?;
            // Unpaired, HTTPS refuses; that is an answer, too.
            let paired = client.http.server_info(true).is_ok_and(|info| info.paired);
            println!(
                "{}",
                json!({ "hostname": plain.hostname, "version": plain.app_version, "id": plain.unique_id, "state": plain.state,
                    "codecs": plain.codecs, "https_port": plain.https_port, "paired": paired })
            );
        }
        Verb::Pair { host, pin, style } => {
            let mut client = connect(host)?;
            let style = match style {
                StyleArg::Qt => Style::Qt,
                StyleArg::Embedded => Style::Embedded,
            };
            client.pair(pin, style)?;
            store.remember(client.http.address(), client.http.pinned().unwrap_or_default())?;
            println!("{}", json!({ "paired": true }));
        }
        Verb::Apps(host) => {
            let apps = connect(host)?.http.app_list()?;
            let apps: Vec<_> = apps.iter().map(|a| json!({ "id": a.id, "title": a.title, "hdr": a.hdr })).collect();
            println!("{}", json!({ "apps": apps }));
        }
        Verb::Cancel(host) => {
            connect(host)?.http.cancel()?;
            println!("{}", json!({ "cancelled": true }));
        }
        Verb::Stream(args) => {
            let mut client = connect(&args.host)?;
            let report = client.stream(args.options(), Duration::from_secs_f64(args.seconds.clamp(0.0, 86_400.0)));
            if args.quit {
                client.http.cancel()?;
            }
            let report = report?;
            let text = serde_json::to_string_pretty(&report).map_err(|e| Error::Usage(format!("the report: {e}")))?;
            println!("{text}");
            return Ok(match report.violation_count {
                _ if report.video.stats.frames == 0 => ExitCode::FAILURE,
                0 => ExitCode::SUCCESS,
                _ => ExitCode::from(3),
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl StreamArgs {
    fn options(&self) -> StreamOptions {
        let (width, height, fps) = self.mode;
        StreamOptions {
            app: self.app,
            width,
            height,
            fps,
            bitrate_kbps: self.bitrate,
            packet_size: self.packet_size,
            formats: self.codec.iter().fold(Formats::default(), |all, codec| all.and(codec.formats())),
            encryption: match self.encrypt {
                EncryptArg::None => 0,
                EncryptArg::Audio => 4,
                EncryptArg::Video => 2,
                EncryptArg::All => 6,
            },
            channels: self.channels,
            packet_duration_ms: self.packet_duration,
            invalidation: self.invalidation,
            slices: self.slices,
            legacy: self.legacy,
            corever: (!self.legacy).then_some(1),
            video_loss: Loss::new(self.drop, self.burst, self.seed),
            audio_loss: Loss::new(self.drop, self.burst, self.seed.wrapping_add(1)),
            decode: self.decode,
            png: self.png.clone().map(|path| (self.png_number, path)),
            verify_recovery: !self.no_verify,
            ..StreamOptions::default()
        }
    }
}

fn resolve(host: &str) -> Result<SocketAddr, Error> {
    let with_port = host.to_socket_addrs().or_else(|_| (host, 47989).to_socket_addrs());
    let mut all = with_port.map_err(|source| Error::Io { what: "looking the host up", source })?;
    all.next().ok_or_else(|| Error::Usage(format!("{host} has no address")))
}

fn mode(text: &str) -> Result<(u32, u32, u32), String> {
    let parse = || {
        let (size, fps) = text.split_once('@')?;
        let (width, height) = size.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?, fps.parse().ok()?))
    };
    parse().ok_or_else(|| format!("`{text}` is not WIDTHxHEIGHT@FPS"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let line = "punktfunk-gsclient stream h:1 --keys k --mode 640x480@30 --codec hevc,h264 --encrypt none --drop 5";
        let Verb::Stream(args) = Cli::try_parse_from(line.split_whitespace()).unwrap().verb else { panic!() };
        assert_eq!((args.mode, args.options().formats), ((640, 480, 30), Formats(0x101)));
        assert!(Cli::try_parse_from(["punktfunk-gsclient", "stream", "h", "--mode", "640x480"]).is_err());
    }
}
