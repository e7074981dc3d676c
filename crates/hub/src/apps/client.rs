//! What commands are told about the client that a program is started for.

use punktfunk_media::Mode;

use crate::catalogue::App;

/// The client's wishes, as far as scripts care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFacts {
    /// What it streams; `None` where nobody said.
    pub mode: Option<Mode>,
    /// Whether it wants HDR.
    pub hdr: bool,
    /// Its gamepads, a bit for each.
    pub gamepads: u32,
    /// Whether the sound is also heard at the host.
    pub host_audio: bool,
    /// Channels of its sound.
    pub channels: u8,
    /// An Opus layout of its own; may be empty.
    pub surround_params: String,
}

impl Default for ClientFacts {
    fn default() -> Self {
        Self { mode: None, hdr: false, gamepads: 0, host_audio: false, channels: 2, surround_params: String::new() }
    }
}

impl ClientFacts {
    /// As variables, under our names and under those that scripts for Sunshine read.
    pub(super) fn variables(&self, app: &App) -> Vec<(String, String)> {
        let layout = match self.channels {
            6 => "5.1",
            8 => "7.1",
            _ => "2.0",
        };
        let mut client = vec![
            ("HDR", self.hdr.to_string()),
            ("GCMAP", self.gamepads.to_string()),
            ("HOST_AUDIO", self.host_audio.to_string()),
            // A host that makes a display for each client has no settings of a game's to optimise.
            ("ENABLE_SOPS", false.to_string()),
            ("AUDIO_CONFIGURATION", layout.to_owned()),
            ("AUDIO_SURROUND_PARAMS", self.surround_params.clone()),
        ];
        if let Some(mode) = self.mode {
            client.push(("WIDTH", mode.width.to_string()));
            client.push(("HEIGHT", mode.height.to_string()));
            client.push(("FPS", mode.refresh_hz.to_string()));
        }
        let client = client.into_iter().map(|(name, value)| (format!("CLIENT_{name}"), value));
        let client: Vec<_> = client.collect();
        let of = |prefix: &str, id: String| {
            let app = [("APP_ID".to_owned(), id), ("APP_NAME".to_owned(), app.title.clone())];
            let all = client.iter().cloned().chain(app);
            all.map(|(name, value)| (format!("{prefix}_{name}"), value)).collect::<Vec<_>>()
        };
        // Sunshine's ids are numbers.
        [of("PUNKTFUNK", app.key.clone()), of("SUNSHINE", app.number().to_string())].concat()
    }
}
