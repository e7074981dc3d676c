//! Configuration in two layers: as written (everything optional) and resolved (complete, checked once).
//!
//! A value comes from the first that has it: command line, environment (`PUNKTFUNK_…`, read by clap), configuration
//! file, default. Keys that do not exist are refused with the nearest one that does.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use punktfunk_hub::library::LibraryConfig;
use punktfunk_media::{AudioPolicy, is_scale_percent, reason};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::{
    AudioPolicyName, CommonArgs, DesktopChoice, EncoderName, GameStreamEncryption, GameStreamNetworks, GpuName,
    ListenArgs, PairingChoice, PrivateDesktopChoice,
};
use crate::exit::{Failure, USAGE};
use crate::library::{self, FileApp, FileLibrary};
use crate::paths::Paths;
use crate::privileges::DEFAULT_USER;
use crate::settings;

/// The default QUIC control port (punktfunk1.md §1.2).
const DEFAULT_PORT: u16 = 9777;
/// GameStream's HTTP port (gamestream.md §2.1).
const GAMESTREAM_PORT: u16 = 47_989;
/// The management API's port (punktfunk1.md §1.2).
const DEFAULT_API_PORT: u16 = 47990;
/// The web console's port (punktfunk1.md §1.2).
const DEFAULT_WEB_PORT: u16 = 47992;
/// Sessions at once unless configured (punktfunk1.md §8.2).
const DEFAULT_MAX_SESSIONS: u32 = 4;
/// How long a display outlives its client unless configured (punktfunk1.md §8.3).
const DEFAULT_LINGER: Duration = Duration::from_secs(10);
/// The largest bitrate the protocol lets a client ask for, in kbit/s (punktfunk1.md §3.9.2).
const MAX_BITRATE_KBPS: u32 = 8_000_000;

/// Everything `serve` needs to know, complete and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// UDP port for QUIC control; 0 picks one.
    pub port: u16,
    /// Address to listen on.
    pub bind: IpAddr,
    /// Ports for the video sockets; `None`: any free port.
    pub data_ports: Option<RangeInclusive<u16>>,
    /// Who may connect.
    pub pairing: PairingChoice,
    /// Whether the host announces itself.
    pub mdns: bool,
    /// The name clients see.
    pub name: String,
    /// Upper limit of a session's bitrate in kbit/s.
    pub max_bitrate_kbps: u32,
    /// Sessions at once.
    pub max_sessions: u32,
    /// How long displays are kept.
    pub linger: Linger,
    /// TCP port of the management API on the network; `None`: not served there.
    pub api_port: Option<u16>,
    /// TCP port of the web console; `None`: not served.
    pub web_port: Option<u16>,
    /// Other names by which browsers and programs may call this host.
    pub web_hosts: Vec<String>,
    /// The user a host started as root becomes.
    pub user: String,
    /// Which desktop to stream.
    pub desktop: DesktopChoice,
    /// Who composites private desktops.
    pub private_desktop: PrivateDesktopChoice,
    /// What runs on a private desktop; `None`: what can be started, or a terminal, and a clock.
    pub private_desktop_shell: Option<String>,
    /// How large programs draw, in percent, for clients with no scale of their own.
    pub scale_percent: u32,
    /// Which encoder to use.
    pub encoder: EncoderName,
    /// Which GPU to use, if it is there.
    pub gpu: GpuName,
    /// Keyboard layout, when nothing else tells.
    pub keyboard_layout: Option<String>,
    /// Who hears the programs of a running session.
    pub audio_policy: AudioPolicy,
    /// What clients may start.
    pub library: LibraryConfig,
    /// GameStream, if it is served.
    pub gamestream: Option<GameStream>,
}

/// How GameStream is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GameStream {
    /// The HTTP port; 0 picks free ones.
    pub port: u16,
    /// What must be encrypted.
    pub encryption: GameStreamEncryption,
    /// From where clients may come.
    pub networks: GameStreamNetworks,
}

/// How long a display and its programs are kept after its client left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linger {
    /// Not at all.
    Off,
    /// This long.
    For(Duration),
    /// Until the host ends.
    Forever,
}

/// The configuration file as written. One table per area; every key may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileConfig {
    network: FileNetwork,
    pairing: FilePairing,
    desktop: FileDesktop,
    video: FileVideo,
    audio: FileAudio,
    host: FileHost,
    apps: Vec<FileApp>,
    library: FileLibrary,
    gamestream: FileGameStream,
    api: FileApi,
    web: FileWeb,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileApi {
    enabled: Option<bool>,
    port: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileWeb {
    enabled: Option<bool>,
    port: Option<u16>,
    hosts: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileNetwork {
    port: Option<u16>,
    bind: Option<IpAddr>,
    data_port: Option<String>,
    mdns: Option<bool>,
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FilePairing {
    policy: Option<PairingChoice>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileDesktop {
    choice: Option<DesktopChoice>,
    private: Option<PrivateDesktopChoice>,
    private_shell: Option<String>,
    keyboard_layout: Option<String>,
    linger: Option<toml::Value>,
    scale_percent: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileVideo {
    encoder: Option<EncoderName>,
    gpu: Option<GpuName>,
    max_bitrate_kbps: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileAudio {
    policy: Option<AudioPolicyName>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileHost {
    max_sessions: Option<u32>,
    user: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileGameStream {
    enabled: Option<bool>,
    port: Option<u16>,
    encryption: Option<GameStreamEncryption>,
    networks: Option<GameStreamNetworks>,
}

/// Every key of the file, as `table.key`. `docs/config.md` explains them; a test holds both lists equal.
pub const KEYS: &[&str] = &[
    "apps.command",
    "apps.cover",
    "apps.env",
    "apps.exit",
    "apps.id",
    "apps.library_prepare",
    "apps.name",
    "apps.prepare.run",
    "apps.prepare.timeout",
    "apps.prepare.undo",
    "apps.working_dir",
    "api.enabled",
    "api.port",
    "audio.policy",
    "desktop.choice",
    "desktop.keyboard_layout",
    "desktop.linger",
    "desktop.private",
    "desktop.private_shell",
    "desktop.scale_percent",
    "gamestream.enabled",
    "gamestream.encryption",
    "gamestream.networks",
    "gamestream.port",
    "host.max_sessions",
    "host.user",
    "library.exit",
    "library.hidden",
    "library.prepare.run",
    "library.prepare.timeout",
    "library.prepare.undo",
    "library.scanners",
    "network.bind",
    "network.data_port",
    "network.mdns",
    "network.name",
    "network.port",
    "pairing.policy",
    "video.encoder",
    "video.gpu",
    "video.max_bitrate_kbps",
    "web.enabled",
    "web.hosts",
    "web.port",
];

/// The environment variables that set options, for naming the nearest one to a misspelt variable.
const ENVIRONMENT: &[&str] = &[
    "PUNKTFUNK_API_PORT",
    "PUNKTFUNK_AUDIO_POLICY",
    "PUNKTFUNK_BIND",
    "PUNKTFUNK_CONFIG",
    "PUNKTFUNK_DATA_PORT",
    "PUNKTFUNK_DESKTOP",
    "PUNKTFUNK_ENCODER",
    "PUNKTFUNK_GAMESTREAM",
    "PUNKTFUNK_GAMESTREAM_ENCRYPTION",
    "PUNKTFUNK_GAMESTREAM_NETWORKS",
    "PUNKTFUNK_GAMESTREAM_PORT",
    "PUNKTFUNK_GPU",
    "PUNKTFUNK_KEYBOARD_LAYOUT",
    "PUNKTFUNK_LINGER",
    "PUNKTFUNK_LOG",
    "PUNKTFUNK_MAX_BITRATE",
    "PUNKTFUNK_MAX_SESSIONS",
    "PUNKTFUNK_NAME",
    "PUNKTFUNK_NO_API",
    "PUNKTFUNK_NO_MDNS",
    "PUNKTFUNK_NO_WEB",
    "PUNKTFUNK_PAIRING",
    "PUNKTFUNK_PORT",
    "PUNKTFUNK_PRIVATE_DESKTOP",
    "PUNKTFUNK_PRIVATE_DESKTOP_SHELL",
    "PUNKTFUNK_SCALE",
    "PUNKTFUNK_USER",
    "PUNKTFUNK_WEB_PORT",
];

impl Config {
    /// Puts the layers together. A file named explicitly must exist; the default one may be missing.
    ///
    /// # Errors
    /// `config.*`, exit code 2.
    pub fn load(listen: &ListenArgs, common: &CommonArgs, paths: &Paths) -> Result<(Self, Layers), Failure> {
        let file = match &common.config {
            Some(path) => read_file(path, true)?,
            None => read_file(&paths.config.join("config.toml"), false)?,
        };
        let layers = Layers { listen: listen.clone(), common: common.clone(), file };
        let saved = settings::load(&paths.state);
        match layers.resolve(&saved) {
            Ok(config) => Ok((config, layers)),
            // A value that an older or newer release saved must not keep the host from starting.
            Err(_) if !saved.is_empty() && layers.resolve(&Map::new()).is_ok() => {
                tracing::warn!("the settings made in the console do not fit this version; they are left out");
                Ok((layers.resolve(&Map::new())?, layers))
            }
            Err(e) => Err(e),
        }
    }
}

/// What people wrote, from which a configuration is made.
#[derive(Clone, Debug)]
pub struct Layers {
    /// Flags and environment.
    pub listen: ListenArgs,
    /// Flags and environment.
    pub common: CommonArgs,
    /// The configuration file; its keys exist.
    pub file: toml::Table,
}

impl Layers {
    /// The configuration with these settings (by key) below the layers.
    ///
    /// # Errors
    /// `config.*`, exit code 2.
    pub fn resolve(&self, settings: &Map<String, Value>) -> Result<Config, Failure> {
        let invalid = |detail: String| Failure::new(&reason::CONFIG_INVALID, detail).with_code(USAGE);
        let mut merged = toml::Table::new();
        for (key, value) in settings {
            let (area, name) = key.split_once('.').ok_or_else(|| invalid(format!("`{key}`")))?;
            let value = toml::Value::try_from(value).map_err(|e| invalid(format!("`{key}`: {e}")))?;
            if let toml::Value::Table(table) = merged.entry(area).or_insert_with(|| toml::Table::new().into()) {
                table.insert(name.to_owned(), value);
            }
        }
        for (area, keys) in &self.file {
            match (merged.entry(area).or_insert_with(|| toml::Table::new().into()), keys) {
                (toml::Value::Table(table), toml::Value::Table(keys)) => table.extend(keys.clone()),
                (place, other) => *place = other.clone(),
            }
        }
        let file = merged.try_into().map_err(|e| invalid(format!("{e}")))?;
        resolve(&self.listen, &self.common, file)
    }

    /// Whether the configuration file has this key.
    #[must_use]
    pub fn file_has(&self, key: &str) -> bool {
        key.split_once('.').is_some_and(|(area, name)| self.file.get(area).is_some_and(|a| a.get(name).is_some()))
    }
}

/// Whether a text is a configuration; `path` is for the message.
///
/// # Errors
/// `config.*`, exit code 2.
pub fn check(text: &str, path: &Path) -> Result<(), Failure> {
    let layers = Layers { listen: ListenArgs::default(), common: CommonArgs::default(), file: parse(text, path)? };
    layers.resolve(&Map::new()).map(drop)
}

fn read_file(path: &Path, must_exist: bool) -> Result<toml::Table, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, path),
        Err(e) if !must_exist && e.kind() == std::io::ErrorKind::NotFound => Ok(toml::Table::new()),
        Err(e) => Err(Failure::new(&reason::CONFIG_UNREADABLE, format!("{}: {e}", path.display())).with_code(USAGE)),
    }
}

fn parse(text: &str, path: &Path) -> Result<toml::Table, Failure> {
    let fail = |reason, detail: String| Failure::new(reason, format!("{}: {detail}", path.display())).with_code(USAGE);
    let table: toml::Table = text.parse().map_err(|e| fail(&reason::CONFIG_UNREADABLE, format!("{e}")))?;
    if let Some(unknown) = table.iter().find_map(|(area, value)| unknown_key(area, value)) {
        return Err(fail(&reason::CONFIG_UNKNOWN_KEY, format!("`{unknown}`{}", did_you_mean(&unknown, KEYS))));
    }
    // With line and column, which the table has no more.
    toml::from_str::<FileConfig>(text).map_err(|e| fail(&reason::CONFIG_INVALID, format!("{e}")))?;
    Ok(table)
}

/// The first key at or below `path` that does not exist. What is below a key that exists is the value's own business.
fn unknown_key(path: &str, value: &toml::Value) -> Option<String> {
    if KEYS.contains(&path) {
        return None;
    }
    let prefix = format!("{path}.");
    match value {
        _ if !KEYS.iter().any(|k| k.starts_with(&prefix)) => Some(path.to_owned()),
        toml::Value::Table(table) => {
            table.iter().find_map(|(key, value)| unknown_key(&format!("{prefix}{key}"), value))
        }
        toml::Value::Array(rows) => rows.iter().find_map(|row| unknown_key(path, row)),
        _ => Some(path.to_owned()),
    }
}

fn did_you_mean(word: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|k| (strsim::jaro_winkler(word, k), k))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(score, _)| *score > 0.7)
        .map(|(_, k)| format!(" (did you mean `{k}`?)"))
        .unwrap_or_default()
}

/// Sentences about `PUNKTFUNK_…` variables that no option reads; a host should not fail for them, but say so.
#[must_use]
pub fn unknown_environment(names: impl Iterator<Item = String>) -> Vec<String> {
    names
        .filter(|n| n.starts_with("PUNKTFUNK_") && !ENVIRONMENT.contains(&n.as_str()))
        .map(|n| format!("the environment variable {n} sets nothing{}", did_you_mean(&n, ENVIRONMENT)))
        .collect()
}

fn resolve(listen: &ListenArgs, common: &CommonArgs, file: FileConfig) -> Result<Config, Failure> {
    let invalid = |detail: String| Failure::new(&reason::CONFIG_INVALID, detail).with_code(USAGE);
    let linger_text = match (&listen.linger, file.desktop.linger) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(toml::Value::String(text))) => Some(text),
        (None, Some(toml::Value::Integer(seconds))) => Some(seconds.to_string()),
        (None, Some(other)) => {
            return Err(invalid(format!("desktop.linger = {other}: not `off`, seconds or `forever`")));
        }
        (None, None) => None,
    };
    let linger = linger_text.map_or(Ok(Linger::For(DEFAULT_LINGER)), |t| parse_linger(&t)).map_err(invalid)?;
    let scale_percent = listen.scale_percent.or(file.desktop.scale_percent).unwrap_or(100);
    if !is_scale_percent(scale_percent) {
        return Err(invalid(format!("desktop.scale_percent = {scale_percent}: not 100 to 300 in steps of 5")));
    }
    let private_desktop = common.private_desktop.clone().or(file.desktop.private).unwrap_or(PrivateDesktopChoice::Auto);
    let private_desktop_shell = common.private_desktop_shell.clone().or(file.desktop.private_shell);
    if let (PrivateDesktopChoice::Command(desktop), Some(shell)) = (&private_desktop, &private_desktop_shell) {
        return Err(invalid(format!("desktop.private = {desktop:?} and desktop.private_shell = {shell:?}: not both")));
    }
    let data_ports = listen
        .data_port
        .as_ref()
        .or(file.network.data_port.as_ref())
        .map(|t| parse_ports(t))
        .transpose()
        .map_err(invalid)?;
    let max_sessions = listen.max_sessions.or(file.host.max_sessions).unwrap_or(DEFAULT_MAX_SESSIONS);
    if !(1..=1024).contains(&max_sessions) {
        return Err(invalid(format!("max_sessions = {max_sessions}: not 1 to 1024")));
    }
    let max_bitrate_kbps = listen.max_bitrate.or(file.video.max_bitrate_kbps).unwrap_or(MAX_BITRATE_KBPS);
    if !(500..=MAX_BITRATE_KBPS).contains(&max_bitrate_kbps) {
        return Err(invalid(format!("max_bitrate = {max_bitrate_kbps}: not 500 to {MAX_BITRATE_KBPS} kbit/s")));
    }
    let gamestream_port = listen.gamestream_port.or(file.gamestream.port).unwrap_or(GAMESTREAM_PORT);
    // The offsets of the other ports are -5 to +21.
    if gamestream_port != 0 && !(1029..=65_514).contains(&gamestream_port) {
        return Err(invalid(format!("gamestream.port = {gamestream_port}: not 0, nor 1029 to 65514")));
    }
    let gamestream = (listen.gamestream || file.gamestream.enabled.unwrap_or(false)).then(|| GameStream {
        port: gamestream_port,
        encryption: listen.gamestream_encryption.or(file.gamestream.encryption).unwrap_or(GameStreamEncryption::Prefer),
        networks: listen.gamestream_networks.or(file.gamestream.networks).unwrap_or(GameStreamNetworks::Private),
    });
    Ok(Config {
        gamestream,
        port: listen.port.or(file.network.port).unwrap_or(DEFAULT_PORT),
        bind: listen.bind.or(file.network.bind).unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        data_ports,
        pairing: if listen.open {
            PairingChoice::Open
        } else {
            listen.pairing.or(file.pairing.policy).unwrap_or(PairingChoice::Required)
        },
        mdns: !listen.no_mdns && file.network.mdns.unwrap_or(true),
        name: listen.name.clone().or(file.network.name).unwrap_or_else(host_name),
        max_bitrate_kbps,
        max_sessions,
        linger,
        scale_percent,
        api_port: (!listen.no_api && file.api.enabled.unwrap_or(true))
            .then(|| listen.api_port.or(file.api.port).unwrap_or(DEFAULT_API_PORT)),
        web_port: (!listen.no_web && file.web.enabled.unwrap_or(true))
            .then(|| listen.web_port.or(file.web.port).unwrap_or(DEFAULT_WEB_PORT)),
        web_hosts: file.web.hosts,
        user: listen.user.clone().or(file.host.user).unwrap_or_else(|| DEFAULT_USER.to_owned()),
        desktop: common.desktop.or(file.desktop.choice).unwrap_or(DesktopChoice::Auto),
        private_desktop,
        private_desktop_shell,
        encoder: common.encoder.or(file.video.encoder).unwrap_or(EncoderName::Auto),
        gpu: common.gpu.clone().or(file.video.gpu).unwrap_or(GpuName::Auto),
        keyboard_layout: common.keyboard_layout.clone().or(file.desktop.keyboard_layout),
        audio_policy: common.audio_policy.or(file.audio.policy).map(AudioPolicy::from).unwrap_or_default(),
        library: library::resolve(file.apps, file.library).map_err(invalid)?,
    })
}

fn parse_linger(text: &str) -> Result<Linger, String> {
    match text {
        "off" | "0" => Ok(Linger::Off),
        "forever" => Ok(Linger::Forever),
        seconds => seconds
            .parse()
            .map(|s| Linger::For(Duration::from_secs(s)))
            .map_err(|_| format!("linger = {text:?}: not `off`, seconds or `forever`")),
    }
}

fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let bad = || format!("data_port = {text:?}: not a port or a range like 47000-47015");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.trim().parse().map_err(|_| bad())?, last.trim().parse().map_err(|_| bad())?);
    if first == 0 || first > last {
        return Err(bad());
    }
    Ok(first..=last)
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "punktfunk".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, listen: &ListenArgs) -> Result<Config, Failure> {
        let file = parse(text, Path::new("config.toml"))?;
        Layers { listen: listen.clone(), common: CommonArgs::default(), file }.resolve(&Map::new())
    }

    #[test]
    fn nothing_configured_gives_the_documented_defaults() {
        let c = load("", &ListenArgs::default()).unwrap();
        assert_eq!((c.port, c.max_sessions, c.pairing), (9777, 4, PairingChoice::Required));
        assert_eq!(c.linger, Linger::For(Duration::from_secs(10)));
        assert!(c.mdns);
    }

    #[test]
    fn flags_win_over_the_file() {
        let listen = ListenArgs { port: Some(1), linger: Some("off".into()), ..Default::default() };
        let c = load("network.port = 2\nnetwork.mdns = false\ndesktop.linger = 5\n", &listen).unwrap();
        assert_eq!((c.port, c.mdns, c.linger), (1, false, Linger::Off));
    }

    #[test]
    fn settings_lie_below_the_file_and_flags() {
        let file = parse("network.name = \"file\"", Path::new("config.toml")).unwrap();
        let listen = ListenArgs { max_sessions: Some(2), ..Default::default() };
        let layers = Layers { listen, common: CommonArgs::default(), file };
        let settings = serde_json::json!({"network.name": "set", "host.max_sessions": 9, "network.mdns": false});
        let c = layers.resolve(settings.as_object().unwrap()).unwrap();
        assert_eq!((c.name.as_str(), c.max_sessions, c.mdns), ("file", 2, false));
        assert!(layers.file_has("network.name") && !layers.file_has("network.mdns") && !layers.file_has("network"));
        for bad in [
            serde_json::json!({"network.mdns": "x"}),
            serde_json::json!({"x": 1}),
            serde_json::json!({"video.encoder": null}),
        ] {
            assert!(layers.resolve(bad.as_object().unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_misspelt_key_is_named_with_the_nearest_one() {
        let e = load("[network]\nprot = 9777\n", &ListenArgs::default()).unwrap_err();
        assert_eq!((e.reason.code, e.code), ("config.unknown_key", 2));
        assert!(e.detail.contains("`network.prot` (did you mean `network.port`?)"), "{}", e.detail);
        for (text, key) in [
            ("prot = 9777\n", "`prot`"),
            ("network = 9777\n", "`network`"),
            ("[[apps]]\nname = 'X'\ncommand = 'x'\ncomand = 'y'\n", "`apps.comand` (did you mean `apps.command`?)"),
            ("[[apps]]\nname = 'X'\ncommand = 'x'\n[[apps.prepare]]\nundone = 'y'\n", "`apps.prepare.undone`"),
        ] {
            let e = load(text, &ListenArgs::default()).unwrap_err();
            assert_eq!(e.reason.code, "config.unknown_key");
            assert!(e.detail.contains(key), "{}", e.detail);
        }
    }

    #[test]
    fn values_that_cannot_be_used_are_refused() {
        for (text, code) in [
            ("network.port = 99999", "config.invalid"),
            ("network.port = [", "config.unreadable"),
            ("desktop.linger = true", "config.invalid"),
            ("desktop.private = \"labwc\"\ndesktop.private_shell = \"foot\"", "config.invalid"),
            ("desktop.scale_percent = 90", "config.invalid"),
            ("network.data_port = \"9-3\"", "config.invalid"),
            ("video.max_bitrate_kbps = 1", "config.invalid"),
            ("video.gpu = \"/dev/dri/card0\"", "config.invalid"),
            ("video.gpu = \"\"", "config.invalid"),
            ("video.gpu = \"/etc/passwd\"", "config.invalid"),
            ("video.gpu = 128", "config.invalid"),
            ("host.max_sessions = 0", "config.invalid"),
            ("[[apps]]\nname = 'X'\n", "config.invalid"),
            ("[[apps]]\nname = 7\ncommand = 'x'\n", "config.invalid"),
            ("gamestream.port = 80", "config.invalid"),
            ("gamestream.encryption = \"maybe\"", "config.invalid"),
        ] {
            let e = load(text, &ListenArgs::default()).unwrap_err();
            assert_eq!((e.reason.code, e.code), (code, 2), "{text}: {}", e.detail);
        }
    }

    #[test]
    fn the_documentation_lists_every_key_and_variable_and_its_example_parses() {
        let doc = include_str!("../../../docs/config.md");
        for word in KEYS.iter().chain(ENVIRONMENT).filter(|w| !["PUNKTFUNK_CONFIG", "PUNKTFUNK_LOG"].contains(w)) {
            assert!(doc.contains(&format!("`{word}`")), "docs/config.md does not explain {word}");
        }
        for example in doc.split("```toml").skip(1) {
            load(example.split("```").next().unwrap(), &ListenArgs::default()).unwrap();
        }
    }

    #[test]
    fn every_variable_that_an_option_reads_is_known() {
        let command = <crate::cli::Cli as clap::CommandFactory>::command();
        let of = |command: &clap::Command| -> Vec<_> {
            command.get_arguments().filter_map(|a| Some(a.get_env()?.to_string_lossy().into_owned())).collect()
        };
        let read: Vec<_> = std::iter::once(&command).chain(command.get_subcommands()).flat_map(of).collect();
        assert!(read.len() > 20, "{read:?}");
        assert_eq!(unknown_environment(read.into_iter()), Vec::<String>::new());
    }

    #[test]
    fn misspelt_variables_are_noticed() {
        let names = ["PUNKTFUNK_PROT", "PUNKTFUNK_PORT", "HOME"].map(str::to_owned);
        let found = unknown_environment(names.into_iter());
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("PUNKTFUNK_PORT"), "{}", found[0]);
    }
}
