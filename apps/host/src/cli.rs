//! The command line. Every option is optional here: what was not given comes from the environment, the configuration
//! file, or the default (see [`crate::config`]).

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Low-latency desktop and game streaming host: a virtual display at exactly your client's resolution and refresh rate.
#[derive(Debug, Parser)]
#[command(name = "punktfunk-host", version, max_term_width = 120)]
pub struct Cli {
    /// Log filter, e.g. `info`, `debug`, `punktfunk_engine=trace`.
    #[arg(long, global = true, env = "PUNKTFUNK_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the host: serve every client its own display.
    Serve(ServeArgs),
    /// Run a native-only listener for measurements (synthetic picture or real desktop).
    #[command(name = "punktfunk1-host")]
    Punktfunk1Host(Punktfunk1Args),
    /// Pair clients and decide who may connect (talks to the running host).
    Pair(PairArgs),
    /// Say what this machine can do, what is missing, and how to fix it.
    Doctor {
        /// Print JSON: a list of `{id, status, detail, fix}`.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Print what clients may start, as JSON: a list of `{id, number, title, source, cover, hidden}`.
    Library {
        /// Print the scanners, too, with what they could not read: `{scanners, entries}`.
        #[arg(long)]
        scan: bool,
        /// Print hidden entries, too.
        #[arg(long)]
        all: bool,
        /// Only what comes from here: `host`, `file`, `custom`, or a scanner's name.
        #[arg(long, value_name = "SOURCE")]
        source: Vec<String>,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Make a configuration out of Sunshine's `sunshine.conf` and `apps.json`, and say what was left out.
    ImportSunshine {
        /// The folder of Sunshine's files [default: ~/.config/sunshine, or its Flatpak's].
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
        /// Where to write [default: $XDG_CONFIG_HOME/punktfunk/config.toml]; what is there is never overwritten.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Print it instead.
        #[arg(long)]
        dry_run: bool,
    },
    /// Steer the running host: everything that the management API does.
    Ctl(crate::ctl::CtlArgs),
    /// Print the web console's address, with a one-time link to set its password where it has none.
    ConsoleUrl {
        /// Print a link that sets a new password, although there is one.
        #[arg(long)]
        reset: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make an output on the desktop that `serve` would use, print what was found, remove it again. Exit 0 if it worked.
    ProbeCompositor {
        /// The mode to try, WxH@HZ.
        #[arg(long, default_value = "1280x720@60")]
        mode: String,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Open a desktop, move the pointer, press keys and type text on it, and say what worked.
    InputTest {
        /// The text to type.
        #[arg(long, default_value = "punktfunk äöü €")]
        text: String,
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Print the OpenAPI document of the management API.
    Openapi,
    /// The watchdog process (started by the host itself).
    #[command(hide = true)]
    Watchdog {
        /// The undo journal to clean up after the host's death.
        #[arg(long)]
        journal: PathBuf,
        /// The control socket to remove after the host's death.
        #[arg(long)]
        socket: Option<PathBuf>,
    },
    /// Test one encoder in this process (started by the host itself).
    #[command(hide = true)]
    EncoderSelftest {
        /// The encoder's name.
        name: String,
    },
    /// What moves on a private desktop (started by the host itself).
    #[command(hide = true)]
    Scene,
    /// What can be started on a private desktop (started by the host itself).
    #[command(hide = true)]
    Launcher {
        /// The host's control socket.
        socket: PathBuf,
        /// Whose desktop it is.
        identity: String,
    },
    /// The built-in compositor of one private desktop (started by the host itself).
    #[command(hide = true)]
    Compositor {
        /// The output's first mode, WxH@HZ.
        mode: String,
        /// Scripts to start on it.
        start: Vec<PathBuf>,
    },
}

/// Options that choose folders and backends, shared by every command that touches them.
#[derive(Args, Clone, Debug, Default)]
pub struct CommonArgs {
    /// Configuration file [default: $XDG_CONFIG_HOME/punktfunk/config.toml].
    #[arg(long, env = "PUNKTFUNK_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Which desktop to stream: a running session, or a private headless one for every client.
    #[arg(long, env = "PUNKTFUNK_DESKTOP", value_enum)]
    pub desktop: Option<DesktopChoice>,
    /// Who composites private desktops: `builtin` (the host itself), `sway`, `auto` (sway where there are a GPU and a sway,
    /// else the host itself); or the command of a whole desktop, which runs full screen on a built-in one, e.g. `labwc`.
    #[arg(long, env = "PUNKTFUNK_PRIVATE_DESKTOP", value_name = "auto|builtin|sway|COMMAND")]
    pub private_desktop: Option<PrivateDesktopChoice>,
    /// What runs on the private desktop instead of the terminal and the clock, as a shell command.
    #[arg(long, env = "PUNKTFUNK_PRIVATE_DESKTOP_SHELL", value_name = "COMMAND")]
    pub private_desktop_shell: Option<String>,
    /// Which video encoder to use.
    #[arg(long, env = "PUNKTFUNK_ENCODER", value_enum)]
    pub encoder: Option<EncoderName>,
    /// Which GPU private desktops and their programs draw with: `auto`, `none`, a render node (`renderD128`), or a GPU's bus
    /// (`0000:01:00.0`), which stays the same from boot to boot.
    #[arg(long, env = "PUNKTFUNK_GPU", value_name = "auto|none|NODE|BUS")]
    pub gpu: Option<GpuName>,
    /// Keyboard layout of the desktop, when nothing else tells, e.g. `us`, `de`, `fr`.
    #[arg(long, env = "PUNKTFUNK_KEYBOARD_LAYOUT", value_name = "LAYOUT")]
    pub keyboard_layout: Option<String>,
    /// Who hears the programs of a running session while somebody watches.
    #[arg(long, env = "PUNKTFUNK_AUDIO_POLICY", value_enum)]
    pub audio_policy: Option<AudioPolicyName>,
}

/// Options of every listener.
#[derive(Args, Clone, Debug, Default)]
pub struct ListenArgs {
    /// UDP port for QUIC control; 0 picks one.
    #[arg(long, env = "PUNKTFUNK_PORT")]
    pub port: Option<u16>,
    /// Address to listen on; `::` serves IPv6 and IPv4.
    #[arg(long, env = "PUNKTFUNK_BIND", value_name = "ADDR")]
    pub bind: Option<IpAddr>,
    /// UDP ports for video, one per session, e.g. `47000-47015`; for firewalls. Default: any free port.
    #[arg(long, env = "PUNKTFUNK_DATA_PORT", value_name = "RANGE")]
    pub data_port: Option<String>,
    /// Who may connect.
    #[arg(long, env = "PUNKTFUNK_PAIRING", value_enum)]
    pub pairing: Option<PairingChoice>,
    /// Let everybody connect without pairing: short for `--pairing open`.
    #[arg(long, conflicts_with = "pairing")]
    pub open: bool,
    /// Do not announce this host with mDNS.
    #[arg(long, env = "PUNKTFUNK_NO_MDNS", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub no_mdns: bool,
    /// The name clients see [default: the machine's host name].
    #[arg(long, env = "PUNKTFUNK_NAME")]
    pub name: Option<String>,
    /// Upper limit of a session's bitrate in kbit/s.
    #[arg(long, env = "PUNKTFUNK_MAX_BITRATE", value_name = "KBPS")]
    pub max_bitrate: Option<u32>,
    /// How many sessions may run at once.
    #[arg(long, env = "PUNKTFUNK_MAX_SESSIONS", value_name = "N")]
    pub max_sessions: Option<u32>,
    /// How long a display and its programs are kept after its client left: `off`, seconds, or `forever`.
    #[arg(long, env = "PUNKTFUNK_LINGER", value_name = "off|SECONDS|forever")]
    pub linger: Option<String>,
    /// How large programs draw on displays that the host makes, in percent (100 to 300, in steps of 5), for devices with no
    /// scale of their own.
    #[arg(long = "scale", env = "PUNKTFUNK_SCALE", value_name = "PERCENT")]
    pub scale_percent: Option<u32>,
    /// Serve GameStream (Moonlight) clients, too.
    #[arg(long, env = "PUNKTFUNK_GAMESTREAM", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub gamestream: bool,
    /// GameStream's HTTP port, to which its other ports are offsets; 0 picks free ones.
    #[arg(long, env = "PUNKTFUNK_GAMESTREAM_PORT", value_name = "PORT")]
    pub gamestream_port: Option<u16>,
    /// What GameStream clients must encrypt.
    #[arg(long, env = "PUNKTFUNK_GAMESTREAM_ENCRYPTION", value_enum, value_name = "POLICY")]
    pub gamestream_encryption: Option<GameStreamEncryption>,
    /// From where GameStream clients may come.
    #[arg(long, env = "PUNKTFUNK_GAMESTREAM_NETWORKS", value_enum, value_name = "WHICH")]
    pub gamestream_networks: Option<GameStreamNetworks>,
    /// TCP port of the management API for programs (HTTPS); 0 picks one.
    #[arg(long, env = "PUNKTFUNK_API_PORT", value_name = "PORT")]
    pub api_port: Option<u16>,
    /// Do not serve the management API on the network.
    #[arg(long, env = "PUNKTFUNK_NO_API", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub no_api: bool,
    /// TCP port of the web console (HTTPS); 0 picks one.
    #[arg(long, env = "PUNKTFUNK_WEB_PORT", value_name = "PORT")]
    pub web_port: Option<u16>,
    /// Do not serve the web console.
    #[arg(long, env = "PUNKTFUNK_NO_WEB", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub no_web: bool,
    /// The user a host started as root becomes.
    #[arg(long, env = "PUNKTFUNK_USER", value_name = "USER")]
    pub user: Option<String>,
}

/// `serve`.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub listen: ListenArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// `punktfunk1-host`.
#[derive(Args, Clone, Debug)]
pub struct Punktfunk1Args {
    /// Where pictures come from.
    #[arg(long, value_enum, default_value_t = Source::Synthetic)]
    pub source: Source,
    /// What is sent: H.264, or `none` for checkable bytes without an encoder.
    #[arg(long, value_enum, default_value_t = ListenerCodec::H264)]
    pub codec: ListenerCodec,
    /// Fixed bitrate of a session in kbit/s, whatever the client asks.
    #[arg(long, value_name = "KBPS")]
    pub bitrate: Option<u32>,
    /// Frame rate of the synthetic source [default: the client's refresh rate].
    #[arg(long, value_name = "N")]
    pub fps: Option<u32>,
    /// End each session after this many frames; 0 never.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub frames: u32,
    /// End the host after this many seconds.
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub listen: ListenArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// `pair`.
#[derive(Args, Clone, Debug)]
pub struct PairArgs {
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: PairCommand,
}

/// What `pair` does.
#[derive(Clone, Debug, Subcommand)]
pub enum PairCommand {
    /// Open a window for one pairing and print its PIN.
    Arm {
        /// How long the window stays open.
        #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(15..=600))]
        seconds: u32,
    },
    /// Close the window.
    Disarm,
    /// Type the PIN that a waiting Moonlight client shows.
    Pin {
        /// Its four digits.
        pin: String,
        /// Which client, if several wait: its id, a unique beginning of it, or its address.
        #[arg(long, value_name = "ID")]
        id: Option<String>,
    },
    /// Whether a window is open, who is waiting for approval, and who shows a PIN.
    Status,
    /// Paired clients and those waiting for approval or for their PIN.
    List,
    /// Let a waiting client in and remember it.
    Approve {
        /// The id `pair list` prints (a unique beginning is enough).
        id: String,
    },
    /// Refuse a waiting client.
    Deny {
        /// The id `pair list` prints (a unique beginning is enough).
        id: String,
    },
    /// Forget a paired client and end its sessions.
    Revoke {
        /// The id `pair list` prints (a unique beginning is enough).
        id: String,
    },
}

/// Who hears the programs of a running session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum AudioPolicyName {
    /// The client; the host's speakers are silent unless the client wants them.
    ClientOnly,
    /// The client and the host's speakers.
    HostAndClient,
    /// Whoever hears the default sink anyway, and the client.
    FollowDefault,
}

impl From<AudioPolicyName> for punktfunk_media::AudioPolicy {
    fn from(name: AudioPolicyName) -> Self {
        match name {
            AudioPolicyName::ClientOnly => Self::ClientOnly,
            AudioPolicyName::HostAndClient => Self::HostAndClient,
            AudioPolicyName::FollowDefault => Self::FollowDefault,
        }
    }
}

/// Which desktop to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DesktopChoice {
    /// A running session if there is one, else a private desktop.
    Auto,
    /// The running wlroots session (sway and relatives).
    Wlroots,
    /// A private headless desktop for every client.
    Private,
}

/// Who composites private desktops.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(from = "String")]
pub enum PrivateDesktopChoice {
    /// A sway where there are a GPU and a sway, else the host itself.
    Auto,
    /// The host itself: no other program is needed.
    Builtin,
    /// A headless sway.
    Sway,
    /// The host itself, and on it this desktop.
    Command(String),
}

impl From<String> for PrivateDesktopChoice {
    fn from(text: String) -> Self {
        match text.trim() {
            "auto" => Self::Auto,
            "builtin" => Self::Builtin,
            "sway" => Self::Sway,
            _ => Self::Command(text),
        }
    }
}

/// Which encoder to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderName {
    /// The best that works.
    Auto,
    /// x264 through the system's libavcodec.
    X264,
    /// OpenH264, built in.
    Openh264,
}

/// Which GPU to use.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum GpuName {
    /// None in particular.
    Auto,
    /// None at all.
    None,
    /// The one with this render node, a name in `/dev/dri`.
    Node(String),
    /// The one with this address on its bus.
    Bus(String),
}

impl std::str::FromStr for GpuName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let by_path = text.strip_prefix("/dev/dri/by-path/pci-").and_then(|rest| rest.strip_suffix("-render"));
        let name = text.strip_prefix("/dev/dri/").unwrap_or(text);
        let is_node = |name: &str| {
            name.strip_prefix("renderD").is_some_and(|number| number.parse::<u16>().is_ok_and(|n| n >= 128))
        };
        let is_bus = |bus: &str| {
            let word = |b: u8| b.is_ascii_alphanumeric() || b":._-".contains(&b);
            !bus.is_empty() && bus.len() <= 64 && bus.bytes().all(word)
        };
        match by_path.unwrap_or(name) {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            node if is_node(node) => Ok(Self::Node(node.to_owned())),
            // As `lspci` prints it where there is only one domain.
            bus if is_bus(bus) && bus.len() == 7 && bus.as_bytes()[2] == b':' => Ok(Self::Bus(format!("0000:{bus}"))),
            bus if is_bus(bus) && by_path.map_or(bus == text, |_| true) => Ok(Self::Bus(bus.to_owned())),
            _ => {
                Err(format!("{text:?}: not `auto`, `none`, a render node as `renderD128`, or a bus as `0000:01:00.0`"))
            }
        }
    }
}

impl TryFrom<String> for GpuName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::fmt::Display for GpuName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::Node(node) => write!(f, "/dev/dri/{node}"),
            Self::Bus(bus) => f.write_str(bus),
        }
    }
}

/// Who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PairingChoice {
    /// Only paired clients; others pair by PIN or wait for approval.
    Required,
    /// Everybody.
    Open,
}

/// What GameStream clients must encrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GameStreamEncryption {
    /// Control and sound always, video as the client asks.
    Prefer,
    /// All of it; clients that cannot are refused.
    Require,
    /// Not more than old clients do in any case.
    Off,
}

/// From where GameStream clients may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GameStreamNetworks {
    /// Private, link-local and overlay networks.
    Private,
    /// Everywhere.
    Any,
}

/// Where `punktfunk1-host` takes pictures from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// A test picture that carries its frame number.
    Synthetic,
    /// A virtual output on the desktop that `serve` would use.
    Virtual,
}

/// What `punktfunk1-host` sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListenerCodec {
    /// H.264.
    H264,
    /// Checkable random bytes: transport without an encoder.
    None,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Cli;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_gpu_is_named_by_its_node_or_its_bus() {
        let shown = |text: &str| text.parse::<super::GpuName>().map(|name| name.to_string());
        for (text, name) in [
            (" auto ", "auto"),
            ("none", "none"),
            ("renderD128", "/dev/dri/renderD128"),
            ("/dev/dri/renderD191", "/dev/dri/renderD191"),
            ("0000:01:00.0", "0000:01:00.0"),
            ("01:00.0", "0000:01:00.0"),
            ("/dev/dri/by-path/pci-0000:01:00.0-render", "0000:01:00.0"),
            ("fde60000.gpu", "fde60000.gpu"),
        ] {
            assert_eq!(shown(text), Ok(name.to_owned()), "{text}");
            assert_eq!(shown(name), Ok(name.to_owned()), "as it is written down");
        }
        for text in ["", "/dev/dri/card0", "/dev/dri/", "/dev/dri/../kvm", "a b", "renderD128;rm", &"x".repeat(65)] {
            assert!(shown(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_command_that_the_documentation_shows_exists() {
        let documents = [
            include_str!("../../../README.md"),
            include_str!("../../../docs/api.md"),
            include_str!("../../../docs/config.md"),
            include_str!("../../../docs/console.md"),
            include_str!("../../../docs/gamestream.md"),
            include_str!("../../../docs/library.md"),
            include_str!("../../../docs/private-desktop.md"),
            include_str!("../../../docs/sunshine.md"),
            include_str!("../../../docs/testing.md"),
        ];
        let mut shown = 0;
        for line in documents.iter().flat_map(|d| d.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.starts_with("punktfunk-host ") {
                shown += 1;
                if let Err(e) = Cli::try_parse_from(line.split_whitespace()) {
                    panic!("{line}: {e}");
                }
            }
        }
        assert!(shown > 0, "the README shows how to pair");
    }
}
