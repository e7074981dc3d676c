//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use punktfunk_client::Target;
use punktfunk_core::{Codec, Mode};

/// Measuring client for punktfunk/1.
///
/// Exit codes: 0 ok, 1 failure, 2 usage, 3 refused by the host (its close code is on stderr), 4 no video.
#[derive(Parser, Debug)]
#[command(name = "punktfunk-probe", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Pair with a host by the PIN that it shows.
    Pair(PairArgs),
    /// Stream, decode, measure and report.
    Stream(Box<StreamArgs>),
    /// Measure what the path to a host carries.
    SpeedTest(SpeedArgs),
    /// Forget a host's identity, so that the next one at that address is trusted on first use.
    Forget(ForgetArgs),
}

#[derive(Args, Debug)]
pub struct PairArgs {
    /// NAME, IPv4 or `[IPv6]`, with :PORT unless it is 9777.
    pub host: Target,
    /// The four digits that the host shows.
    #[arg(long, value_parser = pin)]
    pub pin: String,
    /// How this device is called on the host.
    #[arg(long)]
    pub name: Option<String>,
}

#[derive(Args, Debug)]
pub struct ForgetArgs {
    /// The host as it was given when it was met.
    pub host: Target,
}

#[derive(Args, Debug)]
pub struct StreamArgs {
    /// NAME, IPv4 or `[IPv6]`, with :PORT unless it is 9777.
    pub host: Target,
    /// Display mode, WxH@HZ.
    #[arg(long, value_name = "WxH@HZ", default_value = "1280x720@60")]
    pub mode: ModeArg,
    /// What to ask for. `none` verifies PFT1 access units of a host that also runs with `--codec none`.
    #[arg(long, value_enum, default_value_t = CodecArg::H264)]
    pub codec: CodecArg,
    /// Who decodes. `auto`: OpenH264 for H.264, libavcodec for the others.
    #[arg(long, value_enum, default_value_t = DecoderArg::Auto)]
    pub decoder: DecoderArg,
    /// Wire budget in kbit/s; 0 = automatic.
    #[arg(long, value_name = "KBPS", default_value_t = 0)]
    pub bitrate: u32,
    /// How long to stream, from the first frame.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub seconds: u32,
    /// Write the report to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Save every Nth shown picture as PNG.
    #[arg(long, value_name = "N", requires = "out", value_parser = clap::value_parser!(u32).range(1..))]
    pub png_every: Option<u32>,
    /// Where PNGs go; made if it does not exist.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Lose this many per cent of the video datagrams on purpose.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    pub drop: f64,
    /// Mean length of a run of lost datagrams.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub burst: u32,
    /// Seed of the losses; the same seed loses the same datagrams.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Ask for the pointer beside the pictures: `draw` puts it into the PNGs, `tell` only into the report.
    #[arg(long, value_enum, value_name = "WHAT", num_args = 0..=1, default_missing_value = "draw")]
    pub cursor: Option<CursorArg>,
    /// Play this input script: one JSON object a line (docs/probe.md).
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Channels of sound to ask for: 2, 6 (5.1) or 8 (7.1).
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = channels)]
    pub channels: u8,
    /// Ask for sound without loss, of 16 or 24 bits; a host that cannot afford it sends Opus, and says why in its log.
    #[arg(long, value_name = "BITS", num_args = 0..=1, default_missing_value = "16", value_parser = bits)]
    pub lossless: Option<u8>,
    /// Write the sound to this file (16 bits, or 24 where it came so; as many channels as agreed).
    #[arg(long, value_name = "FILE")]
    pub wav: Option<PathBuf>,
    /// Say this WAV file (48 kHz) into the session's microphone, from the first frame.
    #[arg(long, value_name = "FILE")]
    pub microphone: Option<PathBuf>,
    /// Length of the microphone's packets in ms: 5, 10 or 20.
    #[arg(long, value_name = "MS", default_value_t = 10, value_parser = frame_ms)]
    pub microphone_frame: u8,
    /// Lose this many per cent of the datagrams of sound on purpose, the host's and the microphone's, with `--burst` and
    /// `--seed`.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    pub drop_sound: f64,
    /// Offer this file to the host's clipboard; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub clipboard_set: Option<PathBuf>,
    /// Write what is copied on the host to this file, the newest only.
    #[arg(long, value_name = "FILE")]
    pub clipboard_out: Option<PathBuf>,
    /// Format of both: this, text/html, text/rtf, image/png, image/jpeg or image/gif.
    #[arg(long, value_name = "MIME", default_value = "text/plain;charset=utf-8")]
    pub clipboard_type: String,
    /// Ask for this program of the host's library (`punktfunk-host library`).
    #[arg(long, value_name = "ID")]
    pub launch: Option<String>,
    /// After the stream, connect N times more and report each first frame's time.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub reconnect: u32,
    /// How this device is called on the host.
    #[arg(long)]
    pub name: Option<String>,
    /// End with close code 0x51: the host lets nothing linger.
    #[arg(long)]
    pub quit: bool,
    /// In automatic mode, fire the 2 Gbit/s speed test of ordinary clients two seconds into the stream.
    #[arg(long)]
    pub auto_probe: bool,
}

#[derive(Args, Debug)]
pub struct SpeedArgs {
    /// NAME, IPv4 or `[IPv6]`, with :PORT unless it is 9777.
    pub host: Target,
    /// Rate to try, in kbit/s.
    #[arg(long, value_name = "KBPS", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub target: u32,
    /// How long, in ms.
    #[arg(long, value_name = "MS", default_value_t = 800, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub duration: u32,
    /// Mode of the session that carries the test.
    #[arg(long, value_name = "WxH@HZ", default_value = "1280x720@60")]
    pub mode: ModeArg,
    /// Codec of the session that carries the test.
    #[arg(long, value_enum, default_value_t = CodecArg::H264)]
    pub codec: CodecArg,
    /// Write the result to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// How this device is called on the host.
    #[arg(long)]
    pub name: Option<String>,
}

fn channels(text: &str) -> Result<u8, String> {
    match text {
        "2" => Ok(2),
        "6" => Ok(6),
        "8" => Ok(8),
        _ => Err("sound has 2, 6 or 8 channels".to_owned()),
    }
}

fn bits(text: &str) -> Result<u8, String> {
    match text {
        "16" => Ok(16),
        "24" => Ok(24),
        _ => Err("16 or 24".to_owned()),
    }
}

fn frame_ms(text: &str) -> Result<u8, String> {
    match text {
        "5" => Ok(5),
        "10" => Ok(10),
        "20" => Ok(20),
        _ => Err("5, 10 or 20".to_owned()),
    }
}

/// A mode as `WxH@HZ`. What it says is for the host to judge.
#[derive(Clone, Copy, Debug)]
pub struct ModeArg(pub Mode);

impl FromStr for ModeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (size, refresh) = text.split_once('@')?;
            let (width, height) = size.split_once('x')?;
            Some(Mode { width: width.parse().ok()?, height: height.parse().ok()?, refresh_hz: refresh.parse().ok()? })
        };
        parse().map(Self).ok_or_else(|| format!("`{text}` is not WIDTHxHEIGHT@HZ, like 1280x720@60"))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum CodecArg {
    /// H.264.
    H264,
    /// H.265.
    Hevc,
    /// AV1.
    Av1,
    /// Transport only: PFT1 access units.
    None,
}

impl CodecArg {
    /// What goes into `Hello`. `none` is agreed on outside the protocol; the host answers with the first bit.
    pub fn wire(self) -> Codec {
        match self {
            Self::H264 | Self::None => Codec::H264,
            Self::Hevc => Codec::Hevc,
            Self::Av1 => Codec::Av1,
        }
    }
}

impl fmt::Display for CodecArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::None { "none" } else { self.wire().name() })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum CursorArg {
    /// Into the PNGs, as a person would see it.
    Draw,
    /// PNGs as they came.
    Tell,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum DecoderArg {
    /// Whatever is there, the bundled one first.
    Auto,
    /// OpenH264, bundled; H.264 only.
    Openh264,
    /// The system's libavcodec.
    Avcodec,
}

impl fmt::Display for DecoderArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Openh264 => "openh264",
            Self::Avcodec => "avcodec",
        })
    }
}

fn pin(text: &str) -> Result<String, String> {
    let digits = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    if digits { Ok(text.to_owned()) } else { Err("a PIN has four digits".to_owned()) }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("0 … 100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_scripts_write_parses() {
        let line = "punktfunk-probe stream [::1]:9777 --mode 1920x1080@120 --codec none --bitrate 50000 --seconds 5 \
                    --json r.json --png-every 60 --out shots --drop 5 --burst 8 --seed 7 --input i.jsonl --reconnect 3";
        let Verb::Stream(args) = Cli::try_parse_from(line.split_whitespace()).unwrap().verb else { panic!() };
        assert_eq!(args.mode.0, Mode { width: 1920, height: 1080, refresh_hz: 120 });
        assert_eq!((args.codec, args.bitrate, args.burst, args.reconnect), (CodecArg::None, 50_000, 8, 3));
        let words = "punktfunk-probe stream h --cursor --seconds 3".split_whitespace();
        let Verb::Stream(args) = Cli::try_parse_from(words).unwrap().verb else { panic!() };
        assert_eq!((args.cursor, args.seconds), (Some(CursorArg::Draw), 3));
        for bad in [
            "stream h --mode 1280x720",
            "stream h --cursor hide",
            "stream h --drop 101",
            "pair h --pin 123",
            "pair h",
            "stream h --png-every 0 --out d",
            "stream h --microphone-frame 7",
            "stream h --drop-sound x",
            "stream h --lossless 20",
        ] {
            let words = std::iter::once("punktfunk-probe").chain(bad.split_whitespace());
            assert!(Cli::try_parse_from(words).is_err(), "{bad}");
        }
    }
}
