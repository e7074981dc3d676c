//! `/launch` and `/resume` (§3.7).

use std::fmt::Write as _;

use crate::bytes::to_hex;

/// What `/launch` and `/resume` are asked for (§3.7).
#[derive(Clone, Debug)]
pub struct Launch {
    /// App to start.
    pub app_id: u32,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// Session key.
    pub rikey: [u8; 16],
    /// Number that audio IVs begin with.
    pub rikey_id: i32,
    /// The host may change the display mode.
    pub sops: bool,
    /// Keep playing on the host's speakers, too.
    pub local_audio: bool,
    /// (mask << 16) | channels.
    pub surround_audio_info: u32,
    /// 10-bit wanted.
    pub hdr: bool,
    /// Pads attached.
    pub gamepads: u32,
    /// Client core level; `None` leaves it out (old clients).
    pub corever: Option<i32>,
    /// More parameters, for instance `surroundParams` or `continuousAudio`.
    pub extra: Vec<(String, String)>,
    /// Parameters left out on purpose.
    pub omit: Vec<String>,
}

/// What a successful `/launch` or `/resume` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// `sessionUrl0`.
    pub url: String,
    /// Whether RTSP messages are sealed: the scheme is `rtspenc`.
    pub sealed: bool,
    /// RTSP port.
    pub port: u16,
    /// Whether it was a resume.
    pub resumed: bool,
}

impl Launch {
    /// The query string.
    #[must_use]
    pub fn query(&self) -> String {
        let flag = |on: bool| u8::from(on).to_string();
        let mut all = vec![
            ("appid", self.app_id.to_string()),
            ("mode", format!("{}x{}x{}", self.width, self.height, self.fps)),
            ("additionalStates", "1".to_owned()),
            ("sops", flag(self.sops)),
            ("rikey", to_hex(&self.rikey)),
            ("rikeyid", self.rikey_id.to_string()),
            ("localAudioPlayMode", flag(self.local_audio)),
            ("surroundAudioInfo", self.surround_audio_info.to_string()),
            ("remoteControllersBitmap", self.gamepads.to_string()),
            ("gcmap", self.gamepads.to_string()),
        ];
        if self.hdr {
            all.push(("hdrMode", "1".to_owned()));
            all.push(("clientHdrCapVersion", "0".to_owned()));
            all.push(("clientHdrCapSupportedFlagsInUint32", "0".to_owned()));
            all.push(("clientHdrCapMetaDataId", "NV_STATIC_METADATA_TYPE_1".to_owned()));
            all.push(("clientHdrCapDisplayData", "0x0x0x0x0x0x0x0x0x0x0".to_owned()));
        }
        all.extend(self.corever.map(|version| ("corever", version.to_string())));
        all.extend(self.extra.iter().map(|(name, value)| (name.as_str(), value.clone())));
        let mut out = String::new();
        for (name, value) in all.iter().filter(|(name, _)| !self.omit.iter().any(|o| o == name)) {
            // Writing to a String cannot fail.
            let _ = write!(out, "{}{name}={value}", if out.is_empty() { "" } else { "&" });
        }
        out
    }
}
