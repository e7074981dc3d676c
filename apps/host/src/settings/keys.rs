//! What can be set in the console, key by key.

use punktfunk_mgmt::settings::{Applies, SettingKind};
use serde_json::Value;

use crate::cli::{CommonArgs, DesktopChoice, EncoderName, ListenArgs, PairingChoice};
use crate::config::{Config, Linger};

/// One key that can be set.
pub(super) struct Key {
    pub key: &'static str,
    pub description: &'static str,
    pub kind: SettingKind,
    pub choices: &'static [&'static str],
    pub bounds: Option<(u64, u64)>,
    pub value: fn(&Config) -> Value,
    pub applies: Applies,
    /// Whether the configuration with a new value could lock its owner out, or let others in; `None`: never.
    pub risky: Option<fn(&Config) -> bool>,
    /// Whether a flag or an environment variable sets it.
    pub given: fn(&ListenArgs, &CommonArgs) -> bool,
}

/// Every key that can be set. What runs programs (`private_shell`, `apps`), and where the streams themselves listen, stays in
/// the file.
pub(super) const KEYS: [Key; 14] = [
    Key {
        key: "network.name",
        description: "The name that clients see.",
        kind: SettingKind::Text,
        choices: &[],
        bounds: None,
        value: |c| c.name.clone().into(),
        applies: Applies::Restart,
        risky: None,
        given: |l, _| l.name.is_some(),
    },
    Key {
        key: "network.mdns",
        description: "Whether the host announces itself in the local network.",
        kind: SettingKind::Bool,
        choices: &[],
        bounds: None,
        value: |c| c.mdns.into(),
        applies: Applies::Restart,
        risky: None,
        given: |l, _| l.no_mdns,
    },
    Key {
        key: "network.data_port",
        description: "UDP ports for video, one per session, e.g. 47000-47015: for firewalls.",
        kind: SettingKind::Text,
        choices: &[],
        bounds: None,
        value: |c| c.data_ports.as_ref().map_or(Value::Null, |p| format!("{}-{}", p.start(), p.end()).into()),
        applies: Applies::Restart,
        risky: None,
        given: |l, _| l.data_port.is_some(),
    },
    Key {
        key: "pairing.policy",
        description: "Who may connect: only paired devices, or everybody.",
        kind: SettingKind::Choice,
        choices: &["required", "open"],
        bounds: None,
        value: |c| match c.pairing {
            PairingChoice::Required => "required".into(),
            PairingChoice::Open => "open".into(),
        },
        applies: Applies::Now,
        risky: Some(|c| c.pairing == PairingChoice::Open),
        given: |l, _| l.pairing.is_some() || l.open,
    },
    Key {
        key: "desktop.choice",
        description: "Which desktop is streamed: a running session, or a private one for every client.",
        kind: SettingKind::Choice,
        choices: &["auto", "wlroots", "private"],
        bounds: None,
        value: |c| match c.desktop {
            DesktopChoice::Auto => "auto".into(),
            DesktopChoice::Wlroots => "wlroots".into(),
            DesktopChoice::Private => "private".into(),
        },
        applies: Applies::Restart,
        risky: None,
        given: |_, c| c.desktop.is_some(),
    },
    Key {
        key: "desktop.linger",
        description: "How long a display and its programs outlive their client: off, seconds, or forever.",
        kind: SettingKind::Text,
        choices: &[],
        bounds: None,
        value: |c| match c.linger {
            Linger::Off => "off".into(),
            Linger::For(time) => time.as_secs().to_string().into(),
            Linger::Forever => "forever".into(),
        },
        applies: Applies::Now,
        risky: None,
        given: |l, _| l.linger.is_some(),
    },
    Key {
        key: "desktop.keyboard_layout",
        description: "Keyboard layout where the desktop does not tell, e.g. us, de, fr.",
        kind: SettingKind::Text,
        choices: &[],
        bounds: None,
        value: |c| c.keyboard_layout.clone().map_or(Value::Null, Value::from),
        applies: Applies::Restart,
        risky: None,
        given: |_, c| c.keyboard_layout.is_some(),
    },
    Key {
        key: "video.encoder",
        description: "Which video encoder is used.",
        kind: SettingKind::Choice,
        choices: &["auto", "x264", "openh264"],
        bounds: None,
        value: |c| match c.encoder {
            EncoderName::Auto => "auto".into(),
            EncoderName::X264 => "x264".into(),
            EncoderName::Openh264 => "openh264".into(),
        },
        applies: Applies::NextSession,
        risky: None,
        given: |_, c| c.encoder.is_some(),
    },
    Key {
        key: "video.max_bitrate_kbps",
        description: "Upper limit of a session's bitrate in kbit/s.",
        kind: SettingKind::Integer,
        choices: &[],
        bounds: Some((500, 8_000_000)),
        value: |c| c.max_bitrate_kbps.into(),
        applies: Applies::NextSession,
        risky: None,
        given: |l, _| l.max_bitrate.is_some(),
    },
    Key {
        key: "host.max_sessions",
        description: "Sessions at once.",
        kind: SettingKind::Integer,
        choices: &[],
        bounds: Some((1, 1024)),
        value: |c| c.max_sessions.into(),
        applies: Applies::Now,
        risky: None,
        given: |l, _| l.max_sessions.is_some(),
    },
    Key {
        key: "api.enabled",
        description: "Whether the management API on the network is served.",
        kind: SettingKind::Bool,
        choices: &[],
        bounds: None,
        value: |c| c.api_port.is_some().into(),
        applies: Applies::Now,
        risky: Some(always),
        given: |l, _| l.no_api,
    },
    Key {
        key: "api.port",
        description: "TCP port of the management API on the network.",
        kind: SettingKind::Integer,
        choices: &[],
        bounds: Some((1, 65_535)),
        value: |c| c.api_port.map_or(Value::Null, Value::from),
        applies: Applies::Now,
        risky: Some(always),
        given: |l, _| l.api_port.is_some() || l.no_api,
    },
    Key {
        key: "web.enabled",
        description: "Whether the web console is served.",
        kind: SettingKind::Bool,
        choices: &[],
        bounds: None,
        value: |c| c.web_port.is_some().into(),
        applies: Applies::Now,
        risky: Some(always),
        given: |l, _| l.no_web,
    },
    Key {
        key: "web.port",
        description: "TCP port of the web console.",
        kind: SettingKind::Integer,
        choices: &[],
        bounds: Some((1, 65_535)),
        value: |c| c.web_port.map_or(Value::Null, Value::from),
        applies: Applies::Now,
        risky: Some(always),
        given: |l, _| l.web_port.is_some() || l.no_web,
    },
];

const fn always(_: &Config) -> bool {
    true
}
