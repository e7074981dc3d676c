//! `/serverinfo` (§3.3).

use crate::xml::Xml;
use crate::{Error, Violations};

/// `/serverinfo`, the part that clients use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// Display name.
    pub hostname: String,
    /// Four numbers, dotted.
    pub app_version: String,
    /// The host's identity.
    pub unique_id: String,
    /// TCP port of HTTPS.
    pub https_port: u16,
    /// Hardware address for Wake-on-LAN.
    pub mac: String,
    /// `ServerCodecModeSupport`.
    pub codecs: u32,
    /// `MaxLumaPixelsHEVC`.
    pub max_luma_pixels_hevc: u32,
    /// True only over HTTPS, for a paired client.
    pub paired: bool,
    /// App that runs, 0 if `state` is not busy.
    pub current_game: u32,
    /// `state` as it came.
    pub state: String,
    /// Everything.
    pub xml: Xml,
}

impl ServerInfo {
    pub(super) fn read(xml: Xml, tls: bool, violations: &mut Violations) -> Result<Self, Error> {
        let need = |name: &str| match xml.get(name) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            other => Err(Error::answer(format!("/serverinfo: <{name}> is {other:?}"))),
        };
        let number = |name: &str| {
            let text = need(name)?;
            text.parse::<u32>().map_err(|_| Error::answer(format!("/serverinfo: <{name}> is {text:?}")))
        };
        let (state, app_version) = (need("state")?, need("appversion")?);
        let paired = need("PairStatus")? == "1";
        let running = number("currentgame")?;
        let busy = state.ends_with("_SERVER_BUSY");
        let mut rule = |holds: bool, what: String| violations.check(holds, "§3.3", || what);
        rule(busy == (running != 0), format!("state {state} with currentgame {running}"));
        rule(busy || state.ends_with("_SERVER_FREE"), format!("state {state}"));
        rule(!state.contains("MJOLNIR"), format!("state {state}"));
        let quad: Vec<i32> = app_version.split('.').filter_map(|n| n.parse().ok()).collect();
        let known = quad.len() == 4 && quad[..3] == [7, 1, 431] && quad[3] < 0;
        rule(known, format!("appversion {app_version}"));
        rule(tls || !paired, "PairStatus 1 over HTTP".to_owned());
        let codecs = number("ServerCodecModeSupport")?;
        rule(codecs & 1 == 1, format!("ServerCodecModeSupport {codecs}"));
        let luma = number("MaxLumaPixelsHEVC")?;
        rule((luma != 0) == (codecs & 0x0018_0300 != 0), format!("MaxLumaPixelsHEVC {luma}, codecs {codecs:#x}"));
        rule(!need("GfeVersion")?.starts_with("2."), "GfeVersion 2".to_owned());
        let mac = need("mac")?;
        rule(tls || mac == "00:00:00:00:00:00", format!("mac {mac} over HTTP"));
        let https_port = u16::try_from(number("HttpsPort")?).map_err(|_| Error::answer("HttpsPort"))?;
        Ok(Self {
            hostname: need("hostname")?,
            app_version,
            unique_id: need("uniqueid")?,
            https_port: if https_port == 0 { 47984 } else { https_port },
            mac,
            codecs,
            max_luma_pixels_hevc: luma,
            paired,
            current_game: if busy { running } else { 0 },
            state,
            xml: xml.clone(),
        })
    }
}
