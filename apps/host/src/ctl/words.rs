//! What can be said to `ctl`.

use clap::{Args, Subcommand, ValueEnum};
use punktfunk_mgmt::Preset;

use crate::cli::AudioPolicyName;

/// `ctl`.
#[derive(Args, Clone, Debug)]
pub struct CtlArgs {
    /// Print the API's JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Ctl,
}

/// What `ctl` does. Without a further word, resources are listed.
#[derive(Clone, Debug, Subcommand)]
pub enum Ctl {
    /// The host at a glance.
    Status,
    /// Whether the host is well.
    Health,
    /// What the host is and where clients reach it.
    Host,
    /// The live sessions.
    #[command(subcommand)]
    Sessions(Sessions),
    /// Paired devices.
    #[command(subcommand)]
    Clients(Clients),
    /// Pairing: `punktfunk-host pair` does the same with fewer words.
    #[command(subcommand)]
    Pairing(Pairing),
    /// Displays that are kept for their clients.
    #[command(subcommand)]
    Displays(Displays),
    /// Encoders and what their tests found.
    Encoders,
    /// GPUs, whether the host may use them, and what the chosen one does.
    Gpus,
    /// Which encoder and which GPU are chosen; with options, choose others.
    Choice {
        /// The encoder for sessions from now on: `auto`, or one that `ctl encoders` lists.
        #[arg(long)]
        encoder: Option<String>,
        /// The GPU from the next start on: `auto`, `none`, or the node or bus of one that `ctl gpus` lists.
        #[arg(long)]
        gpu: Option<String>,
    },
    /// Who hears a running session, and where sound comes from.
    #[command(subcommand)]
    Audio(Audio),
    /// What can be launched, and what runs.
    Library {
        /// What to do with it; without, it is listed.
        #[command(subcommand)]
        command: Option<LibraryCommand>,
    },
    /// Settings.
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Live figures and recordings.
    #[command(subcommand)]
    Stats(Stats),
    /// Figures in Prometheus' text format.
    Metrics,
    /// The log's newest lines.
    Logs {
        /// The least grave level.
        #[arg(long, value_parser = ["trace", "debug", "info", "warn", "error"], default_value = "info")]
        level: String,
        /// How many lines.
        #[arg(long, default_value_t = 50)]
        lines: u32,
    },
    /// What works here, what does not, and the fix (the same as `doctor`).
    Diagnostics,
    /// Write the support bundle to standard output.
    Bundle,
    /// Print events as they happen.
    Events {
        /// Beginnings of kinds, separated by commas, e.g. `session.,pairing.knock`.
        #[arg(long)]
        kinds: Option<String>,
    },
    /// Bearer tokens for scripts.
    #[command(subcommand)]
    Tokens(Tokens),
    /// Restart the host with the settings as they are now.
    Restart,
    /// Put the machine to sleep.
    Sleep,
    /// Send any request, e.g. `ctl api GET /api/v1/status`.
    Api {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The body, as JSON.
        body: Option<String>,
    },
}

/// `ctl sessions`.
#[derive(Clone, Debug, Subcommand)]
pub enum Sessions {
    /// List them.
    List,
    /// End one.
    Stop {
        /// Its number.
        id: u64,
    },
    /// Send a keyframe.
    Keyframe {
        /// Its number.
        id: u64,
    },
    /// Change its bitrate.
    Bitrate {
        /// Its number.
        id: u64,
        /// In kbit/s; 0: the host decides.
        kbps: u32,
    },
    /// Change what its client may do.
    Grants {
        /// Its number.
        id: u64,
        /// What it may do.
        preset: PresetName,
    },
    /// List the windows on its display, the one on top first.
    Windows {
        /// Its number.
        id: u64,
    },
    /// Bring a window to the front.
    FocusWindow {
        /// Its number.
        id: u64,
        /// The window's.
        window: u64,
    },
    /// Ask the program of a window to close it.
    CloseWindow {
        /// Number of the session.
        id: u64,
        /// Number of the window.
        window: u64,
    },
    /// Write a small picture of what it shows (PNG) to standard output.
    Thumbnail {
        /// Its number.
        id: u64,
    },
}

/// `ctl clients`.
#[derive(Clone, Debug, Subcommand)]
pub enum Clients {
    /// List them.
    List,
    /// Rename one.
    Rename {
        /// Its id.
        id: String,
        /// Its new name.
        name: String,
    },
    /// Change what it may do.
    Grants {
        /// Its id.
        id: String,
        /// What it may do.
        preset: PresetName,
    },
    /// Change how large programs draw on its displays, also on one in use.
    Scale {
        /// Its id.
        id: String,
        /// 100 to 300 in steps of 5; 0: as the host is set.
        percent: u32,
    },
    /// Change the layout of its keyboard, also on a display in use.
    Layout {
        /// Its id.
        id: String,
        /// `LAYOUT[:VARIANT[:OPTIONS]]` in XKB's words, e.g. `de:nodeadkeys`; empty: the layout of the desktop.
        layout: String,
    },
    /// Let its access end.
    Expire {
        /// Its id.
        id: String,
        /// After so many seconds; 0: never.
        seconds: u64,
    },
    /// Forget one and end its sessions.
    Unpair {
        /// Its id.
        id: String,
    },
    /// Forget all and end their sessions.
    UnpairAll,
}

/// `ctl pairing`.
#[derive(Clone, Debug, Subcommand)]
pub enum Pairing {
    /// The window and who waits.
    Status,
    /// Open a window for one pairing.
    Arm {
        /// How long it stays open.
        #[arg(long, default_value_t = 120)]
        seconds: u64,
    },
    /// Close the window.
    Disarm,
    /// Type the PIN that a device shows (GameStream).
    Pin {
        /// Its four digits.
        pin: String,
        /// The device's id; needed when several wait.
        #[arg(long)]
        id: Option<String>,
    },
    /// Let a waiting device in.
    Approve {
        /// Its id.
        id: String,
        /// What it may do.
        #[arg(long)]
        preset: Option<PresetName>,
        /// Its access ends after so many seconds.
        #[arg(long)]
        expires_in: Option<u64>,
    },
    /// Turn a waiting device away.
    Deny {
        /// Its id.
        id: String,
    },
}

/// `ctl displays`.
#[derive(Clone, Debug, Subcommand)]
pub enum Displays {
    /// List them, and say for how long they outlive their clients.
    List,
    /// Change for how long they outlive their clients, from now on.
    Policy {
        /// `off`, `short` (10 s), `long` (an hour), `always`; or seconds.
        linger: String,
    },
    /// End a kept one and what runs on it.
    Release {
        /// Its client's id.
        id: String,
    },
}

/// `ctl library`.
#[derive(Clone, Debug, Subcommand)]
pub enum LibraryCommand {
    /// What clients see.
    List,
    /// Everything, with the scanners and what they could not read.
    All,
    /// Scan the stores anew.
    Scan,
    /// Use a scanner.
    On {
        /// Its name, e.g. `steam`.
        scanner: String,
    },
    /// Use a scanner no more.
    Off {
        /// Its name, e.g. `steam`.
        scanner: String,
    },
    /// Hide an entry from clients.
    Hide {
        /// Its id.
        id: String,
    },
    /// Show a hidden entry again.
    Show {
        /// Its id.
        id: String,
    },
    /// Add an entry.
    Add {
        /// The name that people see.
        title: String,
        /// A shell command.
        command: String,
        /// Where it runs.
        #[arg(long, value_name = "FOLDER")]
        working_dir: Option<String>,
    },
    /// Print what an added entry starts.
    Get {
        /// Its id.
        id: String,
    },
    /// Change an added entry.
    Edit {
        /// Its id.
        id: String,
        /// All of it, as `ctl library get ID --json` prints it.
        entry: String,
    },
    /// Remove an added entry.
    Remove {
        /// Its id.
        id: String,
    },
    /// Write a cover to standard output.
    Cover {
        /// The entry's id.
        id: String,
    },
    /// Give an added entry a cover: a PNG, JPEG or WebP file; without one its cover is taken away.
    SetCover {
        /// Its id.
        id: String,
        /// The file.
        file: Option<std::path::PathBuf>,
    },
    /// Start a program on the display of a device that streams.
    Launch {
        /// The program's id.
        id: String,
        /// The device's id.
        client: String,
    },
    /// End what runs for a device.
    End {
        /// The device's id.
        client: String,
    },
}

/// `ctl settings`.
#[derive(Clone, Debug, Subcommand)]
pub enum SettingsCommand {
    /// List them.
    List,
    /// Set one.
    Set {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Go back to the default.
    Unset {
        /// Its key.
        key: String,
    },
    /// Keep a risky change before it goes back by itself.
    Confirm,
    /// Take a risky change back at once.
    Revert,
}

/// `ctl audio`.
#[derive(Clone, Debug, Subcommand)]
pub enum Audio {
    /// Who hears a running session, and where sound comes from.
    Show,
    /// Decide who hears it, also of sessions that run.
    Policy {
        /// The client alone, the client and the host's speakers, or whatever the default sink plays.
        policy: AudioPolicyName,
    },
}

/// `ctl stats`.
#[derive(Clone, Debug, Subcommand)]
pub enum Stats {
    /// Live figures of every session.
    Show,
    /// The newest frames of a session.
    Frames {
        /// The session's number.
        id: u64,
        /// How many.
        #[arg(long, default_value_t = 100)]
        count: u32,
    },
    /// The recordings.
    List,
    /// Record every frame from now on.
    Start,
    /// Stop recording.
    Stop,
    /// Save the last two minutes.
    Save,
    /// Write a recording to standard output.
    Download {
        /// Its id.
        id: String,
    },
    /// Delete a recording.
    Delete {
        /// Its id.
        id: String,
    },
}

/// `ctl tokens`.
#[derive(Clone, Debug, Subcommand)]
pub enum Tokens {
    /// List them.
    List,
    /// Make one and print its secret.
    Create {
        /// What to call it.
        name: String,
        /// What it may do.
        #[arg(long = "scope", required = true, value_parser = ["read", "metrics", "control", "pair", "admin"])]
        scopes: Vec<String>,
        /// It ends after so many seconds.
        #[arg(long)]
        expires_in: Option<u64>,
    },
    /// Take one back.
    Revoke {
        /// Its id.
        id: String,
    },
}

/// What a device may do, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PresetName {
    /// Everything.
    Full,
    /// Gamepads only.
    Controller,
    /// Watching only.
    View,
}

impl PresetName {
    /// As the API has it.
    pub fn wire(self) -> Preset {
        match self {
            Self::Full => Preset::Full,
            Self::Controller => Preset::Controller,
            Self::View => Preset::View,
        }
    }
}
